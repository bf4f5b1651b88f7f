/*
 * embed_events.c: a C program with an event loop (libuv), whose connections a Lua script serves.
 *
 * C owns the loop, the context, the cache and the listener. For each connection it makes the
 * handshake, then passes the connection to a coroutine of the script. Where conn:read() or
 * conn:write() would wait there, the coroutine yields into our loop (see "the loop, for Lua"). When
 * the coroutine ends, C closes the connection.
 *
 * A connection is a job with three phases: SHAKING, TALKING (the script runs) and CLOSING. In each
 * phase step() is called when the descriptor is ready, or the time is over.
 *
 * Usage: embed_events cert.pem key.pem script.lua [port]     (SIGINT or SIGTERM stops it)
 */
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tlslife.h>
#include <tlslife_lua.h>
#include <uv.h>

enum { HANDSHAKE_MS = 10000, CLOSE_MS = 1000 };

typedef enum phase { SHAKING, TALKING, CLOSING } phase;

typedef struct job {
    struct job *next, **link; /* in the list of jobs */
    phase phase;
    tlslife_conn *conn;
    uv_poll_t *poll; /* what it waits for, or NULL */
    int fd;          /* poll's */
    uv_timer_t timer;
    lua_State *coroutine;
    int reference; /* keeps the coroutine alive */
    bool waits;    /* the coroutine is in wait() */
} job;

static struct {
    uv_loop_t loop;
    uv_poll_t accepting;
    uv_signal_t signals[2];
    tlslife_context *context;
    tlslife_listener *listener; /* NULL once it stops */
    lua_State *lua;
    int serve; /* the script's function */
    job *jobs;
} program;

static void complain(const char *what, const char *why) {
    fprintf(stderr, "embed_events: %s: %s\n", what, why);
}

static void die(const char *what, const char *why) {
    complain(what, why);
    exit(EXIT_FAILURE);
}

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL) {
        die("memory", "there is none left");
    }
    return memory;
}

/* -------------------------------------------------------------------------------------- waiting */

static void step(job *self, bool ready);

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    (void)status; /* the call that is made next reports an error of the descriptor */
    (void)events;
    step(poll->data, true);
}

static void on_timeout(uv_timer_t *timer) {
    step(timer->data, false);
}

static void on_wake(uv_timer_t *timer) {
    step(timer->data, true);
}

static void unwatch(job *self) {
    if (self->poll != NULL) {
        uv_close((uv_handle_t *)self->poll, free_handle);
        self->poll = NULL;
    }
}

/* Has step() called when the descriptor is ready. */
static bool watch(job *self, int fd, int events) {
    uv_poll_t *poll = allocate(sizeof *poll);
    int problem = uv_poll_init(&program.loop, poll, fd);
    if (problem != 0) {
        free(poll);
        complain("poll", uv_strerror(problem));
        return false;
    }
    poll->data = self;
    self->poll = poll;
    self->fd = fd;
    return uv_poll_start(poll, events, on_ready) == 0;
}

/* Does the same for what a call of libtlslife wants. */
static bool watch_for(job *self, tlslife_status want) {
    bool writing;
    int timeout_ms; /* an external store has one, but this program has no store */
    int fd = tlslife_conn_wait_fd(self->conn, want, &writing, &timeout_ms);
    return fd >= 0 && watch(self, fd, writing ? UV_WRITABLE : UV_READABLE);
}

static bool is_want(tlslife_status status) {
    return status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE;
}

/* ---------------------------------------------------------------------------------------- a job */

static void on_timer_closed(uv_handle_t *timer) {
    free(timer->data);
}

static void on_connection(uv_poll_t *poll, int status, int events);

/*
 * The script may still have the connection. The transport is closed, so that its calls fail, and
 * use no descriptor that another file has by now.
 */
