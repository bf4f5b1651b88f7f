/*
 * tracing.h: declares how a connection comes to its trace, and gives it up. tracing.c.
 */
#ifndef TLSLIFE_TRACING_H
#define TLSLIFE_TRACING_H

#include "tlslife.h"

/* Gives a connection that is being made the trace of its context. name is "new" or "dup". */
void tlsl_tracing_begin(tlslife_conn *conn, const char *name);
/* Gives the trace up, whose last event it has recorded. */
void tlsl_tracing_end(tlslife_conn *conn);
/* Installs the callbacks that record, for an SSL that is new to a connection that has a trace. */
void tlsl_tracing_install(tlslife_conn *conn);

#endif
