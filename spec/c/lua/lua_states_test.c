/*
 * lua_states_test.c: tests that a session which was made in one Lua state resumes in every other
 * one, in the same thread, in other threads, and in another process.
 *
 * The states share a slab in a file, which each opens for itself, or a cache that the C program
 * made. A session's bytes go from state to state through shared memory, as a client's would through
 * a file. A server's part of the session goes through the cache alone, so a server with another
 * cache must not know it. That is tested, too.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"
#include "identity.h"
#include "tlslife.h"
#include "tlslife_lua.h"

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATES 8
#define PER_THREAD 2
#define THREADS (STATES / PER_THREAD)
#define VERSIONS 2
#define OTHERS (STATES - 1)
#define SECONDS 60 /* for what takes one or two */

enum { RESUMPTIONS = STATES * OTHERS * VERSIONS };

static const char *const versions[VERSIONS] = {"TLSv1.2", "TLSv1.3"};

typedef struct slot {
    size_t len;
    char bytes[4096];
} slot;

/*
 * The memory that all processes of a scene share. Slots are written before a barrier and read after
 * it.
 */
typedef struct board {
    pthread_barrier_t barrier;
    _Atomic int made, resumed, refused, failed;
    slot slots[STATES][VERSIONS];
} board;

/* A thread of a scene, which has the states first and first + 1. */
typedef struct worker {
    pthread_t thread;
    int first;
    tlslife_cache *cache; /* NULL: the slab */
} worker;

static board *common;
static test_identity identity;
static char directory[] = "/tmp/lua_states_test.XXXXXX";
static char slab[sizeof directory + 8];

/* -------------------------------------------------------------------------------------- a state */

static const char script[] =
    "local tls = require 'tlslife'\n"
    "local function serve(cache)\n"
    "    return assert(tls.context {role = 'server', certificate = CERTIFICATE,\n"
    "        private_key = KEY, cache = cache, resumption = 'stateful'})\n"
    "end\n"
    "cache = CACHE or assert(tls.cache {store = assert(tls.shared {path = SLAB, size = 1 << 20}),\n"
    "    keyring = tls.keyring {('k'):rep(32)}, in_memory = false})\n"
    "local server, stranger = serve(cache), serve(assert(tls.cache()))\n"
    "local clients = {}\n"
    "for _, version in ipairs {'TLSv1.2', 'TLSv1.3'} do\n"
    "    clients[version] = assert(tls.context {role = 'client', ca = CERTIFICATE,\n"
    "        max_version = version})\n"
    "end\n"
    "local function handshake(a, b)\n"
    "    local connected, accepted, why\n"
    "    repeat\n"
    "        if not connected then\n"
    "            connected, why = a:connect()\n"
    "            assert(connected or why == 'want_read', why)\n"
    "        end\n"
    "        if not accepted then\n"
    "            accepted, why = b:accept()\n"
    "            assert(accepted or why == 'want_read', why)\n"
    "        end\n"
    "    until connected and accepted\n"
    "end\n"
    "local function close(a, b)\n"
    "    a:shutdown() b:shutdown() b:read() b:shutdown() a:read() a:shutdown()\n"
    "    a:free() b:free()\n"
    "end\n"
    "local function visit(at, version, session)\n"
    "    local a, b = assert(clients[version]:connection()), assert(at:connection())\n"
    "    a:set_blocking(false) b:set_blocking(false) a:set_hostname 'localhost' tls.pair(a, b)\n"
    "    if session then a:set_session(session) end\n"
    "    handshake(a, b)\n"
    "    assert(a:write 'ping' and b:read() == 'ping' and b:write 'pong' and a:read() == 'pong')\n"
    "    local words, newest = a:resumption() .. ' ' .. b:resumption(), a:session()\n"
    "    assert(newest:protocol() == version)\n"
    "    assert((newest:ticket() == nil) == (version == 'TLSv1.2'))\n"
    "    close(a, b)\n"
    "    return words, newest\n"
    "end\n"
    "local function offer(at, version, other)\n"
    "    local session = assert(clients[version]:import_session(fetch(other, version)))\n"
    "    return (visit(at, version, session))\n"
    "end\n"
    "local function wanted(what, words) assert(words == what, words) end\n"
    "function make(version, number)\n"
    "    local words, session = visit(server, version)\n"
    "    wanted('not_offered not_offered', words)\n"
    "    publish(number, version, session:export())\n"
    "end\n"
    "function resume(version, other)\n"
    "    local words\n"
    "    for _ = 1, CACHE and 1 or 20 do\n" /* a lookup misses while another's has no processor */
    "        words = offer(server, version, other)\n"
    "        if words ~= 'not_accepted not_cached' then break end\n"
    "    end\n"
    "    wanted('resumed resumed', words)\n"
    "end\n"
    "function refuse(version, other)\n"
    "    wanted('not_accepted not_cached', offer(stranger, version, other))\n"
    "end\n"
    "function store_hits() return cache:stats().store_hits end\n";