static void end_job(job *self) {
    unwatch(self);
    tlslife_conn_close_transport(self->conn);
    tlslife_conn_free(self->conn);
    *self->link = self->next;
    if (self->next != NULL) {
        self->next->link = self->link;
    }
    uv_close((uv_handle_t *)&self->timer, on_timer_closed);
    if (program.listener != NULL) {
        uv_poll_start(&program.accepting, UV_READABLE,
                      on_connection); /* where descriptors had run out */
    }
}

static const char *reason(const job *self, tlslife_status status) {
    return status == TLSLIFE_ERROR ? tlslife_conn_error(self->conn)->message
                                   : tlslife_status_name(status);
}

static void finish(job *self, bool ready) {
    tlslife_status status = ready ? tlslife_conn_close(self->conn, CLOSE_MS) : TLSLIFE_TIMEOUT;
    if (!is_want(status) || !watch_for(self, status)) {
        end_job(self);
    }
}

/* Sends our close_notify, and waits a second for the peer's. */
static void begin_closing(job *self) {
    self->phase = CLOSING;
    tlslife_conn_set_blocking(self->conn, false);
    uv_timer_start(&self->timer, on_timeout, CLOSE_MS, 0);
    finish(self, true);
}

static void print_traceback(lua_State *coroutine) {
    const char *message = lua_tostring(coroutine, -1);
    luaL_traceback(program.lua, coroutine, message != NULL ? message : "(no text)", 0);
    complain("script", lua_tostring(program.lua, -1));
    lua_pop(program.lua, 1);
}

/*
 * Resumes the script. When it ends the connection is ours again. A script that failed may have left
 * an answer half written, so the peer gets no close_notify then.
 */
static void resume(job *self, int arguments) {
    int results;
    int status = lua_resume(self->coroutine, program.lua, arguments, &results);
    if (status == LUA_YIELD && self->waits) {
        lua_pop(self->coroutine, results);
        return;
    }
    bool returned =
        status == LUA_OK && results > 0 && tlslife_lua_test_conn(self->coroutine, -1) == self->conn;
    if (status != LUA_OK && status != LUA_YIELD) {
        print_traceback(self->coroutine);
    } else if (!returned) {
        complain("script", "it did not return its connection");
    }
    luaL_unref(program.lua, LUA_REGISTRYINDEX, self->reference);
    if (returned) {
        begin_closing(self);
    } else {
        end_job(self);
    }
}

/*
 * Makes a coroutine for a job, with the script's function and the connection on its stack. Runs in
 * a protected call, whose argument is the job.
 */
