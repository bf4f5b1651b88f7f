/*
 * psk.h: declares the PSKs of a context, and the callback by which a server finds one. psk.c.
 */
#ifndef TLSLIFE_PSK_H
#define TLSLIFE_PSK_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "tls/context/context.h"
#include "tls/context/psk_flight.h"
#include "tls/state/conn.h"

enum { TLSL_PSK_KEY_MAX = 256 /* bytes */ };

/* What the program is asked about a PSK (psk_question.c), and its answer. */
typedef struct tlsl_psk_asked {
    tlsl_answer answer;
    bool reading; /* a record is being read here, and not by libssl */
    bool over;    /* libssl may read: the program has answered, or is not asked */
    bool begun;   /* client: the program was asked before the ClientHello */
    unsigned char *record; /* what was read: a record, or on a client all of a flight */
    size_t len, size;      /* bytes that have come, and bytes of the block */
    size_t start;          /* client: where the record begins that is being read */
    tlsl_flight flight;    /* client */
    char *identity;        /* what the client has named, or shall name */
    unsigned char *key;
    size_t key_len; /* 0: the program knows none */
} tlsl_psk_asked;

/*
 * SSL_set_psk_server_callback(3). Writes the key of a client's identity, and returns its length in
 * bytes; 0: there is none.
 */
unsigned tlsl_psk_server(SSL *ssl, const char *identity, unsigned char *key, unsigned key_max);
/*
 * At the end of a first handshake: whether it has used a PSK of TLS 1.3. libssl does not tell one
 * from a session that was resumed, but for the ticket that each such session has on a client.
 */
void tlsl_psk_settle(tlslife_conn *conn);
/* The key of an identity in the context's list, or NULL. */
const tlsl_psk *tlsl_psk_find(const tlslife_context *context, const char *identity);
/* Whether context has PSKs, or asks the program for them. */
bool tlsl_psk_is_known(const tlslife_context *context);
/* OK, or err says that a client would have a PSK and ask for one, too (USAGE). */
tlslife_status tlsl_psk_agrees(const tlslife_context *context, bool has_psk, unsigned questions,
                               tlslife_error *err);
/* Installs the callbacks or removes the server's, after a setting that may change the answer. */
void tlsl_psk_install(tlslife_context *context);

#endif
