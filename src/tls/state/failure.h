/*
 * failure.h: declares how a failure of a connection is kept, and how it ends. failure.c.
 */
#ifndef TLSLIFE_FAILURE_H
#define TLSLIFE_FAILURE_H

#include <stdbool.h>

#include "base/error.h"
#include "tlslife.h"

/*
 * The error that the next failure is written to. NULL: out of memory, which is then what
 * tlslife_conn_error says.
 */
tlslife_error *tlsl_conn_error(tlslife_conn *conn);
/*
 * Makes a failure that was written elsewhere the connection's. Always TLSLIFE_ERROR. A check that
 * nearly always passes writes to an error of its own first, because the connection's is 5 KB that
 * are allocated when they are first asked for.
 */
tlslife_status tlsl_conn_fail_as(tlslife_conn *conn, const tlslife_error *failure);
/* Ends the connection. The failure that was written last is the reason. Returns final_status. */
tlslife_status tlsl_conn_end(tlslife_conn *conn, tlslife_status final_status);
/*
 * TLSLIFE_OK, or the status that ended the connection. The caller returns that status, and
 * tlslife_conn_error gives its reason again.
 */
tlslife_status tlsl_conn_final_status(tlslife_conn *conn);
/*
 * Whether libssl has failed to make what reads and writes records, and would crash in every call
 * that uses it. SSL_clear makes it again, and SSL_free does without.
 */
bool tlsl_conn_lost_records(const tlslife_conn *conn);
/* Another handshake may follow, so the final failure becomes one like any other. */
void tlsl_conn_forget_end(tlslife_conn *conn);
/* Writes a failure to the connection's error. Always TLSLIFE_ERROR. */
#define tlsl_conn_fail(conn, kind, ...) tlsl_fail(tlsl_conn_error(conn), (kind), __VA_ARGS__)

#endif
