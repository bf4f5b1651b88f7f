/*
 * peers.h: to which peer each session of the clients' table belongs. Not public; takes no lock.
 *
 * A peer has a queue of its sessions. It outlives them for a while, so that a client is told why
 * there is no session.
 */
#ifndef TLSLIFE_CACHE_PEERS_H
#define TLSLIFE_CACHE_PEERS_H

#include "cache/store/store.h"
#include "cache/table.h"

#define TLSL_PEERS_IDLE 1024 /* idle peers, at most */

typedef struct tlsl_peer {
    struct tlsl_peer *next;          /* of the same bucket */
    struct tlsl_peer *newer, *older; /* idle peers */
    uint64_t hash;
    unsigned char key[TLSL_STORE_KEY];
    uint32_t newest, oldest; /* of its sessions, or TLSL_NIL */
    uint32_t len;
    uint8_t why; /* tlslife_outcome: why the last session was removed */
    char name[]; /* "host:port", or "" */
} tlsl_peer;

typedef struct tlsl_link { /* one for each entry of the table */
    tlsl_peer *peer;
    uint32_t newer, older; /* of the same peer */
    unsigned char head[TLSL_STORE_HEAD]; /* of the entry that the store has of it; else zeros */
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
tlsl_peer *tlsl_peers_find(const tlsl_peers *peers, uint64_t hash,
                           const unsigned char key[TLSL_STORE_KEY]);
/* Finds the peer or makes it, and makes room for the link of entry index. NULL: out of memory. */
tlsl_peer *tlsl_peers_get(tlsl_peers *peers, uint64_t hash, const unsigned char key[TLSL_STORE_KEY],
                          const char *name, uint32_t index);
/* Appends the entry to the queue of peer, which tlsl_peers_get has returned for this index. */
void tlsl_peers_join(tlsl_peers *peers, tlsl_peer *peer, uint32_t index);
/* Removes the entry from its peer's queue. why is what the peer's next connection is told. */
void tlsl_peers_leave(tlsl_peers *peers, uint32_t index, tlslife_outcome why);

static inline tlsl_link *tlsl_peers_link(const tlsl_peers *peers, uint32_t index) {
    return &peers->links[index];
}

#endif
