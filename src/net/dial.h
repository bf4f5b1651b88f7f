/*
 * dial.h: a TCP connection that is being made. dial.c.
 */
#ifndef TLSLIFE_DIAL_H
#define TLSLIFE_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "tlslife.h"

/* A TCP connection being made: a name, its addresses and the one that is tried. */
typedef struct tlsl_dial tlsl_dial;
/* waits: the name is resolved in this call, which may take its time. RESOLVE, MEMORY, SYSTEM. */
tlsl_dial *tlsl_dial_new(const char *host, const char *service, bool waits, int64_t deadline,
    tlslife_error *err);
void tlsl_dial_free(tlsl_dial *dial); /* closes what is not taken */
/* whether it is for this target */
bool tlsl_dial_is(const tlsl_dial *dial, const char *host, const char *service);
/*
 * Goes on without waiting: OK and *out_fd (the caller's); WANT_READ (the name is being resolved),
 * WANT_WRITE: wait for tlsl_dial_fd; TIMEOUT; ERROR (no such name, or every address failed).
 */
tlslife_status tlsl_dial_step(tlsl_dial *dial, int *out_fd, tlslife_error *err);
int tlsl_dial_fd(const tlsl_dial *dial, bool *out_writing);
int64_t tlsl_dial_until(const tlsl_dial *dial); /* when to step though nothing came */
void tlsl_dial_set_deadline(tlsl_dial *dial, int64_t deadline);

#endif
