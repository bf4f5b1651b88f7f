/*
 * shared_threads_conn.c: lists the calls of shared_threads.c on connections and listeners.
 *
 * A connection belongs to one thread at a time. So each call is made on a connection that was
 * handed to the thread, and that another thread had before. The contexts, caches, stores, sessions
 * and ticket keys behind it are shared with other threads at the same time. No row looks at the
 * state of a connection first: a call that is not lawful now must fail and do no harm.
 */
#include "shared_threads.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---------------------------------------------------------------------------- making, advancing */

static void free_connections(hand *h) {
    tlslife_conn_free(h->own->client);
    tlslife_conn_free(h->own->server);
    h->own->client = h->own->server = NULL;
}

void make_connections(hand *h) {
    free_connections(h);
    h->own->client = tlslife_conn_new(h->client, &h->err);
    h->own->server = tlslife_conn_new(h->server, &h->err);
    expect(h, h->own->client != NULL && h->own->server != NULL, "connections");
    tlslife_conn_set_blocking(h->own->client, false);
    tlslife_conn_set_blocking(h->own->server, false);
    (void)tlslife_conn_set_hostname(h->own->client, "localhost");
    expect(h, tlslife_conn_pair(h->own->client, h->own->server, 0) == TLSLIFE_OK, "pair");
    if (h->session != NULL && pick(h, 2) == 0) {
        (void)tlslife_conn_set_session(h->own->client, h->session);
    }
}

static void answer(tlslife_conn *conn, tlslife_status status) {
    if (status == TLSLIFE_WANT_HELLO) {
        (void)tlslife_conn_answer_hello(conn, NULL);
    } else if (status == TLSLIFE_WANT_VERIFY) {
        (void)tlslife_conn_answer_verify(conn, true);
    } else if (status == TLSLIFE_WANT_SESSION) {
        (void)tlslife_conn_answer_session(conn, NULL, 0);
    }
}

static void take_sessions(hand *h) {
    tlslife_session *session;
    while ((session = tlslife_conn_take_session(h->own->client)) != NULL) {
        publish(h, PLACE_SESSION, session);
    }
}

/* Makes the handshake, if it is not done, and sends some bytes both ways. */
void drive(hand *h) {
    char bytes[64];
    size_t len = 0;
    for (int i = 0; i < 12 && !tlslife_conn_handshake_done(h->own->client); i++) {
        answer(h->own->client, tlslife_conn_connect(h->own->client));
        answer(h->own->server, tlslife_conn_accept(h->own->server));
    }
    (void)tlslife_conn_accept(h->own->server);
    atomic_fetch_add(&h->world->handshakes, tlslife_conn_handshake_done(h->own->server));
    (void)tlslife_conn_write(h->own->server, "some bytes", 10, &len);
    (void)tlslife_conn_read(h->own->client, bytes, sizeof bytes, &len);
    take_sessions(h);
    if (tlslife_conn_state(h->own->client) == TLSLIFE_STATE_FAILED || pick(h, 2) == 0) {
        make_connections(h);
    }
}

static tlslife_conn *either(hand *h) {
    return pick(h, 2) == 0 ? h->own->client : h->own->server;
}

/* ---------------------------------------------------------------------------- life and settings */

CALL(tlslife_conn_new) {
    if (pick(h, 2) == 0) {
        make_connections(h);
    }
}

CALL(tlslife_conn_dup) {
    tlslife_conn_free(tlslife_conn_dup(either(h), NULL));
}

CALL(tlslife_conn_up_ref) {
    tlslife_conn_free(tlslife_conn_up_ref(h->own->client));
}

CALL(tlslife_conn_free) {
    (void)tlslife_conn_up_ref(h->own->server);
    tlslife_conn_free(h->own->server);
}

CALL(tlslife_conn_get0_context) {
    expect(h, tlslife_context_role(tlslife_conn_get0_context(h->own->server)) == TLSLIFE_SERVER,
           "get0_context");
}

CALL(tlslife_conn_error) {
    expect(h, tlslife_conn_error(either(h)) != NULL, "error");
}

CALL(tlslife_conn_set_blocking) {
    tlslife_conn_set_blocking(either(h), false);
}

CALL(tlslife_conn_set_timeout_ms) {
    tlslife_conn_set_timeout_ms(either(h), (int)pick(h, 100));
}

