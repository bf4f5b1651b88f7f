/*
 * memory.h: bounded byte queues in memory, and a BIO over two of them. memory.c.
 */
#ifndef TLSLIFE_MEMORY_H
#define TLSLIFE_MEMORY_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>

/* A queue of bytes, which two ends share by reference. One thread at a time uses it. */
typedef struct tlsl_queue tlsl_queue;
/* A queue of at most capacity bytes, with one reference. NULL if memory is short. */
tlsl_queue *tlsl_queue_new(size_t capacity);
void tlsl_queue_up_ref(tlsl_queue *queue);
void tlsl_queue_free(tlsl_queue *queue);
/*
 * Puts bytes into the queue, or gets them out of it. Returns how many, which may be 0. If none are
 * put although tlsl_queue_takes, memory is short.
 */
size_t tlsl_queue_put(tlsl_queue *queue, const void *bytes, size_t len);
bool tlsl_queue_takes(const tlsl_queue *queue); /* it has room, and will be read */
size_t tlsl_queue_get(tlsl_queue *queue, void *buffer, size_t len);
size_t tlsl_queue_len(const tlsl_queue *queue);
/* Says that no more will be put: a reader sees the end of the stream after what is there. */
void tlsl_queue_end(tlsl_queue *queue);
bool tlsl_queue_ended(const tlsl_queue *queue);
/*
 * A BIO that reads from in and writes to out, and has a reference of its own to each. Freeing it
 * ends out. NULL if memory is short.
 */
BIO *tlsl_memory_bio(tlsl_queue *in, tlsl_queue *out);

#endif
