/*
 * hello.h: declares what hello.c implements, the readers of a ClientHello. Those that take an SSL
 * are for libssl's ClientHello callback alone (SSL_CTX_set_client_hello_cb(3)).
 */
#ifndef TLSLIFE_HELLO_H
#define TLSLIFE_HELLO_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tlslife.h"

/* A copy of the ClientHello, which the caller frees. NULL: out of memory. */
tlslife_hello *tlsl_hello_read(SSL *ssl);
void tlsl_hello_free(tlslife_hello *hello);

/* The server name, lent until the callback returns. Empty: there is none, or it is malformed. */
tlslife_bytes tlsl_hello_server_name(SSL *ssl);

/* What a lookup needs to know of the ClientHello. Nothing is allocated. */
typedef struct tlsl_hello_summary {
    bool offers_tls13, has_psk, has_session_id;
    bool sends_early;     /* early data follow the ClientHello */
    bool takes_ticket;    /* of TLS 1.2 */
    tlslife_bytes ticket; /* of TLS 1.2; lent until the callback returns */
} tlsl_hello_summary;
tlsl_hello_summary tlsl_hello_summarize(SSL *ssl);

/*
 * The first PSK identity, which is the one that early data belong to (RFC 8446 section 4.2.10).
 * Lent until the callback returns; empty: there is none, or it is malformed.
 */
tlslife_bytes tlsl_hello_first_psk(SSL *ssl);

#endif
