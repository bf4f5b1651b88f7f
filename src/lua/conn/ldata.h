/*
 * ldata.h: a connection's handshake, reads and writes. ldata.c.
 */
#ifndef TLSLIFE_LUA_LDATA_H
#define TLSLIFE_LUA_LDATA_H

#include <lauxlib.h>

extern const luaL_Reg tlb_conn_data[]; /* ldata.c: handshake, data */

#endif
