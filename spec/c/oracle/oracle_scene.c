/*
 * oracle_scene.c: makes the contexts and connections of the oracle's cases, and what lies between
 * them.
 *
 * The contexts are set up as tlslife's are. The client keeps sessions by new_session_cb and not in
 * OpenSSL's own cache. The server is stateful (SSL_OP_NO_TICKET and OpenSSL's own cache), or has
 * tickets and keeps nothing. The client verifies the server's certificate, which is self-signed and
 * made once, and its name.
 */
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "oracle.h"

static char host[] = "localhost"; /* not const: a macro of OpenSSL's casts it */

void must(bool holds, const char *what) {
    if (holds) {
        return;
    }
    fprintf(stderr, "oracle: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(2);
}

const char *kind_name(enum kind kind) {
    static const char *const names[KINDS] = {"tls12_id", "tls12_ticket", "tls13_stateful",
                                             "tls13_stateless"};
    return names[kind];
}

const char *role_name(enum role role) {
    return role == CLIENT ? "client" : "server";
}

bool is_tls13(enum kind kind) {
    return kind == TLS13_STATEFUL || kind == TLS13_STATELESS;
}

/* ---------------------------------------------------------------------------------- certificate */

static void add_names(X509 *x509) {
    X509_NAME *name = X509_get_subject_name(x509);
    X509V3_CTX none;
    X509V3_set_ctx_nodb(&none);
    X509V3_set_ctx(&none, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, &none, NID_subject_alt_name, "DNS:localhost");
    must(extension && X509_add_ext(x509, extension, -1), "subjectAltName");
    X509_EXTENSION_free(extension);
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1,
                                    0) &&
             X509_set_issuer_name(x509, name),
         "names");
}

static X509 *self_signed(EVP_PKEY *key) {
    X509 *x509 = X509_new();
    must(x509 && X509_set_version(x509, X509_VERSION_3) &&
             ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) &&
             X509_gmtime_adj(X509_getm_notBefore(x509), -3600) &&
             X509_gmtime_adj(X509_getm_notAfter(x509), 86400) && X509_set_pubkey(x509, key),
         "certificate");
    add_names(x509);
    must(X509_sign(x509, key, EVP_sha256()) > 0, "signature");
    return x509;
}

static X509 *certificate;
static EVP_PKEY *certificate_key;

static void forget_certificate(void) {
    X509_free(certificate);
    EVP_PKEY_free(certificate_key);
}

static void make_certificate(void) {
    if (certificate) {
        return;
    }
    certificate_key = EVP_EC_gen("P-256");
    must(certificate_key != NULL, "key");
    certificate = self_signed(certificate_key);
    must(atexit(forget_certificate) == 0, "atexit");
}

/* ------------------------------------------------------------------------------------- contexts */

/*
 * An index of our own in place of app data. SSL_dup fails on an SSL that has app data if no index
 * was ever made.
 */
static int scene_index(void) {
    static int index = -1;
    if (index < 0) {
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }
    return index;
}

static int keep_session(SSL *ssl, SSL_SESSION *session) {
    struct scene *scene = SSL_get_ex_data(ssl, scene_index());
    must(scene->kept_len < KEPT_MAX, "too many sessions");
    scene->kept[scene->kept_len++] = session;
    return 1; /* the reference is ours now */
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *argument) {
    (void)ssl;
    (void)argument;
    if (in_len < 2 || in[0] >= in_len) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *bare_context(enum kind kind, const SSL_METHOD *method) {
    int version = is_tls13(kind) ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_CTX *ctx = SSL_CTX_new(method);
    must(ctx && SSL_CTX_set_min_proto_version(ctx, version) &&
             SSL_CTX_set_max_proto_version(ctx, version) &&
             SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"oracle", 6),
         "context");
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static SSL_CTX *client_context(enum kind kind) {
    SSL_CTX *ctx = bare_context(kind, TLS_client_method());
    must(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), certificate) == 1, "trust");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    return ctx;
}

