/*
 * blame_test: tests that an error does not blame what was passed if OpenSSL gets no memory, but
 * says so. Each allocation of OpenSSL's fails in a process of its own, once and from then on, while
 * a client's context takes its CA, a server's its certificate and key, and a connection the name of
 * its peer; and while keys are derived, a session becomes bytes and is made of them, and an
 * export of a cache is opened, which nothing but a lack of memory prevents here. (spec/failing lets
 * them fail in whole lives of connections.) Of the many allocations of the first two some fail;
 * with TLSLIFE_EVERY in the environment each of them does.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "identity.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

static long count, failing; /* allocations; the one that fails, 0: none */
static bool once;

static bool is_due(void) {
    count++;
    return failing > 0 && (once ? count == failing : count >= failing);
}

static void *allocate(size_t size, const char *file, int line) {
    (void)file, (void)line;
    return is_due() ? NULL : malloc(size);
}

static void *reallocate(void *block, size_t size, const char *file, int line) {
    (void)file, (void)line;
    return is_due() ? NULL : realloc(block, size);
}

static void release(void *block, const char *file, int line) {
    (void)file, (void)line;
    free(block);
}

/* ------------------------------------------------------------------------------------ the calls */

static test_identity identity;
static tlslife_error err;

static tlslife_context *new_client(void) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, &err);
    if (context != NULL &&
        tlslife_context_add_ca_pem(context, identity.certificate, strlen(identity.certificate),
                                   &err) != TLSLIFE_OK) {
        tlslife_context_free(context);
        return NULL;
    }
    return context;
}

static tlslife_context *context; /* made before the failure, for the name */

static bool trust(void) {
    tlslife_context *made = new_client();
    tlslife_context_free(made);
    return made != NULL;
}

static bool identify(void) {
    tlslife_context *made = tlslife_context_new(TLSLIFE_SERVER, &err);
    bool ok = made != NULL &&
              tlslife_context_set_certificate_pem(
                  made, identity.certificate, strlen(identity.certificate), &err) == TLSLIFE_OK &&
              tlslife_context_set_private_key_pem(made, identity.key, strlen(identity.key), NULL,
                                                  &err) == TLSLIFE_OK;
    tlslife_context_free(made);
    return ok;
}

static bool name_peer(void) {
    tlslife_conn *conn = tlslife_conn_new(context, &err);
    bool ok = conn != NULL && tlslife_conn_set_hostname(conn, "localhost") == TLSLIFE_OK;
    if (conn != NULL && !ok) {
        err = *tlslife_conn_error(conn);
    }
    tlslife_conn_free(conn);
    return ok;
}

static const unsigned char secret[32] = "a secret of thirty-two bytes...";
static tlslife_keyring *ring;
static tlslife_cache *cache;
static tlslife_session *session;
static unsigned char *exported, *session_bytes;
static size_t exported_len, session_len;
static tlslife_context *lax; /* takes a session of any policy */
static tlslife_context *settable;

static void make_values(void) {
    static const unsigned char cipher[] = {0x13, 0x01};
    SSL_SESSION *raw = SSL_SESSION_new();
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(ctx);
    CHECK(SSL_SESSION_set_protocol_version(raw, TLS1_3_VERSION) == 1);
    CHECK(SSL_SESSION_set_cipher(raw, SSL_CIPHER_find(ssl, cipher)) == 1);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    CHECK(SSL_SESSION_set1_hostname(raw, "localhost") == 1);
    session = tlslife_session_from_ssl_session(raw);
    CHECK(tlslife_session_export_der(session, &session_bytes, &session_len, &err) == TLSLIFE_OK);
    settable = tlslife_context_new(TLSLIFE_CLIENT, &err);
    lax = tlslife_context_new(TLSLIFE_CLIENT, &err);
    CHECK(tlslife_context_set_verify(lax, TLSLIFE_VERIFY_NONE, &err) == TLSLIFE_OK);
    ring = tlslife_keyring_new(secret, sizeof secret, &err);
    tlslife_cache_options options = tlslife_cache_defaults();
    cache = tlslife_cache_new(&options, &err);
    CHECK(tlslife_cache_export(cache, ring, false, &exported, &exported_len, &err) == TLSLIFE_OK);
}

static void free_values(void) {
    tlslife_session_bytes_free(exported, exported_len);
    tlslife_session_bytes_free(session_bytes, session_len);
    tlslife_context_free(lax);
    tlslife_context_free(settable);
    tlslife_cache_free(cache);
    tlslife_keyring_free(ring);
    tlslife_session_free(session);
}

static bool derive_ticket_keys(void) {
    tlslife_ticket_keys *keys = tlslife_ticket_keys_derived(secret, sizeof secret, 3600, 1, &err);
    tlslife_ticket_keys_free(keys);
    return keys != NULL;
}

