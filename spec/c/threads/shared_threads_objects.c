/*
 * shared_threads_objects.c: lists the calls of shared_threads.c on caches, stores, key rings,
 * ticket keys and sessions.
 *
 * Any thread may make each of these calls at any time, with two exceptions. A session's timeout is
 * changed where no other thread knows the session, and what tlslife_store_next lends is valid until
 * the next call only.
 */
#include "shared_threads.h"

#include <stdlib.h>
#include <string.h>

static void make_secret(hand *h, unsigned char secret[SECRET_LEN]) {
    memset(secret, (int)pick(h, 4), SECRET_LEN);
}

/* --------------------------------------------------------------------------------------- caches */

tlslife_cache *make_cache(hand *h, unsigned kind) {
    tlslife_cache_options options = tlslife_cache_defaults();
    options.capacity = 20 + pick(h, 100);
    options.store = kind == 0 ? NULL : h->store;
    options.keyring = options.store == NULL ? NULL : h->keyring;
    options.in_memory = options.store == NULL || pick(h, 2) == 0;
    tlslife_cache *cache = tlslife_cache_new(&options, &h->err);
    expect(h, cache != NULL, "a cache");
    return cache;
}

CALL(tlslife_cache_new) {
    if (pick(h, 8) == 0) {
        publish(h, PLACE_CACHE, make_cache(h, pick(h, 2)));
    }
}

CALL(tlslife_cache_up_ref) {
    tlslife_cache_free(tlslife_cache_up_ref(h->cache));
}

CALL(tlslife_cache_free) {
    (void)tlslife_cache_up_ref(h->cache);
    tlslife_cache_free(h->cache);
}

CALL(tlslife_cache_put) {
    if (h->session != NULL) {
        (void)tlslife_cache_put(h->cache, h->session);
    }
}

CALL(tlslife_cache_get) {
    if (h->session != NULL) {
        tlslife_bytes id = tlslife_session_id(h->session);
        tlslife_session_free(tlslife_cache_get(h->cache, id.data, id.len));
    }
}

CALL(tlslife_cache_take) {
    if (h->session != NULL) {
        tlslife_bytes id = tlslife_session_id(h->session);
        tlslife_session_free(tlslife_cache_take(h->cache, id.data, id.len));
    }
}

CALL(tlslife_cache_remove) {
    if (h->session != NULL) {
        tlslife_bytes id = tlslife_session_id(h->session);
        (void)tlslife_cache_remove(h->cache, id.data, id.len);
    }
}

CALL(tlslife_cache_flush) {
    (void)tlslife_cache_flush(h->cache, pick(h, 8) == 0);
}

CALL(tlslife_cache_get_stats) {
    tlslife_cache_stats stats;
    tlslife_cache_get_stats(h->cache, &stats);
    expect(h, stats.entries <= 120, "more entries than the cache has room for");
}

CALL(tlslife_cache_entries) {
    tlslife_cache_entry entries[4];
    uint64_t cursor = 0;
    while (tlslife_cache_entries(h->cache, &cursor, entries, 4) > 0) {}
}

/* One thread exports what another imports, under a ring that others rotate meanwhile. */
CALL(tlslife_cache_export) {
    unsigned char *bytes = NULL;
    size_t len = 0;
    expect(h, tlslife_cache_export(h->cache, h->keyring, true, &bytes, &len, &h->err) == TLSLIFE_OK,
           "export");
    tlslife_session_bytes_free(bytes, len);
}

CALL(tlslife_cache_import) {
    unsigned char *bytes = NULL;
    size_t len = 0;
    tlslife_cache *from = borrow(h, PLACE_CACHE);
    expect(h, tlslife_cache_export(from, h->keyring, true, &bytes, &len, &h->err) == TLSLIFE_OK,
           "export");
    (void)tlslife_cache_import(h->cache, h->keyring, bytes, len, NULL, NULL);
    tlslife_session_bytes_free(bytes, len);
    tlslife_cache_free(from);
}

