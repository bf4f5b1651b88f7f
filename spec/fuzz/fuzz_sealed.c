/*
 * fuzz_sealed: opens bytes that an external store returns as a sealed session. The first byte says
 * which bytes. They are the input as it is, or the input sealed here with the secret (so that the
 * code behind the seal is reached), or a session that the library has sealed, with one byte
 * changed. Only such a session, unchanged, is known to open.
 *
 * Seeds: the plain bytes of a server's sessions of TLS 1.2 and 1.3.
 *
 * floor: src/cache/external.c 20
 * floor: src/cache/seal.c 18
 */
#include "cache/external.h"
#include "cache/seal.h"
#include "fuzz.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

enum { AS_IT_IS, CHANGED, SEALED_HERE, KIND = 3, ROTATED = 0x40, CLIENT = 0x80 };

static const unsigned char secret[33] = "0123456789abcdef0123456789abcdef";
static const unsigned char newer_secret[33] = "ABCDEF0123456789abcdef0123456789";
static const tlslife_bytes sid_ctx = {(const unsigned char *)"policy", 6};

static tlslife_keyring *keyring;
static tlslife_cache *cache;
static tlslife_store *store;

static uint64_t failures(void) {
    tlslife_cache_stats stats;
    tlslife_cache_get_stats(cache, &stats);
    return stats.store_errors + stats.not_opened + stats.expired;
}

/* Opened, or counted: one of the two. */
static bool open_it(const tlsl_cache_key *key, const unsigned char *sealed, size_t len) {
    bool expired = false;
    uint64_t before = failures();
    SSL_SESSION *session = tlsl_external_open(cache, key, sealed, len, sid_ctx, &expired);
    must((session != NULL) == (failures() == before) && !(session != NULL && expired));
    bool opened = session != NULL;
    if (opened) {
        must(SSL_SESSION_is_resumable(session) == 1);
    }
    SSL_SESSION_free(session);
    return opened;
}

/* As src/cache/external.c binds a session to its key. */
static void seal_here(const tlsl_cache_key *key, const uint8_t *plain, size_t len,
                      unsigned char **out, size_t *out_len) {
    unsigned char bound[TLSL_STORE_KEY + 1 + 6];
    memcpy(bound, key->bytes, TLSL_STORE_KEY);
    bound[TLSL_STORE_KEY] = key->client;
    memcpy(bound + TLSL_STORE_KEY + 1, sid_ctx.data, sid_ctx.len);
    must(tlsl_seal(keyring, (tlslife_bytes){plain, len}, (tlslife_bytes){bound, sizeof bound}, out,
                   out_len));
}

static SSL_SESSION *session_in(const uint8_t *plain, size_t len) {
    const unsigned char *at = plain + 1;
    return len < 2 ? NULL : d2i_SSL_SESSION(NULL, &at, (long)len - 1);
}

/* The event that the library has put, with its byte `at` changed by `by`. */
static void change(const tlsl_cache_key *key, SSL_SESSION *session, unsigned at, unsigned by) {
    tlslife_store_event event;
    tlsl_external_put(cache, key, session, sid_ctx, NULL);
    if (tlslife_store_next(store, &event)) {
        must(event.put && event.sealed.len > 0 && event.lifetime_seconds > 0);
        unsigned char *sealed = (unsigned char *)text_of(event.sealed.data, event.sealed.len);
        sealed[at % event.sealed.len] ^= (unsigned char)by;
        bool opened = open_it(key, sealed, event.sealed.len);
        must(by == 0 || !opened);
        free(sealed);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    fuzz_input input = {bytes, len};
    unsigned how = take_byte(&input), at = take_byte(&input), by = take_byte(&input);
    tlsl_cache_key key = {.client = (how & CLIENT) != 0};
    SSL_SESSION *session = session_in(input.at, input.left);
    if (session != NULL && !key.client) {
        (void)tlsl_session_key(session, key.bytes);
    }
    unsigned char *sealed = NULL;
    size_t sealed_len = 0;
    if ((how & KIND) == AS_IT_IS) {
        (void)open_it(&key, input.at, input.left);
    } else if ((how & KIND) == CHANGED && session != NULL) {
        change(&key, session, at << 2, by);
    } else {
        seal_here(&key, input.at, input.left, &sealed, &sealed_len);
        if ((how & ROTATED) != 0) { /* a ring that was rotated still opens it */
            must(tlslife_keyring_rotate(keyring, at % 2 == 0 ? secret : newer_secret, 32, NULL) ==
                 TLSLIFE_OK);
        }
        (void)open_it(&key, sealed, sealed_len);
    }
    free(sealed);
    SSL_SESSION_free(session);
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

static tlslife_session *session_of(int version) {
    tlslife_context *context = fuzz_server_context();
    tlslife_context *clients = fuzz_client_context();
    must(tlslife_context_set_resumption(context, TLSLIFE_RESUMPTION_STATEFUL, NULL) == TLSLIFE_OK);
    must(tlslife_context_set_versions(context, version, version, NULL) == TLSLIFE_OK);
    tlslife_conn *server = tlslife_conn_new(context, NULL);
    tlslife_conn *client = tlslife_conn_new(clients, NULL);
    must(tlslife_conn_pair(client, server, 0) == TLSLIFE_OK);
    must(tlslife_conn_set_hostname(client, "localhost") == TLSLIFE_OK);
    for (int i = 0; i < 4; i++) {
        (void)tlslife_conn_connect(client);
        (void)tlslife_conn_accept(server);
    }
    tlslife_session *session = tlslife_session_dup(tlslife_conn_get0_session(server));
    must(session != NULL);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    tlslife_context_free(clients);
    tlslife_context_free(context);
    return session;
}

static void write_session(const char *name, int version, unsigned how, unsigned by) {
    unsigned char *der = NULL, seed[8192] = {(unsigned char)how, 9, (unsigned char)by, 1};
    size_t len = 0;
    tlslife_session *session = session_of(version);
    must(tlslife_session_export_der(session, &der, &len, NULL) == TLSLIFE_OK &&
         len + 4 < sizeof seed);
    memcpy(seed + 4, der, len);
    write_seed(name, seed, len + 4);
    tlslife_session_bytes_free(der, len);
    tlslife_session_free(session);
}

static void make_seeds(void) {
    write_session("tls12", TLSLIFE_TLS1_2, SEALED_HERE, 0);
    write_session("tls13", TLSLIFE_TLS1_3, SEALED_HERE, 0);
    write_session("client", TLSLIFE_TLS1_3, SEALED_HERE | CLIENT | ROTATED, 0);
    write_session("put", TLSLIFE_TLS1_2, CHANGED, 0);
    write_session("changed", TLSLIFE_TLS1_2, CHANGED, 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    tlslife_cache_options options = tlslife_cache_defaults();
    keyring = tlslife_keyring_new(secret, 32, NULL);
    store = tlslife_store_program(NULL);
    options.keyring = keyring;
    options.store = store;
    cache = tlslife_cache_new(&options, NULL);
    must(cache != NULL);
    seeds_if_asked(make_seeds);
    return 0;
}
