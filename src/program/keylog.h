/*
 * keylog.h: the key log that SSLKEYLOGFILE asks for. keylog.c.
 */
#ifndef TLSLIFE_PROGRAM_KEYLOG_H
#define TLSLIFE_PROGRAM_KEYLOG_H

#include <lua.h>

#include "program/options.h"

/* Looks at SSLKEYLOGFILE, once, in the first thread. */
void program_find_keylog(const program_options *given);
void program_close_keylog(void); /* when the main state is closed */
/* Has the contexts of this state log their keys, if SSLKEYLOGFILE asks for it. May raise. */
void program_log_keys(lua_State *L);

#endif
