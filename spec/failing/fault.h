/*
 * fault.h: decides which call fails, and knows which blocks of memory are allocated.
 * failing_fault.c, failing_memory.c and failing_calls.c share it with the program of failing.c.
 */
#ifndef TLSLIFE_SPEC_FAULT_H
#define TLSLIFE_SPEC_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* What can fail: the allocators, then the system's calls in the order of failing_calls.c. */
enum { FAULT_OURS, FAULT_OPENSSL, FAULT_LUA, FAULT_HIREDIS, FAULT_CALLS };
#define FAULT_KINDS 64

/*
 * How often: once, twice, or from then on. Lua collects its garbage after a failed allocation and
 * tries again, and TWICE lets that fail, too.
 */
typedef enum fault_mode { FAULT_ONCE, FAULT_TWICE, FAULT_ON } fault_mode;

#define FAULT_SHORT (-1) /* the call moves one byte, or does not do all */

typedef struct fault_plan {
    int kind;
    long nth; /* from 1 on; 0: nothing fails */
    fault_mode mode;
    int how;     /* errno, or FAULT_SHORT */
    bool passes; /* the caller must go on as if nothing had failed */
} fault_plan;

#define FAULT_DEPTH 24

typedef struct fault_stack {
    void *frames[FAULT_DEPTH];
    int len;
} fault_stack;

/* Sets all counts to 0. From now on until fault_disarm the call that the plan names fails. */
void fault_arm(const fault_plan *plan);
void fault_disarm(void);
bool fault_is_armed(void);
/* From now on the stack of each call that is counted is hashed into marks[kind][n]. */
#define FAULT_MARKS 131072
void fault_mark(unsigned (*marks)[FAULT_MARKS]);
/* Counts one call, and says whether it fails. file and line are OpenSSL's, or NULL. */
bool fault_due(int kind, const char *file, int line);
int fault_how(void);            /* the plan's how */
long fault_count(int kind);     /* how many calls of a kind there were since fault_arm */
long fault_delivered(void);     /* how many calls have failed since then */
/* Where the first call has failed: OpenSSL's file and line, or NULL; and the stack. */
const char *fault_site(int *out_line);
const fault_stack *fault_site_stack(void);

/* -- failing_memory.c */

typedef struct fault_block {
    void *at;
    size_t size;
    int kind;
    const char *file; /* OpenSSL's */
    int line;
    unsigned round; /* when it was made */
    fault_stack stack;
    int next;
} fault_block;

/* Replaces the allocators of OpenSSL and hiredis. To be called before anything is allocated. */
bool memory_take_over(void);
void *memory_of_lua(void *ud, void *block, size_t old_size, size_t new_size);
long memory_alive(int kind); /* how many blocks of this kind are allocated */
long memory_mappings(void);
/* Begins a round. Blocks are marked with it and, if traced, with the stack that has made them. */
void memory_begin_round(bool traced);
/* Calls visit with each block of this round that is still allocated. */
void memory_visit(void (*visit)(const fault_block *block, void *context), void *context);
void memory_mapped(int by); /* adds to the number of mappings */

/* -- failing_calls.c */

typedef struct fault_call {
    const char *name;
    int hows[8]; /* errno and FAULT_SHORT, up to 0 */
} fault_call;

extern const fault_call fault_calls[];
int fault_calls_len(void);
const char *fault_kind_name(int kind);

#endif
