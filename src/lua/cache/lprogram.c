/*
 * lprogram.c: makes a table of Lua functions the external store of a cache: { get =, put =, remove
 * =, take = }.
 *
 * The core asks by statuses and reports by a queue. This file turns both into calls, outside of the
 * core and of OpenSSL. A lookup is one of the handshake's questions (lquestion.c): the verb that
 * met it calls get, which may yield. Puts and removes are passed on when a verb has its results and
 * before it returns them, so a script needs no loop of its own for them. Events that the collector
 * has caused wait for the next verb of any connection of the cache, because no function is called
 * in a finalizer.
 *
 * The functions are user values of the store's userdata. They are read once, so a later change of
 * the table has no effect. Whatever they raise or return, the handshake continues, at worst as a
 * full one. Their errors go to warn().
 *
 * An attacker would want a session to stay in the store after it was taken, in order to offer its
 * early data twice. If there is no take, remove must have returned before get's answer counts. Two
 * lookups at once may still both get the session, so types.lua asks for a take where that matters.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/lerror.h"
#include "lua/base/loptions.h"
#include "lua/cache/lprogram.h"
#include "tlslife.h"

enum { KEY = 32 };

tlslife_status tlb_push_program(tlb_setting *s) {
    static const char *const names[] = {"get", "put", "remove", "take", NULL};
    tlb_check_fields(s, TLB_VALUE, names);
    tlb_new(s->L, &tlb_store_type);
    tlslife_store *store = tlslife_store_program(&s->err);
    if (!store) {
        return TLSLIFE_ERROR;
    }
    tlb_fill(s->L, &tlb_store_type, store);
    for (int i = 0; names[i]; i++) {
        lua_pushstring(s->L, names[i]);
        int type = lua_rawget(s->L, TLB_VALUE);
        if (type != LUA_TFUNCTION && (type != LUA_TNIL || TLB_STORE_GET + i != TLB_STORE_TAKE)) {
            luaL_error(s->L, "%s: %s is a %s, not a function", s->what, names[i],
                       lua_typename(s->L, type));
        }
        lua_setiuservalue(s->L, -2, TLB_STORE_GET + i);
    }
    return TLSLIFE_OK;
}

bool tlb_is_program(lua_State *L, int idx) {
    if (!tlb_test(L, idx, &tlb_store_type)) {
        return false;
    }
    bool program = lua_getiuservalue(L, idx, TLB_STORE_GET) == LUA_TFUNCTION;
    lua_pop(L, 1);
    return program;
}

/* -------------------------------------------------------------------------------------- lookups */

/* The stack is: key, get, remove, get's result. */
static int removed(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    lua_settop(L, 4);
    return 1;
}

static int gotten(lua_State *L, int status, lua_KContext context) {
    if (lua_type(L, 4) != LUA_TSTRING) {
        return 1;
    }
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 0, 0, removed);
    return removed(L, status, context);
}

static int get_and_remove(lua_State *L) {
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 1, 0, gotten);
    return gotten(L, LUA_OK, 0);
}

/*
 * Pushes the function to call with the key at idx, for the store at idx + 1, and its arguments.
 * Returns the number of arguments, or -1 if the store is not Lua functions.
 */
static int push_call(lua_State *L, int idx, bool take) {
    if (!tlb_is_program(L, idx + 1)) {
        return -1;
    }
    if (lua_getiuservalue(L, idx + 1, take ? TLB_STORE_TAKE : TLB_STORE_GET) == LUA_TFUNCTION) {
        lua_pushvalue(L, idx);
        return 1;
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, get_and_remove);
    lua_pushvalue(L, idx);
    lua_getiuservalue(L, idx + 1, TLB_STORE_GET);
    lua_getiuservalue(L, idx + 1, TLB_STORE_REMOVE);
    return 3;
}

int tlb_push_lookup(lua_State *L, tlb_conn *self) {
    tlslife_lookup lookup;
    int top = lua_gettop(L), arguments = -1;
    if (!tlslife_conn_lookup(tlb_conn_object(self), &lookup)) {
        return -1;
    }
    tlslife_store *store = lookup.store;
    lua_pushlstring(L, (const char *)lookup.key.data, lookup.key.len);
    if (tlb_known(L, &tlb_store_type, store)) {
        arguments = push_call(L, top + 1, lookup.take);
    }
    if (arguments < 0) {
        lua_settop(L, top);
        return -1;
    }
    lua_rotate(L, top + 1, -2); /* the function and its arguments go below the key and the store */
    lua_pop(L, 2);
    return arguments;
}

