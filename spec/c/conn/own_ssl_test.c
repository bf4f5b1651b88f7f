/*
 * own_ssl_test.c: tests SSLs that a program has made itself, without a connection of ours.
 *
 * A program may take the SSL_CTX of one of our contexts and make an SSL of it (tlslife_openssl.h).
 * Our callbacks then find no connection, and must let libssl go its own way. A program may also
 * hand us an SSL of its own SSL_CTX, whose sessions are under its own policy.
 */
#include "tlslife.h"
#include "tlslife_openssl.h"

#include "check.h"
#include "identity.h"

#include <openssl/ssl.h>
#include <stdlib.h>

static test_identity identity;

static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

/* ------------------------------------------------------------------------ an SSL of our context */

/* With each setting that has a callback of ours. */
static tlslife_context *new_context(tlslife_role role, tlslife_trace *trace) {
    static const char *const protocols[] = {"h2"};
    const char *pem = identity.certificate;
    bool server = role == TLSLIFE_SERVER;
    tlslife_context *context = tlslife_context_new(role, NULL);
    must(context != NULL &&
         tlslife_context_set_certificate_pem(context, pem, strlen(pem), NULL) == TLSLIFE_OK &&
         tlslife_context_set_private_key_pem(context, identity.key, strlen(identity.key), NULL,
                                             NULL) == TLSLIFE_OK);
    must(tlslife_context_add_ca_pem(context, pem, strlen(pem), NULL) == TLSLIFE_OK &&
         tlslife_context_set_verify(context, TLSLIFE_VERIFY_REQUIRED, NULL) == TLSLIFE_OK &&
         tlslife_context_set_alpn(context, protocols, 1, NULL) == TLSLIFE_OK &&
         tlslife_context_set_trace(context, trace, NULL) == TLSLIFE_OK &&
         tlslife_context_set_questions(context, TLSLIFE_ASK_CERTIFICATE | TLSLIFE_ASK_VERIFY,
                                       NULL) == TLSLIFE_OK);
    must(server || tlslife_context_add_psk(context, "me", (const unsigned char *)"a key", 5,
                                           NULL) == TLSLIFE_OK);
    return context;
}

static bool shake(SSL *client, SSL *server) {
    BIO *ours = NULL, *theirs = NULL;
    bool connected = false, accepted = false;
    must(client != NULL && server != NULL && BIO_new_bio_pair(&ours, 0, &theirs, 0) == 1);
    SSL_set_bio(client, ours, ours);
    SSL_set_bio(server, theirs, theirs);
    for (int i = 0; i < 20 && !(connected && accepted); i++) {
        connected = connected || SSL_connect(client) == 1;
        accepted = accepted || SSL_accept(server) == 1;
    }
    return connected && accepted;
}

/* No certificate is asked for, no ALPN is chosen, no PSK is offered, nothing is traced. */
static void an_ssl_of_our_context(int version) {
    tlslife_trace *trace = tlslife_trace_new(1 << 20, false, NULL);
    tlslife_context *clients = new_context(TLSLIFE_CLIENT, trace);
    tlslife_context *servers = new_context(TLSLIFE_SERVER, trace);
    must(tlslife_context_set_versions(servers, version, version, NULL) == TLSLIFE_OK);
    SSL *client = SSL_new(tlslife_context_ssl_ctx(clients));
    SSL *server = SSL_new(tlslife_context_ssl_ctx(servers));
    const unsigned char *chosen = NULL;
    unsigned chosen_len = 0;
    CHECK(shake(client, server));
    SSL_get0_alpn_selected(client, &chosen, &chosen_len);
    CHECK(chosen_len == 0 && SSL_version(client) == version);
    CHECK(SSL_get_verify_result(client) == X509_V_OK && SSL_get0_peer_certificate(server) != NULL);
    CHECK(tlslife_trace_next(trace) == NULL);
    SSL_free(client);
    SSL_free(server);
    tlslife_context_free(clients);
    tlslife_context_free(servers);
    tlslife_trace_free(trace);
}

/* ----------------------------------------------------------------- an SSL of the program's own */

static SSL_CTX *new_ctx(bool server) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    BIO *certificate = BIO_new_mem_buf(identity.certificate, -1);
    BIO *key_text = BIO_new_mem_buf(identity.key, -1);
    X509 *x509 = PEM_read_bio_X509(certificate, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_text, NULL, NULL, NULL);
    must(!server ||
         (SSL_CTX_use_certificate(ctx, x509) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1));
    X509_free(x509);
    EVP_PKEY_free(key);
    BIO_free(certificate);
    BIO_free(key_text);
    return ctx;
}

