/*
 * llistener.c: a listening socket. It is not counted: the state that has it closes it.
 */
#include "binding.h"

#include <string.h>

static tlslife_listener *self_listener(lua_State *L) {
    return tlb_self(L, &tlb_listener_type)->object;
}

static int listener_accept(lua_State *L) {
    tlslife_listener *listener = self_listener(L);
    tlslife_context *context = tlb_check(L, 2, &tlb_context_type, NULL)->object;
    int timeout_ms = tlb_milliseconds(L, 3, NULL);
    tlslife_conn *conn = NULL;
    tlslife_error err;
    tlb_new_conn(L, 2);
    tlslife_status status = tlslife_listener_accept(listener, context, timeout_ms, &conn, &err);
    if (status == TLSLIFE_ERROR) {
        return tlb_fail(L, &err, NULL);
    }
    if (status != TLSLIFE_OK) {
        lua_pushnil(L);
        lua_pushstring(L, tlslife_status_name(status));
        return 2;
    }
    tlb_fill(L, &tlb_conn_type, conn);
    return 1;
}

static int listener_port(lua_State *L) {
    lua_pushinteger(L, tlslife_listener_port(self_listener(L)));
    return 1;
}

static int listener_fd(lua_State *L) {
    lua_pushinteger(L, tlslife_listener_fd(self_listener(L)));
    return 1;
}

static int listener_close(lua_State *L) {
    if (!tlb_test(L, 1, &tlb_listener_type)) {
        tlb_self(L, &tlb_listener_type);
    }
    return tlb_handle_close(L);
}

static int backlog_option(lua_State *L, int idx) {
    int exact;
    lua_Integer backlog = lua_tointegerx(L, idx, &exact);
    if (lua_type(L, idx) != LUA_TNUMBER || !exact) {
        tlb_type_error(L, idx, "option 'backlog'", "integer");
    }
    if (backlog < 1 || backlog > INT_MAX) {
        luaL_error(L, "option 'backlog': %I is not in 1..%d", (LUAI_UACINT)backlog, INT_MAX);
    }
    return (int)backlog;
}

/* {backlog =, reuse_port =} at index 3, or nothing. */
static void listen_options(lua_State *L, int *backlog, bool *reuse_port) {
    if (lua_isnoneornil(L, 3)) {
        return;
    }
    luaL_checktype(L, 3, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(name, "backlog") == 0) {
            *backlog = backlog_option(L, lua_gettop(L));
        } else if (strcmp(name, "reuse_port") == 0) {
            if (!lua_isboolean(L, -1)) {
                tlb_type_error(L, -1, "option 'reuse_port'", "boolean");
            }
            *reuse_port = lua_toboolean(L, -1);
        } else {
            lua_pop(L, 1);
            luaL_error(L, "unknown option '%s'", luaL_tolstring(L, -1, NULL));
        }
    }
}

int tlb_listen(lua_State *L) {
    const char *host = lua_isnil(L, 1) ? NULL : tlb_text(L, 1), *service = tlb_service(L, 2);
    int backlog = 0;
    bool reuse_port = false;
    tlslife_error err;
    listen_options(L, &backlog, &reuse_port);
    tlb_new(L, &tlb_listener_type);
    tlslife_listener *listener = tlslife_listen(host, service, backlog, reuse_port, &err);
    if (!listener) {
        return tlb_fail(L, &err, NULL);
    }
    tlb_fill(L, &tlb_listener_type, listener);
    return 1;
}

static const luaL_Reg methods[] = {
    {"accept", listener_accept},
    {"port", listener_port},
    {"fd", listener_fd},
    {"close", listener_close},
    {NULL, NULL},
};

static void release(void *object) {
    tlslife_listener_free(object);
}

static void describe(lua_State *L, void *object) {
    lua_pushfstring(L, "port %d", tlslife_listener_port(object));
}

const tlb_type tlb_listener_type = {
    .name = "tlslife.listener",
    .size = sizeof(tlb_handle),
    .kib = 1,
    .release = release,
    .describe = describe,
    .metamethods = tlb_handle_metamethods,
    .methods = {methods},
};
