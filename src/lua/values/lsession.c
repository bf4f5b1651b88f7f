/*
 * lsession.c: implements the methods of a session. A session that several connections and states
 * share is one object, which has one userdata here. A copy (dup, import) is another object that is
 * equal, since == compares what the sessions are.
 *
 * Exported bytes contain the session's secret. The C copy is wiped. The script must keep the Lua
 * string safe.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/base/lheld.h"
#include "tlslife.h"

static tlslife_session *self_session(lua_State *L) {
    return tlb_self(L, &tlb_session_type)->object;
}

static int session_id(lua_State *L) {
    tlslife_bytes id = tlslife_session_id(self_session(L));
    lua_pushlstring(L, (const char *)id.data, id.len);
    return 1;
}

static int session_time(lua_State *L) {
    lua_pushinteger(L, tlslife_session_time(self_session(L)));
    return 1;
}

static int session_timeout(lua_State *L) {
    lua_pushinteger(L, tlslife_session_timeout(self_session(L)));
    return 1;
}

static int session_set_timeout(lua_State *L) {
    tlslife_session *session = self_session(L);
    bool done = tlslife_session_set_timeout(session, (long)tlb_size(L, 2, 0, 604800, -1));
    luaL_argcheck(L, done, 2, "seconds out of range");
    lua_pushboolean(L, true);
    return 1;
}

static int session_ticket(lua_State *L) {
    return tlb_optional_bytes(L, tlslife_session_ticket(self_session(L)));
}

static int session_ticket_lifetime(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)tlslife_session_ticket_lifetime(self_session(L)));
    return 1;
}

static int session_protocol(lua_State *L) {
    return tlb_optional_string(L, tlslife_session_protocol(self_session(L)));
}

static int session_cipher(lua_State *L) {
    return tlb_optional_string(L, tlslife_session_cipher(self_session(L)));
}

static int session_hostname(lua_State *L) {
    return tlb_optional_string(L, tlslife_session_hostname(self_session(L)));
}

static int session_alpn(lua_State *L) {
    return tlb_optional_bytes(L, tlslife_session_alpn(self_session(L)));
}

static int session_max_early_data(lua_State *L) {
    lua_pushinteger(L, tlslife_session_max_early_data(self_session(L)));
    return 1;
}

static int session_is_resumable(lua_State *L) {
    lua_pushboolean(L, tlslife_session_is_resumable(self_session(L)));
    return 1;
}

static int session_peer_certificate(lua_State *L) {
    self_session(L);
    tlb_held *held = tlb_hold(L);
    if (tlslife_session_peer_certificate(self_session(L), &held->certificate)) {
        tlb_push_certificate(L, &held->certificate);
    } else {
        lua_pushnil(L);
    }
    tlb_held_clear(held);
    return 1;
}

static int session_export(lua_State *L) {
    static const char *const formats[] = {"der", "pem", NULL};
    self_session(L);
    int format = luaL_checkoption(L, 2, "der", formats);
    tlslife_error err;
    tlb_held *held = tlb_hold(L);
    tlslife_session *session = self_session(L);
    tlslife_status status =
        format == 0 ? tlslife_session_export_der(session, &held->bytes, &held->bytes_len, &err)
                    : tlslife_session_export_pem(session, &held->bytes, &held->bytes_len, &err);
    if (status != TLSLIFE_OK) {
        return tlb_fail(L, &err, NULL);
    }
    lua_pushlstring(L, (const char *)held->bytes, held->bytes_len);
    tlb_held_clear(held);
    return 1;
}

static int session_dup(lua_State *L) {
    self_session(L);
    tlb_new(L, &tlb_session_type);
    tlslife_session *copy = tlslife_session_dup(self_session(L));
    if (!copy) {
        return luaL_error(L, "not enough memory");
    }
    tlb_fill(L, &tlb_session_type, copy);
    return 1;
}

/* A freed session is equal to itself only, and Lua knows that without calling __eq. */
static int session_eq(lua_State *L) {
    const tlb_handle *a = tlb_live(L, 1, &tlb_session_type), *b = tlb_live(L, 2, &tlb_session_type);
    lua_pushboolean(L, a && b && tlslife_session_equal(a->object, b->object));
    return 1;
}

static const luaL_Reg methods[] = {
    {"id", session_id},
    {"time", session_time},
    {"timeout", session_timeout},
    {"set_timeout", session_set_timeout},
    {"ticket", session_ticket},
    {"ticket_lifetime", session_ticket_lifetime},
    {"protocol", session_protocol},
    {"cipher", session_cipher},
    {"hostname", session_hostname},
    {"alpn", session_alpn},
    {"max_early_data", session_max_early_data},
    {"is_resumable", session_is_resumable},
    {"peer_certificate", session_peer_certificate},
    {"export", session_export},
    {"dup", session_dup},
    {"up_ref", tlb_handle_up_ref},
    {"free", tlb_handle_free},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", tlb_handle_gc},
    {"__close", tlb_handle_close},
    {"__tostring", tlb_handle_tostring},
    {"__eq", session_eq},
    {NULL, NULL},
};

static void *up_ref(void *object) {
    return tlslife_session_up_ref(object);
}

static void release(void *object) {
    tlslife_session_free(object);
}

static void describe(lua_State *L, void *object) {
    lua_pushfstring(L, "%s, %s", tlslife_session_protocol(object),
                    tlslife_session_is_resumable(object) ? "resumable" : "not resumable");
}

const tlb_type tlb_session_type = {
    .name = "tlslife.session",
    .size = sizeof(tlb_handle),
    .kib = 2,
    .up_ref = up_ref,
    .release = release,
    .describe = describe,
    .metamethods = metamethods,
    .methods = {methods},
};
