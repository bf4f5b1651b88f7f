/*
 * sessions.c: sessions of one size, each with an id of its own.
 */
#include "sessions.h"

#include "rows.h"

#include <string.h>

static SSL *libssl; /* knows the version and the ciphers that sessions must name */

void sessions_begin(void) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    libssl = SSL_new(ctx);
    SSL_CTX_free(ctx); /* libssl has it */
    demand(libssl != NULL, "no libssl");
}

void sessions_end(void) {
    SSL_free(libssl);
}

int newest_version(void) {
    return SSL_version(libssl);
}

/* splitmix64's: each bit of x decides half of the bits that come out. */
static uint64_t mixed(uint64_t x) {
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/*
 * As unlike each other as the random ones of a real server. OpenSSL's hash is an id's first four
 * bytes: where they go up by the same step from one id to the next, its chains are all of one
 * length, and the processor foresees them.
 */
void nth_id(uint32_t n, unsigned char id[32]) {
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t part = mixed((uint64_t)n * 4 + i);
        memcpy(id + 8 * i, &part, sizeof part);
    }
    memcpy(id + 28, &n, sizeof n);
}

SSL_SESSION *make_session(uint32_t n, int version, long timeout) {
    static const unsigned char cipher[] = {0xc0, 0x2f}; /* ECDHE-RSA-AES128-GCM-SHA256 */
    unsigned char id[32], secret[48] = {1};
    SSL_SESSION *session = SSL_SESSION_new();
    nth_id(n, id);
    demand(session != NULL && SSL_SESSION_set1_id(session, id, sizeof id) == 1 &&
               SSL_SESSION_set_protocol_version(session, version) == 1 &&
               SSL_SESSION_set_cipher(session, SSL_CIPHER_find(libssl, cipher)) == 1 &&
               SSL_SESSION_set1_master_key(session, secret, sizeof secret) == 1,
           "no session");
    SSL_SESSION_set_timeout(session, timeout);
    return session;
}
