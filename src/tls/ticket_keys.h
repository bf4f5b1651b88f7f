/*
 * ticket_keys.h: the keys that encrypt session tickets, as libssl asks for them. ticket_keys.c.
 */
#ifndef TLSLIFE_TICKET_KEYS_H
#define TLSLIFE_TICKET_KEYS_H

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "tls/conn.h"
#include "tlslife.h"

/*
 * The callback of SSL_CTX_set_tlsext_ticket_key_evp_cb(3), for a context whose ticket_keys are set.
 * Sets conn->resume.ticket_failed where a ticket does not open.
 */
int tlsl_on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int making);
/*
 * Server: whether one of the keys of conn, the program's or libssl's own, has the name that ticket
 * begins with: it will open but for a forgery.
 */
bool tlsl_ticket_key_known(const tlslife_conn *conn, tlslife_bytes ticket);
/*
 * The callback with the keys and the time (seconds since 1970) given: 1, 2 (opens, and is to be
 * renewed), 0 (no key of that name), -1.
 */
int tlsl_ticket_key_at(tlslife_ticket_keys *keys, int64_t now, unsigned char *name, unsigned char *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool making);

#endif
