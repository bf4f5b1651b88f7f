/*
 * prompt.h: the interactive prompt. prompt.c.
 */
#ifndef TLSLIFE_PROGRAM_PROMPT_H
#define TLSLIFE_PROGRAM_PROMPT_H

#include <lua.h>

void program_prompt(lua_State *L); /* reads, runs and prints lines until the end of stdin */

#endif
