/*
 * lmemory.c: tells the collector of C memory that it cannot see.
 *
 * A connection's userdata has some eighty bytes, but OpenSSL holds tens of kilobytes for it. A
 * script that drops connections without free() would fill the machine's memory before Lua sees a
 * reason to collect. So the memory that is taken adds up, and every NUDGE_KIB the collector makes a
 * step as if Lua had allocated as much. The steps are proportional: a large heap is not collected
 * for a few connections, nor a small one left alone for many. Memory that the script gives back by
 * free() or at the end of a scope is subtracted, so a script that frees its connections pays
 * nothing.
 */
#include <lua.h>
#include <stddef.h>

#include "lua/base/lmemory.h"
#include "lua/base/lstate.h"

#define NUDGE_KIB 256

/*
 * The step's size is a size_t in bytes since Lua 5.5, and an int in KiB before. lua_gc reads it
 * from its variable arguments as that type.
 */
static void collect(lua_State *L, int kib) {
#if LUA_VERSION_NUM >= 505
    lua_gc(L, LUA_GCSTEP, (size_t)kib * 1024);
#else
    lua_gc(L, LUA_GCSTEP, kib);
#endif
}

void tlb_memory_taken(lua_State *L, tlb_state *state, int kib) {
    state->owed_kib += kib;
    if (state->owed_kib < NUDGE_KIB) {
        return;
    }
    int step = state->owed_kib;
    state->owed_kib = 0;
    if (lua_gc(L, LUA_GCISRUNNING) == 1) { /* neither stopped by the script nor in a finalizer */
        collect(L, step);
    }
}

void tlb_memory_returned(tlb_state *state, int kib) {
    state->owed_kib = state->owed_kib > kib ? state->owed_kib - kib : 0;
}
