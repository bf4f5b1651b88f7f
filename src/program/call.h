/*
 * call.h: calls of the program into Lua, its messages and its signals. Messages begin with the
 * name that program_set_name was given. call.c.
 */
#ifndef TLSLIFE_PROGRAM_CALL_H
#define TLSLIFE_PROGRAM_CALL_H

#include <lua.h>

void program_set_name(const char *name);    /* with which messages begin; NULL for none */
void program_complain(const char *message); /* writes a line to stderr */
/* If status is an error, prints and pops it. Returns status. */
int program_report(lua_State *L, int status);
void program_take_interrupts(void); /* makes SIGINT interrupt the calling thread */
/*
 * lua_pcall with a traceback. In the thread that takes interrupts, Ctrl-C raises an error in the
 * code that runs.
 */
int program_call(lua_State *L, int arguments, int results);
void program_handle_sigpipe(void);

#endif
