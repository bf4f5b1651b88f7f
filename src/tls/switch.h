/*
 * switch.h: what leads a connection from one context to another. switch.c.
 */
#ifndef TLSLIFE_SWITCH_H
#define TLSLIFE_SWITCH_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tls/context.h"

/* OK where a connection of `from` may continue under `to`. */
tlslife_status tlsl_switch_check(const tlslife_context *from, const tlslife_context *to, tlslife_error *err);
/* The target for a server name, or NULL. */
tlslife_context *tlsl_context_match(const tlslife_context *context, const char *server_name);
/*
 * Makes ssl continue under context: certificate, and every attribute that SSL_set_SSL_CTX leaves
 * behind.
 */
bool tlsl_context_apply(tlslife_context *context, SSL *ssl);
/* Presents the certificates of context on ssl, in place of those it has. */
bool tlsl_context_present(const tlslife_context *context, SSL *ssl);

#endif
