/*
 * ltransport.c: implements the transports of a connection: TCP, descriptors, memory, feed and
 * drain.
 *
 * A descriptor may be given as an object that has one (LuaSocket's getfd, luv's fileno, cqueues'
 * pollfd). A user value keeps that object as long as it is the transport. Otherwise the collector
 * could close a descriptor that is still read, and the system could give its number to another
 * file.
 */
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/conn/ltransport.h"
#include "lua/loop/lloop.h"
#include "lua/verb/lverb.h"
#include "tlslife.h"

/*
 * Keeps the value at the top alive for the transport. The previous transport's objects, which the
 * user value kept, may be collected only now that the transport was replaced.
 */
static void keep(lua_State *L) {
    lua_setiuservalue(L, 1, TLB_CONN_TRANSPORT);
}

static int replaced(lua_State *L, tlb_conn *self, tlslife_status status) {
    lua_pushnil(L);
    keep(L);
    return tlb_must(L, self, status);
}

static int dial_attempt(lua_State *L, tlb_conn *self) {
    const char *host = tlb_text(L, 2), *service = lua_isnoneornil(L, 3) ? NULL : tlb_service(L, 3);
    tlslife_conn *conn = tlb_getter(L); /* after the last string was made */
    if (self->first) {
        /* A dial that was canceled may still be under way. This one has a timeout of its own. */
        tlslife_conn_set_timeout_ms(conn, tlslife_conn_timeout_ms(conn));
    }
    tlslife_status status = TLB_TRY(self, tlslife_conn_dial(conn, host, service));
    lua_pushnil(L);
    keep(L);
    return tlb_true(L, self, status);
}

static int conn_dial(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    if (self->watched) { /* the previous transport, if this dial replaces it */
        tlb_forget(L, 1);
    }
    static const tlb_verb verb = {dial_attempt, 3, TLB_BOTH | TLB_DIALS};
    return tlb_perform(L, &verb);
}

/* ---------------------------------------------------------------------------------- descriptors */

static bool has_fields(lua_State *L, int idx) {
    if (lua_istable(L, idx)) {
        return true;
    }
    if (luaL_getmetafield(L, idx, "__index") == LUA_TNIL) {
        return false;
    }
    lua_pop(L, 1);
    return true;
}

/* Pushes the object's method that returns the descriptor. */
static bool push_fd_method(lua_State *L, int idx) {
    static const char *const names[] = {"fd", "getfd", "fileno", "pollfd"};
    for (size_t i = 0; has_fields(L, idx) && i < sizeof names / sizeof *names; i++) {
        if (lua_getfield(L, idx, names[i]) == LUA_TFUNCTION) {
            return true;
        }
        lua_pop(L, 1);
    }
    return false;
}

/*
 * The descriptor of a TLS connection is refused, because records of two connections on one
 * descriptor would break both.
 */
static int descriptor(lua_State *L, int idx) {
    int exact;
    luaL_argcheck(L, tlb_test(L, idx, &tlb_conn_type) == NULL, idx,
                  "is a TLS connection: for TLS in TLS use set_connection");
    if (lua_type(L, idx) == LUA_TNUMBER) {
        lua_pushvalue(L, idx);
    } else {
        if (!push_fd_method(L, idx)) {
            luaL_typeerror(L, idx,
                           "descriptor, or object with a method fd, getfd, fileno or pollfd");
        }
        lua_pushvalue(L, idx);
        lua_call(L, 1, 1);
    }
    lua_Integer fd = lua_tointegerx(L, -1, &exact);
    if (!exact || fd < 0 || fd > INT_MAX) {
        luaL_argerror(L, idx,
                      lua_pushfstring(L, "%s is no descriptor", luaL_tolstring(L, -1, NULL)));
    }
    lua_settop(L, 3);
    return (int)fd;
}

static int conn_set_fd(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    lua_settop(L, 3);
    int read_fd = descriptor(L, 2), write_fd = lua_isnil(L, 3) ? -1 : descriptor(L, 3);
    lua_createtable(L, 2, 0);
    for (int i = 2; i <= 3; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, i - 1);
    }
    tlb_conn *self = tlb_self_conn(L); /* again: the methods that were called may have freed it */
    tlslife_conn *conn = tlb_conn_object(self);
    tlb_cancel_and_forget(L, 1);
    tlb_must(L, self,
             write_fd < 0 ? tlslife_conn_set_fd(conn, read_fd)
                          : tlslife_conn_set_fds(conn, read_fd, write_fd));
    lua_pushvalue(L, 4);
    keep(L);
    return 1;
}

