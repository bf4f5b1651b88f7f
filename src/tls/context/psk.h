/*
 * psk.h: declares the callback by which a server finds the key of a client. psk.c.
 */
#ifndef TLSLIFE_PSK_H
#define TLSLIFE_PSK_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "tls/context/context.h"
#include "tls/state/conn.h"

enum { TLSL_PSK_KEY_MAX = 256 /* bytes */ };

/* Server: what the program is asked about a PSK (psk_question.c), and its answer. */
typedef struct tlsl_psk_asked {
    tlsl_answer answer;
    bool reading; /* the record is being read here, and not by libssl */
    bool over;    /* libssl may read: the program has answered, or is not asked */
    unsigned char *record;
    size_t len, size; /* bytes that have come, and bytes of the block */
    char *identity;   /* what the client has named */
    unsigned char *key;
    size_t key_len; /* 0: the program knows none */
} tlsl_psk_asked;

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