/*
 * A store with nothing to wait for is Lua functions. If another thread has changed the lookup in
 * the meantime, the core does not take the answer.
 */
bool tlb_miss_lookup(tlb_conn *self) {
    tlslife_lookup lookup;
    tlslife_conn *conn = tlb_conn_object(self);
    bool writing = false;
    int timeout_ms = -1;
    if (!tlslife_conn_lookup(conn, &lookup) ||
        tlslife_store_fd(lookup.store, &writing, &timeout_ms) >= 0 || timeout_ms >= 0) {
        return false;
    }
    return tlslife_conn_answer_session(conn, NULL, 0) == TLSLIFE_OK;
}

tlslife_status tlb_answer_lookup(lua_State *L, tlb_conn *self, int idx, bool failed) {
    tlslife_conn *conn = tlb_conn_object(self);
    size_t len = 0;
    const char *sealed = lua_type(L, idx) == LUA_TSTRING ? lua_tolstring(L, idx, &len) : NULL;
    if (failed) {
        return tlslife_conn_fail_session(conn);
    }
    return tlslife_conn_answer_session(conn, (const unsigned char *)sealed, len);
}

/* ----------------------------------------------------------------------------- puts and removes */

/*
 * Pushes the function that is to be called for the next event, and its arguments. Returns the
 * number of arguments, which is 0 if there is no event.
 */
static int push_event(lua_State *L, tlslife_store *store, int idx, const char **out_name) {
    tlslife_store_event event;
    char key[KEY];
    if (!tlslife_store_next(store, &event)) {
        return 0;
    }
    *out_name = event.put ? "put" : "remove";
    memcpy(key, event.key.data, sizeof key);
    lua_getiuservalue(L, idx, event.put ? TLB_STORE_PUT : TLB_STORE_REMOVE);
    if (!event.put) {
        bool any = event.sealed.len == 0;
        if (!any) {
            lua_pushlstring(L, (const char *)event.sealed.data, event.sealed.len);
        }
        lua_pushlstring(L, key, sizeof key);
        if (!any) {
            lua_insert(L, -2);
        }
        return any ? 1 : 2;
    }
    lua_Integer lifetime = event.lifetime_seconds;
    /*
     * The bytes and the key are copied before the collector can run a finalizer, whose verbs would
     * take the next event and free this one.
     */
    lua_pushlstring(L, (const char *)event.sealed.data, event.sealed.len);
    lua_pushlstring(L, key, sizeof key);
    lua_insert(L, -2);
    lua_pushinteger(L, lifetime);
    return 3;
}

static int told(lua_State *L, int status, lua_KContext context);

/* The stack is: the store, the results. */
int tlb_tell(lua_State *L, int results) {
    int idx = lua_gettop(L) - results;
    const char *name = NULL;
    const tlb_handle *store;
    while ((store = tlb_live(L, idx, &tlb_store_type)) != NULL) {
        int arguments = push_event(L, store->object, idx, &name);
        if (arguments == 0) {
            break;
        }
        lua_KContext context = results << 1 | (name[0] == 'p');
        if (lua_pcallk(L, arguments, 0, 0, context, told) != LUA_OK) {
            tlb_warn(L, name[0] == 'p' ? "a store's put" : "a store's remove");
        }
    }
    return results;
}

static int told(lua_State *L, int status, lua_KContext context) {
    if (status != LUA_YIELD) {
        tlb_warn(L, context & 1 ? "a store's put" : "a store's remove");
    }
    return tlb_tell(L, (int)(context >> 1));
}

int tlb_conn_tell(lua_State *L, int results) {
    if (!tlb_test(L, 1, &tlb_conn_type)) {
        return results;
    }
    lua_getiuservalue(L, 1, TLB_CONN_STORE);
    lua_insert(L, -1 - results);
    return tlb_tell(L, results);
}
