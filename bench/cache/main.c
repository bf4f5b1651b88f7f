/*
 * main.c: measures the session caches and stores for bench/cache.lua, which runs this program and
 * judges the rows.
 *
 *   cache [--full] [--rounds N] [--only TEXT] [--redis PATH]
 *
 * PATH is the socket of a Redis server.
 *
 * A row is a line of three columns, which tabs separate: its name, our values and OpenSSL's (or
 * nothing), one value per round. A line that begins with "note" is a remark.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "bench.h"

#include "../support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ------------------------------------------------------------------------- clocks and rows */

static int rounds_max = ROUNDS_MAX;
static const char *only = "";

int rounds_of(int usual) {
    return usual < rounds_max ? usual : rounds_max;
}

void die(const char *what) {
    fprintf(stderr, "bench cache: %s\n", what);
    exit(1);
}

double cpu(void) {
    return clock_ns(CLOCK_THREAD_CPUTIME_ID) / 1e9;
}

double wall(void) {
    return clock_ns(CLOCK_MONOTONIC) / 1e9;
}

double ns_each(double before, size_t operations) {
    return (cpu() - before) * 1e9 / (double)operations;
}

uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

void add(series *to, double value) {
    to->values[to->len++] = value;
}

bool is_wanted(const char *name) {
    return strstr(name, only) != NULL;
}

bool any_wanted(const char *const *names, int len) {
    for (int i = 0; i < len; i++) {
        if (is_wanted(names[i])) {
            return true;
        }
    }
    return false;
}

static void print_series(const series *one) {
    printf("\t");
    for (int i = 0; one != NULL && i < one->len; i++) {
        printf("%.9g ", one->values[i]);
    }
}

void print_row(const char *name, const series *ours, const series *theirs) {
    if (is_wanted(name)) {
        printf("%s", name);
        print_series(ours);
        print_series(theirs);
        printf("\n");
        (void)fflush(stdout);
    }
}

/* -------------------------------------------------------------------------------- sessions */

static SSL *libssl; /* knows the version and the ciphers that a session must name */

static void sessions_begin(void) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    libssl = SSL_new(ctx);
    SSL_CTX_free(ctx); /* the SSL holds a reference */
    demand(libssl != NULL, "no libssl");
}

int newest_version(void) {
    return SSL_version(libssl);
}

/* The finalizer of splitmix64: each bit of x changes about half of the bits of the result. */
static uint64_t mixed(uint64_t x) {
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/*
 * The ids differ from each other as the random ones of a real server do. OpenSSL's hash is the
 * first four bytes of an id. If these rose by equal steps, all chains of its table would have one
 * length, and the processor would predict them.
 */
void nth_id(uint32_t n, unsigned char id[32]) {
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t part = mixed((uint64_t)n * 4 + i);
        memcpy(id + 8 * i, &part, sizeof part);
    }
    memcpy(id + 28, &n, sizeof n);
}

SSL_SESSION *make_session(uint32_t n, int version, long timeout) {
    static const unsigned char cipher[] = {0xc0, 0x2f}; /* ECDHE-RSA-AES128-GCM-SHA256 */
    unsigned char id[32], secret[48] = {1};
    SSL_SESSION *session = SSL_SESSION_new();
    nth_id(n, id);
    demand(session != NULL && SSL_SESSION_set1_id(session, id, sizeof id) == 1 &&
               SSL_SESSION_set_protocol_version(session, version) == 1 &&
               SSL_SESSION_set_cipher(session, SSL_CIPHER_find(libssl, cipher)) == 1 &&
               SSL_SESSION_set1_master_key(session, secret, sizeof secret) == 1,
           "no session");
    SSL_SESSION_set_timeout(session, timeout);
    return session;
}

/* --------------------------------------------------------------------------------- program */

/* The word after argv[*i], which becomes the current one. */
static const char *value_of(char **argv, int *i) {
    demand(argv[*i + 1] != NULL, "an option lacks its value");
    return argv[++*i];
}

int main(int argc, char **argv) {
    bool full = false;
    const char *redis = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--full") == 0) {
            full = true;
        } else if (strcmp(argv[i], "--rounds") == 0) {
            rounds_max = (int)strtol(value_of(argv, &i), NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0) {
            only = value_of(argv, &i);
        } else if (strcmp(argv[i], "--redis") == 0) {
            redis = value_of(argv, &i);
        } else {
            die("usage: cache [--full] [--rounds N] [--only TEXT] [--redis PATH]");
        }
    }
    demand(rounds_max > 0, "--rounds wants a number from 1");
    steady_heap(); /* or the sessions at the heap's top would be new pages in each round */
    sessions_begin();
    bench_memory(full);
    bench_threads();
    bench_shared();
    if (redis != NULL) {
        bench_redis(redis);
    }
    SSL_free(libssl);
    return 0;
}
