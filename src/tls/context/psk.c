/*
 * psk.c: the pre-shared keys of a context, which both ends have instead of certificates.
 *
 * A server has any number of them, which its clients name. A client offers its first one, or what
 * the program answers (psk_question.c).
 */
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "tls/context/context.h"
#include "tls/context/psk.h"
#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tlslife.h"

/*
 * Limits in bytes, which every OpenSSL from 3.0 on accepts in TLS 1.2 and in TLS 1.3. The buffer
 * for a client's identity must have room for its NUL, too.
 */
#define PSK_IDENTITY_MAX PSK_MAX_IDENTITY_LEN

/* The PSK that a client offers. Without a key there is none. */
static tlsl_psk client_psk(const tlslife_conn *conn) {
    const tlsl_psk_asked *asked = conn == NULL ? NULL : conn->asked.psk;
    if (conn != NULL && conn->context->psk != NULL) {
        return *conn->context->psk;
    }
    return asked == NULL ? (tlsl_psk){.key_len = 0}
                         : (tlsl_psk){.identity = asked->identity,
                                      .key = asked->key,
                                      .key_len = asked->key_len};
}

static unsigned on_psk_client(SSL *ssl, const char *hint, char *identity, unsigned identity_max,
                              unsigned char *key, unsigned key_max) {
    (void)hint;
    const tlsl_psk psk = client_psk(tlsl_conn_of(ssl));
    if (psk.key_len == 0 || strlen(psk.identity) >= identity_max || psk.key_len > key_max) {
        return 0;
    }
    if (psk.identity[0] == '\0' && SSL_get_state(ssl) == TLS_ST_CW_CLNT_HELLO) {
        /*
         * This is TLS 1.3, for which libssl asks while it makes the ClientHello. RFC 8446 section
         * 4.2.11 forbids an empty identity.
         */
        return 0;
    }
    memcpy(identity, psk.identity, strlen(psk.identity) + 1);
    memcpy(key, psk.key, psk.key_len);
    return (unsigned)psk.key_len;
}

/*
 * The session of a PSK in TLS 1.3. libssl would make it without our session id context, and would
 * then refuse it.
 */
static SSL_SESSION *psk_session(const tlslife_conn *conn, const tlsl_psk *psk) {
    static const unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};
    SSL_SESSION *session = SSL_SESSION_new();
    if (session != NULL && SSL_SESSION_set1_master_key(session, psk->key, psk->key_len) == 1 &&
        SSL_SESSION_set_cipher(session, SSL_CIPHER_find(conn->ssl, aes_128_gcm_sha256)) == 1 &&
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1 &&
        SSL_SESSION_set1_id_context(session, conn->resume.sid_ctx,
                                    (unsigned)conn->resume.sid_ctx_len) == 1) {
        return session;
    }
    SSL_SESSION_free(session);
    return NULL;
}

/*
 * SSL_CTX_set_psk_use_session_callback(3). md is the hash that a HelloRetryRequest has negotiated,
 * or NULL. The PSKs here are for SHA-256 alone (RFC 8446 section 4.2.11).
 */
static int on_psk_session(SSL *ssl, const EVP_MD *md, const unsigned char **identity,
                          size_t *identity_len, SSL_SESSION **session) {
    const tlslife_conn *conn = tlsl_conn_of(ssl);
    const tlsl_psk psk = client_psk(conn);
    *session = NULL;
    if (psk.key_len == 0 || psk.identity[0] == '\0' ||
        (md != NULL && EVP_MD_get_type(md) != NID_sha256)) {
        return 1;
    }
    *identity = (const unsigned char *)psk.identity; /* which lives as long as the handshake */
    *identity_len = strlen(psk.identity);
    *session = psk_session(conn, &psk);
    return *session != NULL;
}

const tlsl_psk *tlsl_psk_find(const tlslife_context *context, const char *identity) {
    const tlsl_psk *psk = context->psk;
    while (psk != NULL && strcmp(psk->identity, identity) != 0) {
        psk = psk->next;
    }
    return psk;
}

/* The key that the program has given for this identity (psk_question.c). */
static tlslife_bytes answered(const tlslife_conn *conn, const char *identity) {
    const tlsl_psk_asked *asked = conn->asked.psk;
    return asked == NULL || asked->identity == NULL || strcmp(asked->identity, identity) != 0
               ? (tlslife_bytes){.data = NULL}
               : (tlslife_bytes){.data = asked->key, .len = asked->key_len};
}

