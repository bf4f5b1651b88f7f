/*
 * lcache.c: implements tls.cache{} and the methods of a cache.
 *
 * A cache's userdata keeps its store's userdata alive, and each context that uses the cache keeps
 * the cache's. So Lua functions that are a store (lprogram.c) live as long as a connection may call
 * them, also after cache:free().
 *
 * The collector is not told of a cache's memory. The cache's capacity bounds it, and it is freed
 * with the last reference.
 */
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/base/lheld.h"
#include "lua/base/loptions.h"
#include "lua/base/lstate.h"
#include "lua/cache/lcache.h"
#include "lua/cache/lprogram.h"
#include "tlslife.h"

/* -------------------------------------------------------------------------------------- options */

static tlslife_cache_options *options_of(tlb_setting *s) {
    return s->into;
}

static tlslife_status set_capacity(tlb_setting *s) {
    options_of(s)->capacity = tlb_option_size(s, 0, LUA_MAXINTEGER);
    return TLSLIFE_OK;
}

static tlslife_status set_capacity_bytes(tlb_setting *s) {
    options_of(s)->capacity_bytes = tlb_option_size(s, 1, LUA_MAXINTEGER);
    return TLSLIFE_OK;
}

static tlslife_status set_timeout(tlb_setting *s) {
    options_of(s)->timeout_seconds = (long)tlb_option_integer(s, 1, INT_MAX);
    return TLSLIFE_OK;
}

static tlslife_status set_sessions_per_peer(tlb_setting *s) {
    options_of(s)->sessions_per_peer = tlb_option_size(s, 1, 16);
    return TLSLIFE_OK;
}

static tlslife_status set_in_memory(tlb_setting *s) {
    options_of(s)->in_memory = tlb_option_truth(s);
    return TLSLIFE_OK;
}

/* The store's userdata becomes a user value of the cache's. */
static tlslife_status set_store(tlb_setting *s) {
    if (lua_istable(s->L, TLB_VALUE)) {
        if (tlb_push_program(s) != TLSLIFE_OK) {
            return TLSLIFE_ERROR;
        }
    } else {
        tlb_check(s->L, TLB_VALUE, &tlb_store_type, s->what);
    }
    lua_setiuservalue(s->L, TLB_MADE, TLB_CACHE_STORE);
    return TLSLIFE_OK;
}

/*
 * Only checks the type. The reference is taken after all options were read, because until then a
 * finalizer might free the key ring.
 */
static tlslife_status set_keyring(tlb_setting *s) {
    tlb_check(s->L, TLB_VALUE, &tlb_keyring_type, s->what);
    return TLSLIFE_OK;
}

static const tlb_option rows[] = {
    {"capacity", TLB_INTEGER, set_capacity, false},
    {"capacity_bytes", TLB_INTEGER, set_capacity_bytes, false},
    {"timeout", TLB_INTEGER, set_timeout, false},
    {"sessions_per_peer", TLB_INTEGER, set_sessions_per_peer, false},
    {"keyring", TLB_TYPE_BIT(LUA_TUSERDATA), "tlslife.keyring", set_keyring, false},
    {"store", TLB_TYPE_BIT(LUA_TUSERDATA) | TLB_TYPE_BIT(LUA_TTABLE),
     "tlslife.store or table of functions", set_store, false},
    {"in_memory", TLB_BOOLEAN, set_in_memory, false},
    {NULL, 0, NULL, NULL, false},
};

int tlb_cache_new(lua_State *L) {
    tlslife_cache_options options = tlslife_cache_defaults();
    tlb_setting s = {.L = L, .into = &options};
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    tlb_read_options(L, rows);
    tlb_new(L, &tlb_cache_type);
    if (!tlb_set_options(&s, rows)) {
        return tlb_fail(L, &s.err, s.what);
    }
    if (lua_getiuservalue(L, TLB_MADE, TLB_CACHE_STORE) != LUA_TNIL) {
        options.store = tlb_check(L, -1, &tlb_store_type, "option 'store'")->object;
    }
    if (tlb_push_option(&s, "keyring") != LUA_TNIL) {
        options.keyring = tlb_check(L, -1, &tlb_keyring_type, "option 'keyring'")->object;
    }
    tlslife_cache *cache = tlslife_cache_new(&options, &s.err);
    if (!cache) {
        return tlb_fail(L, &s.err, "cache");
    }
    lua_settop(L, TLB_MADE);
    tlb_fill(L, &tlb_cache_type, cache);
    return 1;
}

