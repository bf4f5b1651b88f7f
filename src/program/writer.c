/*
 * writer.c: implements trace_writer of the module "tlslife.host", which is a thread that takes the
 * events of a trace, and writes them to a file or to stderr while the script runs.
 *
 * The thread has a Lua state of its own, in which lua/tlslife/trace/writer.lua formats the events.
 * It shares nothing with the script but the trace. A file is made for its owner alone, since a
 * trace may hold secrets, and in any case names the peers. For the same reason the state wipes what
 * it frees, and the file has a buffer of ours, which is wiped.
 *
 * What is in the trace when the process ends is written, also where the script calls os.exit: a
 * handler of exit waits for the thread. In a child of fork() the thread does not exist, and nothing
 * is done there. A file that cannot be written does not disturb the script; stop says it.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "program/embedded.h"
#include "program/state.h"
#include "program/writer.h"
#include "tlslife.h"
#include "tlslife_lua.h"

#define TYPE "tlslife.trace_writer"
#define PAUSE_NS 50000000 /* between two looks at the trace */
#define NANO 1000000000

typedef struct trace_writer {
    struct trace_writer *next;
    pthread_t thread;
    pthread_mutex_t pausing;
    pthread_cond_t changed;
    bool stops;   /* under pausing */
    bool running; /* the thread was started, and was not joined */
    pid_t process;
    lua_State *L; /* the thread's; at its top is the function that writes */
    FILE *out;
    bool owned;          /* out is a file of ours */
    char buffer[BUFSIZ]; /* of that file */
    int failure;         /* errno of the first write that failed */
    char *problem;       /* what the formatter raised */
} trace_writer;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list */
static trace_writer *writers;

/* -------------------------------------------------------------------------------- in the thread */

static int put(lua_State *L) {
    trace_writer *self = lua_touserdata(L, lua_upvalueindex(1));
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    if (self->failure == 0 && fwrite(text, 1, len, self->out) != len) {
        self->failure = errno != 0 ? errno : EIO;
    }
    return 0;
}

static void step(trace_writer *self, bool ends) {
    lua_pushvalue(self->L, -1);
    lua_pushboolean(self->L, ends);
    if (self->problem == NULL && lua_pcall(self->L, 1, 0, 0) != LUA_OK) {
        const char *message = lua_tostring(self->L, -1);
        self->problem = strdup(message != NULL ? message : "the formatter failed");
    }
    lua_settop(self->L, 1);
    if (self->failure == 0 && fflush(self->out) != 0) {
        self->failure = errno;
    }
}

/* Waits for a moment, or until the writer is to stop. */
static bool pause_or_stop(trace_writer *self) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += PAUSE_NS;
    until.tv_sec += until.tv_nsec / NANO;
    until.tv_nsec %= NANO;
    pthread_mutex_lock(&self->pausing);
    if (!self->stops) {
        (void)pthread_cond_timedwait(&self->changed, &self->pausing, &until);
    }
    bool stops = self->stops;
    pthread_mutex_unlock(&self->pausing);
    return stops;
}

static void *write_trace(void *argument) {
    trace_writer *self = argument;
    bool stops = false;
    while (!stops) {
        stops = pause_or_stop(self);
        step(self, stops);
    }
    return NULL;
}

/* ------------------------------------------------------------------------------- start and stop */

/* The protected part of making a writer's state: leaves the function that writes. */
static int prepare(lua_State *L) {
    trace_writer *self = lua_touserdata(L, 1);
    luaL_openlibs(L);
    program_preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "tlslife.trace.writer");
    lua_call(L, 1, 1);
    tlslife_lua_push_trace(L, lua_touserdata(L, 2));
    lua_pushstring(L, lua_touserdata(L, 3));
    lua_pushlightuserdata(L, self);
    lua_pushcclosure(L, put, 1);
    lua_newtable(L);
    for (const char *word = lua_touserdata(L, 4); *word != '\0';) {
        size_t len = strcspn(word, " ");
        lua_pushlstring(L, word, len);
        lua_pushboolean(L, true);
        lua_settable(L, -3);
        word += len + strspn(word + len, " ");
    }
    lua_call(L, 4, 1);
    return 1;
}

static bool make_state(trace_writer *self, tlslife_trace *trace, const char *format,
                       const char *words) {
    self->L = program_state_new(true);
    if (self->L == NULL) {
        return false;
    }
    lua_pushcfunction(self->L, prepare);
    lua_pushlightuserdata(self->L, self);
    lua_pushlightuserdata(self->L, trace);
    lua_pushlightuserdata(self->L, (void *)(uintptr_t)format);
    lua_pushlightuserdata(self->L, (void *)(uintptr_t)words);
    return lua_pcall(self->L, 4, 1, 0) == LUA_OK;
}