static slot *slot_of(lua_State *L) {
    lua_Integer number = luaL_checkinteger(L, 1);
    int version =
        luaL_checkoption(L, 2, NULL, (const char *const[]){versions[0], versions[1], NULL});
    luaL_argcheck(L, number >= 0 && number < STATES, 1, "no such state");
    return &common->slots[number][version];
}

static int publish(lua_State *L) {
    slot *to = slot_of(L);
    size_t len = 0;
    const char *bytes = luaL_checklstring(L, 3, &len);
    luaL_argcheck(L, len > 0 && len <= sizeof to->bytes, 3, "too long for the board");
    memcpy(to->bytes, bytes, len);
    to->len = len;
    return 0;
}

static int fetch(lua_State *L) {
    const slot *from = slot_of(L);
    lua_pushlstring(L, from->bytes, from->len);
    return 1;
}

static void set_text(lua_State *L, const char *name, const char *text) {
    lua_pushstring(L, text);
    lua_setglobal(L, name);
}

static lua_State *new_state(tlslife_cache *cache) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_tlslife_core);
    lua_setfield(L, -2, "tlslife");
    lua_register(L, "publish", publish);
    lua_register(L, "fetch", fetch);
    set_text(L, "CERTIFICATE", identity.certificate);
    set_text(L, "KEY", identity.key);
    set_text(L, "SLAB", slab);
    tlslife_lua_push_cache(L, cache);
    lua_setglobal(L, "CACHE");
    lua_settop(L, 0);
    return L;
}

