/*
 * known: shows each fault of failing_known.c in plain C on libcrypto, libssl, Lua and luv, without
 * tlslife. The n-th allocation fails, for one n after another, until the fault is seen; each has a
 * process of its own. Then memory is to be had again, and what was made is looked at.
 *
 *   known        prints "shown NAME: the allocation N of M", or "no luv NAME" where there is no
 *                luv; exit status 1: one was not seen
 */
#include "../c/identity.h"
#include "../c/state_with.h"

#include <lauxlib.h>
#include <lualib.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOWN 42

typedef struct texts {
    test_identity identity;
    char encrypted[4096];
    long allocations; /* of the last process */
} texts;

static texts *shared; /* by all processes */
static long nth, count;
static bool armed;

static bool is_due(void) {
    return armed && ++count == nth;
}

static void *on_malloc(size_t size, const char *file, int line) {
    (void)file, (void)line;
    return is_due() ? NULL : malloc(size);
}

static void *on_realloc(void *block, size_t size, const char *file, int line) {
    (void)file, (void)line;
    return is_due() ? NULL : realloc(block, size);
}

static void on_free(void *block, const char *file, int line) {
    (void)file, (void)line;
    free(block);
}

#if LUA_VERSION_NUM < 505
static void *on_lua(void *ud, void *block, size_t old_size, size_t new_size) {
    (void)ud, (void)old_size;
    if (new_size == 0) {
        free(block);
        return NULL;
    }
    bool due = is_due() || (armed && count == nth + 1); /* Lua tries again after a collection */
    return due ? NULL : realloc(block, new_size);
}
#endif

static void arm(void) {
    count = 0;
    armed = true;
}

static void disarm(void) {
    armed = false;
    shared->allocations = count;
    ERR_clear_error();
}

/* -------------------------------------------------------------------------------- certificates */

static X509 *parse(void) {
    BIO *bio = BIO_new_mem_buf(shared->identity.certificate, -1);
    X509 *x509 = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return x509;
}

static EVP_PKEY *parse_key(void) {
    BIO *bio = BIO_new_mem_buf(shared->identity.key, -1);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key;
}

/* A certificate whose key could not be decoded is taken, and has none ever after. */
static bool certificate_without_key(void) {
    (void)X509_get0_pubkey(parse());
    arm();
    X509 *x509 = parse();
    disarm();
    return x509 != NULL && X509_get0_pubkey(x509) == NULL;
}

#if OPENSSL_VERSION_NUMBER < 0x30500000L /* failing_known.c says why */
/* A key whose size could not be found has none ever after, and is called too small. */
static bool key_without_size(void) {
    arm();
    X509 *x509 = parse();
    disarm();
    const EVP_PKEY *key = x509 == NULL ? NULL : X509_get0_pubkey(x509);
    if (key == NULL || EVP_PKEY_get_security_bits(key) > 0) {
        return false;
    }
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    ERR_clear_error();
    return SSL_CTX_use_certificate(context, x509) != 1 &&
           ERR_GET_REASON(ERR_peek_error()) == SSL_R_EE_KEY_TOO_SMALL;
}
#endif

/* A certificate whose extensions could not be read is invalid ever after. */
static bool certificate_stays_invalid(void) {
    (void)X509_check_purpose(parse(), -1, 0);
    X509 *x509 = parse();
    arm();
    (void)X509_check_purpose(x509, -1, 0);
    disarm();
    return X509_check_purpose(x509, -1, 0) != 1 ||
           (X509_get_extension_flags(x509) & EXFLAG_INVALID) != 0;
}

/* ------------------------------------------------------------------------------------ contexts */

