/*
 * hold.c: keeps the Finished of a TLS 1.2 client unread until the program has answered whether it
 * accepts the client, and what names a PSK, or hints at one, until psk_question.c has looked at it.
 *
 * An attacker who is refused must not learn more than that. A client that has been refused before
 * its Finished was read gets an alert within the handshake, and neither data nor a session.
 */
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "tls/context/context.h"
#include "tls/handshake/hold.h"
#include "tls/handshake/psk_question.h"
#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tls/state/traced.h"
#include "tlslife.h"

/*
 * A TLS 1.2 client has proved possession of its certificate's key when its ChangeCipherSpec has
 * come. Its Finished is a record of its own. Before the server has read that, it has sent nothing
 * under the new keys.
 */
bool tlsl_handshake_held(const tlslife_conn *conn) {
    return SSL_is_server(conn->ssl) && !conn->shaken && conn->asked.verify != TLSL_ACCEPTED &&
           tlsl_asks_verify(conn->context) && SSL_get_state(conn->ssl) == TLS_ST_SR_CHANGE &&
           !SSL_session_reused(conn->ssl) && SSL_version(conn->ssl) < TLS1_3_VERSION;
}

/*
 * BIO_callback_fn_ex(3). While what comes next must not be read, a read looks like one from a
 * transport without bytes.
 */
static long hold_read(BIO *bio, int operation, const char *bytes, size_t len, int number,
                      long longer, int ret, size_t *processed) {
    (void)len, (void)number, (void)longer;
    tlslife_conn *conn = operation == BIO_CB_READ || (operation & BIO_CB_RETURN)
                             ? tlsl_conn_of((const SSL *)BIO_get_callback_arg(bio))
                             : NULL;
    if (conn == NULL || tlsl_psk_is_reading(conn)) {
        return ret; /* what is read before libssl reads it goes back, and is seen then */
    }
    tlsl_traced_bytes(conn, operation, bytes, ret, processed);
    if (operation != BIO_CB_READ || !(tlsl_handshake_held(conn) || tlsl_psk_held(conn))) {
        return ret;
    }
    BIO_clear_retry_flags(bio);
    BIO_set_retry_read(bio);
    return -1;
}

void tlsl_handshake_hold(tlslife_conn *conn) {
    BIO *bio = SSL_get_rbio(conn->ssl);
    /* A callback that is there belongs to the host, as the BIO does. */
    if (bio != NULL && (BIO_get_callback_ex(bio) == NULL || tlsl_traced_watches(bio))) {
        BIO_set_callback_arg(bio, (char *)conn->ssl);
        BIO_set_callback_ex(bio, hold_read);
        conn->transport.holds = true;
        /* Read-ahead would read the Finished together with the record before it. */
        SSL_set_read_ahead(conn->ssl, 0);
    }
}

void tlsl_handshake_let_go(tlslife_conn *conn) {
    BIO *bio = SSL_get_rbio(conn->ssl);
    conn->transport.holds = false;
    if (bio != NULL && BIO_get_callback_ex(bio) == hold_read) {
        BIO_set_callback_ex(bio, NULL);
        BIO_set_callback_arg(bio, NULL);
        SSL_set_read_ahead(conn->ssl, SSL_CTX_get_read_ahead(SSL_get_SSL_CTX(conn->ssl)) != 0);
        tlsl_traced_watch(conn);
    }
}
