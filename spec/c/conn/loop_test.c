/*
 * loop_test.c: tests what an event loop needs from the library.
 *
 * It covers which descriptor to watch and until when, whether a connection is idle, a close that
 * takes several calls, and a listener that was handed over.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "tlslife_openssl.h"
#include "tlslife.h"

#include "check.h"
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static test_identity identity;
static tlslife_context *client_context, *server_context;

static tlslife_context *new_server_context(void) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, NULL);
    CHECK(tlslife_context_set_certificate_pem(context, identity.certificate,
                                              strlen(identity.certificate), NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_private_key_pem(context, identity.key, strlen(identity.key), NULL,
                                              NULL) == TLSLIFE_OK);
    return context;
}

static tlslife_context *new_client_context(void) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    CHECK(tlslife_context_add_ca_pem(context, identity.certificate, strlen(identity.certificate),
                                     NULL) == TLSLIFE_OK);
    return context;
}

static tlslife_conn *new_conn(tlslife_context *context) {
    tlslife_conn *conn = tlslife_conn_new(context, NULL);
    if (conn == NULL) {
        abort();
    }
    tlslife_conn_set_blocking(conn, false);
    return conn;
}

typedef struct ends {
    tlslife_conn *client, *server;
} ends;

static bool shake(ends pair) {
    tlslife_status one = TLSLIFE_WANT_READ, other = TLSLIFE_WANT_READ;
    for (int i = 0; i < 20 && (one != TLSLIFE_OK || other != TLSLIFE_OK); i++) {
        one = tlslife_conn_connect(pair.client);
        other = tlslife_conn_accept(pair.server);
    }
    return one == TLSLIFE_OK && other == TLSLIFE_OK;
}

/* Two non-blocking ends over a socket pair, before their handshake. */
static ends new_ends_of(tlslife_context *client, tlslife_context *server) {
    ends pair = {new_conn(client), new_conn(server)};
    int fds[2] = {-1, -1};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(tlslife_conn_take_fd(pair.client, fds[0]) == TLSLIFE_OK);
    CHECK(tlslife_conn_take_fd(pair.server, fds[1]) == TLSLIFE_OK);
    CHECK(tlslife_conn_set_hostname(pair.client, "localhost") == TLSLIFE_OK);
    return pair;
}

static ends new_ends(void) {
    return new_ends_of(client_context, server_context);
}

static ends new_open_ends(void) {
    ends pair = new_ends();
    CHECK(shake(pair));
    return pair;
}

static void free_ends(ends pair) {
    tlslife_conn_free(pair.client);
    tlslife_conn_free(pair.server);
}

/* -------------------------------------------------------------------------------------- wait_fd */

static void check_wait(const tlslife_conn *conn, tlslife_status want, int wanted_fd,
                       bool wanted_writing, int wanted_ms) {
    bool writing = !wanted_writing;
    int timeout_ms = -2;
    CHECK(tlslife_conn_wait_fd(conn, want, &writing, &timeout_ms) == wanted_fd);
    CHECK(writing == wanted_writing && timeout_ms == wanted_ms);
}

