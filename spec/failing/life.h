/*
 * life.h: plays one scene, once with a failure in it and once more without. failing_life.c.
 */
#ifndef TLSLIFE_SPEC_LIFE_H
#define TLSLIFE_SPEC_LIFE_H

#include <stdbool.h>

#include "fault.h"

#define LIFE_TEXT 600
#define LIFE_FINDINGS 4
#define LIFE_STACKS 3

/* What a process has to say of one failure, in memory that its parent reads. */
typedef struct life_report {
    long counts[FAULT_KINDS];
    long delivered;
    int findings;
    char finding[LIFE_FINDINGS][LIFE_TEXT];
    char said[LIFE_TEXT]; /* how the scene ended */
    char site[160];       /* OpenSSL's file and line that got no memory */
    fault_stack site_stack;
    fault_stack stacks[LIFE_STACKS]; /* where leaked blocks were made, or where it crashed */
    int stacks_len;
    bool ended;
} life_report;

typedef struct life_scene {
    const char *name;
    const char *file;      /* of scenes; NULL: plain C on libssl */
    const char *directory; /* for files */
    const char *redis;     /* the path of its socket, or NULL */
    bool cold;             /* our library has not been used before, so leaks cannot be told */
} life_scene;

bool life_prepare(void); /* once, before all others */
/* Plays it in this process. */
void life_round(const life_scene *scene, const fault_plan *plan, life_report *report);
/* The same, and looks whether anything was left behind. */
void life_examine(const life_scene *scene, const fault_plan *plan, life_report *report);
void life_finding(life_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* failing_plain.c: a life in plain C on libssl; what went wrong, or NULL. */
const char *plain_life(const char *certificate, const char *key);

/* failing_known.c: faults of the libraries below ours, up to one without a reason. */
typedef struct known_fault {
    int kind;
    const char *finding, *site; /* what is in the finding's text, and in OpenSSL's file */
    const char *function;       /* of a library, in the stack of what failed; or NULL */
    const char *name; /* of known.c, which shows it without tlslife */
    const char *reason;
} known_fault;

extern const known_fault known_faults[];

#endif
