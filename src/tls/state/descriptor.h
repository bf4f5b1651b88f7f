/*
 * descriptor.h: declares the descriptor of a connection's transport, and waiting for it.
 * descriptor.c.
 */
#ifndef TLSLIFE_DESCRIPTOR_H
#define TLSLIFE_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "tlslife.h"

#define TLSL_DEADLINE_UNSET INT64_MIN

/* The descriptor of the transport in one direction, or -1. */
int tlsl_conn_fd_for(const tlslife_conn *conn, bool writing);
/*
 * Waits for what status wants, where the connection is blocking and has something to wait for. OK
 * means that the call is to be made again.
 */
tlslife_status tlsl_conn_wait(tlslife_conn *conn, tlslife_status status, int64_t *deadline);
/* Sets how the calls of conn wait. Nothing else may set its blocking and timeout_ms. */
void tlsl_conn_set_waiting(tlslife_conn *conn, bool blocking, int timeout_ms);
/* Whether the kernel's read or write waits; one that is traced, or has a deadline, does not. */
bool tlsl_conn_waits_in_kernel(const tlslife_conn *conn);

#endif
