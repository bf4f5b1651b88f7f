/*
 * secrets_plain.c: gives secrets to OpenSSL alone and lets go of them, for secrets.c, which learns
 * from it what OpenSSL leaves in memory by itself.
 *
 * Each life is written as OpenSSL's manual pages say.
 */
#include "secrets.h"
#include "secrets_told.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>

static int ask(char *buffer, int size, int writing, void *data) {
    (void)writing;
    size_t len = strlen(data);
    expect_that(len <= (size_t)size, "a passphrase that fits");
    memcpy(buffer, data, len);
    return (int)len;
}

static SSL_CTX *with_key(const char *name, const char *passphrase_name) {
    size_t len = 0, word_len = 0;
    char *pem = given_text(name, &len);
    char *word = passphrase_name == NULL ? NULL : given_text(passphrase_name, &word_len);
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, word == NULL ? NULL : ask, word);
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    expect_that(SSL_CTX_use_PrivateKey(ctx, key) == 1, "a key");
    EVP_PKEY_free(key);
    BIO_free(bio);
    ungive(pem, len);
    if (word != NULL) {
        ungive(word, word_len);
    }
    return ctx;
}

static void key_free(void) {
    SSL_CTX *ctx = with_key("PEM key", NULL);
    expect_held("private key");
    SSL_CTX_free(ctx);
    expect_gone();
}

static void key_encrypted(void) {
    SSL_CTX *ctx = with_key("PEM encrypted key", "passphrase");
    expect_held("private key");
    SSL_CTX_free(ctx);
    expect_gone();
}

static void pkcs12(const char *word_name, bool right) {
    size_t len = 0, word_len = 32;
    char *both = given_text("PKCS#12", &len);
    char *word = right ? given_text(word_name, &word_len) : given(word_name, 32);
    BIO *bio = BIO_new_mem_buf(both, (int)len);
    PKCS12 *read = d2i_PKCS12_bio(bio, NULL);
    EVP_PKEY *key = NULL;
    X509 *leaf = NULL;
    expect_that(PKCS12_parse(read, word, &key, &leaf, NULL) == right, "a passphrase");
    PKCS12_free(read);
    X509_free(leaf);
    EVP_PKEY_free(key);
    BIO_free(bio);
    ungive(both, len);
    ungive(word, word_len);
    expect_gone();
}

static void pkcs12_free(void) {
    pkcs12("passphrase of PKCS#12", true);
}

static void pkcs12_wrong(void) {
    pkcs12("wrong passphrase of PKCS#12", false);
}

static void on_keylog(const SSL *ssl, const char *line) {
    (void)ssl;
    tell_keylog_line(line);
}

static SSL *new_end(SSL_CTX *ctx, BIO *transport) {
    SSL *ssl = SSL_new(ctx);
    BIO_up_ref(transport);
    SSL_set_bio(ssl, transport, transport);
    return ssl;
}

static void connection(int version, bool fails) {
    char bytes[16];
    size_t len = 0;
    BIO *at_client = NULL, *at_server = NULL;
    char *certificate = given_text("PEM certificate", &len);
    BIO *bio = BIO_new_mem_buf(certificate, (int)len);
    X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    SSL_CTX *server_ctx = with_key("PEM key", NULL), *client_ctx = SSL_CTX_new(TLS_method());
    (void)SSL_CTX_use_certificate(server_ctx, leaf);
    SSL_CTX_set_min_proto_version(client_ctx, version);
    SSL_CTX_set_max_proto_version(client_ctx, version);
    SSL_CTX_set_verify(client_ctx, fails ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_keylog_callback(client_ctx, on_keylog);
    (void)BIO_new_bio_pair(&at_client, 65536, &at_server, 65536);
    SSL *client = new_end(client_ctx, at_client), *server = new_end(server_ctx, at_server);
    for (int i = 0; i < 8; i++) {
        (void)SSL_connect(client);
        (void)SSL_accept(server);
    }
    expect_that(fails || (SSL_write(server, "x", 1) == 1 && SSL_read(client, bytes, 16) == 1),
                "a handshake");
    if (!fails) {
        unsigned char key[48];
        tell("session's key", key,
             SSL_SESSION_get_master_key(SSL_get0_session(client), key, sizeof key));
        expect_held(version == TLS1_2_VERSION ? "CLIENT_RANDOM" : "CLIENT_TRAFFIC_SECRET_0");
    }
    SSL_free(client);
    SSL_free(server);
    BIO_free(at_client);
    BIO_free(at_server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    X509_free(leaf);
    BIO_free(bio);
    ungive(certificate, len);
    expect_gone();
}

static void connection_12(void) {
    connection(TLS1_2_VERSION, false);
}

static void connection_13(void) {
    connection(TLS1_3_VERSION, false);
}

static void connection_fails_12(void) {
    connection(TLS1_2_VERSION, true);
}

static void connection_fails_13(void) {
    connection(TLS1_3_VERSION, true);
}

const life plain_lives[] = {
    {"a private key", "free", key_free},
    {"a passphrase", "free", key_encrypted},
    {"a passphrase", "free, PKCS#12", pkcs12_free},
    {"a passphrase", "wrong, PKCS#12", pkcs12_wrong},
    {"a connection", "free, TLS 1.2", connection_12},
    {"a connection", "free, TLS 1.3", connection_13},
    {"a connection", "failure, TLS 1.2", connection_fails_12},
    {"a connection", "failure, TLS 1.3", connection_fails_13},
    {NULL, NULL, NULL},
};
