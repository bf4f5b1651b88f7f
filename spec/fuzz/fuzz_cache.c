/*
 * fuzz_cache: imports bytes that claim to be the export of a cache. If the first byte is odd they
 * are imported as they are. Otherwise they are sealed here first, as by a holder of the secret, so
 * that what is inside the seal is reached.
 *
 * What was imported is listed, looked up, exported again and imported into a second cache, which
 * then has as many sessions. What was refused has added nothing.
 *
 * Seeds: the export of a client's cache with sessions of TLS 1.2 and 1.3.
 *
 * floor: src/cache/file.c 20
 * floor: src/cache/seal.c 12
 * floor: src/cache/peers.c 17
 * floor: src/cache/look.c 15
 */
#include "cache/seal.h"
#include "fuzz.h"
#include "tlslife.h"

static const unsigned char secret[33] = "0123456789abcdef0123456789abcdef";
static const unsigned char purpose[] = "tlslife cache file"; /* src/cache/file.c */

static tlslife_keyring *keyring;

static tlslife_cache *new_cache(void) {
    tlslife_cache_options options = tlslife_cache_defaults();
    options.capacity = 16;
    options.capacity_bytes = 100000;
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    must(cache != NULL);
    return cache;
}

static size_t entries_of(const tlslife_cache *cache) {
    tlslife_cache_stats stats;
    tlslife_cache_get_stats(cache, &stats);
    return stats.entries;
}

static tlslife_status import(tlslife_cache *cache, const uint8_t *bytes, size_t len) {
    tlslife_error err;
    size_t sessions = 0;
    tlslife_status status = tlslife_cache_import(cache, keyring, bytes, len, &sessions, &err);
    if (status != TLSLIFE_OK) {
        must(err.kind == TLSLIFE_ERR_INPUT && err.message[0] != '\0' && entries_of(cache) == 0);
    } else {
        must(entries_of(cache) <= sessions && entries_of(cache) <= 16);
    }
    return status;
}

static void look_at(tlslife_cache *cache) {
    tlslife_cache_entry entries[4];
    uint64_t cursor = 0;
    size_t listed = 0;
    for (size_t len = 1; len > 0; listed += len) {
        len = tlslife_cache_entries(cache, &cursor, entries, 4);
        for (size_t i = 0; i < len; i++) {
            must(entries[i].id_len <= 32 && strlen(entries[i].peer) < sizeof entries[i].peer);
            must(entries[i].client && entries[i].expires > FUZZ_NOW);
            tlslife_session_free(tlslife_cache_get(cache, entries[i].id, entries[i].id_len));
        }
    }
    must(listed == entries_of(cache));
}

static void export_again(tlslife_cache *cache) {
    unsigned char *bytes = NULL;
    size_t len = 0;
    tlslife_cache *second = new_cache();
    must(tlslife_cache_export(cache, keyring, true, &bytes, &len, NULL) == TLSLIFE_OK);
    must(import(second, bytes, len) == TLSLIFE_OK && entries_of(second) == entries_of(cache));
    tlslife_session_bytes_free(bytes, len);
    tlslife_cache_free(second);
}

static tlslife_status import_sealed(tlslife_cache *cache, const uint8_t *plain, size_t len) {
    unsigned char *sealed = NULL;
    size_t sealed_len = 0;
    must(tlsl_seal(keyring, (tlslife_bytes){plain, len}, (tlslife_bytes){purpose, sizeof purpose},
                   &sealed, &sealed_len));
    tlslife_status status = import(cache, sealed, sealed_len);
    free(sealed);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    if (len == 0) {
        return 0;
    }
    tlslife_cache *cache = new_cache();
    if (((bytes[0] & 1) != 0 ? import(cache, bytes + 1, len - 1)
                             : import_sealed(cache, bytes + 1, len - 1)) == TLSLIFE_OK) {
        look_at(cache);
        export_again(cache);
        (void)tlslife_cache_flush(cache, true);
    }
    tlslife_cache_free(cache);
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

static void shake_hands(tlslife_context *context, tlslife_context *server, int version) {
    unsigned char byte = 'x';
    size_t len = 0;
    tlslife_conn *client = tlslife_conn_new(context, NULL);
    tlslife_conn *peer = tlslife_conn_new(server, NULL);
    must(client != NULL && peer != NULL && tlslife_conn_pair(client, peer, 0) == TLSLIFE_OK);
    must(tlslife_conn_set_hostname(client, "localhost") == TLSLIFE_OK);
    for (int i = 0; i < 4; i++) {
        (void)tlslife_conn_connect(client);
        (void)tlslife_conn_accept(peer);
    }
    must(tlslife_conn_handshake_done(client) && version != 0);
    must(tlslife_conn_write(peer, &byte, 1, &len) == TLSLIFE_OK);
    must(tlslife_conn_read(client, &byte, 1, &len) == TLSLIFE_OK); /* and the tickets before it */
    must(tlslife_conn_close(client, 0) == TLSLIFE_SENT);
    tlslife_conn_free(client);
    tlslife_conn_free(peer);
}

/* Each version has a peer of its own: ALPN keeps them apart. */
static void fill(tlslife_cache *cache, int version) {
    const char *protocol = version == TLSLIFE_TLS1_2 ? "two" : "three";
    tlslife_context *context = fuzz_client_context();
    must(tlslife_context_set_alpn(context, &protocol, 1, NULL) == TLSLIFE_OK);
    tlslife_context *server = fuzz_server_context();
    must(tlslife_context_set_cache(context, cache, NULL) == TLSLIFE_OK);
    must(tlslife_context_set_versions(server, version, version, NULL) == TLSLIFE_OK);
    shake_hands(context, server, version);
    tlslife_context_free(context);
    tlslife_context_free(server);
}

/* Sealed, with the byte in front that says so, and opened. */
static void make_seeds(void) {
    unsigned char *sealed = NULL, *plain = NULL, seed[16384] = {1};
    size_t sealed_len = 0, plain_len = 0;
    tlslife_cache *cache = new_cache();
    fill(cache, TLSLIFE_TLS1_2);
    fill(cache, TLSLIFE_TLS1_3);
    must(entries_of(cache) == 3);
    must(tlslife_cache_export(cache, keyring, true, &sealed, &sealed_len, NULL) == TLSLIFE_OK);
    must(tlsl_open(keyring, (tlslife_bytes){sealed, sealed_len},
                   (tlslife_bytes){purpose, sizeof purpose}, &plain, &plain_len));
    must(sealed_len < sizeof seed);
    memcpy(seed + 1, sealed, sealed_len);
    write_seed("sealed", seed, sealed_len + 1);
    memcpy(seed + 1, plain, plain_len);
    seed[0] = 0;
    write_seed("plain", seed, plain_len + 1);
    tlslife_session_bytes_free(sealed, sealed_len);
    free(plain);
    tlslife_cache_free(cache);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    keyring = tlslife_keyring_new(secret, 32, NULL);
    must(keyring != NULL);
    seeds_if_asked(make_seeds);
    return 0;
}