static tlslife_conn *conn_of(SSL_CTX *ctx, bool server) {
    SSL *ssl = SSL_new(ctx);
    must(ssl != NULL);
    if (server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    tlslife_conn *conn = tlslife_conn_from_ssl(ssl, NULL);
    must(conn != NULL);
    SSL_free(ssl);
    return conn;
}

/* Both ends as connections of ours, with that session; the client's session. */
static tlslife_session *visit(SSL_CTX *client_ctx, SSL_CTX *server_ctx, tlslife_session *session,
                              bool resumes) {
    tlslife_conn *client = conn_of(client_ctx, false), *server = conn_of(server_ctx, true);
    bool connected = false, accepted = false;
    char byte = 0;
    size_t len = 0;
    must(tlslife_conn_pair(client, server, 0) == TLSLIFE_OK);
    tlslife_conn_set_blocking(client, false);
    tlslife_conn_set_blocking(server, false);
    CHECK(session == NULL || tlslife_conn_set_session(client, session) == TLSLIFE_OK);
    for (int i = 0; i < 20 && !(connected && accepted); i++) {
        connected = connected || tlslife_conn_connect(client) == TLSLIFE_OK;
        accepted = accepted || tlslife_conn_accept(server) == TLSLIFE_OK;
    }
    CHECK(connected && accepted && tlslife_conn_session_reused(client) == resumes);
    (void)tlslife_conn_read(client, &byte, 1, &len);
    (void)tlslife_conn_shutdown(client);
    (void)tlslife_conn_shutdown(server);
    tlslife_session *got = tlslife_conn_get1_session(client);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    return got;
}

/* The program decides which policy a session is under, also one that was imported. */
static void a_session_of_the_hosts_context(void) {
    SSL_CTX *client_ctx = new_ctx(false), *server_ctx = new_ctx(true);
    tlslife_session *first = visit(client_ctx, server_ctx, NULL, false);
    unsigned char *bytes = NULL;
    int len = i2d_SSL_SESSION(tlslife_session_ssl_session(first), &bytes);
    tlslife_context *context = tlslife_context_from_ssl_ctx(client_ctx, TLSLIFE_CLIENT, NULL);
    must(len > 0 && context != NULL);
    tlslife_session *again = tlslife_context_import_session(context, bytes, (size_t)len, NULL);
    if (CHECK(again != NULL)) {
        tlslife_session_free(visit(client_ctx, server_ctx, again, true));
    }
    tlslife_session_free(first);
    tlslife_session_free(again);
    tlslife_context_free(context);
    OPENSSL_free(bytes);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
}

/* Bytes cannot be given back to a BIO that the program has made. */
static void a_bio_of_the_program(void) {
    SSL_CTX *ctx = new_ctx(false);
    SSL *ssl = SSL_new(ctx);
    SSL_set_connect_state(ssl);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    tlslife_conn *conn = tlslife_conn_from_ssl(ssl, NULL);
    must(conn != NULL);
    CHECK(tlslife_conn_unread(conn, "x", 1) == TLSLIFE_ERROR &&
          tlslife_conn_error(conn)->kind == TLSLIFE_ERR_USAGE);
    tlslife_conn_free(conn);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

/*
 * SSL_dup copies ex_data and the callbacks of a trace. The copy is the program's alone: it outlives
 * the connection, and what it does is not traced.
 */
static void a_copy_of_our_ssl(void) {
    tlslife_trace *trace = tlslife_trace_new(1 << 20, false, NULL);
    tlslife_context *clients = new_context(TLSLIFE_CLIENT, NULL);
    tlslife_context *servers = new_context(TLSLIFE_SERVER, NULL);
    tlslife_conn *conn = tlslife_conn_new(clients, NULL);
    must(conn != NULL && tlslife_conn_set_trace(conn, trace) == TLSLIFE_OK);
    SSL *copy = SSL_dup(tlslife_conn_ssl(conn));
    SSL *server = SSL_new(tlslife_context_ssl_ctx(servers));
    tlslife_conn_free(conn);
    for (tlslife_trace_event *event; (event = tlslife_trace_next(trace)) != NULL;) {
        tlslife_trace_event_free(event);
    }
    CHECK(shake(copy, server));
    CHECK(tlslife_trace_next(trace) == NULL);
    SSL_free(copy);
    SSL_free(server);
    tlslife_context_free(clients);
    tlslife_context_free(servers);
    tlslife_trace_free(trace);
}

/* The sum of a metric's samples in this process. */
static double counted(const char *name) {
    char *text = tlslife_metrics_text(TLSLIFE_METRICS_OPENMETRICS, NULL);
    size_t len = strlen(name);
    double sum = 0;
    must(text != NULL);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && line[len] == '{') {
            sum += strtod(strchr(line, '}') + 1, NULL);
        }
    }
    tlslife_string_free(text);
    return sum;
}