static bool derive_keyring(void) {
    tlslife_keyring *keyring = tlslife_keyring_new(secret, sizeof secret, &err);
    tlslife_keyring_free(keyring);
    return keyring != NULL;
}

static bool export_session(void) {
    unsigned char *out = NULL;
    size_t out_len = 0;
    bool ok = tlslife_session_export_der(session, &out, &out_len, &err) == TLSLIFE_OK;
    tlslife_session_bytes_free(out, out_len);
    return ok;
}

static bool export_text(void) {
    unsigned char *out = NULL;
    size_t out_len = 0;
    bool ok = tlslife_session_export_pem(session, &out, &out_len, &err) == TLSLIFE_OK;
    tlslife_session_bytes_free(out, out_len);
    return ok;
}

static bool import_session(void) {
    tlslife_session *made = tlslife_context_import_session(lax, session_bytes, session_len, &err);
    tlslife_session_free(made);
    return made != NULL;
}

static bool open_export(void) {
    return tlslife_cache_import(cache, ring, exported, exported_len, NULL, &err) == TLSLIFE_OK;
}

static bool set_ciphers(void) {
    return tlslife_context_set_cipher_list(settable, "ECDHE+AESGCM", &err) == TLSLIFE_OK;
}

static bool set_ciphersuites(void) {
    return tlslife_context_set_ciphersuites(settable, "TLS_AES_128_GCM_SHA256", &err) == TLSLIFE_OK;
}

static bool set_groups(void) {
    return tlslife_context_set_groups(settable, "X25519:P-256", &err) == TLSLIFE_OK;
}

static bool set_algorithms(void) {
    return tlslife_context_set_signature_algorithms(settable, "ECDSA+SHA256", &err) == TLSLIFE_OK;
}

static bool set_own_groups(void) {
    tlslife_conn *conn = tlslife_conn_new(context, &err);
    bool ok = conn != NULL && tlslife_conn_set_groups(conn, "X25519:P-256") == TLSLIFE_OK;
    if (conn != NULL && !ok) {
        err = *tlslife_conn_error(conn);
    }
    tlslife_conn_free(conn);
    return ok;
}

/* ----------------------------------------------------------------------------------- each fails */

typedef struct call {
    const char *name;
    bool (*make)(void);
    long step;      /* of how many allocations one fails */
    bool of_memory; /* nothing else can be the reason */
} call;

static const call calls[] = {{"a CA", trust, 17, false},
                             {"a certificate and its key", identify, 41, false},
                             {"a peer's name", name_peer, 1, false},
                             {"ciphers", set_ciphers, 1, true},
                             {"cipher suites", set_ciphersuites, 1, true},
                             {"groups", set_groups, 1, true},
                             {"signature algorithms", set_algorithms, 1, true},
                             {"a connection's groups", set_own_groups, 1, true},
                             {"ticket keys", derive_ticket_keys, 1, true},
                             {"a keyring", derive_keyring, 1, true},
                             {"a session's bytes", export_session, 1, true},
                             {"a session's text", export_text, 1, true},
                             {"a session of bytes", import_session, 1, true},
                             {"an export of a cache", open_export, 1, true}};

/* OpenSSL calls a key too small whose size it had no memory to find (ssl_security_cert_key). */
static bool is_blamed(void) {
    bool blamed = err.kind == TLSLIFE_ERR_INPUT || err.kind == TLSLIFE_ERR_USAGE;
    return (blamed && strstr(err.message, "key too small") == NULL) || err.message[0] == '\0';
}

static int play(const call *one, long n) {
    count = 0;
    failing = n;
    bool ok = one->make();
    failing = 0;
    if (!ok && (is_blamed() || (one->of_memory && err.kind != TLSLIFE_ERR_MEMORY))) {
        (void)fprintf(stderr, "%s: allocation %ld, %s: %s\n", one->name, n,
                      once ? "once" : "from then on", err.message);
        return 1;
    }
    return 0;
}

static long allocations_of(const call *one) {
    count = 0;
    CHECK(one->make());
    return count;
}

/* Whether no input is blamed where allocation n fails. */
static bool is_told(const call *one, long n) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        _exit(play(one, n));
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(void) {
    CHECK(CRYPTO_set_mem_functions(allocate, reallocate, release) == 1);
    CHECK(identity_make(&identity));
    context = new_client();
    make_values();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        long all = allocations_of(&calls[i]);
        long step = getenv("TLSLIFE_EVERY") != NULL ? 1 : calls[i].step;
        for (int both = 0; both < 2; both++) {
            once = both == 0;
            for (long n = 1; n <= all; n += step) {
                CHECK(is_told(&calls[i], n));
            }
        }
        (void)printf("%s: %ld allocations\n", calls[i].name, all);
    }
    tlslife_context_free(context);
    free_values();
    return checks_end();
}
