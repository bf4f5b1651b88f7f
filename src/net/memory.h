/*
 * memory.h: a transport of two byte queues in memory. memory.c.
 */
#ifndef TLSLIFE_MEMORY_H
#define TLSLIFE_MEMORY_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>

/* One BIO end over two bounded byte queues, shared by reference with the other end. */
typedef struct tlsl_queue tlsl_queue;
tlsl_queue *tlsl_queue_new(size_t capacity); /* NULL: out of memory; one reference */
void tlsl_queue_up_ref(tlsl_queue *queue);
void tlsl_queue_free(tlsl_queue *queue);
size_t tlsl_queue_put(tlsl_queue *queue, const void *bytes, size_t len); /* how many were taken */
size_t tlsl_queue_get(tlsl_queue *queue, void *buffer, size_t len);     /* how many were there */
size_t tlsl_queue_len(const tlsl_queue *queue);
/* no more will be put: a reader sees end of stream after what is there */
void tlsl_queue_end(tlsl_queue *queue);
bool tlsl_queue_ended(const tlsl_queue *queue);
/*
 * A BIO that reads from in and writes to out; takes a reference of its own to each. Freeing it ends
 * out. NULL: out of memory.
 */
BIO *tlsl_memory_bio(tlsl_queue *in, tlsl_queue *out);

#endif
