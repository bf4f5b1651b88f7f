/*
 * info.c: the getters for what a handshake found.
 *
 * Before the handshake is done libssl's own getters crash or are wrong. SSL_get_negotiated_group
 * crashes before a TLS 1.2 handshake, the verify result is OK, and a cleared SSL returns the
 * results of the handshake before. So each getter here looks at the connection's state first.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/context/context.h"
#include "tls/handshake/hold.h"
#include "tls/handshake/psk_question.h"
#include "tls/state/conn.h"
#include "tlslife.h"
#include "values/certificate.h"

tlslife_state tlslife_conn_state(const tlslife_conn *conn) {
    if (conn->final_status != TLSLIFE_OK) {
        return TLSLIFE_STATE_FAILED;
    }
    if (conn->open) {
        return TLSLIFE_STATE_OPEN;
    }
    return conn->begun ? TLSLIFE_STATE_HANDSHAKE : TLSLIFE_STATE_BEFORE;
}

const char *tlslife_conn_state_name(const tlslife_conn *conn) {
    static const char *const names[] = {"before", "handshake", "open", "failed"};
    return names[tlslife_conn_state(conn)];
}

const char *tlslife_conn_state_text(const tlslife_conn *conn) {
    return SSL_state_string_long(conn->ssl);
}

bool tlslife_conn_is_server(const tlslife_conn *conn) {
    return SSL_is_server(conn->ssl);
}

/*
 * Most of what a handshake found is in its session, and libssl's getters do not check that there is
 * one. set_session removes the session, and a renegotiation that fails may remove it.
 */
static bool has_session(const tlslife_conn *conn) {
    return SSL_get0_session(conn->ssl) != NULL;
}

static bool established(const tlslife_conn *conn) {
    return conn->known && has_session(conn);
}

/*
 * What the hellos negotiated is known before the handshake is done where a server asks its program
 * about the client's certificate in TLS 1.2.
 */
static bool negotiated(const tlslife_conn *conn) {
    return established(conn) || (has_session(conn) && tlsl_handshake_held(conn));
}

/* The program is being asked about the peer, or has just answered. */
static bool in_question(const tlslife_conn *conn) {
    return conn->asked.verify != TLSL_UNASKED && has_session(conn);
}

const char *tlslife_conn_version(const tlslife_conn *conn) {
    return negotiated(conn) ? SSL_get_version(conn->ssl) : NULL;
}

const char *tlslife_conn_cipher(const tlslife_conn *conn) {
    const SSL_CIPHER *cipher = negotiated(conn) ? SSL_get_current_cipher(conn->ssl) : NULL;
    return cipher == NULL ? NULL : SSL_CIPHER_get_name(cipher);
}

size_t tlslife_conn_cipher_description(const tlslife_conn *conn, char *out, size_t out_len) {
    const SSL_CIPHER *cipher = negotiated(conn) ? SSL_get_current_cipher(conn->ssl) : NULL;
    char text[256] = "";
    if (out_len > 0) {
        out[0] = '\0';
    }
    if (cipher == NULL || SSL_CIPHER_description(cipher, text, (int)sizeof text) == NULL) {
        return 0;
    }
    size_t len = strcspn(text, "\n");
    if (len < out_len) {
        memcpy(out, text, len);
        out[len] = '\0';
    }
    return len;
}

int tlslife_conn_cipher_bits(const tlslife_conn *conn, int *out_algorithm_bits) {
    const SSL_CIPHER *cipher = negotiated(conn) ? SSL_get_current_cipher(conn->ssl) : NULL;
    return cipher == NULL ? 0 : SSL_CIPHER_get_bits(cipher, out_algorithm_bits);
}

/* OpenSSL 3.0 names some groups by their curve's NID and others by a number of its own. */
const char *tlslife_conn_group(const tlslife_conn *conn) {
    if (!negotiated(conn)) {
        return NULL;
    }
    int id = (int)SSL_get_negotiated_group(conn->ssl);
    const char *name = id == NID_undef ? NULL : SSL_group_to_name(conn->ssl, id);
    return name != NULL || id == NID_undef ? name : OBJ_nid2sn(id);
}

bool tlslife_conn_alpn(const tlslife_conn *conn, tlslife_bytes *out) {
    const unsigned char *name = NULL;
    unsigned len = 0;
    if (negotiated(conn)) {
        SSL_get0_alpn_selected(conn->ssl, &name, &len);
    }
    if (len == 0) {
        return false;
    }
    *out = (tlslife_bytes){name, len};
    return true;
}

const char *tlslife_conn_psk_identity(const tlslife_conn *conn) {
    if (tlsl_psk_waits(conn)) {
        return SSL_is_server(conn->ssl) ? conn->asked.psk->identity : NULL;
    }
    if (!negotiated(conn)) {
        return NULL;
    }
    return SSL_version(conn->ssl) >= TLS1_3_VERSION ? conn->found.psk_identity
                                                    : SSL_get_psk_identity(conn->ssl);
}

