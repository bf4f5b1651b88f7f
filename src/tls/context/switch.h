/*
 * switch.h: choosing another context for a connection, and applying it. switch.c.
 */
#ifndef TLSLIFE_SWITCH_H
#define TLSLIFE_SWITCH_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tls/context/context.h"

/*
 * TLSLIFE_OK if a connection of `from` may continue under `to`: both are servers' contexts. Else
 * USAGE.
 */
tlslife_status tlsl_switch_check(const tlslife_context *from, const tlslife_context *to,
                                 tlslife_error *err);
/* The context that server_name leads to, without a reference; NULL if it leads to none. */
tlslife_context *tlsl_context_match(const tlslife_context *context, const char *server_name);
/*
 * Makes ssl continue under context: sets the certificate, and every attribute that SSL_set_SSL_CTX
 * leaves as it was. false if OpenSSL fails.
 */
bool tlsl_context_apply(tlslife_context *context, SSL *ssl);
/* Gives ssl the certificates of context, in place of those it has. false if OpenSSL fails. */
bool tlsl_context_present(const tlslife_context *context, SSL *ssl);

#endif
