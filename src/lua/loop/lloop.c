/*
 * lloop.c: knows the adapters of tls.loop, and which coroutine waits for which object.
 *
 * An adapter is a table of functions. Among the adapters the newest is asked first: the first whose
 * running() returns true is that of the loop that runs this coroutine. All functions of an adapter
 * are called outside of the core, of OpenSSL and of finalizers. Errors of wake and forget become
 * warnings, because the operation that called them must go on.
 *
 * The coroutine that waits is a user value of the object that it waits for. It counts as waiting
 * only while it can be resumed, so a coroutine that was closed, or has died, does not block the
 * object. A turn, which is a number, identifies a wait. Canceling increases it. A coroutine that is
 * resumed and finds another turn does not touch the object, which may be freed or used by another
 * wait.
 *
 * An attacker may make many coroutines wait for a store, so that each answer would wake them all. A
 * store's pump reads all answers from the wire. So the coroutine that the descriptor has woken
 * checks which connections have an answer, and wakes only those, which do not check again.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/lerror.h"
#include "lua/base/lstate.h"
#include "lua/loop/lloop.h"
#include "tlslife.h"

/* The fields of an adapter in the table of loops. */
enum { ADAPTER = 1, RUNNING, WAIT, WAKE, FORGET, FIELDS = FORGET };

#define LOOPS_MAX 100

/* ------------------------------------------------------------------------------------ the loops */

void tlb_open_loops(lua_State *L) {
    tlb_push_state(L);
    lua_newtable(L);
    lua_setiuservalue(L, -2, TLB_STATE_LOOPS);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setiuservalue(L, -2, TLB_STATE_LOOKUPS);
    lua_pop(L, 1);
}

/* Pushes one of the state's tables. */
static tlb_state *push_table(lua_State *L, int which) {
    tlb_state *state = tlb_push_state(L);
    if (lua_getiuservalue(L, -1, which) != LUA_TTABLE) {
        luaL_error(L, "tlslife: the module's state was changed");
    }
    lua_remove(L, -2);
    return state;
}

static void check_field(lua_State *L, const char *field, int type, bool demanded) {
    int got = lua_getfield(L, 1, field);
    if (got != type && (demanded || got != LUA_TNIL)) {
        luaL_error(L, "loop: field '%s': %s expected, got %s", field, lua_typename(L, type),
                   lua_typename(L, got));
    }
}

static bool is_known(lua_State *L, int functions, int len) {
    bool known = false;
    for (int i = 0; i < len && !known; i++) {
        lua_rawgeti(L, functions, i * FIELDS + ADAPTER);
        known = lua_rawequal(L, -1, 1);
        lua_pop(L, 1);
    }
    return known;
}

int tlb_loop(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    check_field(L, "name", LUA_TSTRING, true);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    check_field(L, "running", LUA_TFUNCTION, true);
    check_field(L, "wait", LUA_TFUNCTION, true);
    check_field(L, "wake", LUA_TFUNCTION, true);
    check_field(L, "forget", LUA_TFUNCTION, false);
    tlb_state *state = push_table(L, TLB_STATE_LOOPS);
    int functions = lua_gettop(L);
    if (!is_known(L, functions, state->loops)) {
        if (state->loops == LOOPS_MAX) {
            luaL_error(L, "loop: there are %d loops already", LOOPS_MAX);
        }
        for (int i = ADAPTER; i <= FORGET; i++) {
            lua_pushvalue(L, 1 + i);
            lua_rawseti(L, functions, state->loops * FIELDS + i);
        }
        state->loops++;
    }
    lua_settop(L, 1);
    return 1;
}

int tlb_push_loop(lua_State *L) {
    tlb_state *state = push_table(L, TLB_STATE_LOOPS);
    for (int i = state->loops; i > 0; i--) {
        lua_rawgeti(L, -1, (i - 1) * FIELDS + RUNNING);
        lua_call(L, 0, 1);
        bool running = lua_toboolean(L, -1);
        lua_pop(L, 1);
        if (running) {
            lua_rawgeti(L, -1, (i - 1) * FIELDS + WAIT);
            lua_remove(L, -2);
            return i;
        }
    }
    lua_pop(L, 1);
    return 0;
}

