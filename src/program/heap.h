/*
 * heap.h: the memory of a Lua state. heap.c.
 */
#ifndef TLSLIFE_PROGRAM_HEAP_H
#define TLSLIFE_PROGRAM_HEAP_H

#include <stddef.h>

/*
 * AddressSanitizer knows malloc's blocks alone. So in its build every block is malloc's, and none
 * is kept for a later allocation.
 */
#if defined(__SANITIZE_ADDRESS__)
#define PROGRAM_BY_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PROGRAM_BY_MALLOC 1
#endif
#endif

typedef struct program_heap program_heap;

program_heap *program_heap_new(void); /* NULL: out of memory */
/* Frees a heap of which every block has been freed. NULL is allowed. */
void program_heap_free(program_heap *heap);
/*
 * A lua_Alloc, whose ud is a program_heap. Resizes old from `before` bytes to `after`. If old is
 * NULL it allocates a block, whatever `before` says, and if after is 0 it frees old. It returns
 * NULL if old was freed, or if memory is exhausted and old is unchanged.
 */
void *program_heap_resize(void *ud, void *old, size_t before, size_t after);

#endif
