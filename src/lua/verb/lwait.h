/*
 * lwait.h: lets a verb wait in the loop that runs its coroutine. lwait.c.
 */
#ifndef TLSLIFE_LUA_LWAIT_H
#define TLSLIFE_LUA_LWAIT_H

#include <lua.h>
#include <stdbool.h>

#include "lua/base/conn.h"
#include "lua/verb/lverb.h"

lua_Integer tlb_now(void); /* milliseconds, monotonic */
/* The time at which a call ends that may take so long; -1 means without limit. Never 0. */
lua_Integer tlb_deadline(int timeout_ms);
/*
 * The question is a want. Waits in the loop that runs this coroutine, with that continuation.
 * Returns the number of results, or TLB_ASKED if the verb is to be tried again.
 */
int tlb_wait(lua_State *L, tlb_conn *self, tlb_call *call, lua_KFunction returned);
/* For the continuation: the call that has waited. */
tlb_call tlb_waiting_call(lua_State *L, const tlb_verb *verb);
/*
 * For the continuation: wait has returned or raised, and its result or error is at the top. Returns
 * what tlb_wait returns.
 */
int tlb_waited(lua_State *L, tlb_conn *self, tlb_call *call, bool failed);

#endif
