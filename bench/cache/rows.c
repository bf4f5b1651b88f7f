/*
 * rows.c: clocks, series of values and the lines that bench/cache.lua reads.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void die(const char *what) {
    fprintf(stderr, "bench cache: %s\n", what);
    exit(1);
}

static double seconds(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double cpu(void) {
    return seconds(CLOCK_THREAD_CPUTIME_ID);
}

double wall(void) {
    return seconds(CLOCK_MONOTONIC);
}

uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

void add(series *to, double value) {
    to->values[to->len++] = value;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_series(series *one) {
    if (one == NULL || one->len == 0) {
        printf("\t\t\t");
        return;
    }
    qsort(one->values, (size_t)one->len, sizeof one->values[0], compare);
    printf("\t%.9g\t%.9g\t%.9g", one->values[one->len / 2], one->values[0],
           one->values[one->len - 1]);
}

void print_row(const char *name, series *ours, series *theirs) {
    printf("%s", name);
    print_series(ours);
    print_series(theirs);
    printf("\n");
    (void)fflush(stdout);
}
