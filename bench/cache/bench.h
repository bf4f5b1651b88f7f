/*
 * bench.h: declares what the files of the cache benchmark share, which are clocks, the rows that
 * they print, and sessions as a server has them.
 */
#ifndef TLSLIFE_BENCH_H
#define TLSLIFE_BENCH_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH 2000 /* operations between two readings of the clock */
#define LIVES 7200 /* seconds until a session's timeout */

/* ------------------------------------------------------------------------- clocks and rows */

/* Rounds of a row, unless the command line asks for fewer. */
enum { ROUNDS_LARGE = 5, ROUNDS = 15, ROUNDS_MAX = 45 };
int rounds_of(int usual);

/* Ends the program with a message where the condition does not hold. */
void die(const char *what);
static inline void demand(bool holds, const char *what) {
    if (!holds) {
        die(what);
    }
}

double cpu(void);  /* this thread's processor time, in seconds */
double wall(void); /* monotonic time, in seconds */
/* Nanoseconds of processor time per operation since cpu() returned `before`. */
double ns_each(double before, size_t operations);
uint32_t next_random(uint64_t *state);

/* One value per round. */
typedef struct series {
    double values[ROUNDS_MAX];
    int len;
} series;

void add(series *to, double value);
/* Whether the command line asks for this row, or for one of these. */
bool is_wanted(const char *name);
bool any_wanted(const char *const *names, int len);
/* Prints the row where it is wanted. theirs is NULL where there is nothing to compare with. */
void print_row(const char *name, const series *ours, const series *theirs);

/* -------------------------------------------------------------------------------- sessions */

int newest_version(void); /* the newest TLS version of this libssl */
/* The id of session n: 32 bytes without a visible order. */
void nth_id(uint32_t n, unsigned char id[32]);
/* A session of version `version` with the nth id. The caller owns it. */
SSL_SESSION *make_session(uint32_t n, int version, long timeout);

/* ---------------------------------------------------------------------- what main.c runs */

void bench_memory(bool full); /* full: with a million entries, too */
void bench_threads(void);
void bench_shared(void);
void bench_redis(const char *path); /* path: the socket of a Redis server */

#endif
