/*
 * front.h: bytes that a BIO of this library gives before those of its stream. front.c.
 */
#ifndef TLSLIFE_FRONT_H
#define TLSLIFE_FRONT_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct tlsl_front {
    unsigned char *bytes; /* NULL if there are none */
    size_t len;
    size_t at; /* the next one to give */
} tlsl_front;

/* The front of a BIO of fd.c or memory.c, whose data begin with it. */
tlsl_front *tlsl_front_of(BIO *bio);
/* Puts bytes before those that are there. false if memory is short, and nothing has changed. */
bool tlsl_front_put(tlsl_front *front, const void *bytes, size_t len);
/* Takes at most len bytes out. Returns how many. */
size_t tlsl_front_take(tlsl_front *front, void *buffer, size_t len);
void tlsl_front_clear(tlsl_front *front);

static inline size_t tlsl_front_len(const tlsl_front *front) {
    return front->len - front->at;
}

#endif
