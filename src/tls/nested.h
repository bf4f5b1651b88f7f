/*
 * nested.h: declares how one connection carries the records of another. nested.c.
 */
#ifndef TLSLIFE_NESTED_H
#define TLSLIFE_NESTED_H

#include <openssl/bio.h>
#include <stdbool.h>

#include "tls/conn.h"
#include "tlslife.h"

/* Whether outer can carry conn now: OK, or ERROR, which is conn's. */
tlslife_status tlsl_nested_check(tlslife_conn *conn, tlslife_conn *outer);
/* A BIO over the application data of outer, with a reference of its own. NULL: memory is short. */
BIO *tlsl_nested_bio(tlslife_conn *outer);
/* Records that outer carries conn, whose transport that BIO is by now; and ends that. */
void tlsl_nested_join(tlslife_conn *conn, tlslife_conn *outer);
void tlsl_nested_part(tlslife_conn *conn);
/*
 * Why outer gave no more bytes to conn, or took none: its status, where that is an end, a failure
 * or a question. Else, and where conn has no outer connection, TLSLIFE_OK.
 */
tlslife_status tlsl_nested_status(const tlslife_conn *conn);
/* Makes the failure of outer, or its question, the failure of conn. */
void tlsl_nested_explain(tlslife_conn *conn, const char *verb);

#endif
