/*
 * ex_data.h: declares how OpenSSL's objects lead to ours. ex_data.c.
 */
#ifndef TLSLIFE_EX_DATA_H
#define TLSLIFE_EX_DATA_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tlslife.h"

/* The connection of an SSL, without a reference; NULL where the SSL has none. */
tlslife_conn *tlsl_conn_of(const SSL *ssl);
/* Makes conn the connection of ssl; NULL: it has none any more. false: out of memory. */
bool tlsl_conn_attach(SSL *ssl, tlslife_conn *conn);
/* The context of an SSL_CTX, without a reference; NULL if it has none. */
tlslife_context *tlsl_context_of(const SSL_CTX *ctx);
bool tlsl_context_attach(SSL_CTX *ctx, tlslife_context *context);

#endif
