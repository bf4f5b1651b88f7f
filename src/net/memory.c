/*
 * memory.c: bounded byte queues, and the BIO that reads from one and writes to another.
 *
 * A queue has a ring, which is allocated with the first byte, doubles towards the capacity, and is
 * freed when it is large and has been emptied. A ring that a record needs stays for the next record
 * until what passes is small. So an idle queue costs at most 32 KiB, mostly one or four, and each
 * put or get is at most two copies.
 *
 *   ring   [ . . . . a b c d . . . ]      head: where the oldest byte is
 *                    ^head            len:  how many there are; they wrap at size
 *
 * OpenSSL's BIO pair takes all of its memory at once and keeps it, has no sign for a reader that
 * has gone, and shows the end of a stream as if there were nothing yet.
 *
 * There are no locks, and the reference count is a plain number: both ends of a queue belong to one
 * thread at a time (tlslife_conn_pair), as one connection does.
 *
 * An attacker would send without end to a program that does not read. The capacity bounds what that
 * costs, and a write to a reader that has gone fails at once (EPIPE), as it would on a socket.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/once.h"
#include "net/front.h"
#include "net/memory.h"
#include "net/method.h"

#define RING_SHIFT 3    /* the offset of a ring in its block; see ring_new */
#define RING_LEAST 1024 /* the first allocation, of a size that malloc keeps at hand */
#define RING_SMALL 4096 /* what an empty queue may keep */
#define RING_KEPT 32768 /* what it may keep while records pass */

struct tlsl_queue {
    unsigned refs;
    bool ended;       /* no more will be put */
    bool reader_gone; /* no more will be read */
    size_t capacity;
    size_t size; /* bytes in ring */
    size_t head;
    size_t len;
    size_t most; /* the largest len since it was 0 */
    unsigned char *ring;
};

/* ---------------------------------------------------------------------------------------- queue */

/*
 * Allocates a ring. libssl begins a record at 3 modulo 16, so that its payload is aligned
 * (SSL3_ALIGN_PAYLOAD), and a ring begins there too; tlsl_malloc says why.
 */
static unsigned char *ring_new(size_t size) {
    unsigned char *block = tlsl_malloc(RING_SHIFT + size);
    return block == NULL ? NULL : block + RING_SHIFT;
}

static void ring_free(unsigned char *ring) {
    if (ring != NULL) {
        free(ring - RING_SHIFT);
    }
}

tlsl_queue *tlsl_queue_new(size_t capacity) {
    tlsl_queue *queue = malloc(sizeof *queue); /* calloc is slower: see wrap in conn.c */
    if (queue != NULL) {
        *queue = (tlsl_queue){.refs = 1, .capacity = capacity};
    }
    return queue;
}

void tlsl_queue_up_ref(tlsl_queue *queue) {
    queue->refs++;
}

void tlsl_queue_free(tlsl_queue *queue) {
    if (queue != NULL && --queue->refs == 0) {
        ring_free(queue->ring);
        free(queue);
    }
}

/* Copies the oldest len bytes, which stay in the queue. */
static void copy_out(const tlsl_queue *queue, unsigned char *buffer, size_t len) {
    size_t first = queue->size - queue->head;
    if (first > len) {
        first = len;
    }
    memcpy(buffer, queue->ring + queue->head, first);
    if (len > first) {
        memcpy(buffer + first, queue->ring, len - first);
    }
}

/*
 * Makes room for wanted bytes, at most capacity. false if memory is short, and nothing has changed.
 */
static bool grow(tlsl_queue *queue, size_t wanted) {
    size_t size = queue->size < RING_LEAST ? RING_LEAST : queue->size;
    while (size < wanted) {
        size = size > queue->capacity / 2 ? queue->capacity : size * 2;
    }
    if (size > queue->capacity) {
        size = queue->capacity;
    }
    unsigned char *ring = ring_new(size);
    if (ring == NULL) {
        return false;
    }
    if (queue->len > 0) {
        copy_out(queue, ring, queue->len);
    }
    ring_free(queue->ring);
    queue->ring = ring;
    queue->size = size;
    queue->head = 0;
    return true;
}

static bool takes_no_more(const tlsl_queue *queue) {
    return queue->ended || queue->reader_gone;
}

bool tlsl_queue_takes(const tlsl_queue *queue) {
    return !takes_no_more(queue) && queue->len < queue->capacity;
}

size_t tlsl_queue_put(tlsl_queue *queue, const void *bytes, size_t len) {
    size_t room = takes_no_more(queue) ? 0 : queue->capacity - queue->len;
    if (len > room) {
        len = room;
    }
    if (len == 0 || (queue->len + len > queue->size && !grow(queue, queue->len + len))) {
        return 0;
    }
    size_t tail = queue->head + queue->len;
    tail = tail >= queue->size ? tail - queue->size : tail;
    size_t first = queue->size - tail < len ? queue->size - tail : len;
    memcpy(queue->ring + tail, bytes, first);
    if (len > first) {
        memcpy(queue->ring, (const unsigned char *)bytes + first, len - first);
    }
    queue->len += len;
    queue->most = queue->len > queue->most ? queue->len : queue->most;
    return len;
}

