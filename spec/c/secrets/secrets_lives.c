/*
 * secrets_lives.c: gives libtlslife secrets of each kind, and then lets go of them in each way in
 * which the last reference can go. secrets.c looks for them in memory before and after.
 */
#include "cache/seal.h"
#include "secrets.h"
#include "secrets_pair.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------ pre-shared keys */

static void psk_free(void) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    unsigned char *psk = (unsigned char *)given("PSK", 48);
    OK(tlslife_context_add_psk(context, "someone", psk, 48, &err));
    ungive((char *)psk, 48);
    expect_held("PSK");
    tlslife_context_free(context);
    expect_gone();
}

static void psk_refused(void) {
    char identity[300];
    memset(identity, 'x', sizeof identity - 1);
    identity[sizeof identity - 1] = '\0';
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    unsigned char *psk = (unsigned char *)given("PSK", 48);
    REFUSED(tlslife_context_add_psk(context, identity, psk, 48, &err));
    ungive((char *)psk, 48);
    expect_gone();
    tlslife_context_free(context);
}

/* ------------------------------------------------------------------------------------ key rings */

/* Tells the key that the ring derives from the secret. */
static void tell_sealing_key(const char *name, const unsigned char *secret) {
    unsigned char key[32];
    expect_that(tlsl_derive(secret, 32, "tlslife seal", 1, key, sizeof key), "tlsl_derive");
    tell(name, key, sizeof key);
}

static tlslife_keyring *new_ring(void) {
    unsigned char *secret = (unsigned char *)given("ring's secret", 32);
    tlslife_keyring *ring = tlslife_keyring_new(secret, 32, &err);
    tell_sealing_key("sealing key", secret);
    ungive((char *)secret, 32);
    return ring;
}

static void ring_free(void) {
    unsigned char *sealed = NULL, *opened = NULL;
    size_t sealed_len = 0, opened_len = 0;
    const tlslife_bytes bytes = {(const unsigned char *)"some bytes", 10}, aad = {NULL, 0};
    tlslife_keyring *ring = new_ring();
    expect_held("sealing key");
    expect_that(tlsl_seal(ring, bytes, aad, &sealed, &sealed_len), "seal");
    expect_that(tlsl_open(ring, (tlslife_bytes){sealed, sealed_len}, aad, &opened, &opened_len),
                "open");
    free(sealed);
    free(opened);
    tlslife_keyring_free(tlslife_keyring_up_ref(ring));
    expect_held("sealing key");
    tlslife_keyring_free(ring);
    expect_gone();
}

static void ring_rotates(void) {
    unsigned char secret[32] = {0};
    tlslife_keyring *ring = new_ring();
    for (int i = 0; i < 8; i++) {
        expect_held("sealing key");
        secret[0]++;
        OK(tlslife_keyring_rotate(ring, secret, sizeof secret, &err));
    }
    expect_gone();
    tlslife_keyring_free(ring);
}

static void ring_is_full(void) {
    unsigned char secret[32] = {0};
    tlslife_keyring *ring = tlslife_keyring_new(secret, sizeof secret, &err);
    for (int i = 0; i < 7; i++) {
        secret[0]++;
        OK(tlslife_keyring_add(ring, secret, sizeof secret, &err));
    }
    unsigned char *more = (unsigned char *)given("ring's secret", 32);
    tell_sealing_key("sealing key", more);
    REFUSED(tlslife_keyring_add(ring, more, 32, &err));
    ungive((char *)more, 32);
    expect_gone();
    tlslife_keyring_free(ring);
}

/* ---------------------------------------------------------------------------------- ticket keys */

/* Two keys. Their names are public, and are not looked for. */
static tlslife_status use_own_keys(tlslife_ticket_keys **out, size_t keys_len) {
    unsigned char keys[160] = {1, [80] = 2};
    static const char *const names[] = {"ticket key 1", "ticket key 2"};
    for (size_t i = 0; i < 2; i++) {
        unsigned char *key = (unsigned char *)given(names[i], 64);
        memcpy(keys + 80 * i + 16, key, 64);
        ungive((char *)key, 64);
    }
    tlslife_status status = TLSLIFE_OK;
    if (*out == NULL) {
        *out = tlslife_ticket_keys_new(keys, keys_len, &err);
        status = *out == NULL ? TLSLIFE_ERROR : TLSLIFE_OK;
    } else {
        status = tlslife_ticket_keys_replace(*out, keys, keys_len, &err);
    }
    OPENSSL_cleanse(keys, sizeof keys);
    return status;
}

static void own_keys_free(void) {
    tlslife_ticket_keys *keys = NULL;
    OK(use_own_keys(&keys, 160));
    expect_held("ticket key 1,ticket key 2");
    tlslife_ticket_keys_free(keys);
    expect_gone();
}

static void own_keys_replaced(void) {
    unsigned char others[80] = {3};
    tlslife_ticket_keys *keys = NULL;
    OK(use_own_keys(&keys, 160));
    expect_held("ticket key 1,ticket key 2");
    OK(tlslife_ticket_keys_replace(keys, others, sizeof others, &err));
    expect_gone();
    tlslife_ticket_keys_free(keys);
}

