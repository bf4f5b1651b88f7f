/*
 * slab_shard.c: implements a shard of a slab, which is an index of fixed size and a ring into which
 * entries are written one after the other.
 *
 *   index   Buckets of 8 slots. A key belongs to one bucket. A slot has its entry's place, a part
 *           of the key, and the time of expiry.
 *   ring    Entries, each in one piece. A place is the number of all bytes that were ever written
 *           before it, so the entry at `at` is complete exactly while
 *           head - ring_len <= at < head
 *
 * The sizes of entries differ by a factor of ten (a client's certificate), and a process may die at
 * any instruction. A ring has no free list, no links and no fragmentation. The oldest entry goes
 * when it is overwritten. Its slot is known to be dead without being written. A lookup or a put
 * reads 8 slots, for 1 entry as for 10 million. A hit in the older half of the ring is written
 * anew, so entries that are used stay, and about the least recently used entry goes first. In a
 * full bucket an expired or dead slot is used first, then the oldest. The cost is that up to half
 * of the ring may be older copies. An expired entry keeps its place until the ring reaches it
 * again. If all sessions have one timeout, it is among the oldest then anyway.
 *
 * What is read here may be garbage, since another process died or is writing at this moment. So an
 * entry's head is copied before it is checked, each place and length is compared with the plan, and
 * the bytes of a result are checksummed after they were copied. The worst result is a miss.
 *
 * An attacker, who must be the same user, can drop or damage entries, or put back one that was
 * taken. They cannot make an entry that opens, because bytes are sealed and bound to their key. The
 * bytes of removed entries stay in the ring, sealed, until they are overwritten.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/store/slab.h"
#include "cache/store/store.h"

#define SLOTS 8
#define RING_BYTES_PER_SLOT 128
#define ALIGNMENT 16
#define SHARD_LEN_WANTED ((size_t)256 * 1024)
#define SHARDS_MAX 4096
#define HEAD_MAX ((uint64_t)1 << 62)

typedef struct slot {
    uint64_t at;
    uint32_t tag;
    uint32_t expiry; /* seconds since 1970, up to the year 2106; 0: free */
} slot;

typedef struct entry {
    uint64_t sum; /* checksum of the other fields and the bytes */
    uint64_t at;
    uint32_t expiry;
    uint32_t len;
    unsigned char key[TLSL_STORE_KEY];
} entry;

#define BUCKET_LEN (SLOTS * sizeof(slot))

_Static_assert(sizeof(slot) == 16 && sizeof(entry) == 56,
               "no padding: they are shared, and summed");

/* ----------------------------------------------------------------------------------------- plan */

tlsl_slab_plan tlsl_slab_plan_of(size_t bytes) {
    tlsl_slab_plan plan = {.bytes = bytes};
    size_t usable = bytes - TLSL_SLAB_START;
    plan.shards = usable / SHARD_LEN_WANTED;
    plan.shards = plan.shards < 1 ? 1 : plan.shards > SHARDS_MAX ? SHARDS_MAX : plan.shards;
    plan.shard_len = usable / plan.shards / 64 * 64;
    size_t room = plan.shard_len - sizeof(tlsl_shard_head);
    plan.buckets = room / (BUCKET_LEN + SLOTS * (size_t)RING_BYTES_PER_SLOT);
    plan.ring_len = (room - plan.buckets * BUCKET_LEN) / ALIGNMENT * ALIGNMENT;
    plan.entry_max = plan.ring_len / 2 - sizeof(entry) - ALIGNMENT;
    if (plan.entry_max > TLSL_STORE_BYTES_MAX) {
        plan.entry_max = TLSL_STORE_BYTES_MAX;
    }
    return plan;
}

/* 8 bytes of a key. Keys are hashes, so all of their bits are equally good. */
static uint64_t part_of_key(const unsigned char *key, size_t offset) {
    uint64_t part = 0;
    memcpy(&part, key + offset, sizeof part);
    return part;
}

tlsl_slab_shard tlsl_shard_of(unsigned char *map, const tlsl_slab_plan *plan,
                              const unsigned char *key) {
    size_t nth = (size_t)(part_of_key(key, 0) % plan->shards);
    unsigned char *start = map + TLSL_SLAB_START + nth * plan->shard_len;
    tlsl_slab_shard shard = {.plan = plan, .head = (tlsl_shard_head *)(void *)start};
    shard.index = start + sizeof(tlsl_shard_head);
    shard.ring = shard.index + plan->buckets * BUCKET_LEN;
    return shard;
}

