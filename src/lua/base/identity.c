/*
 * identity.c: gives each C object one userdata in each Lua state, and counts the references of a
 * script.
 *
 * A weak-valued table (the identities) leads from an object's address to its userdata. While a
 * userdata holds a reference, no other object can have that address. The entry is removed at the
 * moment at which the userdata releases its object. Lua clears a dying userdata out of the table
 * before its finalizer runs, so the object may get another userdata in between. Therefore the
 * finalizer removes the entry only if it is its own. (When a state closes, Lua clears nothing, and
 * a dead userdata can still be found. The same check covers that.)
 *
 * A method recognizes self by a tag at the userdata's head. That costs half as much as to compare
 * metatables, which counts in a getter. The tag is the type's address combined with a secret of the
 * process, so no script can forge it in another module's memory. The tag has another value before
 * the userdata has an object, and after it was freed or collected.
 *
 * With the debug library a script can change metatables, upvalues, user values, stacks and the
 * registry. So an upvalue holds a type's number instead of a pointer, every userdata is recognized
 * by its tag, and whatever must be a table is checked.
 *
 * A userdata has a finalizer only while there is something to finalize: it gets its metatable
 * together with its object, and a metatable without __gc when the script frees it. To call a
 * finalizer for nothing costs about a microsecond.
 *
 * Each call that hands an object out counts one reference (conn:session(), conn:context(),
 * cache:get(), up_ref, dup). free() and the end of a scope give one back, and the collector gives
 * back the rest. The count is in the userdata, which itself holds one reference of the core. So the
 * core sees that reference given back once, even if a script frees twice, in a finalizer or inside
 * a hook.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lmemory.h"
#include "lua/base/lstate.h"

/* The lowest bits of a tag, which are 0 in a type's address. */
enum { FREED = 1, CLOSED = 2 };

static const char sweeper_key;

const char *tlb_short_name(const tlb_type *type) {
    return type->name + sizeof "tlslife." - 1;
}

static const char *ended(const tlb_type *type) {
    return type->up_ref ? "freed" : "closed";
}

const tlb_type *const tlb_handle_types[] = {&tlb_context_type,
                                            &tlb_conn_type,
                                            &tlb_session_type,
                                            &tlb_listener_type,
                                            &tlb_cache_type,
                                            &tlb_store_type,
                                            &tlb_keyring_type,
                                            &tlb_ticket_keys_type,
                                            &tlb_poller_type,
                                            &tlb_trace_type,
                                            NULL};

/* A type's number is its index in tlb_handle_types. The buffer's is the index of the NULL. */
enum { TYPES = sizeof tlb_handle_types / sizeof *tlb_handle_types };

static const tlb_type *type_of(size_t number) {
    return number < TYPES - 1 ? tlb_handle_types[number] : &tlb_buffer_type;
}

const tlb_type *tlb_own_type(lua_State *L) {
    lua_Integer number = lua_tointeger(L, lua_upvalueindex(1));
    if (number < 0 || number >= TYPES) {
        luaL_error(L, "tlslife: an upvalue of this method was changed");
    }
    return type_of((size_t)number);
}

/* ------------------------------------------------------------------------------ the identities */

/*
 * The table is found by a number (luaL_ref), which costs a fourth of what an address does. It is
 * needed several times in the life of each handle.
 */
static void push_identities(lua_State *L, const tlb_state *state) {
    if (lua_rawgeti(L, LUA_REGISTRYINDEX, state->identities) != LUA_TTABLE) {
        tlb_not_ours(L);
    }
}

/* ------------------------------------------------------------------------------ the state's end */

/*
 * If a script's finalizer makes objects while the state closes, Lua does not run the finalizers of
 * their userdata any more. The sweeper is the oldest userdata of the module, so its finalizer runs
 * after all others, and releases all objects that are still known.
 */
static int sweep(lua_State *L) {
    push_identities(L, tlb_state_of(L));
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        int idx = lua_gettop(L);
        for (const tlb_type *const *type = tlb_handle_types; *type; type++) {
            tlb_handle *handle = tlb_live(L, idx, *type);
            if (handle) {
                tlb_release(L, idx, *type);
                handle->tag = tlb_tag(*type) ^ FREED;
            }
        }
    }
    return 0;
}

static const luaL_Reg sweeper_metamethods[] = {{"__gc", sweep}, {NULL, NULL}};

static void push_sweeper(lua_State *L) {
    lua_newuserdatauv(L, 0, 0);
    luaL_newlib(L, sweeper_metamethods);
    lua_setmetatable(L, -2);
}

/* ---------------------------------------------------------------------------------------- types */

static void set_functions(lua_State *L, int table, size_t type, const luaL_Reg *functions) {
    lua_pushvalue(L, table);
    lua_pushinteger(L, (lua_Integer)type);
    luaL_setfuncs(L, functions, 1);
    lua_pop(L, 1);
}

/* The registry's key of the metatable of freed userdata. */
static const void *freed_key(const tlb_type *type) {
    return (const char *)type + FREED;
}

