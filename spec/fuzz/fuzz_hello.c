/*
 * fuzz_hello: sends bytes to a server that asks every question. The input is a
 * ClientHello's body, put into its handshake message and records here, so that the parsers behind
 * are reached and not only the record layer; or, if its first byte is odd, the stream as it is.
 *
 * The server resumes by both ways: its ticket keys are ours, and its cache's store is this program,
 * which answers every lookup with bytes that anybody may have written.
 *
 * floor: src/tls/session/hello.c 18
 * floor: src/tls/session/lookup.c 9
 * floor: src/tls/context/switch.c 22
 * floor: src/tls/handshake/question.c 8
 */
#include "fuzz.h"
#include "tlslife.h"

#define BODY_MAX 16000 /* one record */
#define HEADERS 9      /* a record's 5 bytes, a handshake message's 4 */

static const unsigned char secret[33] = "0123456789abcdef0123456789abcdef";

static tlslife_context *server;
static tlslife_context *other;

static void set_psk(tlslife_context *context) {
    must(tlslife_context_add_psk(context, "identity", secret, 16, NULL) == TLSLIFE_OK);
}

static void set_resumption(tlslife_context *context) {
    tlslife_cache_options options = tlslife_cache_defaults();
    options.store = tlslife_store_program(NULL);
    options.keyring = tlslife_keyring_new(secret, 32, NULL);
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    tlslife_ticket_keys *keys = tlslife_ticket_keys_derived(secret, 32, 3600, 2, NULL);
    must(tlslife_context_set_resumption(context, TLSLIFE_RESUMPTION_BOTH, NULL) == TLSLIFE_OK);
    must(cache != NULL && tlslife_context_set_cache(context, cache, NULL) == TLSLIFE_OK);
    must(keys != NULL && tlslife_context_set_ticket_keys(context, keys, NULL) == TLSLIFE_OK);
    tlslife_cache_free(cache);
    tlslife_store_free(options.store);
    tlslife_keyring_free(options.keyring);
    tlslife_ticket_keys_free(keys);
}

static tlslife_context *new_server(unsigned questions) {
    static const char *const protocols[] = {"h2", "http/1.1"};
    tlslife_context *context = fuzz_server_context();
    must(tlslife_context_set_alpn(context, protocols, 2, NULL) == TLSLIFE_OK);
    set_psk(context);
    must(tlslife_context_set_max_early_data(context, 1000, NULL) == TLSLIFE_OK);
    must(tlslife_context_add_ca_pem(context, fuzz_certificate, strlen(fuzz_certificate), NULL) ==
         TLSLIFE_OK);
    must(tlslife_context_set_verify(context, TLSLIFE_VERIFY_OPTIONAL, NULL) == TLSLIFE_OK);
    must(tlslife_context_set_questions(context, questions, NULL) == TLSLIFE_OK);
    set_resumption(context);
    return context;
}

static void set_up(void) {
    if (server == NULL) {
        other = new_server(0);
        server = new_server(TLSLIFE_ASK_HELLO | TLSLIFE_ASK_CERTIFICATE | TLSLIFE_ASK_VERIFY_ALL);
        must(tlslife_context_add_server_name(server, "other.example", other, NULL) == TLSLIFE_OK);
        must(tlslife_context_add_server_name(server, "*.wild.example", other, NULL) == TLSLIFE_OK);
    }
}

/* Every byte that the hello points to is read. */
static unsigned look_at(const tlslife_hello *hello) {
    unsigned sum = hello->has_ticket ? 1 : 0;
    must(hello->server_name == NULL || strlen(hello->server_name) < 65536);
    for (size_t i = 0; i < hello->alpn_len; i++) {
        for (size_t j = 0; j < hello->alpn[i].len; j++) {
            sum += hello->alpn[i].data[j];
        }
    }
    for (size_t i = 0; i < hello->versions_len; i++) {
        sum += hello->versions[i];
    }
    for (size_t i = 0; i < hello->ciphers_len; i++) {
        sum += hello->ciphers[i];
    }
    for (size_t i = 0; i < hello->session_id.len; i++) {
        sum += hello->session_id.data[i];
    }
    for (size_t i = 0; i < hello->psk_identities_len; i++) {
        for (size_t j = 0; j < hello->psk_identities[i].len; j++) {
            sum += hello->psk_identities[i].data[j];
        }
    }
    return sum;
}

static void answer_hello(tlslife_conn *conn) {
    const tlslife_hello *hello = tlslife_conn_hello(conn);
    must(hello != NULL);
    switch (look_at(hello) % 4) {
    case 0: must(tlslife_conn_refuse(conn, 112) == TLSLIFE_OK); break;
    case 1: must(tlslife_conn_answer_hello(conn, other) == TLSLIFE_OK); break;
    default: must(tlslife_conn_answer_hello(conn, NULL) == TLSLIFE_OK); break;
    }
}

