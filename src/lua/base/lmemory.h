/*
 * lmemory.h: tells the collector of C memory that it cannot see. lmemory.c.
 */
#ifndef TLSLIFE_LUA_LMEMORY_H
#define TLSLIFE_LUA_LMEMORY_H

#include <lua.h>

#include "lua/base/lstate.h"

/*
 * Counts kib KiB of C memory that were taken behind a userdata. Tells the collector when the sum is
 * large, which may run finalizers.
 */
void tlb_memory_taken(lua_State *L, tlb_state *state, int kib);
/* Subtracts kib KiB that the script itself has freed. */
void tlb_memory_returned(tlb_state *state, int kib);

#endif
