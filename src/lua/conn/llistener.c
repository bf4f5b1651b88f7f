/*
 * llistener.c: implements a listening socket and its accept. A listener has no reference count; the
 * state that has it closes it.
 *
 * In a loop's coroutine accept waits as the verbs of a connection do (lwait.c). The values that it
 * needs to continue are on its stack, above its arguments and the closed userdata that the
 * connection will fill.
 */
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/conn/llistener.h"
#include "lua/context/lcontext.h"
#include "lua/loop/lloop.h"
#include "lua/verb/lwait.h"
#include "tlslife.h"

typedef struct listener_handle {
    tlb_handle handle;
    tlb_waiter waiter;
    bool watched; /* a loop may watch its descriptor */
} listener_handle;

/* The user value of a listener: the coroutine that waits in accept. */
enum { ACCEPTER = 1, LISTENER_VALUES = ACCEPTER };

static tlslife_listener *self_listener(lua_State *L) {
    return tlb_self(L, &tlb_listener_type)->object;
}

/* ------------------------------------------------------------------------------------ accepting */

/*
 * The stack of accept: listener, context, timeout, the connection's userdata. The rest is there
 * while it waits.
 */
enum { CONTEXT = 2, TIMEOUT, CONNECTION, WAIT_FUNCTION, DEADLINE, TURN };

/*
 * Makes one try and returns the number of results, which are nil and the status's word if there is
 * no connection.
 */
static int accept_once(lua_State *L, int timeout_ms, tlslife_status *out_status) {
    tlslife_conn *conn = NULL;
    tlslife_error err;
    tlslife_context *context = tlb_check(L, CONTEXT, &tlb_context_type, NULL)->object;
    if (!tlb_is_closed(L, CONNECTION, &tlb_conn_type)) {
        return luaL_error(L, "listener:accept(): the call was changed while it waited");
    }
    *out_status = tlslife_listener_accept(self_listener(L), context, timeout_ms, &conn, &err);
    if (*out_status == TLSLIFE_ERROR) {
        return tlb_fail(L, &err, NULL);
    }
    lua_settop(L, CONNECTION);
    if (*out_status != TLSLIFE_OK) {
        lua_pushnil(L);
        lua_pushstring(L, tlslife_status_name(*out_status));
        return 2;
    }
    tlb_fill(L, &tlb_conn_type, conn);
    return 1;
}

/* Ends a wait. Returns whether this coroutine may make another try. Raises what wait has raised. */
static bool end_wait(lua_State *L, bool failed) {
    listener_handle *self = tlb_test(L, 1, &tlb_listener_type);
    bool mine =
        self && self->handle.object && self->waiter.turn == (unsigned)lua_tointeger(L, TURN);
    if (mine) {
        self->waiter.waiting = false;
    }
    if (failed) {
        lua_error(L);
    }
    return mine;
}

static int wait_returned(lua_State *L, int status, lua_KContext context);

/* Waits in the loop that runs this coroutine. Returns whether to make another try. */
static bool wait_for_client(lua_State *L, int loop, lua_Integer deadline, lua_Integer left) {
    listener_handle *self = (listener_handle *)tlb_self(L, &tlb_listener_type);
    self->watched = true;
    lua_pushinteger(L, deadline);
    lua_pushinteger(L, tlb_begin_wait(L, 1, &self->waiter, ACCEPTER, loop));
    lua_pushvalue(L, WAIT_FUNCTION);
    lua_pushinteger(L, tlslife_listener_fd(self->handle.object));
    lua_pushliteral(L, "r");
    tlb_push_seconds(L, lua_isnil(L, TIMEOUT) ? -1 : left);
    lua_pushvalue(L, 1);
    return end_wait(L, lua_pcallk(L, 4, 1, 0, 0, wait_returned) != LUA_OK);
}

