/*
 * identity.h: declares handles, which are the userdata of C objects. A Lua state has one handle for
 * each object. identity.c implements them.
 *
 * A hostile script may call a method on a freed handle or on another object, from a finalizer, from
 * a hook or from two coroutines at once, and may pass numbers out of range. Each of these calls
 * raises or returns "busy". None reaches the core.
 *
 * Making a string, a table or a userdata may run a finalizer, and a finalizer may free any handle,
 * self included. Therefore a method first makes what it needs, and then looks at self (again). What
 * an object lends is copied before anything is made, or while the collector is stopped
 * (tlb_copy_without_gc).
 */
#ifndef TLSLIFE_LUA_IDENTITY_H
#define TLSLIFE_LUA_IDENTITY_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lua/base/lstate.h"

/* The head of every userdata except a buffer's; most consist of nothing else. */
typedef struct tlb_handle {
    uintptr_t tag; /* tlb_tag of its type, or one of the two tags that are derived from it */
    void *object;  /* NULL after the handle has given its object up */
    void *address; /* the object's address, also after it was given up */
    size_t refs;   /* references that the script was given; the core counts one for all of them */
    tlb_state *state;
} tlb_handle;

/* One for each kind of object. Its address is the registry's key of the metatable. */
typedef struct tlb_type {
    const char *name; /* "tlslife.connection" */
    size_t size;      /* bytes of the userdata */
    int user_values;
    /* KiB of C memory behind one object, roughly, which the collector cannot see */
    int kib;
    void *(*up_ref)(void *object); /* NULL if the object has no reference count */
    void (*release)(void *object); /* gives up one reference */
    /* Drops what else the userdata keeps for its object. May be NULL. */
    void (*given_up)(lua_State *L, int idx);
    void (*describe)(lua_State *L, void *object); /* pushes what tostring says in brackets */
    const luaL_Reg *metamethods;
    const luaL_Reg *methods[6]; /* NULL after the last */
} tlb_type;

extern const tlb_type tlb_context_type, tlb_conn_type, tlb_session_type, tlb_listener_type,
    tlb_buffer_type, tlb_cache_type, tlb_store_type, tlb_keyring_type, tlb_ticket_keys_type,
    tlb_poller_type, tlb_trace_type;
/* All handle types, with NULL after the last. A buffer is not a handle. */
extern const tlb_type *const tlb_handle_types[];

/*
 * The type of the running method. Every method is a closure over its type's number; raises if a
 * script has changed that upvalue.
 */
const tlb_type *tlb_own_type(lua_State *L);
void tlb_open_types(lua_State *L);                /* makes the metatables, once for each state */
const char *tlb_short_name(const tlb_type *type); /* "connection" */
/* The userdata at idx if it is of this type, freed or not; otherwise NULL. */
void *tlb_test(lua_State *L, int idx, const tlb_type *type);
/*
 * As tlb_test, but raises if it is of another type or was freed. what names the argument in the
 * message ("option 'x'"). If it is NULL, the message has the argument's number.
 */
tlb_handle *tlb_check(lua_State *L, int idx, const tlb_type *type, const char *what);
/* Metamethods and methods that the counted types share. */
int tlb_handle_gc(lua_State *L);
int tlb_handle_close(lua_State *L);
int tlb_handle_tostring(lua_State *L);
int tlb_handle_up_ref(lua_State *L);
int tlb_handle_free(lua_State *L);
extern const luaL_Reg tlb_handle_metamethods[]; /* for a type without metamethods of its own */
/* Counts one more reference of the script. Returns 1. */
int tlb_handle_counted(tlb_handle *handle);
/*
 * Raises for the first argument of a method that was freed or is another object. The message is as
 * "connection:read(): the connection was freed".
 */
_Noreturn tlb_handle *tlb_bad_self(lua_State *L);

/*
 * Raises unless the value at index 1 is still this userdata. For use after functions of the script
 * were called.
 */
void tlb_check_same(lua_State *L, const tlb_type *type, const void *self);
/*
 * Pushes a closed userdata, which has no metatable yet. The userdata is made before its object, so
 * nothing leaks if Lua runs out of memory.
 */
tlb_handle *tlb_new(lua_State *L, const tlb_type *type);
/*
 * Fills the closed userdata at the top with an object, takes over one reference, and registers it.
 */
void tlb_fill(lua_State *L, const tlb_type *type, void *object);
/* Whether the userdata at idx is a closed one of this type. */
bool tlb_is_closed(lua_State *L, int idx, const tlb_type *type);
/*
 * Pushes the userdata that this state has for an object. If there is none, pushes nothing and
 * returns NULL.
 */
tlb_handle *tlb_known(lua_State *L, const tlb_type *type, const void *object);
/* Pushes the object's userdata, or a new one that takes a reference of its own; nil for NULL. */
void tlb_push(lua_State *L, const tlb_type *type, void *object);
/*
 * As tlb_push, but uses the closed userdata at the top. For objects that another object lends:
 * making a userdata may run a finalizer, which could free the lender.
 */
void tlb_share(lua_State *L, const tlb_type *type, void *object);
/*
 * As tlb_fill if this state does not know the object. Otherwise the object's userdata replaces the
 * closed one at the top, and counts the reference that was taken over.
 */
void tlb_settle(lua_State *L, const tlb_type *type, void *object);
/*
 * Fills the handle at idx again, which had given its object up. The object must be known to live.
 * Takes a reference.
 */
void tlb_refill(lua_State *L, int idx, const tlb_type *type);
/* Gives up the object of the handle at idx, whatever the script's count is. */
void tlb_release(lua_State *L, int idx, const tlb_type *type);

/* The handle at idx if it is of this type and has an object; otherwise NULL. */
static inline tlb_handle *tlb_live(lua_State *L, int idx, const tlb_type *type) {
    tlb_handle *handle = lua_touserdata(L, idx);
    bool ours = handle && lua_rawlen(L, idx) >= sizeof *handle && handle->tag == tlb_tag(type);
    return ours && handle->object ? handle : NULL;
}

static inline tlb_handle *tlb_self(lua_State *L, const tlb_type *type) {
    tlb_handle *self = tlb_live(L, 1, type);
    return self ? self : tlb_bad_self(L);
}

#endif
