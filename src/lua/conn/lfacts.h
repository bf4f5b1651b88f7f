/*
 * lfacts.h: what a handshake has found. lfacts.c.
 */
#ifndef TLSLIFE_LUA_LFACTS_H
#define TLSLIFE_LUA_LFACTS_H

#include <lauxlib.h>

extern const luaL_Reg tlb_conn_facts[]; /* lfacts.c: what the handshake found */

#endif
