/*
 * keylog.h: declares how a context's key log is opened and written. keylog.c.
 */
#ifndef TLSLIFE_KEYLOG_H
#define TLSLIFE_KEYLOG_H

#include "tls/conn.h"
#include "tls/context.h"

/* Opens or creates the file. Returns a descriptor to append to, or -1 and err. */
int tlsl_keylog_open(const char *path, tlslife_error *err);
/* Writes one line, which is given without a newline. What cannot be written now is lost. */
void tlsl_keylog_write(tlslife_context *context, const char *line);
/* Wipes and frees the lines that the connection holds. */
void tlsl_keylog_drop(tlslife_conn *conn);

#endif
