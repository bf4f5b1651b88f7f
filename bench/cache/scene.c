/*
 * scene.c: what the benches of far homes have in common.
 */
#include "scene.h"

#include <stdlib.h>
#include <string.h>

const tlslife_bytes bench_policy = {(const unsigned char *)"bench", 5};

tlsl_cache_key far_entry(uint32_t n) {
    tlsl_cache_key key = {.client = false};
    nth_id(n, key.bytes);
    return key;
}

void far_key(uint32_t n, unsigned char out[TLSL_STORE_KEY]) {
    tlsl_cache_key key = far_entry(n);
    tlsl_external_key(&key, out);
}

void far_init(far_scene *scene, tlslife_store *store) {
    static const unsigned char secret[32] = {1};
    tlslife_cache_options options = tlslife_cache_defaults();
    memset(scene, 0, sizeof *scene);
    scene->store = store;
    scene->keyring = tlslife_keyring_new(secret, sizeof secret, NULL);
    options.store = store;
    options.keyring = scene->keyring;
    options.in_memory = false;
    scene->cache = tlslife_cache_new(&options, NULL);
    demand(scene->store != NULL && scene->cache != NULL, "no far home");
    scene->session = make_session(1, TLS1_2_VERSION, LIVES);
    unsigned char *at = scene->plain + 1;
    scene->plain_len = 1 + (size_t)i2d_SSL_SESSION(scene->session, &at);
    demand(tlsl_seal(scene->keyring, (tlslife_bytes){scene->plain, scene->plain_len}, bench_policy,
                     &scene->sealed, &scene->sealed_len),
           "not sealed");
}

void far_clear(far_scene *scene) {
    free(scene->sealed);
    SSL_SESSION_free(scene->session);
    tlslife_cache_free(scene->cache);
    tlslife_keyring_free(scene->keyring);
    tlslife_store_free(scene->store);
}