/* --------------------------------------------------------------------------------------- stores */

tlslife_store *make_store(hand *h, unsigned kind) {
    const tlslife_redis_options redis = {
        .unix_path = h->world->socket, .timeout_ms = 50, .connect_timeout_ms = 50};
    tlslife_store *store = kind == 0   ? tlslife_store_shared(h->world->slab, 65536, false, &h->err)
                           : kind == 1 ? tlslife_store_program(&h->err)
                                       : tlslife_store_redis(&redis, &h->err);
    expect(h, store != NULL, "a store");
    return store;
}

CALL(tlslife_store_shared) {
    if (pick(h, 16) == 0) {
        tlslife_store_free(tlslife_store_shared(h->world->slab, 65536, false, &h->err));
    }
}

CALL(tlslife_store_redis) {
    const tlslife_redis_options redis = {.unix_path = h->world->socket};
    tlslife_store_free(tlslife_store_redis(&redis, NULL));
}

CALL(tlslife_store_program) {
    tlslife_store_free(tlslife_store_program(NULL));
    if (pick(h, 16) == 0) {
        publish(h, PLACE_STORE, make_store(h, pick(h, 3)));
    }
}

CALL(tlslife_store_next) {
    tlslife_store_event event;
    size_t sum = 0;
    pthread_mutex_lock(&h->world->events);
    for (int i = 0; i < 4 && tlslife_store_next(h->store, &event); i++) {
        sum += (size_t)(event.key.data[0] + (event.sealed.len > 0 ? event.sealed.data[0] : 0));
    }
    pthread_mutex_unlock(&h->world->events);
    expect(h, sum <= (size_t)4 * 2 * 255, "the bytes of events");
}

CALL(tlslife_store_up_ref) {
    tlslife_store_free(tlslife_store_up_ref(h->store));
}

CALL(tlslife_store_free) {
    (void)tlslife_store_up_ref(h->store);
    tlslife_store_free(h->store);
}

CALL(tlslife_store_fd) {
    bool writing = false;
    int timeout_ms = 0;
    (void)tlslife_store_fd(h->store, &writing, &timeout_ms);
}

CALL(tlslife_store_pump) {
    tlslife_store_pump(h->store);
}

/* ----------------------------------------------------------------------- key rings, ticket keys */

CALL(tlslife_keyring_new) {
    unsigned char secret[SECRET_LEN];
    make_secret(h, secret);
    tlslife_keyring *keyring = tlslife_keyring_new(secret, sizeof secret, &h->err);
    if (pick(h, 16) == 0) {
        publish(h, PLACE_KEYRING, keyring);
    } else {
        tlslife_keyring_free(keyring);
    }
}

CALL(tlslife_keyring_up_ref) {
    tlslife_keyring_free(tlslife_keyring_up_ref(h->keyring));
}

CALL(tlslife_keyring_free) {
    (void)tlslife_keyring_up_ref(h->keyring);
    tlslife_keyring_free(h->keyring);
}

CALL(tlslife_keyring_add) {
    unsigned char secret[SECRET_LEN];
    make_secret(h, secret);
    (void)tlslife_keyring_add(h->keyring, secret, sizeof secret, NULL);
}

CALL(tlslife_keyring_rotate) {
    unsigned char secret[SECRET_LEN];
    make_secret(h, secret);
    expect(h, tlslife_keyring_rotate(h->keyring, secret, sizeof secret, &h->err) == TLSLIFE_OK,
           "rotate");
}

static size_t make_own_keys(hand *h, unsigned char keys[OWN_KEYS]) {
    unsigned first = pick(h, 4);
    memset(keys, (int)first, OWN_KEYS / 2);
    memset(keys + OWN_KEYS / 2, (int)first + 1, OWN_KEYS / 2);
    return OWN_KEYS;
}

