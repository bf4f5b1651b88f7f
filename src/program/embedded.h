/*
 * embedded.h: the module inside the program. embedded.c.
 */
#ifndef TLSLIFE_PROGRAM_EMBEDDED_H
#define TLSLIFE_PROGRAM_EMBEDDED_H

#include <lua.h>

void program_preload(lua_State *L); /* puts the module and its Lua files into package.preload */

#endif
