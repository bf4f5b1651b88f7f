/*
 * bio_test.c: tests the BIOs of connections, which a program sees by SSL_get_rbio.
 *
 * The BIO over descriptors asks the SSL that uses it, at each write, whether it writes tickets. It
 * may live longer: other code can hold a reference to it, and clear gives the connection another
 * SSL where a renegotiation is pending. libssl is built without sanitizers, so they do not see that
 * it reads an SSL that was freed. This program has an SSL_get_state of its own, which notes for
 * which SSL it is asked.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "tlslife.h"
#include "tlslife_openssl.h"

#include "check.h"
#include "identity.h"

#include <dlfcn.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static test_identity identity;
static const SSL *live[2]; /* the SSLs of the connections under test, or NULL */
static int asked;          /* how often one of them was asked about */
static int asked_of_others;

__attribute__((visibility("default"))) OSSL_HANDSHAKE_STATE SSL_get_state(const SSL *ssl) {
    OSSL_HANDSHAKE_STATE (*found)(const SSL *) = NULL;
    *(void **)&found = dlsym(RTLD_NEXT, "SSL_get_state");
    if (ssl != live[0] && ssl != live[1]) {
        asked_of_others++;
        return TLS_ST_BEFORE;
    }
    asked++;
    return found(ssl);
}

static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

static tlslife_context *new_context(tlslife_role role) {
    tlslife_context *context = tlslife_context_new(role, NULL);
    must(context != NULL &&
         tlslife_context_set_versions(context, TLSLIFE_TLS1_2, TLSLIFE_TLS1_2, NULL) == TLSLIFE_OK);
    if (role == TLSLIFE_SERVER) {
        must(tlslife_context_set_certificate_pem(
                 context, identity.certificate, strlen(identity.certificate), NULL) == TLSLIFE_OK &&
             tlslife_context_set_private_key_pem(context, identity.key, strlen(identity.key), NULL,
                                                 NULL) == TLSLIFE_OK);
    } else {
        must(tlslife_context_set_verify(context, TLSLIFE_VERIFY_NONE, NULL) == TLSLIFE_OK);
    }
    return context;
}

/* --------------------------------------------------------------------------- over a descriptor */

/* A connection that owns fd. */
static tlslife_conn *over(tlslife_role role, int fd) {
    tlslife_context *context = new_context(role);
    tlslife_conn *conn = tlslife_conn_new(context, NULL);
    tlslife_context_free(context);
    must(conn != NULL && tlslife_conn_take_fd(conn, fd) == TLSLIFE_OK);
    tlslife_conn_set_blocking(conn, false);
    live[role] = tlslife_conn_ssl(conn);
    return conn;
}

static bool shake(tlslife_conn *client, tlslife_conn *server) {
    bool connected = false, accepted = false;
    for (int i = 0; i < 20 && !(connected && accepted); i++) {
        connected = connected || tlslife_conn_connect(client) == TLSLIFE_OK;
        accepted = accepted || tlslife_conn_accept(server) == TLSLIFE_OK;
    }
    return connected && accepted;
}

/* The client of a new connection finds the server's descriptor as the first one left it. */
static void a_cleared_connection_asks_its_new_ssl(void) {
    int fds[2], kept;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    kept = dup(fds[0]);
    tlslife_conn *client = over(TLSLIFE_CLIENT, fds[0]), *server = over(TLSLIFE_SERVER, fds[1]);
    CHECK(shake(client, server));
    CHECK(tlslife_conn_renegotiate(server, false) == TLSLIFE_OK);
    const SSL *before = tlslife_conn_ssl(server);
    CHECK(tlslife_conn_clear(server) == TLSLIFE_OK);
    live[TLSLIFE_SERVER] = tlslife_conn_ssl(server);
    CHECK(live[TLSLIFE_SERVER] != before);
    tlslife_conn_free(client);
    client = over(TLSLIFE_CLIENT, kept);
    asked = asked_of_others = 0;
    CHECK(shake(client, server));
    CHECK(asked > 0 && asked_of_others == 0);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
}

