/*
 * worker.c: what a thread of threads.c does: runs the program's script again, in a Lua state of its
 * own that was made ready as the main one was, with the same options and the same arg. What it
 * shall do differently it reads from require "tlslife.worker", which here is a table and in the
 * main thread is false.
 *
 * Descriptors. Listeners belong to the state at once, as objects: a script that fails, or stops
 * listening early, closes no number that has meanwhile become another's. The control descriptor is
 * a number, for the script to put into its event loop, which will close it; where it is still the
 * same socket when the state has gone, it is closed here, so that the other end sees the thread's
 * end in any case.
 */
#include "host.h"

#include "tlslife_lua.h"

#include <lualib.h>
#include <stdlib.h>
#include <unistd.h>

static void push_listeners(lua_State *L, host_worker *self) {
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
 * What require "tlslife.worker" gives: always the same table, whatever a script does to
 * package.loaded.
 */
static void preload_worker(lua_State *L, host_worker *self) {
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

/* Whose script this thread runs; no upvalue of os.exit, since a script could change that. */
static _Thread_local host_worker *current;

/* Once: a finalizer may call os.exit. */
static void close_state(lua_State *L, host_worker *self) {
    self->ending = true;
    host_state_close(L);
}

/*
 * os.exit. The jump leaves C frames as an error would, but no pcall catches it. The state is closed
 * before, as lua's os.exit does it: a loop that runs in one of those frames is closed by its
 * finalizer, and may look at its own frame.
 */
static int exit_thread(lua_State *L) {
    host_worker *self = current;
    int status =
        lua_isboolean(L, 1) ? !lua_toboolean(L, 1) : (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
    if (self->ending) {
        return luaL_error(L, "os.exit: the thread ends already");
    }
    self->status = status & 0xff; /* as a parent sees it */
    close_state(L, self);
    longjmp(self->end, 1);
}

static void replace_exit(lua_State *L) {
    lua_getglobal(L, LUA_OSLIBNAME);
    lua_pushcfunction(L, exit_thread);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
}

/* In protected mode: as main.c's, whether all went well out. */
static int run(lua_State *L) {
    host_worker *self = lua_touserdata(L, 1);
    host_open(L, self->given);
    replace_exit(L);
    preload_worker(L, self);
    lua_pushboolean(L, host_run_words(L, self->given));
    return 1;
}

static void run_state(lua_State *L, host_worker *self) {
    if (setjmp(self->end) == 0) {
        lua_pushcfunction(L, run);
        lua_pushlightuserdata(L, self);
        bool good = host_report(L, lua_pcall(L, 1, 1, 0)) == LUA_OK && lua_toboolean(L, -1);
        self->status = good ? EXIT_SUCCESS : EXIT_FAILURE;
        close_state(L, self);
    }
}

/*
 * Only if the number is still the socket that it was: the script may have closed it, and others
 * have taken it.
 */
static void close_control(const host_worker *self) {
    struct stat now;
    if (fstat(self->control, &now) == 0 && now.st_dev == self->socket.st_dev &&
        now.st_ino == self->socket.st_ino) {
        close(self->control);
    }
}

void host_worker_clear(host_worker *self) {
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

void host_work(host_worker *self) {
    lua_State *L = host_state_new();
    current = self;
    if (L != NULL) {
        run_state(L, self);
    } else {
        host_complain("cannot create state: not enough memory");
        self->status = EXIT_FAILURE;
    }
    host_worker_clear(self);
    close_control(self);
}
