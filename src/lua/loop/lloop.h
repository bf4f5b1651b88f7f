/*
 * lloop.h: the loops that scripts bring, and which coroutine waits for which object. lloop.c.
 */
#ifndef TLSLIFE_LUA_LLOOP_H
#define TLSLIFE_LUA_LLOOP_H

#include <lua.h>
#include <stdbool.h>

#include "lua/base/conn.h"

void tlb_open_loops(lua_State *L);
int tlb_loop(lua_State *L); /* tls.loop */
/*
 * Pushes the wait function of the loop that runs this coroutine and returns the loop's number. If
 * there is none, it pushes nothing and returns 0.
 */
int tlb_push_loop(lua_State *L);
/* Pushes the wait function of that loop. false: there is none, and nothing is pushed. */
bool tlb_push_wait(lua_State *L, int loop);
/*
 * Marks this coroutine as waiting for the userdata at idx, whose user value stores it. Returns the
 * turn.
 */
unsigned tlb_begin_wait(lua_State *L, int idx, tlb_waiter *waiter, int value, int loop);
/* Whether a coroutine waits there. */
bool tlb_waits(lua_State *L, int idx, tlb_waiter *waiter, int value);
/* Cancels the wait and wakes its coroutine. Returns whether there was one. */
bool tlb_cancel_wait(lua_State *L, int idx, tlb_waiter *waiter, int value);
/*
 * Wakes the coroutines that wait in verbs of the connection at idx, or of one that it carries.
 * Returns whether there was one.
 */
bool tlb_cancel(lua_State *L, int idx);
int tlb_canceled(lua_State *L); /* the results of a verb whose wait was canceled */
/*
 * Drops the threads that have waited for the connection at idx and do so no more. They are kept
 * because a thread that waits again need not be asked for its loop, and would not be collected.
 */
void tlb_forget_waited(lua_State *L, int idx);
/* Tells every loop that fd, of the userdata at idx, will be closed. */
void tlb_forget_fd(lua_State *L, int idx, int fd);
/* Makes all loops forget the descriptors of the connection at idx, whose transport will go. */
void tlb_forget(lua_State *L, int idx);
/* tlb_cancel, then tlb_forget. */
void tlb_cancel_and_forget(lua_State *L, int idx);
/* The same before it is freed; the waits of a connection that it carries go on. */
void tlb_let_go(lua_State *L, int idx);
/* Notes whether the connection at index 1 waits for a store's answer. */
void tlb_set_lookup(lua_State *L, tlb_conn *self, bool looks_up);
/* After a store was pumped, wakes the coroutines that wait for an answer and have it now. */
void tlb_wake_answered(lua_State *L);
/* Push milliseconds as seconds, and a descriptor; nil below 0. */
void tlb_push_seconds(lua_State *L, lua_Integer ms);
void tlb_push_fd(lua_State *L, int fd);

#endif
