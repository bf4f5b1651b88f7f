/*
 * lwait.c: lets a verb that would block yield to the loop that runs its coroutine.
 *
 * A verb of a blocking connection is tried without blocking (TLB_TRY). The want that ends the try
 * is one more question (lverb.c). The loop that runs the coroutine (lloop.c) gets wait(fd, mode,
 * seconds, owner). wait is called with lverb.c's continuation, so it may yield. Then the verb is
 * tried again, until it has results or its deadline is over. The deadline begins with the first
 * wait. The try comes before each wait, so the verb never waits for what is decrypted already, and
 * the last try comes after the deadline. (A read skips the first try if everything was read before:
 * waits_first in ldata.c.) If no loop runs the coroutine, or there is nothing to watch (memory),
 * the same try is made as a blocking one.
 *
 * A wait allocates nothing. The verb is the continuation's context, which no script can reach. The
 * other values that the call needs are numbers on its own stack (push_call), between its arguments
 * and wait's. A script with the debug library may change them, so none is an address or an index,
 * and self is checked again. Errors of running and wait become the verb's.
 *
 * A store closes and opens descriptors by itself, also in other threads that share it, so a loop
 * must not watch them. It watches a duplicate instead, which is open for the same socket (the
 * watch, lstore.c).
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/cache/lstore.h"
#include "lua/loop/lloop.h"
#include "lua/verb/lquestion.h"
#include "lua/verb/lverb.h"
#include "lua/verb/lwait.h"
#include "tlslife.h"

#define FOREVER LUA_MAXINTEGER

/* ----------------------------------------------------------------------------------------- time */

lua_Integer tlb_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (lua_Integer)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

lua_Integer tlb_deadline(int timeout_ms) {
    return timeout_ms < 0 ? FOREVER : tlb_now() + timeout_ms;
}

/* Milliseconds until the deadline; -1 without limit, 0 if it is over. */
static lua_Integer left(lua_Integer deadline) {
    if (deadline == FOREVER) {
        return -1;
    }
    lua_Integer now = tlb_now();
    return deadline > now ? deadline - now : 0;
}

/* -------------------------------------------------------------------- whose descriptor it is */

/*
 * Pushes the userdata of the connection that the descriptor belongs to: self, or the outermost one
 * that carries it, unless the script has freed that.
 */
static void push_watched(lua_State *L, const tlb_conn *self) {
    const tlslife_conn *conn = tlb_conn_object(self);
    while (tlslife_conn_get0_outer(conn)) {
        conn = tlslife_conn_get0_outer(conn);
    }
    if (conn == tlb_conn_object(self) || !tlb_known(L, &tlb_conn_type, conn)) {
        lua_pushvalue(L, 1);
    }
    ((tlb_conn *)lua_touserdata(L, -1))->watched = true;
}

/*
 * Pushes the object whose descriptor is waited for, and returns the descriptor: the connection's
 * fd, or the watch of the store that its lookup waits for.
 */
static int push_owner(lua_State *L, tlb_conn *self, int fd) {
    tlslife_lookup lookup;
    if (self->question == TLSLIFE_WANT_SESSION &&
        tlslife_conn_lookup(tlb_conn_object(self), &lookup)) {
        tlb_push(L, &tlb_store_type, lookup.store);
        return tlb_store_watch(L, lua_gettop(L), fd);
    }
    push_watched(L, self);
    return fd;
}

/* ------------------------------------------------------------------------------------- the call */

/* What is on the stack while a call waits, above its arguments. */
enum { WAIT_FUNCTION = 1, OWNER, DEADLINE, OUT, TURN, FD };

static tlb_waiter *waiter_of(tlb_conn *self, unsigned what) {
    return &self->waiters[what & TLB_READS ? 0 : 1];
}

static void push_call(lua_State *L, const tlb_call *call, unsigned turn, int fd) {
    lua_pushinteger(L, call->deadline);
    lua_pushinteger(L, (lua_Integer)call->out);
    lua_pushinteger(L, turn);
    lua_pushinteger(L, fd);
}

tlb_call tlb_waiting_call(lua_State *L, const tlb_verb *verb) {
    return (tlb_call){
        .verb = verb,
        .looped = true,
        .deadline = lua_tointeger(L, verb->args + DEADLINE),
        .out = (size_t)lua_tointeger(L, verb->args + OUT),
    };
}

/*
 * The number of bytes that were sent is the result, whatever came after them, as in a blocking
 * call.
 */
static int sent(lua_State *L, const tlb_call *call) {
    lua_pushinteger(L, (lua_Integer)call->out);
    return 1;
}

/* The results of a call whose deadline is over. A close lets its transport go all the same. */
static int timed_out(lua_State *L, tlb_conn *self, const tlb_call *call) {
    if (call->verb->what & TLB_CLOSES) {
        tlb_forget(L, 1);
        if (self->handle.object) {
            tlslife_conn_close_transport(tlb_conn_object(self));
        }
        lua_pushnil(L);
        lua_setiuservalue(L, 1, TLB_CONN_TRANSPORT);
    }
    lua_pushnil(L);
    lua_pushstring(L, tlslife_status_name(TLSLIFE_TIMEOUT));
    return call->out > 0 ? sent(L, call) : 2;
}

static lua_Integer deadline_of(lua_State *L, tlb_conn *self, const tlb_call *call) {
    if (call->verb->what & TLB_CLOSES) {
        return tlb_deadline(lua_isnoneornil(L, 2) ? 0 : tlb_milliseconds(L, 2, NULL));
    }
    return tlb_deadline(tlslife_conn_timeout_ms(tlb_conn_object(self)));
}