CALL(tlslife_ticket_keys_new) {
    unsigned char keys[OWN_KEYS];
    tlslife_ticket_keys *made = tlslife_ticket_keys_new(keys, make_own_keys(h, keys), &h->err);
    if (pick(h, 16) == 0) {
        publish(h, PLACE_TICKET_KEYS, made);
    } else {
        tlslife_ticket_keys_free(made);
    }
}

CALL(tlslife_ticket_keys_derived) {
    unsigned char secret[SECRET_LEN];
    make_secret(h, secret);
    if (pick(h, 16) == 0) {
        publish(h, PLACE_TICKET_KEYS,
                tlslife_ticket_keys_derived(secret, sizeof secret, 60, 2, &h->err));
    }
}

CALL(tlslife_ticket_keys_random) {
    if (pick(h, 16) == 0) {
        publish(h, PLACE_TICKET_KEYS, tlslife_ticket_keys_random(60, 1, &h->err));
    }
}

CALL(tlslife_ticket_keys_replace) {
    unsigned char keys[OWN_KEYS];
    (void)tlslife_ticket_keys_replace(h->ticket_keys, keys, make_own_keys(h, keys), NULL);
}

CALL(tlslife_ticket_keys_up_ref) {
    tlslife_ticket_keys_free(tlslife_ticket_keys_up_ref(h->ticket_keys));
}

CALL(tlslife_ticket_keys_free) {
    (void)tlslife_ticket_keys_up_ref(h->ticket_keys);
    tlslife_ticket_keys_free(h->ticket_keys);
}

/* ------------------------------------------------------------------------------------- sessions */

/* SESSION(f) { ... } runs where there is a session. */
#define SESSION(function)                 \
    static void with_##function(hand *h); \
    CALL(function) {                      \
        if (h->session != NULL) {         \
            with_##function(h);           \
        }                                 \
    }                                     \
    static void with_##function(hand *h)

SESSION(tlslife_session_up_ref) {
    tlslife_session_free(tlslife_session_up_ref(h->session));
}

SESSION(tlslife_session_free) {
    (void)tlslife_session_up_ref(h->session);
    tlslife_session_free(h->session);
}

SESSION(tlslife_session_dup) {
    tlslife_session *copy = tlslife_session_dup(h->session);
    expect(h, copy != NULL, "dup");
    if (pick(h, 4) == 0) {
        publish(h, PLACE_SESSION, copy);
    } else {
        tlslife_session_free(copy);
    }
}

SESSION(tlslife_session_set_timeout) {
    tlslife_session *copy = tlslife_session_dup(h->session);
    expect(h, tlslife_session_set_timeout(copy, 100 + pick(h, 100)), "set_timeout");
    tlslife_session_free(copy);
}

SESSION(tlslife_session_id) {
    expect(h, tlslife_session_id(h->session).len <= 32, "id");
}

SESSION(tlslife_session_time) {
    expect(h, tlslife_session_time(h->session) > 0, "time");
}

SESSION(tlslife_session_timeout) {
    expect(h, tlslife_session_timeout(h->session) >= 0, "timeout");
}

SESSION(tlslife_session_ticket) {
    (void)tlslife_session_ticket(h->session);
}

SESSION(tlslife_session_ticket_lifetime) {
    (void)tlslife_session_ticket_lifetime(h->session);
}

SESSION(tlslife_session_protocol) {
    expect(h, strncmp(tlslife_session_protocol(h->session), "TLSv1.", 6) == 0, "protocol");
}

SESSION(tlslife_session_cipher) {
    expect(h, tlslife_session_cipher(h->session) != NULL, "cipher");
}

SESSION(tlslife_session_hostname) {
    const char *name = tlslife_session_hostname(h->session);
    expect(h, name == NULL || strcmp(name, "localhost") == 0, "hostname");
}

SESSION(tlslife_session_alpn) {
    (void)tlslife_session_alpn(h->session);
}

