/*
 * lcontext.c: implements tls.context{} and the methods of a context. What the options mean is in
 * lsettings.c.
 *
 * A context's userdata keeps, as user values, what must live as long as a connection may need it:
 * the hooks, the userdata of the contexts that its server names lead to (with their hooks), and its
 * cache's userdata (with the functions that are its store). A connection keeps its context's
 * userdata, so hooks outlive context:free(). An attacker would gain if a missing hook meant
 * acceptance, so no hook may be collected while a handshake can ask it.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/base/loptions.h"
#include "lua/base/lstate.h"
#include "lua/cache/lcache.h"
#include "lua/cache/lprogram.h"
#include "lua/context/lcontext.h"
#include "lua/context/lsettings.h"
#include "tlslife.h"

/* Sets the key log of the state (tlslife_lua_set_keylog), unless an option says otherwise. */
static bool set_state_keylog(tlb_setting *s) {
    lua_State *L = s->L;
    bool ok = true;
    s->what = "the program's key log";
    tlb_push_state(L);
    if (lua_getiuservalue(L, -1, TLB_STATE_KEYLOG) == LUA_TSTRING &&
        tlb_push_option(s, "keylog") == LUA_TNIL) {
        ok = tlslife_context_set_keylog(s->context, lua_tostring(L, -2), &s->err) == TLSLIFE_OK;
    }
    lua_settop(L, TLB_MADE);
    return ok;
}

/*
 * The userdata has the context before any option is set, so the collector frees it if a setter
 * raises.
 */
int tlb_context_new(lua_State *L) {
    static const char *const roles[] = {"client", "server", NULL};
    tlb_setting s = {.L = L, .what = "option 'role'"};
    tlb_read_options(L, tlb_context_options);
    lua_settop(L, TLB_WHAT);
    tlb_push_option(&s, "role");
    tlslife_role role = tlb_choice(&s, roles) == 0 ? TLSLIFE_CLIENT : TLSLIFE_SERVER;
    lua_settop(L, TLB_OPTIONS);
    tlb_new(L, &tlb_context_type);
    s.context = tlslife_context_new(role, &s.err);
    if (!s.context) {
        return tlb_fail(L, &s.err, NULL);
    }
    tlb_fill(L, &tlb_context_type, s.context);
    if (!tlb_set_options(&s, tlb_context_options) || !set_state_keylog(&s)) {
        tlb_release(L, TLB_MADE, &tlb_context_type);
        return tlb_fail(L, &s.err, s.what);
    }
    return 1;
}

static tlslife_context *self_context(lua_State *L) {
    return tlb_self(L, &tlb_context_type)->object;
}

void tlb_keep_context(lua_State *L, tlb_conn *conn, int context_idx) {
    int top = lua_gettop(L);
    lua_pushvalue(L, context_idx);
    lua_setiuservalue(L, top, TLB_CONN_CONTEXT);
    if (lua_getiuservalue(L, context_idx, TLB_CONTEXT_CACHE) == LUA_TUSERDATA &&
        lua_getiuservalue(L, -1, TLB_CACHE_STORE) == LUA_TUSERDATA) {
        conn->tells = tlb_is_program(L, -1);
        lua_setiuservalue(L, top, TLB_CONN_STORE);
    }
    lua_settop(L, top);
}

tlb_conn *tlb_new_conn(lua_State *L, int context_idx) {
    tlb_conn *conn = (tlb_conn *)tlb_new(L, &tlb_conn_type);
    tlb_keep_context(L, conn, context_idx);
    return conn;
}

static int context_connection(lua_State *L) {
    tlslife_error err;
    self_context(L);
    tlb_new_conn(L, 1);
    tlslife_conn *conn = tlslife_conn_new(self_context(L), &err);
    if (!conn) {
        return tlb_fail(L, &err, NULL);
    }
    tlb_fill(L, &tlb_conn_type, conn);
    return 1;
}

static int context_conf(lua_State *L) {
    tlslife_context *self = self_context(L);
    tlslife_error err;
    if (tlslife_context_conf(self, tlb_text(L, 2), tlb_text(L, 3), &err) != TLSLIFE_OK) {
        return tlb_fail(L, &err, NULL);
    }
    lua_pushboolean(L, true);
    return 1;
}

static int context_role(lua_State *L) {
    lua_pushstring(L,
                   tlslife_context_role(self_context(L)) == TLSLIFE_SERVER ? "server" : "client");
    return 1;
}

static int context_session_id_context(lua_State *L) {
    unsigned char id[32];
    size_t len = tlslife_context_session_id_context(self_context(L), id);
    lua_pushlstring(L, (const char *)id, len);
    return 1;
}

static int context_import_session(lua_State *L) {
    self_context(L);
    size_t len;
    const char *bytes = tlb_bytes(L, 2, &len);
    tlslife_error err;
    tlb_new(L, &tlb_session_type);
    tlslife_session *session =
        tlslife_context_import_session(self_context(L), (const unsigned char *)bytes, len, &err);
    if (!session) {
        return tlb_fail(L, &err, NULL);
    }
    tlb_settle(L, &tlb_session_type, session);
    return 1;
}

static int context_set_timeout(lua_State *L) {
    tlslife_context *self = self_context(L);
    tlslife_context_set_timeout_ms(self, tlb_milliseconds(L, 2, NULL));
    return 0;
}

static const luaL_Reg methods[] = {
    {"connection", context_connection},
    {"conf", context_conf},
    {"role", context_role},
    {"session_id_context", context_session_id_context},
    {"import_session", context_import_session},
    {"set_timeout", context_set_timeout},
    {"up_ref", tlb_handle_up_ref},
    {"free", tlb_handle_free},
    {NULL, NULL},
};

static void *up_ref(void *object) {
    return tlslife_context_up_ref(object);
}

static void release(void *object) {
    tlslife_context_free(object);
}

static void describe(lua_State *L, void *object) {
    lua_pushstring(L, tlslife_context_role(object) == TLSLIFE_SERVER ? "server" : "client");
}

const tlb_type tlb_context_type = {
    .name = "tlslife.context",
    .size = sizeof(tlb_handle),
    .user_values = TLB_CONTEXT_VALUES,
    .kib = 64,
    .up_ref = up_ref,
    .release = release,
    .describe = describe,
    .metamethods = tlb_handle_metamethods,
    .methods = {methods},
};
