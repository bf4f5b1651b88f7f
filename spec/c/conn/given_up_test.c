/*
 * given_up_test.c: tests that a handshake which is given up leaves no memory behind, at each point
 * at which it may be suspended and in each way in which it may be given up.
 *
 * A server and its client are brought to the point, and one of them is given up. Once both are
 * freed there must be as many blocks of OpenSSL's as before. The reason for the test is
 * SSL_clear(3), which loses a ClientHello whose callback was to be called again. LeakSanitizer sees
 * the memory that is not OpenSSL's.
 */
#include "check.h"
#include "identity.h"
#include "tlslife.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_long blocks;

static void *get_memory(size_t size, const char *file, int line) {
    (void)file, (void)line;
    void *block = size == 0 ? NULL : malloc(size);
    blocks += block != NULL;
    return block;
}

static void give_memory(void *block, const char *file, int line) {
    (void)file, (void)line;
    blocks -= block != NULL;
    free(block);
}

static void *resize_memory(void *block, size_t size, const char *file, int line) {
    if (block == NULL || size == 0) {
        give_memory(block, file, line);
        return get_memory(size, file, line);
    }
    return realloc(block, size);
}

/* ----------------------------------------------------------------------------------- handshakes */

/* A point at which one side waits for an answer, or for its peer. */
typedef struct point {
    const char *name;
    bool of_client;
    unsigned questions; /* of the side that is looked at */
    tlslife_status status;
    bool resuming; /* with a store, which is asked */
} point;

static const point points[] = {
    {"a ClientHello", false, TLSLIFE_ASK_HELLO, TLSLIFE_WANT_HELLO, false},
    {"a lookup", false, 0, TLSLIFE_WANT_SESSION, true},
    {"a lookup after a ClientHello", false, TLSLIFE_ASK_HELLO, TLSLIFE_WANT_SESSION, true},
    {"a server's certificate", false, TLSLIFE_ASK_CERTIFICATE, TLSLIFE_WANT_CERTIFICATE, false},
    {"a client's certificate", true, TLSLIFE_ASK_CERTIFICATE, TLSLIFE_WANT_CERTIFICATE, false},
    {"a server", true, TLSLIFE_ASK_VERIFY, TLSLIFE_WANT_VERIFY, false},
    {"a client", false, TLSLIFE_ASK_VERIFY, TLSLIFE_WANT_VERIFY, false},
    {"the ServerHello", true, 0, TLSLIFE_WANT_READ, false},
    {"the client's Finished", false, 0, TLSLIFE_WANT_READ, false},
};

static void clear(tlslife_conn *conn) {
    CHECK(tlslife_conn_clear(conn) == TLSLIFE_OK);
}

static void clear_twice(tlslife_conn *conn) {
    clear(conn);
    clear(conn);
}

static void do_nothing(tlslife_conn *conn) {
    (void)conn;
}

static void close_it(tlslife_conn *conn) {
    (void)tlslife_conn_close(conn, 0);
}

static void close_and_clear(tlslife_conn *conn) {
    close_it(conn);
    clear(conn);
}

static void take_session(tlslife_conn *conn) {
    CHECK(tlslife_conn_set_session(conn, NULL) == TLSLIFE_OK);
}

static void take_session_and_clear(tlslife_conn *conn) {
    take_session(conn);
    clear(conn);
}

static void answer_and_clear(tlslife_conn *conn) {
    (void)tlslife_conn_refuse(conn, 40);
    clear(conn);
}

typedef struct way {
    const char *name;
    void (*act)(tlslife_conn *conn);
    bool clears;
} way;

static const way ways[] = {
    {"clear", clear, true},
    {"clear, twice", clear_twice, true},
    {"free", do_nothing, false},
    {"close", close_it, false},
    {"close and clear", close_and_clear, true},
    {"set_session", take_session, false},
    {"set_session and clear", take_session_and_clear, true},
    {"an answer that is not heard, and clear", answer_and_clear, true},
};

static test_identity identity;

static tlslife_context *new_context(const point *at, bool server, uint16_t version,
                                    tlslife_cache *cache) {
    tlslife_context *context = tlslife_context_new(server ? TLSLIFE_SERVER : TLSLIFE_CLIENT, NULL);
    bool ok =
        context != NULL &&
        tlslife_context_set_certificate_pem(context, identity.certificate,
                                            strlen(identity.certificate), NULL) == TLSLIFE_OK &&
        tlslife_context_set_private_key_pem(context, identity.key, strlen(identity.key), NULL,
                                            NULL) == TLSLIFE_OK &&
        tlslife_context_add_ca_pem(context, identity.certificate, strlen(identity.certificate),
                                   NULL) == TLSLIFE_OK &&
        tlslife_context_set_verify(context, TLSLIFE_VERIFY_REQUIRED, NULL) == TLSLIFE_OK &&
        tlslife_context_set_versions(context, version, version, NULL) == TLSLIFE_OK;
    if (ok && at->of_client != server) {
        ok = tlslife_context_set_questions(context, at->questions, NULL) == TLSLIFE_OK;
    }
    if (ok && server && cache != NULL) {
        ok = tlslife_context_set_resumption(context, TLSLIFE_RESUMPTION_STATEFUL, NULL) ==
                 TLSLIFE_OK &&
             tlslife_context_set_cache(context, cache, NULL) == TLSLIFE_OK;
    }
    CHECK(ok);
    return context;
}

typedef struct ends {
    tlslife_context *contexts[2];
    tlslife_conn *conns[2]; /* client, server */
} ends;