void tlsl_shard_drop(tlsl_slab_shard *shard) {
    memset(shard->index, 0, shard->plan->buckets * BUCKET_LEN);
    shard->head->head = 0;
}

uint64_t tlsl_slab_sum(const void *bytes, size_t len, uint64_t seed) {
    const unsigned char *from = bytes;
    uint64_t sum = seed ^ len;
    while (len > 0) {
        uint64_t word = 0;
        size_t part = len < sizeof word ? len : sizeof word;
        memcpy(&word, from, part);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 29;
        from += part;
        len -= part;
    }
    return sum;
}

/* --------------------------------------------------------------------------------------- places */

/*
 * Copies from the mapping. The compiler must not read the mapping again instead of the copy, since
 * it may have changed.
 */
static void copy_from_map(void *out, const void *from, size_t len) {
    memcpy(out, from, len);
    atomic_signal_fence(memory_order_seq_cst);
}

static uint64_t ring_head(tlsl_slab_shard *shard) {
    uint64_t head = 0;
    copy_from_map(&head, &shard->head->head, sizeof head);
    if (head % ALIGNMENT != 0 || head > HEAD_MAX) {
        tlsl_shard_drop(shard);
        head = 0;
    }
    return head;
}

static unsigned char *slot_place(const tlsl_slab_shard *shard, const unsigned char *key,
                                 size_t nth) {
    size_t bucket = (size_t)(part_of_key(key, 8) % shard->plan->buckets);
    return shard->index + bucket * BUCKET_LEN + nth * sizeof(slot);
}

static slot slot_read(const tlsl_slab_shard *shard, const unsigned char *key, size_t nth) {
    slot read;
    copy_from_map(&read, slot_place(shard, key, nth), sizeof read);
    return read;
}

static void slot_write(const tlsl_slab_shard *shard, const unsigned char *key, size_t nth,
                       slot written) {
    memcpy(slot_place(shard, key, nth), &written, sizeof written);
}

static uint32_t tag_of(const unsigned char *key) {
    return (uint32_t)part_of_key(key, 16);
}

