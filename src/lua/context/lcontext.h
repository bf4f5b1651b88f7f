/*
 * lcontext.h: makes contexts for scripts, and the userdata of their connections. lcontext.c.
 */
#ifndef TLSLIFE_LUA_LCONTEXT_H
#define TLSLIFE_LUA_LCONTEXT_H

#include <lua.h>

#include "lua/base/conn.h"

/*
 * User values of a context: its hooks, the contexts that its server names lead to (a table by
 * address), and its cache.
 */
enum {
    TLB_CONTEXT_HELLO = 1,
    TLB_CONTEXT_CERTIFICATE,
    TLB_CONTEXT_VERIFY,
    TLB_CONTEXT_PSK,
    TLB_CONTEXT_TARGETS,
    TLB_CONTEXT_CACHE,
    TLB_CONTEXT_VALUES = TLB_CONTEXT_CACHE
};

int tlb_context_new(lua_State *L); /* tls.context */
/* Pushes a closed userdata for a connection of the context at context_idx. */
tlb_conn *tlb_new_conn(lua_State *L, int context_idx);
/*
 * Makes the connection's userdata at the top keep that of the context at context_idx, and that of
 * the context's store.
 */
void tlb_keep_context(lua_State *L, tlb_conn *conn, int context_idx);

#endif