CALL(tlslife_conn_set_trace) {
    (void)tlslife_conn_set_trace(either(h), pick(h, 2) == 0 ? h->world->trace : NULL);
}

CALL(tlslife_conn_set_alpn) {
    static const char *const protocols[] = {"h2"};
    (void)tlslife_conn_set_alpn(either(h), protocols, pick(h, 2));
}

CALL(tlslife_conn_from_ssl) {
    tlslife_conn *same = tlslife_conn_from_ssl(tlslife_conn_ssl(h->own->client), NULL);
    expect(h, same == h->own->client, "from_ssl");
    tlslife_conn_free(same);
}

CALL(tlslife_conn_ssl) {
    expect(h, SSL_get_SSL_CTX(tlslife_conn_ssl(h->own->client)) != NULL, "ssl");
}

/* ------------------------------------------------------------------------------------ transport */

CALL(tlslife_conn_dial) {
    char service[16];
    if (pick(h, 4) == 0) {
        (void)snprintf(service, sizeof service, "%d", tlslife_listener_port(h->own->listener));
        (void)tlslife_conn_dial(h->own->client, pick(h, 2) == 0 ? "localhost" : "127.0.0.1",
                                service);
    }
}

CALL(tlslife_listener_accept) {
    tlslife_conn *accepted = NULL;
    if (tlslife_listener_accept(h->own->listener, h->server, 0, &accepted, &h->err) == TLSLIFE_OK) {
        tlslife_conn_free(h->own->server);
        h->own->server = accepted;
        tlslife_conn_set_blocking(accepted, false);
    }
}

CALL(tlslife_conn_set_fd) {
    if (pick(h, 8) == 0) {
        (void)tlslife_conn_set_fd(h->own->client, tlslife_listener_fd(h->own->listener));
    }
}

CALL(tlslife_conn_set_fds) {
    if (pick(h, 8) == 0) {
        int fd = tlslife_listener_fd(h->own->listener);
        (void)tlslife_conn_set_fds(h->own->client, fd, fd);
    }
}

CALL(tlslife_conn_take_fd) {
    int ends[2];
    if (pick(h, 8) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0) {
        (void)tlslife_conn_take_fd(h->own->client, ends[0]);
        (void)tlslife_conn_take_fd(h->own->server, ends[1]);
    }
}

CALL(tlslife_conn_set_connection) {
    tlslife_conn *outer = either(h);
    if (pick(h, 8) == 0) {
        tlslife_conn *inner = tlslife_conn_new(h->client, NULL);
        (void)tlslife_conn_set_connection(inner, outer);
        tlslife_conn_set_blocking(inner, false);
        (void)tlslife_conn_set_hostname(inner, "localhost");
        (void)tlslife_conn_connect(inner);
        tlslife_conn_free(inner);
    }
}

CALL(tlslife_conn_get0_outer) {
    expect(h, tlslife_conn_get0_outer(either(h)) == NULL, "outer");
}

CALL(tlslife_conn_get0_inner) {
    expect(h, tlslife_conn_get0_inner(either(h)) == NULL, "inner");
}

CALL(tlslife_conn_pair) {
    if (pick(h, 4) == 0) {
        (void)tlslife_conn_pair(h->own->client, h->own->server, 1024);
    }
}

CALL(tlslife_conn_set_memory) {
    if (pick(h, 8) == 0) {
        (void)tlslife_conn_set_memory(either(h), 0);
    }
}

CALL(tlslife_conn_feed) {
    size_t len = 0;
    (void)tlslife_conn_feed(either(h), "x", 1, &len);
}

CALL(tlslife_conn_feed_eof) {
    if (pick(h, 8) == 0) {
        (void)tlslife_conn_feed_eof(either(h));
    }
}

CALL(tlslife_conn_drain) {
    char bytes[64];
    size_t len = 0;
    (void)tlslife_conn_drain(either(h), bytes, sizeof bytes, &len);
}

CALL(tlslife_conn_wait_fd) {
    bool writing = false;
    int timeout_ms = 0;
    static const tlslife_status wants[] = {TLSLIFE_WANT_READ, TLSLIFE_WANT_WRITE,
                                           TLSLIFE_WANT_SESSION};
    (void)tlslife_conn_wait_fd(either(h), wants[pick(h, 3)], &writing, &timeout_ms);
}