const char *tlslife_conn_psk_identity_hint(const tlslife_conn *conn) {
    if (tlsl_psk_waits(conn)) {
        return conn->asked.psk->flight.hint;
    }
    return negotiated(conn) ? SSL_get_psk_identity_hint(conn->ssl) : NULL;
}

const char *tlslife_conn_server_name(const tlslife_conn *conn) {
    if (SSL_is_server(conn->ssl) && !conn->context->foreign) {
        return conn->found.server_name;
    }
    /* SSL_get_servername would read the session. */
    bool lost = SSL_session_reused(conn->ssl) && !has_session(conn);
    return lost ? NULL : SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name);
}

long tlslife_conn_verify_result(const tlslife_conn *conn) {
    if (in_question(conn) && conn->asked.verify == TLSL_ASKED && !SSL_session_reused(conn->ssl)) {
        return conn->found.verify_result;
    }
    return established(conn) ? SSL_get_verify_result(conn->ssl) : -1;
}

/* ----------------------------------------------------------------------------------- algorithms */

/* Writes an algorithm as the setter of the signature algorithms takes it. */
static bool write_signature(int type, int digest, char *out, size_t out_len) {
    const char *name = type == EVP_PKEY_RSA       ? "RSA"
                       : type == EVP_PKEY_RSA_PSS ? "RSA-PSS"
                       : type == EVP_PKEY_EC      ? "ECDSA"
                       : type == EVP_PKEY_DSA     ? "DSA"
                       : type == EVP_PKEY_ED25519 ? "ed25519"
                       : type == EVP_PKEY_ED448   ? "ed448"
                                                  : OBJ_nid2sn(type);
    if (name == NULL) {
        return false;
    }
    (void)snprintf(out, out_len, "%s%s%s", name, digest == NID_undef ? "" : "+",
                   digest == NID_undef ? "" : OBJ_nid2sn(digest));
    return true;
}

/*
 * With RSA key exchange a server proves its key by decrypting, and signs nothing. libssl names the
 * signature algorithm that it had chosen all the same.
 */
static bool server_signs(const tlslife_conn *conn) {
    const SSL_CIPHER *cipher = SSL_get_current_cipher(conn->ssl);
    int exchange = cipher == NULL ? NID_undef : SSL_CIPHER_get_kx_nid(cipher);
    return exchange != NID_kx_rsa && exchange != NID_kx_rsa_psk;
}

bool tlslife_conn_signature_algorithm(const tlslife_conn *conn, char *out, size_t out_len) {
    int type = NID_undef, digest = NID_undef;
    return established(conn) && (!SSL_is_server(conn->ssl) || server_signs(conn)) &&
           SSL_get_signature_type_nid(conn->ssl, &type) == 1 &&
           SSL_get_signature_nid(conn->ssl, &digest) == 1 &&
           write_signature(type, digest, out, out_len);
}

bool tlslife_conn_peer_signature_algorithm(const tlslife_conn *conn, char *out, size_t out_len) {
    int type = NID_undef, digest = NID_undef;
    return established(conn) && SSL_get_peer_signature_type_nid(conn->ssl, &type) == 1 &&
           SSL_get_peer_signature_nid(conn->ssl, &digest) == 1 &&
           write_signature(type, digest, out, out_len);
}

/* The names of ciphers, joined by ":"; NULL if there are none, or memory is short. */
static char *join(const STACK_OF(SSL_CIPHER) *ciphers) {
    size_t len = 0;
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        len += strlen(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i))) + 1;
    }
    char *text = len == 0 ? NULL : malloc(len), *end = text;
    for (int i = 0; text != NULL && i < sk_SSL_CIPHER_num(ciphers); i++) {
        const char *name = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i));
        size_t name_len = strlen(name);
        memcpy(end, name, name_len);
        end[name_len] = ':';
        end += name_len + 1;
    }
    if (text != NULL) {
        end[-1] = '\0';
    }
    return text;
}

/*
 * A client's own SSL says only what fits the version that was negotiated, once that is known. A new
 * one of the same settings says what was offered.
 */
static char *client_offers(const tlslife_conn *conn) {
    ERR_set_mark();
    SSL *fresh = SSL_new(SSL_get_SSL_CTX(conn->ssl));
    if (fresh != NULL) {
        SSL_set_connect_state(fresh);
    }
    STACK_OF(SSL_CIPHER) *ciphers = fresh == NULL ? NULL : SSL_get1_supported_ciphers(fresh);
    char *text = join(ciphers);
    sk_SSL_CIPHER_free(ciphers);
    SSL_free(fresh);
    ERR_pop_to_mark();
    return text;
}

char *tlslife_conn_offered_ciphers(const tlslife_conn *conn) {
    if (!SSL_is_server(conn->ssl)) {
        return client_offers(conn);
    }
    /* Where a TLS 1.2 session resumes, libssl keeps what an earlier handshake had. */
    bool kept = established(conn) &&
                (!SSL_session_reused(conn->ssl) || SSL_version(conn->ssl) >= TLS1_3_VERSION);
    return kept ? join(SSL_get_client_ciphers(conn->ssl)) : NULL;
}