static SSL_CTX *server_context(enum kind kind) {
    bool stateful = kind == TLS12_ID || kind == TLS13_STATEFUL;
    SSL_CTX *ctx = bare_context(kind, TLS_server_method());
    must(SSL_CTX_use_certificate(ctx, certificate) && SSL_CTX_use_PrivateKey(ctx, certificate_key),
         "identity");
    SSL_CTX_set_session_cache_mode(ctx, stateful ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
    if (stateful) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    return ctx;
}

/* The server may ask for a certificate after the handshake, and the client has one. */
static void prepare_to_ask(SSL_CTX *client, SSL_CTX *server) {
    SSL_CTX_set_post_handshake_auth(client, 1);
    must(SSL_CTX_use_certificate(client, certificate) &&
             SSL_CTX_use_PrivateKey(client, certificate_key) &&
             X509_STORE_add_cert(SSL_CTX_get_cert_store(server), certificate),
         "the client's identity");
}

/* --------------------------------------------------------------------------------- struct scene */

static void open_with(struct scene *scene, enum kind kind, enum role role, SSL_CTX *client,
                      SSL_CTX *server) {
    memset(scene, 0, sizeof *scene);
    scene->kind = kind;
    scene->role = role;
    scene->contexts[CLIENT] = client;
    scene->contexts[SERVER] = server;
}

void scene_open(struct scene *scene, enum kind kind, enum role role) {
    make_certificate();
    open_with(scene, kind, role, client_context(kind), server_context(kind));
}

void scene_open_shared(struct scene *scene, enum kind kind, enum role role, bool early) {
    static SSL_CTX *shared[KINDS][2][ROLES];
    SSL_CTX **pair = shared[kind][early];
    make_certificate();
    if (!pair[CLIENT]) {
        pair[CLIENT] = client_context(kind);
        pair[SERVER] = server_context(kind);
        prepare_to_ask(pair[CLIENT], pair[SERVER]);
        must(SSL_CTX_set_max_early_data(pair[SERVER], early ? 1000 : 0), "early data");
    }
    must(SSL_CTX_up_ref(pair[CLIENT]) && SSL_CTX_up_ref(pair[SERVER]), "context");
    open_with(scene, kind, role, pair[CLIENT], pair[SERVER]);
}

void scene_close(struct scene *scene) {
    settle_all(scene);
    for (size_t i = 0; i < scene->kept_len; i++) {
        SSL_SESSION_free(scene->kept[i]);
    }
    SSL_SESSION_free(scene->held);
    SSL_SESSION_free(scene->offer);
    SSL_SESSION_free(scene->first);
    SSL_CTX_free(scene->contexts[CLIENT]);
    SSL_CTX_free(scene->contexts[SERVER]);
}

SSL *subject(const struct scene *scene) {
    return scene->ends[scene->role];
}

SSL *peer(const struct scene *scene) {
    return scene->ends[scene->role == CLIENT ? SERVER : CLIENT];
}

SSL *client_of(const struct scene *scene) {
    return scene->ends[CLIENT];
}

SSL *server_of(const struct scene *scene) {
    return scene->ends[SERVER];
}

SSL *connection(struct scene *scene, enum role role) {
    SSL *ssl = SSL_new(scene->contexts[role]);
    must(ssl && SSL_set_ex_data(ssl, scene_index(), scene) == 1, "connection");
    if (role == SERVER) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    must(SSL_set_tlsext_host_name(ssl, host) && SSL_set1_host(ssl, host), "host name");
    return ssl;
}

void settle(SSL **ssl) {
    if (*ssl) {
        SSL_set_shutdown(*ssl, SENT | RECEIVED);
    }
    SSL_free(*ssl);
    *ssl = NULL;
}

void settle_all(struct scene *scene) {
    settle(&scene->ends[CLIENT]);
    settle(&scene->ends[SERVER]);
}

/* ------------------------------------------------------------------------------------ transport */

void join(SSL *a, SSL *b) {
    BIO *one, *other;
    must(BIO_new_bio_pair(&one, CAPACITY, &other, CAPACITY) == 1, "transport in memory");
    SSL_set_bio(a, one, one);
    SSL_set_bio(b, other, other);
}

static void join_sockets(SSL *a, SSL *b) {
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0,
         "socketpair");
    BIO *one = BIO_new_socket(fds[0], BIO_CLOSE), *other = BIO_new_socket(fds[1], BIO_CLOSE);
    must(one && other, "sockets");
    SSL_set_bio(a, one, one);
    SSL_set_bio(b, other, other);
}

void prepare(struct scene *scene, enum wire wire) {
    scene->ends[CLIENT] = connection(scene, CLIENT);
    scene->ends[SERVER] = connection(scene, SERVER);
    (wire == MEMORY ? join : join_sockets)(scene->ends[CLIENT], scene->ends[SERVER]);
}

