/*
 * identity.h: a certificate authority and a server's certificate under it, made on the spot. No
 * tlslife in it.
 */
#ifndef BENCH_IDENTITY_H
#define BENCH_IDENTITY_H

#include <stdbool.h>

typedef struct identity {
    char *ca;          /* PEM */
    char *certificate; /* PEM, for "localhost", signed by the authority */
    char *private_key; /* PEM */
} identity;

/*
 * Fills a zeroed struct; false: OpenSSL's queue says why. identity_clear frees what is there in
 * both cases.
 */
bool identity_make(identity *out);
void identity_clear(identity *made);

#endif
