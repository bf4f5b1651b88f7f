/*
 * benches.h: what main.c runs; each prints its rows.
 */
#ifndef TLSLIFE_BENCH_BENCHES_H
#define TLSLIFE_BENCH_BENCHES_H

#include <stdbool.h>

void bench_memory(bool full); /* full: a million entries too */
void bench_threads(void);
void bench_shared(void);
void bench_redis(const char *program); /* redis-server's path */

#endif