static bool open_file(trace_writer *self, const char *path) {
    if (path == NULL) {
        self->out = stderr;
        return true;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    self->out = fd < 0 ? NULL : fdopen(fd, "w");
    if (fd >= 0 && self->out == NULL) {
        close(fd);
    }
    self->owned = self->out != NULL;
    return self->owned && setvbuf(self->out, self->buffer, _IOFBF, sizeof self->buffer) == 0;
}

/* Closes a file of ours. */
static bool close_file(trace_writer *self) {
    bool ok = fclose(self->out) == 0;
    explicit_bzero(self->buffer, sizeof self->buffer);
    self->owned = false;
    return ok;
}

/* Has the thread write what is left, and waits for it. Once, and in its own process. */
static void join(trace_writer *self) {
    if (!self->running || self->process != getpid()) {
        return;
    }
    self->running = false;
    pthread_mutex_lock(&self->pausing);
    self->stops = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->pausing);
    pthread_join(self->thread, NULL);
    if (self->owned && !close_file(self) && self->failure == 0) {
        self->failure = errno;
    }
}

void program_end_writers(void) {
    pthread_mutex_lock(&lock);
    for (trace_writer *one = writers; one != NULL; one = one->next) {
        join(one);
    }
    pthread_mutex_unlock(&lock);
}

static void end_at_exit(void) {
    (void)atexit(program_end_writers);
}

static void forget(trace_writer *self) {
    pthread_mutex_lock(&lock);
    for (trace_writer **at = &writers; *at != NULL; at = &(*at)->next) {
        if (*at == self) {
            *at = self->next;
            break;
        }
    }
    join(self);
    pthread_mutex_unlock(&lock);
}

/* A thread that gets no signals. */
static bool start_thread(trace_writer *self) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sigset_t all, before;
    pthread_once(&once, end_at_exit);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    self->process = getpid();
    self->running = pthread_create(&self->thread, NULL, write_trace, self) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&lock);
    self->next = writers;
    writers = self;
    pthread_mutex_unlock(&lock);
    return self->running;
}

/* --------------------------------------------------------------------------------------- in Lua */

static int fail(lua_State *L, const char *path, const char *message) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s%s%s", path != NULL ? path : "", path != NULL ? ": " : "", message);
    return 2;
}

static int new_writer(lua_State *L) {
    tlslife_trace *trace = tlslife_lua_check_trace(L, 1);
    const char *format = luaL_checkstring(L, 2), *path = luaL_optstring(L, 3, NULL);
    const char *words = luaL_optstring(L, 4, "");
    trace_writer *self = lua_newuserdatauv(L, sizeof *self, 1);
    memset(self, 0, sizeof *self);
    pthread_mutex_init(&self->pausing, NULL);
    pthread_cond_init(&self->changed, NULL);
    luaL_setmetatable(L, TYPE);
    if (!open_file(self, path)) {
        return fail(L, path, strerror(errno));
    }
    if (!make_state(self, trace, format, words)) {
        const char *message = self->L == NULL ? NULL : lua_tostring(self->L, -1);
        return fail(L, NULL, message != NULL ? message : "not enough memory");
    }
    return start_thread(self) ? 1 : fail(L, NULL, "no thread is left for the trace");
}

static int writer_stop(lua_State *L) {
    trace_writer *self = luaL_checkudata(L, 1, TYPE);
    forget(self);
    if (self->problem != NULL) {
        return fail(L, "the trace", self->problem);
    }
    if (self->failure != 0) {
        return fail(L, "the trace could not be written", strerror(self->failure));
    }
    lua_pushboolean(L, true);
    return 1;
}

static int writer_gc(lua_State *L) {
    trace_writer *self = luaL_checkudata(L, 1, TYPE);
    forget(self);
    if (self->L != NULL && (self->process == 0 || self->process == getpid())) {
        program_state_close(self->L);
    }
    if (self->owned) { /* the thread was never started, or is the parent's */
        (void)close_file(self);
    }
    free(self->problem);
    self->L = NULL;
    self->problem = NULL;
    return 0;
}

void program_add_writer(lua_State *L) {
    static const luaL_Reg methods[] = {{"stop", writer_stop}, {NULL, NULL}};
    if (luaL_newmetatable(L, TYPE)) {
        lua_pushcfunction(L, writer_gc);
        lua_setfield(L, -2, "__gc");
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, new_writer);
    lua_setfield(L, -2, "trace_writer");
}