static bool one_byte_passes(tlslife_conn *writer, tlslife_conn *reader) {
    char byte = 0;
    size_t len = 0;
    return tlslife_conn_write(writer, "x", 1, &len) == TLSLIFE_OK && len == 1 &&
           tlslife_conn_read(reader, &byte, 1, &len) == TLSLIFE_OK && byte == 'x' &&
           tlslife_conn_handshake_done(writer) && tlslife_conn_handshake_done(reader);
}

/* A handshake that the program has made itself, or begun, is not counted as one of ours. */
static void a_handshake_of_the_program(bool whole) {
    SSL_CTX *client_ctx = new_ctx(false), *server_ctx = new_ctx(true);
    SSL *client = SSL_new(client_ctx), *server = SSL_new(server_ctx);
    BIO *ours = NULL, *theirs = NULL;
    double connections = counted("tlslife_connections_total");
    double handshakes = counted("tlslife_handshakes_total");
    CHECK(handshakes > 0); /* of the sessions above */
    if (whole) {
        CHECK(shake(client, server));
    } else {
        must(BIO_new_bio_pair(&ours, 0, &theirs, 0) == 1);
        SSL_set_bio(client, ours, ours);
        SSL_set_bio(server, theirs, theirs);
        CHECK(SSL_connect(client) == -1 && SSL_accept(server) == -1);
    }
    tlslife_conn *writer = tlslife_conn_from_ssl(client, NULL);
    tlslife_conn *reader = tlslife_conn_from_ssl(server, NULL);
    must(writer != NULL && reader != NULL);
    CHECK(tlslife_conn_handshake_done(writer) == whole);
    CHECK(tlslife_conn_connect(writer) == TLSLIFE_OK && tlslife_conn_accept(reader) == TLSLIFE_OK);
    CHECK(one_byte_passes(writer, reader));
    CHECK(counted("tlslife_connections_total") == connections);
    CHECK(counted("tlslife_handshakes_total") == handshakes);
    tlslife_conn_free(writer);
    tlslife_conn_free(reader);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
}

/* ------------------------------------------------------- an SSL that verifies less, for once */

typedef enum lowered { NOT_LOWERED, UNVERIFIED, UNDER_OWN_ID } lowered;

static void lower(SSL *ssl, lowered how) {
    if (how != NOT_LOWERED) {
        SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    }
    if (how == UNDER_OWN_ID) {
        CHECK(SSL_set_session_id_context(ssl, (const unsigned char *)"x", 1) == 1);
    }
}

/* Whether the client's handshake succeeds. *session, if not NULL, is offered, and replaced. */
static bool meets(tlslife_context *clients, tlslife_context *servers, lowered how,
                  tlslife_session **session) {
    tlslife_conn *client = tlslife_conn_new(clients, NULL);
    tlslife_conn *server = tlslife_conn_new(servers, NULL);
    tlslife_status at_client = TLSLIFE_WANT_READ, at_server = TLSLIFE_WANT_READ;
    char byte = 0;
    size_t len = 0;
    must(client != NULL && server != NULL);
    must(tlslife_conn_set_hostname(client, "localhost") == TLSLIFE_OK &&
         tlslife_conn_pair(client, server, 0) == TLSLIFE_OK);
    lower(tlslife_conn_ssl(client), how);
    CHECK(session == NULL || tlslife_conn_set_session(client, *session) == TLSLIFE_OK);
    for (int i = 0; i < 10; i++) {
        at_client = at_client == TLSLIFE_WANT_READ ? tlslife_conn_connect(client) : at_client;
        at_server = at_server == TLSLIFE_WANT_READ ? tlslife_conn_accept(server) : at_server;
    }
    CHECK(at_client == TLSLIFE_OK || tlslife_conn_error(client)->kind == TLSLIFE_ERR_VERIFY);
    (void)tlslife_conn_read(client, &byte, 1, &len);
    (void)tlslife_conn_shutdown(client);
    (void)tlslife_conn_shutdown(server);
    if (session != NULL) {
        tlslife_session_free(*session);
        *session = tlslife_conn_get1_session(client);
    }
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    return at_client == TLSLIFE_OK;
}

