/*
 * llistener.h: makes listeners for scripts. llistener.c.
 */
#ifndef TLSLIFE_LUA_LLISTENER_H
#define TLSLIFE_LUA_LLISTENER_H

#include <lua.h>

int tlb_listen(lua_State *L);        /* tls.listen */
int tlb_split_address(lua_State *L); /* tls.split_address */
int tlb_listen_fd(lua_State *L);     /* tls.listen_fd */

#endif