void leave(SSL *ssl) {
    if (BIO_method_type(SSL_get_wbio(ssl)) == BIO_TYPE_BIO) {
        must(BIO_shutdown_wr(SSL_get_wbio(ssl)) == 1, "end of stream");
    } else {
        SSL_set_bio(ssl, NULL, NULL);
    }
}

/* A record of application data that no key opens, written past the SSL at its other end. */
static const unsigned char GARBAGE[5 + 32] = {SSL3_RT_APPLICATION_DATA, 3, 3, 0, 32};

void garble(SSL *ssl) {
    struct scene *scene = SSL_get_ex_data(ssl, scene_index());
    SSL *from = ssl == scene->ends[CLIENT] ? scene->ends[SERVER] : scene->ends[CLIENT];
    must(BIO_write(SSL_get_wbio(from), GARBAGE, sizeof GARBAGE) == sizeof GARBAGE, "garbage");
}

bool put_copy(struct scene *scene, enum role role) {
    SSL *from = scene->ends[role], *copy = SSL_dup(from);
    must(copy != NULL, "SSL_dup");
    if (copy == from) {
        SSL_free(copy);
        return false;
    }
    must(role == SERVER || SSL_set_tlsext_host_name(copy, host), "host name");
    SSL_set_quiet_shutdown(copy, SSL_get_quiet_shutdown(from));
    must(SSL_set_num_tickets(copy, SSL_get_num_tickets(from)), "number of tickets");
    settle(&scene->ends[role]);
    scene->ends[role] = copy;
    join(client_of(scene), server_of(scene));
    return true;
}

/* ------------------------------------------------------------------------------------ handshake */

static bool waits(SSL *ssl, int result) {
    int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool handshake(SSL *client, SSL *server) {
    for (int round = 0; round < 20; round++) {
        ERR_clear_error();
        int a = SSL_do_handshake(client);
        if (a <= 0 && !waits(client, a)) {
            return false;
        }
        ERR_clear_error();
        int b = SSL_do_handshake(server);
        if (b <= 0 && !waits(server, b)) {
            return false;
        }
        if (a == 1 && b == 1) {
            return true;
        }
    }
    return false;
}

void exchange(SSL *client, SSL *server) {
    char byte = 'x';
    must(SSL_write(server, &byte, 1) == 1 && SSL_read(client, &byte, 1) == 1,
         "a byte to the client");
    must(SSL_write(client, &byte, 1) == 1 && SSL_read(server, &byte, 1) == 1,
         "a byte to the server");
}

SSL_SESSION *offered(const struct scene *scene, SSL_SESSION *session) {
    if (scene->role == SERVER) {
        return SSL_SESSION_dup(session);
    }
    SSL_SESSION_up_ref(session);
    return session;
}

void meet(struct scene *scene, enum wire wire) {
    SSL *client, *server;
    prepare(scene, wire);
    client = scene->ends[CLIENT], server = scene->ends[SERVER];
    must(handshake(client, server), "handshake");
    exchange(client, server);
    must(scene->kept_len > 0, "no session");
    scene->held = SSL_get1_session(subject(scene));
    scene->offer = offered(scene, SSL_get0_session(client));
    scene->first = offered(scene, scene->kept[0]);
    must(scene->held && scene->offer && scene->first, "sessions");
}

void begin(struct scene *scene) {
    if (scene->role == SERVER) {
        say_handshake(scene, scene->ends[CLIENT]);
    }
    say_handshake(scene, subject(scene));
}

/* -------------------------------------------------------------------------------- a second time */

void prepare_again(struct scene *scene) {
    settle_all(scene);
    prepare(scene, MEMORY);
}

void replace_peer(struct scene *scene) {
    enum role other = scene->role == CLIENT ? SERVER : CLIENT;
    settle(&scene->ends[other]);
    scene->ends[other] = connection(scene, other);
    join(client_of(scene), server_of(scene));
}

void prepare_resuming(struct scene *scene) {
    meet(scene, MEMORY);
    prepare_again(scene);
    SSL_SESSION *session = offered(scene, scene->offer);
    must(session && SSL_set_session(client_of(scene), session) == 1, "set_session");
    SSL_SESSION_free(session);
}

void begin_resuming(struct scene *scene) {
    prepare_resuming(scene);
    begin(scene);
}
