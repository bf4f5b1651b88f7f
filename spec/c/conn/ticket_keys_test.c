/*
 * ticket_keys_test.c: tests the keys of stateless tickets (src/tls/context/ticket_keys.c) with a
 * clock of its own.
 *
 * It covers which keys open a ticket and which renew it, and that machines with one secret agree.
 * The last cases are two servers that share nothing else, with handshakes over libssl, and a client
 * whose ciphers are changed through libssl.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "cache/cache.h"
#include "tls/context/ticket_keys.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

#include "check.h"
#include "identity.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define EPOCH 60 /* seconds: the least */
#define NOW ((int64_t)1800000000)
#define DOES_NOT_FIT (-2) /* the name is known, and the key another */

/* ----------------------------------------------------------------------------- tickets as bytes */

typedef struct ticket {
    unsigned char name[16], iv[16], body[64], mac[32];
    size_t body_len;
} ticket;

/* libssl's part: MAC over name, IV and body. */
static bool mac_of(EVP_MAC_CTX *mac, const ticket *made, unsigned char out[32]) {
    size_t len = 0;
    return EVP_MAC_update(mac, made->name, 16) == 1 && EVP_MAC_update(mac, made->iv, 16) == 1 &&
           EVP_MAC_update(mac, made->body, made->body_len) == 1 &&
           EVP_MAC_final(mac, out, &len, 32) == 1 && len == 32;
}

typedef struct ciphers {
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac;
} ciphers;

static ciphers ciphers_new(void) {
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ciphers both = {EVP_CIPHER_CTX_new(), EVP_MAC_CTX_new(hmac)};
    EVP_MAC_free(hmac);
    return both;
}

static void ciphers_free(ciphers both) {
    EVP_CIPHER_CTX_free(both.cipher);
    EVP_MAC_CTX_free(both.mac);
}

static int make(tlslife_ticket_keys *keys, int64_t now, ticket *out) {
    static const unsigned char inside[] = "what is in the ticket";
    ciphers both = ciphers_new();
    int len = 0, last = 0;
    int made = tlsl_ticket_key_at(keys, now, out->name, out->iv, both.cipher, both.mac, true);
    bool ok = EVP_EncryptUpdate(both.cipher, out->body, &len, inside, sizeof inside) == 1 &&
              EVP_EncryptFinal_ex(both.cipher, out->body + len, &last) == 1;
    out->body_len = (size_t)len + (size_t)last;
    ok = ok && mac_of(both.mac, out, out->mac);
    ciphers_free(both);
    return ok ? made : DOES_NOT_FIT;
}

static int open_at(tlslife_ticket_keys *keys, int64_t now, const ticket *made) {
    ticket got = *made;
    unsigned char mac[32] = {0}, plain[96] = {0};
    ciphers both = ciphers_new();
    int len = 0, last = 0;
    int found = tlsl_ticket_key_at(keys, now, got.name, got.iv, both.cipher, both.mac, false);
    if (found > 0) {
        bool ok = mac_of(both.mac, &got, mac) && memcmp(mac, made->mac, 32) == 0 &&
                  EVP_DecryptUpdate(both.cipher, plain, &len, got.body, (int)got.body_len) == 1 &&
                  EVP_DecryptFinal_ex(both.cipher, plain + len, &last) == 1 &&
                  strcmp((char *)plain, "what is in the ticket") == 0;
        found = ok ? found : DOES_NOT_FIT;
    }
    ciphers_free(both);
    return found;
}

static const unsigned char *secret(unsigned char number) {
    static _Thread_local unsigned char bytes[32];
    memset(bytes, number, sizeof bytes);
    return bytes;
}

static tlslife_ticket_keys *derived(unsigned char number, long epoch_seconds, unsigned older) {
    tlslife_ticket_keys *keys =
        tlslife_ticket_keys_derived(secret(number), 32, epoch_seconds, older, NULL);
    CHECK(keys != NULL);
    return keys;
}

/* -------------------------------------------------------------------------------------- derived */

/* Two machines run for a hundred epochs. The second one's clock differs by that many epochs. */
static void test_two_machines(int64_t skew, int wanted) {
    tlslife_ticket_keys *one = derived(1, EPOCH, 2), *other = derived(1, EPOCH, 2);
    size_t right = 0;
    for (int64_t i = 0; i < 100; i++) {
        ticket made;
        int64_t now = NOW + i * 37;
        right += make(one, now, &made) == 1 && open_at(one, now, &made) == 1 &&
                 open_at(other, now + skew * EPOCH, &made) == wanted;
    }
    CHECK(right == 100);
    tlslife_ticket_keys_free(one);
    tlslife_ticket_keys_free(other);
}