static size_t entry_size(size_t len) {
    return (sizeof(entry) + len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/*
 * Whether a slot's entry is complete and has not expired. An expiry further away than put allows
 * means that the clock was set back, or that it is garbage.
 */
static bool is_live(const tlsl_slab_shard *shard, slot found, uint64_t head) {
    return found.at < head && head - found.at <= shard->plan->ring_len &&
           found.expiry > shard->now && found.expiry - shard->now <= TLSL_SHARD_LIFETIME_MAX;
}

/*
 * Reads the entry of a slot into out, and returns its place in the ring. Returns NULL unless it is
 * the key's entry and the ring has room for all of it.
 */
static unsigned char *entry_place(const tlsl_slab_shard *shard, slot found,
                                  const unsigned char *key, entry *out) {
    const tlsl_slab_plan *plan = shard->plan;
    size_t offset = (size_t)(found.at % plan->ring_len);
    if (offset % ALIGNMENT != 0 || plan->ring_len - offset < sizeof(entry)) {
        return NULL;
    }
    copy_from_map(out, shard->ring + offset, sizeof *out);
    bool right = out->at == found.at && out->expiry == found.expiry &&
                 out->len <= plan->entry_max && entry_size(out->len) <= plan->ring_len - offset &&
                 memcmp(out->key, key, TLSL_STORE_KEY) == 0;
    return right ? shard->ring + offset : NULL;
}

static uint64_t entry_sum(const entry *head, const unsigned char *bytes) {
    const unsigned char *summed = (const unsigned char *)head + sizeof head->sum;
    return tlsl_slab_sum(bytes, head->len,
                         tlsl_slab_sum(summed, sizeof *head - sizeof head->sum, 0));
}

/* -------------------------------------------------------------------------------------- entries */

typedef struct finding {
    size_t nth; /* the slot's index; SLOTS if it is not found */
    unsigned char *place;
    entry head;
} finding;

static finding find(const tlsl_slab_shard *shard, const unsigned char *key,
                    uint64_t ring_head_now) {
    finding found = {0};
    for (found.nth = 0; found.nth < SLOTS; found.nth++) {
        slot looked_at = slot_read(shard, key, found.nth);
        if (looked_at.tag == tag_of(key) && is_live(shard, looked_at, ring_head_now)) {
            found.place = entry_place(shard, looked_at, key, &found.head);
            if (found.place != NULL) {
                break;
            }
        }
    }
    return found;
}

/* The slot for a new entry: its key's, else one that is free, dead or expired, else the oldest. */
static size_t slot_to_use(const tlsl_slab_shard *shard, const unsigned char *key, uint64_t head) {
    finding before = find(shard, key, head);
    if (before.nth < SLOTS) {
        return before.nth;
    }
    size_t oldest = 0;
    uint64_t oldest_at = UINT64_MAX;
    for (size_t i = 0; i < SLOTS; i++) {
        slot looked_at = slot_read(shard, key, i);
        if (!is_live(shard, looked_at, head)) {
            return i;
        }
        if (looked_at.at < oldest_at) {
            oldest_at = looked_at.at;
            oldest = i;
        }
    }
    return oldest;
}

/*
 * Writes an entry at the ring's head. If the rest of the ring is too short, the entry goes to the
 * ring's start.
 */
static void append(tlsl_slab_shard *shard, size_t nth, const unsigned char *key,
                   const unsigned char *bytes, size_t len, uint32_t expiry) {
    size_t ring_len = shard->plan->ring_len;
    uint64_t at = ring_head(shard);
    if (ring_len - (size_t)(at % ring_len) < entry_size(len)) {
        at += ring_len - at % ring_len;
    }
    entry made = {.at = at, .expiry = expiry, .len = (uint32_t)len};
    memcpy(made.key, key, TLSL_STORE_KEY);
    made.sum = entry_sum(&made, bytes);
    if (!tlsl_lease_held(&shard->head->lease, shard->holding)) {
        return; /* the lease was broken while this process was stopped */
    }
    unsigned char *place = shard->ring + at % ring_len;
    memcpy(place, &made, sizeof made);
    memcpy(place + sizeof made, bytes, len);
    uint64_t end = at + entry_size(len);
    memcpy(&shard->head->head, &end, sizeof end);
    slot_write(shard, key, nth, (slot){.at = at, .tag = tag_of(key), .expiry = expiry});
}

/* Clears the slot, and the entry too, in case another slot of a damaged index leads to it. */
static void forget(const tlsl_slab_shard *shard, const unsigned char *key, finding found) {
    slot_write(shard, key, found.nth, (slot){0});
    memset(found.place, 0, sizeof(entry));
}

static unsigned char *copy_out(const finding *found) {
    unsigned char *bytes = malloc(found->head.len > 0 ? found->head.len : 1);
    if (bytes != NULL) {
        copy_from_map(bytes, found->place + sizeof(entry), found->head.len);
        if (entry_sum(&found->head, bytes) != found->head.sum) {
            free(bytes);
            bytes = NULL;
        }
    }
    return bytes;
}

unsigned char *tlsl_shard_get(tlsl_slab_shard *shard, const unsigned char *key, bool take,
                              size_t *out_len) {
    uint64_t head = ring_head(shard);
    finding found = find(shard, key, head);
    if (found.nth == SLOTS) {
        return NULL;
    }
    unsigned char *bytes = copy_out(&found);
    if (bytes == NULL || take) {
        forget(shard, key, found);
    } else if (head - found.head.at > shard->plan->ring_len / 2) {
        append(shard, found.nth, key, bytes, found.head.len, found.head.expiry);
    }
    *out_len = found.head.len;
    return bytes;
}

void tlsl_shard_put(tlsl_slab_shard *shard, const unsigned char *key, const unsigned char *bytes,
                    size_t len, uint32_t lifetime) {
    size_t nth = slot_to_use(shard, key, ring_head(shard));
    append(shard, nth, key, bytes, len, shard->now + lifetime);
}

void tlsl_shard_remove(tlsl_slab_shard *shard, const unsigned char *key) {
    finding found = find(shard, key, ring_head(shard));
    if (found.nth < SLOTS) {
        forget(shard, key, found);
    }
}

void tlsl_shard_remove_if(tlsl_slab_shard *shard, const unsigned char *key,
                          const unsigned char *head) {
    unsigned char there[TLSL_STORE_HEAD];
    finding found = find(shard, key, ring_head(shard));
    if (found.nth < SLOTS && found.head.len >= sizeof there) {
        copy_from_map(there, found.place + sizeof(entry), sizeof there);
        if (memcmp(there, head, sizeof there) == 0) {
            forget(shard, key, found);
        }
    }
}
