/*
 * module.c: opens the module "tlslife.core", and implements what C hosts call (tlslife_lua.h).
 *
 * Everything that belongs to a state is in its registry, under addresses of this library. So two
 * states share only the core's objects. If two copies of this library are loaded in one state, each
 * has a set of types of its own, which the other does not recognize.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/lerror.h"
#include "lua/base/lheld.h"
#include "lua/base/lstate.h"
#include "lua/cache/lcache.h"
#include "lua/cache/lstore.h"
#include "lua/conn/llistener.h"
#include "lua/conn/ltransport.h"
#include "lua/context/lcontext.h"
#include "lua/loop/lloop.h"
#include "lua/loop/lpoller.h"
#include "lua/values/lbuffer.h"
#include "lua/values/lcertificate.h"
#include "lua/values/lclass.h"
#include "lua/values/lkeys.h"
#include "lua/values/lmetrics.h"
#include "lua/values/ltrace.h"
#include "lua/verb/lquestion.h"
#include "tlslife.h"
#include "tlslife_lua.h"

static const char module_key;

/* tls.type: "context", "connection", ..., or nil for anything else. */
static int module_type(lua_State *L) {
    const tlb_type *const *type = tlb_handle_types;
    luaL_checkany(L, 1);
    while (*type && !tlb_test(L, 1, *type)) {
        type++;
    }
    if (*type || tlb_test_buffer(L, 1)) {
        lua_pushstring(L, tlb_short_name(*type ? *type : &tlb_buffer_type));
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    {"context", tlb_context_new},
    {"listen", tlb_listen},
    {"split_address", tlb_split_address},
    {"listen_fd", tlb_listen_fd},
    {"loop", tlb_loop},
    {"poller", tlb_poller_new},
    {"class", tlb_class},
    {"line", tlb_line},
    {"certificate", tlb_certificate},
    {"fingerprint", tlb_fingerprint},
    {"issued", tlb_issued},
    {"pair", tlb_pair},
    {"buffer", tlb_buffer_new},
    {"type", module_type},
    {"cache", tlb_cache_new},
    {"shared", tlb_shared},
    {"redis", tlb_redis},
    {"keyring", tlb_keyring_new},
    {"ticket_keys", tlb_ticket_keys_new},
    {"trace", tlb_trace_new},
    {"metrics", tlb_metrics},
    {"metrics_count", tlb_metrics_count},
    {"metrics_share", tlb_metrics_share},
    {"metrics_join", tlb_metrics_join},
    {"metrics_publish", tlb_metrics_publish},
    {"metrics_leave", tlb_metrics_leave},
    {NULL, NULL},
};

static void push_module(lua_State *L) {
    luaL_newlib(L, functions);
    lua_pushliteral(L, TLSLIFE_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, tlslife_openssl_version());
    lua_setfield(L, -2, "openssl_version");
    lua_pushinteger(L, TLSLIFE_SENT_SHUTDOWN);
    lua_setfield(L, -2, "SENT_SHUTDOWN");
    lua_pushinteger(L, TLSLIFE_RECEIVED_SHUTDOWN);
    lua_setfield(L, -2, "RECEIVED_SHUTDOWN");
}

int luaopen_tlslife_core(lua_State *L) {
    luaL_checkversion(L);
    luaL_checkstack(L, LUA_MINSTACK, "tlslife");
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key) == LUA_TTABLE) {
        return 1;
    }
    lua_pop(L, 1);
    tlb_open_state(L);
    tlb_open_errors(L);
    tlb_open_held(L);
    tlb_open_questions(L);
    tlb_open_loops(L);
    tlb_open_types(L);
    push_module(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
    return 1;
}

/* ---------------------------------------------------------------------------------- for C hosts */

static void open_module(lua_State *L) {
    luaopen_tlslife_core(L);
    lua_pop(L, 1);
}

void tlslife_lua_set_keylog(lua_State *L, const char *path) {
    open_module(L);
    tlb_push_state(L);
    lua_pushstring(L, path);
    lua_setiuservalue(L, -2, TLB_STATE_KEYLOG);
    lua_pop(L, 1);
}

static void push(lua_State *L, const tlb_type *type, void *object) {
    open_module(L);
    tlb_push(L, type, object);
}

static void *check(lua_State *L, int idx, const tlb_type *type) {
    open_module(L);
    return tlb_check(L, idx, type, NULL)->object;
}

static void *test(lua_State *L, int idx, const tlb_type *type) {
    tlb_handle *handle = tlb_test(L, idx, type);
    return handle ? handle->object : NULL;
}

