/*
 * lquestion.c: answers the handshake's questions by the context's hooks, or by the functions that
 * are its cache's store (lprogram.c). Both may yield.
 *
 * A question ends a verb's try (lverb.c). The hook is called here, outside of the core and of
 * OpenSSL, and its answer is passed to the core. It is called with lverb.c's continuation, so it
 * may yield as any Lua function may. The verb's arguments keep their places on the stack, 1..args,
 * and the guard is above them.
 *
 * The guard marks the connection as asking. Lua closes the guard when the hook ends in any way: by
 * return, by an error, by coroutine.close. If the coroutine is dropped, nothing is closed, so the
 * mark is weak (tlb_is_asking). A script may free or clear the connection while its hook runs. The
 * generation shows that, and the late answer is dropped.
 *
 * An attacker would want to be accepted because a hook failed, returned nothing or was collected. A
 * wrong result raises and leaves the question unanswered, and hooks live as long as any connection
 * that may need them. A store decides only whether the handshake is a full one, so its errors do
 * not become the verb's.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/lerror.h"
#include "lua/base/lheld.h"
#include "lua/base/lstate.h"
#include "lua/cache/lprogram.h"
#include "lua/context/lcontext.h"
#include "lua/verb/lquestion.h"
#include "lua/verb/lverb.h"
#include "tlslife.h"

static const char guard_key, asking_key;

typedef struct guard {
    uintptr_t tag;
    const tlb_conn *conn; /* its userdata is the guard's user value, and at index 1 */
    tlb_call call;
    tlslife_status question;
    unsigned generation;
} guard;

static int guard_close(lua_State *L) {
    const guard *closing = tlb_private(L, 1, &guard_key, sizeof *closing);
    lua_settop(L, 1);
    if (closing && lua_getiuservalue(L, 1, 1) == LUA_TUSERDATA) {
        tlb_conn *conn = tlb_test(L, 2, &tlb_conn_type);
        if (conn && conn == closing->conn && conn->generation == closing->generation) {
            tlb_set_asking(L, conn, false);
        }
    }
    return 0;
}

static const luaL_Reg guard_metamethods[] = {{"__close", guard_close}, {NULL, NULL}};

void tlb_open_questions(lua_State *L) {
    luaL_newlib(L, guard_metamethods);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_key);
    tlb_push_weak_table(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &asking_key);
}

static const char *hook_name(tlslife_status question) {
    return question == TLSLIFE_WANT_HELLO         ? "on_hello"
           : question == TLSLIFE_WANT_CERTIFICATE ? "on_certificate"
           : question == TLSLIFE_WANT_SESSION     ? "store"
           : question == TLSLIFE_WANT_PSK         ? "on_psk"
                                                  : "on_verify";
}

/* ----------------------------------------------------------------------------- finding the hook */

/*
 * Keeps the value at the top if it is the userdata of the context at that address, and pops it
 * otherwise.
 */
static bool keep_if(lua_State *L, const void *address) {
    tlb_handle *context = tlb_test(L, -1, &tlb_context_type);
    if (context && context->address == address) {
        return true;
    }
    lua_pop(L, 1);
    return false;
}

/*
 * Pushes the context of that address if it is this user value of the connection, or a target of
 * that context's server names. Returns whether it has pushed it.
 */
static bool push_kept(lua_State *L, int conn_idx, int value, const void *address) {
    lua_getiuservalue(L, conn_idx, value);
    if (!tlb_test(L, -1, &tlb_context_type)) {
        lua_pop(L, 1);
        return false;
    }
    lua_getiuservalue(L, -1, TLB_CONTEXT_TARGETS);
    if (lua_istable(L, -1)) {
        lua_rawgetp(L, -1, address);
    } else {
        lua_pushnil(L);
    }
    lua_replace(L, -2);
    if (keep_if(L, address)) {
        lua_remove(L, -2);
        return true;
    }
    return keep_if(L, address);
}

tlb_handle *tlb_context_in_force(lua_State *L, int conn_idx, tlb_conn *self) {
    const void *address = tlslife_conn_get0_context(tlb_conn_object(self));
    if (address && !tlb_known(L, &tlb_context_type, address) &&
        !push_kept(L, conn_idx, TLB_CONN_CHOSEN, address) &&
        !push_kept(L, conn_idx, TLB_CONN_CONTEXT, address)) {
        address = NULL;
    }
    if (!address) {
        lua_pushnil(L);
    }
    return lua_touserdata(L, -1);
}

/*
 * Pushes the hook and returns true. If this state has none, pushes nothing and returns false. Not
 * for WANT_SESSION.
 */