/*
 * In TLS 1.3 libssl calls this for one identity of the ClientHello after the other, those of
 * sessions too, until it finds one that it uses.
 */
unsigned tlsl_psk_server(SSL *ssl, const char *identity, unsigned char *key, unsigned key_max) {
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn == NULL || identity == NULL) {
        return 0;
    }
    const tlsl_psk *psk = tlsl_psk_find(conn->context, identity);
    conn->found.psk_identity =
        psk != NULL && SSL_version(ssl) >= TLS1_3_VERSION ? psk->identity : NULL;
    tlslife_bytes found = psk == NULL ? answered(conn, identity)
                                      : (tlslife_bytes){.data = psk->key, .len = psk->key_len};
    if (found.len == 0 || found.len > key_max) {
        return 0;
    }
    memcpy(key, found.data, found.len);
    return (unsigned)found.len;
}

void tlsl_psk_settle(tlslife_conn *conn) {
    const SSL_SESSION *session = SSL_get0_session(conn->ssl);
    bool used = session != NULL && SSL_version(conn->ssl) >= TLS1_3_VERSION &&
                SSL_session_reused(conn->ssl);
    if (!SSL_is_server(conn->ssl)) {
        used = used && !SSL_SESSION_has_ticket(session);
        conn->found.psk_identity = client_psk(conn).identity;
    }
    if (!used) {
        conn->found.psk_identity = NULL;
    }
}

bool tlsl_psk_is_known(const tlslife_context *context) {
    return context->psk != NULL || (context->questions & TLSLIFE_ASK_PSK);
}

void tlsl_psk_install(tlslife_context *context) {
    bool known = tlsl_psk_is_known(context);
    if (context->role == TLSLIFE_SERVER) {
        SSL_CTX_set_psk_server_callback(context->ctx, known ? tlsl_psk_server : NULL);
    } else {
        SSL_CTX_set_psk_client_callback(context->ctx, known ? on_psk_client : NULL);
        SSL_CTX_set_psk_use_session_callback(context->ctx, known ? on_psk_session : NULL);
    }
}

tlslife_status tlsl_psk_agrees(const tlslife_context *context, bool has_psk, unsigned questions,
                               tlslife_error *err) {
    return context->role == TLSLIFE_SERVER || !has_psk || !(questions & TLSLIFE_ASK_PSK)
               ? TLSLIFE_OK
               : tlsl_fail(err, TLSLIFE_ERR_USAGE,
                           "a client offers one PSK: it has one, or asks for it (ASK_PSK, on_psk), "
                           "not both");
}

static tlsl_psk *psk_new(const char *identity, const unsigned char *key, size_t key_len) {
    tlsl_psk *psk = calloc(1, sizeof *psk);
    if (psk == NULL) {
        return NULL;
    }
    psk->identity = strdup(identity);
    psk->key = OPENSSL_memdup(key, key_len);
    psk->key_len = key_len;
    if (psk->identity == NULL || psk->key == NULL) {
        OPENSSL_clear_free(psk->key, key_len);
        free(psk->identity);
        free(psk);
        return NULL;
    }
    return psk;
}

tlslife_status tlslife_context_add_psk(tlslife_context *context, const char *identity,
                                       const unsigned char *key, size_t key_len,
                                       tlslife_error *err) {
    size_t identity_len = strlen(identity);
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    size_t identity_max = PSK_IDENTITY_MAX - (context->role == TLSLIFE_CLIENT);
    if (identity_len > identity_max || key_len == 0 || key_len > TLSL_PSK_KEY_MAX) {
        return tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "a PSK has an identity of 0 to %zu bytes and a key of 1 to 256, not %zu and %zu",
            identity_max, identity_len, key_len);
    }
    if (tlsl_psk_agrees(context, true, context->questions, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlsl_psk **end = &context->psk;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = psk_new(identity, key, key_len);
    if (*end == NULL) {
        return tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for a PSK");
    }
    tlsl_psk_install(context);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_psk_identity_hint(tlslife_context *context, const char *hint,
                                                     tlslife_error *err) {
    size_t len = strlen(hint);
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (context->role == TLSLIFE_CLIENT || len > PSK_IDENTITY_MAX) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a PSK identity hint is for a server, and has 0 to %d bytes, not %zu",
                         PSK_IDENTITY_MAX, len);
    }
    return SSL_CTX_use_psk_identity_hint(context->ctx, hint) == 1
               ? TLSLIFE_OK
               : tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for a PSK hint");
}