void tlslife_lua_push_context(lua_State *L, tlslife_context *context) {
    push(L, &tlb_context_type, context);
}

tlslife_context *tlslife_lua_check_context(lua_State *L, int idx) {
    return check(L, idx, &tlb_context_type);
}

tlslife_context *tlslife_lua_test_context(lua_State *L, int idx) {
    return test(L, idx, &tlb_context_type);
}

/*
 * The connection keeps its context's userdata, if the state has it, because its hooks may be asked.
 */
void tlslife_lua_push_conn(lua_State *L, tlslife_conn *conn) {
    push(L, &tlb_conn_type, conn);
    if (!conn) {
        return;
    }
    int top = lua_gettop(L);
    if (lua_getiuservalue(L, top, TLB_CONN_CONTEXT) == LUA_TNIL &&
        tlb_known(L, &tlb_context_type, tlslife_conn_get0_context(conn))) {
        lua_pushvalue(L, top);
        tlb_keep_context(L, lua_touserdata(L, top), top + 2);
    }
    lua_settop(L, top);
}

tlslife_conn *tlslife_lua_check_conn(lua_State *L, int idx) {
    return check(L, idx, &tlb_conn_type);
}

tlslife_conn *tlslife_lua_test_conn(lua_State *L, int idx) {
    return test(L, idx, &tlb_conn_type);
}

void tlslife_lua_push_session(lua_State *L, tlslife_session *session) {
    push(L, &tlb_session_type, session);
}

tlslife_session *tlslife_lua_check_session(lua_State *L, int idx) {
    return check(L, idx, &tlb_session_type);
}

tlslife_session *tlslife_lua_test_session(lua_State *L, int idx) {
    return test(L, idx, &tlb_session_type);
}

void tlslife_lua_push_listener(lua_State *L, tlslife_listener *listener) {
    push(L, &tlb_listener_type, listener);
}

tlslife_listener *tlslife_lua_check_listener(lua_State *L, int idx) {
    return check(L, idx, &tlb_listener_type);
}

tlslife_listener *tlslife_lua_test_listener(lua_State *L, int idx) {
    return test(L, idx, &tlb_listener_type);
}

void tlslife_lua_push_cache(lua_State *L, tlslife_cache *cache) {
    push(L, &tlb_cache_type, cache);
}

tlslife_cache *tlslife_lua_check_cache(lua_State *L, int idx) {
    return check(L, idx, &tlb_cache_type);
}

tlslife_cache *tlslife_lua_test_cache(lua_State *L, int idx) {
    return test(L, idx, &tlb_cache_type);
}

void tlslife_lua_push_store(lua_State *L, tlslife_store *store) {
    push(L, &tlb_store_type, store);
}

tlslife_store *tlslife_lua_check_store(lua_State *L, int idx) {
    return check(L, idx, &tlb_store_type);
}

tlslife_store *tlslife_lua_test_store(lua_State *L, int idx) {
    return test(L, idx, &tlb_store_type);
}

void tlslife_lua_push_keyring(lua_State *L, tlslife_keyring *keyring) {
    push(L, &tlb_keyring_type, keyring);
}

tlslife_keyring *tlslife_lua_check_keyring(lua_State *L, int idx) {
    return check(L, idx, &tlb_keyring_type);
}

tlslife_keyring *tlslife_lua_test_keyring(lua_State *L, int idx) {
    return test(L, idx, &tlb_keyring_type);
}

void tlslife_lua_push_ticket_keys(lua_State *L, tlslife_ticket_keys *keys) {
    push(L, &tlb_ticket_keys_type, keys);
}

tlslife_ticket_keys *tlslife_lua_check_ticket_keys(lua_State *L, int idx) {
    return check(L, idx, &tlb_ticket_keys_type);
}

tlslife_ticket_keys *tlslife_lua_test_ticket_keys(lua_State *L, int idx) {
    return test(L, idx, &tlb_ticket_keys_type);
}

void tlslife_lua_push_trace(lua_State *L, tlslife_trace *trace) {
    push(L, &tlb_trace_type, trace);
}

tlslife_trace *tlslife_lua_check_trace(lua_State *L, int idx) {
    return check(L, idx, &tlb_trace_type);
}

tlslife_trace *tlslife_lua_test_trace(lua_State *L, int idx) {
    return test(L, idx, &tlb_trace_type);
}

int tlslife_lua_push_error(lua_State *L, const tlslife_error *err) {
    open_module(L);
    return tlb_push_failure(L, err);
}
