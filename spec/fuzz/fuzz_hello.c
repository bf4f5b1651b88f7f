/*
 * fuzz_hello: sends bytes to a server that asks every question. The input is a
 * ClientHello's body, put into its handshake message and records here, so that the parsers behind
 * are reached and not only the record layer; or, if its first byte is odd, the stream as it is. If
 * bit 1 of that byte is set, the hello names a session that the server has made.
 *
 * The server resumes by both ways: its ticket keys are ours, and its cache's store is this program,
 * which answers the lookup of that session with what the server has put, and every other one with
 * bytes that anybody may have written.
 *
 * floor: src/tls/session/hello.c 18
 * floor: src/tls/session/lookup.c 11
 * floor: src/tls/context/switch.c 22
 */
#include "fuzz.h"
#include "tlslife.h"

#define BODY_MAX 16000 /* one record */
#define HEADERS 9      /* a record's 5 bytes, a handshake message's 4 */
#define ID_AT 35       /* in a body, behind the version, the random and its own length */
#define ID_LEN 32

static const unsigned char secret[33] = "0123456789abcdef0123456789abcdef";

static tlslife_context *server;
static tlslife_context *other;
static tlslife_store *store; /* of server's cache */

/* A session of TLS 1.2, and what the store has of it. */
static struct {
    unsigned char id[ID_LEN], key[32], sealed[2048];
    size_t len;
} kept;

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
    tlslife_store_free(store); /* of other, which is made first */
    store = options.store;
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

static void serve(tlslife_conn *conn);

static void keep_session(void) {
    tlslife_context *context = fuzz_client_context();
    must(tlslife_context_set_versions(context, TLSLIFE_TLS1_2, TLSLIFE_TLS1_2, NULL) == TLSLIFE_OK);
    must(tlslife_context_set_option(context, "NO_TICKET", true, NULL) == TLSLIFE_OK);
    tlslife_conn *client = tlslife_conn_new(context, NULL), *conn = tlslife_conn_new(server, NULL);
    must(tlslife_conn_pair(client, conn, 0) == TLSLIFE_OK);
    must(tlslife_conn_set_hostname(client, "localhost") == TLSLIFE_OK);
    for (int i = 0; i < 4; i++) {
        (void)tlslife_conn_connect(client);
        serve(conn);
    }
    tlslife_store_event event;
    must(tlslife_conn_handshake_done(conn) && tlslife_store_next(store, &event) && event.put);
    must(event.key.len == sizeof kept.key && event.sealed.len <= sizeof kept.sealed);
    memcpy(kept.key, event.key.data, sizeof kept.key);
    kept.len = event.sealed.len;
    memcpy(kept.sealed, event.sealed.data, kept.len);
    tlslife_bytes id = tlslife_session_id(tlslife_conn_get0_session(conn));
    must(id.len == ID_LEN);
    memcpy(kept.id, id.data, ID_LEN);
    tlslife_conn_free(client);
    tlslife_conn_free(conn);
    tlslife_context_free(context);
    while (tlslife_store_next(store, &event)) {}
}

static void set_up(void) {
    if (server == NULL) {
        other = new_server(0);
        server = new_server(TLSLIFE_ASK_HELLO | TLSLIFE_ASK_CERTIFICATE | TLSLIFE_ASK_VERIFY_ALL);
        must(tlslife_context_add_server_name(server, "other.example", other, NULL) == TLSLIFE_OK);
        must(tlslife_context_add_server_name(server, "*.wild.example", other, NULL) == TLSLIFE_OK);
        keep_session();
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
    switch (kept.len > 0 ? look_at(hello) % 4 : 3) {
    case 0: must(tlslife_conn_refuse(conn, 112) == TLSLIFE_OK); break;
    case 1: must(tlslife_conn_answer_hello(conn, other) == TLSLIFE_OK); break;
    default: must(tlslife_conn_answer_hello(conn, NULL) == TLSLIFE_OK); break;
    }
}

/* Of another session the store gives the key itself, which does not open, or nothing, or fails. */
static void answer_session(tlslife_conn *conn) {
    tlslife_lookup lookup;
    must(tlslife_conn_lookup(conn, &lookup) && lookup.key.len == 32);
    if (memcmp(lookup.key.data, kept.key, sizeof kept.key) == 0) {
        must(tlslife_conn_answer_session(conn, kept.sealed, kept.len) == TLSLIFE_OK);
        return;
    }
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

static void feed_hello(tlslife_conn *conn, const uint8_t *given, size_t len, bool names_session) {
    unsigned char headers[HEADERS] = {0x16, 3, 1, 0, 0, 1, 0, 0, 0}, body[BODY_MAX];
    size_t fed = 0;
    memcpy(body, given, len);
    if (names_session && len >= ID_AT + ID_LEN && body[ID_AT - 1] == ID_LEN) {
        memcpy(body + ID_AT, kept.id, ID_LEN);
    }
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
        feed_hello(conn, bytes + 1, len - 1, (bytes[0] & 2) != 0);
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

/* A client's own hello without its headers, behind the byte how, with room for a session's id. */
static void write_hello(const char *name, int version, bool psk, const char *hostname, int how) {
    static const char *const protocols[] = {"h2", "http/1.1"};
    unsigned char hello[4096] = {0}, body[4096 + ID_LEN] = {0};
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
    memcpy(body + 1, hello + HEADERS, len -= HEADERS);
    body[0] = (unsigned char)how;
    if (body[ID_AT] == 0) { /* a hello of TLS 1.2 without a session */
        memmove(body + 1 + ID_AT + ID_LEN, body + 1 + ID_AT, len - ID_AT);
        memset(body + 1 + ID_AT, 0, ID_LEN);
        body[ID_AT] = ID_LEN;
        len += ID_LEN;
    }
    write_seed(name, body, 1 + len);
    tlslife_conn_free(conn);
    tlslife_context_free(context);
}

static void make_seeds(void) {
    write_hello("tls12", TLSLIFE_TLS1_2, false, "other.example", 0);
    write_hello("resumed", TLSLIFE_TLS1_2, false, "localhost", 2);
    write_hello("tls13", TLSLIFE_TLS1_3, false, "a.wild.example", 0);
    write_hello("psk", TLSLIFE_TLS1_3, true, "localhost", 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    return 0;
}
