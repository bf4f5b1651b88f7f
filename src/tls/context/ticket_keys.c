/*
 * ticket_keys.c: makes, rotates and hands out the keys of stateless tickets, in the one callback in
 * which libssl asks for them.
 *
 * A ticket is AES-256-CBC, then HMAC-SHA-256 over it (RFC 5077 section 4). libssl does both, and
 * compares the MAC in constant time; the callback only chooses keys. The first key of a window
 * makes tickets, and all of its keys open them. A ticket under any other key than the first is
 * renewed. The keys of a window are
 *
 *   derived   those of this epoch, of the next one (another machine's clock may be ahead) and of
 *             some before it, each HKDF of a secret and the epoch's number, so that machines
 *             rotate in step
 *   random    the same, but a key is made when its epoch begins, and wiped with the last window
 *             that holds it
 *   own       those that the program gave
 *
 * Handshakes of any thread copy one key out under a lock. When an epoch begins, the first thread
 * that notices makes the next window outside of that lock. Until it is set, other threads use the
 * window before, whose key of the next epoch becomes the first key. No thread waits for HKDF,
 * except after more than an epoch without a handshake.
 *
 * An attacker who has a ticket's key can read the session in it and, in TLS 1.2, all that the
 * session protected. So a key stays worth stealing as long as it exists. Random keys are gone once
 * their epochs have passed. Derived ones are not, since the secret makes them again; that is the
 * price of machines that need not talk to each other.
 *
 * An attacker would also send names of keys that no longer exist, to learn which are known (names
 * are sent in the clear, and are as random as the keys), and tickets that are cut or changed (the
 * MAC fails). Both cost a full handshake and nothing else.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "cache/seal.h"
#include "tls/context/context.h"
#include "tls/context/ticket_keys.h"
#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tlslife.h"

#define SECRET_MIN 32
#define EPOCH_SECONDS_MIN 60
#define EPOCH_SECONDS_MAX 604800
#define OLDER_MAX 16
#define OWN_MAX 16
#define WINDOW_MAX (OLDER_MAX + 2)

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): the ticket opens, and the client gets another one. */
#define RENEW 2

enum { NAME_LEN = 16, MAC_KEY_LEN = 32, CIPHER_KEY_LEN = 32, IV_LEN = 16 };

typedef struct ticket_secret { /* laid out as in nginx's key files */
    unsigned char name[NAME_LEN];
    unsigned char mac[MAC_KEY_LEN];
    unsigned char cipher[CIPHER_KEY_LEN];
} ticket_secret;

_Static_assert(sizeof(ticket_secret) == 80, "a program's key has 80 bytes");

typedef struct ticket_key {
    ticket_secret secret;
    int64_t epoch;
} ticket_key;

typedef struct ticket_window {
    int64_t epoch;
    size_t keys_len;
    ticket_key keys[WINDOW_MAX]; /* the first makes tickets */
} ticket_window;

typedef enum ticket_source { SOURCE_DERIVED, SOURCE_RANDOM, SOURCE_OWN } ticket_source;

struct tlslife_ticket_keys {
    atomic_uint refs;
    ticket_source source;
    long epoch_seconds;
    unsigned older_epochs;
    unsigned char secret[32]; /* derived: HKDF of the program's secret for this length of epoch */
    EVP_CIPHER *cipher;
    pthread_mutex_t turning; /* held by the thread that makes the next window */
    pthread_mutex_t lock;    /* held to copy from the window; both are held to write it */
    ticket_window window;
};

/* ----------------------------------------------------------------------------------- the window */

static const ticket_key *key_of_epoch(const ticket_window *window, int64_t epoch) {
    for (size_t i = 0; i < window->keys_len; i++) {
        if (window->keys[i].epoch == epoch) {
            return &window->keys[i];
        }
    }
    return NULL;
}

static bool make_key(const tlslife_ticket_keys *keys, int64_t epoch, ticket_secret *out) {
    unsigned char *bytes = (unsigned char *)out;
    return keys->source == SOURCE_RANDOM
               ? RAND_priv_bytes(bytes, sizeof *out) == 1
               : tlsl_derive(keys->secret, sizeof keys->secret, "tlslife ticket key",
                             (uint64_t)epoch, bytes, sizeof *out);
}

/*
 * Adds the key of an epoch to next. It is the one in the window before, or a new one. A random key
 * is made for the present epoch only, since no client has tickets under those of other epochs.
 */