CALL(tlslife_conn_peer_address) {
    char address[128];
    (void)tlslife_conn_peer_address(either(h), address, sizeof address);
}

CALL(tlslife_conn_proxy_address) {
    char address[128];
    (void)tlslife_conn_proxy_address(either(h), address, sizeof address);
}

CALL(tlslife_conn_proxy_tlv) {
    tlslife_bytes value;
    (void)tlslife_conn_proxy_tlv(either(h), TLSLIFE_PROXY_AUTHORITY, &value);
}

CALL(tlslife_conn_plain_read) {
    char bytes[4];
    size_t len = 0;
    if (pick(h, 8) == 0) {
        (void)tlslife_conn_plain_read(either(h), bytes, sizeof bytes, &len);
    }
}

CALL(tlslife_conn_plain_write) {
    size_t len = 0;
    if (pick(h, 8) == 0) {
        (void)tlslife_conn_plain_write(either(h), "x", 1, &len);
    }
}

CALL(tlslife_conn_unread) {
    if (pick(h, 8) == 0) {
        (void)tlslife_conn_unread(either(h), "x", 1);
    }
}

CALL(tlslife_conn_close_transport) {
    if (pick(h, 8) == 0) {
        tlslife_conn_close_transport(either(h));
    }
}

/* -------------------------------------------------------------------------------- the handshake */

CALL(tlslife_conn_connect) {
    answer(h->own->client, tlslife_conn_connect(h->own->client));
}

CALL(tlslife_conn_accept) {
    answer(h->own->server, tlslife_conn_accept(h->own->server));
}

CALL(tlslife_conn_handshake) {
    tlslife_conn *conn = either(h);
    answer(conn, tlslife_conn_handshake(conn));
}

/* The hello that waits is answered with a context that others use. */
CALL(tlslife_conn_answer_hello) {
    (void)tlslife_conn_answer_hello(h->own->server, h->server);
}

CALL(tlslife_conn_answer_certificate) {
    (void)tlslife_conn_answer_certificate(h->own->client, h->client);
}

CALL(tlslife_conn_answer_psk) {
    (void)tlslife_conn_answer_psk(h->own->server, (const unsigned char *)"key", 3);
}

CALL(tlslife_conn_answer_psk_client) {
    (void)tlslife_conn_answer_psk_client(h->own->client, "me", (const unsigned char *)"key", 3);
}

CALL(tlslife_conn_answer_verify) {
    (void)tlslife_conn_answer_verify(either(h), pick(h, 8) != 0);
}

CALL(tlslife_conn_refuse) {
    if (pick(h, 4) == 0) {
        (void)tlslife_conn_refuse(either(h), 112);
    }
}

CALL(tlslife_conn_ca_name) {
    (void)tlslife_conn_ca_name(h->own->client, 0);
}

CALL(tlslife_conn_lookup) {
    tlslife_lookup lookup;
    if (tlslife_conn_lookup(h->own->server, &lookup)) {
        expect(h, lookup.key.len == 32, "lookup");
    }
}

CALL(tlslife_conn_answer_session) {
    (void)tlslife_conn_answer_session(either(h), (const unsigned char *)"not sealed", 10);
}

CALL(tlslife_conn_set_ticket_data) {
    (void)tlslife_conn_set_ticket_data(h->own->server, (const unsigned char *)"data", 4);
}

/* ----------------------------------------------------------------------------------------- data */

CALL(tlslife_conn_read) {
    char bytes[64];
    size_t len = 0;
    (void)tlslife_conn_read(either(h), bytes, sizeof bytes, &len);
}

CALL(tlslife_conn_peek) {
    char bytes[64];
    size_t len = 0;
    (void)tlslife_conn_peek(either(h), bytes, sizeof bytes, &len);
}

CALL(tlslife_conn_write) {
    size_t len = 0;
    (void)tlslife_conn_write(either(h), "some bytes", 10, &len);
}

CALL(tlslife_conn_writev) {
    static const tlslife_bytes pieces[] = {{(const unsigned char *)"some bytes", 10}};
    size_t len = 0;
    (void)tlslife_conn_writev(either(h), pieces, 1, &len);
}

CALL(tlslife_conn_cork) {
    (void)tlslife_conn_cork(either(h), pick(h, 2) == 0);
}

CALL(tlslife_conn_write_early) {
    size_t len = 0;
    (void)tlslife_conn_write_early(h->own->client, "some bytes", 10, &len);
}

