/*
 * slab.h: the parts of the store in shared memory, one file each.
 *
 *   slab_file.c    the mapped file: found, judged, made, mapped
 *   slab_lease.c   the lock of a shard, which outlives its holder
 *   slab_shard.c   a shard: an index and a ring of entries
 *   slab.c         the store that is made of them
 *
 * What is declared here lies in the mapping, where any process of this user may write. Nothing read
 * from there is believed: sizes and places come from tlsl_slab_plan, which each process works out
 * for itself.
 */
#ifndef TLSLIFE_SLAB_H
#define TLSLIFE_SLAB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/store/store.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock inside of an atomic would not be shared");

/* How a slab of that many bytes is divided. A pure function of bytes and of this version. */
typedef struct tlsl_slab_plan {
    size_t bytes;
    size_t shards, shard_len;
    size_t buckets;   /* of a shard's index */
    size_t ring_len;  /* of a shard, bytes */
    size_t entry_max; /* bytes of one entry that a shard takes */
} tlsl_slab_plan;

#define TLSL_SLAB_BYTES_MIN ((uint64_t)64 * 1024)
#define TLSL_SLAB_BYTES_MAX ((uint64_t)64 * 1024 * 1024 * 1024)
tlsl_slab_plan tlsl_slab_plan_of(size_t bytes);

/* ----------------------------------------------------------------------------------------- file */

#define TLSL_SLAB_START 4096 /* where the first shard is */
#define TLSL_SLAB_BOOT 40

enum { TLSL_SLAB_MAKING = 1, TLSL_SLAB_READY = 2 };

typedef struct tlsl_slab_header {
    unsigned char magic[8];
    uint32_t order; /* 0x01020304 in the maker's byte order */
    uint32_t version;
    uint32_t word_len; /* of the maker */
    uint32_t state;    /* MAKING until all of it is there */
    uint64_t bytes, shards, shard_len, buckets, ring_len;
    unsigned char boot[TLSL_SLAB_BOOT]; /* which start of the machine it belongs to */
    uint64_t sum;                       /* of all before */
} tlsl_slab_header;

uint64_t tlsl_slab_header_sum(const tlsl_slab_header *header);
/* The mapping, of plan->bytes; NULL: err. The caller unmaps it. */
unsigned char *tlsl_slab_map(const char *path, const tlsl_slab_plan *plan, bool wipe, tlslife_error *err);

/* ---------------------------------------------------------------------------------------- lease */

/* In the mapping; all zeros: free. */
typedef struct tlsl_lease {
    _Atomic uint64_t holder; /* who, and which turn it is */
    _Atomic uint64_t turn;
    _Atomic uint64_t stuck; /* a holder that somebody has waited for in vain */
    _Atomic uint64_t stuck_since_ms;
} tlsl_lease;

typedef enum tlsl_leased {
    TLSL_LEASED_NOT = 0, /* the holder kept it for too long to wait */
    TLSL_LEASED,
    TLSL_LEASED_BROKEN /* taken from a holder who is gone: what it was changing is not to be believed */
} tlsl_leased;

tlsl_leased tlsl_lease_take(tlsl_lease *lease, uint64_t *out_holding);
bool tlsl_lease_held(const tlsl_lease *lease, uint64_t holding); /* false: somebody has broken it */
void tlsl_lease_give(tlsl_lease *lease, uint64_t holding);

/* ---------------------------------------------------------------------------------------- shard */

/* In the mapping, at the start of each shard; then the index, then the ring. */
typedef struct tlsl_shard_head {
    tlsl_lease lease;
    uint64_t head; /* bytes ever put into the ring: where the next entry goes, modulo its length */
    uint64_t spare[3];
} tlsl_shard_head;

_Static_assert(sizeof(tlsl_shard_head) == 64, "a cache line");

/* A shard as one call sees it: its lease is held. */
typedef struct tlsl_slab_shard {
    const tlsl_slab_plan *plan;
    tlsl_shard_head *head;
    unsigned char *index, *ring;
    uint64_t holding;
    uint32_t now; /* seconds since 1970 */
} tlsl_slab_shard;

/* map is of plan->bytes. Neither needs the lease. */
tlsl_slab_shard tlsl_shard_of(unsigned char *map, const tlsl_slab_plan *plan, const unsigned char *key);
/* Empties it. */
void tlsl_shard_drop(tlsl_slab_shard *shard);
/* A malloc'ed copy, or NULL. take: it will not be found again. */
unsigned char *tlsl_shard_get(tlsl_slab_shard *shard, const unsigned char *key, bool take, size_t *out_len);
void tlsl_shard_put(tlsl_slab_shard *shard, const unsigned char *key, const unsigned char *bytes, size_t len,
                    uint32_t lifetime);
void tlsl_shard_remove(tlsl_slab_shard *shard, const unsigned char *key);

#define TLSL_SHARD_LIFETIME_MAX 604800 /* RFC 8446 section 4.6.1 */

/* A checksum against accidents; what an attacker changes is found by who unseals it. */
uint64_t tlsl_slab_sum(const void *bytes, size_t len, uint64_t seed);

#endif