/*
 * The user value keeps the outer connection's userdata, and what that one keeps for its transport:
 * a descriptor must stay open also when the script frees the outer connection.
 */
static int conn_set_connection(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    tlb_check(L, 2, &tlb_conn_type, NULL);
    lua_settop(L, 2);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, 3, 1);
    tlb_cancel_and_forget(L, 1);
    tlb_cancel(L, 2);
    tlb_conn *self = tlb_self_conn(L); /* a loop's functions may have freed either */
    tlb_handle *outer = tlb_check(L, 2, &tlb_conn_type, NULL);
    tlb_must(L, self, tlslife_conn_set_connection(tlb_conn_object(self), outer->object));
    lua_getiuservalue(L, 2, TLB_CONN_TRANSPORT);
    lua_rawseti(L, 3, 2);
    lua_pushvalue(L, 3);
    keep(L);
    lua_pushboolean(L, true);
    return 1;
}

static int push_conn(lua_State *L, const tlslife_conn *conn) {
    if (!conn || !tlb_known(L, &tlb_conn_type, conn)) {
        lua_pushnil(L);
    }
    return 1;
}

/* A connection that the script has freed has no userdata any more. */
static int conn_outer(lua_State *L) {
    return push_conn(L, tlslife_conn_get0_outer(tlb_getter(L)));
}

static int conn_inner(lua_State *L) {
    return push_conn(L, tlslife_conn_get0_inner(tlb_getter(L)));
}

static int conn_take_fd(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    int fd = (int)tlb_size(L, 2, 0, INT_MAX, -1);
    tlb_cancel_and_forget(L, 1);
    tlb_conn *self = tlb_self_conn(L); /* a loop's functions may have freed it */
    return replaced(L, self, tlslife_conn_take_fd(tlb_conn_object(self), fd));
}

static int conn_close_transport(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    tlb_cancel_and_forget(L, 1);
    tlslife_conn_close_transport(tlb_self(L, &tlb_conn_type)->object);
    lua_pushnil(L);
    keep(L);
    return 0;
}

static tlslife_status last_want(const tlb_conn *self) {
    return self->want == 'w' ? TLSLIFE_WANT_WRITE : TLSLIFE_WANT_READ;
}

static int conn_fd(lua_State *L) {
    tlb_push_fd(L, tlslife_conn_fd(tlb_getter(L)));
    return 1;
}

/* The descriptor at which the last call waits, for cqueues. */
static int conn_pollfd(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    bool writing = false;
    int timeout_ms = -1;
    tlb_push_fd(
        L, tlslife_conn_wait_fd(tlb_conn_object(self), last_want(self), &writing, &timeout_ms));
    return 1;
}

/*
 * The timeout is 0 if a read finds bytes although the descriptor has none. A part of a record that
 * the last read has left does not count.
 */
static int conn_timeout(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    tlslife_conn *conn = tlb_conn_object(self);
    bool writing = false;
    int timeout_ms = -1;
    if (tlslife_conn_pending(conn) > 0 || (!self->incomplete && tlslife_conn_has_pending(conn))) {
        timeout_ms = 0;
    } else {
        tlslife_conn_wait_fd(conn, last_want(self), &writing, &timeout_ms);
    }
    tlb_push_seconds(L, timeout_ms);
    return 1;
}

static int conn_events(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    if (self->want) {
        lua_pushlstring(L, &self->want, 1);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int conn_peer_address(lua_State *L) {
    char address[80];
    bool known = tlslife_conn_peer_address(tlb_getter(L), address, sizeof address);
    return tlb_optional_string(L, known ? address : NULL);
}

static int conn_proxy_address(lua_State *L) {
    char address[80];
    bool known = tlslife_conn_proxy_address(tlb_getter(L), address, sizeof address);
    return tlb_optional_string(L, known ? address : NULL);
}

/* The type of a PROXY header's field, by name or number. */
static unsigned tlv_type(lua_State *L, int idx) {
    static const struct {
        const char *name;
        unsigned type;
    } types[] = {
        {"alpn", TLSLIFE_PROXY_ALPN},
        {"authority", TLSLIFE_PROXY_AUTHORITY},
        {"crc32c", TLSLIFE_PROXY_CRC32C},
        {"unique_id", TLSLIFE_PROXY_UNIQUE_ID},
        {"ssl", TLSLIFE_PROXY_SSL},
        {"ssl_version", TLSLIFE_PROXY_SSL_VERSION},
        {"ssl_cn", TLSLIFE_PROXY_SSL_CN},
        {"ssl_cipher", TLSLIFE_PROXY_SSL_CIPHER},
        {"ssl_sig_alg", TLSLIFE_PROXY_SSL_SIG_ALG},
        {"ssl_key_alg", TLSLIFE_PROXY_SSL_KEY_ALG},
        {"netns", TLSLIFE_PROXY_NETNS},
    };
    if (lua_type(L, idx) == LUA_TNUMBER) {
        return (unsigned)tlb_size(L, idx, 0, 255, -1);
    }
    const char *name = tlb_text(L, idx);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, name) == 0) {
            return types[i].type;
        }
    }
    return (unsigned)luaL_argerror(L, idx,
                                   lua_pushfstring(L, "'%s' is no field of a PROXY header", name));
}

