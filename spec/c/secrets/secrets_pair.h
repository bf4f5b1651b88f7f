/*
 * secrets_pair.h: declares what the lives of secrets.c make their contexts and connections with.
 * secrets_pair.c.
 */
#ifndef TLSLIFE_SPEC_SECRETS_PAIR_H
#define TLSLIFE_SPEC_SECRETS_PAIR_H

#include "secrets.h"
#include "tlslife.h"

#define OK(call) expect_that((call) == TLSLIFE_OK, #call)
#define REFUSED(call) expect_that((call) != TLSLIFE_OK, #call)

extern tlslife_error err;

typedef struct pair {
    tlslife_context *client_context, *server_context;
    tlslife_conn *client, *server;
    bool distrusts; /* the client does not know the CA */
} pair;

/* A server's context with the certificate, and without its key. */
tlslife_context *with_certificate(void);
/* Sets the key of that name, which "passphrase" opens if passphrase is set. */
tlslife_status set_key(tlslife_context *context, const char *name, bool passphrase);

/* Contexts of that version, whose connections keep their key log. */
pair new_pair(int version, bool distrusts);
/* New connections, joined in memory, before their handshake. */
void begin(pair *self);
/* Whether the handshake is made and a byte has arrived. Tells the secrets in the key logs. */
bool shake_hands(pair *self);
/* Tells the session's own secret, which in TLS 1.3 is the PSK of the next handshake. */
void tell_session(tlslife_session *session);
void end_connections(pair *self);
void end_contexts(pair *self);

#endif
