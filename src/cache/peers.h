/*
 * peers.h: to whom the sessions of a client's table belong. Not public; takes no lock.
 *
 * A peer has its sessions in a queue, and outlives them for a while, so that a client is told why there is
 * none.
 */
#ifndef TLSLIFE_CACHE_PEERS_H
#define TLSLIFE_CACHE_PEERS_H

#include "cache/store/store.h"
#include "cache/table.h"

#define TLSL_PEERS_IDLE 1024 /* peers without a session that are remembered */

typedef struct tlsl_peer {
    struct tlsl_peer *next;          /* of the same bucket */
    struct tlsl_peer *newer, *older; /* of those without a session */
    uint64_t hash;
    unsigned char key[TLSL_STORE_KEY];
    uint32_t newest, oldest; /* of its sessions, or TLSL_NIL */
    uint32_t len;
    uint8_t why; /* tlslife_outcome: how the last one left */
    char name[]; /* "host:port", or "" */
} tlsl_peer;

typedef struct tlsl_link { /* one for each entry of the table */
    tlsl_peer *peer;
    uint32_t newer, older; /* of the same peer */
} tlsl_link;

typedef struct tlsl_peers {
    tlsl_peer **buckets;
    size_t buckets_len; /* a power of two, or 0 */
    size_t len;
    size_t idle_len;
    tlsl_peer *idle_newest, *idle_oldest;
    tlsl_link *links;
    size_t links_len;
} tlsl_peers;

void tlsl_peers_clear(tlsl_peers *peers); /* no peer has a session */
tlsl_peer *tlsl_peers_find(const tlsl_peers *peers, uint64_t hash, const unsigned char key[TLSL_STORE_KEY]);
/* The peer, made where it is new; there is room for a link to entry index. NULL: out of memory. */
tlsl_peer *tlsl_peers_get(tlsl_peers *peers, uint64_t hash, const unsigned char key[TLSL_STORE_KEY],
                          const char *name, uint32_t index);
/* The entry is the newest of peer; only after tlsl_peers_get. */
void tlsl_peers_join(tlsl_peers *peers, tlsl_peer *peer, uint32_t index);
/* The entry is its peer's no more. */
void tlsl_peers_leave(tlsl_peers *peers, uint32_t index, tlslife_outcome why);

static inline const tlsl_link *tlsl_peers_link(const tlsl_peers *peers, uint32_t index) {
    return &peers->links[index];
}

#endif
