/*
 * rows.h: what is measured, and the row that it becomes: clocks, series of values, lines on stdout.
 */
#ifndef TLSLIFE_BENCH_ROWS_H
#define TLSLIFE_BENCH_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#define ROUNDS 15
#define ROUNDS_MAX 45 /* of what takes microseconds, or wants two processors at once */

/* What does not hold ends the program. */
void die(const char *what);
static inline void demand(bool holds, const char *what) {
    if (!holds) {
        die(what);
    }
}

double cpu(void);  /* this thread's, in seconds */
double wall(void); /* seconds */
uint32_t next_random(uint64_t *state);

typedef struct series {
    double values[ROUNDS_MAX];
    int len;
} series;

void add(series *to, double value);
/*
 * A line: the name, the medians of ours and theirs (NULL: nothing), each with the least and the
 * most.
 */
void print_row(const char *name, series *ours, series *theirs);

#endif
