/*
 * worker.h: what a thread is given, and what it runs. worker.c.
 */
#ifndef TLSLIFE_PROGRAM_WORKER_H
#define TLSLIFE_PROGRAM_WORKER_H

#include <lua.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "program/options.h"
#include "tlslife.h"

/* What a thread is given, and its exit status. */
typedef struct program_worker {
    const program_options *given;
    lua_Integer index;
    int control;
    struct stat socket; /* the file that control refers to */
    int *listeners;     /* descriptors; -1 after the state has taken one over */
    size_t listeners_len;
    tlslife_cache *cache;             /* or NULL; a reference */
    tlslife_ticket_keys *ticket_keys; /* or NULL; a reference */
    int status;                       /* exit status, as a process's */

    tlslife_listener *pushing; /* the listener that is being pushed into the state */
    bool ending;               /* the state is being closed, which is done only once */
    jmp_buf end;
} program_worker;

/* Runs the script, sets status and closes everything that the thread was given. */
void program_work(program_worker *self);
void program_worker_clear(program_worker *self); /* frees what it was given, except control */

#endif
