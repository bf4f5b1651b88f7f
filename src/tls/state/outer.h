/*
 * outer.h: declares why the connection that carries another one moves no bytes. outer.c.
 */
#ifndef TLSLIFE_OUTER_H
#define TLSLIFE_OUTER_H

#include "tlslife.h"

/*
 * Why the connection that carries conn gave no more bytes to conn, or took none: its status, where
 * that is an end, a failure or a question. Else, and where no connection carries conn, TLSLIFE_OK.
 */
tlslife_status tlsl_outer_status(const tlslife_conn *conn);
/* Makes the failure of the connection that carries conn, or its question, the failure of conn. */
void tlsl_outer_explain(tlslife_conn *conn, const char *verb);

#endif
