/*
 * switch.h: what leads from one context to another.
 */
#ifndef TLSLIFE_SWITCH_H
#define TLSLIFE_SWITCH_H

#include "core.h"

/* OK where a connection of `from` may continue under `to`. */
tlslife_status tlsl_switch_check(const tlslife_context *from, const tlslife_context *to, tlslife_error *err);
/* callbacks.c's answer to a client's identity: SSL_set_psk_server_callback(3). */
unsigned tlsl_psk_server(SSL *ssl, const char *identity, unsigned char *key, unsigned key_max);

#endif