/*
 * Called when the queue is empty. It begins again at the start of the ring, so that what follows is
 * one copy.
 */
static void emptied(tlsl_queue *queue) {
    bool idle = queue->size > (queue->most > RING_SMALL ? RING_KEPT : RING_SMALL);
    queue->head = 0;
    queue->most = 0;
    if (idle || queue->ended) {
        ring_free(queue->ring);
        queue->ring = NULL;
        queue->size = 0;
    }
}

size_t tlsl_queue_get(tlsl_queue *queue, void *buffer, size_t len) {
    if (len > queue->len) {
        len = queue->len;
    }
    if (len == 0) {
        return 0;
    }
    copy_out(queue, buffer, len);
    queue->len -= len;
    queue->head += len;
    queue->head = queue->head >= queue->size ? queue->head - queue->size : queue->head;
    if (queue->len == 0) {
        emptied(queue);
    }
    return len;
}

size_t tlsl_queue_len(const tlsl_queue *queue) {
    return queue->len;
}

void tlsl_queue_end(tlsl_queue *queue) {
    queue->ended = true;
    if (queue->len == 0) {
        emptied(queue);
    }
}

bool tlsl_queue_ended(const tlsl_queue *queue) {
    return queue->ended;
}

/* Called when the reader has gone. What is there is dropped, and every later put takes nothing. */
static void drop_reader(tlsl_queue *queue) {
    queue->reader_gone = true;
    queue->len = 0;
    queue->size = 0;
    queue->head = 0;
    ring_free(queue->ring);
    queue->ring = NULL;
}

/* ------------------------------------------------------------------------------------------ BIO */

typedef struct ends {
    tlsl_front front; /* comes first: front.h */
    tlsl_queue *in;
    tlsl_queue *out;
} ends;

/*
 * Returns 1 with bytes, 0 at the end of the stream, -1 to retry. libssl calls BIO_eof only if no
 * retry flag is set.
 */
static int memory_read(BIO *bio, char *buffer, size_t len, size_t *out_read) {
    ends *both = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *out_read = both->front.bytes != NULL ? tlsl_front_take(&both->front, buffer, len)
                                          : tlsl_queue_get(both->in, buffer, len);
    if (*out_read > 0 || len == 0) {
        return 1;
    }
    if (tlsl_queue_ended(both->in)) {
        return 0;
    }
    BIO_set_retry_read(bio);
    return -1;
}

static int memory_write(BIO *bio, const char *bytes, size_t len, size_t *out_written) {
    ends *both = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *out_written = tlsl_queue_put(both->out, bytes, len);
    if (*out_written > 0 || len == 0) {
        return 1;
    }
    if (takes_no_more(both->out)) {
        errno = EPIPE;
    } else if (tlsl_queue_takes(both->out)) {
        errno = ENOMEM;
    } else {
        BIO_set_retry_write(bio);
    }
    return -1;
}

static long pending(const ends *both) {
    return (long)(tlsl_queue_len(both->in) + tlsl_front_len(&both->front));
}

/* libssl asks for each record whether the kernel does TLS on this BIO: a hundred times a pair. */
static long memory_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP) {
        return 1;
    }
    if (command != BIO_CTRL_EOF && command != BIO_CTRL_PENDING && command != BIO_CTRL_WPENDING) {
        return 0;
    }
    const ends *both = BIO_get_data(bio);
    return command == BIO_CTRL_WPENDING ? (long)tlsl_queue_len(both->out)
           : command == BIO_CTRL_EOF    ? tlsl_queue_ended(both->in) && pending(both) == 0
                                        : pending(both);
}

/*
 * Frees one end. The other end reads what was written, then the end of the stream; when it writes,
 * it gets EPIPE.
 */
static int memory_destroy(BIO *bio) {
    ends *both = BIO_get_data(bio);
    if (both != NULL) {
        tlsl_queue_end(both->out);
        drop_reader(both->in);
        tlsl_queue_free(both->in);
        tlsl_queue_free(both->out);
        tlsl_front_clear(&both->front);
        free(both);
        BIO_set_data(bio, NULL);
    }
    return 1;
}

static tlsl_once method_once = TLSL_ONCE;
static BIO_METHOD *method;

static bool make_method(void) {
    const tlsl_bio_verbs verbs = {memory_read, memory_write, memory_ctrl, memory_destroy};
    method = tlsl_bio_method("tlslife memory", 0, &verbs);
    return method != NULL;
}

BIO *tlsl_memory_bio(tlsl_queue *in, tlsl_queue *out) {
    if (!tlsl_once_done(&method_once, make_method)) {
        return NULL;
    }
    ends *both = malloc(sizeof *both);
    BIO *bio = both == NULL ? NULL : BIO_new(method);
    if (bio == NULL) {
        free(both);
        return NULL;
    }
    *both = (ends){.in = in, .out = out};
    tlsl_queue_up_ref(in);
    tlsl_queue_up_ref(out);
    BIO_set_data(bio, both);
    BIO_set_init(bio, 1);
    return bio;
}
