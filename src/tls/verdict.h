/*
 * verdict.h: declares what each call of a connection does before and after its SSL_ call.
 * verdict.c.
 */
#ifndef TLSLIFE_VERDICT_H
#define TLSLIFE_VERDICT_H

#include <stdint.h>

#include "tls/conn.h"

#define TLSL_DEADLINE_UNSET INT64_MIN

/*
 * Before an SSL_ call that moves data: OK where that can be made, or the status to return. A
 * question that is open is asked again. verb is for the message.
 */
tlslife_status tlsl_conn_ready(tlslife_conn *conn, const char *verb);
/* Refuses a verb whose bytes would come between those of the connection that conn carries. */
tlslife_status tlsl_conn_carries(tlslife_conn *conn, const char *verb);
/*
 * After an SSL_ call that returned ret <= 0. OK means that it has waited, and that the SSL_ call is
 * to be made again; another status is the one to return. *deadline starts as TLSL_DEADLINE_UNSET.
 */
tlslife_status tlsl_conn_settle(tlslife_conn *conn, int ret, int64_t *deadline, const char *verb);
/*
 * Waits for what status wants, where the connection is blocking and has something to wait for. OK
 * means that the call is to be made again.
 */
tlslife_status tlsl_conn_wait(tlslife_conn *conn, tlslife_status status, int64_t *deadline);
/*
 * Processes what callbacks have recorded. It writes key-log lines to their file, and sends sessions
 * to the external store.
 */
void tlsl_conn_take_facts(tlslife_conn *conn);
static inline void tlsl_conn_facts(tlslife_conn *conn) {
    if (conn->facts) {
        tlsl_conn_take_facts(conn);
    }
}

#endif
