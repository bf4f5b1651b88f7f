/*
 * lbuffer.h: tls.buffer, a block of bytes into which reads and from which writes are made.
 * lbuffer.c.
 */
#ifndef TLSLIFE_LUA_LBUFFER_H
#define TLSLIFE_LUA_LBUFFER_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where bytes begin, modulo 16, in a Lua string and in libssl's records (SSL3_ALIGN_PAYLOAD).
 * Buffers through which bytes pass begin there, too. If source and destination are aligned alike,
 * memory is copied a quarter faster. If they differ by a few bytes modulo a page, some processors
 * copy thirty times as slowly.
 */
#define TLB_BYTES_AT 8

/* A buffer is its userdata. The core knows nothing of it. */
typedef struct tlb_buffer {
    uintptr_t tag;
    size_t capacity;
    /* With these three fields data begins at TLB_BYTES_AT, since Lua aligns the userdata. */
    size_t len;
    unsigned char data[];
} tlb_buffer;

tlb_buffer *tlb_test_buffer(lua_State *L, int idx); /* NULL if it is not a buffer */

int tlb_buffer_new(lua_State *L); /* tls.buffer */

#endif