static bool shake(SSL_CTX *client, SSL_CTX *server) {
    BIO *bios[2];
    SSL *ends[2] = {SSL_new(client), SSL_new(server)};
    int done = 0;
    if (ends[0] == NULL || ends[1] == NULL || BIO_new_bio_pair(&bios[0], 0, &bios[1], 0) != 1) {
        abort();
    }
    for (int i = 0; i < 2; i++) {
        SSL_set_bio(ends[i], bios[i], bios[i]);
    }
    SSL_set_connect_state(ends[0]);
    SSL_set_accept_state(ends[1]);
    for (int i = 0; i < 20; i++) {
        done |= (SSL_do_handshake(ends[i % 2]) == 1) << i % 2;
    }
    return done == 3;
}

static SSL_CTX *new_server(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    (void)SSL_CTX_use_certificate(context, parse());
    (void)SSL_CTX_use_PrivateKey(context, parse_key());
    return context;
}

/* A context in which algorithms are missing is made, and no handshake with it succeeds. */
static bool context_without_algorithms(void) {
    SSL_CTX *server = new_server();
    if (!shake(SSL_CTX_new(TLS_client_method()), server)) {
        abort();
    }
    arm();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    disarm();
    return context != NULL && !shake(context, server);
}

/* What libcrypto could not make at its first use is not tried again. */
static bool once_and_never_again(void) {
    arm();
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    disarm();
    return context == NULL && SSL_CTX_new(TLS_method()) == NULL &&
           SSL_CTX_new(TLS_method()) == NULL;
}

/* ---------------------------------------------------------------------------------- OSSL_STORE */

static int passphrase(char *buffer, int size, int writing, void *data) {
    (void)size, (void)writing, (void)data;
    memcpy(buffer, "secret", 6);
    return 6;
}

static bool load(const char *pem, bool *out_unregistered) {
    UI_METHOD *ask = UI_UTIL_wrap_read_pem_callback(passphrase, 0);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    OSSL_STORE_CTX *store =
        bio == NULL || ask == NULL
            ? NULL
            : OSSL_STORE_attach(bio, "file", NULL, NULL, ask, NULL, NULL, NULL, NULL);
    *out_unregistered = ERR_GET_REASON(ERR_peek_error()) == OSSL_STORE_R_UNREGISTERED_SCHEME;
    OSSL_STORE_INFO *info = store == NULL ? NULL : OSSL_STORE_load(store);
    OSSL_STORE_close(store);
    return info != NULL;
}

/* A loader that could not be made at its first use is never found. */
static bool loader_is_lost(void) {
    bool unregistered = false;
    arm();
    (void)load(shared->identity.certificate, &unregistered);
    disarm();
    return !load(shared->identity.certificate, &unregistered) && unregistered;
}

/* A decoder that could not be made is given a passphrase: the process crashes. */
static bool decoder_crashes(void) {
    bool unregistered;
    if (!load(shared->encrypted, &unregistered)) {
        abort();
    }
    arm();
    (void)load(shared->encrypted, &unregistered);
    disarm();
    return false;
}

/* ----------------------------------------------------------------------------------------- Lua */

#if LUA_VERSION_NUM < 505 /* failing_known.c says why */
static int fill_buffer(lua_State *L) {
    luaL_Buffer buffer;
    (void)luaL_buffinitsize(L, &buffer, 100000);
    luaL_pushresultsize(&buffer, 0);
    return 1;
}

/* The metatable of a luaL_Buffer's box stays without __close. */
static bool buffer_never_again(void) {
    lua_State *L = state_with(on_lua, NULL);
    arm();
    lua_pushcfunction(L, fill_buffer);
    (void)lua_pcall(L, 0, 1, 0);
    disarm();
    lua_pushcfunction(L, fill_buffer);
    return lua_pcall(L, 0, 1, 0) != LUA_OK &&
           strstr(lua_tostring(L, -1), "non-closable value") != NULL;
}

static lua_State *state_with_luv(void) {
    lua_State *L = state_with(on_lua, NULL);
    luaL_openlibs(L);
    return luaL_dostring(L, "uv, held = require 'luv', {}") == LUA_OK ? L : NULL;
}

