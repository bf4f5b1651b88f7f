/*
 * session_value.h: what a session says of itself. session_value.c.
 */
#ifndef TLSLIFE_SESSION_VALUE_H
#define TLSLIFE_SESSION_VALUE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#define TLSL_SESSION_TIMEOUT_MAX 604800 /* seconds: seven days, RFC 8446 4.6.1 */

/*
 * A client's session id context, which libssl never sends: what its policy is, whose name it
 * verified (0 where it verifies none), and which context of this process it is.
 */
#define TLSL_HOST_HASH 12 /* bytes of it */
typedef struct tlsl_client_id {
    unsigned char policy[12];
    unsigned char host[TLSL_HOST_HASH];
    uint64_t number;
} tlsl_client_id;

_Static_assert(sizeof(tlsl_client_id) == SSL_MAX_SID_CTX_LENGTH, "it fills a session id context");

/*
 * Seconds for which session may still be offered at that time; 0: it has expired. `most` shortens
 * its lifetime, unless it is 0. A session that was made in the future comes from a clock that has
 * been set back since; it begins to age now. libssl allows one second more.
 */
long tlsl_session_left(const SSL_SESSION *session, long most, int64_t now);

/*
 * Notes that a client made session while it had a certificate of its own to show: such sessions
 * leave the process only when asked for. Before anybody else has the session; the note goes with
 * dup and the homes.
 */
void tlsl_session_mark_certificate(SSL_SESSION *session);
bool tlsl_session_has_certificate(const SSL_SESSION *session);

#endif
