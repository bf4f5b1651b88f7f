/*
 * hello.h: what a ClientHello says. hello.c.
 */
#ifndef TLSLIFE_HELLO_H
#define TLSLIFE_HELLO_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tlslife.h"

/* The ClientHello that libssl is reading, copied; NULL: out of memory, or it is malformed. */
tlslife_hello *tlsl_hello_read(SSL *ssl);
void tlsl_hello_free(tlslife_hello *hello);
/* Its server name, lent for the length of the callback; empty: none, or it is malformed. */
tlslife_bytes tlsl_hello_server_name(SSL *ssl);
/* The same at a glance, without memory. */
typedef struct tlsl_hello_brief {
    bool offers_tls13, has_psk, has_session_id;
    tlslife_bytes ticket; /* TLS 1.2's; lent until libssl goes on */
} tlsl_hello_brief;
tlsl_hello_brief tlsl_hello_glance(SSL *ssl);

#endif
