/*
 * chain_test.c: compares the chain that a server sends with libssl's, where its certificate was set
 * without a chain.
 *
 * The library completes the chain once, when the context is frozen. libssl does so in each
 * handshake. The client must get the same chain from both, under every setting by which chains are
 * judged, and whichever allocation of OpenSSL's has failed while the context was frozen.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "identity.h"
#include "short_memory.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

typedef struct pair {
    X509 *x509;
    EVP_PKEY *key;
} pair;

/* An issuer of NULL: signed by itself. */
static pair issue(EVP_PKEY *key, const pair *issuer, const EVP_MD *md) {
    pair out = {X509_new(), key};
    identity_describe(out.x509, key);
    X509_NAME *name = X509_get_subject_name(out.x509);
    (void)X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_ASC,
                                     (const unsigned char *)(issuer == NULL ? "one" : "two"), -1,
                                     -1, 0);
    (void)X509_set_issuer_name(out.x509,
                               issuer == NULL ? name : X509_get_subject_name(issuer->x509));
    CHECK(X509_sign(out.x509, issuer == NULL ? key : issuer->key, md) > 0);
    return out;
}

static EVP_PKEY *curve(const char *name) {
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", name);
}

static void free_pair(pair *one) {
    X509_free(one->x509);
    EVP_PKEY_free(one->key);
}

typedef struct setting {
    const char *name;
    const char *ciphers;
    long cert_flags;
    int level; /* -1: the default */
    long mode;
} setting;

static const setting settings[] = {
    {"nothing", NULL, 0, -1, 0},
    {"SUITEB128", "SUITEB128", 0, -1, 0},
    {"SUITEB128ONLY", "SUITEB128ONLY", 0, -1, 0},
    {"SUITEB192", "SUITEB192", 0, -1, 0},
    {"strict", NULL, SSL_CERT_FLAG_TLS_STRICT, -1, 0},
    {"level 0", NULL, 0, 0, 0},
    {"level 2", NULL, 0, 2, 0},
    {"level 3", NULL, 0, 3, 0},
    {"level 4", NULL, 0, 4, 0},
    {"no automatic chain", NULL, 0, -1, SSL_MODE_NO_AUTO_CHAIN},
};

static void configure(SSL_CTX *ctx, const setting *how, const pair *leaf, const pair *ca) {
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_mode(ctx, how->mode);
    (void)SSL_CTX_set_cert_flags(ctx, (unsigned)how->cert_flags);
    SSL_CTX_set_security_level(ctx, how->level < 0 ? SSL_CTX_get_security_level(ctx) : how->level);
    CHECK(how->ciphers == NULL || SSL_CTX_set_cipher_list(ctx, how->ciphers) == 1);
    (void)SSL_CTX_use_certificate(ctx, leaf->x509); /* a level may refuse it: both alike */
    (void)SSL_CTX_use_PrivateKey(ctx, leaf->key);
    if (ca != NULL) {
        CHECK(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->x509) == 1);
    }
    ERR_clear_error();
}

static void join(SSL *a, SSL *b) {
    BIO *one = NULL, *two = NULL;
    CHECK(BIO_new_bio_pair(&one, 0, &two, 0) == 1);
    SSL_set_bio(a, one, one);
    SSL_set_bio(b, two, two);
    SSL_set_connect_state(a);
    SSL_set_accept_state(b);
}

/* What the client sees of server. */
static void see(SSL *server, int version, char *out, size_t out_len) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    (void)SSL_CTX_set_max_proto_version(ctx, version);
    SSL *client = SSL_new(ctx);
    join(client, server);
    int done = 0, served = 0;
    for (int i = 0; i < 20 && (done != 1 || served != 1); i++) {
        done = SSL_do_handshake(client);
        served = SSL_do_handshake(server);
    }
    unsigned long code = ERR_peek_error();
    (void)snprintf(out, out_len, "%d %d chain %d %s", done, served,
                   sk_X509_num(SSL_get_peer_cert_chain(client)),
                   code == 0 ? "" : ERR_reason_error_string(code));
    ERR_clear_error();
    SSL_free(client);
    SSL_CTX_free(ctx);
}

