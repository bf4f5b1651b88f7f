/*
 * lstore.c: makes the external stores tls.shared{} and tls.redis{}, and has what a loop needs to
 * wait for one. Stores that are Lua functions are in lprogram.c.
 *
 * A loop that waits for a store's answers watches a duplicate of the descriptor that the store has
 * now (the watch). The store may close its own descriptor at any time, from another thread too, and
 * the number may belong to another file before the loop has passed it to the kernel. The userdata
 * owns the watch, and keeps it open until the next wait finds that the store has another
 * descriptor.
 */
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/base/loptions.h"
#include "lua/cache/lprogram.h"
#include "lua/cache/lstore.h"
#include "lua/loop/lloop.h"
#include "tlslife.h"

/* -------------------------------------------------------------------------------- shared memory */

typedef struct shared_options {
    const char *path;
    size_t size;
    bool wipe;
} shared_options;

static tlslife_status set_path(tlb_setting *s) {
    ((shared_options *)s->into)->path = tlb_option_text(s);
    return TLSLIFE_OK;
}

static tlslife_status set_size(tlb_setting *s) {
    ((shared_options *)s->into)->size = tlb_option_size(s, 1, (lua_Integer)1 << 40);
    return TLSLIFE_OK;
}

static tlslife_status set_wipe(tlb_setting *s) {
    ((shared_options *)s->into)->wipe = tlb_option_truth(s);
    return TLSLIFE_OK;
}

static const tlb_option shared_rows[] = {
    {"path", TLB_STRING, set_path, true},
    {"size", TLB_INTEGER, set_size, true},
    {"wipe", TLB_BOOLEAN, set_wipe, false},
    {NULL, 0, NULL, NULL, false},
};

static int filled(lua_State *L, tlslife_store *store, const tlslife_error *err) {
    if (!store) {
        return tlb_fail(L, err, NULL);
    }
    tlb_fill(L, &tlb_store_type, store);
    return 1;
}

int tlb_shared(lua_State *L) {
    shared_options options = {.path = NULL};
    tlb_setting s = {.L = L, .into = &options};
    tlb_read_options(L, shared_rows);
    tlb_new(L, &tlb_store_type);
    tlb_set_options(&s, shared_rows);
    return filled(L, tlslife_store_shared(options.path, options.size, options.wipe, &s.err),
                  &s.err);
}

/* ---------------------------------------------------------------------------------------- Redis */

static tlslife_status set_host(tlb_setting *s) {
    ((tlslife_redis_options *)s->into)->host = tlb_option_text(s);
    return TLSLIFE_OK;
}

/* The number's text replaces the number in the table of options, which keeps it alive. */
static tlslife_status set_port(tlb_setting *s) {
    if (lua_type(s->L, TLB_VALUE) == LUA_TNUMBER) {
        lua_pushfstring(s->L, "%I", (LUAI_UACINT)tlb_option_integer(s, 1, 65535));
        lua_replace(s->L, TLB_VALUE);
        lua_pushvalue(s->L, TLB_VALUE);
        lua_setfield(s->L, TLB_OPTIONS, "port");
    }
    ((tlslife_redis_options *)s->into)->service = tlb_option_text(s);
    return TLSLIFE_OK;
}

static tlslife_status set_unix_path(tlb_setting *s) {
    if (tlb_push_option(s, "host") != LUA_TNIL || tlb_push_option(s, "port") != LUA_TNIL) {
        luaL_error(s->L, "%s: it takes the place of options 'host' and 'port'", s->what);
    }
    ((tlslife_redis_options *)s->into)->unix_path = tlb_option_text(s);
    return TLSLIFE_OK;
}

/*
 * Only checks the type. The reference is taken after all options were read, because until then a
 * finalizer might free the context.
 */
static tlslife_status set_tls(tlb_setting *s) {
    tlb_check(s->L, TLB_VALUE, &tlb_context_type, s->what);
    return TLSLIFE_OK;
}

static tlslife_status set_username(tlb_setting *s) {
    ((tlslife_redis_options *)s->into)->username = tlb_option_text(s);
    return TLSLIFE_OK;
}

static tlslife_status set_password(tlb_setting *s) {
    ((tlslife_redis_options *)s->into)->password = tlb_option_text(s);
    return TLSLIFE_OK;
}

static tlslife_status set_database(tlb_setting *s) {
    ((tlslife_redis_options *)s->into)->database = (unsigned)tlb_option_integer(s, 0, INT_MAX);
    return TLSLIFE_OK;
}

static tlslife_status set_prefix(tlb_setting *s) {
    ((tlslife_redis_options *)s->into)->prefix = tlb_option_text(s);
    return TLSLIFE_OK;
}

/* 0 is not accepted, since the core takes it for its default. */
static int milliseconds(tlb_setting *s) {
    int ms = tlb_milliseconds(s->L, TLB_VALUE, s->what);
    if (ms < 1 || ms > 60000) {
        luaL_error(s->L, "%s: %s seconds are not in 0.001..60", s->what,
                   luaL_tolstring(s->L, TLB_VALUE, NULL));
    }
    return ms;
}