static bool add_epoch(const tlslife_ticket_keys *keys, const ticket_window *before,
                      ticket_window *next, int64_t epoch) {
    const ticket_key *known = key_of_epoch(before, epoch);
    ticket_key *key = &next->keys[next->keys_len];
    if (known == NULL && (epoch < 0 || (keys->source == SOURCE_RANDOM && epoch != next->epoch))) {
        return true;
    }
    if (known != NULL) {
        *key = *known;
    } else if (!make_key(keys, epoch, &key->secret)) {
        return false;
    }
    key->epoch = epoch;
    next->keys_len++;
    return true;
}

static bool make_window(const tlslife_ticket_keys *keys, const ticket_window *before, int64_t epoch,
                        ticket_window *next) {
    next->epoch = epoch;
    next->keys_len = 0;
    bool ok = add_epoch(keys, before, next, epoch) && add_epoch(keys, before, next, epoch + 1);
    for (unsigned i = 1; ok && i <= keys->older_epochs; i++) {
        ok = add_epoch(keys, before, next, epoch - (int64_t)i);
    }
    return ok;
}

static void set_window(tlslife_ticket_keys *keys, const ticket_window *next) {
    pthread_mutex_lock(&keys->lock);
    keys->window = *next;
    pthread_mutex_unlock(&keys->lock);
}

static int64_t epoch_at(const tlslife_ticket_keys *keys, int64_t now) {
    return now < 0 ? 0 : now / keys->epoch_seconds;
}

/*
 * Makes the window of an epoch. If another thread is making it, the window before serves as long as
 * it is the neighbour; tickets made under an older one might never open. If making the window
 * fails, the old one stays.
 */
static void turn_to(tlslife_ticket_keys *keys, int64_t epoch, bool neighbour) {
    ticket_window next = {0};
    if (!neighbour) {
        pthread_mutex_lock(&keys->turning);
    } else if (pthread_mutex_trylock(&keys->turning) != 0) {
        return;
    }
    if (keys->window.epoch != epoch && make_window(keys, &keys->window, epoch, &next)) {
        set_window(keys, &next);
    }
    pthread_mutex_unlock(&keys->turning);
    OPENSSL_cleanse(&next, sizeof next);
}

/*
 * Copies the first key (name NULL) or the one of that name. Returns 0 if there is none, 1 for the
 * first key, RENEW for another.
 */
static int copy_key(tlslife_ticket_keys *keys, const unsigned char *name, ticket_secret *out) {
    size_t at = 0;
    const ticket_window *window = &keys->window;
    pthread_mutex_lock(&keys->lock);
    while (name != NULL && at < window->keys_len &&
           memcmp(window->keys[at].secret.name, name, NAME_LEN) != 0) {
        at++;
    }
    bool found = at < window->keys_len;
    if (found) {
        *out = window->keys[at].secret;
    }
    pthread_mutex_unlock(&keys->lock);
    return !found ? 0 : at == 0 ? 1 : RENEW;
}

static int find_key(tlslife_ticket_keys *keys, int64_t now, const unsigned char *name,
                    ticket_secret *out) {
    if (keys->source != SOURCE_OWN) {
        pthread_mutex_lock(&keys->lock);
        int64_t epoch = epoch_at(keys, now), current = keys->window.epoch;
        pthread_mutex_unlock(&keys->lock);
        if (epoch != current) {
            turn_to(keys, epoch, epoch == current + 1 || epoch == current - 1);
        }
    }
    return copy_key(keys, name, out);
}

/* --------------------------------------------------------------------------- making and freeing */

static tlslife_ticket_keys *keys_alloc(ticket_source source, tlslife_error *err) {
    ERR_clear_error();
    tlslife_ticket_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL) {
        tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for ticket keys");
        return NULL;
    }
    atomic_init(&keys->refs, 1);
    pthread_mutex_init(&keys->turning, NULL);
    pthread_mutex_init(&keys->lock, NULL);
    keys->source = source;
    keys->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (keys->cipher == NULL) {
        tlsl_fail_making(err, "cannot make ticket keys");
        tlslife_ticket_keys_free(keys);
        return NULL;
    }
    return keys;
}

static bool check_epochs(long epoch_seconds, unsigned older_epochs, tlslife_error *err) {
    if (epoch_seconds < EPOCH_SECONDS_MIN || epoch_seconds > EPOCH_SECONDS_MAX) {
        tlsl_fail(err, TLSLIFE_ERR_USAGE, "an epoch of ticket keys has %d to %d seconds, not %ld",
                  EPOCH_SECONDS_MIN, EPOCH_SECONDS_MAX, epoch_seconds);
        return false;
    }
    if (older_epochs < 1 || older_epochs > OLDER_MAX) {
        tlsl_fail(err, TLSLIFE_ERR_USAGE,
                  "the ticket keys of 1 to %d older epochs open tickets, not %u", OLDER_MAX,
                  older_epochs);
        return false;
    }
    return true;
}

