/*
 * worker.c: runs the program's script again in a thread of threads.c.
 *
 * The thread has a Lua state of its own, prepared as the main one was, with the same options and
 * the same arg. A script finds out by require "tlslife.worker" that it runs in a worker: the result
 * is a table here, and false in the main thread.
 *
 * Listeners belong to the state at once, as objects. So a script that fails, or stops listening
 * early, cannot close a number that meanwhile belongs to another file. The control descriptor is a
 * number, which the script puts into its event loop, and the loop will close it. If it is still the
 * same socket after the state was closed, it is closed here, so the other end always sees the
 * thread's end.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program/call.h"
#include "program/script.h"
#include "program/state.h"
#include "program/worker.h"
#include "tlslife.h"
#include "tlslife_lua.h"

static void push_listeners(lua_State *L, program_worker *self) {
    tlslife_error err;
    lua_createtable(L, (int)self->listeners_len, 0);
    for (size_t i = 0; i < self->listeners_len; i++) {
        self->pushing = tlslife_listen_fd(self->listeners[i], &err);
        if (self->pushing == NULL) {
            luaL_error(L, "tlslife.worker: %s", err.message);
        }
        self->listeners[i] = -1;
        tlslife_lua_push_listener(L, self->pushing);
        self->pushing = NULL;
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static int load_worker(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    return 1;
}

/*
 * Preloads the table that require "tlslife.worker" returns. It is always the same table, whatever a
 * script does to package.loaded.
 */
static void preload_worker(lua_State *L, program_worker *self) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_createtable(L, 0, 6);
    lua_pushinteger(L, self->index);
    lua_setfield(L, -2, "index");
    lua_pushinteger(L, self->control);
    lua_setfield(L, -2, "control");
    push_listeners(L, self);
    lua_setfield(L, -2, "listeners");
    tlslife_lua_push_cache(L, self->cache);
    lua_setfield(L, -2, "cache");
    tlslife_lua_push_ticket_keys(L, self->ticket_keys);
    lua_setfield(L, -2, "ticket_keys");
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "thread");
    lua_pushcclosure(L, load_worker, 1);
    lua_setfield(L, -2, "tlslife.worker");
    lua_pop(L, 1);
}

/* The worker of this thread. It is not an upvalue of os.exit, since a script could change that. */
static _Thread_local program_worker *current;

/* Closes the state. The mark prevents a second time, since a finalizer may call os.exit. */
static void close_state(lua_State *L, program_worker *self) {
    self->ending = true;
    program_state_close(L);
}

/*
 * Replaces os.exit in a thread. The jump leaves C frames as an error does, but no pcall catches it.
 * The state is closed before the jump, as lua's os.exit does it, because a loop that runs in one of
 * those frames is closed by its finalizer, which may use its own frame.
 */
static int exit_thread(lua_State *L) {
    program_worker *self = current;
    int status =
        lua_isboolean(L, 1) ? !lua_toboolean(L, 1) : (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
    if (self->ending) {
        return luaL_error(L, "os.exit: the thread ends already");
    }
    self->status = status & 0xff; /* as a parent process sees it */
    close_state(L, self);
    longjmp(self->end, 1);
}

static void replace_exit(lua_State *L) {
    lua_getglobal(L, LUA_OSLIBNAME);
    lua_pushcfunction(L, exit_thread);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
}

/* The protected part of the thread, as in main.c. Its result is whether all went well. */
static int run(lua_State *L) {
    program_worker *self = lua_touserdata(L, 1);
    program_open(L, self->given);
    replace_exit(L);
    preload_worker(L, self);
    lua_pushboolean(L, program_run_words(L, self->given));
    return 1;
}

static void run_state(lua_State *L, program_worker *self) {
    if (setjmp(self->end) == 0) {
        lua_pushcfunction(L, run);
        lua_pushlightuserdata(L, self);
        bool good = program_report(L, lua_pcall(L, 1, 1, 0)) == LUA_OK && lua_toboolean(L, -1);
        self->status = good ? EXIT_SUCCESS : EXIT_FAILURE;
        close_state(L, self);
    }
}

/*
 * Closes the control descriptor if its number is still the same socket. The script may have closed
 * it, and another file may have its number.
 */
static void close_control(const program_worker *self) {
    struct stat now;
    if (fstat(self->control, &now) == 0 && now.st_dev == self->socket.st_dev &&
        now.st_ino == self->socket.st_ino) {
        close(self->control);
    }
}

void program_worker_clear(program_worker *self) {
    tlslife_listener_free(self->pushing);
    self->pushing = NULL;
    for (; self->listeners_len > 0; self->listeners_len--) {
        if (self->listeners[self->listeners_len - 1] >= 0) {
            close(self->listeners[self->listeners_len - 1]);
        }
    }
    free(self->listeners);
    self->listeners = NULL;
    tlslife_cache_free(self->cache);
    self->cache = NULL;
    tlslife_ticket_keys_free(self->ticket_keys);
    self->ticket_keys = NULL;
}

void program_work(program_worker *self) {
    lua_State *L = program_state_new(false);
    current = self;
    if (L != NULL) {
        run_state(L, self);
    } else {
        program_complain("cannot create state: not enough memory");
        self->status = EXIT_FAILURE;
    }
    program_worker_clear(self);
    close_control(self);
}
