/*
 * lstore.h: external stores, and what a loop needs to wait for one. lstore.c.
 */
#ifndef TLSLIFE_LUA_LSTORE_H
#define TLSLIFE_LUA_LSTORE_H

#include <lua.h>

/*
 * A duplicate of fd, the descriptor that the store at idx has now. The userdata owns the duplicate.
 * Returns -1 if fd is closed already.
 */
int tlb_store_watch(lua_State *L, int idx, int fd);
int tlb_shared(lua_State *L); /* tls.shared */
int tlb_redis(lua_State *L);  /* tls.redis */

#endif
