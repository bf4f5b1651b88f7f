/*
 * slab.c: implements the external store in memory that processes share, and that outlives them. It
 * is one mapped slab, divided into shards (slab_shard.c), each with a lease (slab_lease.c), in a
 * file of its own (slab_file.c).
 *
 * It answers at once. A call takes one shard's lease, works in memory for about a microsecond and
 * releases the lease. A shard whose lease holder died is emptied. A shard whose holder is stopped
 * gives misses, the first after 20 ms and the others at once. Nothing is opened while the store
 * lives: a child of fork() uses the mapping that it inherits. Several stores of one slab in one
 * process work as several processes do.
 *
 * An entry that was taken is gone for every process that shares the slab. A copy of the file that
 * is restored from elsewhere contains what was taken since. For that reason the content is dropped
 * after a restart of the machine (slab_file.c).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "base/error.h"
#include "cache/store/slab.h"
#include "cache/store/store.h"
#include "tlslife.h"

typedef struct slab {
    tlslife_store store;
    tlsl_slab_plan plan;
    unsigned char *map;
} slab;

static uint32_t seconds_now(void) {
    time_t now = time(NULL);
    return now < 0 ? 0 : (uint32_t)now;
}

/* Takes the lease of the key's shard. Returns false if the holder does not release it. */
static bool shard_take(slab *self, const unsigned char *key, tlsl_slab_shard *out) {
    *out = tlsl_shard_of(self->map, &self->plan, key);
    out->now = seconds_now();
    tlsl_leased leased = tlsl_lease_take(&out->head->lease, &out->holding);
    if (leased == TLSL_LEASED_BROKEN) {
        tlsl_shard_drop(out);
    }
    return leased != TLSL_LEASED_NOT;
}

static void shard_give(tlsl_slab_shard *shard) {
    tlsl_lease_give(&shard->head->lease, shard->holding);
}

static void ask(tlslife_store *store, tlsl_inquiry *inquiry) {
    tlsl_slab_shard shard;
    inquiry->found = TLSL_FOUND_MISS;
    inquiry->pending = NULL;
    if (shard_take((slab *)store, inquiry->key, &shard)) {
        inquiry->bytes = tlsl_shard_get(&shard, inquiry->key, inquiry->take, &inquiry->bytes_len);
        shard_give(&shard);
        if (inquiry->bytes != NULL) {
            inquiry->found = TLSL_FOUND_HIT;
        }
    }
}

static bool remove_key(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY]) {
    tlsl_slab_shard shard;
    if (!shard_take((slab *)store, key, &shard)) {
        return false;
    }
    tlsl_shard_remove(&shard, key);
    shard_give(&shard);
    return true;
}

static bool remove_if(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY],
                      const unsigned char head[TLSL_STORE_HEAD]) {
    tlsl_slab_shard shard;
    if (!shard_take((slab *)store, key, &shard)) {
        return false;
    }
    tlsl_shard_remove_if(&shard, key, head);
    shard_give(&shard);
    return true;
}

/* An entry that is too large or has expired still replaces the one that was there before. */
static bool put(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY],
                const unsigned char *bytes, size_t bytes_len, long lifetime_seconds) {
    slab *self = (slab *)store;
    tlsl_slab_shard shard;
    bool fits = bytes_len <= self->plan.entry_max;
    if (!fits || lifetime_seconds <= 0) {
        return remove_key(store, key) && fits;
    }
    if (!shard_take(self, key, &shard)) {
        return false;
    }
    bool longest = lifetime_seconds > TLSL_SHARD_LIFETIME_MAX;
    tlsl_shard_put(&shard, key, bytes, bytes_len,
                   longest ? TLSL_SHARD_LIFETIME_MAX : (uint32_t)lifetime_seconds);
    shard_give(&shard);
    return true;
}

static void destroy(tlslife_store *store) {
    slab *self = (slab *)store;
    if (self->map != NULL) {
        (void)munmap(self->map, self->plan.bytes);
    }
    free(self);
}

static const tlsl_store_verbs verbs = {
    .ask = ask,
    .put = put,
    .remove = remove_key,
    .remove_if = remove_if,
    .destroy = destroy,
};

tlslife_store *tlslife_store_shared(const char *path, size_t bytes, bool wipe, tlslife_error *err) {
    if (path == NULL || path[0] == '\0') {
        tlsl_fail(err, TLSLIFE_ERR_USAGE, "a shared store needs a path, or \"shm:\" and a name");
        return NULL;
    }
    if (bytes < TLSL_SLAB_BYTES_MIN || bytes > TLSL_SLAB_BYTES_MAX) {
        tlsl_fail(err, TLSLIFE_ERR_USAGE, "a shared store has 64 KiB to 64 GiB, not %zu bytes",
                  bytes);
        return NULL;
    }
    slab *self = (slab *)tlsl_store_new(&verbs, sizeof *self, err);
    if (self == NULL) {
        return NULL;
    }
    self->plan = tlsl_slab_plan_of(bytes);
    self->map = tlsl_slab_map(path, &self->plan, wipe, err);
    if (self->map == NULL) {
        destroy(&self->store);
        return NULL;
    }
    return &self->store;
}
