/*
 * lstate.c: keeps what the binding has once for each Lua state, and makes and recognizes private
 * userdata.
 *
 * With the debug library a script can change the registry, and take userdata out of it. So what is
 * found there is checked. A private userdata is recognized by its size and by the tag at its head,
 * which no script can forge (identity.c).
 */
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lua/base/lstate.h"

static const char state_key;

/* ----------------------------------------------------------------------------------------- tags */

uintptr_t tlb_secret;

static void choose_secret(void) {
    if (getrandom(&tlb_secret, sizeof tlb_secret, GRND_NONBLOCK) != (ssize_t)sizeof tlb_secret) {
        /* If the kernel's pool is not filled yet, the secret is where the library was loaded. */
        tlb_secret = ~(uintptr_t)&tlb_secret;
    }
}

/* --------------------------------------------------------------------------------- the registry */

_Noreturn void tlb_error(lua_State *L, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    luaL_where(L, 1);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_concat(L, 2);
    lua_error(L);
    abort(); /* lua_error does not return, which its declaration does not say */
}

_Noreturn void tlb_not_ours(lua_State *L) {
    tlb_error(L, "tlslife: the module's values in the registry were changed");
}

void tlb_push_registered(lua_State *L, const void *key) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TTABLE) {
        tlb_not_ours(L);
    }
}

void tlb_push_weak_table(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

/* ----------------------------------------------------------------------------- private userdata */

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

void *tlb_private(lua_State *L, int idx, const void *key, size_t size) {
    const uintptr_t *tag = lua_touserdata(L, idx);
    return tag && lua_rawlen(L, idx) >= size && *tag == tlb_tag(key) ? (void *)(uintptr_t)tag
                                                                     : NULL;
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

tlb_state *tlb_push_state(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
    tlb_state *state = tlb_private(L, -1, &state_key, sizeof *state);
    if (!state) {
        tlb_not_ours(L);
    }
    return state;
}

tlb_state *tlb_state_of(lua_State *L) {
    tlb_state *state = tlb_push_state(L);
    lua_pop(L, 1);
    return state;
}
