/*
 * lstate.h: what the binding has once for each Lua state, and private userdata, which scripts
 * cannot forge. lstate.c.
 */
#ifndef TLSLIFE_LUA_LSTATE_H
#define TLSLIFE_LUA_LSTATE_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

/* Pushes one value, which is a copy of what the core has lent. */
typedef void (*tlb_copier)(lua_State *L, void *lent);

/* One for each Lua state. It outlives every handle of the state. */
typedef struct tlb_state {
    uintptr_t tag;
    int identities;  /* reference (luaL_ref) of the table from objects to their userdata */
    int owed_kib;    /* KiB of C memory that were taken since the collector was last told */
    int loops;       /* number of loops */
    unsigned run;    /* number of verbs since one last waited in a loop */
    tlb_copier copy; /* the function that tlb_copy_without_gc calls now */
    void *lent;      /* its argument */
} tlb_state;

/*
 * User values of a state: the functions of its loops, the connections whose coroutines wait for a
 * store (lloop.c), and the path of a key log or nil.
 */
enum {
    TLB_STATE_LOOPS = 1,
    TLB_STATE_LOOKUPS,
    TLB_STATE_KEYLOG,
    TLB_STATE_VALUES = TLB_STATE_KEYLOG
};

void tlb_open_state(lua_State *L); /* before anything else */
tlb_state *tlb_push_state(lua_State *L);
tlb_state *tlb_state_of(lua_State *L);
/* Pushes the table that the registry has at that address. Raises if a script has replaced it. */
void tlb_push_registered(lua_State *L, const void *key);
/*
 * Pushes a userdata for the binding's own use. It is zeroed except for the tag at its head. Its
 * metatable is the registry's at that key, if there is one.
 */
void *tlb_new_private(lua_State *L, const void *key, size_t size, int user_values);
/* The userdata at idx if tlb_new_private made it with that key, otherwise NULL. */
void *tlb_private(lua_State *L, int idx, const void *key, size_t size);

extern uintptr_t tlb_secret;

/* The tag of a type, or of a key of tlb_new_private. */
static inline uintptr_t tlb_tag(const void *type) {
    return tlb_secret ^ (uintptr_t)type;
}

/* Pushes a table that keeps none of its values from being collected. */
void tlb_push_weak_table(lua_State *L);
/* As luaL_error, for a function that cannot return what luaL_error is declared to return. */
_Noreturn void tlb_error(lua_State *L, const char *format, ...);
/* Raises, since a script with the debug library has changed the registry. */
_Noreturn void tlb_not_ours(lua_State *L);

#endif
