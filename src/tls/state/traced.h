/*
 * traced.h: what a connection records in its trace. traced.c.
 *
 * Where there is no trace, each of these costs the comparison of a pointer.
 */
#ifndef TLSLIFE_TRACED_H
#define TLSLIFE_TRACED_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/state/conn.h"
#include "trace/trace.h"

/* Has the connection's BIO record its bytes, if that is wanted and its callback is not in use. */
void tlsl_traced_watch(const tlslife_conn *conn);
bool tlsl_traced_watches(const BIO *bio);
/* For a callback of the connection's BIO, after the operation. */
void tlsl_traced_bytes(tlslife_conn *conn, int operation, const char *bytes, int ret,
                       const size_t *processed);

/*
 * Around what ends the use of a session by a connection: whether that has made the session bad.
 * NULL where there is nothing to record.
 */
SSL_SESSION *tlsl_traced_before_end(const tlslife_conn *conn);
void tlsl_traced_after_end(tlslife_conn *conn, SSL_SESSION *session);

/* Record, for a connection that has a trace. The first adds what each event says of its conn. */
void tlsl_traced_add(const tlslife_conn *conn, tlslife_trace_event event);
/* The transport is new, and its peer has this address. */
void tlsl_traced_transport(tlslife_conn *conn, const char *address);
void tlsl_traced_life(tlslife_conn *conn, const char *name, uint64_t refs);
void tlsl_traced_refs(const tlslife_conn *conn, const char *name, uint64_t refs);
void tlsl_traced_call(tlslife_conn *conn, const char *name, uint64_t since_ns,
                      tlslife_status status, size_t bytes);
void tlsl_traced_wait(tlslife_conn *conn, const char *name, uint64_t since_ns);
void tlsl_traced_session(tlslife_conn *conn, const char *name, const SSL_SESSION *session,
                         int outcome);
void tlsl_traced_keylog(tlslife_conn *conn, const char *text);

static inline bool tlsl_traced(const tlslife_conn *conn) {
    return conn->traced != NULL;
}

static inline uint64_t tlsl_traced_now(const tlslife_conn *conn) {
    return tlsl_traced(conn) ? tlsl_trace_now(conn->traced->trace) : 0;
}

/* Records that a call has returned. Returns its status. */
static inline tlslife_status tlsl_called(tlslife_conn *conn, const char *name, uint64_t since_ns,
                                         tlslife_status status, size_t bytes) {
    if (tlsl_traced(conn)) {
        tlsl_traced_call(conn, name, since_ns, status, bytes);
    }
    return status;
}

/* Record that a call waits, and that it has waited. */
static inline uint64_t tlsl_waits(tlslife_conn *conn, const char *what) {
    if (tlsl_traced(conn)) {
        tlsl_traced_wait(conn, what, 0);
    }
    return tlsl_traced_now(conn);
}

static inline void tlsl_waited(tlslife_conn *conn, const char *what, uint64_t since_ns) {
    if (tlsl_traced(conn)) {
        tlsl_traced_wait(conn, what, since_ns);
    }
}

/* Records what becomes of a session. */
static inline void tlsl_told(tlslife_conn *conn, const char *name, const SSL_SESSION *session,
                             int outcome) {
    if (tlsl_traced(conn)) {
        tlsl_traced_session(conn, name, session, outcome);
    }
}

#endif
