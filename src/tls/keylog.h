/*
 * keylog.h: the file that a context's key-log lines go to. keylog.c.
 */
#ifndef TLSLIFE_KEYLOG_H
#define TLSLIFE_KEYLOG_H

#include "tls/context.h"

/* A descriptor to append to, or -1 and err. */
int tlsl_keylog_open(const char *path, tlslife_error *err);
/* One line, without its end. What cannot be written now is lost. */
void tlsl_keylog_write(tlslife_context *context, const char *line);

#endif