static void own_keys_refused(void) {
    tlslife_ticket_keys *keys = NULL;
    REFUSED(use_own_keys(&keys, 150));
    expect_gone();
}

static void derived_keys_free(void) {
    unsigned char epochs[32];
    unsigned char *secret = (unsigned char *)given("tickets' secret", 32);
    tlslife_ticket_keys *keys = tlslife_ticket_keys_derived(secret, 32, 3600, 2, &err);
    expect_that(tlsl_derive(secret, 32, "tlslife ticket epochs", 3600, epochs, sizeof epochs),
                "tlsl_derive");
    ungive((char *)secret, 32);
    tell("epochs' secret", epochs, sizeof epochs);
    expect_held("epochs' secret");
    tlslife_ticket_keys_free(keys);
    expect_gone();
}

/* ---------------------------------------------------------------------------------- connections */

static const char *held_by_connection(int version) {
    return version == TLSLIFE_TLS1_2 ? "CLIENT_RANDOM" : "CLIENT_TRAFFIC_SECRET_0,EXPORTER_SECRET";
}

static void connection_free(int version) {
    pair self = new_pair(version, false);
    begin(&self);
    expect_that(shake_hands(&self), "a handshake");
    tlslife_session *session = tlslife_conn_take_session(self.client);
    tell_session(session);
    expect_held(held_by_connection(version));
    end_connections(&self);
    expect_held("session's key");
    tlslife_session_free(session);
    end_contexts(&self);
    expect_gone();
}

static void connection_free_12(void) {
    connection_free(TLSLIFE_TLS1_2);
}

static void connection_free_13(void) {
    connection_free(TLSLIFE_TLS1_3);
}

static void connection_cleared(int version) {
    pair self = new_pair(version, false);
    begin(&self);
    expect_that(shake_hands(&self), "a handshake");
    expect_held(held_by_connection(version));
    OK(tlslife_conn_clear(self.client));
    OK(tlslife_conn_clear(self.server));
    OK(tlslife_conn_pair(self.client, self.server, 0));
    expect_that(shake_hands(&self), "a second handshake");
    end_connections(&self);
    end_contexts(&self);
    expect_gone();
}

static void connection_cleared_12(void) {
    connection_cleared(TLSLIFE_TLS1_2);
}

static void connection_cleared_13(void) {
    connection_cleared(TLSLIFE_TLS1_3);
}

static void connection_fails(int version) {
    pair self = new_pair(version, true);
    begin(&self);
    expect_that(!shake_hands(&self), "a failure");
    end_connections(&self);
    end_contexts(&self);
    expect_gone();
}

static void connection_fails_12(void) {
    connection_fails(TLSLIFE_TLS1_2);
}

static void connection_fails_13(void) {
    connection_fails(TLSLIFE_TLS1_3);
}

/* A connection that was dupped in both of its meanings, with a PSK in place of a certificate. */
static void connection_dupped(void) {
    pair self = new_pair(TLSLIFE_TLS1_3, false);
    unsigned char *psk = (unsigned char *)given("PSK", 32);
    OK(tlslife_context_add_psk(self.client_context, "someone", psk, 32, &err));
    OK(tlslife_context_add_psk(self.server_context, "someone", psk, 32, &err));
    ungive((char *)psk, 32);
    begin(&self);
    tlslife_conn *copy = tlslife_conn_dup(self.client, &err);
    expect_that(shake_hands(&self), "a handshake");
    tlslife_conn *same = tlslife_conn_dup(self.client, &err);
    expect_held("PSK");
    end_connections(&self);
    tlslife_conn_free(copy);
    tlslife_conn_free(same);
    end_contexts(&self);
    expect_gone();
}

/* ------------------------------------------------------------------------------------- sessions */

static void session_copied(void) {
    unsigned char *bytes = NULL;
    size_t len = 0;
    pair self = new_pair(TLSLIFE_TLS1_2, false);
    begin(&self);
    expect_that(shake_hands(&self), "a handshake");
    tlslife_session *session = tlslife_conn_take_session(self.client);
    tell_session(session);
    end_connections(&self);
    tlslife_session *copy = tlslife_session_dup(session);
    OK(tlslife_session_export_der(copy, &bytes, &len, &err));
    tlslife_session *again = tlslife_context_import_session(self.client_context, bytes, len, &err);
    expect_that(tlslife_session_equal(session, copy), "equal");
    tlslife_session_bytes_free(bytes, len);
    OK(tlslife_session_export_pem(again, &bytes, &len, &err));
    tlslife_session_bytes_free(bytes, len);
    tlslife_session_free(session);
    tlslife_session_free(copy);
    expect_held("session's key");
    tlslife_session_free(again);
    end_contexts(&self);
    expect_gone();
}