static bool push_hook(lua_State *L, tlb_conn *self) {
    int value = self->question == TLSLIFE_WANT_HELLO         ? TLB_CONTEXT_HELLO
                : self->question == TLSLIFE_WANT_CERTIFICATE ? TLB_CONTEXT_CERTIFICATE
                : self->question == TLSLIFE_WANT_PSK         ? TLB_CONTEXT_PSK
                                                             : TLB_CONTEXT_VERIFY;
    if (tlb_context_in_force(L, 1, self)) {
        lua_getiuservalue(L, -1, value);
    } else {
        lua_pushnil(L);
    }
    lua_remove(L, -2);
    if (lua_isfunction(L, -1)) {
        return true;
    }
    lua_pop(L, 1);
    return false;
}

/* -------------------------------------------------------------------------- arguments of a hook */

static void set_bytes_list(lua_State *L, const char *field, const tlslife_bytes *list, size_t len) {
    lua_createtable(L, (int)len, 0);
    for (size_t i = 0; i < len; i++) {
        lua_pushlstring(L, (const char *)list[i].data, list[i].len);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, field);
}

static void push_version(lua_State *L, uint16_t version) {
    char text[8];
    switch (version) {
    case TLSLIFE_TLS1_0: lua_pushliteral(L, "TLSv1"); break;
    case TLSLIFE_TLS1_1: lua_pushliteral(L, "TLSv1.1"); break;
    case TLSLIFE_TLS1_2: lua_pushliteral(L, "TLSv1.2"); break;
    case TLSLIFE_TLS1_3: lua_pushliteral(L, "TLSv1.3"); break;
    default: snprintf(text, sizeof text, "0x%04x", version); lua_pushstring(L, text);
    }
}

