/*
 * embed_threads.c: runs threads that share two contexts and a cache, each with a Lua state of its
 * own. A script in each thread makes connections of these contexts, and resumes the sessions of all
 * threads. There is no lock here, because many threads may use a context, a cache and a session at
 * once. A connection belongs to one thread.
 *
 * Usage: embed_threads cert.pem key.pem script.lua [threads [visits]]     (the certificate is for
 * "localhost")
 */
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <tlslife.h>
#include <tlslife_lua.h>

enum { THREADS_MAX = 64 };

typedef struct worker {
    pthread_t thread;
    int number, visits;
    const char *script;
    tlslife_context *client, *server; /* lent: main waits for the threads */
    lua_Integer full, resumed,
        foreign; /* foreign: those of the resumed whose session another thread made */
    bool failed;
} worker;

static void die(const char *what, const char *why) {
    fprintf(stderr, "embed_threads: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

/* ------------------------------------------------------------------------------- in each thread */

/* In a protected call, with the worker: script(client context, server context, number, visits). */
static int run_script(lua_State *L) {
    worker *self = lua_touserdata(L, 1);
    luaL_openlibs(L);
    luaL_requiref(L, "tlslife.core", luaopen_tlslife_core, 0);
    if (luaL_loadfile(L, self->script) != LUA_OK) {
        return lua_error(L);
    }
    tlslife_lua_push_context(L, self->client);
    tlslife_lua_push_context(L, self->server);
    lua_pushinteger(L, self->number);
    lua_pushinteger(L, self->visits);
    lua_call(L, 4, 3);
    self->full = luaL_checkinteger(L, -3);
    self->resumed = luaL_checkinteger(L, -2);
    self->foreign = luaL_checkinteger(L, -1);
    return 0;
}

static void *work(void *argument) {
    worker *self = argument;
    lua_State *L = luaL_newstate();
    if (L == NULL) {
        self->failed = true;
        return NULL;
    }
    lua_pushcfunction(L, run_script);
    lua_pushlightuserdata(L, self);
    self->failed = lua_pcall(L, 1, 0, 0) != LUA_OK;
    if (self->failed) {
        fprintf(stderr, "embed_threads: thread %d: %s\n", self->number,
                luaL_tolstring(L, -1, NULL));
    }
    lua_close(L);
    return NULL;
}

/* ------------------------------------------------------------------------------ what they share */

static tlslife_context *new_context(tlslife_role role, tlslife_cache *cache) {
    tlslife_error err;
    tlslife_context *context = tlslife_context_new(role, &err);
    if (context == NULL || tlslife_context_set_cache(context, cache, &err) != TLSLIFE_OK) {
        die("context", err.message);
    }
    return context;
}

static tlslife_cache *new_cache(void) {
    tlslife_error err;
    tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *cache = tlslife_cache_new(&options, &err);
    if (cache == NULL) {
        die("cache", err.message);
    }
    return cache;
}

static void configure(tlslife_context *client, tlslife_context *server, const char *certificate,
                      const char *key) {
    tlslife_error err;
    if (tlslife_context_add_ca_file(client, certificate, &err) != TLSLIFE_OK ||
        tlslife_context_set_certificate_file(server, certificate, &err) != TLSLIFE_OK ||
        tlslife_context_set_private_key_file(server, key, NULL, &err) != TLSLIFE_OK) {
        die("certificate", err.message);
    }
}

/* ------------------------------------------------------------------------------------ the whole */

/* The first worker runs in this thread, so that there is a session when the others begin. */
static void run_threads(worker *workers, int threads) {
    (void)work(&workers[0]);
    for (int i = 1; i <= threads; i++) {
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            die("thread", "the system has none left");
        }
    }
    for (int i = 1; i <= threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
}

static bool print_figures(const worker *workers, int threads, const tlslife_cache *cache) {
    lua_Integer full = 0, resumed = 0, foreign = 0;
    bool failed = false;
    tlslife_cache_stats stats;
    tlslife_cache_get_stats(cache, &stats);
    for (int i = 0; i <= threads; i++) {
        full += workers[i].full;
        resumed += workers[i].resumed;
        foreign += workers[i].foreign;
        failed = failed || workers[i].failed;
    }
    printf("%d threads: %lld full handshakes, %lld resumed, "
           "%lld of them by a session of another thread\n",
           threads, (long long)full, (long long)resumed, (long long)foreign);
    printf("the cache: %zu sessions, %llu hits\n", stats.entries, (unsigned long long)stats.hits);
    return !failed;
}

/* The number in argv[i], or its default. */
static int number(int argc, char **argv, int i, int otherwise, int most) {
    long value = i < argc ? strtol(argv[i], NULL, 10) : otherwise;
    if (value < 1 || value > most) {
        die(argv[i], "out of range");
    }
    return (int)value;
}

int main(int argc, char **argv) {
    static worker workers[THREADS_MAX + 1];
    if (argc < 4) {
        fprintf(stderr, "usage: embed_threads cert.pem key.pem script.lua [threads [visits]]\n");
        return 2;
    }
    int threads = number(argc, argv, 4, 4, THREADS_MAX),
        visits = number(argc, argv, 5, 100, 1000000);
    tlslife_cache *cache = new_cache();
    tlslife_context *client = new_context(TLSLIFE_CLIENT, cache),
                    *server = new_context(TLSLIFE_SERVER, cache);
    configure(client, server, argv[1], argv[2]);
    for (int i = 0; i <= threads; i++) {
        workers[i] = (worker){.number = i,
                              .visits = i == 0 ? 1 : visits,
                              .script = argv[3],
                              .client = client,
                              .server = server};
    }
    run_threads(workers, threads);
    bool good = print_figures(workers, threads, cache);
    tlslife_context_free(client);
    tlslife_context_free(server);
    tlslife_cache_free(cache);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