/* The store gives the key itself, which does not open, or nothing, or fails. */
static void answer_session(tlslife_conn *conn) {
    tlslife_lookup lookup;
    must(tlslife_conn_lookup(conn, &lookup) && lookup.key.len == 32);
    switch (lookup.key.data[0] % 3) {
    case 0: must(tlslife_conn_fail_session(conn) == TLSLIFE_OK); break;
    case 1: must(tlslife_conn_answer_session(conn, NULL, 0) == TLSLIFE_OK); break;
    default: must(tlslife_conn_answer_session(conn, lookup.key.data, 32) == TLSLIFE_OK); break;
    }
}

/* Answers what was asked. false: nothing was. */
static bool answered(tlslife_conn *conn, tlslife_status status) {
    switch (status) {
    case TLSLIFE_WANT_HELLO: answer_hello(conn); return true;
    case TLSLIFE_WANT_CERTIFICATE:
        must(tlslife_conn_answer_certificate(conn, NULL) == TLSLIFE_OK);
        return true;
    case TLSLIFE_WANT_VERIFY:
        must(tlslife_conn_answer_verify(conn, true) == TLSLIFE_OK);
        return true;
    case TLSLIFE_WANT_SESSION: answer_session(conn); return true;
    default: return false;
    }
}

static void serve(tlslife_conn *conn) {
    tlslife_status status = TLSLIFE_OK;
    bool asked = true;
    for (int i = 0; asked && i < 16; i++) { /* no handshake asks more: one for each identity */
        status = tlslife_conn_accept(conn);
        asked = answered(conn, status);
    }
    must(!asked);
    if (status == TLSLIFE_ERROR) {
        must(tlslife_conn_error(conn)->kind != TLSLIFE_ERR_NONE &&
             tlslife_conn_error(conn)->message[0] != '\0');
    }
}

static void feed_hello(tlslife_conn *conn, const uint8_t *body, size_t len) {
    unsigned char headers[HEADERS] = {0x16, 3, 1, 0, 0, 1, 0, 0, 0};
    size_t fed = 0;
    headers[3] = (unsigned char)((len + 4) >> 8);
    headers[4] = (unsigned char)(len + 4);
    headers[7] = (unsigned char)(len >> 8);
    headers[8] = (unsigned char)len;
    must(tlslife_conn_feed(conn, headers, sizeof headers, &fed) == TLSLIFE_OK &&
         fed == sizeof headers);
    must(tlslife_conn_feed(conn, body, len, &fed) == TLSLIFE_OK && fed == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    size_t fed = 0;
    if (len == 0 || len > BODY_MAX) {
        return 0;
    }
    set_up();
    tlslife_conn *conn = tlslife_conn_new(server, NULL);
    must(conn != NULL);
    tlslife_conn_set_blocking(conn, false);
    must(tlslife_conn_set_memory(conn, 0) == TLSLIFE_OK);
    if ((bytes[0] & 1) != 0) {
        must(tlslife_conn_feed(conn, bytes + 1, len - 1, &fed) == TLSLIFE_OK);
    } else {
        feed_hello(conn, bytes + 1, len - 1);
    }
    serve(conn);
    (void)tlslife_conn_feed_eof(conn);
    serve(conn);
    (void)tlslife_conn_server_name(conn);
    (void)tlslife_conn_state_text(conn);
    (void)tlslife_conn_clear(conn);
    tlslife_conn_free(conn);
    return 0;
}

/* ------------------------------------------------------------------------------------- the seed */

/* A client's own hello, without its headers; the byte in front says so. */
static void write_hello(const char *name, int version, bool psk, const char *hostname) {
    static const char *const protocols[] = {"h2", "http/1.1"};
    unsigned char hello[4096] = {0};
    size_t len = 0;
    tlslife_context *context = fuzz_client_context();
    must(tlslife_context_set_alpn(context, protocols, 2, NULL) == TLSLIFE_OK);
    must(tlslife_context_set_versions(context, version, version, NULL) == TLSLIFE_OK);
    if (psk) {
        set_psk(context);
    }
    tlslife_conn *conn = tlslife_conn_new(context, NULL);
    must(conn != NULL && tlslife_conn_set_hostname(conn, hostname) == TLSLIFE_OK);
    must(tlslife_conn_set_memory(conn, 0) == TLSLIFE_OK &&
         tlslife_conn_connect(conn) == TLSLIFE_WANT_READ);
    must(tlslife_conn_drain(conn, hello, sizeof hello, &len) == TLSLIFE_OK && len > HEADERS);
    hello[HEADERS - 1] = 0;
    write_seed(name, hello + HEADERS - 1, len - HEADERS + 1);
    tlslife_conn_free(conn);
    tlslife_context_free(context);
}

static void make_seeds(void) {
    write_hello("tls12", TLSLIFE_TLS1_2, false, "other.example");
    write_hello("tls13", TLSLIFE_TLS1_3, false, "a.wild.example");
    write_hello("psk", TLSLIFE_TLS1_3, true, "localhost");
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    return 0;
}
