/*
 * failing_fault.c: counts the calls that could fail, and says which of them does.
 */
#include "fault.h"

#include <execinfo.h>
#include <stdatomic.h>
#include <stdint.h>

static fault_plan plan;
static atomic_bool armed;
static atomic_long counts[FAULT_KINDS];
static atomic_long delivered;
static const char *site_file;
static int site_line;
static fault_stack site_stack;
static unsigned (*marks)[FAULT_MARKS]; /* or NULL */

void fault_arm(const fault_plan *wanted) {
    plan = *wanted;
    for (int i = 0; i < FAULT_KINDS; i++) {
        counts[i] = 0;
    }
    delivered = 0;
    armed = true;
}

void fault_disarm(void) {
    armed = false;
}

bool fault_is_armed(void) {
    return armed;
}

static bool is_due(long n) {
    switch (plan.mode) {
    case FAULT_ONCE: return n == plan.nth;
    case FAULT_TWICE: return n == plan.nth || n == plan.nth + 1;
    default: return plan.nth > 0 && n >= plan.nth;
    }
}

void fault_mark(unsigned (*wanted)[FAULT_MARKS]) {
    marks = wanted;
}

/* The hash of the stack; never 0. */
static unsigned hash_stack(void) {
    fault_stack stack;
    stack.len = backtrace(stack.frames, FAULT_DEPTH);
    uint64_t hash = 1;
    for (int i = 0; i < stack.len; i++) {
        hash = (hash ^ (uintptr_t)stack.frames[i]) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 29;
    }
    return (unsigned)hash | 1;
}

bool fault_due(int kind, const char *file, int line) {
    if (!armed) {
        return false;
    }
    long n = ++counts[kind];
    if (marks != NULL && n < FAULT_MARKS) {
        marks[kind][n] = hash_stack();
    }
    if (kind != plan.kind || !is_due(n)) {
        return false;
    }
    if (delivered++ == 0) {
        site_file = file;
        site_line = line;
        site_stack.len = backtrace(site_stack.frames, FAULT_DEPTH);
    }
    return true;
}

int fault_how(void) {
    return plan.how;
}

long fault_count(int kind) {
    return counts[kind];
}

long fault_delivered(void) {
    return delivered;
}

const char *fault_site(int *out_line) {
    *out_line = site_line;
    return site_file;
}

const fault_stack *fault_site_stack(void) {
    return &site_stack;
}
