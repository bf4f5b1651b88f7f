/*
 * threads.c: `tlslife.host`, which runs the program's script again in threads: require
 * "tlslife.host".thread{…}.
 *
 * Of the caller's state a thread sees nothing. The objects that it is given are C objects, counted
 * and made for many threads; so the sockets that it listens on, which it gets duplicates of. The
 * control descriptor is the thread's when thread{} returns one, and not before.
 *
 * The end. A thread ends with its script, with an error (reported as the main script's), or by
 * os.exit, which here leaves the script by a jump and ends the thread alone. When the process ends
 * first, by the end of its main script or by os.exit there, threads are not waited for: they end in
 * the middle of whatever they do. So nothing may be torn down under them, and OpenSSL would be by
 * its own handler: ours runs before it and leaves nothing to do.
 *
 * In a child of fork() no thread runs but the one that forked. There, those of the parent are over,
 * with a failure.
 *
 * Signals are the main thread's: all are blocked here, but for those that an instruction raises in
 * its own thread.
 */
#include "host.h"

#include "tlslife_lua.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TYPE "tlslife.thread"
#define LISTENERS_MAX 1024

typedef struct host_thread {
    struct host_thread *next;
    pthread_t id;
    bool over, joined, held; /* under the lock; held: a userdata leads here */
    host_worker work;        /* the thread's, until it is over */
} host_thread;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
/* The state's, which runs in this thread; no upvalue, since a script could change that. */
static _Thread_local const host_options *state_options;
static host_thread *threads; /* all that were not joined, or are held */

/* ---------------------------------------------------------------------------- what came of them */

static void let_go(host_thread *self) {
    host_worker_clear(&self->work);
    free(self);
}

/*
 * Joins the threads that are over, which does not wait, and frees those that nobody asks for. How
 * many still run.
 */