CALL(tlslife_conn_read_early) {
    char bytes[64];
    size_t len = 0;
    (void)tlslife_conn_read_early(h->own->server, bytes, sizeof bytes, &len);
}

CALL(tlslife_conn_accept_early) {
    (void)tlslife_conn_accept_early(h->own->server);
}

/* ------------------------------------------------------------------------- the end, the session */

CALL(tlslife_conn_shutdown) {
    if (pick(h, 4) == 0) {
        (void)tlslife_conn_shutdown(either(h));
    }
}

CALL(tlslife_conn_close) {
    if (pick(h, 8) == 0) {
        (void)tlslife_conn_close(either(h), 0);
    }
}

CALL(tlslife_conn_clear) {
    if (pick(h, 4) == 0) {
        (void)tlslife_conn_clear(either(h));
    }
}

CALL(tlslife_conn_set_shutdown) {
    if (pick(h, 8) == 0) {
        (void)tlslife_conn_set_shutdown(either(h), TLSLIFE_SENT_SHUTDOWN);
    }
}

CALL(tlslife_conn_set_quiet_shutdown) {
    tlslife_conn_set_quiet_shutdown(either(h), pick(h, 8) == 0);
}

CALL(tlslife_conn_set_session) {
    (void)tlslife_conn_set_session(h->own->client, pick(h, 8) == 0 ? NULL : h->session);
}

CALL(tlslife_conn_get0_session) {
    tlslife_session *session = tlslife_conn_get0_session(either(h));
    expect(h, session == NULL || tlslife_session_protocol(session) != NULL, "get0_session");
}

/* A session that the handshake is still making stays in its thread. */
CALL(tlslife_conn_get1_session) {
    tlslife_conn *conn = either(h);
    tlslife_session *session = tlslife_conn_get1_session(conn);
    if (session != NULL && tlslife_conn_handshake_done(conn)) {
        publish(h, PLACE_SESSION, session);
    } else {
        tlslife_session_free(session);
    }
}

CALL(tlslife_conn_take_session) {
    tlslife_session *session = tlslife_conn_take_session(h->own->client);
    if (session != NULL) {
        publish(h, PLACE_SESSION, session);
    }
}

/* --------------------------------------------------------------------- what the handshake found */

CALL(tlslife_conn_alpn) {
    tlslife_bytes name;
    (void)tlslife_conn_alpn(either(h), &name);
}

CALL(tlslife_conn_ticket_data) {
    tlslife_bytes data;
    (void)tlslife_conn_ticket_data(h->own->server, &data);
}

CALL(tlslife_conn_ocsp_response) {
    tlslife_bytes response;
    (void)tlslife_conn_ocsp_response(h->own->client, &response);
}

CALL(tlslife_conn_peer_certificate) {
    tlslife_certificate certificate;
    memset(&certificate, 0, sizeof certificate);
    (void)tlslife_conn_peer_certificate(either(h), 0, &certificate);
    tlslife_certificate_clear(&certificate);
}

CALL(tlslife_conn_local_certificate) {
    tlslife_certificate certificate;
    memset(&certificate, 0, sizeof certificate);
    (void)tlslife_conn_local_certificate(either(h), 0, &certificate);
    tlslife_certificate_clear(&certificate);
}

CALL(tlslife_conn_verify_errors) {
    tlslife_verify_error errors[4];
    (void)tlslife_conn_verify_errors(either(h), errors, 4);
}

CALL(tlslife_conn_cipher_description) {
    char text[256];
    (void)tlslife_conn_cipher_description(either(h), text, sizeof text);
}

CALL(tlslife_conn_add_tlsa) {
    (void)tlslife_conn_add_tlsa(h->own->client, 3, 1, 1, (const unsigned char *)"?", 1);
}

CALL(tlslife_conn_finished) {
    unsigned char bytes[64];
    (void)tlslife_conn_finished(either(h), bytes, sizeof bytes);
}

CALL(tlslife_conn_peer_finished) {
    unsigned char bytes[64];
    (void)tlslife_conn_peer_finished(either(h), bytes, sizeof bytes);
}

CALL(tlslife_conn_export_keying_material) {
    unsigned char out[32];
    (void)tlslife_conn_export_keying_material(either(h), out, sizeof out, "EXPERIMENTAL spec", 17,
                                              NULL, 0);
}

