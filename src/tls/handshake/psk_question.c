/*
 * psk_question.c: asks the program for the key of a PSK that a client of TLS 1.2 names.
 *
 * libssl asks for it in the middle of a message, and wants it at once. So the record in which the
 * client names its PSK (ClientKeyExchange, RFC 4279) is read here as soon as libssl wants it
 * (hold.c). It goes back in front of the stream, and libssl reads it when the program has answered.
 * Nothing is encrypted yet. In TLS 1.3 the identities are in the ClientHello.
 *
 * An attacker chooses each byte of that record. What is not as expected here is left to libssl,
 * which then knows no key.
 */
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/obj_mac.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "net/front.h"
#include "tls/context/context.h"
#include "tls/context/psk.h"
#include "tls/handshake/psk_question.h"
#include "tls/state/conn.h"
#include "tls/state/failure.h"
#include "tlslife.h"

enum {
    RECORD_HEAD = 5,     /* type, version, length (RFC 5246 section 6.2.1) */
    RECORD_MAX = 0x4000, /* bytes behind the head */
    MESSAGE_HEAD = 4     /* type, length (section 7.4) */
};

/* ----------------------------------------------------------------------------------- the record */

static bool uses_psk(const SSL_CIPHER *cipher) {
    int exchange = cipher == NULL ? NID_undef : SSL_CIPHER_get_kx_nid(cipher);
    return exchange == NID_kx_psk || exchange == NID_kx_dhe_psk || exchange == NID_kx_ecdhe_psk ||
           exchange == NID_kx_rsa_psk;
}

bool tlsl_psk_held(const tlslife_conn *conn) {
    const tlsl_psk_asked *asked = conn->asked.psk;
    if (!SSL_is_server(conn->ssl) || conn->shaken || conn->transport.kind == TLSL_FOREIGN ||
        !(conn->context->questions & TLSLIFE_ASK_PSK) ||
        (asked != NULL && (asked->over || asked->reading))) {
        return false;
    }
    OSSL_HANDSHAKE_STATE state = SSL_get_state(conn->ssl);
    return (state == TLS_ST_SW_SRVR_DONE || state == TLS_ST_SR_CERT) &&
           uses_psk(SSL_get_pending_cipher(conn->ssl));
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

static size_t behind_head(const unsigned char *record) {
    return (size_t)record[3] << 8 | record[4];
}

/*
 * Reads until wanted bytes are there. OK: they are. WANT_READ: not yet. CLOSED: they will not come,
 * or memory is short.
 */
static tlslife_status read_up_to(tlslife_conn *conn, size_t wanted) {
    tlsl_psk_asked *asked = conn->asked.psk;
    BIO *bio = SSL_get_rbio(conn->ssl);
    if (!make_room(asked, wanted)) {
        return TLSLIFE_CLOSED;
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

static tlslife_status read_record(tlslife_conn *conn) {
    tlslife_status status = read_up_to(conn, RECORD_HEAD);
    if (status == TLSLIFE_OK && behind_head(conn->asked.psk->record) <= RECORD_MAX) {
        status = read_up_to(conn, RECORD_HEAD + behind_head(conn->asked.psk->record));
    }
    return status;
}

/* The identity that the record names, or NULL. libssl takes what is before a NUL, too. */
static char *identity_in(const unsigned char *record, size_t len) {
    const size_t before = RECORD_HEAD + MESSAGE_HEAD + 2;
    if (len < before || record[0] != SSL3_RT_HANDSHAKE ||
        record[RECORD_HEAD] != SSL3_MT_CLIENT_KEY_EXCHANGE) {
        return NULL;
    }
    size_t identity_len = (size_t)record[before - 2] << 8 | record[before - 1];
    bool fits = identity_len <= len - before && identity_len <= PSK_MAX_IDENTITY_LEN;
    char *identity = fits ? malloc(identity_len + 1) : NULL;
    if (identity != NULL) {
        memcpy(identity, record + before, identity_len);
        identity[identity_len] = '\0';
    }
    return identity;
}

/* --------------------------------------------------------------------------------- the question */

/* What was read goes back. The program is asked if it may know what the context does not. */
static tlslife_status give_back(tlslife_conn *conn, bool whole) {
    tlsl_psk_asked *asked = conn->asked.psk;
    asked->identity = whole ? identity_in(asked->record, asked->len) : NULL;
    bool asks = asked->identity != NULL && tlsl_psk_find(conn->context, asked->identity) == NULL;
    asked->answer = asks ? TLSL_ASKED : TLSL_UNASKED;
    asked->over = !asks;
    bool ok = tlsl_front_put(tlsl_front_of(SSL_get_rbio(conn->ssl)), asked->record, asked->len);
    free(asked->record);
    asked->record = NULL;
    asked->len = asked->size = 0;
    if (!ok) {
        (void)tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a PSK's identity");
        return tlsl_conn_end(conn, TLSLIFE_ERROR);
    }
    return asks ? TLSLIFE_WANT_PSK : TLSLIFE_OK;
}

tlslife_status tlsl_psk_ask(tlslife_conn *conn) {
    if (conn->asked.psk == NULL) {
        conn->asked.psk = calloc(1, sizeof *conn->asked.psk);
    }
    if (conn->asked.psk == NULL) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a PSK's identity");
    }
    if (tlsl_psk_waits(conn)) {
        return TLSLIFE_WANT_PSK;
    }
    tlsl_errors_clear();
    tlslife_status status = read_record(conn);
    return status == TLSLIFE_WANT_READ ? status : give_back(conn, status == TLSLIFE_OK);
}

bool tlsl_psk_waits(const tlslife_conn *conn) {
    return conn->asked.psk != NULL && conn->asked.psk->answer == TLSL_ASKED;
}

/* ----------------------------------------------------------------------------------- the answer */

tlslife_status tlslife_conn_answer_psk(tlslife_conn *conn, const unsigned char *key,
                                       size_t key_len) {
    tlsl_psk_asked *asked = conn->asked.psk;
    if (!tlsl_psk_waits(conn)) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "answer_psk, but nothing was asked");
    }
    if (key != NULL && (key_len == 0 || key_len > TLSL_PSK_KEY_MAX)) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "the key of a PSK has 1 to 256 bytes, not %zu", key_len);
    }
    asked->key = key == NULL ? NULL : OPENSSL_memdup(key, key_len);
    if (key != NULL && asked->key == NULL) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a PSK");
    }
    asked->key_len = key == NULL ? 0 : key_len;
    asked->answer = TLSL_ACCEPTED;
    asked->over = true;
    return TLSLIFE_OK;
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
        free(asked->identity);
        free(asked->record);
        free(asked);
    }
}