/* Pushes a function of that loop. If there is none, pushes nothing and returns false. */
static bool push_function(lua_State *L, int loop, int field) {
    push_table(L, TLB_STATE_LOOPS);
    bool there = lua_rawgeti(L, -1, (loop - 1) * FIELDS + field) == LUA_TFUNCTION;
    lua_remove(L, -2);
    if (!there) {
        lua_pop(L, 1);
    }
    return there;
}

static void call_loop(lua_State *L, int arguments, const char *name) {
    if (lua_pcall(L, arguments, 0, 0) != LUA_OK) {
        tlb_warn(L, name);
    }
}

bool tlb_push_wait(lua_State *L, int loop) {
    return push_function(L, loop, WAIT);
}

/* -------------------------------------------------------------------------- what a loop is told */

void tlb_push_seconds(lua_State *L, lua_Integer ms) {
    if (ms < 0) {
        lua_pushnil(L);
    } else {
        lua_pushnumber(L, (lua_Number)ms / 1000);
    }
}

void tlb_push_fd(lua_State *L, int fd) {
    if (fd < 0) {
        lua_pushnil(L);
    } else {
        lua_pushinteger(L, fd);
    }
}

/* -------------------------------------------------------------------------------------- waiters */

/*
 * Whether a thread can be resumed or runs. One that has ended, or was closed, has nothing on its
 * stack.
 */
static bool is_live(lua_State *thread) {
    lua_Debug ar;
    int status = thread ? lua_status(thread) : LUA_ERRRUN;
    return status == LUA_YIELD || (status == LUA_OK && lua_getstack(thread, 0, &ar) == 1);
}

unsigned tlb_begin_wait(lua_State *L, int idx, tlb_waiter *waiter, int value, int loop) {
    lua_pushthread(L);
    lua_setiuservalue(L, idx, value);
    waiter->waiting = true;
    waiter->loop = (unsigned char)loop;
    return ++waiter->turn;
}

bool tlb_waits(lua_State *L, int idx, tlb_waiter *waiter, int value) {
    if (waiter->waiting) {
        lua_getiuservalue(L, idx, value);
        waiter->waiting = is_live(lua_tothread(L, -1));
        lua_pop(L, 1);
    }
    return waiter->waiting;
}

/* Calls the loop's wake for the thread that is that user value. */
static void wake(lua_State *L, int idx, const tlb_waiter *waiter, int value) {
    if (push_function(L, waiter->loop, WAKE)) {
        lua_getiuservalue(L, idx, value);
        call_loop(L, 1, "a loop's wake");
    }
}

bool tlb_cancel_wait(lua_State *L, int idx, tlb_waiter *waiter, int value) {
    if (!tlb_waits(L, idx, waiter, value)) {
        return false;
    }
    waiter->waiting = false;
    waiter->turn++;
    wake(L, idx, waiter, value);
    return true;
}

static bool cancel_own(lua_State *L, int idx) {
    tlb_conn *self = lua_touserdata(L, idx);
    bool read = tlb_cancel_wait(L, idx, &self->waiters[0], TLB_CONN_READER);
    bool written = tlb_cancel_wait(L, idx, &self->waiters[1], TLB_CONN_WRITER);
    return read || written;
}

bool tlb_cancel(lua_State *L, int idx) {
    bool canceled = cancel_own(L, idx);
    const tlb_conn *self = lua_touserdata(L, idx);
    const tlslife_conn *inner =
        self->handle.object ? tlslife_conn_get0_inner(tlb_conn_object(self)) : NULL;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (inner && tlb_known(L, &tlb_conn_type, inner)) {
        canceled |= tlb_cancel(L, lua_gettop(L));
        lua_pop(L, 1);
    }
    return canceled;
}

