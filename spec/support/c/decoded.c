/*
 * decoded.c: keeps what certificates and private keys were decoded to, in a program that it is
 * preloaded into. The next decoding of the same bytes gives a reference to the same object.
 *
 * OpenSSL 3.0 looks through all decoders of all providers for each public and each private key, so
 * that a context with a certificate takes seven times as long as one without, and a handshake twice
 * as long as it needs. The specs decode the same few files of spec/support/pki.lua thousands of
 * times. Of these each process of the suite decodes each once.
 *
 * What a spec can show stays. A reference that the library loses is a leak, since ours are given
 * back when the process ends, before LeakSanitizer looks. One that it gives back twice is a use of
 * freed memory, at the latest at that time. Bytes that OpenSSL refuses are never kept.
 */
#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_MAX 64
#define BYTES_MAX 4096

typedef struct kept {
    unsigned char *der;
    long len;
    X509 *x509;
    EVP_PKEY *key; /* one of the two */
} kept;

static kept all[KEPT_MAX];
static int count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The programs that this one starts are not concerned. What else is preloaded stands behind us. */
__attribute__((constructor)) static void leave_environment(void) {
    static const char OWN[] = "decoded.so";
    const char *list = getenv("LD_PRELOAD");
    if (list != NULL && strcmp(list, OWN) == 0) {
        unsetenv("LD_PRELOAD");
    } else if (list != NULL && strncmp(list, OWN, sizeof OWN - 1) == 0) {
        setenv("LD_PRELOAD", list + sizeof OWN, 1);
    }
}

static void give_back(void) {
    pthread_mutex_lock(&lock); /* for good: what is decoded from now on is decoded by OpenSSL */
    for (int i = 0; i < count; i++) {
        X509_free(all[i].x509);
        EVP_PKEY_free(all[i].key);
        free(all[i].der);
        all[i] = (kept){.len = 0}; /* or LeakSanitizer would still find the object by it */
    }
    count = 0;
}

/* A child of fork may have no thread that unlocks, and then it does without. */
static bool enter(void) {
    return pthread_mutex_trylock(&lock) == 0;
}

static kept *find(const unsigned char *der, long len, bool key) {
    for (int i = 0; i < count; i++) {
        if (all[i].len == len && (all[i].key != NULL) == key &&
            memcmp(all[i].der, der, (size_t)len) == 0) {
            return &all[i];
        }
    }
    return NULL;
}

/* Keeps an object of len bytes with a reference of our own. */
static void keep(const unsigned char *der, long len, X509 *x509, EVP_PKEY *key) {
    if (count == KEPT_MAX || len > BYTES_MAX || find(der, len, key != NULL) != NULL) {
        return;
    }
    kept one = {malloc((size_t)len), len, x509, key};
    if (one.der == NULL || (count == 0 && atexit(give_back) != 0)) {
        free(one.der);
        return;
    }
    memcpy(one.der, der, (size_t)len);
    (void)(x509 != NULL ? X509_up_ref(x509) : EVP_PKEY_up_ref(key));
    all[count++] = one;
}

static X509 *known_certificate(const unsigned char *der, long len) {
    X509 *found = NULL;
    if (der != NULL && len > 0 && enter()) {
        kept *one = find(der, len, false);
        if (one != NULL && X509_up_ref(one->x509) == 1) {
            found = one->x509;
        }
        pthread_mutex_unlock(&lock);
    }
    return found;
}

X509 *d2i_X509(X509 **out, const unsigned char **in, long len) {
    X509 *(*real)(X509 **, const unsigned char **, long);
    *(void **)&real = dlsym(RTLD_NEXT, "d2i_X509");
    const unsigned char *from = in == NULL ? NULL : *in;
    X509 *found = known_certificate(from, len);
    if (found == NULL) {
        found = real(out, in, len);
        if (found != NULL && *in - from == len && enter()) {
            keep(from, len, found, NULL);
            pthread_mutex_unlock(&lock);
        }
        return found;
    }
    if (out != NULL) {
        X509_free(*out);
        *out = found;
    }
    *in += len;
    return found;
}

static EVP_PKEY *known_key(const unsigned char *der, long len) {
    EVP_PKEY *found = NULL;
    if (der != NULL && len > 0 && enter()) {
        kept *one = find(der, len, true);
        if (one != NULL && EVP_PKEY_up_ref(one->key) == 1) {
            found = one->key;
        }
        pthread_mutex_unlock(&lock);
    }
    return found;
}

EVP_PKEY *d2i_AutoPrivateKey(EVP_PKEY **out, const unsigned char **in, long len) {
    EVP_PKEY *(*real)(EVP_PKEY **, const unsigned char **, long);
    *(void **)&real = dlsym(RTLD_NEXT, "d2i_AutoPrivateKey");
    const unsigned char *from = in == NULL ? NULL : *in;
    EVP_PKEY *found = out == NULL ? known_key(from, len) : NULL;
    if (found != NULL) {
        *in += len;
        return found;
    }
    found = real(out, in, len);
    if (found != NULL && *in - from == len && enter()) {
        keep(from, len, NULL, found);
        pthread_mutex_unlock(&lock);
    }
    return found;
}
