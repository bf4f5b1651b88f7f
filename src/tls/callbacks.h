/*
 * callbacks.h: which of OpenSSL's callbacks a context has. callbacks.c.
 */
#ifndef TLSLIFE_CALLBACKS_H
#define TLSLIFE_CALLBACKS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tlslife.h"

/*
 * Installs the callbacks that every context of ours has. They record; they never call the program.
 */
void tlsl_callbacks_install(tlslife_context *context);
void tlsl_callbacks_first_header(SSL *ssl); /* before SSL_clear: what comes first is looked at again */
void tlsl_callbacks_ask_certificate(tlslife_context *context);
bool tlsl_callbacks_ask_verify(tlslife_context *context); /* false: out of memory */
void tlsl_callbacks_psk(tlslife_context *context);
void tlsl_callbacks_keylog(tlslife_context *context);
void tlsl_callbacks_ocsp(tlslife_context *context);
void tlsl_callbacks_remove_session(tlslife_context *context, bool on); /* a server has it always */
/* callbacks.c's answer to a client's identity: SSL_set_psk_server_callback(3). */
unsigned tlsl_psk_server(SSL *ssl, const char *identity, unsigned char *key, unsigned key_max);

#endif
