/*
 * reader.h: takes apart bytes in which each list follows its length, as in messages of a peer, the
 * header of a proxy and an exported cache.
 *
 * An attacker has written the bytes. So each length is compared with the number of bytes that are
 * left, and what does not fit is not taken.
 */
#ifndef TLSLIFE_READER_H
#define TLSLIFE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The bytes that are left to read. */
typedef struct tlsl_reader {
    const unsigned char *at;
    size_t left;
} tlsl_reader;

/* Takes len bytes; false where there are fewer, and nothing is taken. */
static inline bool tlsl_take(tlsl_reader *from, size_t len, tlsl_reader *out) {
    if (len > from->left) {
        return false;
    }
    *out = (tlsl_reader){from->at, len};
    from->at += len;
    from->left -= len;
    return true;
}

/* Takes a number of `width` bytes. */
static inline bool tlsl_take_number(tlsl_reader *from, size_t width, size_t *out) {
    tlsl_reader bytes;
    if (!tlsl_take(from, width, &bytes)) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < width; i++) {
        *out = *out << 8 | bytes.at[i];
    }
    return true;
}

/* Takes a vector that follows its length, which has `width` bytes. */
static inline bool tlsl_take_vector(tlsl_reader *from, size_t width, tlsl_reader *out) {
    size_t len;
    return tlsl_take_number(from, width, &len) && tlsl_take(from, len, out);
}

/* Copies the bytes that are left, and puts a NUL behind them. malloc'ed; NULL: out of memory. */
static inline char *tlsl_copy_text(tlsl_reader from) {
    char *copy = malloc(from.left + 1);
    if (copy != NULL) {
        memcpy(copy, from.at, from.left);
        copy[from.left] = '\0';
    }
    return copy;
}

#endif
