/*
 * proxied.h: declares how a connection that came through a proxy learns of its client. proxied.c.
 */
#ifndef TLSLIFE_PROXIED_H
#define TLSLIFE_PROXIED_H

#include <stdbool.h>
#include <stdint.h>

#include "tlslife.h"

typedef struct tlsl_proxied tlsl_proxied;

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
/* The client's address as the header has it, lent; NULL if there is none. */
const char *tlsl_proxied_client(const tlslife_conn *conn);

#endif
