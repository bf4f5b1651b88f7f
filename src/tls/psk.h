/*
 * psk.h: declares the callback by which a server finds the key of a client. psk.c.
 */
#ifndef TLSLIFE_PSK_H
#define TLSLIFE_PSK_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tls/context.h"

/*
 * SSL_set_psk_server_callback(3). Writes the key of a client's identity, and returns its length in
 * bytes; 0: there is none.
 */
unsigned tlsl_psk_server(SSL *ssl, const char *identity, unsigned char *key, unsigned key_max);
/* The key of an identity in the context's list, or NULL. */
const tlsl_psk *tlsl_psk_find(const tlslife_context *context, const char *identity);
/* Whether context has PSKs, or asks the program for them. */
bool tlsl_psk_is_known(const tlslife_context *context);
/* Tells libssl of that, once it may have changed. */
void tlsl_psk_install(tlslife_context *context);

#endif