/* A ticket of the epoch of NOW, at every other. */
static void test_window(tlslife_ticket_keys *keys, int older, bool newer) {
    ticket made;
    int64_t first = NOW - NOW % EPOCH, last = first + EPOCH - 1;
    CHECK(make(keys, last, &made) == 1);
    CHECK(open_at(keys, first, &made) == 1 && open_at(keys, last, &made) == 1);
    CHECK(open_at(keys, last + 1, &made) == 2);
    CHECK(open_at(keys, last + (int64_t)older * EPOCH, &made) == 2);
    if (newer) {
        CHECK(open_at(keys, last + (int64_t)older * EPOCH + 1, &made) == 0);
        CHECK(open_at(keys, first - 1, &made) == 2);
        CHECK(open_at(keys, first - EPOCH, &made) == 2);
        CHECK(open_at(keys, first - EPOCH - 1, &made) == 0);
        CHECK(open_at(keys, first, &made) == 1); /* derived again */
    } else {
        CHECK(open_at(keys, last + (int64_t)older * EPOCH + 1, &made) == 0);
        CHECK(open_at(keys, first, &made) == 0); /* gone for good */
    }
}

static void test_derived_window(void) {
    static const unsigned older[] = {1, 2, 7, 16};
    for (size_t i = 0; i < sizeof older / sizeof older[0]; i++) {
        tlslife_ticket_keys *keys = derived(1, EPOCH, older[i]);
        test_window(keys, (int)older[i], true);
        tlslife_ticket_keys_free(keys);
    }
}

static void test_strangers(void) {
    tlslife_ticket_keys *keys = derived(1, EPOCH, 2), *other = derived(2, EPOCH, 2),
                        *longer = derived(1, 2L * EPOCH, 2);
    ticket made, changed;
    CHECK(make(keys, NOW, &made) == 1);
    CHECK(open_at(other, NOW, &made) == 0);
    CHECK(open_at(longer, NOW, &made) == 0 && open_at(longer, NOW * 2, &made) == 0);
    changed = made;
    changed.body[0] ^= 1;
    CHECK(open_at(keys, NOW, &changed) == DOES_NOT_FIT);
    changed = made;
    changed.name[15] ^= 1;
    CHECK(open_at(keys, NOW, &changed) == 0);
    CHECK(make(keys, NOW, &changed) == 1);
    CHECK(memcmp(made.name, changed.name, 16) == 0 && memcmp(made.iv, changed.iv, 16) != 0);
    tlslife_ticket_keys_free(keys);
    tlslife_ticket_keys_free(other);
    tlslife_ticket_keys_free(longer);
}

/* The first epochs of all, and a clock before them. */
static void test_beginning_of_time(void) {
    tlslife_ticket_keys *keys = derived(1, EPOCH, 16);
    ticket made;
    CHECK(make(keys, 0, &made) == 1 && open_at(keys, -5, &made) == 1 &&
          open_at(keys, EPOCH, &made) == 2);
    CHECK(open_at(keys, INT64_MIN, &made) == 1);
    CHECK(make(keys, INT64_MAX, &made) == 1 && open_at(keys, INT64_MAX, &made) == 1);
    tlslife_ticket_keys_free(keys);
}

/* -- processes */

#define PROCESSES 3
#define EPOCHS 3 /* two rotations */

/* The tickets that the processes hand to one another, as clients would. */
typedef struct handed {
    ticket made[PROCESSES][EPOCHS];
    int opened[PROCESSES];
} handed;

static void make_all(tlslife_ticket_keys *keys, handed *all, int me) {
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        (void)make(keys, NOW + (int64_t)epoch * EPOCH, &all->made[me][epoch]);
    }
}

/* In the last epoch its own tickets open, and older ones open and are renewed. */
static void open_all(tlslife_ticket_keys *keys, handed *all, int me) {
    for (int from = 0; from < PROCESSES; from++) {
        for (int epoch = 0; epoch < EPOCHS; epoch++) {
            int wanted = epoch == EPOCHS - 1 ? 1 : 2;
            all->opened[me] += open_at(keys, NOW + (int64_t)(EPOCHS - 1) * EPOCH,
                                       &all->made[from][epoch]) == wanted;
        }
    }
}