/* SSL_get_extms_support gives -1 on a connection that has failed, so the answer was kept. */
bool tlslife_conn_extended_master_secret(const tlslife_conn *conn) {
    if (!established(conn)) {
        return false;
    }
    long found = SSL_version(conn->ssl) >= TLS1_3_VERSION ? 1 : SSL_get_extms_support(conn->ssl);
    return found < 0 ? conn->found.extms : found == 1;
}

bool tlslife_conn_hello_retry(const tlslife_conn *conn) {
    return established(conn) && conn->found.hello_retry;
}

bool tlslife_conn_secure_renegotiation(const tlslife_conn *conn) {
    return established(conn) && SSL_get_secure_renegotiation_support(conn->ssl) == 1;
}

/* SSL_num_renegotiations does not count those that the client begins. */
unsigned tlslife_conn_num_renegotiations(const tlslife_conn *conn) {
    if (conn->origin->foreign) {
        return (unsigned)SSL_num_renegotiations(conn->ssl);
    }
    /* TLS 1.3 has none; libssl reports early data as a handshake there. */
    bool none = conn->found.handshakes == 0 || SSL_version(conn->ssl) >= TLS1_3_VERSION;
    return none ? 0 : conn->found.handshakes - 1;
}

/* --------------------------------------------------------------------------------- certificates */

/*
 * On a server libssl's chain does not contain the client's leaf. Here index 0 is the leaf on both
 * sides.
 */
static X509 *peer_at(const tlslife_conn *conn, size_t index) {
    if (!established(conn) && !in_question(conn)) {
        return NULL;
    }
    if (SSL_is_server(conn->ssl)) {
        if (index == 0) {
            return SSL_get0_peer_certificate(conn->ssl);
        }
        index--;
    }
    const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(conn->ssl);
    if (chain == NULL && index == 0 && !SSL_is_server(conn->ssl)) {
        /* An imported session has the leaf alone. */
        return SSL_get0_peer_certificate(conn->ssl);
    }
    return chain == NULL || index >= (size_t)sk_X509_num(chain) ? NULL
                                                                : sk_X509_value(chain, (int)index);
}

size_t tlslife_conn_peer_certificates_len(const tlslife_conn *conn) {
    size_t len = 0;
    while (peer_at(conn, len) != NULL) {
        len++;
    }
    return len;
}

bool tlslife_conn_peer_certificate(const tlslife_conn *conn, size_t index,
                                   tlslife_certificate *out) {
    X509 *x509 = peer_at(conn, index);
    return x509 != NULL && tlsl_certificate_fill(out, x509);
}

/* Our leaf, then its chain as it is sent. libssl's getters take no const, and change nothing. */
static X509 *local_at(const tlslife_conn *conn, size_t index) {
    STACK_OF(X509) *chain = NULL;
    X509 *leaf = established(conn) ? SSL_get_certificate(conn->ssl) : NULL;
    if (leaf == NULL || index == 0) {
        return leaf;
    }
    bool known = SSL_get0_chain_certs(conn->ssl, &chain) == 1 && chain != NULL;
    return known && index <= (size_t)sk_X509_num(chain) ? sk_X509_value(chain, (int)index - 1)
                                                        : NULL;
}

size_t tlslife_conn_local_certificates_len(const tlslife_conn *conn) {
    size_t len = 0;
    while (local_at(conn, len) != NULL) {
        len++;
    }
    return len;
}

bool tlslife_conn_local_certificate(const tlslife_conn *conn, size_t index,
                                    tlslife_certificate *out) {
    X509 *x509 = local_at(conn, index);
    return x509 != NULL && tlsl_certificate_fill(out, x509);
}

size_t tlslife_conn_verify_errors(const tlslife_conn *conn, tlslife_verify_error *out,
                                  size_t out_len) {
    size_t len = conn->found.verify_errors_len;
    for (size_t i = 0; i < len && i < out_len; i++) {
        out[i] = conn->found.verify_errors[i];
    }
    return len;
}

bool tlslife_conn_ocsp_response(const tlslife_conn *conn, tlslife_bytes *out) {
    const unsigned char *der = NULL;
    long len = established(conn) && !SSL_is_server(conn->ssl)
                   ? SSL_get_tlsext_status_ocsp_resp(conn->ssl, &der)
                   : 0;
    if (der == NULL || len <= 0) {
        return false;
    }
    *out = (tlslife_bytes){der, (size_t)len};
    return true;
}

/* ------------------------------------------------------------------------------ keying material */

size_t tlslife_conn_finished(const tlslife_conn *conn, unsigned char *out, size_t out_len) {
    if (!established(conn)) {
        return 0;
    }
    size_t len = SSL_get_finished(conn->ssl, out, out_len);
    return len < out_len ? len : out_len;
}

size_t tlslife_conn_peer_finished(const tlslife_conn *conn, unsigned char *out, size_t out_len) {
    if (!established(conn)) {
        return 0;
    }
    size_t len = SSL_get_peer_finished(conn->ssl, out, out_len);
    return len < out_len ? len : out_len;
}
