/*
 * measured.h: what is counted of a connection, for metrics. measured.c.
 */
#ifndef TLSLIFE_MEASURED_H
#define TLSLIFE_MEASURED_H

#include <stdbool.h>

#include "tls/state/conn.h"
#include "tlslife.h"

/* The first handshake of conn begins. */
void tlsl_measured_begin(tlslife_conn *conn);
/* It is done, with this outcome. */
void tlsl_measured_shaken(tlslife_conn *conn, tlslife_outcome outcome);
/* An alert that is no close_notify was sent, or has come. */
void tlsl_measured_alert(const tlslife_conn *conn, bool sent, int alert);
/*
 * Our close_notify was sent, or the peer's has come: TLSLIFE_SENT_SHUTDOWN or
 * TLSLIFE_RECEIVED_SHUTDOWN, which is noted in conn. Each counts once.
 */
void tlsl_measured_closed(tlslife_conn *conn, unsigned which);
/* conn has ended by its final failure. */
void tlsl_measured_failed(tlslife_conn *conn);
/* conn is about to be freed or cleared, and still has its SSL. */
void tlsl_measured_end(tlslife_conn *conn);

#endif
