/*
 * threads.c: implements the module "tlslife.host", whose function thread{...} runs the program's
 * script again in a thread.
 *
 * A thread shares no Lua value with the state that starts it. The objects that it is given are C
 * objects with a reference count, which several threads may use. Listening sockets are the
 * exception: the thread gets duplicates of them. The control descriptor belongs to the thread once
 * thread{} has returned a thread, and to the caller before.
 *
 * A thread ends with its script, with an error (which is reported as the main script's are), or by
 * os.exit, which leaves the script by a jump and ends only the thread. When the process ends first,
 * by the end of its main script or by os.exit there, it does not wait for its threads. They stop in
 * the middle of what they do, so nothing that they use may be freed. OpenSSL's own exit handler
 * would free it. The handler here runs before that one and ends the process.
 *
 * In a child of fork() only the thread that forked exists. There, the other threads of the parent
 * count as ended, with a failure.
 *
 * Signals go to the main thread. All are blocked here, except those that an instruction raises in
 * its own thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program/options.h"
#include "program/script.h"
#include "program/threads.h"
#include "program/worker.h"
#include "program/writer.h"
#include "tlslife.h"
#include "tlslife_lua.h"

#define TYPE "tlslife.thread"
#define LISTENERS_MAX 1024

typedef struct program_thread {
    struct program_thread *next;
    pthread_t id;
    bool over, joined, held; /* protected by the lock; held: a userdata refers to this */
    program_worker work;     /* belongs to the thread until it is over */
} program_thread;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
/*
 * The options of the state that runs in this thread. They are not an upvalue, since a script could
 * change that.
 */
static _Thread_local const program_options *state_options;
static program_thread *threads; /* all threads that were not joined, or that a userdata refers to */

/* ------------------------------------------------------------------------------- end of threads */

static void thread_free(program_thread *self) {
    program_worker_clear(&self->work);
    free(self);
}

/*
 * Joins the threads that are over, which does not block, and frees those without a userdata.
 * Returns the number of threads that still run.
 */
static size_t reap(void) {
    size_t running = 0;
    pthread_mutex_lock(&lock);
    for (program_thread **at = &threads; *at != NULL;) {
        program_thread *one = *at;
        if (one->over && !one->joined) {
            one->joined = pthread_join(one->id, NULL) == 0;
        }
        running += !one->over;
        if (one->joined && !one->held) {
            *at = one->next;
            thread_free(one);
        } else {
            at = &one->next;
        }
    }
    pthread_mutex_unlock(&lock);
    return running;
}

static void before_fork(void) {
    pthread_mutex_lock(&lock);
}

static void in_parent(void) {
    pthread_mutex_unlock(&lock);
}

/* A thread's objects are left as they are, since the thread may have been changing them. */
static void in_child(void) {
    for (program_thread *each = threads; each != NULL; each = each->next) {
        if (!each->over) {
            each->work.status = EXIT_FAILURE;
        }
        each->over = each->joined = true;
    }
    threads = NULL;
    pthread_mutex_unlock(&lock);
}

/* fcloseall flushes as exit does, but does not wait for the locks that threads hold. */
static void at_exit(int status, void *unused) {
    (void)unused;
    if (reap() > 0) {
        program_end_writers(); /* their own handler does not run any more */
        (void)fcloseall();
        _exit(status);
    }
}

/*
 * Installs the exit handler. Handlers run in reverse order of their installation, so OpenSSL's must
 * be there first. OpenSSL installs it with its first object.
 */
static void precede_openssl(void) {
    tlslife_context_free(tlslife_context_new(TLSLIFE_CLIENT, NULL));
    (void)on_exit(at_exit, NULL);
    /* If memory is short this fails, and a child may wait for threads that it does not have. */
    (void)pthread_atfork(before_fork, in_parent, in_child);
}

