/*
 * tlslife_openssl.h: converts between the objects of OpenSSL that a program has already (SSL_CTX,
 * SSL, SSL_SESSION) and those of tlslife. It is the only public header that includes OpenSSL.
 *
 * An object that is made from one of OpenSSL's leaves that one as it is: no setting is changed and
 * no callback installed. So the questions (WANT_HELLO and its like), the queue of new sessions and
 * the record of alerts exist for tlslife's own contexts only. A given SSL keeps its BIOs. If they
 * block, a call on the connection blocks, whatever the deadline says.
 */
#ifndef TLSLIFE_OPENSSL_H
#define TLSLIFE_OPENSSL_H

#include <openssl/ssl.h>

#include "tlslife.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The context of an SSL_CTX: the one it has, or a new one, which is frozen. Takes a reference to
 * ctx. The caller frees the result. Returns NULL and fills err when memory is short.
 */
TLSLIFE_API tlslife_context *tlslife_context_from_ssl_ctx(SSL_CTX *ctx, tlslife_role role,
    tlslife_error *err);
/* The SSL_CTX of the context, lent. Do not change it once the context is frozen. */
TLSLIFE_API SSL_CTX *tlslife_context_ssl_ctx(tlslife_context *context);

/*
 * The connection of an SSL: the one it has, or a new one. Takes a reference to ssl. The caller
 * frees the result. The SSL's role must be set (SSL_set_connect_state or SSL_set_accept_state).
 * Returns NULL and fills err when memory is short.
 */
TLSLIFE_API tlslife_conn *tlslife_conn_from_ssl(SSL *ssl, tlslife_error *err);
/*
 * The SSL of the connection, lent until tlslife_conn_clear: that gives the connection another SSL
 * where a renegotiation is pending. Over a descriptor a call on it waits if the connection blocks
 * and has no deadline. Do not give it other BIOs, because the connection's calls use those of its
 * transport.
 *
 * A program may have the SSL verify its peer less strictly than the context says. A client's
 * session whose peer was not verified is then not offered by a connection that verifies, and one
 * under a session id context of the program's own does not go into the context's cache. A server's
 * SSL of that kind needs such a session id context: SSL_set_session_id_context(3).
 */
TLSLIFE_API SSL *tlslife_conn_ssl(tlslife_conn *conn);

/*
 * Convert the pointer. An SSL_SESSION and a tlslife_session are the same object, and no reference
 * is counted.
 */
TLSLIFE_API tlslife_session *tlslife_session_from_ssl_session(SSL_SESSION *session);
TLSLIFE_API SSL_SESSION *tlslife_session_ssl_session(tlslife_session *session);

#ifdef __cplusplus
}
#endif
#endif