/* As SSL_free(3) says of any BIO, whose other references stay valid. */
static void a_bio_outlives_its_connection(void) {
    int fds[2];
    char bytes[4] = "";
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    tlslife_conn *server = over(TLSLIFE_SERVER, fds[1]);
    BIO *bio = SSL_get_wbio(tlslife_conn_ssl(server));
    CHECK(BIO_up_ref(bio) == 1);
    tlslife_conn_free(server);
    live[TLSLIFE_SERVER] = NULL;
    asked_of_others = 0;
    CHECK(BIO_write(bio, "abc", 3) == 3);
    CHECK(recv(fds[0], bytes, sizeof bytes, 0) == 3 && memcmp(bytes, "abc", 3) == 0);
    CHECK(asked_of_others == 0);
    CHECK(BIO_free(bio) == 1);
    CHECK(recv(fds[0], bytes, sizeof bytes, 0) == 0); /* the last reference closes the descriptor */
    (void)close(fds[0]);
}

/* The program gives the SSL a socket BIO of libcrypto's, which has the type of a descriptor. */
static void a_foreign_bio_is_left_alone(void) {
    int fds[2], own[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 &&
         socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, own) == 0);
    tlslife_conn *server = over(TLSLIFE_SERVER, fds[1]);
    CHECK(SSL_set_fd(tlslife_conn_ssl(server), own[1]) == 1);
    tlslife_conn_free(server);
    CHECK(write(own[1], "x", 1) == 1);
    (void)close(fds[0]);
    (void)close(own[0]);
    (void)close(own[1]);
}

/* -------------------------------------------------------------------------------- TLS in TLS */

static tlslife_conn *plain_conn(tlslife_role role) {
    tlslife_context *context = new_context(role);
    tlslife_conn *conn = tlslife_conn_new(context, NULL);
    tlslife_context_free(context);
    must(conn != NULL);
    return conn;
}

/*
 * The BIO over a connection answers as BIO_ctrl(3) and BIO_write_ex(3) say: what is pending,
 * whether the stream has ended, and that no bytes can be written, too.
 */
static void a_bio_over_a_connection(void) {
    tlslife_conn *outer = plain_conn(TLSLIFE_CLIENT), *peer = plain_conn(TLSLIFE_SERVER),
                 *inner = plain_conn(TLSLIFE_CLIENT);
    char bytes[4] = "";
    size_t len = 1;
    must(tlslife_conn_pair(outer, peer, 0) == TLSLIFE_OK);
    CHECK(shake(outer, peer));
    CHECK(tlslife_conn_set_connection(inner, outer) == TLSLIFE_OK);
    BIO *bio = SSL_get_rbio(tlslife_conn_ssl(inner));
    CHECK(BIO_write_ex(bio, "", 0, &len) == 1 && len == 0 && BIO_flush(bio) == 1);
    CHECK(BIO_read(bio, bytes, 1) == -1 && BIO_should_retry(bio) && !BIO_eof(bio));
    CHECK(tlslife_conn_write(peer, "abc", 3, &len) == TLSLIFE_OK && BIO_pending(bio) == 0);
    CHECK(BIO_read(bio, bytes, 1) == 1 && bytes[0] == 'a' && BIO_pending(bio) == 2);
    CHECK(tlslife_conn_unread(inner, "0", 1) == TLSLIFE_OK && BIO_pending(bio) == 3);
    CHECK(tlslife_conn_shutdown(peer) == TLSLIFE_SENT);
    CHECK(BIO_read(bio, bytes, 4) == 1 && bytes[0] == '0' && !BIO_eof(bio));
    CHECK(BIO_read(bio, bytes, 4) == 2 && memcmp(bytes, "bc", 2) == 0 && !BIO_eof(bio));
    CHECK(BIO_read(bio, bytes, 4) == 0 && !BIO_should_retry(bio) && BIO_eof(bio));
    CHECK(tlslife_conn_unread(inner, "1", 1) == TLSLIFE_OK && !BIO_eof(bio));
    CHECK(BIO_read(bio, bytes, 4) == 1 && bytes[0] == '1' && BIO_eof(bio));
    CHECK(BIO_reset(bio) == 0); /* an unknown command */
    tlslife_conn_free(inner);
    tlslife_conn_free(outer);
    tlslife_conn_free(peer);
}

int main(void) {
    must(identity_make(&identity));
    a_cleared_connection_asks_its_new_ssl();
    a_bio_outlives_its_connection();
    a_foreign_bio_is_left_alone();
    a_bio_over_a_connection();
    return checks_end();
}