/*
 * Takes keys over and makes the window of the present epoch. NULL: err is filled and keys are
 * freed.
 */
static tlslife_ticket_keys *begin_epochs(tlslife_ticket_keys *keys, long epoch_seconds,
                                         unsigned older_epochs, tlslife_error *err) {
    static const ticket_window none;
    keys->epoch_seconds = epoch_seconds;
    keys->older_epochs = older_epochs;
    if (!make_window(keys, &none, epoch_at(keys, (int64_t)time(NULL)), &keys->window)) {
        tlsl_fail_making(err, "cannot make ticket keys");
        tlslife_ticket_keys_free(keys);
        return NULL;
    }
    return keys;
}

tlslife_ticket_keys *tlslife_ticket_keys_derived(const unsigned char *secret, size_t secret_len,
                                                 long epoch_seconds, unsigned older_epochs,
                                                 tlslife_error *err) {
    if (!check_epochs(epoch_seconds, older_epochs, err)) {
        return NULL;
    }
    if (secret_len < SECRET_MIN) {
        tlsl_fail(err, TLSLIFE_ERR_USAGE,
                  "the secret of ticket keys has %d bytes or more, all of them random, not %zu",
                  SECRET_MIN, secret_len);
        return NULL;
    }
    tlslife_ticket_keys *keys = keys_alloc(SOURCE_DERIVED, err);
    if (keys != NULL && !tlsl_derive(secret, secret_len, "tlslife ticket epochs",
                                     (uint64_t)epoch_seconds, keys->secret, sizeof keys->secret)) {
        tlsl_fail_making(err, "cannot make ticket keys");
        tlslife_ticket_keys_free(keys);
        return NULL;
    }
    return keys == NULL ? NULL : begin_epochs(keys, epoch_seconds, older_epochs, err);
}

tlslife_ticket_keys *tlslife_ticket_keys_random(long epoch_seconds, unsigned older_epochs,
                                                tlslife_error *err) {
    if (!check_epochs(epoch_seconds, older_epochs, err)) {
        return NULL;
    }
    tlslife_ticket_keys *keys = keys_alloc(SOURCE_RANDOM, err);
    return keys == NULL ? NULL : begin_epochs(keys, epoch_seconds, older_epochs, err);
}

tlslife_ticket_keys *tlslife_ticket_keys_up_ref(tlslife_ticket_keys *keys) {
    atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
    return keys;
}

void tlslife_ticket_keys_free(tlslife_ticket_keys *keys) {
    if (keys == NULL || atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    EVP_CIPHER_free(keys->cipher);
    pthread_mutex_destroy(&keys->turning);
    pthread_mutex_destroy(&keys->lock);
    OPENSSL_cleanse(keys->secret, sizeof keys->secret);
    OPENSSL_cleanse(&keys->window, sizeof keys->window);
    free(keys);
}

/* ---------------------------------------------------------------------------- the program's own */

/* Fills window with the keys in bytes. false: err says why they are no keys. */
static bool read_own(const unsigned char *bytes, size_t bytes_len, ticket_window *window,
                     tlslife_error *err) {
    window->keys_len = bytes_len / sizeof(ticket_secret);
    if (bytes_len % sizeof(ticket_secret) != 0 || window->keys_len < 1 ||
        window->keys_len > OWN_MAX) {
        tlsl_fail(err, TLSLIFE_ERR_USAGE,
                  "ticket keys are 1 to %d of %zu bytes each, not %zu bytes", OWN_MAX,
                  sizeof(ticket_secret), bytes_len);
        return false;
    }
    for (size_t i = 0; i < window->keys_len; i++) {
        memcpy(&window->keys[i].secret, bytes + i * sizeof(ticket_secret), sizeof(ticket_secret));
        for (size_t j = 0; j < i; j++) {
            if (memcmp(window->keys[i].secret.name, window->keys[j].secret.name, NAME_LEN) == 0) {
                tlsl_fail(err, TLSLIFE_ERR_USAGE,
                          "ticket keys %zu and %zu have the same name (their first %d bytes)",
                          j + 1, i + 1, NAME_LEN);
                return false;
            }
        }
    }
    return true;
}

tlslife_status tlslife_ticket_keys_replace(tlslife_ticket_keys *ticket_keys,
                                           const unsigned char *keys, size_t keys_len,
                                           tlslife_error *err) {
    if (ticket_keys->source != SOURCE_OWN) {
        return tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "derived and random ticket keys cannot be replaced: they change by themselves");
    }
    ticket_window next = {0};
    bool ok = read_own(keys, keys_len, &next, err);
    if (ok) {
        pthread_mutex_lock(&ticket_keys->turning);
        set_window(ticket_keys, &next);
        pthread_mutex_unlock(&ticket_keys->turning);
    }
    OPENSSL_cleanse(&next, sizeof next);
    return ok ? TLSLIFE_OK : TLSLIFE_ERROR;
}