static void *thread_main(void *argument) {
    program_thread *self = argument;
    program_work(&self->work);
    pthread_mutex_lock(&lock);
    self->over = true;
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* ---------------------------------------------------------------------------------- the options */

static int check_descriptor(lua_State *L, const char *what) {
    int is_integer;
    lua_Integer fd = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || fd < 0 || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0) {
        luaL_error(L, "thread: option '%s': %s is no open descriptor", what,
                   luaL_tolstring(L, -1, NULL));
    }
    return (int)fd;
}

static bool listens(int fd) {
    int answer = 0;
    socklen_t answer_len = sizeof answer;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &answer, &answer_len) == 0 && answer != 0;
}

/* Duplicates the listening socket at the top. The original stays the caller's. */
static int duplicate(lua_State *L) {
    tlslife_listener *listener = tlslife_lua_test_listener(L, lua_gettop(L));
    int fd = listener != NULL ? tlslife_listener_fd(listener) : check_descriptor(L, "listeners");
    if (!listens(fd)) {
        luaL_error(L, "thread: option 'listeners': %d is no listening socket", fd);
    }
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        luaL_error(L, "thread: option 'listeners': %s", strerror(errno));
    }
    return copy;
}

static void read_listeners(lua_State *L, program_worker *self) {
    luaL_argcheck(L, lua_istable(L, -1), 1, "option 'listeners' is a list");
    lua_Unsigned len = lua_rawlen(L, -1);
    if (len > LISTENERS_MAX) {
        luaL_error(L, "thread: option 'listeners': at most %d, and the length of this table is %I",
                   LISTENERS_MAX, (LUAI_UACINT)len);
    }
    self->listeners = calloc((size_t)len + 1, sizeof *self->listeners);
    if (self->listeners == NULL) {
        luaL_error(L, "thread: out of memory");
        return; /* luaL_error does not return */
    }
    while (self->listeners_len < len) {
        lua_rawgeti(L, -1, (lua_Integer)self->listeners_len + 1);
        self->listeners[self->listeners_len] = duplicate(L);
        self->listeners_len++;
        lua_pop(L, 1);
    }
}

static void read_index(lua_State *L, program_worker *self) {
    int is_integer;
    self->index = lua_tointegerx(L, -1, &is_integer);
    luaL_argcheck(L, is_integer && self->index >= 1, 1, "option 'index' is an integer from 1");
}

static void read_control(lua_State *L, program_worker *self) {
    self->control = check_descriptor(L, "control");
    luaL_argcheck(L, fstat(self->control, &self->socket) == 0, 1,
                  "option 'control' cannot be looked at");
}

static void read_cache(lua_State *L, program_worker *self) {
    self->cache = tlslife_cache_up_ref(tlslife_lua_check_cache(L, lua_gettop(L)));
}

static void read_ticket_keys(lua_State *L, program_worker *self) {
    self->ticket_keys = tlslife_ticket_keys_up_ref(tlslife_lua_check_ticket_keys(L, lua_gettop(L)));
}

static const struct {
    const char *name;
    void (*read)(lua_State *L, program_worker *self);
    bool demanded;
} rows[] = {{"index", read_index, true},
            {"control", read_control, true},
            {"listeners", read_listeners, false},
            {"cache", read_cache, false},
            {"ticket_keys", read_ticket_keys, false},
            {NULL, NULL, false}};

static bool is_known(const char *name) {
    int i = 0;
    while (rows[i].name != NULL && strcmp(rows[i].name, name) != 0) {
        i++;
    }
    return rows[i].name != NULL;
}

static void refuse_unknown(lua_State *L) {
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !is_known(lua_tostring(L, -2))) {
            luaL_error(L, "thread: unknown option '%s'", luaL_tolstring(L, -2, NULL));
        }
    }
}

static void read_options(lua_State *L, program_worker *self) {
    refuse_unknown(L);
    for (int i = 0; rows[i].name != NULL; i++) {
        if (lua_getfield(L, 1, rows[i].name) != LUA_TNIL) {
            rows[i].read(L, self);
        } else if (rows[i].demanded) {
            luaL_error(L, "thread: option '%s' is missing", rows[i].name);
        }
        lua_pop(L, 1);
    }
}

/* -------------------------------------------------------------------------------------- methods */

