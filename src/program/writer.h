/*
 * writer.h: threads that write traces. writer.c.
 */
#ifndef TLSLIFE_PROGRAM_WRITER_H
#define TLSLIFE_PROGRAM_WRITER_H

#include <lua.h>

/* Adds trace_writer to the module "tlslife.host", which is at the top. */
void program_add_writer(lua_State *L);
/* Has every writer of this process write what is left. For the end of the process. */
void program_end_writers(void);

#endif
