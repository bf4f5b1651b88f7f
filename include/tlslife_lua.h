/*
 * tlslife_lua.h: lets a C program with Lua inside hand its objects to a Lua state, and take the
 * objects of a script. The module itself is luaopen_tlslife_core. Its Lua API is in
 * lua/tlslife/types.lua.
 *
 * Conventions
 *   A push function leaves one value on the stack, the one userdata by which this state knows the
 *   object. So an object that is pushed twice gives values that are equal. The state takes a
 *   reference of its own, and the caller keeps what it had. A listener is not counted: it becomes
 *   the state's.
 *   A check or test function lends the object at idx. The object is valid while the userdata is on
 *   the stack and the script has not freed it; to keep it longer, take a reference
 *   (tlslife_conn_up_ref). When the value is something else or was freed, check raises a Lua error,
 *   as luaL_checkudata does, and test returns NULL.
 *   A push or check function may raise (out of memory, wrong argument), so call it in a protected
 *   call. It opens the module in a state in which it is not open, needs LUA_MINSTACK free slots,
 *   and leaves at most one value on the stack.
 *
 * Threads
 *   As in tlslife.h, contexts, sessions, caches, stores and keys may be in the states of several
 *   threads at once. A connection and a listener may be in one.
 *
 * Hooks
 *   The hooks on_hello, on_certificate, on_verify and on_psk are Lua functions of the state in
 *   which tls.context{} was called. When a script of another state makes the call, or the context
 *   was made in C, there is no hook, and the question is answered by the default: NULL for the
 *   hello, the certificate and the PSK; a peer is accepted only if the built-in verification
 *   accepted it.
 */
#ifndef TLSLIFE_LUA_H
#define TLSLIFE_LUA_H

#include <lua.h>

#include "tlslife.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Opens the module, which is require "tlslife.core". Again in the same state: the same table. */
TLSLIFE_API int luaopen_tlslife_core(lua_State *L);

/* NULL pushes nil, here and in each push function below. */
TLSLIFE_API void tlslife_lua_push_context(lua_State *L, tlslife_context *context);
TLSLIFE_API tlslife_context *tlslife_lua_check_context(lua_State *L, int idx);
TLSLIFE_API tlslife_context *tlslife_lua_test_context(lua_State *L, int idx);

/* From now on the connection belongs to the thread that runs L. */
TLSLIFE_API void tlslife_lua_push_conn(lua_State *L, tlslife_conn *conn);
TLSLIFE_API tlslife_conn *tlslife_lua_check_conn(lua_State *L, int idx);
TLSLIFE_API tlslife_conn *tlslife_lua_test_conn(lua_State *L, int idx);

TLSLIFE_API void tlslife_lua_push_session(lua_State *L, tlslife_session *session);
TLSLIFE_API tlslife_session *tlslife_lua_check_session(lua_State *L, int idx);
TLSLIFE_API tlslife_session *tlslife_lua_test_session(lua_State *L, int idx);

/*
 * From now on the state owns the listener, and closes it. When the push raises, the caller still
 * owns it. Push a listener into one state only.
 */
TLSLIFE_API void tlslife_lua_push_listener(lua_State *L, tlslife_listener *listener);
TLSLIFE_API tlslife_listener *tlslife_lua_check_listener(lua_State *L, int idx);
TLSLIFE_API tlslife_listener *tlslife_lua_test_listener(lua_State *L, int idx);

/*
 * A cache whose store is a table of Lua functions calls them in the state that made the cache only.
 * In another state its lookups are misses, and its puts and removes wait for the next call in the
 * first.
 */
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

TLSLIFE_API void tlslife_lua_push_trace(lua_State *L, tlslife_trace *trace);
TLSLIFE_API tlslife_trace *tlslife_lua_check_trace(lua_State *L, int idx);
TLSLIFE_API tlslife_trace *tlslife_lua_test_trace(lua_State *L, int idx);

/*
 * Sets the key log of the contexts that tls.context{} will make in this state without an option
 * keylog: a file, or a FIFO, as tlslife_context_set_keylog takes it, or NULL for none. The path is
 * copied. Such a context is not made ("input") where the file cannot be opened.
 */
TLSLIFE_API void tlslife_lua_set_keylog(lua_State *L, const char *path);

/*
 * Pushes the three values that a failed call of the module returns: nil, message and err (a
 * tlslife.Error). Returns 3.
 */
TLSLIFE_API int tlslife_lua_push_error(lua_State *L, const tlslife_error *err);

#ifdef __cplusplus
}
#endif
#endif
