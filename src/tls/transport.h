/*
 * transport.h: the transport of a connection, set, dropped and told how to wait. transport.c.
 */
#ifndef TLSLIFE_TRANSPORT_H
#define TLSLIFE_TRANSPORT_H

#include <stdbool.h>

#include "tlslife.h"

/* Lets go of the transport. What was written to set_memory's stays for drain. */
void tlsl_transport_drop(tlslife_conn *conn);
/* The same, and nothing stays. */
void tlsl_transport_free(tlslife_conn *conn);
/* How the calls of conn wait from now on: what its blocking and timeout_ms must be set by. */
void tlsl_conn_set_waiting(tlslife_conn *conn, bool blocking, int timeout_ms);
/* tlslife_conn_take_fd for a descriptor that was just made: nothing about it need be asked. */
tlslife_status tlsl_conn_own_fd(tlslife_conn *conn, int fd);

#endif
