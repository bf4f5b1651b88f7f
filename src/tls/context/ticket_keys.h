/*
 * ticket_keys.h: the keys that encrypt session tickets, in the form that libssl asks for.
 * ticket_keys.c.
 */
#ifndef TLSLIFE_TICKET_KEYS_H
#define TLSLIFE_TICKET_KEYS_H

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "tls/state/conn.h"
#include "tlslife.h"

/*
 * The callback of SSL_CTX_set_tlsext_ticket_key_evp_cb(3), for a context that has ticket keys. Sets
 * conn->resume.ticket_failed if no key opens a ticket.
 */
int tlsl_on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int making);
/*
 * Server: whether conn has a key, the program's or libssl's own, with the name that ticket begins
 * with. If so, the ticket opens unless it is forged.
 */
bool tlsl_ticket_key_known(const tlslife_conn *conn, tlslife_bytes ticket);
/*
 * As the callback, with the keys and the time (seconds since 1970) given. Returns 1; 2 if the
 * ticket opens and the client should get another; 0 if there is no key of that name; -1 if OpenSSL
 * fails.
 */
int tlsl_ticket_key_at(tlslife_ticket_keys *keys, int64_t now, unsigned char *name,
                       unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool making);

#endif