/*
 * The thread inherits the mask. If a signal that an instruction raises were blocked, the kernel
 * would decide what happens, so these signals stay unblocked.
 */
static int start(program_thread *self) {
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPIPE};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        sigdelset(&blocked, own[i]);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int problem = pthread_create(&self->id, NULL, thread_main, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return problem;
}

/*
 * Starts a thread and adds it to the list. The lock is held, so reap cannot see that the thread is
 * over before it is in the list.
 */
static int start_listed(program_thread *self) {
    pthread_mutex_lock(&lock);
    int problem = start(self);
    if (problem == 0) {
        self->held = true;
        self->next = threads;
        threads = self;
    }
    pthread_mutex_unlock(&lock);
    return problem;
}

/*
 * The userdata is made before the structure that it refers to, so neither leaks if the other cannot
 * be allocated.
 */
static program_thread *push_new(lua_State *L) {
    program_thread **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, TYPE);
    *box = calloc(1, sizeof **box);
    if (*box == NULL) {
        luaL_error(L, "thread: out of memory");
    }
    return *box;
}

static int new_thread(lua_State *L) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const program_options *given = state_options;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (!program_has_script(given) && !(given->executes && given->script == given->argc)) {
        return luaL_error(
            L, "thread: what the program runs comes from stdin, and cannot be run again");
    }
    program_thread *self = push_new(L);
    self->work.given = given;
    read_options(L, &self->work);
    pthread_once(&once, precede_openssl);
    reap();
    int problem = start_listed(self);
    if (problem != 0) {
        lua_pushnil(L);
        lua_pushfstring(L, "thread: %s", strerror(problem));
        return 2;
    }
    return 1;
}

static program_thread *check_thread(lua_State *L) {
    program_thread **box = luaL_checkudata(L, 1, TYPE);
    luaL_argcheck(L, *box != NULL, 1, "the thread was collected");
    return *box;
}

static int thread_join(lua_State *L) {
    program_thread *self = check_thread(L);
    pthread_mutex_lock(&lock);
    while (!self->over) {
        pthread_cond_wait(&ended, &lock);
    }
    pthread_mutex_unlock(&lock);
    reap();
    lua_pushinteger(L, self->work.status);
    return 1;
}

static int thread_status(lua_State *L) {
    program_thread *self = check_thread(L);
    pthread_mutex_lock(&lock);
    bool over = self->over;
    pthread_mutex_unlock(&lock);
    if (over) {
        lua_pushinteger(L, self->work.status);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/* Does not wait for the thread, which continues and is joined when it is over. */
static int thread_gc(lua_State *L) {
    program_thread **box = luaL_checkudata(L, 1, TYPE);
    if (*box != NULL) {
        pthread_mutex_lock(&lock);
        bool listed = (*box)->held;
        (*box)->held = false;
        pthread_mutex_unlock(&lock);
        if (!listed) {
            thread_free(*box); /* the thread was never started */
        }
        *box = NULL;
        reap();
    }
    return 0;
}

static int thread_tostring(lua_State *L) {
    program_thread *self = check_thread(L);
    thread_status(L);
    lua_pushfstring(L, "%s: %p (worker %I, %s)", TYPE, (void *)self, (LUAI_UACINT)self->work.index,
                    lua_isnil(L, -1) ? "running" : "over");
    return 1;
}

static const luaL_Reg methods[] = {{"join", thread_join}, {"status", thread_status}, {NULL, NULL}};

static const luaL_Reg metamethods[] = {
    {"__gc", thread_gc}, {"__tostring", thread_tostring}, {"__index", NULL}, {NULL, NULL}};

static int open_module(lua_State *L) {
    if (luaL_newmetatable(L, TYPE)) {
        luaL_setfuncs(L, metamethods, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, new_thread);
    lua_setfield(L, -2, "thread");
    program_add_writer(L);
    return 1;
}

void program_preload_threads(lua_State *L, const program_options *options) {
    state_options = options;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_module);
    lua_setfield(L, -2, "tlslife.host");
    lua_pop(L, 1);
}
