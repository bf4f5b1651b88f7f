/*
 * front.c: keeps bytes of a stream that were read too early, and gives them again.
 *
 * What comes before TLS is read by a program, or by a library with a buffer of its own, and either
 * may read more than that. What it has read too much is put back in front of the stream.
 * The bytes are the peer's and may be a ClientHello, so they are no secret.
 */
#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "net/front.h"

tlsl_front *tlsl_front_of(BIO *bio) {
    return BIO_get_data(bio);
}

void tlsl_front_clear(tlsl_front *front) {
    free(front->bytes);
    *front = (tlsl_front){.bytes = NULL};
}

bool tlsl_front_put(tlsl_front *front, const void *bytes, size_t len) {
    size_t kept = tlsl_front_len(front);
    unsigned char *all = len == 0 ? NULL : malloc(len + kept);
    if (all == NULL) {
        return len == 0;
    }
    memcpy(all, bytes, len);
    if (kept > 0) {
        memcpy(all + len, front->bytes + front->at, kept);
    }
    free(front->bytes);
    *front = (tlsl_front){.bytes = all, .len = len + kept};
    return true;
}

size_t tlsl_front_take(tlsl_front *front, void *buffer, size_t len) {
    size_t kept = tlsl_front_len(front);
    len = len < kept ? len : kept;
    if (len > 0) {
        memcpy(buffer, front->bytes + front->at, len);
        front->at += len;
        if (len == kept) {
            tlsl_front_clear(front);
        }
    }
    return len;
}
