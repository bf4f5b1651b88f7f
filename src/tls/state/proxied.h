/*
 * proxied.h: declares how a connection that came through a proxy learns of its client. proxied.c.
 */
#ifndef TLSLIFE_PROXIED_H
#define TLSLIFE_PROXIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlslife.h"

typedef struct tlsl_proxied {
    unsigned versions;
    bool refused;         /* the peer is none of the listener's proxies */
    bool done;            /* the header was read */
    size_t len;           /* bytes that were read of it */
    char client[64];      /* as the header has it, as text, or "" */
    unsigned char *bytes; /* TLSL_PROXY_MAX, until the header was read; then its fields, or NULL */
    size_t fields_len;    /* bytes of these */
} tlsl_proxied;

/*
 * The transport of conn begins with a header of one of these versions. refused: the peer may send
 * none, and every call fails.
 */
tlslife_status tlsl_proxied_expect(tlslife_conn *conn, unsigned versions, bool refused);
void tlsl_proxied_free(tlsl_proxied *proxied);
/*
 * Before the first bytes are moved: reads the header, if one is expected and was not read yet. OK,
 * or the status to return. *deadline is as for tlsl_conn_settle, verb for the message.
 */
tlslife_status tlsl_proxied_read(tlslife_conn *conn, int64_t *deadline, const char *verb);

#endif
