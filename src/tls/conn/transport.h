/*
 * transport.h: declares how the transport of a connection is set, dropped and made to wait.
 * transport.c.
 */
#ifndef TLSLIFE_TRANSPORT_H
#define TLSLIFE_TRANSPORT_H

#include <openssl/bio.h>
#include <stdbool.h>

#include "tls/state/conn.h"
#include "tlslife.h"

/* Drops the transport. What was written to that of set_memory stays for drain. */
void tlsl_transport_drop(tlslife_conn *conn);
/* Drops the transport, and what was written for drain. */
void tlsl_transport_free(tlslife_conn *conn);
/*
 * Makes bio the transport, and drops the one before. ERROR, and bio is freed: libssl needs memory
 * to take it, and there is none.
 */
tlslife_status tlsl_transport_install(tlslife_conn *conn, BIO *bio, tlsl_transport_kind kind);
/* tlslife_conn_take_fd, for a descriptor that was just made and needs no check. */
tlslife_status tlsl_conn_own_fd(tlslife_conn *conn, int fd);

#endif