static int accept_looped(lua_State *L, lua_Integer deadline) {
    do {
        tlslife_status status = TLSLIFE_ERROR;
        lua_settop(L, CONNECTION);
        int results = accept_once(L, 0, &status);
        lua_Integer now = tlb_now(), left = deadline > now ? deadline - now : 0;
        if (status != TLSLIFE_WANT_READ) {
            return results;
        }
        if (left == 0) {
            lua_pushnil(L);
            lua_pushstring(L, tlslife_status_name(TLSLIFE_TIMEOUT));
            return 2;
        }
        lua_settop(L, CONNECTION);
        int loop = tlb_push_loop(L);
        tlb_self(L, &tlb_listener_type); /* the adapter's running may have closed it */
        if (loop == 0) {
            return accept_once(L, tlb_milliseconds(L, TIMEOUT, NULL), &status);
        }
        if (!wait_for_client(L, loop, deadline, left)) {
            return tlb_canceled(L);
        }
    } while (true);
}

static int wait_returned(lua_State *L, int status, lua_KContext context) {
    (void)context;
    if (!end_wait(L, status != LUA_YIELD)) {
        return tlb_canceled(L);
    }
    return accept_looped(L, lua_tointeger(L, DEADLINE));
}

static int listener_accept(lua_State *L) {
    listener_handle *self = (listener_handle *)tlb_self(L, &tlb_listener_type);
    tlslife_status status;
    lua_settop(L, TIMEOUT);
    tlb_check(L, CONTEXT, &tlb_context_type, NULL);
    int timeout_ms = tlb_milliseconds(L, TIMEOUT, NULL);
    if (tlb_waits(L, 1, &self->waiter, ACCEPTER)) {
        return tlb_busy(L);
    }
    tlb_new_conn(L, CONTEXT);
    if (timeout_ms != 0 && self->handle.state->loops > 0 && lua_isyieldable(L)) {
        return accept_looped(L, tlb_deadline(timeout_ms));
    }
    return accept_once(L, timeout_ms, &status);
}

/* --------------------------------------------------------------------------- creation and close */

static int listener_port(lua_State *L) {
    int port = tlslife_listener_port(self_listener(L));
    if (port < 0) {
        lua_pushnil(L);
    } else {
        lua_pushinteger(L, port);
    }
    return 1;
}

static int listener_fd(lua_State *L) {
    lua_pushinteger(L, tlslife_listener_fd(self_listener(L)));
    return 1;
}

static int listener_addresses(lua_State *L) {
    char address[128];
    lua_settop(L, 1);
    lua_newtable(L);
    for (size_t i = 0; tlslife_listener_address(self_listener(L), i, address, sizeof address);
         i++) {
        lua_pushstring(L, address);
        lua_rawseti(L, 2, (lua_Integer)i + 1);
    }
    return 1;
}

/* A loop must not watch the sockets under the old descriptor, and nobody may wait for it. */
static void forget_descriptor(lua_State *L) {
    listener_handle *self = (listener_handle *)tlb_self(L, &tlb_listener_type);
    tlb_cancel_wait(L, 1, &self->waiter, ACCEPTER);
    if (self->watched && self->handle.object) {
        self->watched = false;
        tlb_forget_fd(L, 1, tlslife_listener_fd(self->handle.object));
    }
}

/* The last socket is taken out first, so the list is filled from its end. */
static int listener_split(lua_State *L) {
    tlslife_error err;
    lua_settop(L, 1);
    forget_descriptor(L);
    lua_newtable(L);
    for (size_t i = tlslife_listener_sockets_len(self_listener(L)); i > 1; i--) {
        tlslife_listener *last = NULL;
        tlb_new(L, &tlb_listener_type);
        if (tlslife_listener_split(self_listener(L), &last, &err) != TLSLIFE_OK) {
            return tlb_fail(L, &err, NULL);
        }
        if (!last) {
            return luaL_error(L, "listener:split(): the listener was split meanwhile");
        }
        tlb_fill(L, &tlb_listener_type, last);
        lua_rawseti(L, 2, (lua_Integer)i);
    }
    lua_pushvalue(L, 1);
    lua_rawseti(L, 2, 1);
    return 1;
}

