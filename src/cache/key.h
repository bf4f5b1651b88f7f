/*
 * key.h: the key of a session in a cache. key.c.
 */
#ifndef TLSLIFE_KEY_H
#define TLSLIFE_KEY_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "cache/store/store.h"

typedef struct tlsl_cache_key {
    unsigned char bytes[TLSL_STORE_KEY];
    bool client;
} tlsl_cache_key;

/* Makes the key of an id, which is the id padded with zeros. false: an id has 1 to 32 bytes. */
bool tlsl_id_key(const unsigned char *id, size_t id_len, unsigned char key[TLSL_STORE_KEY]);
/* Makes the key of the session's own id. false: the session has none. */
bool tlsl_session_key(const SSL_SESSION *session, unsigned char key[TLSL_STORE_KEY]);

#endif
