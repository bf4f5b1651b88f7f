/*
 * fuzz_session: bytes that claim to be a session. What is imported must survive every question that
 * can be asked of it, come back equal out of its own export, and be offered in a ClientHello.
 *
 * An empty corpus starts from real sessions: TLS 1.2 and 1.3, DER and PEM, with a server's
 * certificate inside (LLVMFuzzerCustomMutator).
 */
#include "../c/identity.h"
#include "tlslife.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t len, size_t max_len, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t len, size_t max_len);

static tlslife_context *context;
static test_identity identity;

static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

static tlslife_context *the_context(void) {
    if (context == NULL) {
        context = tlslife_context_new(TLSLIFE_CLIENT, NULL);
        must(context != NULL && identity_make(&identity));
        must(tlslife_context_add_ca_pem(context, identity.certificate, strlen(identity.certificate),
                                        NULL) == TLSLIFE_OK);
        must(tlslife_context_set_verify_host(context, false, NULL) == TLSLIFE_OK);
    }
    return context;
}

static void read_all(const tlslife_bytes bytes) {
    volatile unsigned char last = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        last = bytes.data[i];
    }
    (void)last;
}

static void ask(const tlslife_session *session) {
    tlslife_certificate certificate;
    read_all(tlslife_session_id(session));
    read_all(tlslife_session_ticket(session));
    read_all(tlslife_session_alpn(session));
    must(tlslife_session_protocol(session) != NULL);
    (void)tlslife_session_cipher(session);
    (void)tlslife_session_hostname(session);
    (void)tlslife_session_time(session);
    (void)tlslife_session_timeout(session);
    (void)tlslife_session_ticket_lifetime(session);
    (void)tlslife_session_max_early_data(session);
    (void)tlslife_session_is_resumable(session);
    if (tlslife_session_peer_certificate(session, &certificate)) {
        tlslife_certificate_clear(&certificate);
    }
}

static void round_trip(const tlslife_session *session) {
    unsigned char *bytes = NULL;
    size_t len = 0;
    if (tlslife_session_export_der(session, &bytes, &len, NULL) != TLSLIFE_OK) {
        return;
    }
    tlslife_session *again = tlslife_context_import_session(the_context(), bytes, len, NULL);
    must(again != NULL && tlslife_session_equal(session, again));
    tlslife_session_free(again);
    tlslife_session_bytes_free(bytes, len);
}

static void offer(tlslife_session *session) {
    unsigned char hello[2048];
    size_t hello_len = 0;
    tlslife_conn *conn = tlslife_conn_new(the_context(), NULL);
    must(conn != NULL);
    tlslife_conn_set_blocking(conn, false);
    must(tlslife_conn_set_memory(conn, 0) == TLSLIFE_OK);
    if (tlslife_conn_set_session(conn, session) == TLSLIFE_OK) {
        (void)tlslife_conn_connect(conn);
        (void)tlslife_conn_drain(conn, hello, sizeof hello, &hello_len);
    }
    tlslife_conn_free(conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    tlslife_error err;
    tlslife_session *session = tlslife_context_import_session(the_context(), bytes, len, &err);
    if (session == NULL) {
        must(err.kind != TLSLIFE_ERR_NONE && err.message[0] != '\0');
        return 0;
    }
    ask(session);
    round_trip(session);
    offer(session);
    tlslife_session_free(session);
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

static tlslife_context *new_server(int version) {
    tlslife_context *server = tlslife_context_new(TLSLIFE_SERVER, NULL);
    must(server != NULL &&
         tlslife_context_set_versions(server, version, version, NULL) == TLSLIFE_OK);
    must(tlslife_context_set_certificate_pem(server, identity.certificate,
                                             strlen(identity.certificate), NULL) == TLSLIFE_OK);
    must(tlslife_context_set_private_key_pem(server, identity.key, strlen(identity.key), NULL,
                                             NULL) == TLSLIFE_OK);
    return server;
}

static tlslife_session *live(tlslife_conn *client, tlslife_conn *server) {
    unsigned char byte = 'x';
    size_t len = 0;
    tlslife_conn_set_blocking(client, false);
    tlslife_conn_set_blocking(server, false);
    must(tlslife_conn_pair(client, server, 0) == TLSLIFE_OK);
    for (int i = 0;
         i < 10 && !(tlslife_conn_handshake_done(client) && tlslife_conn_handshake_done(server));
         i++) {
        (void)tlslife_conn_connect(client);
        (void)tlslife_conn_accept(server);
    }
    must(tlslife_conn_write(server, &byte, 1, &len) == TLSLIFE_OK);
    must(tlslife_conn_read(client, &byte, 1, &len) == TLSLIFE_OK); /* and the tickets before it */
    return tlslife_conn_take_session(client);
}

static tlslife_session *real_session(int version) {
    tlslife_conn *client = tlslife_conn_new(the_context(), NULL);
    tlslife_context *server = new_server(version);
    tlslife_conn *peer = tlslife_conn_new(server, NULL);
    must(client != NULL && peer != NULL);
    tlslife_session *session = live(client, peer);
    must(session != NULL);
    tlslife_conn_free(client);
    tlslife_conn_free(peer);
    tlslife_context_free(server);
    return session;
}

static size_t real_bytes(uint8_t *out, size_t max_len, unsigned which) {
    unsigned char *bytes = NULL;
    size_t len = 0;
    tlslife_session *session = real_session((which & 1) != 0 ? TLSLIFE_TLS1_3 : TLSLIFE_TLS1_2);
    must(((which & 2) != 0
              ? tlslife_session_export_pem(session, &bytes, &len, NULL)
              : tlslife_session_export_der(session, &bytes, &len, NULL)) == TLSLIFE_OK);
    size_t kept = len < max_len ? len : max_len;
    memcpy(out, bytes, kept);
    tlslife_session_bytes_free(bytes, len);
    tlslife_session_free(session);
    return kept;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t len, size_t max_len, unsigned seed) {
    if (len < 40) {
        return real_bytes(bytes, max_len, seed);
    }
    return LLVMFuzzerMutate(bytes, len, max_len);
}