/* Each process derives its keys for itself, after it was forked. */
static void in_processes(void (*work)(tlslife_ticket_keys *, handed *, int), handed *all) {
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            work(derived(1, EPOCH, 2), all, i);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;
        CHECK(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
    }
}

static void test_processes(void) {
    handed *all =
        mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!CHECK(all != MAP_FAILED)) {
        return;
    }
    in_processes(make_all, all);
    in_processes(open_all, all);
    for (int i = 0; i < PROCESSES; i++) {
        CHECK(all->opened[i] == PROCESSES * EPOCHS);
    }
    (void)munmap(all, sizeof *all);
}

/* --------------------------------------------------------------------------------------- random */

static void test_random(void) {
    tlslife_ticket_keys *keys = tlslife_ticket_keys_random(EPOCH, 3, NULL),
                        *other = tlslife_ticket_keys_random(EPOCH, 3, NULL);
    ticket made, later;
    CHECK(keys != NULL && other != NULL);
    test_window(keys, 3, false);
    CHECK(make(keys, NOW, &made) == 1);
    CHECK(open_at(other, NOW, &made) == 0);
    CHECK(make(keys, NOW + EPOCH, &later) == 1 && memcmp(made.name, later.name, 16) != 0);
    CHECK(open_at(keys, NOW, &later) == 2); /* the clock went back */
    CHECK(open_at(keys, NOW, &made) == 1 && open_at(keys, NOW + EPOCH, &later) == 1);
    CHECK(open_at(keys, NOW + 3L * EPOCH, &made) == 2 &&
          open_at(keys, NOW + 3L * EPOCH, &later) == 2);
    tlslife_ticket_keys_free(keys);
    tlslife_ticket_keys_free(other);
}

/* ------------------------------------------------------------------------------------------ own */

#define OWN_LEN ((size_t)80)

static void own_key(unsigned char *out, unsigned char number) {
    for (size_t i = 0; i < OWN_LEN; i++) {
        out[i] = (unsigned char)(number * OWN_LEN + i);
    }
}

/*
 * A key is its name, the HMAC key and the AES key, in that order. So a ticket can be opened here
 * without the library.
 */
static void test_own_order(void) {
    unsigned char key[OWN_LEN], mac[32], covered[96], plain[96] = {0};
    ticket made = {0};
    size_t len = 0;
    int part = 0;
    own_key(key, 1);
    tlslife_ticket_keys *keys = tlslife_ticket_keys_new(key, OWN_LEN, NULL);
    CHECK(keys != NULL && make(keys, NOW, &made) == 1);
    CHECK(memcmp(made.name, key, 16) == 0);
    memcpy(covered, made.name, 16);
    memcpy(covered + 16, made.iv, 16);
    memcpy(covered + 32, made.body, made.body_len);
    CHECK(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key + 16, 32, covered, 32 + made.body_len,
                    mac, 32, &len) != NULL);
    CHECK(memcmp(mac, made.mac, 32) == 0);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    CHECK(EVP_DecryptInit_ex2(ctx, EVP_aes_256_cbc(), key + 48, made.iv, NULL) == 1 &&
          EVP_DecryptUpdate(ctx, plain, &part, made.body, (int)made.body_len) == 1 &&
          EVP_DecryptFinal_ex(ctx, plain + part, &part) == 1);
    CHECK_TEXT((char *)plain, "what is in the ticket");
    EVP_CIPHER_CTX_free(ctx);
    tlslife_ticket_keys_free(keys);
}

static void test_replace(void) {
    unsigned char two[2 * OWN_LEN];
    ticket first, second;
    own_key(two, 1);
    tlslife_ticket_keys *keys = tlslife_ticket_keys_new(two, OWN_LEN, NULL);
    CHECK(make(keys, NOW, &first) == 1 && open_at(keys, NOW + 1000000, &first) == 1);
    own_key(two, 2);
    own_key(two + OWN_LEN, 1);
    CHECK(tlslife_ticket_keys_replace(keys, two, sizeof two, NULL) == TLSLIFE_OK);
    CHECK(open_at(keys, NOW, &first) == 2);
    CHECK(make(keys, NOW, &second) == 1 && open_at(keys, NOW, &second) == 1);
    CHECK(tlslife_ticket_keys_replace(keys, two, OWN_LEN, NULL) == TLSLIFE_OK);
    CHECK(open_at(keys, NOW, &first) == 0 && open_at(keys, NOW, &second) == 1);
    tlslife_ticket_keys_free(keys);
}