static size_t reap(void) {
    size_t running = 0;
    pthread_mutex_lock(&lock);
    for (host_thread **at = &threads; *at != NULL;) {
        host_thread *one = *at;
        if (one->over && !one->joined) {
            one->joined = pthread_join(one->id, NULL) == 0;
        }
        running += !one->over;
        if (one->joined && !one->held) {
            *at = one->next;
            let_go(one);
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

/* What a thread was in the middle of is left as it is: nobody knows how far it was. */
static void in_child(void) {
    for (host_thread *each = threads; each != NULL; each = each->next) {
        if (!each->over) {
            each->work.status = EXIT_FAILURE;
        }
        each->over = each->joined = true;
    }
    threads = NULL;
    pthread_mutex_unlock(&lock);
}

/* fcloseall flushes as exit does: without waiting for the locks that threads hold. */
static void at_exit(int status, void *unused) {
    (void)unused;
    if (reap() > 0) {
        (void)fcloseall();
        _exit(status);
    }
}

/*
 * Handlers run in reverse order, so OpenSSL must have its own first: it has from its first object
 * on.
 */
static void precede_openssl(void) {
    tlslife_context_free(tlslife_context_new(TLSLIFE_CLIENT, NULL));
    (void)on_exit(at_exit, NULL);
    (void)pthread_atfork(before_fork, in_parent,
                         in_child); /* out of memory: a child may wait for threads */
}

static void *thread_main(void *argument) {
    host_thread *self = argument;
    host_work(&self->work);
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

/* A duplicate: the caller's stays the caller's. */
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

static void read_listeners(lua_State *L, host_worker *self) {
    luaL_argcheck(L, lua_istable(L, -1), 1, "option 'listeners' is a list");
    lua_Unsigned len = lua_rawlen(L, -1);
    if (len > LISTENERS_MAX) {
        luaL_error(L, "thread: option 'listeners': at most %d, and the length of this table is %I",
                   LISTENERS_MAX, (LUAI_UACINT)len);
    }
    self->listeners = calloc((size_t)len + 1, sizeof *self->listeners);
    if (self->listeners == NULL) {
        luaL_error(L, "thread: out of memory");
        return; /* which luaL_error does not */
    }
    while (self->listeners_len < len) {
        lua_rawgeti(L, -1, (lua_Integer)self->listeners_len + 1);
        self->listeners[self->listeners_len] = duplicate(L);
        self->listeners_len++;
        lua_pop(L, 1);
    }
}

static void read_index(lua_State *L, host_worker *self) {
    int is_integer;
    self->index = lua_tointegerx(L, -1, &is_integer);
    luaL_argcheck(L, is_integer && self->index >= 1, 1, "option 'index' is an integer from 1");
}

static void read_control(lua_State *L, host_worker *self) {
    self->control = check_descriptor(L, "control");
    luaL_argcheck(L, fstat(self->control, &self->socket) == 0, 1,
                  "option 'control' cannot be looked at");
}

static void read_cache(lua_State *L, host_worker *self) {
    self->cache = tlslife_cache_up_ref(tlslife_lua_check_cache(L, lua_gettop(L)));
}

static void read_ticket_keys(lua_State *L, host_worker *self) {
    self->ticket_keys = tlslife_ticket_keys_up_ref(tlslife_lua_check_ticket_keys(L, lua_gettop(L)));
}

static const struct {
    const char *name;
    void (*read)(lua_State *L, host_worker *self);
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

static void read_options(lua_State *L, host_worker *self) {
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

/* ------------------------------------------------------------------------------- for the caller */

/*
 * The thread inherits the mask; signals that an instruction raises are the kernel's own affair when
 * blocked.
 */
static int start(host_thread *self) {
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

/* The list has it before it can be over: reap waits for the lock. */
static int start_listed(host_thread *self) {
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

/* The userdata, then what it leads to: nothing is lost where one of them cannot be had. */
static host_thread *push_new(lua_State *L) {
    host_thread **box = lua_newuserdatauv(L, sizeof *box, 0);
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
    const host_options *given = state_options;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (!host_has_script(given) && !(given->executes && given->script == given->argc)) {
        return luaL_error(
            L, "thread: what the program runs comes from stdin, and cannot be run again");
    }
    host_thread *self = push_new(L);
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

static host_thread *check_thread(lua_State *L) {
    host_thread **box = luaL_checkudata(L, 1, TYPE);
    luaL_argcheck(L, *box != NULL, 1, "the thread was collected");
    return *box;
}

static int thread_join(lua_State *L) {
    host_thread *self = check_thread(L);
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
    host_thread *self = check_thread(L);
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

/* Nothing waits for the thread: it goes on, and is joined when it is over. */
static int thread_gc(lua_State *L) {
    host_thread **box = luaL_checkudata(L, 1, TYPE);
    if (*box != NULL) {
        pthread_mutex_lock(&lock);
        bool listed = (*box)->held;
        (*box)->held = false;
        pthread_mutex_unlock(&lock);
        if (!listed) {
            let_go(*box); /* it never began */
        }
        *box = NULL;
        reap();
    }
    return 0;
}

static int thread_tostring(lua_State *L) {
    host_thread *self = check_thread(L);
    thread_status(L);
    lua_pushfstring(L, "%s: %p (worker %I, %s)", TYPE, (void *)self, (LUAI_UACINT)self->work.index,
                    lua_isnil(L, -1) ? "running" : "over");
    return 1;
}

static const luaL_Reg methods[] = {{"join", thread_join}, {"status", thread_status}, {NULL, NULL}};

static const luaL_Reg metamethods[] = {
    {"__gc", thread_gc}, {"__tostring", thread_tostring}, {"__index", NULL}, {NULL, NULL}};

static int open_host(lua_State *L) {
    if (luaL_newmetatable(L, TYPE)) {
        luaL_setfuncs(L, metamethods, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, new_thread);
    lua_setfield(L, -2, "thread");
    return 1;
}

void host_preload_threads(lua_State *L, const host_options *options) {
    state_options = options;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_host);
    lua_setfield(L, -2, "tlslife.host");
    lua_pop(L, 1);
}
