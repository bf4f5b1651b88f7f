/*
 * lmetrics.h: tls.metrics, and the functions by which workers share counters. lmetrics.c.
 */
#ifndef TLSLIFE_LUA_LMETRICS_H
#define TLSLIFE_LUA_LMETRICS_H

#include <lua.h>

/* tls.metrics, and the functions whose names begin so: tls.metrics_count and others */
int tlb_metrics(lua_State *L);
int tlb_metrics_count(lua_State *L);
int tlb_metrics_share(lua_State *L);
int tlb_metrics_join(lua_State *L);
int tlb_metrics_publish(lua_State *L);
int tlb_metrics_leave(lua_State *L);

#endif