static void join(ends *both) {
    for (int i = 0; i < 2; i++) {
        both->conns[i] = tlslife_conn_new(both->contexts[i], NULL);
        tlslife_conn_set_blocking(both->conns[i], false);
    }
    CHECK(tlslife_conn_set_hostname(both->conns[0], "localhost") == TLSLIFE_OK);
}

static void part(ends *both) {
    tlslife_conn_free(both->conns[0]);
    tlslife_conn_free(both->conns[1]);
}

/*
 * Answers a store's lookup with a miss, and the question about the ClientHello. Any other question
 * is left open.
 */
static tlslife_status step(tlslife_conn *conn, tlslife_status wanted) {
    tlslife_status status = tlslife_conn_handshake(conn);
    while (status != wanted) {
        if (status == TLSLIFE_WANT_HELLO) {
            CHECK(tlslife_conn_answer_hello(conn, NULL) == TLSLIFE_OK);
        } else if (status == TLSLIFE_WANT_SESSION) {
            CHECK(tlslife_conn_answer_session(conn, NULL, 0) == TLSLIFE_OK);
        } else if (status == TLSLIFE_WANT_VERIFY) {
            CHECK(tlslife_conn_answer_verify(conn, true) == TLSLIFE_OK);
        } else if (status == TLSLIFE_WANT_CERTIFICATE) {
            CHECK(tlslife_conn_answer_certificate(conn, NULL) == TLSLIFE_OK);
        } else {
            break;
        }
        status = tlslife_conn_handshake(conn);
    }
    return status;
}

/* Gives the client a session for which the server's store has no answer yet. */
static tlslife_session *get_session(ends *both) {
    unsigned char byte;
    size_t len;
    join(both);
    CHECK(tlslife_conn_pair(both->conns[0], both->conns[1], 0) == TLSLIFE_OK);
    for (int i = 0; i < 4; i++) {
        (void)step(both->conns[0], TLSLIFE_OK);
        (void)step(both->conns[1], TLSLIFE_OK);
    }
    (void)tlslife_conn_read(both->conns[0], &byte, 1, &len);
    (void)tlslife_conn_shutdown(both->conns[0]);
    tlslife_session *session = tlslife_conn_get1_session(both->conns[0]);
    part(both);
    CHECK(session != NULL && tlslife_session_is_resumable(session));
    return session;
}

static void reach(const ends *both, const point *at, tlslife_session *session) {
    int side = at->of_client ? 0 : 1;
    tlslife_status status = TLSLIFE_OK;
    if (session != NULL) {
        CHECK(tlslife_conn_set_session(both->conns[0], session) == TLSLIFE_OK);
    }
    for (int i = 0; i < 8 && status != at->status; i++) {
        status = step(both->conns[i % 2], i % 2 == side ? at->status : TLSLIFE_OK);
        status = i % 2 == side ? status : TLSLIFE_OK;
    }
    if (!CHECK(status == at->status)) {
        fprintf(stderr, "%s: status %d: %s\n", at->name, (int)status,
                tlslife_conn_error(both->conns[side])->message);
    }
}

/* A connection that was cleared begins again, and the next ClientHello replaces the one before. */
static void give_up(ends *both, const point *at, tlslife_session *session, const way *how) {
    join(both);
    for (int i = 0; i < (how->clears ? 3 : 1); i++) {
        CHECK(tlslife_conn_pair(both->conns[0], both->conns[1], 0) == TLSLIFE_OK);
        tlslife_session *copy = session == NULL ? NULL : tlslife_session_dup(session);
        reach(both, at, copy);
        tlslife_session_free(copy);
        how->act(both->conns[!at->of_client]);
        if (how->clears) {
            clear(both->conns[at->of_client]);
        }
    }
    part(both);
}

/* ----------------------------------------------------------------------------------------- rows */

static void run_row(const point *at, const way *how, uint16_t version) {
    tlslife_keyring *keyring =
        tlslife_keyring_new((const unsigned char *)"0123456789abcdef0123456789abcdef", 32, NULL);
    tlslife_cache_options options = tlslife_cache_defaults();
    options.store = at->resuming ? tlslife_store_program(NULL) : NULL;
    options.keyring = keyring;
    options.in_memory = false;
    tlslife_cache *cache = at->resuming ? tlslife_cache_new(&options, NULL) : NULL;
    ends both = {.contexts = {new_context(at, false, version, cache),
                              new_context(at, true, version, cache)}};
    tlslife_session *session = at->resuming ? get_session(&both) : NULL;
    tlslife_store_event heard; /* no answer is due before the program has been asked */
    while (at->resuming && tlslife_store_next(options.store, &heard)) {}
    long before = 0;
    for (int i = 0; i < 6; i++) { /* the first rounds allocate what OpenSSL keeps */
        before = i == 3 ? blocks : before;
        give_up(&both, at, session, how);
    }
    if (!CHECK(blocks == before)) {
        fprintf(stderr, "%#x: given up in %s by %s: %ld blocks more\n", (unsigned)version, at->name,
                how->name, blocks - before);
    }
    tlslife_session_free(session);
    tlslife_context_free(both.contexts[0]);
    tlslife_context_free(both.contexts[1]);
    tlslife_cache_free(cache);
    tlslife_store_free(options.store);
    tlslife_keyring_free(keyring);
}

int main(void) {
    if (CRYPTO_set_mem_functions(get_memory, resize_memory, give_memory) != 1 ||
        !identity_make(&identity)) {
        return 1;
    }
    static const uint16_t versions[] = {TLSLIFE_TLS1_2, TLSLIFE_TLS1_3};
    for (size_t v = 0; v < 2; v++) {
        for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
            for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
                run_row(&points[p], &ways[w], versions[v]);
            }
        }
    }
    return checks_end();
}
