/*
 * heap.h: a Lua state's memory. See heap.c.
 */
#ifndef TLSLIFE_HEAP_H
#define TLSLIFE_HEAP_H

#include <stddef.h>

typedef struct host_heap host_heap;

host_heap *host_heap_new(void); /* NULL: out of memory */
/* Every block has been given back. NULL: nothing. */
void host_heap_free(host_heap *heap);
/*
 * A lua_Alloc, with a host_heap as ud: old has `before` bytes (NULL: a new block, whatever `before`
 * says), and is to have `after` (0: it goes). NULL: it went, or memory ended and old stays as it
 * is.
 */
void *host_heap_resize(void *ud, void *old, size_t before, size_t after);

#endif
