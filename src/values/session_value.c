/*
 * session_value.c: the functions that read a session's values, export its bytes, and mark it.
 *
 * A tlslife_session is an SSL_SESSION under another name, without a structure around it, so
 * identity and reference counts are OpenSSL's. Its bytes hold the master secret, so our copies are
 * wiped.
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "base/once.h"
#include "tlslife.h"
#include "tlslife_openssl.h"
#include "values/certificate.h"
#include "values/session_value.h"

static SSL_SESSION *raw(const tlslife_session *session) {
    return (SSL_SESSION *)(uintptr_t)session;
}

tlslife_session *tlslife_session_from_ssl_session(SSL_SESSION *session) {
    return (tlslife_session *)(void *)session;
}

SSL_SESSION *tlslife_session_ssl_session(tlslife_session *session) {
    return raw(session);
}

tlslife_session *tlslife_session_up_ref(tlslife_session *session) {
    SSL_SESSION_up_ref(raw(session));
    return session;
}

void tlslife_session_free(tlslife_session *session) {
    SSL_SESSION_free(raw(session));
}

tlslife_session *tlslife_session_dup(const tlslife_session *session) {
    ERR_clear_error();
    return tlslife_session_from_ssl_session(SSL_SESSION_dup(raw(session)));
}

tlslife_bytes tlslife_session_id(const tlslife_session *session) {
    unsigned len = 0;
    const unsigned char *id = SSL_SESSION_get_id(raw(session), &len);
    return (tlslife_bytes){id, len};
}

int64_t tlslife_session_time(const tlslife_session *session) {
    return SSL_SESSION_get_time(raw(session));
}

long tlslife_session_timeout(const tlslife_session *session) {
    return SSL_SESSION_get_timeout(raw(session));
}

long tlsl_session_left(const SSL_SESSION *session, long most, int64_t now) {
    long made = SSL_SESSION_get_time(session);
    long lifetime = SSL_SESSION_get_timeout(session);
    if (most > 0 && most < lifetime) {
        lifetime = most;
    }
    if (made < 0) {
        return 0;
    }
    long age = made < now ? (long)(now - made) : 0;
    return age < lifetime ? lifetime - age : 0;
}

bool tlslife_session_set_timeout(tlslife_session *session, long timeout_seconds) {
    return timeout_seconds >= 0 && timeout_seconds <= TLSL_SESSION_TIMEOUT_MAX &&
           SSL_SESSION_set_timeout(raw(session), timeout_seconds) == 1;
}

tlslife_bytes tlslife_session_ticket(const tlslife_session *session) {
    const unsigned char *ticket = NULL;
    size_t len = 0;
    SSL_SESSION_get0_ticket(raw(session), &ticket, &len);
    return (tlslife_bytes){ticket, len};
}

unsigned long tlslife_session_ticket_lifetime(const tlslife_session *session) {
    return SSL_SESSION_get_ticket_lifetime_hint(raw(session));
}

const char *tlslife_session_protocol(const tlslife_session *session) {
    switch (SSL_SESSION_get_protocol_version(raw(session))) {
    case TLS1_3_VERSION: return "TLSv1.3";
    case TLS1_2_VERSION: return "TLSv1.2";
    case TLS1_1_VERSION: return "TLSv1.1";
    case TLS1_VERSION: return "TLSv1";
    default: return "unknown";
    }
}

const char *tlslife_session_cipher(const tlslife_session *session) {
    const SSL_CIPHER *cipher = SSL_SESSION_get0_cipher(raw(session));
    return cipher == NULL ? NULL : SSL_CIPHER_get_name(cipher);
}

const char *tlslife_session_hostname(const tlslife_session *session) {
    return SSL_SESSION_get0_hostname(raw(session));
}

tlslife_bytes tlslife_session_alpn(const tlslife_session *session) {
    const unsigned char *alpn = NULL;
    size_t len = 0;
    SSL_SESSION_get0_alpn_selected(raw(session), &alpn, &len);
    return (tlslife_bytes){alpn, len};
}

uint32_t tlslife_session_max_early_data(const tlslife_session *session) {
    return SSL_SESSION_get_max_early_data(raw(session));
}

bool tlslife_session_is_resumable(const tlslife_session *session) {
    return SSL_SESSION_is_resumable(raw(session));
}

bool tlslife_session_peer_certificate(const tlslife_session *session, tlslife_certificate *out) {
    X509 *peer = SSL_SESSION_get0_peer(raw(session));
    return peer != NULL && tlsl_certificate_fill(out, peer);
}

static bool same_id(const SSL_SESSION *a, const SSL_SESSION *b) {
    unsigned a_len = 0, b_len = 0;
    const unsigned char *a_id = SSL_SESSION_get_id(a, &a_len);
    const unsigned char *b_id = SSL_SESSION_get_id(b, &b_len);
    return a_len == b_len && memcmp(a_id, b_id, a_len) == 0;
}

bool tlslife_session_equal(const tlslife_session *a, const tlslife_session *b) {
    unsigned char *left = NULL, *right = NULL;
    size_t left_len = 0, right_len = 0;
    if (a == b) {
        return true;
    }
    if (!same_id(raw(a), raw(b))) { /* which the bytes hold, too */
        return false;
    }
    bool equal = tlslife_session_export_der(a, &left, &left_len, NULL) == TLSLIFE_OK &&
                 tlslife_session_export_der(b, &right, &right_len, NULL) == TLSLIFE_OK &&
                 left_len == right_len && CRYPTO_memcmp(left, right, left_len) == 0;
    tlslife_session_bytes_free(left, left_len);
    tlslife_session_bytes_free(right, right_len);
    return equal;
}

