/*
 * lclass.h: what tlslife/socket.lua needs of C. lclass.c.
 */
#ifndef TLSLIFE_LUA_LCLASS_H
#define TLSLIFE_LUA_LCLASS_H

#include <lua.h>

int tlb_class(lua_State *L); /* tls.class */
int tlb_line(lua_State *L);  /* tls.line */

#endif
