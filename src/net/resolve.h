/*
 * resolve.h: resolves a name to its addresses, waiting or in a thread. resolve.c.
 */
#ifndef TLSLIFE_RESOLVE_H
#define TLSLIFE_RESOLVE_H

#include <netdb.h>

#include "tlslife.h"

/*
 * getaddrinfo(3) for TCP, which waits. With AI_PASSIVE in flags the addresses are to listen on, and
 * a host of NULL is every address. The caller frees *out with freeaddrinfo. RESOLVE, MEMORY or
 * SYSTEM.
 */
tlslife_status tlsl_resolve(const char *host, const char *service, int flags,
                            struct addrinfo **out, tlslife_error *err);

/* A name that another thread is resolving. */
typedef struct tlsl_resolution tlsl_resolution;
/*
 * The same without waiting. OK and *out if host is an address. WANT_READ and *out_begun, which the
 * caller drops, if it is a name. Else ERROR.
 */
tlslife_status tlsl_resolve_begin(const char *host, const char *service, struct addrinfo **out,
                                  tlsl_resolution **out_begun, tlslife_error *err);
/*
 * OK and *out, which the caller frees, if the name is resolved; it returns OK once only. WANT_READ:
 * wait for tlsl_resolution_fd. Else ERROR.
 */
tlslife_status tlsl_resolution_end(tlsl_resolution *resolution, struct addrinfo **out,
                                   tlslife_error *err);
/* A descriptor that is readable when the resolution has ended. */
int tlsl_resolution_fd(const tlsl_resolution *resolution);
/* Frees the resolution, at once or when its thread has ended it. NULL is allowed. */
void tlsl_resolution_drop(tlsl_resolution *resolution);

#endif