CALL(tlslife_conn_take_keylog) {
    char *line;
    while ((line = tlslife_conn_take_keylog(h->own->client)) != NULL) {
        tlslife_string_free(line);
    }
}

/* Calls on either connection, whose results are not checked. */
#define PLAIN(function)            \
    CALL(function) {               \
        (void)function(either(h)); \
    }
#define WITH(function, argument)             \
    CALL(function) {                         \
        (void)function(either(h), argument); \
    }

CALL(tlslife_conn_signature_algorithm) {
    char name[64];
    (void)tlslife_conn_signature_algorithm(either(h), name, sizeof name);
}

CALL(tlslife_conn_peer_signature_algorithm) {
    char name[64];
    (void)tlslife_conn_peer_signature_algorithm(either(h), name, sizeof name);
}

CALL(tlslife_conn_offered_ciphers) {
    tlslife_string_free(tlslife_conn_offered_ciphers(either(h)));
}

WITH(tlslife_conn_set_hostname, "localhost")
PLAIN(tlslife_conn_hostname)
WITH(tlslife_conn_set_groups, "P-256")
WITH(tlslife_conn_set_num_tickets, 1)
WITH(tlslife_conn_set_dane, "localhost")
WITH(tlslife_conn_cipher_bits, NULL)
PLAIN(tlslife_conn_local_certificates_len)
PLAIN(tlslife_conn_blocking)
PLAIN(tlslife_conn_timeout_ms)
PLAIN(tlslife_conn_fd)
PLAIN(tlslife_conn_idle)
PLAIN(tlslife_conn_handshake_done)
PLAIN(tlslife_conn_hello)
PLAIN(tlslife_conn_ca_names_len)
PLAIN(tlslife_conn_lookup_answered)
PLAIN(tlslife_conn_fail_session)
PLAIN(tlslife_conn_resumption)
PLAIN(tlslife_conn_pending)
PLAIN(tlslife_conn_has_pending)
PLAIN(tlslife_conn_drained)
PLAIN(tlslife_conn_flush)
PLAIN(tlslife_conn_early_data_status)
PLAIN(tlslife_conn_early)
PLAIN(tlslife_conn_get_shutdown)
PLAIN(tlslife_conn_quiet_shutdown)
PLAIN(tlslife_conn_session_reused)
PLAIN(tlslife_conn_new_session_ticket)
WITH(tlslife_conn_key_update, true)
WITH(tlslife_conn_renegotiate, true)
PLAIN(tlslife_conn_renegotiate_pending)
PLAIN(tlslife_conn_request_client_certificate)
PLAIN(tlslife_conn_state)
PLAIN(tlslife_conn_state_name)
PLAIN(tlslife_conn_state_text)
PLAIN(tlslife_conn_is_server)
PLAIN(tlslife_conn_version)
PLAIN(tlslife_conn_cipher)
PLAIN(tlslife_conn_group)
PLAIN(tlslife_conn_extended_master_secret)
PLAIN(tlslife_conn_hello_retry)
PLAIN(tlslife_conn_secure_renegotiation)
PLAIN(tlslife_conn_num_renegotiations)
PLAIN(tlslife_conn_psk_identity)
PLAIN(tlslife_conn_psk_identity_hint)
PLAIN(tlslife_conn_server_name)
PLAIN(tlslife_conn_verify_result)
PLAIN(tlslife_conn_peer_certificates_len)

/* ------------------------------------------------------------------------------------ listeners */

CALL(tlslife_listen) {
    tlslife_listener_free(h->own->listener);
    h->own->listener = tlslife_listen("127.0.0.1", "0", 0, false, &h->err);
    expect(h, h->own->listener != NULL, "listen");
}

CALL(tlslife_listen_unix) {
    char name[128];
    (void)snprintf(name, sizeof name, "unix:%s/listener%u", h->world->directory, h->thread);
    tlslife_listener *listener = tlslife_listen_unix(name, 0600, 0, &h->err);
    expect(h, listener != NULL, "listen_unix");
    tlslife_listener_free(listener);
}

CALL(tlslife_listen_fd) {
    tlslife_listener *single = tlslife_listen("127.0.0.1", "0", 0, false, &h->err);
    int fd = dup(tlslife_listener_fd(single));
    tlslife_listener *listener = tlslife_listen_fd(fd, &h->err);
    expect(h, listener != NULL, "listen_fd");
    tlslife_listener_free(single);
    tlslife_listener_free(h->own->listener);
    h->own->listener = listener;
}

