/*
 * psk_flight.h: declares what a server's first flight says of a PSK. psk_flight.c.
 */
#ifndef TLSLIFE_PSK_FLIGHT_H
#define TLSLIFE_PSK_FLIGHT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum tlsl_flight_state {
    TLSL_FLIGHT_MORE,     /* the next record decides */
    TLSL_FLIGHT_PSK,      /* the server wants a PSK, and its hint is known */
    TLSL_FLIGHT_OTHER,    /* nothing of this is asked for, or it is left to libssl */
    TLSL_FLIGHT_NO_MEMORY /* memory is short */
} tlsl_flight_state;

typedef struct tlsl_flight {
    unsigned char *bytes; /* of handshake messages that have come, without the heads of records */
    size_t len, at;       /* at: the first message that was not looked at */
    bool greeted;         /* the ServerHello has chosen a cipher with a PSK */
    char *hint;           /* or NULL */
} tlsl_flight;

/* Whether the client names a PSK in a handshake with this cipher. */
bool tlsl_uses_psk(const SSL_CIPHER *cipher);
/* Takes the next record, which is whole. */
tlsl_flight_state tlsl_flight_add(tlsl_flight *flight, SSL *ssl, const unsigned char *record,
                                  size_t len);
void tlsl_flight_clear(tlsl_flight *flight);

#endif
