/*
 * dial.h: makes a connection to a name, one step at a time. dial.c.
 */
#ifndef TLSLIFE_DIAL_H
#define TLSLIFE_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "tlslife.h"

/*
 * A connection that is being made: a name, its addresses, and the addresses that are being tried.
 * The name may be that of a Unix socket (net/local.h), which has no service ("").
 */
typedef struct tlsl_dial tlsl_dial;
/*
 * Begins to dial. If waits is true, the name is resolved in this call, however long that takes;
 * else a thread resolves it. NULL: RESOLVE, MEMORY or SYSTEM.
 */
tlsl_dial *tlsl_dial_new(const char *host, const char *service, bool waits, int64_t deadline,
                         tlslife_error *err);
/* Closes the sockets but one that was taken. NULL is allowed. */
void tlsl_dial_free(tlsl_dial *dial);
/* Whether dial is for this host and service. */
bool tlsl_dial_is(const tlsl_dial *dial, const char *host, const char *service);
/*
 * Continues without waiting. OK: *out_fd is the connected socket, now the caller's. WANT_READ (the
 * name is being resolved, a Unix socket's backlog is full, or several addresses are being tried) or
 * WANT_WRITE: wait for tlsl_dial_fd, but no longer than until tlsl_dial_until. TIMEOUT: the
 * deadline has passed. ERROR: there is no such name, or every address has failed.
 */
tlslife_status tlsl_dial_step(tlsl_dial *dial, int *out_fd, tlslife_error *err);
int tlsl_dial_fd(const tlsl_dial *dial, bool *out_writing);
/* The deadline for the next step, even if the descriptor is not ready by then. */
int64_t tlsl_dial_until(const tlsl_dial *dial);
void tlsl_dial_set_deadline(tlsl_dial *dial, int64_t deadline);

#endif
