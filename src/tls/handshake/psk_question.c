/*
 * psk_question.c: asks the program for a PSK. A server asks for the key of the identity that a
 * client of TLS 1.2 names, and a client asks which PSK it shall name.
 *
 * libssl asks for it in the middle of a message, and wants it at once. So what the other side says
 * of it is read here as soon as libssl wants it (hold.c): on a server the record in which the
 * client names its PSK (ClientKeyExchange, RFC 4279), on a client the flight in which the server
 * gives its hint (psk_flight.c). It goes back in front of the stream, and libssl reads it when the
 * program has answered. Nothing is encrypted yet.
 *
 * In TLS 1.3 there is no hint, and the identities are in the ClientHello. A client is asked before
 * it, and a server by on_hello.
 *
 * An attacker chooses each byte of what is read. What is not as expected here is left to libssl,
 * which then knows no key.
 */
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "base/reader.h"
#include "net/front.h"
#include "tls/context/context.h"
#include "tls/context/psk.h"
#include "tls/context/psk_flight.h"
#include "tls/context/resumption.h"
#include "tls/handshake/psk_question.h"
#include "tls/state/conn.h"
#include "tls/state/failure.h"
#include "tlslife.h"

/* ----------------------------------------------------------------------------------- the record */

bool tlsl_psk_held(const tlslife_conn *conn) {
    const tlsl_psk_asked *asked = conn->asked.psk;
    if (conn->shaken || conn->transport.kind == TLSL_FOREIGN ||
        !(conn->context->questions & TLSLIFE_ASK_PSK) ||
        (asked != NULL && (asked->over || asked->reading))) {
        return false;
    }
    OSSL_HANDSHAKE_STATE state = SSL_get_state(conn->ssl);
    if (!SSL_is_server(conn->ssl)) {
        return state == TLS_ST_CW_CLNT_HELLO;
    }
    return (state == TLS_ST_SW_SRVR_DONE || state == TLS_ST_SR_CERT) &&
           tlsl_uses_psk(SSL_get_pending_cipher(conn->ssl));
}

bool tlsl_psk_is_reading(const tlslife_conn *conn) {
    return conn->asked.psk != NULL && conn->asked.psk->reading;
}

static bool make_room(tlsl_psk_asked *asked, size_t size) {
    unsigned char *larger = asked->size >= size ? asked->record : realloc(asked->record, size);
    if (larger == NULL) {
        return false;
    }
    asked->record = larger;
    asked->size = size;
    return true;
}

/* Bytes of the record that begins there, of which the head has come. */
static size_t record_len(const unsigned char *record) {
    return SSL3_RT_HEADER_LENGTH + ((size_t)record[3] << 8 | record[4]);
}

/* For what was read already there is no way back to libssl. */
static tlslife_status out_of_memory(tlslife_conn *conn) {
    (void)tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a PSK's identity");
    return tlsl_conn_end(conn, TLSLIFE_ERROR);
}

/*
 * Reads until wanted bytes are there. OK: they are. WANT_READ: not yet. CLOSED: they will not come.
 * ERROR: memory is short.
 */
static tlslife_status read_up_to(tlslife_conn *conn, size_t wanted) {
    tlsl_psk_asked *asked = conn->asked.psk;
    BIO *bio = SSL_get_rbio(conn->ssl);
    if (!make_room(asked, wanted)) {
        return out_of_memory(conn);
    }
    while (asked->len < wanted) {
        size_t got = 0;
        asked->reading = true;
        int ok = BIO_read_ex(bio, asked->record + asked->len, wanted - asked->len, &got);
        asked->reading = false;
        if (ok != 1) {
            return BIO_should_retry(bio) ? TLSLIFE_WANT_READ : TLSLIFE_CLOSED;
        }
        asked->len += got;
    }
    return TLSLIFE_OK;
}