/* libssl resumes what was made without verification, and says so in the verify result alone. */
static void libssl_alone_resumes_it(SSL_CTX *client_ctx, SSL_CTX *server_ctx) {
    SSL *first = SSL_new(client_ctx), *second = SSL_new(client_ctx);
    SSL *first_server = SSL_new(server_ctx), *second_server = SSL_new(server_ctx);
    char byte;
    SSL_set_verify(first, SSL_VERIFY_NONE, NULL);
    CHECK(shake(first, first_server) && SSL_get_verify_result(first) != X509_V_OK);
    CHECK(SSL_read(first, &byte, 1) <= 0); /* its tickets */
    (void)SSL_shutdown(first);
    SSL_SESSION *session = SSL_get1_session(first);
    CHECK(SSL_set_session(second, session) == 1);
    CHECK(shake(second, second_server) && SSL_session_reused(second) == 1);
    CHECK(SSL_get_verify_result(second) != X509_V_OK);
    SSL_SESSION_free(session);
    SSL_free(first);
    SSL_free(second);
    SSL_free(first_server);
    SSL_free(second_server);
}

/* A client that trusts nobody, with that cache if it is not NULL. */
static tlslife_context *new_stranger(int version, tlslife_cache *cache) {
    test_identity other;
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    must(identity_make(&other) && context != NULL);
    must(tlslife_context_add_ca_pem(context, other.certificate, strlen(other.certificate), NULL) ==
             TLSLIFE_OK &&
         tlslife_context_set_versions(context, version, version, NULL) == TLSLIFE_OK &&
         (cache == NULL || tlslife_context_set_cache(context, cache, NULL) == TLSLIFE_OK));
    return context;
}

static void what_was_not_verified_is_not_resumed(int version) {
    const tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    tlslife_context *cached = new_stranger(version, cache), *plain = new_stranger(version, NULL);
    tlslife_context *servers = tlslife_context_new(TLSLIFE_SERVER, NULL);
    const char *pem = identity.certificate, *key = identity.key;
    tlslife_session *session = NULL;
    tlslife_cache_stats stats;
    must(tlslife_context_set_certificate_pem(servers, pem, strlen(pem), NULL) == TLSLIFE_OK &&
         tlslife_context_set_private_key_pem(servers, key, strlen(key), NULL, NULL) == TLSLIFE_OK);
    CHECK(meets(cached, servers, UNDER_OWN_ID, NULL));
    tlslife_cache_get_stats(cache, &stats);
    CHECK(stats.entries == 0);
    CHECK(!meets(cached, servers, NOT_LOWERED, NULL));
    CHECK(meets(cached, servers, UNVERIFIED, NULL));
    tlslife_cache_get_stats(cache, &stats);
    CHECK(stats.entries > 0);
    CHECK(!meets(cached, servers, NOT_LOWERED, NULL));
    CHECK(meets(plain, servers, UNVERIFIED, &session) && tlslife_session_is_resumable(session));
    CHECK(!meets(plain, servers, NOT_LOWERED, &session));
    tlslife_session_free(session);
    tlslife_context_free(cached);
    tlslife_context_free(plain);
    tlslife_context_free(servers);
    tlslife_cache_free(cache);
}

static void an_ssl_that_verifies_less(int version) {
    SSL_CTX *client_ctx = new_ctx(false), *server_ctx = new_ctx(true);
    SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
    must(SSL_CTX_set_max_proto_version(client_ctx, version) == 1);
    libssl_alone_resumes_it(client_ctx, server_ctx);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    what_was_not_verified_is_not_resumed(version);
}

int main(void) {
    must(identity_make(&identity));
    an_ssl_of_our_context(TLSLIFE_TLS1_2);
    an_ssl_of_our_context(TLSLIFE_TLS1_3);
    a_session_of_the_hosts_context();
    a_bio_of_the_program();
    a_copy_of_our_ssl();
    a_handshake_of_the_program(true);
    a_handshake_of_the_program(false);
    an_ssl_that_verifies_less(TLSLIFE_TLS1_2);
    an_ssl_that_verifies_less(TLSLIFE_TLS1_3);
    return checks_end();
}
