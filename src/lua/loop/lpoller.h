/*
 * lpoller.h: tls.poller, a set of descriptors that are watched. lpoller.c.
 */
#ifndef TLSLIFE_LUA_LPOLLER_H
#define TLSLIFE_LUA_LPOLLER_H

#include <lua.h>

int tlb_poller_new(lua_State *L); /* tls.poller */

#endif
