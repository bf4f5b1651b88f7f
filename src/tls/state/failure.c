/*
 * failure.c: keeps what has failed on a connection, and the status that every later call returns.
 *
 * A connection has two errors: the one that ended it, which is reported again by each later call,
 * and the last one that did not. Neither is allocated before something fails, because an error is
 * larger than all else that a connection holds.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "tls/state/conn.h"
#include "tls/state/failure.h"
#include "tls/state/measured.h"
#include "tlslife.h"

tlslife_error *tlsl_conn_error(tlslife_conn *conn) {
    if (conn->failure.last == NULL) {
        conn->failure.last = calloc(1, sizeof *conn->failure.last);
    }
    conn->failure.final_is_last = false;
    conn->failure.last_lost = conn->failure.last == NULL;
    return conn->failure.last;
}

tlslife_status tlsl_conn_fail_as(tlslife_conn *conn, const tlslife_error *failure) {
    tlslife_error *err = tlsl_conn_error(conn);
    if (err != NULL) {
        *err = *failure;
    }
    return TLSLIFE_ERROR;
}

tlslife_status tlsl_conn_end(tlslife_conn *conn, tlslife_status final_status) {
    conn->final_status = (uint8_t)final_status;
    free(conn->failure.final);
    conn->failure.final = conn->failure.last;
    conn->failure.final_lost = conn->failure.last_lost;
    conn->failure.last = NULL;
    conn->failure.last_lost = false;
    tlsl_measured_failed(conn);
    return tlsl_conn_final_status(conn);
}

tlslife_status tlsl_conn_final_status(tlslife_conn *conn) {
    conn->failure.final_is_last = conn->final_status != TLSLIFE_OK;
    return (tlslife_status)conn->final_status;
}

/*
 * From libssl 3.2 on SSL_clear frees the object that reads and writes records, and makes another.
 * A handshake begins with it. Where memory is short there is no object any more, and SSL_pending,
 * SSL_set_bio and their like use it without a look. The state of the SSL is then an error before
 * the first message. A server whose peer's first bytes are no ClientHello has that state, too.
 */
bool tlsl_conn_lost_records(const tlslife_conn *conn) {
    return conn->final_status == TLSLIFE_ERROR && SSL_get_state(conn->ssl) == TLS_ST_BEFORE &&
           !SSL_in_before(conn->ssl);
}

void tlsl_conn_forget_end(tlslife_conn *conn) {
    if (conn->failure.final_is_last) {
        free(conn->failure.last);
        conn->failure.last = conn->failure.final;
        conn->failure.last_lost = conn->failure.final_lost;
    } else {
        free(conn->failure.final);
    }
    conn->failure.final = NULL;
    conn->failure.final_is_last = false;
    conn->final_status = TLSLIFE_OK;
}

const tlslife_error *tlslife_conn_error(const tlslife_conn *conn) {
    static const tlslife_error none = {.alert = -1, .verify_depth = -1};
    static const tlslife_error lost = {.kind = TLSLIFE_ERR_MEMORY,
                                       .message = "out of memory for an error",
                                       .alert = -1,
                                       .verify_depth = -1};
    const tlsl_failure *failure = &conn->failure;
    const tlslife_error *last = failure->final_is_last ? failure->final : failure->last;
    if (last != NULL) {
        return last;
    }
    return (failure->final_is_last ? failure->final_lost : failure->last_lost) ? &lost : &none;
}