static unsigned begin(lua_State *L, tlb_conn *self, const tlb_call *call, int loop) {
    if (call->verb->what & TLB_READS) {
        tlb_begin_wait(L, 1, &self->waiters[0], TLB_CONN_READER, loop);
    }
    if (call->verb->what & TLB_WRITES) {
        tlb_begin_wait(L, 1, &self->waiters[1], TLB_CONN_WRITER, loop);
    }
    self->handle.state->run = 0;
    if (self->question == TLSLIFE_WANT_SESSION) {
        tlb_set_lookup(L, self, true);
    }
    return waiter_of(self, call->verb->what)->turn;
}

/* Ends a wait. Returns whether it still was this call's. */
static bool end(lua_State *L, tlb_conn *self, tlb_call *call) {
    unsigned turn = (unsigned)lua_tointeger(L, call->verb->args + TURN);
    if (!self->handle.object || waiter_of(self, call->verb->what)->turn != turn) {
        return false;
    }
    if (call->verb->what & TLB_READS) {
        self->waiters[0].waiting = false;
    }
    if (call->verb->what & TLB_WRITES) {
        self->waiters[1].waiting = false;
    }
    if (self->looks_up && (call->verb->what & TLB_READS)) {
        tlb_set_lookup(L, self, false);
        call->pumps = true;
    }
    return true;
}

int tlb_waited(lua_State *L, tlb_conn *self, tlb_call *call, bool failed) {
    tlb_check_same(L, &tlb_conn_type, self);
    bool mine = end(L, self, call);
    if (failed) {
        return lua_error(L);
    }
    if (mine && (call->verb->what & TLB_DIALS)) {
        /* The next step may close the descriptor, and open another one with the same number. */
        tlb_forget_fd(L, 1, (int)lua_tointeger(L, call->verb->args + FD));
        mine = self->handle.object != NULL;
    }
    if (!mine) {
        return call->out > 0 ? sent(L, call) : tlb_canceled(L);
    }
    if (self->asking && tlb_is_asking(L, self)) {
        return call->out > 0 ? sent(L, call) : tlb_busy(L);
    }
    lua_settop(L, call->verb->args);
    return TLB_ASKED;
}

/* Makes the next try a blocking one, since no loop can wait. */
static int block(lua_State *L, tlb_call *call) {
    call->looped = false;
    lua_settop(L, call->verb->args);
    return TLB_ASKED;
}

static lua_Integer shorter(lua_Integer a, lua_Integer b) {
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Waits. The wait function, the owner and the call are on the stack, above its arguments. */
static int wait_in(lua_State *L, tlb_conn *self, tlb_call *call, lua_KFunction returned, int fd,
                   bool writing, lua_Integer ms) {
    const char *mode = !writing ? "r" : self->question == TLSLIFE_WANT_SESSION ? "rw" : "w";
    lua_pushvalue(L, call->verb->args + WAIT_FUNCTION);
    lua_pushinteger(L, fd);
    lua_pushstring(L, mode);
    tlb_push_seconds(L, ms);
    lua_pushvalue(L, call->verb->args + OWNER);
    int status = lua_pcallk(L, 4, 1, 0, (lua_KContext)call->verb, returned);
    return tlb_waited(L, self, call, status != LUA_OK);
}

/*
 * Pushes the wait function of the loop that runs this coroutine, and returns the loop's number, or
 * 0. If this coroutine has waited here before, its loop is known, and running is not called.
 */
static int push_loop_of(lua_State *L, tlb_conn *self, const tlb_call *call) {
    const tlb_waiter *waiter = waiter_of(self, call->verb->what);
    if (waiter->loop != 0) {
        lua_getiuservalue(L, 1, waiter == self->waiters ? TLB_CONN_READER : TLB_CONN_WRITER);
        bool same = lua_tothread(L, -1) == L;
        lua_pop(L, 1);
        if (same && tlb_push_wait(L, waiter->loop)) {
            return waiter->loop;
        }
    }
    return tlb_push_loop(L);
}

int tlb_wait(lua_State *L, tlb_conn *self, tlb_call *call, lua_KFunction returned) {
    bool writing = false;
    int timeout_ms = -1;
    int fd = tlslife_conn_wait_fd(tlb_conn_object(self), self->question, &writing, &timeout_ms);
    if (call->deadline == 0) {
        call->deadline = deadline_of(L, self, call);
    }
    lua_Integer ms = left(call->deadline);
    if (ms == 0) {
        return timed_out(L, self, call);
    }
    lua_settop(L, call->verb->args);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    int loop = fd >= 0 ? push_loop_of(L, self, call) : 0;
    tlb_check_same(L, &tlb_conn_type, self);
    if (!self->handle.object) { /* the adapter's running has freed it */
        return tlb_canceled(L);
    }
    if (loop == 0) {
        return block(L, call);
    }
    fd = push_owner(L, self, fd);
    if (fd < 0) { /* another thread has just closed the store's descriptor */
        lua_settop(L, call->verb->args);
        return TLB_ASKED;
    }
    ms = call->pauses ? 1 : shorter(ms, timeout_ms);
    call->pauses = false;
    push_call(L, call, begin(L, self, call, loop), fd);
    return wait_in(L, self, call, returned, fd, writing, ms);
}
