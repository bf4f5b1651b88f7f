/*
 * failing_plain.c: uses libssl in plain C, without tlslife. It makes contexts, handshakes of TLS
 * 1.2 and 1.3, a resumption, data and shutdowns. What goes wrong in it when OpenSSL gets no memory
 * is OpenSSL's own fault.
 */
#include "life.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

typedef struct plain {
    SSL_CTX *contexts[2]; /* client, server */
    SSL *conns[2];
    SSL_SESSION *session; /* the newest */
} plain;

static int on_new_session(SSL *ssl, SSL_SESSION *session) {
    plain *self = SSL_get_app_data(ssl);
    if (self == NULL) {
        return 0;
    }
    SSL_SESSION_free(self->session);
    self->session = session;
    return 1;
}

static SSL_CTX *new_context(bool server, int version, const char *certificate, const char *key) {
    SSL_CTX *context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    BIO *texts[2] = {BIO_new_mem_buf(certificate, -1), BIO_new_mem_buf(key, -1)};
    X509 *x509 = texts[0] == NULL ? NULL : PEM_read_bio_X509(texts[0], NULL, NULL, NULL);
    EVP_PKEY *pkey = texts[1] == NULL ? NULL : PEM_read_bio_PrivateKey(texts[1], NULL, NULL, NULL);
    bool good = context != NULL && x509 != NULL && pkey != NULL &&
                SSL_CTX_set_min_proto_version(context, version) == 1 &&
                SSL_CTX_set_max_proto_version(context, version) == 1 &&
                SSL_CTX_set_session_id_context(context, (const unsigned char *)"x", 1) == 1;
    if (good && server) {
        good = SSL_CTX_use_certificate(context, x509) == 1 &&
               SSL_CTX_use_PrivateKey(context, pkey) == 1;
    } else if (good) {
        good = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), x509) == 1;
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_session_cache_mode(context,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
        SSL_CTX_sess_set_new_cb(context, on_new_session);
    }
    BIO_free(texts[0]);
    BIO_free(texts[1]);
    X509_free(x509);
    EVP_PKEY_free(pkey);
    if (!good) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

static bool join(plain *self) {
    BIO *ends[2];
    self->conns[0] = SSL_new(self->contexts[0]);
    self->conns[1] = SSL_new(self->contexts[1]);
    if (self->conns[0] == NULL || self->conns[1] == NULL ||
        BIO_new_bio_pair(&ends[0], 0, &ends[1], 0) != 1) {
        return false;
    }
    SSL_set_bio(self->conns[0], ends[0], ends[0]);
    SSL_set_bio(self->conns[1], ends[1], ends[1]);
    SSL_set_connect_state(self->conns[0]);
    SSL_set_accept_state(self->conns[1]);
    SSL_set_app_data(self->conns[0], self);
    return SSL_set_tlsext_host_name(self->conns[0], "localhost") == 1 &&
           SSL_set1_host(self->conns[0], "localhost") == 1;
}

static bool shake(const plain *self) {
    bool done[2] = {false, false};
    for (int i = 0; i < 40 && !(done[0] && done[1]); i++) {
        SSL *conn = self->conns[i % 2];
        int result = SSL_do_handshake(conn);
        done[i % 2] = result == 1;
        if (result != 1 && SSL_get_error(conn, result) != SSL_ERROR_WANT_READ &&
            SSL_get_error(conn, result) != SSL_ERROR_WANT_WRITE) {
            return false;
        }
    }
    return done[0] && done[1];
}

static bool talk(const plain *self) {
    char bytes[8];
    return SSL_write(self->conns[1], "hello", 5) == 5 &&
           SSL_read(self->conns[0], bytes, sizeof bytes) == 5 &&
           SSL_write(self->conns[0], "x", 1) == 1 &&
           SSL_read(self->conns[1], bytes, sizeof bytes) == 1 &&
           SSL_shutdown(self->conns[0]) >= 0 && SSL_shutdown(self->conns[1]) >= 0 &&
           SSL_shutdown(self->conns[0]) >= 0;
}

static void part(plain *self) {
    SSL_free(self->conns[0]);
    SSL_free(self->conns[1]);
    self->conns[0] = self->conns[1] = NULL;
}

static const char *visit(plain *self, int version, const char *certificate, const char *key) {
    self->contexts[0] = new_context(false, version, certificate, key);
    self->contexts[1] = new_context(true, version, certificate, key);
    const char *said = self->contexts[0] != NULL && self->contexts[1] != NULL ? NULL : "no context";
    for (int i = 0; said == NULL && i < 2; i++) {
        said = !join(self) ? "no connection" : NULL;
        if (said == NULL && self->session != NULL) {
            SSL_SESSION *copy = SSL_SESSION_dup(self->session);
            (void)SSL_set_session(self->conns[0], copy);
            SSL_SESSION_free(copy);
        }
        said = said != NULL ? said : !shake(self) ? "no handshake" : !talk(self) ? "no data" : NULL;
        part(self);
    }
    return said;
}

const char *plain_life(const char *certificate, const char *key) {
    const char *said = NULL;
    for (int version = TLS1_2_VERSION; said == NULL && version <= TLS1_3_VERSION; version++) {
        plain self = {{NULL, NULL}, {NULL, NULL}, NULL};
        said = visit(&self, version, certificate, key);
        SSL_SESSION_free(self.session);
        SSL_CTX_free(self.contexts[0]);
        SSL_CTX_free(self.contexts[1]);
    }
    ERR_clear_error();
    return said;
}