CALL(tlslife_listener_free) {
    tlslife_listener_free(h->own->listener);
    h->own->listener = tlslife_listen("127.0.0.1", "0", 0, false, &h->err);
}

CALL(tlslife_listener_add) {
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 0, false, &h->err);
    if (listener != NULL && h->own->listener != NULL &&
        tlslife_listener_add(h->own->listener, listener, &h->err) != TLSLIFE_OK) {
        tlslife_listener_free(listener);
    }
}

CALL(tlslife_listener_split) {
    tlslife_listener *last = NULL;
    expect(h, tlslife_listener_split(h->own->listener, &last, &h->err) == TLSLIFE_OK, "split");
    tlslife_listener_free(last);
}

CALL(tlslife_listener_sockets_len) {
    expect(h, tlslife_listener_sockets_len(h->own->listener) > 0, "sockets_len");
}

CALL(tlslife_listener_address) {
    char address[128];
    expect(h, tlslife_listener_address(h->own->listener, 0, address, sizeof address), "address");
}

/*
 * Uses a listener of its own, because the connections that it accepts must begin with a header from
 * then on.
 */
CALL(tlslife_listener_set_proxy_protocol) {
    static const char *const sources[] = {"127.0.0.1"};
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 0, false, &h->err);
    (void)tlslife_listener_set_proxy_protocol(listener, TLSLIFE_PROXY_V1, sources, 1, &h->err);
    tlslife_listener_free(listener);
}

CALL(tlslife_listener_fd) {
    expect(h, tlslife_listener_fd(h->own->listener) >= 0, "listener_fd");
}

CALL(tlslife_listener_port) {
    expect(h, tlslife_listener_port(h->own->listener) > 0, "listener_port");
}

/* ---------------------------------------------------------------------------------------- table */

#define CONN(function) ROW("connection", function)