static bool luv_is_here(void) {
    return state_with_luv() != NULL;
}

/*
 * A handle that luaL_ref could not keep is collected, and luv's data of it were never set: the
 * process crashes. malloc gives luv the handle. Zeros in it would look like a handle without data.
 */
static bool handle_without_data(void) {
    lua_State *L = state_with_luv();
    (void)luaL_loadstring(L, "for i = 1, 40 do held[i] = uv.new_timer() end");
    (void)mallopt(M_PERTURB, 1);
    arm();
    (void)lua_pcall(L, 0, 0, 0);
    disarm();
    (void)luaL_dostring(L, "held = nil collectgarbage() for _ = 1, 3 do uv.run 'nowait' end");
    return false;
}
#endif

/* ---------------------------------------------------------------------------------------- main */

static const struct {
    const char *name;
    bool (*shows)(void);
    bool crashes;
} faults[] = {
#if LUA_VERSION_NUM < 505
    {"buffer_never_again", buffer_never_again, false},
    {"handle_without_data", handle_without_data, true},
#endif
    {"certificate_without_key", certificate_without_key, false},
#if OPENSSL_VERSION_NUMBER < 0x30500000L
    {"key_without_size", key_without_size, false},
#endif
    {"certificate_stays_invalid", certificate_stays_invalid, false},
    {"context_without_algorithms", context_without_algorithms, false},
    {"once_and_never_again", once_and_never_again, false},
    {"loader_is_lost", loader_is_lost, false},
    {"decoder_crashes", decoder_crashes, true}};

/* The process' end: SHOWN, or the signal that has killed it. */
static int in_process(bool (*act)(void)) {
    int status = 0;
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        (void)alarm(20);
        _exit(act() ? SHOWN : 0);
    }
    (void)waitpid(pid, &status, 0);
    return status;
}

static bool shows(int i) {
    int status = in_process(faults[i].shows);
    bool crashed =
        WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
    bool shown = WIFEXITED(status) && WEXITSTATUS(status) == SHOWN;
    return faults[i].crashes ? crashed : shown;
}

/* Says so where a fault of luv's cannot be shown. */
static bool lacks_luv(int i) {
#if LUA_VERSION_NUM < 505
    if (faults[i].shows == handle_without_data && in_process(luv_is_here) != SHOWN << 8) {
        printf("no luv %s\n", faults[i].name);
        return true;
    }
#else
    (void)i;
#endif
    return false;
}

/* In strides that become shorter, because many allocations in a row show the same fault. */
static bool show(int i) {
    nth = 0;
    (void)in_process(faults[i].shows);
    long all = shared->allocations;
    for (long stride = 64; stride > 0; stride /= 4) {
        for (nth = all; nth > 0; nth -= stride) {
            if (shows(i)) {
                printf("shown %s: the allocation %ld of %ld\n", faults[i].name, nth, all);
                return true;
            }
        }
    }
    printf("not shown %s: %ld allocations\n", faults[i].name, all);
    return false;
}

/* In a process of its own, since what is done once must not be done yet. */
static bool make_texts(void) {
    if (!identity_make(&shared->identity)) {
        return false;
    }
    BIO *bio = BIO_new(BIO_s_mem());
    bool good = PEM_write_bio_PKCS8PrivateKey(bio, parse_key(), EVP_aes_128_cbc(), "secret", 6,
                                              NULL, NULL) == 1;
    identity_text(bio, shared->encrypted, sizeof shared->encrypted);
    return good;
}

int main(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || CRYPTO_set_mem_functions(on_malloc, on_realloc, on_free) != 1 ||
        in_process(make_texts) != SHOWN << 8) {
        (void)fprintf(stderr, "known: no certificate could be made\n");
        return 2;
    }
    int missing = 0;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        missing += !lacks_luv((int)i) && !show((int)i);
    }
    return missing == 0 ? 0 : 1;
}
