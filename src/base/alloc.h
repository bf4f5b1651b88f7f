/*
 * alloc.h: memory for what may hold a record.
 */
#ifndef TLSLIFE_ALLOC_H
#define TLSLIFE_ALLOC_H

#include <stddef.h>
#include <stdlib.h>

#define TLSL_RECORD 16384
#define TLSL_LINE 64 /* of a cache */
/*
 * As malloc, but what can hold a record begins at a multiple of TLSL_LINE: where source and
 * destination lie alike memory is copied a quarter faster, and never as slowly as some processors
 * do where they differ by a few bytes modulo a page (thirty times as long).
 */
static inline void *tlsl_malloc(size_t size) {
    return size < TLSL_RECORD ? malloc(size)
                              : aligned_alloc(TLSL_LINE, (size + TLSL_LINE - 1) / TLSL_LINE * TLSL_LINE);
}

#endif
