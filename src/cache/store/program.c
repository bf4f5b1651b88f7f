/*
 * program.c: implements the external store that the calling program answers by itself, from a table
 * of Lua functions, a database or anything else.
 *
 * tlslife_conn_answer_session answers a lookup, at any time. Puts and removes wait in a queue until
 * the program takes them, since the core never calls the program. The queue is bounded. A program
 * that does not read it loses the oldest events, each of which costs at most a full handshake. In a
 * child of fork() the queue begins empty. The parent gets the events that were queued before, and
 * to report them a second time, later, could bring back a session that is bad by now.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/process.h"
#include "cache/store/store.h"
#include "tlslife.h"

#define EVENTS_MAX 4096

typedef struct event {
    struct event *next;
    bool put;
    unsigned char key[TLSL_STORE_KEY];
    long lifetime_seconds;
    size_t len;
    unsigned char bytes[];
} event;

typedef struct program {
    tlslife_store store;
    pthread_mutex_t lock;
    uint64_t process; /* the process to which the queue belongs */
    event *first, **end;
    size_t len;
    event *lent; /* the event that tlslife_store_next returned last */
} program;

static void drop_queue(program *self) {
    while (self->first != NULL) {
        event *gone = self->first;
        self->first = gone->next;
        free(gone);
    }
    self->end = &self->first;
    self->len = 0;
}

static void enter(program *self) {
    pthread_mutex_lock(&self->lock);
    if (self->process != tlsl_process()) {
        self->process = tlsl_process();
        drop_queue(self);
    }
}

/* Whether an event removes another entry than the one that was put last. */
static bool spares(const event *removal, const event *last) {
    return !removal->put && removal->len > 0 && last != NULL && last->put &&
           (last->len < removal->len || memcmp(last->bytes, removal->bytes, removal->len) != 0);
}

/* The newest event for a key that was not taken yet, and that says what is there now; or NULL. */
static const event *last_said(const program *self, const unsigned char key[TLSL_STORE_KEY]) {
    const event *last = NULL;
    for (const event *each = self->first; each != NULL; each = each->next) {
        if (memcmp(each->key, key, TLSL_STORE_KEY) == 0 && !spares(each, last)) {
            last = each;
        }
    }
    return last;
}

static tlsl_found answer(tlsl_inquiry *inquiry, const event *said) {
    if (!said->put) {
        return TLSL_FOUND_MISS;
    }
    inquiry->bytes = malloc(said->len + 1);
    if (inquiry->bytes == NULL) {
        return TLSL_FOUND_FAILED;
    }
    memcpy(inquiry->bytes, said->bytes, said->len);
    inquiry->bytes_len = said->len;
    return TLSL_FOUND_HIT;
}

/*
 * A lookup is answered from the queue if that has an event for the key. Otherwise the program,
 * which has not seen the event yet, could return a session that was removed as bad.
 */
static void ask(tlslife_store *store, tlsl_inquiry *inquiry) {
    program *self = (program *)store;
    if (inquiry->pending != NULL) {
        return; /* the program has not answered yet */
    }
    enter(self);
    const event *said = last_said(self, inquiry->key);
    inquiry->found = said == NULL ? TLSL_FOUND_PENDING : answer(inquiry, said);
    pthread_mutex_unlock(&self->lock);
    inquiry->pending = inquiry->found == TLSL_FOUND_PENDING ? store : NULL;
    if (inquiry->found == TLSL_FOUND_HIT && inquiry->take) {
        (void)store->verbs->remove(store, inquiry->key);
    }
}

static void cancel(tlslife_store *store, tlsl_inquiry *inquiry) {
    (void)store;
    inquiry->pending = NULL;
}

/* Appends an event. If there are too many, drops the oldest and returns false. */
static bool append(program *self, event *added) {
    event *lost = NULL;
    added->next = NULL;
    enter(self);
    *self->end = added;
    self->end = &added->next;
    if (++self->len > EVENTS_MAX) {
        lost = self->first;
        self->first = lost->next;
        self->len--;
    }
    pthread_mutex_unlock(&self->lock);
    free(lost);
    return lost == NULL;
}

static event *event_new(const unsigned char key[TLSL_STORE_KEY], const unsigned char *bytes,
                        size_t len) {
    event *made = malloc(sizeof *made + len);
    if (made != NULL) {
        memcpy(made->key, key, TLSL_STORE_KEY);
        made->len = len;
        if (len > 0) {
            memcpy(made->bytes, bytes, len);
        }
    }
    return made;
}

static bool put(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY],
                const unsigned char *bytes, size_t bytes_len, long lifetime_seconds) {
    event *made = event_new(key, bytes, bytes_len);
    if (made == NULL) {
        return false;
    }
    made->put = true;
    made->lifetime_seconds = lifetime_seconds;
    return append((program *)store, made);
}

static bool append_removal(tlslife_store *store, event *made) {
    if (made == NULL) {
        return false;
    }
    made->put = false;
    made->lifetime_seconds = 0;
    return append((program *)store, made);
}

static bool remove_key(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY]) {
    return append_removal(store, event_new(key, NULL, 0));
}

static bool remove_if(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY],
                      const unsigned char head[TLSL_STORE_HEAD]) {
    return append_removal(store, event_new(key, head, TLSL_STORE_HEAD));
}

bool tlslife_store_next(tlslife_store *store, tlslife_store_event *out) {
    program *self = (program *)store;
    if (!store->verbs->answered_by_program) {
        return false;
    }
    enter(self);
    free(self->lent);
    event *taken = self->lent = self->first;
    if (taken != NULL) {
        self->first = taken->next;
        self->len--;
        if (self->first == NULL) {
            self->end = &self->first;
        }
    }
    pthread_mutex_unlock(&self->lock);
    if (taken != NULL) {
        *out = (tlslife_store_event){taken->put,
                                     {taken->key, TLSL_STORE_KEY},
                                     {taken->bytes, taken->len},
                                     taken->lifetime_seconds};
    }
    return taken != NULL;
}

static void destroy(tlslife_store *store) {
    program *self = (program *)store;
    drop_queue(self);
    free(self->lent);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static const tlsl_store_verbs verbs = {
    .ask = ask,
    .cancel = cancel,
    .put = put,
    .remove = remove_key,
    .remove_if = remove_if,
    .destroy = destroy,
    .answered_by_program = true,
};

tlslife_store *tlslife_store_program(tlslife_error *err) {
    program *self = (program *)tlsl_store_new(&verbs, sizeof *self, err);
    if (self == NULL) {
        return NULL;
    }
    pthread_mutex_init(&self->lock, NULL);
    self->process = tlsl_process();
    self->end = &self->first;
    return &self->store;
}