static int listener_close(lua_State *L) {
    listener_handle *self = tlb_test(L, 1, &tlb_listener_type);
    if (!self) {
        tlb_bad_self(L);
    }
    tlb_cancel_wait(L, 1, &self->waiter, ACCEPTER);
    if (self->watched && self->handle.object) {
        self->watched = false;
        tlb_forget_fd(L, 1, tlslife_listener_fd(self->handle.object));
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

/* A mode as chmod(1) has it, "660", because Lua has no octal numbers. */
static int mode_option(lua_State *L, int idx) {
    const char *text = lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : "";
    size_t len = strlen(text);
    if (len < 3 || len > 4 || strspn(text, "01234567") != len || (len == 4 && text[0] != '0')) {
        luaL_error(L, "option 'mode': three octal digits expected, as in \"660\", got %s",
                   luaL_tolstring(L, idx, NULL));
    }
    return (int)strtol(text, NULL, 8);
}

/* true: both versions; "v1", "v2"; false: none. */
static unsigned proxy_versions(lua_State *L, int idx) {
    if (lua_isboolean(L, idx)) {
        return lua_toboolean(L, idx) ? TLSLIFE_PROXY_V1 | TLSLIFE_PROXY_V2 : 0;
    }
    const char *text = lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : "";
    if (strcmp(text, "v1") != 0 && strcmp(text, "v2") != 0) {
        luaL_error(L, "option 'proxy_protocol': true, \"v1\" or \"v2\" expected, got %s",
                   luaL_tolstring(L, idx, NULL));
    }
    return text[1] == '1' ? TLSLIFE_PROXY_V1 : TLSLIFE_PROXY_V2;
}

/*
 * Has the listener at index self expect the protocol at index versions from the list of proxies at
 * index sources. A finalizer may close the listener while the list is read.
 */
static void expect_proxies(lua_State *L, int self, int versions, int sources) {
    tlslife_error err;
    size_t len = 0;
    const char *const *list = NULL;
    unsigned wanted = proxy_versions(L, versions);
    if (wanted != 0) {
        list = tlb_string_list(L, sources, "option 'proxy_from'", &len);
    }
    tlslife_listener *listener = tlb_check(L, self, &tlb_listener_type, NULL)->object;
    if (tlslife_listener_set_proxy_protocol(listener, wanted, list, len, &err) != TLSLIFE_OK) {
        tlb_raise(L, &err, NULL);
    }
}

static int listener_set_proxy_protocol(lua_State *L) {
    self_listener(L);
    lua_settop(L, 3);
    expect_proxies(L, 1, 2, 3);
    return 0;
}

typedef struct listen_options {
    int backlog, mode; /* mode -1: none */
    bool reuse_port, proxied;
} listen_options;

/* Reads the table of options at index 3, if it is there. */
static void read_options(lua_State *L, listen_options *out) {
    if (lua_isnoneornil(L, 3)) {
        return;
    }
    luaL_checktype(L, 3, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(name, "backlog") == 0) {
            out->backlog = backlog_option(L, lua_gettop(L));
        } else if (strcmp(name, "reuse_port") == 0) {
            if (!lua_isboolean(L, -1)) {
                tlb_type_error(L, -1, "option 'reuse_port'", "boolean");
            }
            out->reuse_port = lua_toboolean(L, -1);
        } else if (strcmp(name, "mode") == 0) {
            out->mode = mode_option(L, lua_gettop(L));
        } else if (strcmp(name, "proxy_protocol") == 0 || strcmp(name, "proxy_from") == 0) {
            out->proxied = true;
        } else {
            lua_pop(L, 1);
            luaL_error(L, "unknown option '%s'", luaL_tolstring(L, -1, NULL));
        }
    }
}

/* "host:port" or "unix:/path". NULL: the error is in err, and nothing stays open. */
static tlslife_listener *open_one(const char *address, const listen_options *options,
                                  tlslife_error *err) {
    bool local = strncmp(address, "unix:", 5) == 0;
    return local && options->mode >= 0
               ? tlslife_listen_unix(address, options->mode, options->backlog, err)
               : tlslife_listen(address, NULL, options->backlog, options->reuse_port && !local,
                                err);
}

static tlslife_listener *open_all(const char *const *addresses, size_t len,
                                  const listen_options *options, tlslife_error *err) {
    tlslife_listener *all = NULL;
    for (size_t i = 0; i < len; i++) {
        tlslife_listener *one = open_one(addresses[i], options, err);
        if (!one || (all && tlslife_listener_add(all, one, err) != TLSLIFE_OK)) {
            tlslife_listener_free(one);
            tlslife_listener_free(all);
            return NULL;
        }
        all = all ? all : one;
    }
    return all;
}

/* Listens on each address of the list at index 1. Pushes the userdata, or returns false. */
static bool listen_on_list(lua_State *L, const listen_options *options, tlslife_error *err) {
    size_t len = 0;
    luaL_argcheck(L, lua_isnoneornil(L, 2), 2, "each address of a list names its own port");
    tlb_new(L, &tlb_listener_type);
    int made = lua_gettop(L);
    /* Last, since a finalizer may take strings out of the list. */
    const char *const *addresses = tlb_string_list(L, 1, "listen", &len);
    luaL_argcheck(L, len > 0, 1, "no address");
    tlslife_listener *listener = open_all(addresses, len, options, err);
    lua_settop(L, made);
    if (listener) {
        tlb_fill(L, &tlb_listener_type, listener);
    }
    return listener != NULL;
}

/* Listens on the address at index 1. Pushes the userdata, or returns false. */
static bool listen_on_one(lua_State *L, const listen_options *options, tlslife_error *err) {
    const char *host = lua_isnil(L, 1) ? NULL : tlb_text(L, 1);
    const char *service = lua_isnoneornil(L, 2) ? NULL : tlb_service(L, 2);
    luaL_argcheck(L, options->mode < 0 || (host && !service && !options->reuse_port), 3,
                  "option 'mode' is for a Unix socket, which has no port");
    tlb_new(L, &tlb_listener_type);
    tlslife_listener *listener =
        options->mode < 0
            ? tlslife_listen(host, service, options->backlog, options->reuse_port, err)
            : tlslife_listen_unix(host, options->mode, options->backlog, err);
    if (listener) {
        tlb_fill(L, &tlb_listener_type, listener);
    }
    return listener != NULL;
}

int tlb_listen(lua_State *L) {
    listen_options options = {.mode = -1};
    tlslife_error err;
    read_options(L, &options);
    bool listens =
        lua_istable(L, 1) ? listen_on_list(L, &options, &err) : listen_on_one(L, &options, &err);
    if (!listens) {
        return tlb_fail(L, &err, NULL);
    }
    if (options.proxied) {
        int self = lua_gettop(L);
        lua_getfield(L, 3, "proxy_protocol");
        lua_getfield(L, 3, "proxy_from");
        expect_proxies(L, self, self + 1, self + 2);
        lua_settop(L, self);
    }
    return 1;
}

int tlb_split_address(lua_State *L) {
    char host[256], service[64];
    tlslife_error err;
    const char *text = tlb_text(L, 1);
    if (tlslife_split_address(text, host, sizeof host, service, sizeof service, &err) !=
        TLSLIFE_OK) {
        return tlb_raise(L, &err, NULL);
    }
    lua_pushstring(L, host[0] != '\0' ? host : NULL);
    lua_pushstring(L, service[0] != '\0' ? service : NULL);
    return 2;
}

int tlb_listen_fd(lua_State *L) {
    int fd = (int)tlb_size(L, 1, 0, INT_MAX, -1);
    tlslife_error err;
    tlb_new(L, &tlb_listener_type);
    tlslife_listener *listener = tlslife_listen_fd(fd, &err);
    if (!listener) {
        return tlb_raise(L, &err, NULL);
    }
    tlb_fill(L, &tlb_listener_type, listener);
    return 1;
}

static const luaL_Reg metamethods[] = {
    {"__gc", tlb_handle_gc},
    {"__close", listener_close},
    {"__tostring", tlb_handle_tostring},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"accept", listener_accept},
    {"port", listener_port},
    {"addresses", listener_addresses},
    {"split", listener_split},
    {"set_proxy_protocol", listener_set_proxy_protocol},
    {"fd", listener_fd},
    {"close", listener_close},
    {NULL, NULL},
};

static void release(void *object) {
    tlslife_listener_free(object);
}

static void describe(lua_State *L, void *object) {
    int port = tlslife_listener_port(object);
    if (port < 0) {
        lua_pushliteral(L, "a Unix socket");
    } else {
        lua_pushfstring(L, "port %d", port);
    }
}

const tlb_type tlb_listener_type = {
    .name = "tlslife.listener",
    .size = sizeof(listener_handle),
    .user_values = LISTENER_VALUES,
    .kib = 1,
    .release = release,
    .describe = describe,
    .metamethods = metamethods,
    .methods = {methods},
};
