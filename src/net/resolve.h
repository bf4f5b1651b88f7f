/*
 * resolve.h: names and their addresses.
 */
#ifndef TLSLIFE_RESOLVE_H
#define TLSLIFE_RESOLVE_H

#include <netdb.h>

#include "tlslife.h"

/* getaddrinfo for a TCP connection, which waits. The caller frees *out. RESOLVE, MEMORY, SYSTEM. */
tlslife_status tlsl_resolve(const char *host, const char *service, struct addrinfo **out, tlslife_error *err);

/* A name that another thread resolves. */
typedef struct tlsl_resolution tlsl_resolution;
/*
 * The same without waiting: OK where host is an address; WANT_READ and *out_begun, which the caller
 * drops, where it is a name; or ERROR.
 */
tlslife_status tlsl_resolve_begin(const char *host, const char *service, struct addrinfo **out,
    tlsl_resolution **out_begun, tlslife_error *err);
/* OK once; WANT_READ: wait for tlsl_resolution_fd; ERROR. */
tlslife_status tlsl_resolution_end(tlsl_resolution *resolution, struct addrinfo **out, tlslife_error *err);
int tlsl_resolution_fd(const tlsl_resolution *resolution); /* readable when it has ended */
void tlsl_resolution_drop(tlsl_resolution *resolution);    /* NULL: nothing */

#endif
