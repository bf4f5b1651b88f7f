/*
 * psk.h: declares the callback by which a server finds the key of a client. psk.c.
 */
#ifndef TLSLIFE_PSK_H
#define TLSLIFE_PSK_H

#include <openssl/ssl.h>

/*
 * SSL_set_psk_server_callback(3). Writes the key of a client's identity, and returns its length in
 * bytes; 0: there is none.
 */
unsigned tlsl_psk_server(SSL *ssl, const char *identity, unsigned char *key, unsigned key_max);

#endif
