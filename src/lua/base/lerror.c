/*
 * lerror.c: turns statuses and errors of the core into results: a mistake of the calling program
 * raises, anything else returns nil, a message or word, and an err.
 *
 * The words for waits and ends are the core's (tlslife_status_name). An err is a table that is made
 * only when something has failed. It holds no secret, because OpenSSL's error queue says what went
 * wrong, but not with which bytes.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "lua/base/conn.h"
#include "lua/base/lerror.h"
#include "tlslife.h"

static const char error_key;

static int error_tostring(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "message");
    return 1;
}

void tlb_open_errors(lua_State *L) {
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "tlslife.Error");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
}

/* Sets the field unless the value is unknown, which is an empty string. */
static void set_known(lua_State *L, const char *field, const char *value) {
    if (value[0]) {
        tlb_set_string(L, field, value);
    }
}

static void set_queue(lua_State *L, const tlslife_error *err) {
    lua_createtable(L, (int)err->queue_len, 0);
    for (size_t i = 0; i < err->queue_len; i++) {
        const tlslife_error_entry *entry = &err->queue[i];
        lua_createtable(L, 0, 4);
        tlb_set_integer(L, "code", (lua_Integer)entry->code);
        tlb_set_string(L, "library", entry->library);
        tlb_set_string(L, "reason", entry->reason);
        tlb_set_string(L, "data", entry->data);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "queue");
}

static void set_verify(lua_State *L, const tlslife_error *err) {
    set_known(L, "verify", tlslife_verify_result_text(err->verify_result));
    tlb_set_integer(L, "verify_result", err->verify_result);
    if (err->verify_depth >= 0) {
        tlb_set_integer(L, "verify_depth", err->verify_depth);
    }
    set_known(L, "verify_subject", err->verify_subject);
}

/* err is copied because it may be a connection's own, which a finalizer could free. */
void tlb_push_error(lua_State *L, const tlslife_error *err) {
    const tlslife_error copy = *err;
    err = &copy;
    lua_createtable(L, 0, 12);
    tlb_set_string(L, "message", err->message);
    set_known(L, "code", tlslife_error_kind_name(err->kind));
    set_known(L, "library", err->library);
    set_known(L, "reason", err->reason);
    if (err->alert >= 0) {
        set_known(L, "alert", tlslife_alert_name(err->alert));
        lua_pushboolean(L, err->alert_received);
        lua_setfield(L, -2, "alert_received");
    }
    if (err->verify_result != 0) {
        set_verify(L, err);
    }
    if (err->system_errno != 0) {
        tlb_set_integer(L, "errno", err->system_errno);
    }
    set_queue(L, err);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
    lua_setmetatable(L, -2);
}

int tlb_raise(lua_State *L, const tlslife_error *err, const char *prefix) {
    lua_pushstring(L, err->message);
    luaL_where(L, 1);
    lua_pushstring(L, prefix ? prefix : "");
    lua_pushstring(L, prefix ? ": " : "");
    lua_rotate(L, -4, -1);
    lua_concat(L, 4);
    return lua_error(L);
}

int tlb_push_failure(lua_State *L, const tlslife_error *err) {
    lua_pushnil(L);
    tlb_push_error(L, err);
    lua_getfield(L, -1, "message");
    lua_insert(L, -2);
    return 3;
}

int tlb_fail(lua_State *L, const tlslife_error *err, const char *prefix) {
    if (err->kind == TLSLIFE_ERR_USAGE) {
        return tlb_raise(L, err, prefix);
    }
    return tlb_push_failure(L, err);
}

int tlb_status(lua_State *L, tlb_conn *self, tlslife_status status) {
    switch (status) {
    case TLSLIFE_ERROR: return tlb_fail(L, tlslife_conn_error(tlb_conn_object(self)), NULL);
    case TLSLIFE_WANT_HELLO:
    case TLSLIFE_WANT_CERTIFICATE:
    case TLSLIFE_WANT_VERIFY:
    case TLSLIFE_WANT_PSK:
    case TLSLIFE_WANT_SESSION: self->question = status; return TLB_ASKED;
    case TLSLIFE_WANT_READ: self->want = 'r'; break;
    case TLSLIFE_WANT_WRITE: self->want = 'w'; break;
    default: break;
    }
    if (tlb_wants(status)) {
        self->incomplete = status == TLSLIFE_WANT_READ;
        if (self->looped) {
            self->question = status;
            return TLB_ASKED;
        }
    }
    lua_pushnil(L);
    lua_pushstring(L, tlslife_status_name(status));
    return 2;
}

int tlb_true(lua_State *L, tlb_conn *self, tlslife_status status) {
    if (status != TLSLIFE_OK) {
        return tlb_status(L, self, status);
    }
    lua_pushboolean(L, true);
    return 1;
}

int tlb_told(lua_State *L, tlb_conn *self, tlslife_status status) {
    int results = tlb_true(L, self, status);
    return results == TLB_ASKED ? luaL_error(L, "call handshake first: the connection waits")
                                : results;
}

int tlb_must(lua_State *L, tlb_conn *self, tlslife_status status) {
    if (status != TLSLIFE_OK) {
        return tlb_raise(L, tlslife_conn_error(tlb_conn_object(self)), NULL);
    }
    lua_pushboolean(L, true);
    return 1;
}

int tlb_optional_string(lua_State *L, const char *string) {
    lua_pushstring(L, string);
    return 1;
}

int tlb_optional_bytes(lua_State *L, tlslife_bytes bytes) {
    if (bytes.len > 0) {
        lua_pushlstring(L, (const char *)bytes.data, bytes.len);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

int tlb_busy(lua_State *L) {
    lua_pushnil(L);
    lua_pushliteral(L, "busy");
    return 2;
}

/* ------------------------------------------------------------------------------------- warnings */

static int to_string(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

void tlb_warn(lua_State *L, const char *function) {
    lua_pushcfunction(L, to_string); /* __tostring may raise, too */
    lua_insert(L, -2);
    bool told = lua_pcall(L, 1, 1, 0) == LUA_OK;
    lua_warning(L, "tlslife: ", 1);
    lua_warning(L, function, 1);
    lua_warning(L, ": ", 1);
    lua_warning(L, told ? lua_tostring(L, -1) : "an error that has no text", 0);
    lua_pop(L, 1);
}