static int make_coroutine(lua_State *L) {
    job *self = lua_touserdata(L, 1);
    self->coroutine = lua_newthread(L);
    *(job **)lua_getextraspace(self->coroutine) = self;
    lua_rawgeti(L, LUA_REGISTRYINDEX, program.serve);
    tlslife_lua_push_conn(L, self->conn);
    lua_xmove(L, self->coroutine, 2);
    self->reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* To the script the connection is a blocking one: its calls yield where they would wait. */
static void begin_talking(job *self) {
    self->phase = TALKING;
    uv_timer_stop(&self->timer);
    tlslife_conn_set_blocking(self->conn, true);
    lua_pushcfunction(program.lua, make_coroutine);
    lua_pushlightuserdata(program.lua, self);
    if (lua_pcall(program.lua, 1, 0, 0) != LUA_OK) {
        complain("coroutine", lua_tostring(program.lua, -1));
        lua_pop(program.lua, 1);
        end_job(self);
        return;
    }
    resume(self, 1);
}

static void shake(job *self, bool ready) {
    tlslife_status status = ready ? tlslife_conn_accept(self->conn) : TLSLIFE_TIMEOUT;
    if (status == TLSLIFE_OK) {
        begin_talking(self);
    } else if (!is_want(status) || !watch_for(self, status)) {
        complain("handshake", reason(self, status));
        end_job(self);
    }
}

static void step(job *self, bool ready) {
    unwatch(self);
    switch (self->phase) {
    case SHAKING: shake(self, ready); break;
    case CLOSING: finish(self, ready); break;
    case TALKING:
        self->waits = false;
        uv_timer_stop(&self->timer);
        lua_pushboolean(self->coroutine, ready);
        resume(self, 1);
        break;
    }
}

static void begin_job(tlslife_conn *conn) {
    job *self = allocate(sizeof *self);
    self->conn = conn;
    self->next = program.jobs;
    self->link = &program.jobs;
    if (self->next != NULL) {
        self->next->link = &self->next;
    }
    program.jobs = self;
    self->timer.data = self;
    uv_timer_init(&program.loop, &self->timer);
    uv_timer_start(&self->timer, on_timeout, HANDSHAKE_MS, 0);
    tlslife_conn_set_blocking(conn, false);
    shake(self, true);
}

static void on_connection(uv_poll_t *poll, int problem, int events) {
    (void)problem;
    (void)events;
    tlslife_conn *conn;
    tlslife_error err;
    tlslife_status status =
        tlslife_listener_accept(program.listener, program.context, 0, &conn, &err);
    if (status == TLSLIFE_OK) {
        begin_job(conn);
    } else if (status == TLSLIFE_ERROR) {
        complain("accept", err.message);
        uv_poll_stop(poll); /* until a job has ended */
    }
}

/* ---------------------------------------------------------------------------- the loop, for Lua */

static job *job_of(lua_State *coroutine) {
    return *(job **)lua_getextraspace(coroutine);
}

/*
 * Whether the running coroutine is one of ours. In a coroutine that the script has made itself,
 * calls block.
 */
static int loop_running(lua_State *L) {
    lua_pushboolean(L, job_of(L) != NULL);
    return 1;
}

static int events_of(const char *mode) {
    return (strchr(mode, 'r') != NULL ? UV_READABLE : 0) |
           (strchr(mode, 'w') != NULL ? UV_WRITABLE : 0);
}

/* wait(fd, mode, seconds): yields; step() passes on what comes first, true for the descriptor. */
static int loop_wait(lua_State *L) {
    job *self = job_of(L);
    int fd = (int)luaL_checkinteger(L, 1), events = events_of(luaL_checkstring(L, 2));
    if (self == NULL || !watch(self, fd, events)) {
        return luaL_error(L, "embed_events: cannot wait");
    }
    if (!lua_isnoneornil(L, 3)) {
        uv_timer_start(&self->timer, on_timeout, (uint64_t)(luaL_checknumber(L, 3) * 1000) + 1, 0);
    }
    self->waits = true;
    return lua_yield(L, 0);
}

/* wake(coroutine): makes its wait return, but not before this function has returned. */
static int loop_wake(lua_State *L) {
    lua_State *coroutine = lua_tothread(L, 1);
    job *self = coroutine != NULL ? job_of(coroutine) : NULL;
    if (self != NULL && self->waits) {
        uv_timer_start(&self->timer, on_wake, 0, 0);
    }
    return 0;
}

/* forget(fd): stops watching a descriptor that will be closed, since its number may come again. */
static int loop_forget(lua_State *L) {
    lua_Integer fd = luaL_checkinteger(L, 1);
    for (job *one = program.jobs; one != NULL; one = one->next) {
        if (one->poll != NULL && one->fd == fd) {
            unwatch(one);
        }
    }
    return 0;
}

static const luaL_Reg loop_functions[] = {{"running", loop_running},
                                          {"wait", loop_wait},
                                          {"wake", loop_wake},
                                          {"forget", loop_forget},
                                          {NULL, NULL}};

/* tls.loop { name = "embed_events", running = …, … } */
static void register_loop(lua_State *L) {
    luaL_requiref(L, "tlslife.core", luaopen_tlslife_core, 0);
    lua_getfield(L, -1, "loop");
    luaL_newlib(L, loop_functions);
    lua_pushliteral(L, "embed_events");
    lua_setfield(L, -2, "name");
    lua_call(L, 1, 0);
    lua_pop(L, 1);
}

/*
 * Runs the script, which returns the function that serves a connection. Runs in a protected call,
 * whose argument is the script's name.
 */
static int open_script(lua_State *L) {
    luaL_openlibs(L);
    register_loop(L);
    if (luaL_loadfile(L, lua_tostring(L, 1)) != LUA_OK) {
        return lua_error(L);
    }
    lua_call(L, 0, 1);
    luaL_checktype(L, -1, LUA_TFUNCTION);
    program.serve = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static void start_lua(const char *script) {
    program.lua = luaL_newstate();
    if (program.lua == NULL) {
        die("Lua", "no memory for a state");
    }
    *(job **)lua_getextraspace(program.lua) = NULL; /* new coroutines begin with a copy of it */
    lua_pushcfunction(program.lua, open_script);
    lua_pushstring(program.lua, script);
    if (lua_pcall(program.lua, 1, 0, 0) != LUA_OK) {
        die("script", lua_tostring(program.lua, -1));
    }
}

/* ------------------------------------------------------------------------------- start and stop */

/* Calls conn:cancel(), so that the script's call that waits returns nil, "canceled". */
static int cancel(lua_State *L) {
    job *self = lua_touserdata(L, 1);
    tlslife_lua_push_conn(L, self->conn);
    lua_getfield(L, -1, "cancel");
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    return 0;
}

/*
 * Stops accepting. Connections whose peers have no request under way end now, and the others when
 * they have answered.
 */
static void on_stop(uv_signal_t *handle, int number) {
    (void)handle;
    (void)number;
    for (int i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&program.signals[i], NULL);
    }
    uv_close((uv_handle_t *)&program.accepting, NULL);
    tlslife_listener_free(program.listener);
    program.listener = NULL;
    for (job *one = program.jobs; one != NULL; one = one->next) {
        if (one->phase == TALKING && tlslife_conn_idle(one->conn)) {
            lua_pushcfunction(program.lua, cancel);
            lua_pushlightuserdata(program.lua, one);
            if (lua_pcall(program.lua, 1, 0, 0) != LUA_OK) {
                complain("cancel", lua_tostring(program.lua, -1));
                lua_pop(program.lua, 1);
            }
        }
    }
}

/* A server's context with a cache of its own in memory. */
static tlslife_context *make_context(const char *certificate, const char *key) {
    tlslife_error err;
    tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *cache = tlslife_cache_new(&options, &err);
    tlslife_context *context = cache != NULL ? tlslife_context_new(TLSLIFE_SERVER, &err) : NULL;
    if (context == NULL ||
        tlslife_context_set_certificate_file(context, certificate, &err) != TLSLIFE_OK ||
        tlslife_context_set_private_key_file(context, key, NULL, &err) != TLSLIFE_OK ||
        tlslife_context_set_cache(context, cache, &err) != TLSLIFE_OK) {
        die("context", err.message);
    }
    tlslife_cache_free(cache); /* the context has a reference of its own */
    return context;
}

static void start_listening(const char *port) {
    tlslife_error err;
    program.listener = tlslife_listen("127.0.0.1", port, 0, false, &err);
    if (program.listener == NULL) {
        die("listen", err.message);
    }
    int problem =
        uv_poll_init(&program.loop, &program.accepting, tlslife_listener_fd(program.listener));
    if (problem != 0) {
        die("poll", uv_strerror(problem));
    }
    uv_poll_start(&program.accepting, UV_READABLE, on_connection);
    static const int numbers[2] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&program.loop, &program.signals[i]);
        uv_signal_start(&program.signals[i], on_stop, numbers[i]);
    }
    printf("listening on port %d\n", tlslife_listener_port(program.listener));
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: embed_events cert.pem key.pem script.lua [port]\n");
        return 2;
    }
    uv_loop_init(&program.loop);
    program.context = make_context(argv[1], argv[2]);
    start_lua(argv[3]);
    start_listening(argc == 5 ? argv[4] : "8443");
    uv_run(&program.loop,
           UV_RUN_DEFAULT); /* until on_stop, and then until the last job has ended */
    lua_close(program.lua);
    tlslife_context_free(program.context);
    return uv_loop_close(&program.loop) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
