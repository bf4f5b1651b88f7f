/*
 * tlslife_lua.h: what a C program with Lua inside needs to hand its objects to a Lua state, and to
 * take a script's. The module itself is luaopen_tlslife_core; its Lua API is in
 * lua/tlslife/types.lua.
 *
 * Conventions
 *   push leaves one value on the stack: the one userdata by which this state knows the object, so pushing an object
 *   twice gives values that are equal. The state takes a reference of its own; the caller keeps what it had.
 *   (A listener is not counted: it becomes the state's, see there.)
 *   check and test lend: the object is valid while the userdata is on the stack and the script has not freed it;
 *   who keeps it longer takes a reference (tlslife_conn_up_ref). check raises a Lua error, as luaL_checkudata does,
 *   when the value at idx is something else or was freed; test returns NULL then and raises nothing.
 *   push and check may raise (out of memory, wrong argument): call them from a protected call.
 *   The module is opened in the state where it was not. All take one value of Lua's stack and need LUA_MINSTACK free.
 *
 * Threads
 *   As in tlslife.h: contexts, sessions, caches, stores and keys may be in the states of several threads at once, a
 *   connection in one.
 *
 * Hooks
 *   on_hello, on_certificate and on_verify are Lua functions of the state in which tls.context{} was called. In a
 *   state that has none for a question, the script's call answers it as the header's default: the hello and the
 *   certificate with NULL, and a peer is accepted only if the built-in verification accepted it.
 */
#ifndef TLSLIFE_LUA_H
#define TLSLIFE_LUA_H

#include <lua.h>

#include "tlslife.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The module: require "tlslife.core". Opened again in the same state, it gives the same table. */
TLSLIFE_API int luaopen_tlslife_core(lua_State *L);

/* NULL pushes nil, here and in each push below. */
TLSLIFE_API void tlslife_lua_push_context(lua_State *L, tlslife_context *context);
TLSLIFE_API tlslife_context *tlslife_lua_check_context(lua_State *L, int idx);
TLSLIFE_API tlslife_context *tlslife_lua_test_context(lua_State *L, int idx);

/* The connection belongs to the thread that runs L from now on. */
TLSLIFE_API void tlslife_lua_push_conn(lua_State *L, tlslife_conn *conn);
TLSLIFE_API tlslife_conn *tlslife_lua_check_conn(lua_State *L, int idx);
TLSLIFE_API tlslife_conn *tlslife_lua_test_conn(lua_State *L, int idx);

TLSLIFE_API void tlslife_lua_push_session(lua_State *L, tlslife_session *session);
TLSLIFE_API tlslife_session *tlslife_lua_check_session(lua_State *L, int idx);
TLSLIFE_API tlslife_session *tlslife_lua_test_session(lua_State *L, int idx);

/*
 * The state owns the listener from now on, and closes it; when pushing it raises, the caller still
 * owns it. Push it into one state only.
 */
TLSLIFE_API void tlslife_lua_push_listener(lua_State *L, tlslife_listener *listener);
TLSLIFE_API tlslife_listener *tlslife_lua_check_listener(lua_State *L, int idx);
TLSLIFE_API tlslife_listener *tlslife_lua_test_listener(lua_State *L, int idx);

/* A cache whose store is a table of Lua functions has them in the state that made it: in another one its lookups are
 * misses, and its puts and removes wait for the next call in the first. */
TLSLIFE_API void tlslife_lua_push_cache(lua_State *L, tlslife_cache *cache);
TLSLIFE_API tlslife_cache *tlslife_lua_check_cache(lua_State *L, int idx);
TLSLIFE_API tlslife_cache *tlslife_lua_test_cache(lua_State *L, int idx);

TLSLIFE_API void tlslife_lua_push_store(lua_State *L, tlslife_store *store);
TLSLIFE_API tlslife_store *tlslife_lua_check_store(lua_State *L, int idx);
TLSLIFE_API tlslife_store *tlslife_lua_test_store(lua_State *L, int idx);

TLSLIFE_API void tlslife_lua_push_keyring(lua_State *L, tlslife_keyring *keyring);
TLSLIFE_API tlslife_keyring *tlslife_lua_check_keyring(lua_State *L, int idx);
TLSLIFE_API tlslife_keyring *tlslife_lua_test_keyring(lua_State *L, int idx);

TLSLIFE_API void tlslife_lua_push_ticket_keys(lua_State *L, tlslife_ticket_keys *keys);
TLSLIFE_API tlslife_ticket_keys *tlslife_lua_check_ticket_keys(lua_State *L, int idx);
TLSLIFE_API tlslife_ticket_keys *tlslife_lua_test_ticket_keys(lua_State *L, int idx);

/*
 * Pushes the three values by which a failed call of the module ends: nil, message, err (a
 * tlslife.Error). Returns 3.
 */
TLSLIFE_API int tlslife_lua_push_error(lua_State *L, const tlslife_error *err);

#ifdef __cplusplus
}
#endif
#endif