static pair cached_pair(tlslife_cache *client_cache, tlslife_cache *server_cache) {
    pair self = new_pair(TLSLIFE_TLS1_2, false);
    OK(tlslife_context_set_cache(self.client_context, client_cache, &err));
    OK(tlslife_context_set_cache(self.server_context, server_cache, &err));
    begin(&self);
    expect_that(shake_hands(&self), "a handshake");
    tell_session(tlslife_conn_get0_session(self.client));
    end_connections(&self);
    return self;
}

/* Kept by id and by peer, exported, imported, and flushed. */
static void cache_flushed(void) {
    unsigned char *bytes = NULL;
    size_t len = 0;
    tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *client = tlslife_cache_new(&options, &err);
    tlslife_cache *server = tlslife_cache_new(&options, &err);
    tlslife_keyring *ring = new_ring();
    pair self = cached_pair(client, server);
    OK(tlslife_cache_export(client, ring, true, &bytes, &len, &err));
    tlslife_cache_flush(client, true);
    OK(tlslife_cache_import(client, ring, bytes, len, NULL, &err));
    tlslife_session_bytes_free(bytes, len);
    expect_held("session's key");
    tlslife_cache_flush(client, true);
    tlslife_cache_flush(server, true);
    end_contexts(&self);
    tlslife_keyring_free(ring);
    expect_gone();
    tlslife_cache_free(client);
    tlslife_cache_free(server);
}

/* A slab, which other processes see, holds sealed bytes alone. Its ring is kept to the end. */
static void cache_in_slab(void) {
    char path[] = "/tmp/secrets.XXXXXX";
    (void)close(mkstemp(path));
    (void)unlink(path);
    tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *client = tlslife_cache_new(&options, &err);
    tlslife_keyring *ring = new_ring();
    options.store = tlslife_store_shared(path, 65536, false, &err);
    options.keyring = ring;
    options.in_memory = false;
    expect_that(options.store != NULL, "a slab");
    tlslife_cache *server = tlslife_cache_new(&options, &err);
    pair self = cached_pair(client, server);
    begin(&self);
    expect_that(shake_hands(&self) && tlslife_conn_session_reused(self.server), "resumption");
    expect_held("session's key,sealing key");
    end_connections(&self);
    end_contexts(&self);
    tlslife_cache_free(client);
    tlslife_cache_free(server);
    tlslife_keyring_free(ring);
    expect_gone();
    tlslife_store_free(options.store);
    (void)unlink(path);
}

/* ---------------------------------------------------------------------------------------- Redis */

static void redis_password(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char bytes[256];
    bool writing = false;
    int timeout_ms = 0, listening = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/tmp/secrets.%d", (int)getpid());
    expect_that(bind(listening, (struct sockaddr *)&address, sizeof address) == 0 &&
                    listen(listening, 1) == 0,
                "a server");
    char *password = given("Redis' password", 32);
    const tlslife_redis_options options = {.unix_path = address.sun_path, .password = password};
    tlslife_store *store = tlslife_store_redis(&options, &err);
    ungive(password, 32);
    tlslife_store_pump(store);
    (void)tlslife_store_fd(store, &writing, &timeout_ms);
    tlslife_cache_options keeps = tlslife_cache_defaults();
    keeps.store = store;
    keeps.keyring = new_ring();
    tlslife_cache *cache = tlslife_cache_new(&keeps, &err);
    (void)tlslife_cache_remove(cache, (const unsigned char *)"some id", 7);
    tlslife_store_pump(store);
    int accepted = accept(listening, NULL, NULL);
    ssize_t got = read(accepted, bytes, sizeof bytes);
    expect_that(got > 40 && memmem(bytes, (size_t)got, "AUTH", 4) != NULL, "AUTH");
    OPENSSL_cleanse(bytes, sizeof bytes);
    expect_held("Redis' password");
    tlslife_cache_free(cache);
    tlslife_keyring_free(keeps.keyring);
    tlslife_store_free(store);
    (void)close(accepted);
    (void)close(listening);
    (void)unlink(address.sun_path);
    expect_gone();
}

/* ---------------------------------------------------------------------------------------- table */

const life c_lives[] = {
    {"PSK", "free", psk_free},
    {"PSK", "refused", psk_refused},
    {"PSK", "dup", connection_dupped},
    {"key ring", "free", ring_free},
    {"key ring", "rotate", ring_rotates},
    {"key ring", "refused, full", ring_is_full},
    {"ticket keys", "free", own_keys_free},
    {"ticket keys", "replace", own_keys_replaced},
    {"ticket keys", "refused", own_keys_refused},
    {"ticket keys", "free, derived", derived_keys_free},
    {"connection", "free, TLS 1.2", connection_free_12},
    {"connection", "free, TLS 1.3", connection_free_13},
    {"connection", "clear, TLS 1.2", connection_cleared_12},
    {"connection", "clear, TLS 1.3", connection_cleared_13},
    {"connection", "failure, TLS 1.2", connection_fails_12},
    {"connection", "failure, TLS 1.3", connection_fails_13},
    {"session", "free, after dup, export, import", session_copied},
    {"session", "flush, after export, import", cache_flushed},
    {"session", "free, in a slab", cache_in_slab},
    {"Redis' password", "free", redis_password},
    {NULL, NULL, NULL},
};
