/*
 * identity.c: one userdata for each C object and Lua state.
 *
 * A weak-valued table leads from an object's address to its userdata. While a userdata holds a
 * reference the address cannot be another object's; when it lets go, its entry goes at the same
 * moment. Lua clears a dying userdata out of the table before its finalizer runs, so in between the
 * object may get another userdata: the finalizer therefore removes the entry only where it is its
 * own. (When a state closes, nothing is cleared, and the dead are still found: hence the same
 * check.)
 *
 * A method knows its self by a tag at the userdata's head: half of what comparing metatables costs,
 * and a getter is little else. The tag is the type's address under a secret of the process, so that
 * no script can put it into another module's memory; it is another one before the userdata has an
 * object, and once it is freed or collected.
 *
 * With the debug library a script reaches metatables, upvalues, user values, stacks and the
 * registry, and may put anything there. So a type is an upvalue by its number, every userdata is
 * known by its tag, and what must be a table is looked at.
 *
 * A userdata has a finalizer only while there is something to finalize: it gets its metatable
 * together with its object, and one without __gc when the script has freed it. To call a finalizer
 * for nothing costs a microsecond or so.
 *
 * What a call hands out counts one reference (conn:session(), conn:context(), cache:get(), up_ref,
 * dup), free() and the end of a scope give one back, and the collector the rest. They are counted
 * in the userdata, which has one of the core's. A script frees twice, frees in a finalizer, frees
 * inside a hook: the count is in the userdata, so the core sees its reference given back once.
 */
#include "binding.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Lowest bits of a tag, which no type's address has: */
enum { FREED = 1, CLOSED = 2 };

static const char state_key, asking_key, sweeper_key;

const char *tlb_short_name(const tlb_type *type) {
    return type->name + sizeof "tlslife." - 1;
}

static const char *ended(const tlb_type *type) {
    return type->up_ref ? "freed" : "closed";
}

/* ----------------------------------------------------------------------------------------- tags */

uintptr_t tlb_secret;

static void choose_secret(void) {
    if (getrandom(&tlb_secret, sizeof tlb_secret, GRND_NONBLOCK) != (ssize_t)sizeof tlb_secret) {
        tlb_secret = ~(uintptr_t)&tlb_secret; /* before the pool is filled: where we were loaded */
    }
}

const tlb_type *const tlb_handle_types[] = {&tlb_context_type, &tlb_conn_type,
                                            &tlb_session_type, &tlb_listener_type,
                                            &tlb_cache_type,   &tlb_store_type,
                                            &tlb_keyring_type, &tlb_ticket_keys_type,
                                            &tlb_poller_type,  NULL};

/* A type's number is its place there; the buffer's is that of the NULL. */
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

/* ------------------------------------------------------------------------------------ the state */

static tlb_state *new_state(lua_State *L) {
    tlb_state *state = lua_newuserdatauv(L, sizeof *state, TLB_STATE_VALUES);
    memset(state, 0, sizeof *state);
    state->tag = tlb_tag(&state_key);
    state->identities = LUA_NOREF;
    return state;
}

void tlb_open_state(lua_State *L) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose_secret);
    new_state(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
}

static void not_ours(lua_State *L) {
    luaL_error(L, "tlslife: what it keeps in the registry was changed");
}

tlb_state *tlb_push_state(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
    tlb_state *state = tlb_private(L, -1, &state_key, sizeof *state);
    if (!state) {
        not_ours(L);
    }
    return state;
}

void tlb_push_registered(lua_State *L, const void *key) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TTABLE) {
        not_ours(L);
    }
}

void *tlb_private(lua_State *L, int idx, const void *key, size_t size) {
    const uintptr_t *tag = lua_touserdata(L, idx);
    return tag && lua_rawlen(L, idx) >= size && *tag == tlb_tag(key) ? (void *)(uintptr_t)tag
                                                                     : NULL;
}

tlb_state *tlb_state_of(lua_State *L) {
    tlb_state *state = tlb_push_state(L);
    lua_pop(L, 1);
    return state;
}

/*
 * By a number, which costs a fourth of what an address does: it is asked for several times in each
 * handle's life.
 */
static void push_identities(lua_State *L, const tlb_state *state) {
    if (lua_rawgeti(L, LUA_REGISTRYINDEX, state->identities) != LUA_TTABLE) {
        not_ours(L);
    }
}

/* ------------------------------------------------------------------------------ the state's end */

/* What a script's finalizer asks for while the state closes gets a userdata, but Lua runs no finalizer for that any
 * more. So the oldest userdata of the module, whose own finalizer therefore runs after all others, lets go of whatever
 * is still known. */
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

