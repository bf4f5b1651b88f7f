/*
 * fuzz_session: imports bytes that claim to be a session. What is imported must survive every
 * question that can be asked of it, come back equal out of its own export, and be offered in a
 * ClientHello.
 *
 * If the first byte is odd the bytes are imported as they are. Otherwise they are given the policy
 * of this target's context first, if libssl can read them, so that the policy does not keep all of
 * them out, and a policy of a later version does not make the corpus useless.
 *
 * Seeds: real sessions of TLS 1.2 and 1.3, DER and PEM, with a server's certificate inside.
 *
 * floor: src/values/session_value.c 27
 * floor: src/values/certificate.c 24
 */
#include "fuzz.h"
#include "tlslife.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static tlslife_context *context;

static tlslife_context *the_context(void) {
    if (context == NULL) {
        context = fuzz_client_context();
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

static void import(const uint8_t *bytes, size_t len) {
    tlslife_error err;
    tlslife_session *session = tlslife_context_import_session(the_context(), bytes, len, &err);
    if (session == NULL) {
        must(err.kind != TLSLIFE_ERR_NONE && err.message[0] != '\0');
        return;
    }
    ask(session);
    round_trip(session);
    offer(session);
    tlslife_session_free(session);
}

static void import_as_ours(const uint8_t *bytes, size_t len) {
    const unsigned char *at = bytes;
    unsigned char *der = NULL, id[32];
    SSL_SESSION *session = d2i_SSL_SESSION(NULL, &at, (long)len);
    size_t id_len = tlslife_context_session_id_context(the_context(), id);
    if (session != NULL && SSL_SESSION_set1_id_context(session, id, (unsigned)id_len) == 1) {
        int der_len = i2d_SSL_SESSION(session, &der);
        import(der, der_len > 0 ? (size_t)der_len : 0);
    }
    OPENSSL_free(der);
    SSL_SESSION_free(session);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    if (len == 0) {
        return 0;
    }
    if ((bytes[0] & 1) != 0) {
        import(bytes + 1, len - 1);
    } else {
        import_as_ours(bytes + 1, len - 1);
    }
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

static tlslife_context *new_server(int version) {
    tlslife_context *server = fuzz_server_context();
    must(tlslife_context_set_versions(server, version, version, NULL) == TLSLIFE_OK);
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

static void write_session(const char *name, int version, bool pem) {
    unsigned char *bytes = NULL, seed[8192] = {pem};
    size_t len = 0;
    tlslife_session *session = real_session(version);
    must((pem ? tlslife_session_export_pem(session, &bytes, &len, NULL)
              : tlslife_session_export_der(session, &bytes, &len, NULL)) == TLSLIFE_OK);
    must(len < sizeof seed);
    memcpy(seed + 1, bytes, len);
    write_seed(name, seed, len + 1);
    tlslife_session_bytes_free(bytes, len);
    tlslife_session_free(session);
}

static void make_seeds(void) {
    write_session("tls12.der", TLSLIFE_TLS1_2, false);
    write_session("tls13.der", TLSLIFE_TLS1_3, false);
    write_session("tls12.pem", TLSLIFE_TLS1_2, true);
    write_session("tls13.pem", TLSLIFE_TLS1_3, true);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    return 0;
}
