/*
 * peers.c: peers by key, each with the queue of its sessions.
 *
 * The sessions are entries of a table (table.c). Each entry has a link here, which holds its peer
 * and its neighbours in the queue of that peer. A peer whose last session was removed is idle. Idle
 * peers stay for a while, so that the next connection is told why there is no session.
 *
 * What an attacker would try is to make a client remember peers without end; a crawler meets
 * millions of them. The cache's capacity bounds the peers that have sessions, TLSL_PEERS_IDLE
 * bounds the others.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/peers.h"
#include "cache/store/store.h"
#include "cache/table.h"
#include "tlslife.h"

#define BUCKETS_LEAST 16
#define LINKS_LEAST 32
#define NAME_MAX_LEN 255

/* ----------------------------------------------------------------------------------- idle peers */

static void idle_add(tlsl_peers *peers, tlsl_peer *peer) {
    peer->newer = NULL;
    peer->older = peers->idle_newest;
    if (peers->idle_newest != NULL) {
        peers->idle_newest->newer = peer;
    } else {
        peers->idle_oldest = peer;
    }
    peers->idle_newest = peer;
    peers->idle_len++;
}

static void idle_remove(tlsl_peers *peers, tlsl_peer *peer) {
    if (peer->newer != NULL) {
        peer->newer->older = peer->older;
    } else {
        peers->idle_newest = peer->older;
    }
    if (peer->older != NULL) {
        peer->older->newer = peer->newer;
    } else {
        peers->idle_oldest = peer->newer;
    }
    peers->idle_len--;
}

static void forget(tlsl_peers *peers, tlsl_peer *peer) {
    tlsl_peer **at = &peers->buckets[peer->hash & (peers->buckets_len - 1)];
    while (*at != peer) {
        at = &(*at)->next;
    }
    *at = peer->next;
    idle_remove(peers, peer);
    peers->len--;
    free(peer);
}

void tlsl_peers_clear(tlsl_peers *peers) {
    while (peers->idle_oldest != NULL) {
        forget(peers, peers->idle_oldest);
    }
    free(peers->buckets);
    free(peers->links);
    *peers = (tlsl_peers){.buckets = NULL};
}

/* --------------------------------------------------------------------------------------- by key */

tlsl_peer *tlsl_peers_find(const tlsl_peers *peers, uint64_t hash,
                           const unsigned char key[TLSL_STORE_KEY]) {
    tlsl_peer *peer = peers->len == 0 ? NULL : peers->buckets[hash & (peers->buckets_len - 1)];
    while (peer != NULL && (peer->hash != hash || memcmp(peer->key, key, sizeof peer->key) != 0)) {
        peer = peer->next;
    }
    return peer;
}

static void chain(tlsl_peers *peers, tlsl_peer *peer) {
    tlsl_peer **first = &peers->buckets[peer->hash & (peers->buckets_len - 1)];
    peer->next = *first;
    *first = peer;
}

/* Doubles the buckets. false means that memory is exhausted; nothing has changed. */
static bool more_buckets(tlsl_peers *peers) {
    size_t before_len = peers->buckets_len;
    tlsl_peer **before = peers->buckets;
    size_t wanted = before_len == 0 ? BUCKETS_LEAST : before_len * 2;
    tlsl_peer **buckets = calloc(wanted, sizeof(tlsl_peer *));
    if (buckets == NULL) {
        return false;
    }
    peers->buckets = buckets;
    peers->buckets_len = wanted;
    for (size_t i = 0; i < before_len; i++) {
        for (tlsl_peer *peer = before[i], *next; peer != NULL; peer = next) {
            next = peer->next;
            chain(peers, peer);
        }
    }
    free(before);
    return true;
}

/* Makes room for the link of entry index. false: out of memory. */
static bool more_links(tlsl_peers *peers, uint32_t index) {
    size_t wanted = peers->links_len < LINKS_LEAST ? LINKS_LEAST : peers->links_len;
    while (wanted <= index) {
        wanted += wanted / 4;
    }
    if (wanted == peers->links_len) {
        return true;
    }
    tlsl_link *links = realloc(peers->links, wanted * sizeof *links);
    if (links == NULL) {
        return false;
    }
    peers->links = links;
    peers->links_len = wanted;
    return true;
}

static tlsl_peer *make(uint64_t hash, const unsigned char *key, const char *name) {
    size_t name_len = name == NULL ? 0 : strnlen(name, NAME_MAX_LEN);
    tlsl_peer *peer = calloc(1, sizeof *peer + name_len + 1);
    if (peer == NULL) {
        return NULL;
    }
    peer->hash = hash;
    memcpy(peer->key, key, sizeof peer->key);
    peer->newest = TLSL_NIL;
    peer->oldest = TLSL_NIL;
    peer->why = TLSLIFE_OUTCOME_NOT_CACHED;
    if (name_len > 0) {
        memcpy(peer->name, name, name_len);
    }
    return peer;
}

tlsl_peer *tlsl_peers_get(tlsl_peers *peers, uint64_t hash, const unsigned char key[TLSL_STORE_KEY],
                          const char *name, uint32_t index) {
    if (!more_links(peers, index)) {
        return NULL;
    }
    tlsl_peer *peer = tlsl_peers_find(peers, hash, key);
    if (peer != NULL) {
        return peer;
    }
    if (peers->len >= peers->buckets_len && !more_buckets(peers)) {
        return NULL;
    }
    peer = make(hash, key, name);
    if (peer == NULL) {
        return NULL;
    }
    if (peers->idle_len == TLSL_PEERS_IDLE) {
        forget(peers, peers->idle_oldest);
    }
    chain(peers, peer);
    peers->len++;
    idle_add(peers, peer);
    return peer;
}

/* --------------------------------------------------------------------------------------- queues */

void tlsl_peers_join(tlsl_peers *peers, tlsl_peer *peer, uint32_t index) {
    if (peer->len++ == 0) {
        idle_remove(peers, peer);
        peer->oldest = index;
    } else {
        peers->links[peer->newest].newer = index;
    }
    peers->links[index] = (tlsl_link){.peer = peer, .newer = TLSL_NIL, .older = peer->newest};
    peer->newest = index;
}

void tlsl_peers_leave(tlsl_peers *peers, uint32_t index, tlslife_outcome why) {
    tlsl_link link = peers->links[index];
    tlsl_peer *peer = link.peer;
    if (link.newer != TLSL_NIL) {
        peers->links[link.newer].older = link.older;
    } else {
        peer->newest = link.older;
    }
    if (link.older != TLSL_NIL) {
        peers->links[link.older].newer = link.newer;
    } else {
        peer->oldest = link.newer;
    }
    peer->why = (uint8_t)why;
    if (--peer->len == 0) {
        if (peers->idle_len == TLSL_PEERS_IDLE) {
            forget(peers, peers->idle_oldest);
        }
        idle_add(peers, peer);
    }
}