/* ------------------------------------------------------------------------------------- mistakes */

static bool is_usage(const tlslife_ticket_keys *keys, const tlslife_error *err) {
    return keys == NULL && err->kind == TLSLIFE_ERR_USAGE && err->message[0] != '\0';
}

static void test_mistakes(void) {
    tlslife_error err;
    unsigned char own[17 * OWN_LEN];
    for (unsigned char i = 0; i < 17; i++) {
        own_key(own + i * OWN_LEN, i);
        own[i * OWN_LEN] = i;
    }
    CHECK(is_usage(tlslife_ticket_keys_derived(secret(1), 31, EPOCH, 1, &err), &err));
    CHECK(is_usage(tlslife_ticket_keys_derived(secret(1), 32, 59, 1, &err), &err));
    CHECK(is_usage(tlslife_ticket_keys_derived(secret(1), 32, 604801, 1, &err), &err));
    CHECK(is_usage(tlslife_ticket_keys_derived(secret(1), 32, EPOCH, 0, &err), &err));
    CHECK(is_usage(tlslife_ticket_keys_random(EPOCH, 17, &err), &err));
    CHECK(is_usage(tlslife_ticket_keys_random(-1, 1, &err), &err));
    CHECK(is_usage(tlslife_ticket_keys_new(own, 0, &err), &err));
    CHECK(is_usage(tlslife_ticket_keys_new(own, OWN_LEN - 1, &err), &err));
    CHECK(is_usage(tlslife_ticket_keys_new(own, 48, &err), &err));
    CHECK(is_usage(tlslife_ticket_keys_new(own, sizeof own, &err), &err));
    CHECK(is_usage(tlslife_ticket_keys_new(own, OWN_LEN + 1, NULL), &err));
    tlslife_ticket_keys *keys = tlslife_ticket_keys_new(own, 16 * OWN_LEN, &err);
    CHECK(keys != NULL && tlslife_ticket_keys_up_ref(keys) == keys);
    own[OWN_LEN] = own[0]; /* and the rest of the name is the same too, then */
    memcpy(own + OWN_LEN, own, 16);
    CHECK(tlslife_ticket_keys_replace(keys, own, sizeof own - OWN_LEN, &err) == TLSLIFE_ERROR &&
          err.kind == TLSLIFE_ERR_USAGE);
    CHECK_TEXT(err.message, "ticket keys 1 and 2 have the same name (their first 16 bytes)");
    tlslife_ticket_keys_free(keys);
    tlslife_ticket_keys_free(keys);
    tlslife_ticket_keys_free(NULL);
    keys = derived(1, EPOCH, 1);
    CHECK(tlslife_ticket_keys_replace(keys, own, OWN_LEN, &err) == TLSLIFE_ERROR &&
          err.kind == TLSLIFE_ERR_USAGE);
    tlslife_ticket_keys_free(keys);
}

/* -------------------------------------------------------------------------------------- threads */

typedef struct turning {
    tlslife_ticket_keys *keys;
    atomic_bool over;
    atomic_uint clock; /* calls */
    atomic_uint opened, failed;
} turning;

/* The clock goes back and forth between two epochs, so that a new window is made all the time. */
static void *make_and_open(void *argument) {
    turning *scene = argument;
    do {
        ticket made;
        int64_t now = NOW + (int64_t)(atomic_fetch_add(&scene->clock, 1) / 4 % 2) * EPOCH;
        int found = make(scene->keys, now, &made) == 1 ? open_at(scene->keys, now, &made) : -1;
        atomic_fetch_add(found > 0 ? &scene->opened : &scene->failed, 1);
    } while (!atomic_load(&scene->over));
    OPENSSL_thread_stop();
    return NULL;
}

static void replace_often(tlslife_ticket_keys *keys) {
    unsigned char orders[2][2 * OWN_LEN];
    for (unsigned char i = 0; i < 2; i++) {
        own_key(orders[i], i);
        own_key(orders[i] + OWN_LEN, 1 - i);
    }
    for (unsigned i = 0; i < 20000; i++) {
        (void)tlslife_ticket_keys_replace(keys, orders[i % 2], 2 * OWN_LEN, NULL);
    }
}