SESSION(tlslife_session_max_early_data) {
    (void)tlslife_session_max_early_data(h->session);
}

SESSION(tlslife_session_is_resumable) {
    (void)tlslife_session_is_resumable(h->session);
}

SESSION(tlslife_session_peer_certificate) {
    tlslife_certificate certificate;
    memset(&certificate, 0, sizeof certificate);
    (void)tlslife_session_peer_certificate(h->session, &certificate);
    tlslife_certificate_clear(&certificate);
}

SESSION(tlslife_session_equal) {
    tlslife_session *other = borrow(h, PLACE_SESSION);
    expect(h, tlslife_session_equal(h->session, h->session), "equal");
    if (other != NULL) {
        (void)tlslife_session_equal(h->session, other);
    }
    tlslife_session_free(other);
}

SESSION(tlslife_session_export_der) {
    unsigned char *bytes = NULL;
    size_t len = 0;
    (void)tlslife_session_export_der(h->session, &bytes, &len, NULL);
    tlslife_session_bytes_free(bytes, len);
}

SESSION(tlslife_session_export_pem) {
    unsigned char *bytes = NULL;
    size_t len = 0;
    (void)tlslife_session_export_pem(h->session, &bytes, &len, NULL);
    tlslife_session_bytes_free(bytes, len);
}

SESSION(tlslife_session_ssl_session) {
    SSL_SESSION *raw = tlslife_session_ssl_session(h->session);
    expect(h, SSL_SESSION_get_time(raw) > 0, "ssl_session");
}

SESSION(tlslife_session_from_ssl_session) {
    SSL_SESSION *raw = tlslife_session_ssl_session(h->session);
    expect(h, tlslife_session_from_ssl_session(raw) == h->session, "from_ssl_session");
}

/* ---------------------------------------------------------------------------------------- table */

/* --------------------------------------------------------------------------------------- traces */

CALL(tlslife_trace_new) {
    tlslife_trace_free(tlslife_trace_new(4096, true, &h->err));
}

CALL(tlslife_trace_up_ref) {
    tlslife_trace_free(tlslife_trace_up_ref(h->world->trace));
}

CALL(tlslife_trace_free) {
    (void)tlslife_trace_up_ref(h->world->trace);
    tlslife_trace_free(h->world->trace);
}

CALL(tlslife_trace_next) {
    tlslife_trace_event *event = tlslife_trace_next(h->world->trace);
    expect(h, event == NULL || tlslife_trace_kind_name(event->kind) != NULL, "an event's kind");
    tlslife_trace_event_free(event);
}

/* Nearly all events, so that the others of the trace are not all lost. */
CALL(tlslife_trace_event_free) {
    for (unsigned i = 0; i < 50; i++) {
        tlslife_trace_event_free(tlslife_trace_next(h->world->trace));
    }
}

CALL(tlslife_trace_lost) {
    (void)tlslife_trace_lost(h->world->trace);
}

CALL(tlslife_trace_epoch_ns) {
    expect(h, tlslife_trace_epoch_ns(h->world->trace) > 0, "the time at which a trace was made");
}

/* -------------------------------------------------------------------------------------- metrics */

CALL(tlslife_metrics_text) {
    char *text = tlslife_metrics_text((tlslife_metrics_format)pick(h, 2), h->server);
    expect(h, text != NULL && strstr(text, "tlslife_connections_total") != NULL, "metrics");
    tlslife_string_free(text);
}

CALL(tlslife_metrics_count) {
    tlslife_metrics_count((tlslife_metrics_event)pick(h, 3));
}

CALL(tlslife_metrics_publish) {
    (void)h;
    tlslife_metrics_publish();
}

CALL(tlslife_metrics_share) {
    int fd = -1;
    expect(h, tlslife_metrics_share(1 + pick(h, 3), &fd, &h->err) == TLSLIFE_OK && fd >= 0,
           "memory for metrics");
}