/* Reads the record that begins at `start`. */
static tlslife_status read_record(tlslife_conn *conn, size_t start) {
    tlslife_status status = read_up_to(conn, start + SSL3_RT_HEADER_LENGTH);
    if (status != TLSLIFE_OK) {
        return status;
    }
    size_t len = record_len(conn->asked.psk->record + start);
    return len > SSL3_RT_HEADER_LENGTH + SSL3_RT_MAX_PLAIN_LENGTH ? TLSLIFE_CLOSED
                                                                  : read_up_to(conn, start + len);
}

/* The identity that the record names. libssl takes what is before a NUL, too. false: none. */
static bool identity_in(const unsigned char *record, size_t len, tlsl_reader *identity) {
    tlsl_reader rest = {record, len}, heads;
    return tlsl_take(&rest, SSL3_RT_HEADER_LENGTH + SSL3_HM_HEADER_LENGTH, &heads) &&
           heads.at[0] == SSL3_RT_HANDSHAKE &&
           heads.at[SSL3_RT_HEADER_LENGTH] == SSL3_MT_CLIENT_KEY_EXCHANGE &&
           tlsl_take_vector(&rest, 2, identity) && identity->left <= PSK_MAX_IDENTITY_LEN;
}

/* --------------------------------------------------------------------------------- the question */

/* Puts back what was read, and asks the program if it is to answer. */
static tlslife_status give_back(tlslife_conn *conn, bool asks) {
    tlsl_psk_asked *asked = conn->asked.psk;
    asked->answer = asks ? TLSL_ASKED : TLSL_UNASKED;
    asked->over = !asks;
    bool ok = tlsl_front_put(tlsl_front_of(SSL_get_rbio(conn->ssl)), asked->record, asked->len);
    free(asked->record);
    asked->record = NULL;
    asked->len = asked->size = 0;
    if (!ok) {
        return out_of_memory(conn);
    }
    return asks ? TLSLIFE_WANT_PSK : TLSLIFE_OK;
}

/* Server: the program is asked if it may know what the context does not. */
static tlslife_status ask_key(tlslife_conn *conn) {
    tlsl_psk_asked *asked = conn->asked.psk;
    tlslife_status status = read_record(conn, 0);
    tlsl_reader identity;
    if (status == TLSLIFE_WANT_READ || status == TLSLIFE_ERROR) {
        return status;
    }
    bool there = status == TLSLIFE_OK && asked->record != NULL;
    if (there && identity_in(asked->record, asked->len, &identity)) {
        asked->identity = tlsl_copy_text(identity);
        if (asked->identity == NULL) {
            return out_of_memory(conn);
        }
    }
    return give_back(conn, asked->identity != NULL &&
                               tlsl_psk_find(conn->context, asked->identity) == NULL);
}

/* Client: the program is asked if the server wants a PSK. */
static tlslife_status ask_identity(tlslife_conn *conn) {
    tlsl_psk_asked *asked = conn->asked.psk;
    tlsl_flight_state state = TLSL_FLIGHT_MORE;
    while (state == TLSL_FLIGHT_MORE) {
        tlslife_status status = read_record(conn, asked->start);
        if (status == TLSLIFE_WANT_READ || status == TLSLIFE_ERROR) {
            return status;
        }
        const unsigned char *record = asked->record + asked->start;
        state = status == TLSLIFE_OK
                    ? tlsl_flight_add(&asked->flight, conn->ssl, record, asked->len - asked->start)
                    : TLSL_FLIGHT_OTHER;
        asked->start = asked->len;
    }
    return state == TLSL_FLIGHT_NO_MEMORY ? out_of_memory(conn)
                                          : give_back(conn, state == TLSL_FLIGHT_PSK);
}

static bool make_asked(tlslife_conn *conn) {
    if (conn->asked.psk == NULL) {
        conn->asked.psk = calloc(1, sizeof *conn->asked.psk);
    }
    if (conn->asked.psk == NULL) {
        (void)tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a PSK's identity");
    }
    return conn->asked.psk != NULL;
}

tlslife_status tlsl_psk_ask(tlslife_conn *conn) {
    if (!make_asked(conn)) {
        return TLSLIFE_ERROR;
    }
    if (tlsl_psk_waits(conn)) {
        return TLSLIFE_WANT_PSK;
    }
    tlsl_errors_clear();
    return SSL_is_server(conn->ssl) ? ask_key(conn) : ask_identity(conn);
}