static void test_setting(const char *what, const setting *how, const pair *leaf, const pair *ca,
                         int version) {
    char wanted[200], got[200];
    SSL_CTX *theirs = SSL_CTX_new(TLS_server_method());
    configure(theirs, how, leaf, ca);
    SSL *plain = SSL_new(theirs);
    see(plain, version, wanted, sizeof wanted);
    tlslife_error err;
    tlslife_context *ours = tlslife_context_new(TLSLIFE_SERVER, &err);
    configure(tlslife_context_ssl_ctx(ours), how, leaf, ca);
    tlslife_conn *conn = tlslife_conn_new(ours, &err);
    CHECK((conn == NULL) ==
          (SSL_CTX_get0_certificate(theirs) == NULL)); /* a level refused the certificate */
    if (conn != NULL) {
        see(tlslife_conn_ssl(conn), version, got, sizeof got);
        if (!check_text(got, wanted, __FILE__, __LINE__)) {
            (void)fprintf(stderr, "%s, %s, 0x%04x\n", what, how->name, (unsigned)version);
        }
    }
    tlslife_conn_free(conn);
    tlslife_context_free(ours);
    SSL_free(plain);
    SSL_CTX_free(theirs);
}

static void test_leaf(const char *what, pair leaf, const pair *ca) {
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        test_setting(what, &settings[i], &leaf, ca, TLS1_2_VERSION);
        test_setting(what, &settings[i], &leaf, ca, TLS1_3_VERSION);
    }
    free_pair(&leaf);
}

/* -------------------------------------------------------------------------------- short memory */

/* A connection of a context that was frozen while memory was short, or else at the second try. */
static tlslife_conn *conn_of_short(tlslife_context *context, long which, bool and_on, bool *met) {
    arm(which, and_on);
    tlslife_conn *conn = tlslife_conn_new(context, NULL);
    *met = disarm();
    return conn != NULL ? conn : tlslife_conn_new(context, NULL);
}

static bool is_whole(const pair *leaf, const pair *ca, long which, bool and_on) {
    char got[200];
    bool met = false;
    tlslife_error err;
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    configure(tlslife_context_ssl_ctx(context), &settings[0], leaf, ca);
    tlslife_conn *conn = conn_of_short(context, which, and_on, &met);
    CHECK(conn != NULL);
    see(tlslife_conn_ssl(conn), TLS1_3_VERSION, got, sizeof got);
    if (!check_text(got, "1 1 chain 2 ", __FILE__, __LINE__)) {
        (void)fprintf(stderr, "the allocation %ld, %s\n", which, and_on ? "and on" : "once");
    }
    tlslife_conn_free(conn);
    tlslife_context_free(context);
    return met;
}

static void test_short_memory(pair leaf, const pair *ca) {
    for (int and_on = 0; and_on < 2; and_on++) {
        long n = 1;
        while (n < 600 && is_whole(&leaf, ca, n, and_on == 1)) {
            n++;
        }
        CHECK(n > 20 && n < 600);
    }
    free_pair(&leaf);
}

int main(void) {
    CHECK(short_memory_begin());
    pair good = issue(curve("P-384"), NULL, EVP_sha384());
    pair small = issue(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024), NULL, EVP_sha256());
    pair other = issue(curve("P-256"), NULL, EVP_sha256());
    test_leaf("P-256 alone", issue(curve("P-256"), NULL, EVP_sha256()), NULL);
    test_leaf("P-384 alone, SHA-256", issue(curve("P-384"), NULL, EVP_sha256()), NULL);
    test_leaf("P-384 alone, SHA-384", issue(curve("P-384"), NULL, EVP_sha384()), NULL);
    test_leaf("P-521 alone", issue(curve("P-521"), NULL, EVP_sha512()), NULL);
    test_leaf("RSA alone",
              issue(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), NULL, EVP_sha256()), NULL);
    test_leaf("P-384 of a P-384", issue(curve("P-384"), &good, EVP_sha384()), &good);
    test_leaf("P-256 of a P-384", issue(curve("P-256"), &good, EVP_sha384()), &good);
    test_leaf("P-384 of a P-256", issue(curve("P-384"), &other, EVP_sha256()), &other);
    test_leaf("P-256 of a small RSA", issue(curve("P-256"), &small, EVP_sha256()), &small);
    test_leaf("P-256 of SHA-1", issue(curve("P-256"), &good, EVP_sha1()), &good);
    test_short_memory(issue(curve("P-256"), &good, EVP_sha384()), &good);
    free_pair(&good);
    free_pair(&small);
    free_pair(&other);
    return checks_end();
}
