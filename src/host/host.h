/*
 * host.h: what the files of the program know of each other. Nothing here is public; the program is a user of the
 * public headers as any other is.
 */
#ifndef TLSLIFE_HOST_H
#define TLSLIFE_HOST_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* -- call.c. Each takes the program's name for messages from where host_name_set put it. */

void host_set_name(const char *name);      /* what messages begin with; NULL: nothing */
void host_complain(const char *message);   /* a line to stderr */
int host_report(lua_State *L, int status); /* says and pops the error if status is one; returns status */
/* lua_pcall with a traceback, and Ctrl-C raising an error in what runs. */
int host_call(lua_State *L, int arguments, int results);
void host_handle_sigpipe(void);

/* -- embedded.c */

void host_preload(lua_State *L); /* the module and its Lua files, in package.preload */

/* -- prompt.c */

void host_prompt(lua_State *L); /* reads, runs and prints lines until the end of stdin */

#endif
