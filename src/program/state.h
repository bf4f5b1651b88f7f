/*
 * state.h: Lua states of the program. state.c.
 */
#ifndef TLSLIFE_PROGRAM_STATE_H
#define TLSLIFE_PROGRAM_STATE_H

#include <lua.h>

lua_State *program_state_new(void); /* NULL: out of memory */
void program_state_close(lua_State *L);

#endif
