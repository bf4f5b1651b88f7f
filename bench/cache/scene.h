/*
 * scene.h: a far home, a session that is sealed for it, and what its entries are called.
 */
#ifndef TLSLIFE_BENCH_SCENE_H
#define TLSLIFE_BENCH_SCENE_H

#include "cache/cache.h"
#include "cache/external.h"
#include "cache/seal.h"
#include "cache/store/store.h"

#include "rows.h"
#include "sessions.h"

typedef struct far_scene {
    tlslife_store *store;
    tlslife_keyring *keyring;
    tlslife_cache *cache;
    SSL_SESSION *session;
    unsigned char plain[512], *sealed;
    size_t plain_len, sealed_len;
} far_scene;

extern const tlslife_bytes bench_policy;

tlsl_cache_key far_entry(uint32_t n);
void far_key(uint32_t n, unsigned char out[TLSL_STORE_KEY]);
/* The store's reference becomes the scene's. */
void far_init(far_scene *scene, tlslife_store *store);
void far_clear(far_scene *scene);

#endif
