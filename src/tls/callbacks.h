/*
 * callbacks.h: declares the functions that install OpenSSL's callbacks in a context. callbacks.c.
 */
#ifndef TLSLIFE_CALLBACKS_H
#define TLSLIFE_CALLBACKS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tlslife.h"

/*
 * Installs the callbacks of every context that this library makes. They record or suspend, and
 * never call the program.
 */
void tlsl_callbacks_install(tlslife_context *context);
/* For SSL_clear: the first bytes of the next peer are examined, too. */
void tlsl_callbacks_first_header(SSL *ssl);
void tlsl_callbacks_ask_certificate(tlslife_context *context);
bool tlsl_callbacks_ask_verify(tlslife_context *context); /* false: out of memory */
void tlsl_callbacks_psk(tlslife_context *context);
void tlsl_callbacks_keylog(tlslife_context *context);
void tlsl_callbacks_ocsp(tlslife_context *context);
/* The callback for removed sessions. Every server's context has it. */
void tlsl_callbacks_remove_session(tlslife_context *context, bool on);
/*
 * SSL_set_psk_server_callback(3). Writes the key of a client's identity, and returns its length in
 * bytes; 0: there is none.
 */
unsigned tlsl_psk_server(SSL *ssl, const char *identity, unsigned char *key, unsigned key_max);

#endif
