/*
 * script.h: a state with the module, and what the command line has it run. script.c.
 */
#ifndef TLSLIFE_PROGRAM_SCRIPT_H
#define TLSLIFE_PROGRAM_SCRIPT_H

#include <lua.h>
#include <stdbool.h>

#include "program/options.h"

/* Whether there is a command, or a script that is a file. */
bool program_has_script(const program_options *given);
/* Opens the libraries and the module, and sets arg and the collector. */
void program_open(lua_State *L, const program_options *given);
/*
 * Runs LUA_INIT, the options and the script or the command. Returns whether all of them went well.
 */
bool program_run_words(lua_State *L, const program_options *given);
/* Runs stdin as a file and returns a Lua status. */
int program_run_input(lua_State *L);

#endif
