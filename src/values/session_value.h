/*
 * session_value.h: reads and marks a session without any connection. session_value.c.
 */
#ifndef TLSLIFE_SESSION_VALUE_H
#define TLSLIFE_SESSION_VALUE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#define TLSL_SESSION_TIMEOUT_MAX 604800 /* seconds; seven days (RFC 8446 section 4.6.1) */

/* A client's session id context, which libssl never sends. */
#define TLSL_HOST_HASH 12 /* bytes that are kept of the hash of a host name */
typedef struct tlsl_client_id {
    unsigned char policy[12];           /* the first bytes of the policy's hash */
    unsigned char host[TLSL_HOST_HASH]; /* of the host name that was verified; 0 if none was */
    uint64_t number;                    /* of the context, within this process */
} tlsl_client_id;

_Static_assert(sizeof(tlsl_client_id) == SSL_MAX_SID_CTX_LENGTH, "it fills a session id context");

/*
 * Seconds for which session may still be offered at the time now (seconds since 1970); 0 if it has
 * expired. `most` shortens its lifetime unless it is 0. A session that was made in the future comes
 * from a clock that has been set back since, and begins to age now. libssl allows one second more.
 */
long tlsl_session_left(const SSL_SESSION *session, long most, int64_t now);

/*
 * Facts that an SSL_SESSION has no field for. They are kept in its ex_data, which SSL_SESSION_dup
 * copies.
 */
typedef enum tlsl_session_mark {
    /* A client's, made while it had a certificate of its own: exported only if asked for. */
    TLSL_MARK_CERTIFICATE,
    /*
     * A client's, in a cache. If client and server are in one process, a TLS 1.2 session has the
     * same id for both; when libssl removes a session, the mark says which side it belongs to.
     */
    TLSL_MARK_CLIENT,
    /*
     * A permit in a server's cache (tls/session/permit.c), which is no session that could be
     * resumed.
     */
    TLSL_MARK_PERMIT,
    TLSL_SESSION_MARKS
} tlsl_session_mark;

/*
 * Marks session, which no other thread may have yet unless it is marked already. false if memory is
 * short.
 */
bool tlsl_session_set_mark(SSL_SESSION *session, tlsl_session_mark mark);
bool tlsl_session_has_mark(const SSL_SESSION *session, tlsl_session_mark mark);

#endif