/* Makes the metatable of freed userdata: a copy of the one at the top without a finalizer. */
static void open_freed(lua_State *L, const tlb_type *type) {
    int metatable = lua_gettop(L);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, metatable); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, metatable + 1);
    }
    lua_pushnil(L);
    lua_setfield(L, -2, "__gc");
    lua_rawsetp(L, LUA_REGISTRYINDEX, freed_key(type));
}

static void open_type(lua_State *L, size_t number) {
    const tlb_type *type = type_of(number);
    lua_newtable(L);
    lua_newtable(L);
    int methods = lua_gettop(L) - 1;
    for (int i = 0; type->methods[i]; i++) {
        set_functions(L, methods, number, type->methods[i]);
    }
    set_functions(L, methods + 1, number, type->metamethods);
    lua_pushvalue(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, type->name);
    lua_setfield(L, -2, "__name");
    open_freed(L, type);
    lua_rawsetp(L, LUA_REGISTRYINDEX, type);
    lua_pop(L, 1);
}

void tlb_open_types(lua_State *L) {
    tlb_push_weak_table(L);
    tlb_state_of(L)->identities = luaL_ref(L, LUA_REGISTRYINDEX);
    push_sweeper(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &sweeper_key);
    for (size_t i = 0; i < TYPES; i++) {
        open_type(L, i);
    }
}

/* --------------------------------------------------------------------------------------- checks */

void *tlb_test(lua_State *L, int idx, const tlb_type *type) {
    void *live = tlb_private(L, idx, type, type->size);
    tlb_handle *handle = live ? live : tlb_private(L, idx, freed_key(type), type->size);
    return live || (handle && !handle->object) ? handle : NULL;
}

void tlb_check_same(lua_State *L, const tlb_type *type, const void *self) {
    if (!self || tlb_test(L, 1, type) != self) {
        luaL_error(L, "the %s was changed under its own call", tlb_short_name(type));
    }
}

tlb_handle *tlb_check(lua_State *L, int idx, const tlb_type *type, const char *what) {
    tlb_handle *live = tlb_live(L, idx, type);
    if (live) {
        return live;
    }
    if (!tlb_test(L, idx, type)) {
        tlb_type_error(L, idx, what, type->name);
    }
    if (!what) {
        luaL_argerror(L, idx,
                      lua_pushfstring(L, "the %s was %s", tlb_short_name(type), ended(type)));
    }
    tlb_error(L, "%s: the %s was %s", what, tlb_short_name(type), ended(type));
}

/* Pushes the running method's name, which its metatable has for the function. */
static const char *push_method_name(lua_State *L) {
    lua_Debug ar;
    lua_getstack(L, 0, &ar);
    lua_getinfo(L, "f", &ar);
    int function = lua_gettop(L);
    tlb_push_registered(L, tlb_own_type(L));
    lua_pushliteral(L, "__index");
    if (lua_rawget(L, -2) != LUA_TTABLE) {
        return "?";
    }
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        bool found = lua_rawequal(L, -1, function);
        lua_pop(L, 1);
        if (found) {
            return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
        }
    }
    return "?";
}

_Noreturn tlb_handle *tlb_bad_self(lua_State *L) {
    const tlb_type *type = tlb_own_type(L);
    bool own = tlb_test(L, 1, type) != NULL;
    const char *got = luaL_typename(L, 1), *name = tlb_short_name(type),
               *method = push_method_name(L);
    if (own) {
        luaL_error(L, "%s:%s(): the %s was %s", name, method, name, ended(type));
    }
    tlb_error(L, "%s:%s(): a %s expected as self, got %s: call it with ':'", name, method, name,
              got);
}

/* -------------------------------------------------------------------------------------- handles */

tlb_handle *tlb_new(lua_State *L, const tlb_type *type) {
    tlb_handle *handle = lua_newuserdatauv(L, type->size, type->user_values);
    memset(handle, 0, type->size);
    handle->tag = tlb_tag(type) ^ CLOSED;
    handle->state = tlb_state_of(L);
    return handle;
}

bool tlb_is_closed(lua_State *L, int idx, const tlb_type *type) {
    return tlb_private(L, idx, (const char *)type + CLOSED, type->size) != NULL;
}

/* Registers the handle at idx for its object. */
static void remember(lua_State *L, int idx, const tlb_handle *handle) {
    push_identities(L, handle->state);
    lua_pushvalue(L, idx);
    lua_rawsetp(L, -2, handle->address);
    lua_pop(L, 1);
}

/* Removes the handle's registration. If the object has another userdata by now, that one stays. */
static void forget(lua_State *L, const tlb_handle *handle) {
    int top = lua_gettop(L);
    push_identities(L, handle->state);
    lua_rawgetp(L, -1, handle->address);
    if (lua_touserdata(L, -1) == handle) {
        lua_pushnil(L);
        lua_rawsetp(L, top + 1, handle->address);
    }
    lua_settop(L, top);
}

void tlb_fill(lua_State *L, const tlb_type *type, void *object) {
    int idx = lua_gettop(L);
    tlb_handle *handle = lua_touserdata(L, idx);
    handle->object = handle->address = object;
    handle->refs = 1;
    handle->tag = tlb_tag(type);
    tlb_push_registered(L, type);
    lua_setmetatable(L, idx);
    remember(L, idx, handle);
    tlb_memory_taken(L, handle->state, type->kib);
}

