/*
 * process.h: which process this is, for what a child of fork() must not share with its parent.
 */
#ifndef TLSLIFE_PROCESS_H
#define TLSLIFE_PROCESS_H

#include <stdint.h>

/*
 * A number that this process has as long as it lives, and that no child of it has. The low 32 bits
 * say who it is to other processes: TLSL_PROCESS_ID_BITS of its id, below some bits of the number
 * of its pid namespace.
 */
uint64_t tlsl_process(void);

#define TLSL_PROCESS_ID_BITS 22 /* Linux has no higher ids */

#endif
