/*
 * ssl_result.h: declares what each call of a connection does before and after its SSL_ call.
 * ssl_result.c.
 */
#ifndef TLSLIFE_SSL_RESULT_H
#define TLSLIFE_SSL_RESULT_H

#include <stdint.h>

#include "tls/state/conn.h"
#include "tls/state/descriptor.h"

/* Refuses a verb whose bytes would come between those of the connection that conn carries. */
tlslife_status tlsl_conn_carries(tlslife_conn *conn, const char *verb);
/*
 * After an SSL_ call that returned ret <= 0. OK means that it has waited, and that the SSL_ call is
 * to be made again; another status is the one to return. *deadline starts as TLSL_DEADLINE_UNSET.
 */
tlslife_status tlsl_conn_settle(tlslife_conn *conn, int ret, int64_t *deadline, const char *verb);
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
