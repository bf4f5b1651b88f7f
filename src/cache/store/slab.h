/*
 * slab.h: declares the parts of the store in shared memory, which have a file each.
 *
 *   slab_file.c    finds or makes the mapped file, checks and maps it
 *   slab_lease.c   the lock of a shard, which outlives its holder
 *   slab_shard.c   a shard, which is an index and a ring of entries
 *   slab.c         the store that consists of them
 *
 * The structures in the mapping can be changed by any process of this user. Nothing that is read
 * from there is trusted. Sizes and offsets come from tlsl_slab_plan, which each process computes by
 * itself.
 */
#ifndef TLSLIFE_SLAB_H
#define TLSLIFE_SLAB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/store/store.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock inside of an atomic would not be shared");

/* How a slab is divided. It depends on the number of bytes and on this version only. */
typedef struct tlsl_slab_plan {
    size_t bytes;
    size_t shards, shard_len;
    size_t buckets;   /* buckets of a shard's index */
    size_t ring_len;  /* bytes of a shard's ring */
    size_t entry_max; /* the most bytes of an entry that a shard takes */
} tlsl_slab_plan;

#define TLSL_SLAB_BYTES_MIN ((uint64_t)64 * 1024)
#define TLSL_SLAB_BYTES_MAX ((uint64_t)64 * 1024 * 1024 * 1024)
tlsl_slab_plan tlsl_slab_plan_of(size_t bytes);

/* ----------------------------------------------------------------------------------------- file */

#define TLSL_SLAB_START 4096 /* offset of the first shard */
#define TLSL_SLAB_BOOT 40

enum { TLSL_SLAB_MAKING = 1, TLSL_SLAB_READY = 2 };

typedef struct tlsl_slab_header {
    unsigned char magic[8];
    uint32_t order; /* 0x01020304 in the byte order of the machine that made it */
    uint32_t version;
    uint32_t word_len; /* size of size_t there */
    uint32_t state;    /* MAKING until the file is complete */
    uint64_t bytes, shards, shard_len, buckets, ring_len;
    unsigned char boot[TLSL_SLAB_BOOT]; /* the machine's boot id when the file was made */
    uint64_t sum;                       /* checksum of everything before it */
} tlsl_slab_header;

uint64_t tlsl_slab_header_sum(const tlsl_slab_header *header);
/* Maps plan->bytes. Returns NULL with err if it fails. The caller unmaps the result. */
unsigned char *tlsl_slab_map(const char *path, const tlsl_slab_plan *plan, bool wipe,
                             tlslife_error *err);

/* ---------------------------------------------------------------------------------------- lease */

/* In the mapping. All zeros mean that it is free. */
typedef struct tlsl_lease {
    _Atomic uint64_t holder; /* the holding process in the upper half, the turn in the lower */
    _Atomic uint64_t turn;
    _Atomic uint64_t stuck; /* a holder for which another process has waited in vain */
    _Atomic uint64_t stuck_since_ms;
} tlsl_lease;

typedef enum tlsl_leased {
    TLSL_LEASED_NOT = 0, /* the holder did not release it in time */
    TLSL_LEASED,
    /* It was taken from a dead or stopped holder, which may have left the shard half changed. */
    TLSL_LEASED_BROKEN
} tlsl_leased;

tlsl_leased tlsl_lease_take(tlsl_lease *lease, uint64_t *out_holding);
/* Whether the lease is still held. It is not if another process has broken it. */
bool tlsl_lease_held(const tlsl_lease *lease, uint64_t holding);
void tlsl_lease_give(tlsl_lease *lease, uint64_t holding);

/* ---------------------------------------------------------------------------------------- shard */

/* In the mapping, at the start of each shard. The index follows it, then the ring. */
typedef struct tlsl_shard_head {
    tlsl_lease lease;
    /*
     * The number of all bytes that were ever put into the ring. Modulo the ring's length it is the
     * offset of the next entry.
     */
    uint64_t head;
    uint64_t spare[3];
} tlsl_shard_head;

_Static_assert(sizeof(tlsl_shard_head) == 64, "a cache line");

/* A shard as one call sees it. The call holds the shard's lease. */
typedef struct tlsl_slab_shard {
    const tlsl_slab_plan *plan;
    tlsl_shard_head *head;
    unsigned char *index, *ring;
    uint64_t holding;
    uint32_t now; /* seconds since 1970 */
} tlsl_slab_shard;

/* The shard of a key. map has plan->bytes. The lease is not needed for this call. */
tlsl_slab_shard tlsl_shard_of(unsigned char *map, const tlsl_slab_plan *plan,
                              const unsigned char *key);
/* Empties the shard. */
void tlsl_shard_drop(tlsl_slab_shard *shard);
/*
 * The entry of a key as a copy that the caller frees (malloc), or NULL. With take it is not found
 * again.
 */
unsigned char *tlsl_shard_get(tlsl_slab_shard *shard, const unsigned char *key, bool take,
                              size_t *out_len);
/* lifetime is in seconds, at most TLSL_SHARD_LIFETIME_MAX. */
void tlsl_shard_put(tlsl_slab_shard *shard, const unsigned char *key, const unsigned char *bytes,
                    size_t len, uint32_t lifetime);
void tlsl_shard_remove(tlsl_slab_shard *shard, const unsigned char *key);
/* The same, if the entry begins with head, of TLSL_STORE_HEAD bytes. */
void tlsl_shard_remove_if(tlsl_slab_shard *shard, const unsigned char *key,
                          const unsigned char *head);

#define TLSL_SHARD_LIFETIME_MAX 604800 /* RFC 8446 section 4.6.1 */

/* A checksum against accidental damage. What an attacker changes does not unseal. */
uint64_t tlsl_slab_sum(const void *bytes, size_t len, uint64_t seed);

#endif
