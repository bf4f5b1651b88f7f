/*
 * ltransport.h: the transports of a connection. ltransport.c.
 */
#ifndef TLSLIFE_LUA_LTRANSPORT_H
#define TLSLIFE_LUA_LTRANSPORT_H

#include <lauxlib.h>
#include <lua.h>

extern const luaL_Reg tlb_conn_transport[]; /* ltransport.c */
int tlb_pair(lua_State *L);                 /* tls.pair */

#endif