static void test_threads(tlslife_ticket_keys *keys, bool own) {
    turning scene = {.keys = keys};
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++) {
        CHECK(pthread_create(&threads[i], NULL, make_and_open, &scene) == 0);
    }
    if (own) {
        replace_often(keys);
    }
    while (atomic_load(&scene.clock) < 3000) {
        (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    atomic_store(&scene.over, true);
    for (size_t i = 0; i < 3; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CHECK(atomic_load(&scene.opened) >= 3000 && atomic_load(&scene.failed) == 0);
    tlslife_ticket_keys_free(keys);
}

static void test_all_under_threads(void) {
    unsigned char two[2 * OWN_LEN];
    own_key(two, 0);
    own_key(two + OWN_LEN, 1);
    test_threads(tlslife_ticket_keys_new(two, sizeof two, NULL), true);
    test_threads(derived(1, EPOCH, 2), false);
    test_threads(tlslife_ticket_keys_random(EPOCH, 2, NULL), false);
}

/* ---------------------------------------------------------------------------------- over libssl */

static tlslife_context *server_with(const test_identity *identity, tlslife_ticket_keys *keys) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, NULL);
    CHECK(tlslife_context_set_certificate_pem(context, identity->certificate,
                                              strlen(identity->certificate), NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_private_key_pem(context, identity->key, strlen(identity->key), NULL,
                                              NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_ticket_keys(context, keys, NULL) == TLSLIFE_OK);
    tlslife_ticket_keys_free(keys);
    return context;
}

static bool goes_on(tlslife_status status) {
    return status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE;
}

static const char *own_ciphers; /* that visit sets in the client's SSL; NULL: none */

/* Makes a connection. Returns whether it resumed, and in *session what to offer next. */
static bool visit(tlslife_context *client_of, tlslife_context *server_of,
                  tlslife_session **session) {
    tlslife_conn *client = tlslife_conn_new(client_of, NULL),
                 *server = tlslife_conn_new(server_of, NULL);
    tlslife_status at_client = TLSLIFE_WANT_READ, at_server = TLSLIFE_WANT_READ;
    CHECK(tlslife_conn_set_hostname(client, "localhost") == TLSLIFE_OK);
    CHECK(tlslife_conn_pair(client, server, 0) == TLSLIFE_OK);
    CHECK(own_ciphers == NULL || SSL_set_cipher_list(tlslife_conn_ssl(client), own_ciphers) == 1);
    CHECK(*session == NULL || tlslife_conn_set_session(client, *session) == TLSLIFE_OK);
    for (int i = 0; i < 20 && (goes_on(at_client) || goes_on(at_server)); i++) {
        at_client = goes_on(at_client) ? tlslife_conn_connect(client) : at_client;
        at_server = goes_on(at_server) ? tlslife_conn_accept(server) : at_server;
    }
    char byte;
    size_t len = 0;
    CHECK(at_client == TLSLIFE_OK && at_server == TLSLIFE_OK);
    CHECK(tlslife_conn_write(server, "x", 1, &len) == TLSLIFE_OK);
    CHECK(tlslife_conn_read(client, &byte, 1, &len) == TLSLIFE_OK);
    bool resumed = tlslife_conn_session_reused(server);
    CHECK(tlslife_conn_session_reused(client) == resumed);
    tlslife_session_free(*session);
    *session = tlslife_conn_take_session(client);
    if (*session == NULL) { /* a renewed ticket of TLS 1.2 is in the connection's session only */
        *session = tlslife_conn_get1_session(client);
    }
    (void)tlslife_conn_close(client, 0);
    (void)tlslife_conn_close(server, 0);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    return resumed;
}

/*
 * Servers that share a secret resume each other's clients, and a server without that secret does
 * not.
 */
static void test_servers(const test_identity *identity, int version) {
    tlslife_context *one = server_with(identity, derived(1, 604800, 2)),
                    *other = server_with(identity, derived(1, 604800, 2)),
                    *stranger = server_with(identity, derived(2, 604800, 2));
    tlslife_context *client = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    tlslife_session *session = NULL;
    CHECK(tlslife_context_add_ca_pem(client, identity->certificate, strlen(identity->certificate),
                                     NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_versions(client, version, version, NULL) == TLSLIFE_OK);
    CHECK(!visit(client, one, &session));
    CHECK(session != NULL && visit(client, other, &session));
    CHECK(session != NULL && !visit(client, stranger, &session));
    CHECK(session != NULL && visit(client, stranger, &session));
    tlslife_session_free(session);
    tlslife_context_free(client);
    tlslife_context_free(one);
    tlslife_context_free(other);
    tlslife_context_free(stranger);
}

/*
 * A ticket under another key than the first is renewed, in TLS 1.2, too, so that the old key may
 * go.
 */
static void test_renewal(const test_identity *identity, int version) {
    unsigned char two[2 * OWN_LEN];
    own_key(two, 1);
    tlslife_ticket_keys *keys = tlslife_ticket_keys_new(two, OWN_LEN, NULL);
    tlslife_context *server = server_with(identity, tlslife_ticket_keys_up_ref(keys));
    tlslife_context *client = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    tlslife_session *session = NULL;
    CHECK(tlslife_context_add_ca_pem(client, identity->certificate, strlen(identity->certificate),
                                     NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_versions(client, version, version, NULL) == TLSLIFE_OK);
    CHECK(!visit(client, server, &session) && session != NULL);
    own_key(two, 2);
    own_key(two + OWN_LEN, 1);
    CHECK(tlslife_ticket_keys_replace(keys, two, sizeof two, NULL) == TLSLIFE_OK);
    CHECK(visit(client, server, &session) && session != NULL);
    CHECK(tlslife_ticket_keys_replace(keys, two, OWN_LEN, NULL) == TLSLIFE_OK);
    CHECK(session != NULL && visit(client, server, &session));
    tlslife_session_free(session);
    tlslife_ticket_keys_free(keys);
    tlslife_context_free(server);
    tlslife_context_free(client);
}

/*
 * A session of TLS 1.2 is not offered without its cipher, also where the program has changed the
 * ciphers through libssl, behind the library's back.
 */
static void test_changed_ciphers(const test_identity *identity) {
    static const char made[] = "ECDHE-ECDSA-AES128-GCM-SHA256",
                      other[] = "ECDHE-ECDSA-AES256-GCM-SHA384";
    tlslife_context *server = server_with(identity, derived(1, 604800, 2));
    tlslife_context *client = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    tlslife_session *session = NULL;
    CHECK(tlslife_context_add_ca_pem(client, identity->certificate, strlen(identity->certificate),
                                     NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_versions(client, TLSLIFE_TLS1_2, TLSLIFE_TLS1_2, NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_cipher_list(client, made, NULL) == TLSLIFE_OK);
    CHECK(!visit(client, server, &session) && session != NULL);
    CHECK(visit(client, server, &session) && session != NULL);
    own_ciphers = other;
    CHECK(!visit(client, server, &session) && session != NULL); /* which has the other cipher now */
    own_ciphers = NULL;
    CHECK(!visit(client, server, &session) && session != NULL);
    CHECK(visit(client, server, &session) && session != NULL);
    CHECK(SSL_CTX_set_cipher_list(tlslife_context_ssl_ctx(client), other) == 1);
    CHECK(!visit(client, server, &session) && session != NULL);
    tlslife_session_free(session);
    tlslife_context_free(server);
    tlslife_context_free(client);
}

static void test_client_has_none(void) {
    tlslife_error err;
    tlslife_context *client = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    tlslife_ticket_keys *keys = derived(1, EPOCH, 1);
    CHECK(tlslife_context_set_ticket_keys(client, keys, &err) == TLSLIFE_ERROR &&
          err.kind == TLSLIFE_ERR_USAGE);
    tlslife_ticket_keys_free(keys);
    tlslife_context_free(client);
}

int main(void) {
    test_identity identity;
    test_two_machines(0, 1);
    test_two_machines(1, 2);
    test_two_machines(2, 2);
    test_two_machines(3, 0);
    test_two_machines(-1, 2);
    test_two_machines(-2, 0);
    test_derived_window();
    test_strangers();
    test_processes();
    test_beginning_of_time();
    test_random();
    test_own_order();
    test_replace();
    test_mistakes();
    test_all_under_threads();
    if (CHECK(identity_make(&identity))) {
        test_servers(&identity, TLSLIFE_TLS1_2);
        test_servers(&identity, TLSLIFE_TLS1_3);
        test_renewal(&identity, TLSLIFE_TLS1_2);
        test_renewal(&identity, TLSLIFE_TLS1_3);
        test_changed_ciphers(&identity);
    }
    test_client_has_none();
    return checks_end();
}
