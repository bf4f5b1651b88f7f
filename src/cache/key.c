/*
 * key.c: makes the key under which a cache and its store know a session from the session's id.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "cache/key.h"
#include "cache/store/store.h"

bool tlsl_id_key(const unsigned char *id, size_t id_len, unsigned char key[TLSL_STORE_KEY]) {
    if (id_len == 0 || id_len > TLSL_STORE_KEY) {
        return false;
    }
    memset(key, 0, TLSL_STORE_KEY);
    memcpy(key, id, id_len);
    return true;
}

bool tlsl_session_key(const SSL_SESSION *session, unsigned char key[TLSL_STORE_KEY]) {
    unsigned len = 0;
    const unsigned char *id = SSL_SESSION_get_id(session, &len);
    return tlsl_id_key(id, len, key);
}