tlb_handle *tlb_known(lua_State *L, const tlb_type *type, const void *object) {
    push_identities(L, tlb_state_of(L));
    lua_rawgetp(L, -1, object);
    lua_remove(L, -2);
    tlb_handle *handle = tlb_live(L, -1, type);
    if (!handle) {
        lua_pop(L, 1);
    }
    return handle;
}

int tlb_handle_counted(tlb_handle *handle) {
    handle->refs += handle->refs < SIZE_MAX;
    return 1;
}

void tlb_settle(lua_State *L, const tlb_type *type, void *object) {
    tlb_handle *known = tlb_known(L, type, object);
    if (!known) {
        tlb_fill(L, type, object);
        return;
    }
    lua_remove(L, -2);
    tlb_handle_counted(known);
    if (type->up_ref) {
        type->release(object);
    }
}

void tlb_share(lua_State *L, const tlb_type *type, void *object) {
    if (!object) {
        lua_pushnil(L);
        return;
    }
    if (type->up_ref) {
        type->up_ref(object);
    }
    tlb_settle(L, type, object);
}

void tlb_push(lua_State *L, const tlb_type *type, void *object) {
    if (!object) {
        lua_pushnil(L);
    } else if (!tlb_known(L, type, object)) {
        tlb_new(L, type);
        tlb_share(L, type, object);
    }
}

void tlb_refill(lua_State *L, int idx, const tlb_type *type) {
    tlb_handle *handle = lua_touserdata(L, idx);
    remember(L, idx, handle);
    handle->object = type->up_ref(handle->address);
    handle->refs = 1;
}

void tlb_release(lua_State *L, int idx, const tlb_type *type) {
    tlb_handle *handle = lua_touserdata(L, idx);
    void *object = handle->object;
    if (!object) {
        return;
    }
    forget(L, handle);
    handle->object = NULL;
    handle->refs = 0;
    type->release(object);
    if (type->given_up) {
        type->given_up(L, idx);
    }
}

/* ----------------------------------------------------------------------- what all handles share */

/*
 * The handle at index 1, for metamethods: NULL if it is something else. They run in the collector
 * and at the end of a scope, so they release memory and references, and do no I/O.
 */
static tlb_handle *own_handle(lua_State *L) {
    const tlb_type *type = tlb_own_type(L);
    return tlb_test(L, 1, type);
}

int tlb_handle_gc(lua_State *L) {
    tlb_handle *handle = own_handle(L);
    if (handle) {
        tlb_release(L, 1, tlb_own_type(L));
        handle->tag = tlb_tag(tlb_own_type(L)) ^ FREED;
    }
    return 0;
}

/*
 * Marks the handle as freed, after which the collector treats it as plain memory. (A context's
 * handle may be filled again.)
 */
static void set_freed(lua_State *L, tlb_handle *handle, const tlb_type *type) {
    if (type != &tlb_context_type) {
        handle->tag = tlb_tag(type) ^ FREED;
        tlb_push_registered(L, freed_key(type));
        lua_setmetatable(L, 1);
    }
}

/* Gives up one reference of the script. With the last one the handle releases its object. */
static void give_up_reference(lua_State *L, tlb_handle *handle, const tlb_type *type) {
    if (handle->refs > 1) {
        handle->refs--;
    } else {
        tlb_release(L, 1, type);
        set_freed(L, handle, type);
        tlb_memory_returned(handle->state, type->kib);
    }
}

/*
 * A variable that goes out of scope gives up the one reference that it was given. Other references,
 * such as a dup's, stay.
 */
int tlb_handle_close(lua_State *L) {
    tlb_handle *handle = own_handle(L);
    if (handle && handle->object) {
        give_up_reference(L, handle, tlb_own_type(L));
    }
    return 0;
}

int tlb_handle_tostring(lua_State *L) {
    const tlb_type *type = tlb_own_type(L);
    tlb_handle *handle = own_handle(L);
    if (!handle) {
        return tlb_type_error(L, 1, NULL, type->name);
    }
    if (handle->object) {
        type->describe(L, handle->object);
    } else {
        lua_pushstring(L, ended(type));
    }
    lua_pushfstring(L, "%s: %p (%s)", type->name, (void *)handle, lua_tostring(L, -1));
    return 1;
}

const luaL_Reg tlb_handle_metamethods[] = {
    {"__gc", tlb_handle_gc},
    {"__close", tlb_handle_close},
    {"__tostring", tlb_handle_tostring},
    {NULL, NULL},
};

int tlb_handle_up_ref(lua_State *L) {
    tlb_handle_counted(tlb_self(L, tlb_own_type(L)));
    lua_settop(L, 1);
    return 1;
}

int tlb_handle_free(lua_State *L) {
    const tlb_type *type = tlb_own_type(L);
    tlb_handle *self = tlb_self(L, type);
    give_up_reference(L, self, type);
    return 0;
}