CALL(tlslife_metrics_join) {
    int fd = -1;
    if (tlslife_metrics_share(1, &fd, &h->err) == TLSLIFE_OK) {
        (void)tlslife_metrics_join(fd, 1, &h->err); /* one thread succeeds, once */
    }
}

CALL(tlslife_metrics_leave) {
    tlslife_metrics_leave(2 + pick(h, 2)); /* nobody is one of these */
}

const shared_call object_calls[] = {
    ROW("cache", tlslife_cache_new),
    ROW("cache", tlslife_cache_up_ref),
    ROW("cache", tlslife_cache_free),
    ROW("cache", tlslife_cache_put),
    ROW("cache", tlslife_cache_get),
    ROW("cache", tlslife_cache_take),
    ROW("cache", tlslife_cache_remove),
    ROW("cache", tlslife_cache_flush),
    ROW("cache", tlslife_cache_get_stats),
    ROW("cache", tlslife_cache_entries),
    ROW("cache", tlslife_cache_export),
    ROW("cache", tlslife_cache_import),
    ROW("store", tlslife_store_shared),
    ROW("store", tlslife_store_redis),
    ROW("store", tlslife_store_program),
    ROW("store", tlslife_store_next),
    ROW("store", tlslife_store_up_ref),
    ROW("store", tlslife_store_free),
    ROW("store", tlslife_store_fd),
    ROW("store", tlslife_store_pump),
    ROW("key ring", tlslife_keyring_new),
    ROW("key ring", tlslife_keyring_up_ref),
    ROW("key ring", tlslife_keyring_free),
    ROW("key ring", tlslife_keyring_add),
    ROW("key ring", tlslife_keyring_rotate),
    ROW("ticket keys", tlslife_ticket_keys_new),
    ROW("ticket keys", tlslife_ticket_keys_derived),
    ROW("ticket keys", tlslife_ticket_keys_random),
    ROW("ticket keys", tlslife_ticket_keys_replace),
    ROW("ticket keys", tlslife_ticket_keys_up_ref),
    ROW("ticket keys", tlslife_ticket_keys_free),
    ROW("trace", tlslife_trace_new),
    ROW("trace", tlslife_trace_up_ref),
    ROW("trace", tlslife_trace_free),
    ROW("trace", tlslife_trace_next),
    ROW("trace", tlslife_trace_event_free),
    ROW("trace", tlslife_trace_lost),
    ROW("trace", tlslife_trace_epoch_ns),
    ROW("metrics", tlslife_metrics_text),
    ROW("metrics", tlslife_metrics_count),
    ROW("metrics", tlslife_metrics_publish),
    ROW("metrics", tlslife_metrics_share),
    ROW("metrics", tlslife_metrics_join),
    ROW("metrics", tlslife_metrics_leave),
    ROW("session", tlslife_session_up_ref),
    ROW("session", tlslife_session_free),
    ROW("session", tlslife_session_dup),
    ROW("session", tlslife_session_set_timeout),
    ROW("session", tlslife_session_id),
    ROW("session", tlslife_session_time),
    ROW("session", tlslife_session_timeout),
    ROW("session", tlslife_session_ticket),
    ROW("session", tlslife_session_ticket_lifetime),
    ROW("session", tlslife_session_protocol),
    ROW("session", tlslife_session_cipher),
    ROW("session", tlslife_session_hostname),
    ROW("session", tlslife_session_alpn),
    ROW("session", tlslife_session_max_early_data),
    ROW("session", tlslife_session_is_resumable),
    ROW("session", tlslife_session_peer_certificate),
    ROW("session", tlslife_session_equal),
    ROW("session", tlslife_session_export_der),
    ROW("session", tlslife_session_export_pem),
    ROW("session", tlslife_session_ssl_session),
    ROW("session", tlslife_session_from_ssl_session),
    {NULL, NULL, NULL},
};
