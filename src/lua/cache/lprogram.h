/*
 * lprogram.h: stores that are Lua functions. lprogram.c.
 */
#ifndef TLSLIFE_LUA_LPROGRAM_H
#define TLSLIFE_LUA_LPROGRAM_H

#include <lua.h>
#include <stdbool.h>

#include "lua/base/conn.h"
#include "lua/base/loptions.h"
#include "tlslife.h"

/* User values of a store that is Lua functions: these functions. */
enum {
    TLB_STORE_GET = 1,
    TLB_STORE_PUT,
    TLB_STORE_REMOVE,
    TLB_STORE_TAKE,
    TLB_STORE_VALUES = TLB_STORE_TAKE
};

/* Whether the value at idx is the userdata of a store that is Lua functions of this state. */
bool tlb_is_program(lua_State *L, int idx);
/*
 * Pushes the function that answers the lookup, and its arguments. Returns the number of arguments.
 * If this state has no such function, pushes nothing and returns -1.
 */
int tlb_push_lookup(lua_State *L, tlb_conn *self);
/*
 * Answers "not found" to a lookup for which this state has no function. Returns false if the store
 * answers by itself.
 */
bool tlb_miss_lookup(tlb_conn *self);
/* Answers with the value at idx, or with a failure if the function has raised. */
tlslife_status tlb_answer_lookup(lua_State *L, tlb_conn *self, int idx, bool failed);
/*
 * Calls the store's functions for what is to be put and removed. They may yield, so this is the
 * last thing that a C function does before it returns. The store's userdata is below the results.
 * Returns the number of results.
 */
int tlb_tell(lua_State *L, int results);
/* tlb_tell for the connection at index 1, whose field tells is set. */
int tlb_conn_tell(lua_State *L, int results);
/*
 * Pushes the userdata of a store that is the functions in the value, which is a table. With ERROR,
 * s->err has the reason. Raises if the table has other fields or lacks a function.
 */
tlslife_status tlb_push_program(tlb_setting *s);

#endif
