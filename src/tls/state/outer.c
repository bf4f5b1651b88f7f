/*
 * outer.c: what a connection that carries another one has to do with a failure of that one.
 *
 * nested.c records in the outer connection how the last call for the inner one went. This file
 * makes a status and an error of the inner connection out of that.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "tls/state/conn.h"
#include "tls/state/failure.h"
#include "tls/state/outer.h"
#include "tlslife.h"

tlslife_status tlsl_outer_status(const tlslife_conn *conn) {
    const tlslife_conn *outer = conn->transport.outer;
    tlslife_status status =
        outer == NULL ? TLSLIFE_OK : (tlslife_status)outer->transport.inner_status;
    bool wants = status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE;
    return wants ? TLSLIFE_OK : status;
}

void tlsl_outer_explain(tlslife_conn *conn, const char *verb) {
    const tlslife_conn *outer = conn->transport.outer;
    tlslife_status status = tlsl_outer_status(conn);
    tlslife_error *err = tlsl_conn_error(conn);
    if (err == NULL || outer == NULL) {
        return;
    }
    if (status == TLSLIFE_CLOSED || status == TLSLIFE_TRUNCATED) {
        (void)tlsl_fail(err, TLSLIFE_ERR_TLS, "%s failed: the outer connection has ended: %s", verb,
                        status == TLSLIFE_CLOSED ? "its peer closed it" : "its stream was cut");
    } else if (status != TLSLIFE_ERROR) {
        (void)tlsl_fail(err, TLSLIFE_ERR_TLS,
                        "%s must wait: the outer connection asks a question (%s): call its "
                        "handshake, then %s again",
                        verb, tlslife_status_name(status), verb);
    } else {
        tlslife_error failure = *tlslife_conn_error(outer);
        /* What the program did to the outer connection is the end of this one, not a wrong call. */
        failure.kind = failure.kind == TLSLIFE_ERR_USAGE ? TLSLIFE_ERR_TLS : failure.kind;
        (void)tlsl_fail(err, failure.kind, "%s failed: the outer connection failed: %s", verb,
                        failure.message);
        memcpy(failure.message, err->message, sizeof failure.message);
        *err = failure;
    }
}