static void push_hello(lua_State *L, tlslife_conn *conn) {
    const tlslife_hello *hello = tlslife_conn_hello(conn);
    lua_createtable(L, 0, 7);
    tlb_set_string(L, "server_name", hello->server_name);
    set_bytes_list(L, "alpn", hello->alpn, hello->alpn_len);
    lua_createtable(L, (int)hello->versions_len, 0);
    for (size_t i = 0; i < hello->versions_len; i++) {
        push_version(L, hello->versions[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "versions");
    lua_createtable(L, (int)hello->ciphers_len, 0);
    for (size_t i = 0; i < hello->ciphers_len; i++) {
        lua_pushinteger(L, hello->ciphers[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "ciphers");
    lua_pushlstring(L, (const char *)hello->session_id.data, hello->session_id.len);
    lua_setfield(L, -2, "session_id");
    set_bytes_list(L, "psk_identities", hello->psk_identities, hello->psk_identities_len);
    lua_pushboolean(L, hello->has_ticket);
    lua_setfield(L, -2, "has_ticket");
}

void tlb_ca_names(lua_State *L, void *lent) {
    tlslife_conn *conn = lent;
    size_t len = tlslife_conn_ca_names_len(conn);
    lua_createtable(L, (int)len, 0);
    for (size_t i = 0; i < len; i++) {
        lua_pushstring(L, tlslife_conn_ca_name(conn, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_certificate_request(lua_State *L, tlslife_conn *conn) {
    lua_createtable(L, 0, 2);
    tlb_ca_names(L, conn);
    lua_setfield(L, -2, "ca_names");
    tlb_set_string(L, "server_name", tlslife_conn_server_name(conn));
}

static void push_peer(lua_State *L, tlslife_conn *conn) {
    long result = tlslife_conn_verify_result(conn);
    lua_createtable(L, 0, 5);
    tlb_peer_certificates(L, conn);
    lua_setfield(L, -2, "certificates");
    lua_pushboolean(L, result == 0);
    lua_setfield(L, -2, "verified");
    if (result != 0) {
        tlb_set_string(L, "verify", tlslife_verify_result_text(result));
    }
    lua_pushinteger(L, result);
    lua_setfield(L, -2, "verify_result");
    lua_pushboolean(L, tlslife_conn_resumption(conn) == TLSLIFE_OUTCOME_RESUMED);
    lua_setfield(L, -2, "resumed");
}

static void push_psk(lua_State *L, const tlslife_conn *conn) {
    lua_createtable(L, 0, 2);
    tlb_set_string(L, "identity", tlslife_conn_psk_identity(conn));
    tlb_set_string(L, "hint", tlslife_conn_psk_identity_hint(conn));
    tlb_set_string(L, "server_name", tlslife_conn_server_name(conn));
}

static void info(lua_State *L, void *lent) {
    const tlb_conn *self = lent;
    if (self->question == TLSLIFE_WANT_HELLO) {
        push_hello(L, tlb_conn_object(self));
    } else if (self->question == TLSLIFE_WANT_CERTIFICATE) {
        push_certificate_request(L, tlb_conn_object(self));
    } else if (self->question == TLSLIFE_WANT_PSK) {
        push_psk(L, tlb_conn_object(self));
    } else {
        push_peer(L, tlb_conn_object(self));
    }
}

/* ------------------------------------------------------------------------------------ answering */

static void answered(lua_State *L, tlb_conn *self, tlslife_status status) {
    if (status != TLSLIFE_OK) {
        tlb_raise(L, tlslife_conn_error(tlb_conn_object(self)), hook_name(self->question));
    }
}

static int wrong_answer(lua_State *L, const char *hook, const char *expected, int idx) {
    return luaL_error(L, "%s returned %s: %s expected; the question is still open", hook,
                      luaL_typename(L, idx), expected);
}

/* Refuses. The hook returned false at idx, and may have returned an alert's name at idx + 1. */
static void refuse(lua_State *L, tlb_conn *self, int idx, const char *fallback) {
    const char *hook = hook_name(self->question), *name = fallback;
    if (!lua_isnil(L, idx + 1)) {
        if (lua_type(L, idx + 1) != LUA_TSTRING) {
            wrong_answer(L, hook, "the name of an alert after false", idx + 1);
        }
        name = lua_tostring(L, idx + 1);
    }
    int alert = tlslife_alert_number(name);
    if (alert < 0) { /* what on_psk returns beside false may be a key */
        bool secret = self->question == TLSLIFE_WANT_PSK;
        luaL_error(L, "%s: '%s' is no alert of RFC 8446; the question is still open", hook,
                   secret ? "..." : name);
    }
    answered(L, self, tlslife_conn_refuse(tlb_conn_object(self), alert));
}

/* The hook's two results are at idx and idx + 1. */
static void answer_with_context(lua_State *L, tlb_conn *self, int idx) {
    tlslife_conn *conn = tlb_conn_object(self);
    bool hello = self->question == TLSLIFE_WANT_HELLO;
    tlslife_context *context = NULL;
    if (lua_isboolean(L, idx) && !lua_toboolean(L, idx)) {
        refuse(L, self, idx, hello ? "unrecognized_name" : "handshake_failure");
        return;
    }
    if (!lua_isnil(L, idx)) {
        if (!tlb_test(L, idx, &tlb_context_type)) {
            wrong_answer(L, hook_name(self->question), "a context, nil or false", idx);
        }
        context = tlb_check(L, idx, &tlb_context_type, hook_name(self->question))->object;
    }
    if (context && hello) {
        lua_pushvalue(L, idx);
        lua_setiuservalue(L, 1, TLB_CONN_CHOSEN);
    }
    answered(L, self,
             hello ? tlslife_conn_answer_hello(conn, context)
                   : tlslife_conn_answer_certificate(conn, context));
}

/* A client's hook has returned an identity and a key at idx, or nil. */
static tlslife_status answer_with_psk(lua_State *L, tlslife_conn *conn, int idx) {
    size_t identity_len = 0, key_len = 0;
    const char *identity = lua_tolstring(L, idx, &identity_len);
    if (identity && lua_type(L, idx + 1) != LUA_TSTRING) {
        wrong_answer(L, "on_psk", "a key after the identity", idx + 1);
    }
    if (identity && strlen(identity) != identity_len) {
        luaL_error(L, "on_psk: the identity contains a NUL; the question is still open");
    }
    const char *key = identity ? lua_tolstring(L, idx + 1, &key_len) : NULL;
    return tlslife_conn_answer_psk_client(conn, identity, (const unsigned char *)key, key_len);
}

/* The hook has returned a key, or nil where it knows none, or false and an alert. */
static void answer_with_key(lua_State *L, tlb_conn *self, int idx) {
    size_t len = 0;
    if (lua_isboolean(L, idx) && !lua_toboolean(L, idx)) {
        refuse(L, self, idx, "unknown_psk_identity");
        return;
    }
    if (!lua_isnil(L, idx) && lua_type(L, idx) != LUA_TSTRING) {
        wrong_answer(L, "on_psk", "a string, nil or false", idx);
    }
    if (!tlslife_conn_is_server(tlb_conn_object(self))) {
        answered(L, self, answer_with_psk(L, tlb_conn_object(self), idx));
        return;
    }
    const char *key = lua_isnil(L, idx) ? NULL : lua_tolstring(L, idx, &len);
    answered(L, self,
             tlslife_conn_answer_psk(tlb_conn_object(self), (const unsigned char *)key, len));
}

static void answer(lua_State *L, tlb_conn *self, int idx) {
    if (self->question == TLSLIFE_WANT_PSK) {
        answer_with_key(L, self, idx);
        return;
    }
    if (self->question != TLSLIFE_WANT_VERIFY) {
        answer_with_context(L, self, idx);
        return;
    }
    if (!lua_isboolean(L, idx)) {
        wrong_answer(L, "on_verify", "a boolean", idx);
    }
    if (!lua_toboolean(L, idx) && !lua_isnil(L, idx + 1)) {
        refuse(L, self, idx, NULL);
        return;
    }
    answered(L, self, tlslife_conn_answer_verify(tlb_conn_object(self), lua_toboolean(L, idx)));
}

void tlb_answer_default(lua_State *L, tlb_conn *self) {
    tlslife_conn *conn = tlb_conn_object(self);
    if (self->question == TLSLIFE_WANT_HELLO) {
        answered(L, self, tlslife_conn_answer_hello(conn, NULL));
    } else if (self->question == TLSLIFE_WANT_CERTIFICATE) {
        answered(L, self, tlslife_conn_answer_certificate(conn, NULL));
    } else if (self->question == TLSLIFE_WANT_PSK) {
        answered(L, self,
                 tlslife_conn_is_server(conn)
                     ? tlslife_conn_answer_psk(conn, NULL, 0)
                     : tlslife_conn_answer_psk_client(conn, NULL, NULL, 0));
    } else {
        answered(L, self, tlslife_conn_answer_verify(conn, tlslife_conn_verify_result(conn) == 0));
    }
}

/* --------------------------------------------------------------------------------------- asking */

void tlb_set_asking(lua_State *L, tlb_conn *self, bool asking) {
    tlb_push_registered(L, &asking_key);
    if (asking) {
        lua_pushthread(L);
    } else {
        lua_pushnil(L);
    }
    lua_rawsetp(L, -2, self);
    lua_pop(L, 1);
    self->asking = asking;
}

bool tlb_is_asking(lua_State *L, tlb_conn *self) {
    tlb_push_registered(L, &asking_key);
    lua_rawgetp(L, -1, self);
    lua_State *thread = lua_tothread(L, -1);
    int status = thread ? lua_status(thread) : LUA_ERRRUN;
    lua_pop(L, 2);
    if (status != LUA_OK && status != LUA_YIELD) {
        tlb_set_asking(L, self, false);
    }
    return self->asking;
}

/* Pushes the guard, and marks the connection as asking. */
static void push_guard(lua_State *L, tlb_conn *self, const tlb_call *call) {
    guard *guarding = tlb_new_private(L, &guard_key, sizeof *guarding, 1);
    *guarding = (guard){guarding->tag, self, *call, self->question, self->generation};
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_toclose(L, -1);
    tlb_set_asking(L, self, true);
}

/*
 * Above the guard are two values that a hook has returned, or one value or an error of a store's
 * function.
 */
tlb_call tlb_take_answer(lua_State *L, tlb_conn *self, const tlb_verb *verb, bool failed) {
    int args = verb->args;
    const guard *found = tlb_private(L, args + 1, &guard_key, sizeof *found);
    if (!found || found->call.verb != verb) {
        tlb_error(L, "a hook changed the stack of the call that runs it");
    }
    guard guarding = *found;
    tlb_check_same(L, &tlb_conn_type, guarding.conn);
    lua_closeslot(L, args + 1);
    if (failed) {
        tlb_warn(L, "a store's lookup");
    }
    if (!self->handle.object || self->generation != guarding.generation) {
        luaL_error(L, "the connection was %s while its %s hook ran",
                   self->handle.object ? "cleared" : "freed", hook_name(guarding.question));
    }
    self->question = guarding.question;
    if (guarding.question == TLSLIFE_WANT_SESSION) {
        answered(L, self, tlb_answer_lookup(L, self, args + 2, failed));
    } else {
        answer(L, self, args + 2);
    }
    return guarding.call;
}

/* Where there is no function, nothing is guarded. */
bool tlb_ask(lua_State *L, tlb_conn *self, const tlb_call *call, lua_KFunction returned) {
    const tlb_verb *verb = call->verb;
    push_guard(L, self, call);
    tlb_self_conn(L); /* making the guard may have run a finalizer that frees self */
    if (self->question == TLSLIFE_WANT_SESSION) {
        int arguments = tlb_push_lookup(L, self);
        if (arguments >= 0) {
            int status = lua_pcallk(L, arguments, 1, 0, (lua_KContext)verb, returned);
            tlb_take_answer(L, self, verb, status != LUA_OK);
            return true;
        }
    } else if (push_hook(L, self)) {
        lua_pushvalue(L, 1);
        tlb_copy_without_gc(L, info, self);
        lua_callk(L, 2, 2, (lua_KContext)verb, returned);
        tlb_take_answer(L, self, verb, false);
        return true;
    }
    lua_closeslot(L, verb->args + 1);
    return false;
}
