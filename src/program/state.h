/*
 * state.h: Lua states of the program. state.c.
 */
#ifndef TLSLIFE_PROGRAM_STATE_H
#define TLSLIFE_PROGRAM_STATE_H

#include <lua.h>
#include <stdbool.h>

/* NULL: out of memory. With wipes, what Lua frees is wiped: a state that is given secrets. */
lua_State *program_state_new(bool wipes);
void program_state_close(lua_State *L);

#endif
