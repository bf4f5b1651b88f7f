/*
 * lmemory.c: the collector is told of the C memory that it cannot see.
 *
 * A connection's userdata is some eighty bytes; behind it OpenSSL holds tens of kilobytes. A script
 * that drops connections without free() would fill the machine before Lua sees a reason to collect.
 * So what is taken adds up, and every NUDGE_KIB the collector gets a step as if Lua itself had
 * allocated as much: in proportion, so that neither a large heap is collected for a few
 * connections, nor a small one left for many. What the program gives back itself, by free() or at
 * the end of a scope, is taken off: who frees pays nothing.
 */
#include "binding.h"

#define NUDGE_KIB 256

/*
 * Since Lua 5.5 a step's size is a size_t of bytes, which is read from the arguments as that: an
 * int of KiB before.
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
    if (lua_gc(L, LUA_GCISRUNNING) == 1) { /* neither stopped by the program nor in a finalizer */
        collect(L, step);
    }
}

static int copy_lent(lua_State *L) {
    const tlb_state *state = tlb_state_of(L);
    state->copy(L, state->lent);
    return 1;
}

/* What is lent is in the state, and not an argument: a debug hook could change that. */
void tlb_copy_resting(lua_State *L, tlb_copier copy, void *lent) {
    tlb_state *state = tlb_state_of(L);
    const tlb_state before = *state;
    bool running = lua_gc(L, LUA_GCISRUNNING);
    lua_gc(L, LUA_GCSTOP);
    state->copy = copy;
    state->lent = lent;
    lua_pushcfunction(L, copy_lent);
    int status = lua_pcall(L, 0, 1, 0);
    state->copy = before.copy;
    state->lent = before.lent;
    if (running) {
        lua_gc(L, LUA_GCRESTART);
    }
    if (status != LUA_OK) {
        lua_error(L);
    }
}

void tlb_memory_returned(tlb_state *state, int kib) {
    state->owed_kib = state->owed_kib > kib ? state->owed_kib - kib : 0;
}
