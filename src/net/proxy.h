/*
 * proxy.h: the header of the PROXY protocol, and the proxies that may send one. proxy.c.
 */
#ifndef TLSLIFE_PROXY_H
#define TLSLIFE_PROXY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "tlslife.h"

#define TLSL_PROXY_MAX 2048 /* bytes of a header at most; one of version 1 has up to 107 */

/* What a header says. */
typedef struct tlsl_proxy_header {
    size_t len;                     /* bytes of the header */
    size_t fields;                  /* where its fields begin (proxy_tlv.h), or 0: it has none */
    struct sockaddr_storage client; /* AF_UNSPEC if the header names none */
    socklen_t client_len;
} tlsl_proxy_header;

/*
 * Looks at the first bytes of a stream, which may be cut anywhere. versions are TLSLIFE_PROXY_V1
 * and _V2. Returns how many bytes to read next, at most TLSL_PROXY_MAX in all: 0 if the header is
 * whole, and *out is filled. *out_reason, which is static, says why these bytes begin no such
 * header; else it is NULL.
 */
size_t tlsl_proxy_parse(const unsigned char *bytes, size_t len, unsigned versions,
                        tlsl_proxy_header *out, const char **out_reason);

/* Addresses and networks. */
typedef struct tlsl_sources tlsl_sources;
/*
 * Of "127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8" and "unix", which means every peer over a Unix
 * socket. NULL: USAGE (what is none of these, or an empty list), MEMORY.
 */
tlsl_sources *tlsl_sources_new(const char *const *texts, size_t texts_len, tlslife_error *err);
void tlsl_sources_free(tlsl_sources *sources);
/* Whether the peer of this socket is among them. */
bool tlsl_sources_have(const tlsl_sources *sources, int fd);

#endif
