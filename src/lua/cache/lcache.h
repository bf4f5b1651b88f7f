/*
 * lcache.h: makes caches for scripts. lcache.c.
 */
#ifndef TLSLIFE_LUA_LCACHE_H
#define TLSLIFE_LUA_LCACHE_H

#include <lua.h>

/* The user value of a cache is its store. */
enum { TLB_CACHE_STORE = 1, TLB_CACHE_VALUES = TLB_CACHE_STORE };

int tlb_cache_new(lua_State *L); /* tls.cache */

#endif
