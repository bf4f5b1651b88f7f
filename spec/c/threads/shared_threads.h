/*
 * shared_threads.h: declares what the files of shared_threads share, which are the objects that all
 * threads use, the objects that a thread has borrowed, and the table of calls.
 */
#ifndef TLSLIFE_SPEC_SHARED_THREADS_H
#define TLSLIFE_SPEC_SHARED_THREADS_H

#include "identity.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* The objects that threads share, by kind. Each place has one object at a time. */
typedef enum place {
    PLACE_CLIENT,
    PLACE_SERVER,
    PLACE_CACHE,
    PLACE_STORE,
    PLACE_KEYRING,
    PLACE_TICKET_KEYS,
    PLACE_SESSION,
    PLACES
} place;

enum { EACH = 3, SECRET_LEN = 32, OWN_KEYS = 160 };

/*
 * What one thread uses at a time and then hands over: two connections that are joined, and a
 * listener.
 */
typedef struct parcel {
    tlslife_conn *client, *server;
    tlslife_listener *listener;
} parcel;

typedef struct world {
    pthread_mutex_t lock; /* held to borrow and to replace */
    _Atomic(void *) objects[PLACES][EACH];
    _Atomic(parcel *) parcels[EACH + 2];
    pthread_mutex_t events; /* what tlslife_store_next lends is valid until the next call */
    test_identity identity;
    tlslife_trace *trace; /* of every other context */
    char directory[64], certificate[96], key[96], slab[96], socket[96];
    atomic_ulong made; /* objects */
    atomic_uint handshakes;
    atomic_int wrong;
} world;

/* The references that a thread has borrowed for a hundred calls. */
typedef struct hand {
    world *world;
    unsigned seed, thread;
    tlslife_context *client, *server; /* frozen */
    tlslife_cache *cache;
    tlslife_store *store;
    tlslife_keyring *keyring;
    tlslife_ticket_keys *ticket_keys;
    tlslife_session *session; /* NULL: there is none yet */
    parcel *own;
    tlslife_error err;
} hand;

typedef struct shared_call {
    const char *object, *function;
    void (*run)(hand *h);
} shared_call;

/*
 * CALL(f) { ... } defines what a row of the table runs, which calls f on the objects that the
 * thread has borrowed.
 */
#define CALL(function) static void on_##function(hand *h)
#define ROW(object, function) {object, #function, on_##function}

extern const shared_call context_calls[], object_calls[], conn_calls[]; /* until function NULL */

unsigned pick(hand *h, unsigned below);
/* Puts a new object, with the caller's reference, in the place of one that the threads share. */
void publish(hand *h, place where, void *object);
/* A reference to one of them, or NULL. */
void *borrow(hand *h, place where);
/* Counts what must not be, and says it. */
void expect(hand *h, bool good, const char *what);

tlslife_context *make_context(hand *h, tlslife_role role);
tlslife_store *make_store(hand *h, unsigned kind);
tlslife_cache *make_cache(hand *h, unsigned kind);
void make_connections(hand *h);
void drive(hand *h);

#endif