/* ------------------------------------------------------------------------------------- sessions */

static tlslife_cache *self_cache(lua_State *L) {
    return tlb_self(L, &tlb_cache_type)->object;
}

static int cache_put(lua_State *L) {
    tlslife_cache *self = self_cache(L);
    lua_pushboolean(L, tlslife_cache_put(self, tlb_check(L, 2, &tlb_session_type, NULL)->object));
    return 1;
}

typedef tlslife_session *(*finder)(tlslife_cache *cache, const unsigned char *id, size_t id_len);

/*
 * The userdata is made before the session is looked up, because making it may run a finalizer,
 * which may free self.
 */
static int find_by(lua_State *L, finder find) {
    size_t len;
    const char *id = tlb_bytes(L, 2, &len);
    tlb_new(L, &tlb_session_type);
    tlslife_session *session = find(self_cache(L), (const unsigned char *)id, len);
    if (session) {
        tlb_settle(L, &tlb_session_type, session);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int cache_get(lua_State *L) {
    self_cache(L);
    return find_by(L, tlslife_cache_get);
}

static int cache_take(lua_State *L) {
    self_cache(L);
    return find_by(L, tlslife_cache_take);
}

/*
 * If the store is Lua functions, they are called now, because there may be no connection left to do
 * it.
 */
static int cache_remove(lua_State *L) {
    tlslife_cache *self = self_cache(L);
    size_t len;
    const char *id = tlb_bytes(L, 2, &len);
    lua_getiuservalue(L, 1, TLB_CACHE_STORE);
    bool tells = tlb_is_program(L, -1);
    lua_pushboolean(L, tlslife_cache_remove(self, (const unsigned char *)id, len));
    return tells ? tlb_tell(L, 1) : 1;
}

static int cache_flush(lua_State *L) {
    tlslife_cache *self = self_cache(L);
    lua_pushinteger(L, (lua_Integer)tlslife_cache_flush(self, tlb_optional_boolean(L, 2)));
    return 1;
}

/* -------------------------------------------------------------------------------------- content */

static int cache_stats(lua_State *L) {
    tlslife_cache_stats stats;
    tlslife_cache_get_stats(self_cache(L), &stats);
    lua_createtable(L, 0, 12);
    tlb_set_integer(L, "entries", (lua_Integer)stats.entries);
    tlb_set_integer(L, "bytes", (lua_Integer)stats.bytes);
    tlb_set_integer(L, "puts", (lua_Integer)stats.puts);
    tlb_set_integer(L, "hits", (lua_Integer)stats.hits);
    tlb_set_integer(L, "misses", (lua_Integer)stats.misses);
    tlb_set_integer(L, "store_hits", (lua_Integer)stats.store_hits);
    tlb_set_integer(L, "expired", (lua_Integer)stats.expired);
    tlb_set_integer(L, "evicted", (lua_Integer)stats.evicted);
    tlb_set_integer(L, "bad", (lua_Integer)stats.bad);
    tlb_set_integer(L, "too_big", (lua_Integer)stats.too_big);
    tlb_set_integer(L, "store_errors", (lua_Integer)stats.store_errors);
    tlb_set_integer(L, "not_opened", (lua_Integer)stats.not_opened);
    return 1;
}

static int cache_len(lua_State *L) {
    tlslife_cache_stats stats;
    tlslife_cache_get_stats(self_cache(L), &stats);
    lua_pushinteger(L, (lua_Integer)stats.entries);
    return 1;
}

/*
 * The state of an iteration over entries: the entries that were fetched, and which one comes next.
 */
typedef struct listing {
    uintptr_t tag;
    uint64_t cursor;
    size_t len, next;
    tlslife_cache_entry entries[16];
} listing;

static const char listing_key;

static void push_entry(lua_State *L, const tlslife_cache_entry *entry) {
    lua_createtable(L, 0, 6);
    lua_pushlstring(L, (const char *)entry->id, entry->id_len);
    lua_setfield(L, -2, "id");
    lua_pushboolean(L, entry->client);
    lua_setfield(L, -2, "client");
    tlb_set_string(L, "protocol", entry->protocol);
    tlb_set_string(L, "peer", entry->peer);
    tlb_set_integer(L, "time", entry->time);
    tlb_set_integer(L, "expires", entry->expires);
}

static int next_entry(lua_State *L) {
    listing *list = tlb_private(L, lua_upvalueindex(2), &listing_key, sizeof *list);
    if (!list) {
        return luaL_error(L, "cache:entries(): the iteration was changed");
    }
    if (list->next == list->len) {
        const tlb_handle *cache = tlb_live(L, lua_upvalueindex(1), &tlb_cache_type);
        if (!cache) {
            return luaL_error(L, "cache:entries(): the cache was freed");
        }
        list->next = 0;
        list->len = tlslife_cache_entries(cache->object, &list->cursor, list->entries,
                                          sizeof list->entries / sizeof *list->entries);
    }
    if (list->len == 0) {
        lua_pushnil(L);
    } else {
        push_entry(L, &list->entries[list->next++]);
    }
    return 1;
}

static int cache_entries(lua_State *L) {
    self_cache(L);
    lua_settop(L, 1);
    tlb_new_private(L, &listing_key, sizeof(listing), 0);
    lua_pushcclosure(L, next_entry, 2);
    return 1;
}

/* ---------------------------------------------------------------------------- export and import */

static int cache_export(lua_State *L) {
    self_cache(L);
    bool with_certificates = tlb_optional_boolean(L, 3);
    tlslife_error err;
    tlb_held *held = tlb_hold(L);
    tlslife_keyring *keyring = tlb_check(L, 2, &tlb_keyring_type, NULL)->object;
    if (tlslife_cache_export(self_cache(L), keyring, with_certificates, &held->bytes,
                             &held->bytes_len, &err) != TLSLIFE_OK) {
        return tlb_fail(L, &err, NULL);
    }
    lua_pushlstring(L, (const char *)held->bytes, held->bytes_len);
    tlb_held_clear(held);
    return 1;
}

static int cache_import(lua_State *L) {
    tlslife_cache *self = self_cache(L);
    tlslife_keyring *keyring = tlb_check(L, 2, &tlb_keyring_type, NULL)->object;
    size_t len, sessions = 0;
    const char *bytes = tlb_bytes(L, 3, &len);
    tlslife_error err;
    if (tlslife_cache_import(self, keyring, (const unsigned char *)bytes, len, &sessions, &err) !=
        TLSLIFE_OK) {
        return tlb_fail(L, &err, NULL);
    }
    lua_pushinteger(L, (lua_Integer)sessions);
    return 1;
}

/* ----------------------------------------------------------------------------------------- type */

static const luaL_Reg methods[] = {
    {"put", cache_put},         {"get", cache_get},
    {"take", cache_take},       {"remove", cache_remove},
    {"flush", cache_flush},     {"stats", cache_stats},
    {"entries", cache_entries}, {"export", cache_export},
    {"import", cache_import},   {"up_ref", tlb_handle_up_ref},
    {"free", tlb_handle_free},  {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", tlb_handle_gc},
    {"__close", tlb_handle_close},
    {"__tostring", tlb_handle_tostring},
    {"__len", cache_len},
    {NULL, NULL},
};

static void *up_ref(void *object) {
    return tlslife_cache_up_ref(object);
}

static void release(void *object) {
    tlslife_cache_free(object);
}

static void describe(lua_State *L, void *object) {
    tlslife_cache_stats stats;
    tlslife_cache_get_stats(object, &stats);
    lua_pushfstring(L, "%I sessions", (LUAI_UACINT)stats.entries);
}

const tlb_type tlb_cache_type = {
    .name = "tlslife.cache",
    .size = sizeof(tlb_handle),
    .user_values = TLB_CACHE_VALUES,
    .up_ref = up_ref,
    .release = release,
    .describe = describe,
    .metamethods = metamethods,
    .methods = {methods},
};