void tlb_forget_waited(lua_State *L, int idx) {
    tlb_conn *self = lua_touserdata(L, idx);
    for (int i = 0; i < 2; i++) {
        if (!tlb_waits(L, idx, &self->waiters[i], TLB_CONN_READER + i)) {
            lua_pushnil(L);
            lua_setiuservalue(L, idx, TLB_CONN_READER + i);
        }
    }
}

int tlb_canceled(lua_State *L) {
    lua_pushnil(L);
    lua_pushliteral(L, "canceled");
    return 2;
}

void tlb_forget_fd(lua_State *L, int idx, int fd) {
    const tlb_state *state = tlb_state_of(L);
    for (int i = 1; i <= state->loops; i++) {
        if (push_function(L, i, FORGET)) {
            lua_pushinteger(L, fd);
            lua_pushvalue(L, idx);
            call_loop(L, 2, "a loop's forget");
        }
    }
}

void tlb_forget(lua_State *L, int idx) {
    tlb_conn *self = lua_touserdata(L, idx);
    tlslife_conn *conn = tlb_conn_object(self);
    bool writing = false;
    int timeout_ms = -1;
    if (!self->watched || self->waiters[0].waiting || self->waiters[1].waiting) {
        return;
    }
    self->watched = false;
    int reads = tlslife_conn_wait_fd(conn, TLSLIFE_WANT_READ, &writing, &timeout_ms);
    int writes = tlslife_conn_wait_fd(conn, TLSLIFE_WANT_WRITE, &writing, &timeout_ms);
    if (reads >= 0) {
        tlb_forget_fd(L, idx, reads);
    }
    if (writes >= 0 && writes != reads) {
        tlb_forget_fd(L, idx, writes);
    }
}

void tlb_cancel_and_forget(lua_State *L, int idx) {
    const tlb_conn *self = lua_touserdata(L, idx);
    tlb_cancel(L, idx);
    if (self->watched && self->handle.object) { /* otherwise the loop's wake has freed it */
        tlb_forget(L, idx);
    }
}

/*
 * A connection that this one carries lives on. Its coroutine, which waits for a descriptor of this
 * one's, is woken by tlb_forget and waits again for one of its own.
 */
void tlb_let_go(lua_State *L, int idx) {
    const tlb_conn *self = lua_touserdata(L, idx);
    if (self->waiters[0].waiting || self->waiters[1].waiting) {
        cancel_own(L, idx);
    }
    if (self->watched && self->handle.object) { /* otherwise the loop's wake has freed it */
        tlb_forget(L, idx);
    }
}

/* -------------------------------------------------------------------------- waiting for a store */

void tlb_set_lookup(lua_State *L, tlb_conn *self, bool looks_up) {
    push_table(L, TLB_STATE_LOOKUPS);
    lua_pushvalue(L, 1);
    if (looks_up) {
        lua_pushboolean(L, true);
    } else {
        lua_pushnil(L);
    }
    lua_rawset(L, -3);
    lua_pop(L, 1);
    self->looks_up = looks_up;
}

/*
 * Wakes the coroutine of the connection at idx, a key of the table of lookups, if its answer has
 * come. Returns whether the key is to be removed.
 */
static bool tell_answered(lua_State *L, int idx) {
    tlb_conn *conn = lua_touserdata(L, idx);
    if (!conn->handle.object || !tlb_waits(L, idx, &conn->waiters[0], TLB_CONN_READER)) {
        return true;
    }
    if (!tlslife_conn_lookup_answered(tlb_conn_object(conn))) {
        return false;
    }
    conn->looks_up = false;
    wake(L, idx, &conn->waiters[0], TLB_CONN_READER);
    return true;
}

void tlb_wake_answered(lua_State *L) {
    int top = lua_gettop(L);
    push_table(L, TLB_STATE_LOOKUPS);
    for (lua_pushnil(L); lua_next(L, top + 1);) {
        lua_pop(L, 1);
        if (tell_answered(L, top + 2)) {
            lua_pushvalue(L, top + 2);
            lua_pushnil(L);
            lua_rawset(L, top + 1);
        }
    }
    lua_settop(L, top);
}
