/*
 * ltrace.h: makes traces for scripts. ltrace.c.
 */
#ifndef TLSLIFE_LUA_LTRACE_H
#define TLSLIFE_LUA_LTRACE_H

#include <lua.h>

int tlb_trace_new(lua_State *L); /* tls.trace */

#endif
