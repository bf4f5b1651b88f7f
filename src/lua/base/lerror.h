/*
 * lerror.h: statuses and errors of the core as results of a Lua function. lerror.c.
 */
#ifndef TLSLIFE_LUA_LERROR_H
#define TLSLIFE_LUA_LERROR_H

#include <lua.h>
#include <stdbool.h>

#include "lua/base/conn.h"
#include "tlslife.h"

/* Set a field of the table at the top. A NULL string sets nil. */
static inline void tlb_set_string(lua_State *L, const char *field, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, field);
}

static inline void tlb_set_integer(lua_State *L, const char *field, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

void tlb_open_errors(lua_State *L);
void tlb_push_error(lua_State *L, const tlslife_error *err); /* pushes the table */
/* Pushes nil, the message and err, and returns 3. */
int tlb_push_failure(lua_State *L, const tlslife_error *err);
/*
 * Raises if err is a mistake of the calling program (USAGE). Otherwise as tlb_push_failure. prefix
 * goes before a message that is raised; NULL means none.
 */
int tlb_fail(lua_State *L, const tlslife_error *err, const char *prefix);
/* Raises for every kind of error. For calls that only a mistake can make fail. */
int tlb_raise(lua_State *L, const tlslife_error *err, const char *prefix);

static inline bool tlb_wants(tlslife_status status) {
    return status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE;
}

/*
 * For a call on a connection that did not end with OK. Pushes nil and the status's word, or does
 * what tlb_fail does. Stores what a WANT_ waits for. A question gives TLB_ASKED.
 */
int tlb_status(lua_State *L, tlb_conn *self, tlslife_status status);
/* Pushes true, or does what tlb_status does. */
int tlb_true(lua_State *L, tlb_conn *self, tlslife_status status);
/* The same for a call that is no verb, and so cannot wait or ask: then it raises. */
int tlb_told(lua_State *L, tlb_conn *self, tlslife_status status);
/* Pushes true, or raises. */
int tlb_must(lua_State *L, tlb_conn *self, tlslife_status status);
/* Push a string, or nil for a NULL string or for no bytes. Return 1. */
int tlb_optional_string(lua_State *L, const char *string);
int tlb_optional_bytes(lua_State *L, tlslife_bytes bytes);
int tlb_busy(lua_State *L); /* the results of a call that another one, or a hook, excludes */
/* Warns of the error at the top, which that function ("a store's put") raised, and pops it. */
void tlb_warn(lua_State *L, const char *function);

#endif
