/*
 * keylog.h: declares how a context's key log is opened and written. keylog.c.
 */
#ifndef TLSLIFE_KEYLOG_H
#define TLSLIFE_KEYLOG_H

#include "tls/context/context.h"
#include "tls/state/conn.h"

/* The connections of context keep their lines, for a file, the program or a trace. */
void tlsl_keylog_install(tlslife_context *context);
/* Writes one line, which is given without a newline. What cannot be written now is lost. */
void tlsl_keylog_write(tlslife_context *context, const char *line);
/* Wipes and frees the lines that the connection holds. */
void tlsl_keylog_drop(tlslife_conn *conn);

#endif
