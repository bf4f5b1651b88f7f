/*
 * check.h: declares the checks of the C test programs.
 *
 * A check that fails says where, and the test goes on. The last line of a program counts its
 * checks, and the exit code is 0 only if every check passed.
 */
#ifndef TLSLIFE_SPEC_CHECK_H
#define TLSLIFE_SPEC_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int checks_passed;
static int checks_failed;

static inline bool check_that(bool holds, const char *what, const char *file, int line) {
    if (holds) {
        checks_passed++;
    } else {
        checks_failed++;
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    }
    return holds;
}

static inline bool check_text(const char *got, const char *wanted, const char *file, int line) {
    bool same = got != NULL && strcmp(got, wanted) == 0;
    if (!same) {
        fprintf(stderr, "%s:%d: got \"%s\", wanted \"%s\"\n", file, line,
                got != NULL ? got : "(null)", wanted);
    }
    return check_that(same, "the texts are equal", file, line);
}

#ifdef TLSLIFE_COVERAGE
void __gcov_dump(void); /* NOLINT(bugprone-reserved-identifier): gcc's name */
#endif

/* Writes what was executed until now, where that is counted (./dev coverage). */
static inline void count_executed(void) {
#ifdef TLSLIFE_COVERAGE
    __gcov_dump();
#endif
}

/* Ends a child of fork() as _exit does, after what it has executed was counted. */
static inline void end_child(int status) {
    count_executed();
    _exit(status);
}

static inline int checks_end(void) {
    printf("%d passed, %d failed\n", checks_passed, checks_failed);
    return checks_failed == 0 ? 0 : 1;
}

#define CHECK(condition) check_that((condition), #condition, __FILE__, __LINE__)
#define CHECK_TEXT(got, wanted) check_text((got), (wanted), __FILE__, __LINE__)

#endif
