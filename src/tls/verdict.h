/*
 * verdict.h: what a verb does before and after its SSL_ call. verdict.c.
 */
#ifndef TLSLIFE_VERDICT_H
#define TLSLIFE_VERDICT_H

#include <stdint.h>

#include "tls/conn.h"

#define TLSL_DEADLINE_UNSET INT64_MIN

/*
 * Before an SSL_ call that moves data: OK, or why there is none to be made. verb is for the
 * message.
 */
tlslife_status tlsl_conn_ready(tlslife_conn *conn, const char *verb);
/*
 * After an SSL_ call that returned ret <= 0: OK: it has waited, call again; else the status to
 * return. *deadline starts as TLSL_DEADLINE_UNSET.
 */
tlslife_status tlsl_conn_settle(tlslife_conn *conn, int ret, int64_t *deadline, const char *verb);
/* Waits for what status wants, where there is something to wait for: OK: call again. */
tlslife_status tlsl_conn_wait(tlslife_conn *conn, tlslife_status status, int64_t *deadline);
/*
 * Takes what callbacks recorded to where it belongs: key-log lines to their file, sessions to their
 * far home.
 */
void tlsl_conn_take_facts(tlslife_conn *conn);
static inline void tlsl_conn_facts(tlslife_conn *conn) {
    if (conn->facts) {
        tlsl_conn_take_facts(conn);
    }
}

#endif