static tlslife_status set_timeout(tlb_setting *s) {
    ((tlslife_redis_options *)s->into)->timeout_ms = milliseconds(s);
    return TLSLIFE_OK;
}

static tlslife_status set_connect_timeout(tlb_setting *s) {
    ((tlslife_redis_options *)s->into)->connect_timeout_ms = milliseconds(s);
    return TLSLIFE_OK;
}

static tlslife_status set_pending(tlb_setting *s) {
    ((tlslife_redis_options *)s->into)->pending_max = tlb_option_size(s, 1, 1 << 20);
    return TLSLIFE_OK;
}

static const tlb_option redis_rows[] = {
    {"host", TLB_STRING, set_host, false},
    {"port", TLB_TYPE_BIT(LUA_TSTRING) | TLB_TYPE_BIT(LUA_TNUMBER), "integer or string", set_port,
     false},
    {"path", TLB_STRING, set_unix_path, false},
    {"tls", TLB_TYPE_BIT(LUA_TUSERDATA), "tlslife.context", set_tls, false},
    {"username", TLB_STRING, set_username, false},
    {"password", TLB_STRING, set_password, false},
    {"database", TLB_INTEGER, set_database, false},
    {"prefix", TLB_STRING, set_prefix, false},
    {"timeout", TLB_NUMBER, set_timeout, false},
    {"connect_timeout", TLB_NUMBER, set_connect_timeout, false},
    {"pending", TLB_INTEGER, set_pending, false},
    {NULL, 0, NULL, NULL, false},
};

int tlb_redis(lua_State *L) {
    tlslife_redis_options options = {.host = NULL};
    tlb_setting s = {.L = L, .into = &options};
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    tlb_read_options(L, redis_rows);
    tlb_new(L, &tlb_store_type);
    tlb_set_options(&s, redis_rows);
    if (tlb_push_option(&s, "tls") != LUA_TNIL) {
        options.tls = tlb_check(L, -1, &tlb_context_type, "option 'tls'")->object;
    }
    lua_pop(L, 1);
    return filled(L, tlslife_store_redis(&options, &s.err), &s.err);
}

/* -------------------------------------------------------------------------------------- methods */

static int store_wait(lua_State *L) {
    bool writing = false;
    int timeout_ms = -1;
    int fd = tlslife_store_fd(tlb_self(L, &tlb_store_type)->object, &writing, &timeout_ms);
    tlb_push_fd(L, fd);
    lua_pushboolean(L, writing);
    tlb_push_seconds(L, timeout_ms);
    return 3;
}

static int store_pump(lua_State *L) {
    tlslife_store_pump(tlb_self(L, &tlb_store_type)->object);
    tlb_wake_answered(L);
    return 0;
}

/* ---------------------------------------------------------------------------------------- watch */

typedef struct store_handle {
    tlb_handle handle;
    int watch; /* a descriptor plus 1; 0 means none */
    dev_t device;
    ino_t inode; /* the file for which watch was opened */
} store_handle;

static void close_watch(store_handle *self) {
    if (self->watch > 0) {
        (void)close(self->watch - 1);
        self->watch = 0;
    }
}

int tlb_store_watch(lua_State *L, int idx, int fd) {
    store_handle *self = lua_touserdata(L, idx);
    struct stat now;
    if (fstat(fd, &now) != 0) {
        return -1;
    }
    if (self->watch > 0 && self->device == now.st_dev && self->inode == now.st_ino) {
        return self->watch - 1;
    }
    if (self->watch > 0) { /* the store has another connection now */
        tlb_forget_fd(L, idx, self->watch - 1);
        close_watch(self);
    }
    self->watch = fcntl(fd, F_DUPFD_CLOEXEC, 0) + 1;
    self->device = now.st_dev;
    self->inode = now.st_ino;
    return self->watch - 1;
}

static void given_up(lua_State *L, int idx) {
    close_watch(lua_touserdata(L, idx));
}

static const luaL_Reg methods[] = {
    {"wait", store_wait},      {"pump", store_pump}, {"up_ref", tlb_handle_up_ref},
    {"free", tlb_handle_free}, {NULL, NULL},
};

static void *up_ref(void *object) {
    return tlslife_store_up_ref(object);
}

static void release(void *object) {
    tlslife_store_free(object);
}

static void describe(lua_State *L, void *object) {
    (void)object;
    lua_pushliteral(L, "open");
}

const tlb_type tlb_store_type = {
    .name = "tlslife.store",
    .size = sizeof(store_handle),
    .user_values = TLB_STORE_VALUES,
    .given_up = given_up,
    .up_ref = up_ref,
    .release = release,
    .describe = describe,
    .metamethods = tlb_handle_metamethods,
    .methods = {methods},
};
