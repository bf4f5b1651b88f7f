/*
 * held.h: a block of memory that a test holds, filled with one byte's value, so that the test
 * notices when two blocks overlap.
 */
#ifndef TLSLIFE_SPEC_HELD_H
#define TLSLIFE_SPEC_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct held {
    unsigned char *bytes; /* NULL if len is 0 */
    size_t len;
    unsigned char mark;
} held;

/* Whether the first len bytes have the value that they were filled with. */
static inline bool is_whole(const held *one, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (one->bytes[i] != one->mark) {
            return false;
        }
    }
    return true;
}

static inline void fill(held *one, unsigned char mark) {
    one->mark = mark;
    if (one->len > 0) {
        memset(one->bytes, mark, one->len);
    }
}

#endif
