/*
 * threads.h: the module tlslife.host. threads.c.
 */
#ifndef TLSLIFE_PROGRAM_THREADS_H
#define TLSLIFE_PROGRAM_THREADS_H

#include <lua.h>

#include "program/options.h"

/* Puts tlslife.host into package.preload. */
void program_preload_threads(lua_State *L, const program_options *options);

#endif
