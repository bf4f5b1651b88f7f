/*
 * lquestion.h: answers what a handshake asks, by hooks. lquestion.c.
 */
#ifndef TLSLIFE_LUA_LQUESTION_H
#define TLSLIFE_LUA_LQUESTION_H

#include <lua.h>
#include <stdbool.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/verb/lverb.h"

/*
 * Sets, and reads, whether a hook of this connection runs in a thread. The table of these threads
 * is weak, so a coroutine that was dropped does not block the connection.
 */
void tlb_set_asking(lua_State *L, tlb_conn *self, bool asking);
bool tlb_is_asking(lua_State *L, tlb_conn *self);

void tlb_open_questions(lua_State *L);
/*
 * Calls the function of this state that answers the question, with that continuation. Returns false
 * if there is none.
 */
bool tlb_ask(lua_State *L, tlb_conn *self, const tlb_call *call, lua_KFunction returned);
/* For the continuation: answers with the function's results. Returns the call to go on with. */
tlb_call tlb_take_answer(lua_State *L, tlb_conn *self, const tlb_verb *verb, bool failed);
/*
 * Answers as tlslife.h says for a host without hooks, since this state has none. A peer that the
 * built-in verification refused is not accepted.
 */
void tlb_answer_default(lua_State *L, tlb_conn *self);
/* A tlb_copier for a tlslife_conn. Pushes the names of CAs that the peer has sent, as a list. */
void tlb_ca_names(lua_State *L, void *lent);

/* Pushes the userdata of the context in force, or nil. The handle may have given its object up. */
tlb_handle *tlb_context_in_force(lua_State *L, int conn_idx, tlb_conn *self);

#endif