/* --------------------------------------------------------------------------------------- export */

/* i2d_SSL_SESSION returns 0 for a session without a cipher. It asks for its length only here. */
static tlslife_status fail_export(const tlslife_session *session, tlslife_error *err) {
    ERR_clear_error();
    return i2d_SSL_SESSION(raw(session), NULL) == 0
               ? tlsl_fail(err, TLSLIFE_ERR_TLS, "this session has nothing to export yet")
               : tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for the export of a session");
}

tlslife_status tlslife_session_export_der(const tlslife_session *session, unsigned char **out,
                                          size_t *out_len, tlslife_error *err) {
    ERR_clear_error();
    *out = NULL;
    int len = i2d_SSL_SESSION(raw(session), out);
    if (len <= 0) {
        return fail_export(session, err);
    }
    *out_len = (size_t)len;
    return TLSLIFE_OK;
}

tlslife_status tlslife_session_export_pem(const tlslife_session *session, unsigned char **out,
                                          size_t *out_len, tlslife_error *err) {
    ERR_clear_error();
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = bio != NULL && PEM_write_bio_SSL_SESSION(bio, raw(session)) == 1;
    long len = ok ? BIO_get_mem_data(bio, &text) : 0;
    *out = len > 0 ? OPENSSL_memdup(text, (size_t)len) : NULL;
    *out_len = (size_t)len;
    if (len > 0) {
        OPENSSL_cleanse(text, (size_t)len);
    }
    BIO_free(bio);
    return *out != NULL ? TLSLIFE_OK : fail_export(session, err);
}

void tlslife_session_bytes_free(unsigned char *bytes, size_t bytes_len) {
    OPENSSL_clear_free(bytes, bytes_len);
}

/* ---------------------------------------------------------------------------------------- marks */

static int mark_indexes[TLSL_SESSION_MARKS];
static tlsl_once mark_indexes_once = TLSL_ONCE;

/* An index is never 0, which is the program's (SSL_SESSION_set_app_data). */
static bool make_mark_indexes(void) {
    bool made = true;
    for (size_t i = 0; i < TLSL_SESSION_MARKS; i++) {
        if (mark_indexes[i] <= 0) {
            mark_indexes[i] = SSL_SESSION_get_ex_new_index(0, NULL, NULL, NULL, NULL);
        }
        made = made && mark_indexes[i] > 0;
    }
    return made;
}

bool tlsl_session_has_mark(const SSL_SESSION *session, tlsl_session_mark mark) {
    return tlsl_once_done(&mark_indexes_once, make_mark_indexes) &&
           SSL_SESSION_get_ex_data(session, mark_indexes[mark]) != NULL;
}

bool tlsl_session_set_mark(SSL_SESSION *session, tlsl_session_mark mark) {
    return tlsl_session_has_mark(session, mark) ||
           (tlsl_once_done(&mark_indexes_once, make_mark_indexes) &&
            SSL_SESSION_set_ex_data(session, mark_indexes[mark], mark_indexes) == 1);
}
