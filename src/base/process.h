/*
 * process.h: tells this process from its parent, for what a child of fork() must not share.
 * process.c.
 */
#ifndef TLSLIFE_PROCESS_H
#define TLSLIFE_PROCESS_H

#include <stdint.h>

/*
 * A number that this process keeps as long as it lives, and that no child of it has. Its low 32
 * bits identify the process to others: TLSL_PROCESS_ID_BITS of its id, below some bits of the
 * number of its pid namespace.
 */
uint64_t tlsl_process(void);

#define TLSL_PROCESS_ID_BITS 22 /* Linux has no higher ids */

#endif