static void push_weak_table(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

static void set_functions(lua_State *L, int table, size_t type, const luaL_Reg *functions) {
    lua_pushvalue(L, table);
    lua_pushinteger(L, (lua_Integer)type);
    luaL_setfuncs(L, functions, 1);
    lua_pop(L, 1);
}

/* The registry's key to the metatable of what was freed. */
static const void *freed_key(const tlb_type *type) {
    return (const char *)type + FREED;
}

/* As the metatable at the top, but without a finalizer. */
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
    push_weak_table(L);
    tlb_state_of(L)->identities = luaL_ref(L, LUA_REGISTRYINDEX);
    push_sweeper(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &sweeper_key);
    push_weak_table(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &asking_key);
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
    } else if (what) {
        luaL_error(L, "%s: the %s was %s", what, tlb_short_name(type), ended(type));
    } else {
        luaL_argerror(L, idx,
                      lua_pushfstring(L, "the %s was %s", tlb_short_name(type), ended(type)));
    }
    return NULL;
}

/* Pushes the name under which the running function is a method of its metatable. */
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

tlb_handle *tlb_bad_self(lua_State *L) {
    const tlb_type *type = tlb_own_type(L);
    bool own = tlb_test(L, 1, type) != NULL;
    const char *got = luaL_typename(L, 1), *name = tlb_short_name(type),
               *method = push_method_name(L);
    if (own) {
        luaL_error(L, "%s:%s(): the %s was %s", name, method, name, ended(type));
    }
    luaL_error(L, "%s:%s(): a %s expected as self, got %s: call it with ':'", name, method, name,
               got);
    abort(); /* luaL_error does not return, which its declaration does not say */
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

void *tlb_new_private(lua_State *L, const void *key, size_t size, int user_values) {
    uintptr_t *tag = lua_newuserdatauv(L, size, user_values);
    memset(tag, 0, size);
    *tag = tlb_tag(key);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) {
        lua_setmetatable(L, -2);
    } else {
        lua_pop(L, 1);
    }
    return tag;
}

/* The handle at idx is its object's from now on. */
static void remember(lua_State *L, int idx, const tlb_handle *handle) {
    push_identities(L, handle->state);
    lua_pushvalue(L, idx);
    lua_rawsetp(L, -2, handle->address);
    lua_pop(L, 1);
}

/* Where the object has another one by now, that stays. */
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

void tlb_revive(lua_State *L, int idx, const tlb_type *type) {
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

/* The collector's and the end of a scope's: memory and references, no I/O. */
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
 * What was freed is nothing to the collector but memory. (A context's handle may be brought back to
 * life.)
 */
static void retire(lua_State *L, tlb_handle *handle, const tlb_type *type) {
    if (type != &tlb_context_type) {
        handle->tag = tlb_tag(type) ^ FREED;
        tlb_push_registered(L, freed_key(type));
        lua_setmetatable(L, 1);
    }
}

/* One reference, of which the last takes the handle with it. */
static void give_one_up(lua_State *L, tlb_handle *handle, const tlb_type *type) {
    if (handle->refs > 1) {
        handle->refs--;
    } else {
        tlb_release(L, 1, type);
        retire(L, handle, type);
        tlb_memory_returned(handle->state, type->kib);
    }
}

/*
 * A variable that goes out of scope gives up the one reference that it was given: a dup's other one
 * stays.
 */
int tlb_handle_close(lua_State *L) {
    tlb_handle *handle = own_handle(L);
    if (handle && handle->object) {
        give_one_up(L, handle, tlb_own_type(L));
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
    give_one_up(L, self, type);
    return 0;
}

/* ---------------------------------------------------------------------------- who asks a script */

void tlb_set_asking(lua_State *L, tlb_conn *self, bool asking) {
    tlb_push_registered(L, &asking_key);
    if (asking) {
        lua_pushthread(L);
    } else {
        lua_pushnil(L);
    }
    lua_rawsetp(L, -2, self);
    lua_pop(L, 1);
    self->asking = asking;
}

bool tlb_is_asking(lua_State *L, tlb_conn *self) {
    tlb_push_registered(L, &asking_key);
    lua_rawgetp(L, -1, self);
    lua_State *thread = lua_tothread(L, -1);
    int status = thread ? lua_status(thread) : LUA_ERRRUN;
    lua_pop(L, 2);
    if (status != LUA_OK && status != LUA_YIELD) {
        tlb_set_asking(L, self, false);
    }
    return self->asking;
}