tlslife_status tlsl_psk_begin(tlslife_conn *conn) {
    if (SSL_is_server(conn->ssl) || !(conn->context->questions & TLSLIFE_ASK_PSK) ||
        !tlsl_conn_speaks_tls13(conn)) {
        return TLSLIFE_OK;
    }
    if (!make_asked(conn)) {
        return TLSLIFE_ERROR;
    }
    if (!conn->asked.psk->begun) {
        conn->asked.psk->begun = true;
        conn->asked.psk->answer = TLSL_ASKED;
    }
    return tlsl_psk_waits(conn) ? TLSLIFE_WANT_PSK : TLSLIFE_OK;
}

bool tlsl_psk_waits(const tlslife_conn *conn) {
    return conn->asked.psk != NULL && conn->asked.psk->answer == TLSL_ASKED;
}

/* ----------------------------------------------------------------------------------- the answer */

static tlslife_status check_waits(tlslife_conn *conn, bool server, const char *verb) {
    return tlsl_psk_waits(conn) && SSL_is_server(conn->ssl) == server
               ? TLSLIFE_OK
               : tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s, but nothing was asked", verb);
}

/* Takes the answer, after which libssl may read what follows. */
static tlslife_status take_key(tlslife_conn *conn, const unsigned char *key, size_t key_len) {
    tlsl_psk_asked *asked = conn->asked.psk;
    if (key != NULL && (key_len == 0 || key_len > TLSL_PSK_KEY_MAX)) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "the key of a PSK has 1 to 256 bytes, not %zu", key_len);
    }
    unsigned char *copy = key == NULL ? NULL : OPENSSL_memdup(key, key_len);
    if (key != NULL && copy == NULL) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a PSK");
    }
    OPENSSL_clear_free(asked->key, asked->key_len);
    asked->key = copy;
    asked->key_len = key == NULL ? 0 : key_len;
    asked->answer = TLSL_ACCEPTED;
    asked->over = conn->begun;
    return TLSLIFE_OK;
}

tlslife_status tlslife_conn_answer_psk(tlslife_conn *conn, const unsigned char *key,
                                       size_t key_len) {
    tlslife_status status = check_waits(conn, true, "answer_psk");
    return status == TLSLIFE_OK ? take_key(conn, key, key_len) : status;
}

tlslife_status tlslife_conn_answer_psk_client(tlslife_conn *conn, const char *identity,
                                              const unsigned char *key, size_t key_len) {
    if (check_waits(conn, false, "answer_psk_client") != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    size_t identity_len = identity == NULL ? 0 : strlen(identity);
    if ((identity == NULL) != (key == NULL) || identity_len >= PSK_MAX_IDENTITY_LEN) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "a PSK is an identity of 0 to %d bytes and a key, or neither",
                              PSK_MAX_IDENTITY_LEN - 1);
    }
    char *copy = identity == NULL ? NULL : strdup(identity);
    if (identity != NULL && copy == NULL) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a PSK");
    }
    tlslife_status status = take_key(conn, key, key_len);
    if (status == TLSLIFE_OK) {
        free(conn->asked.psk->identity);
        conn->asked.psk->identity = copy;
    } else {
        free(copy);
    }
    return status;
}

void tlsl_psk_refuse(tlslife_conn *conn) {
    conn->asked.psk->answer = TLSL_REFUSED;
    conn->asked.psk->over = true;
}

bool tlsl_psk_is_refused(const tlslife_conn *conn) {
    return conn->asked.psk != NULL && conn->asked.psk->answer == TLSL_REFUSED;
}

void tlsl_psk_asked_free(tlsl_psk_asked *asked) {
    if (asked != NULL) {
        OPENSSL_clear_free(asked->key, asked->key_len);
        tlsl_flight_clear(&asked->flight);
        free(asked->identity);
        free(asked->record);
        free(asked);
    }
}