const shared_call conn_calls[] = {
    CONN(tlslife_conn_new),
    CONN(tlslife_conn_dup),
    CONN(tlslife_conn_up_ref),
    CONN(tlslife_conn_free),
    CONN(tlslife_conn_get0_context),
    CONN(tlslife_conn_error),
    CONN(tlslife_conn_set_blocking),
    CONN(tlslife_conn_set_timeout_ms),
    CONN(tlslife_conn_set_trace),
    CONN(tlslife_conn_set_alpn),
    CONN(tlslife_conn_from_ssl),
    CONN(tlslife_conn_ssl),
    CONN(tlslife_conn_dial),
    CONN(tlslife_conn_set_fd),
    CONN(tlslife_conn_set_fds),
    CONN(tlslife_conn_take_fd),
    CONN(tlslife_conn_set_connection),
    CONN(tlslife_conn_get0_outer),
    CONN(tlslife_conn_get0_inner),
    CONN(tlslife_conn_pair),
    CONN(tlslife_conn_set_memory),
    CONN(tlslife_conn_feed),
    CONN(tlslife_conn_feed_eof),
    CONN(tlslife_conn_drain),
    CONN(tlslife_conn_wait_fd),
    CONN(tlslife_conn_peer_address),
    CONN(tlslife_conn_close_transport),
    CONN(tlslife_conn_connect),
    CONN(tlslife_conn_accept),
    CONN(tlslife_conn_handshake),
    CONN(tlslife_conn_answer_hello),
    CONN(tlslife_conn_answer_certificate),
    CONN(tlslife_conn_answer_psk),
    CONN(tlslife_conn_answer_psk_client),
    CONN(tlslife_conn_answer_verify),
    CONN(tlslife_conn_refuse),
    CONN(tlslife_conn_ca_name),
    CONN(tlslife_conn_lookup),
    CONN(tlslife_conn_answer_session),
    CONN(tlslife_conn_set_ticket_data),
    CONN(tlslife_conn_read),
    CONN(tlslife_conn_peek),
    CONN(tlslife_conn_write),
    CONN(tlslife_conn_writev),
    CONN(tlslife_conn_cork),
    CONN(tlslife_conn_write_early),
    CONN(tlslife_conn_read_early),
    CONN(tlslife_conn_accept_early),
    CONN(tlslife_conn_shutdown),
    CONN(tlslife_conn_close),
    CONN(tlslife_conn_clear),
    CONN(tlslife_conn_set_shutdown),
    CONN(tlslife_conn_set_quiet_shutdown),
    CONN(tlslife_conn_set_session),
    CONN(tlslife_conn_get0_session),
    CONN(tlslife_conn_get1_session),
    CONN(tlslife_conn_take_session),
    CONN(tlslife_conn_alpn),
    CONN(tlslife_conn_ticket_data),
    CONN(tlslife_conn_ocsp_response),
    CONN(tlslife_conn_peer_certificate),
    CONN(tlslife_conn_finished),
    CONN(tlslife_conn_peer_finished),
    CONN(tlslife_conn_export_keying_material),
    CONN(tlslife_conn_take_keylog),
    CONN(tlslife_conn_set_hostname),
    CONN(tlslife_conn_hostname),
    CONN(tlslife_conn_set_groups),
    CONN(tlslife_conn_set_num_tickets),
    CONN(tlslife_conn_set_dane),
    CONN(tlslife_conn_add_tlsa),
    CONN(tlslife_conn_cipher_bits),
    CONN(tlslife_conn_cipher_description),
    CONN(tlslife_conn_verify_errors),
    CONN(tlslife_conn_local_certificate),
    CONN(tlslife_conn_local_certificates_len),
    CONN(tlslife_conn_blocking),
    CONN(tlslife_conn_timeout_ms),
    CONN(tlslife_conn_fd),
    CONN(tlslife_conn_idle),
    CONN(tlslife_conn_handshake_done),
    CONN(tlslife_conn_hello),
    CONN(tlslife_conn_ca_names_len),
    CONN(tlslife_conn_lookup_answered),
    CONN(tlslife_conn_fail_session),
    CONN(tlslife_conn_resumption),
    CONN(tlslife_conn_pending),
    CONN(tlslife_conn_has_pending),
    CONN(tlslife_conn_drained),
    CONN(tlslife_conn_flush),
    CONN(tlslife_conn_early_data_status),
    CONN(tlslife_conn_early),
    CONN(tlslife_conn_get_shutdown),
    CONN(tlslife_conn_quiet_shutdown),
    CONN(tlslife_conn_session_reused),
    CONN(tlslife_conn_new_session_ticket),
    CONN(tlslife_conn_key_update),
    CONN(tlslife_conn_renegotiate),
    CONN(tlslife_conn_renegotiate_pending),
    CONN(tlslife_conn_request_client_certificate),
    CONN(tlslife_conn_state),
    CONN(tlslife_conn_state_name),
    CONN(tlslife_conn_state_text),
    CONN(tlslife_conn_is_server),
    CONN(tlslife_conn_version),
    CONN(tlslife_conn_cipher),
    CONN(tlslife_conn_group),
    CONN(tlslife_conn_signature_algorithm),
    CONN(tlslife_conn_peer_signature_algorithm),
    CONN(tlslife_conn_offered_ciphers),
    CONN(tlslife_conn_extended_master_secret),
    CONN(tlslife_conn_hello_retry),
    CONN(tlslife_conn_secure_renegotiation),
    CONN(tlslife_conn_num_renegotiations),
    CONN(tlslife_conn_psk_identity),
    CONN(tlslife_conn_psk_identity_hint),
    CONN(tlslife_conn_server_name),
    CONN(tlslife_conn_verify_result),
    CONN(tlslife_conn_peer_certificates_len),
    CONN(tlslife_conn_proxy_address),
    CONN(tlslife_conn_proxy_tlv),
    CONN(tlslife_conn_plain_read),
    CONN(tlslife_conn_plain_write),
    CONN(tlslife_conn_unread),
    ROW("listener", tlslife_listener_set_proxy_protocol),
    ROW("listener", tlslife_listen),
    ROW("listener", tlslife_listen_unix),
    ROW("listener", tlslife_listen_fd),
    ROW("listener", tlslife_listener_accept),
    ROW("listener", tlslife_listener_free),
    ROW("listener", tlslife_listener_add),
    ROW("listener", tlslife_listener_split),
    ROW("listener", tlslife_listener_sockets_len),
    ROW("listener", tlslife_listener_address),
    ROW("listener", tlslife_listener_fd),
    ROW("listener", tlslife_listener_port),
    {NULL, NULL, NULL},
};