/* The shared memory counts the checks of all threads and processes. */
static bool passes(lua_State *L, int status, const char *what, int number) {
    if (status != LUA_OK) {
        common->failed++;
        fprintf(stderr, "%s, state %d: %s\n", what, number, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return status == LUA_OK;
}

static int call(lua_State *L, const char *name, const char *version, int number) {
    lua_getglobal(L, name);
    lua_pushstring(L, version);
    lua_pushinteger(L, number);
    return lua_pcall(L, 2, 0, 0);
}

/* ------------------------------------------------------------------------------------- a thread */

static void make(lua_State *L, int number) {
    for (int v = 0; v < VERSIONS; v++) {
        common->made += passes(L, call(L, "make", versions[v], number), "make", number);
    }
}

static void resume(lua_State *L, int number, int other) {
    for (int v = 0; v < VERSIONS; v++) {
        common->resumed += passes(L, call(L, "resume", versions[v], other), "resume", number);
    }
}

static void refuse(lua_State *L, int number, int other) {
    for (int v = 0; v < VERSIONS; v++) {
        common->refused += passes(L, call(L, "refuse", versions[v], other), "refuse", number);
    }
}

/* Every session has come through the slab. */
static void check_store_hits(lua_State *L, int number) {
    lua_getglobal(L, "store_hits");
    if (passes(L, lua_pcall(L, 0, 1, 0), "store_hits", number)) {
        if (lua_tointeger(L, -1) != (lua_Integer)OTHERS * VERSIONS) {
            common->failed++;
            fprintf(stderr, "state %d: %lld hits in the slab\n", number,
                    (long long)lua_tointeger(L, -1));
        }
        lua_pop(L, 1);
    }
}

/*
 * The states of a thread take turns with those of the others, and no two of them begin with the
 * same one.
 */
static void *work(void *argument) {
    worker *self = argument;
    lua_State *states[PER_THREAD];
    for (int i = 0; i < PER_THREAD; i++) {
        states[i] = new_state(self->cache);
        (void)passes(states[i], luaL_dostring(states[i], script), "script", self->first + i);
    }
    (void)pthread_barrier_wait(&common->barrier);
    for (int i = 0; i < PER_THREAD; i++) {
        make(states[i], self->first + i);
    }
    (void)pthread_barrier_wait(&common->barrier);
    for (int step = 1; step <= OTHERS; step++) {
        for (int i = 0; i < PER_THREAD; i++) {
            resume(states[i], self->first + i, (self->first + i + step) % STATES);
        }
    }
    for (int i = 0; i < PER_THREAD; i++) {
        refuse(states[i], self->first + i, (self->first + i + 1) % STATES);
        if (self->cache == NULL) {
            check_store_hits(states[i], self->first + i);
        }
        lua_close(states[i]);
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------ a process */

static void work_in_threads(int first, int threads, tlslife_cache *cache) {
    worker workers[THREADS];
    for (int i = 0; i < threads; i++) {
        workers[i] = (worker){.first = first + i * PER_THREAD, .cache = cache};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            abort();
        }
    }
    for (int i = 0; i < threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
}

/*
 * The child ends by exit(), so that LeakSanitizer runs. The alarm ends it, too, and so does the end
 * of its parent.
 */
static pid_t process_begin(int first, int threads) {
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)alarm(SECONDS);
        work_in_threads(first, threads, NULL);
        exit(0);
    }
    return pid;
}

/* If a child has died, the others wait at the barrier for ever, and are killed. */
static void processes_end(pid_t *pids, int processes) {
    for (int ended = 0; ended < processes; ended++) {
        int status = -1;
        pid_t pid = waitpid(-1, &status, 0);
        if (!CHECK(pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
            fprintf(stderr, "process %d ended with status %#x\n", (int)pid, (unsigned)status);
        }
        for (int i = 0; i < processes; i++) {
            if (pids[i] == pid) {
                pids[i] = 0;
            } else if (status != 0 && pids[i] > 0) {
                (void)kill(pids[i], SIGKILL);
            }
        }
    }
}

/* --------------------------------------------------------------------------------------- scenes */

static void scene_begin(void) {
    pthread_barrierattr_t shared;
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (common == MAP_FAILED || pthread_barrierattr_init(&shared) != 0 ||
        pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_barrier_init(&common->barrier, &shared, THREADS) != 0) {
        abort();
    }
    (void)pthread_barrierattr_destroy(&shared);
}

/*
 * If a process was killed, another one may wait at the barrier. So the barrier is unmapped, and not
 * destroyed.
 */
static void scene_end(void) {
    CHECK(common->made == STATES * VERSIONS);
    CHECK(common->refused == STATES * VERSIONS);
    CHECK(common->resumed == RESUMPTIONS);
    CHECK(common->failed == 0);
    checks_passed += common->resumed;
    checks_failed += common->failed;
    (void)munmap(common, sizeof *common);
}

static void check_processes(void) {
    enum { PROCESSES = 2, EACH = THREADS / PROCESSES };
    pid_t pids[PROCESSES];
    scene_begin();
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = process_begin(i * EACH * PER_THREAD, EACH);
        CHECK(pids[i] > 0);
    }
    processes_end(pids, PROCESSES);
    scene_end();
}

/*
 * The states have references of their own. The program's cache is freed last, and has counted every
 * lookup.
 */
static void check_cache_in_memory(void) {
    tlslife_error err;
    tlslife_cache_stats stats;
    tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *cache = tlslife_cache_new(&options, &err);
    scene_begin();
    work_in_threads(0, THREADS, cache);
    scene_end();
    tlslife_cache_get_stats(cache, &stats);
    CHECK(stats.hits == RESUMPTIONS && stats.misses == 0 && stats.store_hits == 0);
    tlslife_cache_free(cache);
}

int main(void) {
    CHECK(identity_make(&identity));
    if (!CHECK(mkdtemp(directory) != NULL)) {
        return checks_end();
    }
    (void)snprintf(slab, sizeof slab, "%s/slab", directory);
    check_processes();
    CHECK(unlink(slab) == 0 && rmdir(directory) == 0);
    (void)alarm(SECONDS);
    check_cache_in_memory();
    return checks_end();
}