tlslife_ticket_keys *tlslife_ticket_keys_new(const unsigned char *keys, size_t keys_len,
                                             tlslife_error *err) {
    tlslife_ticket_keys *own = keys_alloc(SOURCE_OWN, err);
    if (own != NULL && tlslife_ticket_keys_replace(own, keys, keys_len, err) != TLSLIFE_OK) {
        tlslife_ticket_keys_free(own);
        return NULL;
    }
    return own;
}

/* -------------------------------------------------------------------------------- in handshakes */

static bool use_key(const tlslife_ticket_keys *keys, const ticket_secret *key,
                    const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                    bool making) {
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac,
                                          sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex2(cipher, keys->cipher, key->cipher, iv, making, NULL) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

int tlsl_ticket_key_at(tlslife_ticket_keys *keys, int64_t now, unsigned char *name,
                       unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool making) {
    ticket_secret key;
    int found = find_key(keys, now, making ? NULL : name, &key);
    if (found == 0) {
        return 0;
    }
    bool ok = !making || RAND_bytes(iv, IV_LEN) == 1;
    if (making) {
        memcpy(name, key.name, NAME_LEN);
    }
    ok = ok && use_key(keys, &key, iv, cipher, mac, making);
    OPENSSL_cleanse(&key, sizeof key);
    return ok ? found : -1;
}

/*
 * libssl asks the SSL_CTX that the connection was made of, whatever a server name has chosen since,
 * and so do we. A program's SSL that is no connection of ours has only its own SSL_CTX.
 */
static tlslife_ticket_keys *keys_of(const SSL *ssl, const tlslife_conn *conn) {
    const tlslife_context *context =
        conn != NULL ? conn->origin : tlsl_context_of(SSL_get_SSL_CTX(ssl));
    return context == NULL ? NULL : context->ticket_keys;
}

/*
 * A TLS 1.3 ticket is used once (RFC 8446 appendix C.4), so a client that resumes with one gets
 * another. libssl sees to that if the keys are its own, and leaves it to this callback if they are
 * not.
 */
int tlsl_on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int making) {
    tlslife_conn *conn = tlsl_conn_of(ssl);
    tlslife_ticket_keys *keys = keys_of(ssl, conn);
    int found = keys == NULL ? 0
                             : tlsl_ticket_key_at(keys, (int64_t)time(NULL), name, iv, cipher, mac,
                                                  making != 0);
    if (making && conn != NULL) {
        memcpy(conn->resume.ticket_head, name, NAME_LEN);
        memcpy(conn->resume.ticket_head + NAME_LEN, iv, IV_LEN);
        conn->resume.ticket_made = true;
    }
    if (making || found > 0) {
        return !making && SSL_version(ssl) >= TLS1_3_VERSION ? RENEW : found;
    }
    if (conn != NULL) {
        conn->resume.ticket_failed = true;
    }
    return 0; /* also if OpenSSL failed: the handshake is a full one then */
}

bool tlsl_ticket_key_known(const tlslife_conn *conn, tlslife_bytes ticket) {
    ticket_secret key; /* libssl's own keys have the same layout, and are no longer */
    tlslife_ticket_keys *keys = conn->origin->ticket_keys;
    bool known = false;
    if (ticket.len < NAME_LEN) {
        return false;
    }
    if (keys != NULL) {
        known = find_key(keys, (int64_t)time(NULL), ticket.data, &key) != 0;
    } else if (SSL_CTX_get_tlsext_ticket_keys(conn->origin->ctx, &key, sizeof key) == 1) {
        known = memcmp(key.name, ticket.data, NAME_LEN) == 0;
    }
    OPENSSL_cleanse(&key, sizeof key);
    return known;
}
