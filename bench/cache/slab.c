/*
 * slab.c: the shared slab, with and without its seal.
 */
#include "benches.h"
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH 2000 /* operations between two looks at the clock */
#define SLAB_ENTRIES 20000

static double slab_put(far_scene *scene) {
    static unsigned char keys[BATCH][TLSL_STORE_KEY];
    static uint32_t next;
    for (size_t i = 0; i < BATCH; i++) {
        far_key(next++ % SLAB_ENTRIES, keys[i]);
    }
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        demand(scene->store->verbs->put(scene->store, keys[i], scene->sealed, scene->sealed_len,
                                        LIVES),
               "not put");
    }
    return (cpu() - before) * 1e9 / BATCH;
}

static double slab_get(far_scene *scene, uint64_t seed) {
    static tlsl_inquiry all[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        all[i] = (tlsl_inquiry){.found = TLSL_FOUND_MISS};
        far_key(next_random(&seed) % SLAB_ENTRIES, all[i].key);
    }
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        scene->store->verbs->ask(scene->store, &all[i]);
    }
    double took = (cpu() - before) * 1e9 / BATCH;
    for (size_t i = 0; i < BATCH; i++) {
        demand(all[i].found == TLSL_FOUND_HIT, "the slab has lost something");
        free(all[i].bytes);
    }
    return took;
}

static double unseal(far_scene *scene) {
    unsigned char *plain = NULL;
    size_t plain_len = 0;
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        demand(tlsl_open(scene->keyring, (tlslife_bytes){scene->sealed, scene->sealed_len},
                         bench_policy, &plain, &plain_len),
               "does not open");
        free(plain);
    }
    return (cpu() - before) * 1e9 / BATCH;
}

static double seal(far_scene *scene) {
    unsigned char *sealed = NULL;
    size_t sealed_len = 0;
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        demand(tlsl_seal(scene->keyring, (tlslife_bytes){scene->plain, scene->plain_len},
                         bench_policy, &sealed, &sealed_len),
               "not sealed");
        free(sealed);
    }
    return (cpu() - before) * 1e9 / BATCH;
}

static double whole_put(far_scene *scene) {
    tlsl_cache_key key = far_entry(1);
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        tlsl_external_put(scene->cache, &key, scene->session, bench_policy);
    }
    return (cpu() - before) * 1e9 / BATCH;
}

/* From the slab to a live session. */
static double whole_get(far_scene *scene) {
    tlsl_cache_key key = far_entry(1);
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        tlsl_inquiry one = {.found = TLSL_FOUND_MISS};
        tlsl_external_key(&key, one.key);
        scene->store->verbs->ask(scene->store, &one);
        bool expired = false;
        SSL_SESSION *session = one.found == TLSL_FOUND_HIT
                                   ? tlsl_external_open(scene->cache, &key, one.bytes,
                                                        one.bytes_len, bench_policy, &expired)
                                   : NULL;
        demand(session != NULL, "the slab's session does not open");
        SSL_SESSION_free(session);
        free(one.bytes);
    }
    return (cpu() - before) * 1e9 / BATCH;
}

/* Nobody else is to open it: its name goes at once, as a file's may. */
static tlslife_store *slab_open(const char *name) {
    char path[96];
    (void)snprintf(path, sizeof path, "shm:bench-%ld-%s", (long)getpid(), name);
    tlslife_store *store = tlslife_store_shared(path, (size_t)64 << 20, true, NULL);
    (void)snprintf(path, sizeof path, "/dev/shm/tlslife-bench-%ld-%s", (long)getpid(), name);
    (void)unlink(path);
    return store;
}

void bench_shared(void) {
    enum { RAW_GET, RAW_PUT, OPEN, SEAL, ALL_GET, ALL_PUT, KINDS };
    static const char *const names[] = {
        "shared get, sealed bytes",   "shared put, sealed bytes",  "unsealing", "sealing",
        "shared get, a live session", "shared put, a live session"};
    far_scene scene,
        live; /* live: one entry written again and again pushes out the others of its shard */
    series results[KINDS] = {0};
    far_init(&scene, slab_open("entries"));
    far_init(&live, slab_open("live"));
    for (int i = 0; i < SLAB_ENTRIES / BATCH; i++) {
        (void)slab_put(&scene);
    }
    for (int round = 0; round < ROUNDS; round++) {
        add(&results[RAW_GET], slab_get(&scene, (uint64_t)round));
        add(&results[RAW_PUT], slab_put(&scene));
        add(&results[OPEN], unseal(&scene));
        add(&results[SEAL], seal(&scene));
        add(&results[ALL_PUT], whole_put(&live));
        add(&results[ALL_GET], whole_get(&live));
    }
    for (int i = 0; i < KINDS; i++) {
        print_row(names[i], &results[i], NULL);
    }
    far_clear(&scene);
    far_clear(&live);
}