static void test_descriptors(void) {
    tlslife_conn *conn = new_conn(client_context);
    int fds[2] = {-1, -1};
    check_wait(conn, TLSLIFE_WANT_READ, -1, false, -1);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(tlslife_conn_set_fds(conn, fds[0], fds[1]) == TLSLIFE_OK);
    check_wait(conn, TLSLIFE_WANT_READ, fds[0], false, -1);
    check_wait(conn, TLSLIFE_WANT_WRITE, fds[1], true, -1);
    CHECK(tlslife_conn_set_memory(conn, 0) == TLSLIFE_OK);
    check_wait(conn, TLSLIFE_WANT_READ, -1, false, -1);
    check_wait(conn, TLSLIFE_WANT_WRITE, -1, true, -1);
    check_wait(conn, TLSLIFE_WANT_SESSION, -1, false, -1);
    tlslife_conn_free(conn);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    CHECK(SSL_set_rfd(ssl, fds[0]) == 1 && SSL_set_wfd(ssl, fds[1]) == 1);
    conn = tlslife_conn_from_ssl(ssl, NULL);
    check_wait(conn, TLSLIFE_WANT_READ, fds[0], false, -1);
    check_wait(conn, TLSLIFE_WANT_WRITE, fds[1], true, -1);
    tlslife_conn_free(conn);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* While a lookup waits for the program's answer there is nothing to watch. */
static void test_program_store(void) {
    tlslife_context *context = new_client_context();
    tlslife_keyring *keyring =
        tlslife_keyring_new((const unsigned char *)"0123456789abcdef0123456789abcdef", 32, NULL);
    tlslife_cache_options options = tlslife_cache_defaults();
    options.store = tlslife_store_program(NULL);
    options.keyring = keyring;
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    CHECK(tlslife_context_set_cache(context, cache, NULL) == TLSLIFE_OK);
    tlslife_conn *conn = new_conn(context);
    CHECK(tlslife_conn_set_memory(conn, 0) == TLSLIFE_OK);
    CHECK(tlslife_conn_set_hostname(conn, "localhost") == TLSLIFE_OK);
    CHECK(tlslife_conn_lookup_answered(conn)); /* nothing is looked up */
    CHECK(tlslife_conn_connect(conn) == TLSLIFE_WANT_SESSION);
    CHECK(!tlslife_conn_lookup_answered(conn));
    check_wait(conn, TLSLIFE_WANT_SESSION, -1, false, -1);
    CHECK(tlslife_conn_connect(conn) == TLSLIFE_WANT_SESSION);
    CHECK(tlslife_conn_answer_session(conn, NULL, 0) == TLSLIFE_OK);
    CHECK(tlslife_conn_lookup_answered(conn));
    check_wait(conn, TLSLIFE_WANT_SESSION, -1, false, 0);
    CHECK(tlslife_conn_connect(conn) == TLSLIFE_WANT_READ);
    CHECK(tlslife_conn_lookup_answered(conn));
    tlslife_conn_free(conn);
    tlslife_cache_free(cache);
    tlslife_keyring_free(keyring);
    tlslife_store_free(options.store);
    tlslife_context_free(context);
}

/* ----------------------------------------------------------------------------------------- idle */

static bool send_all(tlslife_conn *conn, const char *bytes, size_t len) {
    size_t written = 0;
    return tlslife_conn_write(conn, bytes, len, &written) == TLSLIFE_OK && written == len;
}

static size_t receive(tlslife_conn *conn, size_t len) {
    char bytes[64];
    size_t got = 0;
    return tlslife_conn_read(conn, bytes, len, &got) == TLSLIFE_OK ? got : 0;
}

static void test_idle(void) {
    ends pair = new_ends();
    CHECK(!tlslife_conn_idle(pair.server));
    CHECK(tlslife_conn_accept(pair.server) == TLSLIFE_WANT_READ && !tlslife_conn_idle(pair.server));
    CHECK(shake(pair));
    CHECK(tlslife_conn_idle(pair.server) && tlslife_conn_idle(pair.client));
    CHECK(send_all(pair.client, "request", 7) && tlslife_conn_idle(pair.client));
    CHECK(receive(pair.server, 3) == 3 && !tlslife_conn_idle(pair.server));
    CHECK(receive(pair.server, 4) == 4 && !tlslife_conn_idle(pair.server));
    CHECK(receive(pair.server, 1) == 0 && !tlslife_conn_idle(pair.server));
    CHECK(tlslife_conn_cork(pair.server, true) == TLSLIFE_OK);
    CHECK(send_all(pair.server, "answer", 6) &&
          !tlslife_conn_idle(pair.server)); /* nobody has it */
    CHECK(tlslife_conn_flush(pair.server) == TLSLIFE_OK && tlslife_conn_idle(pair.server));
    CHECK(send_all(pair.server, "more", 4) && !tlslife_conn_idle(pair.server));
    CHECK(tlslife_conn_flush(pair.server) == TLSLIFE_OK && tlslife_conn_idle(pair.server));
    CHECK(send_all(pair.client, "two requests", 12) && receive(pair.server, 4) == 4);
    CHECK(tlslife_conn_cork(pair.server, false) == TLSLIFE_OK);
    CHECK(send_all(pair.server, "answer", 6) &&
          !tlslife_conn_idle(pair.server)); /* one waits, decrypted */
    CHECK(receive(pair.server, 64) == 8 && send_all(pair.server, "answer", 6) &&
          tlslife_conn_idle(pair.server));
    CHECK(tlslife_conn_close(pair.client, 0) == TLSLIFE_SENT && !tlslife_conn_idle(pair.client));
    free_ends(pair);
}

/* A session that allows early data. */
static tlslife_session *early_session(tlslife_context *client, tlslife_context *server) {
    char byte;
    size_t got = 0;
    ends pair = new_ends_of(client, server);
    CHECK(shake(pair) && tlslife_conn_read(pair.client, &byte, 1, &got) == TLSLIFE_WANT_READ);
    tlslife_session *session = tlslife_conn_take_session(pair.client);
    CHECK(tlslife_conn_close(pair.client, 0) == TLSLIFE_SENT);
    free_ends(pair);
    return session;
}

/* Early data that were read are a request, although the handshake is not done before that. */
static void test_idle_after_early_data(void) {
    char bytes[16];
    size_t len = 0;
    tlslife_context *server = new_server_context();
    tlslife_context *client = new_client_context();
    CHECK(tlslife_context_set_max_early_data(server, 1000, NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_max_early_data(client, 1000, NULL) == TLSLIFE_OK);
    tlslife_session *session = early_session(client, server);
    ends pair = new_ends_of(client, server);
    CHECK(session != NULL && tlslife_conn_set_session(pair.client, session) == TLSLIFE_OK);
    CHECK(tlslife_conn_write_early(pair.client, "request", 7, &len) == TLSLIFE_OK && len == 7);
    CHECK(tlslife_conn_read_early(pair.server, bytes, sizeof bytes, &len) == TLSLIFE_OK &&
          len == 7);
    CHECK(!tlslife_conn_idle(pair.server));
    CHECK(tlslife_conn_connect(pair.client) == TLSLIFE_OK);
    CHECK(tlslife_conn_read_early(pair.server, bytes, sizeof bytes, &len) == TLSLIFE_OK &&
          len == 0);
    CHECK(shake(pair) && !tlslife_conn_idle(pair.server));
    CHECK(send_all(pair.server, "answer", 6) && tlslife_conn_idle(pair.server));
    free_ends(pair);
    tlslife_session_free(session);
    tlslife_context_free(client);
    tlslife_context_free(server);
}

/* The connection is not idle while a write waits, because the peer has a part of an answer. */
static void test_idle_with_a_write_that_waits(void) {
    ends pair = new_open_ends();
    static char bytes[4000000];
    size_t written = 0;
    CHECK(tlslife_conn_write(pair.server, bytes, sizeof bytes, &written) == TLSLIFE_WANT_WRITE);
    CHECK(written > 0 && !tlslife_conn_idle(pair.server));
    check_wait(pair.server, TLSLIFE_WANT_WRITE, tlslife_conn_fd(pair.server), true, -1);
    free_ends(pair);
}

/* ---------------------------------------------------------------------------------------- close */

static void test_close_in_turns(void) {
    ends pair = new_open_ends();
    for (int timeout_ms = 300; timeout_ms > 0; timeout_ms -= 100) {
        CHECK(tlslife_conn_close(pair.client, timeout_ms) == TLSLIFE_WANT_READ);
        CHECK(tlslife_conn_fd(pair.client) >= 0);
        check_wait(pair.client, TLSLIFE_WANT_READ, tlslife_conn_fd(pair.client), false, -1);
    }
    CHECK(receive(pair.server, 1) == 0 && tlslife_conn_close(pair.server, 0) == TLSLIFE_OK);
    CHECK(tlslife_conn_close(pair.client, 100) == TLSLIFE_OK && tlslife_conn_fd(pair.client) == -1);
    free_ends(pair);
    pair = new_open_ends();
    CHECK(tlslife_conn_close(pair.client, 100) == TLSLIFE_WANT_READ);
    CHECK(tlslife_conn_close(pair.client, 0) == TLSLIFE_SENT && tlslife_conn_fd(pair.client) == -1);
    free_ends(pair);
}

/* Where not even our close_notify can go out. */
static void test_close_of_a_full_transport(void) {
    ends pair = new_open_ends();
    char byte = 'x';
    while (send(tlslife_conn_fd(pair.client), &byte, 1, MSG_DONTWAIT) ==
           1) { /* not a record: the room is gone */
    }
    CHECK(tlslife_conn_close(pair.client, 100) == TLSLIFE_WANT_WRITE);
    CHECK(tlslife_conn_close(pair.client, 100) == TLSLIFE_WANT_WRITE &&
          tlslife_conn_fd(pair.client) >= 0);
    check_wait(pair.client, TLSLIFE_WANT_WRITE, tlslife_conn_fd(pair.client), true, -1);
    CHECK(tlslife_conn_close(pair.client, 0) == TLSLIFE_TIMEOUT &&
          tlslife_conn_fd(pair.client) == -1);
    free_ends(pair);
}

/*
 * A peer does not stop sending. Each call takes a part, and says that it can go on without waiting.
 */
static void test_close_under_a_flood(void) {
    ends pair = new_open_ends();
    static char bytes[16384];
    int calls = 0;
    tlslife_status status = TLSLIFE_WANT_READ;
    bool flooded = false;
    const int room = 1000000;
    CHECK(setsockopt(tlslife_conn_fd(pair.server), SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
    for (int i = 0; i < 20; i++) { /* 320 KiB */
        flooded = send_all(pair.server, bytes, sizeof bytes);
    }
    CHECK(flooded);
    CHECK(tlslife_conn_close(pair.client, 1000) == TLSLIFE_WANT_READ);
    check_wait(pair.client, TLSLIFE_WANT_READ, tlslife_conn_fd(pair.client), false, 0);
    CHECK(tlslife_conn_close(pair.client, 1000) == TLSLIFE_WANT_READ);
    check_wait(pair.client, TLSLIFE_WANT_READ, tlslife_conn_fd(pair.client), false, -1);
    CHECK(tlslife_conn_shutdown(pair.server) == TLSLIFE_SENT);
    while (status == TLSLIFE_WANT_READ && calls++ < 10) {
        status = tlslife_conn_close(pair.client, 1000);
    }
    CHECK(status == TLSLIFE_OK);
    free_ends(pair);
}

/* ------------------------------------------------------------------------------------- listener */

static int listening_socket(int domain, int type, bool listens) {
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    int fd = socket(domain, type, 0);
    if (domain == AF_INET) {
        CHECK(bind(fd, (const struct sockaddr *)&inet, sizeof inet) == 0);
    } else {
        CHECK(bind(fd, (const struct sockaddr *)&local, sizeof local.sun_family) == 0);
    }
    CHECK(!listens || listen(fd, 5) == 0);
    return fd;
}

static void refuse(int fd) {
    tlslife_error err;
    CHECK(tlslife_listen_fd(fd, &err) == NULL && err.kind == TLSLIFE_ERR_USAGE);
    CHECK(fd < 0 || close(fd) == 0); /* it is ours still */
}

/* The kernel has chosen an abstract name for it. */
static void test_unix_socket_handed_over(void) {
    int fd = listening_socket(AF_UNIX, SOCK_STREAM, true);
    tlslife_listener *listener = tlslife_listen_fd(fd, NULL);
    if (CHECK(listener != NULL)) {
        CHECK(tlslife_listener_fd(listener) == fd && tlslife_listener_port(listener) == -1);
        tlslife_listener_free(listener);
    }
}

static void test_handed_over(void) {
    tlslife_conn *accepted = NULL;
    char port[16];
    int fd = listening_socket(AF_INET, SOCK_STREAM, true);
    tlslife_listener *listener = tlslife_listen_fd(fd, NULL);
    if (!CHECK(listener != NULL)) {
        return;
    }
    CHECK(tlslife_listener_fd(listener) == fd && tlslife_listener_port(listener) > 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(tlslife_listener_accept(listener, server_context, 0, &accepted, NULL) ==
          TLSLIFE_WANT_READ);
    CHECK(tlslife_listener_accept(listener, server_context, 20, &accepted, NULL) ==
          TLSLIFE_TIMEOUT);
    (void)snprintf(port, sizeof port, "%d", tlslife_listener_port(listener));
    tlslife_conn *client = new_conn(client_context);
    tlslife_conn_set_blocking(client, true);
    CHECK(tlslife_conn_dial(client, "127.0.0.1", port) == TLSLIFE_OK);
    CHECK(tlslife_listener_accept(listener, server_context, 2000, &accepted, NULL) == TLSLIFE_OK);
    tlslife_conn_free(client);
    tlslife_conn_free(accepted);
    tlslife_listener_free(listener);
    CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
}

static void test_not_a_listener(void) {
    int pipe_ends[2] = {-1, -1};
    CHECK(pipe(pipe_ends) == 0);
    (void)close(pipe_ends[1]);
    refuse(-1);
    refuse(pipe_ends[0]);
    refuse(listening_socket(AF_INET, SOCK_STREAM, false));
    refuse(listening_socket(AF_INET, SOCK_DGRAM, false));
    refuse(listening_socket(AF_UNIX, SOCK_STREAM, false));
    refuse(listening_socket(AF_UNIX, SOCK_SEQPACKET, true));
}

int main(void) {
    CHECK(identity_make(&identity));
    client_context = new_client_context();
    server_context = new_server_context();
    test_descriptors();
    test_program_store();
    test_idle();
    test_idle_after_early_data();
    test_idle_with_a_write_that_waits();
    test_close_in_turns();
    test_close_of_a_full_transport();
    test_close_under_a_flood();
    test_handed_over();
    test_unix_socket_handed_over();
    test_not_a_listener();
    tlslife_context_free(client_context);
    tlslife_context_free(server_context);
    return checks_end();
}
