/*
 * tlslife_openssl.h: for programs that already have an SSL, an SSL_CTX or an SSL_SESSION: between
 * theirs and tlslife's. The only public header that knows OpenSSL.
 *
 * What is made from a raw object is left as it is: no setting is changed and no callback installed,
 * so the questions (WANT_HELLO and its like), the queue of new sessions and the record of alerts
 * are those of tlslife's own contexts only. A raw SSL keeps its BIOs; a blocking one blocks in the
 * call, whatever the deadline says.
 */
#ifndef TLSLIFE_OPENSSL_H
#define TLSLIFE_OPENSSL_H

#include <openssl/ssl.h>

#include "tlslife.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The context of an SSL_CTX: the one it has, or a new one, sealed. Takes its own reference to ctx;
 * the caller frees the result. NULL: out of memory, see err.
 */
TLSLIFE_API tlslife_context *tlslife_context_from_ssl_ctx(SSL_CTX *ctx, tlslife_role role,
    tlslife_error *err);
/* The SSL_CTX within, lent. Once the context is sealed, do not change it. */
TLSLIFE_API SSL_CTX *tlslife_context_ssl_ctx(tlslife_context *context);

/*
 * The connection of an SSL: the one it has, or a new one. Takes its own reference to ssl; the
 * caller frees the result. The SSL's role must be set (SSL_set_connect_state or
 * SSL_set_accept_state). NULL: out of memory, see err.
 */
TLSLIFE_API tlslife_conn *tlslife_conn_from_ssl(SSL *ssl, tlslife_error *err);
/*
 * The SSL within, lent. Over a descriptor a call on it waits if the connection does and has no
 * deadline.
 */
TLSLIFE_API SSL *tlslife_conn_ssl(tlslife_conn *conn);

/*
 * An SSL_SESSION and a tlslife_session are the same object: these convert the pointer and count
 * nothing.
 */
TLSLIFE_API tlslife_session *tlslife_session_from_ssl_session(SSL_SESSION *session);
TLSLIFE_API SSL_SESSION *tlslife_session_ssl_session(tlslife_session *session);

#ifdef __cplusplus
}
#endif
#endif