static int conn_proxy_tlv(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    unsigned type = tlv_type(L, 2);
    tlslife_bytes value;
    if (tlslife_conn_proxy_tlv(tlb_getter(L), type, &value)) {
        lua_pushlstring(L, (const char *)value.data, value.len);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/* --------------------------------------------------------------------------------------- memory */

int tlb_pair(lua_State *L) {
    lua_settop(L, 3);
    size_t capacity = tlb_size(L, 3, 1, TLB_SIZE_MAX, 65536);
    for (int i = 1; i <= 2; i++) {
        tlb_check(L, i, &tlb_conn_type, NULL);
        tlb_cancel_and_forget(L, i);
    }
    tlb_conn *a = (tlb_conn *)tlb_check(L, 1, &tlb_conn_type, NULL);
    tlb_handle *b = tlb_check(L, 2, &tlb_conn_type, NULL);
    tlb_must(L, a, tlslife_conn_pair(tlb_conn_object(a), b->object, capacity));
    for (int i = 1; i <= 2; i++) {
        lua_pushnil(L);
        lua_setiuservalue(L, i, TLB_CONN_TRANSPORT);
    }
    return 1;
}

static int conn_set_memory(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    size_t capacity = tlb_size(L, 2, 1, TLB_SIZE_MAX, 65536);
    tlb_cancel_and_forget(L, 1);
    tlb_conn *self = tlb_self_conn(L);
    return replaced(L, self, tlslife_conn_set_memory(tlb_conn_object(self), capacity));
}

static int conn_feed(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    size_t len, fed = 0;
    const char *bytes = tlb_bytes(L, 2, &len);
    size_t from = tlb_offset(L, 3, len);
    tlb_must(L, self, tlslife_conn_feed(tlb_conn_object(self), bytes + from, len - from, &fed));
    lua_pushinteger(L, (lua_Integer)fed);
    return 1;
}

static int conn_feed_eof(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    return tlb_must(L, self, tlslife_conn_feed_eof(tlb_conn_object(self)));
}

static int conn_drain(lua_State *L) {
    enum { CHUNK = 16384 };
    tlb_self(L, &tlb_conn_type);
    size_t left = tlb_size(L, 2, 1, TLB_SIZE_MAX, 65536), wanted, got;
    luaL_Buffer drained;
    luaL_buffinit(L, &drained);
    do {
        char *chunk = luaL_prepbuffsize(&drained, CHUNK);
        wanted = left < CHUNK ? left : CHUNK;
        got = 0;
        tlb_conn *self = tlb_self_conn(L);
        tlslife_status status = tlslife_conn_drain(tlb_conn_object(self), chunk, wanted, &got);
        if (status != TLSLIFE_OK) {
            return tlb_must(L, self, status);
        }
        luaL_addsize(&drained, got);
        left -= got;
    } while (got == wanted && left > 0);
    luaL_pushresult(&drained);
    return 1;
}

const luaL_Reg tlb_conn_transport[] = {
    {"dial", conn_dial},
    {"set_fd", conn_set_fd},
    {"take_fd", conn_take_fd},
    {"set_connection", conn_set_connection},
    {"outer", conn_outer},
    {"inner", conn_inner},
    {"set_memory", conn_set_memory},
    {"feed", conn_feed},
    {"feed_eof", conn_feed_eof},
    {"drain", conn_drain},
    {"fd", conn_fd},
    {"pollfd", conn_pollfd},
    {"events", conn_events},
    {"timeout", conn_timeout},
    {"peer_address", conn_peer_address},
    {"proxy_address", conn_proxy_address},
    {"proxy_tlv", conn_proxy_tlv},
    {"close_transport", conn_close_transport},
    {NULL, NULL},
};
