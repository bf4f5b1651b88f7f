/*
 * secrets_keys.c: gives libtlslife private keys in each format, with their passphrases and PINs,
 * and lets go of them, for secrets.c.
 */
#include "secrets.h"
#include "secrets_pair.h"
#include "tlslife.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void key_free(void) {
    tlslife_context *context = with_certificate();
    OK(set_key(context, "PEM key", false));
    expect_held("private key");
    tlslife_context_free(context);
    expect_gone();
}

static void key_from_file(void) {
    char path[] = "/tmp/secrets.XXXXXX";
    size_t len = 0;
    tlslife_context *context = with_certificate();
    char *pem = given_text("PEM key", &len);
    int fd = mkstemp(path);
    expect_that(fd >= 0 && write(fd, pem, len) == (ssize_t)len, "a file");
    ungive(pem, len);
    OK(tlslife_context_set_private_key_file(context, path, NULL, &err));
    (void)unlink(path);
    (void)close(fd);
    expect_held("private key");
    tlslife_context_free(context);
    expect_gone();
}

static void key_of_another(void) {
    tlslife_context *context = with_certificate();
    REFUSED(set_key(context, "PEM key of another", false));
    expect_gone();
    tlslife_context_free(context);
}

static void key_too_early(void) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    REFUSED(set_key(context, "PEM key", false));
    expect_gone();
    tlslife_context_free(context);
}

static void key_damaged(void) {
    size_t len = 0;
    tlslife_context *context = with_certificate();
    char *pem = given_text("PEM key", &len);
    REFUSED(tlslife_context_set_private_key_pem(context, pem, len - 40, NULL, &err));
    ungive(pem, len);
    expect_gone();
    tlslife_context_free(context);
}

/* ------------------------------------------------------------------------------- other formats */

static void key_in(const char *name, bool passphrase) {
    tlslife_context *context = with_certificate();
    OK(set_key(context, name, passphrase));
    expect_held("private key");
    tlslife_context_free(context);
    expect_gone();
}

static void key_encrypted(void) {
    key_in("PEM encrypted key", true);
}

static void key_traditional(void) {
    key_in("PEM key, encrypted as in RFC 1421", true);
}

static void key_der(void) {
    key_in("DER key", false);
}

static void key_der_encrypted(void) {
    key_in("DER encrypted key", true);
}

/* Certificate and key in one source. Without a name of the passphrase it is a wrong one. */
static tlslife_status set_identity(tlslife_context *context, const char *name, const char *word) {
    size_t len = 0, word_len = 32;
    char *both = given_text(name, &len);
    char *given_word =
        word == NULL ? given("wrong passphrase of PKCS#12", 32) : given_text(word, &word_len);
    tlslife_status status = tlslife_context_set_identity_pem(context, both, len, given_word, &err);
    ungive(both, len);
    ungive(given_word, word_len);
    return status;
}

static void identity_in(const char *name, const char *word) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    OK(set_identity(context, name, word));
    expect_held("private key");
    tlslife_context_free(context);
    expect_gone();
}

static void identity_pkcs12(void) {
    identity_in("PKCS#12", "passphrase of PKCS#12");
}

static void identity_pem(void) {
    identity_in("PEM certificate and key", "passphrase");
}

static void wrong_passphrase_of(const char *name) {
    size_t len = 0;
    tlslife_context *context = with_certificate();
    char *key = given_text(name, &len), *word = given("wrong passphrase", 32);
    REFUSED(tlslife_context_set_private_key_pem(context, key, len, word, &err));
    ungive(key, len);
    ungive(word, 32);
    expect_gone();
    tlslife_context_free(context);
}

static void wrong_passphrase(void) {
    wrong_passphrase_of("PEM encrypted key");
}

static void wrong_passphrase_traditional(void) {
    wrong_passphrase_of("PEM key, encrypted as in RFC 1421");
}

static void wrong_passphrase_der(void) {
    wrong_passphrase_of("DER encrypted key");
}

static void wrong_passphrase_pkcs12(void) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    REFUSED(set_identity(context, "PKCS#12", NULL));
    expect_gone();
    tlslife_context_free(context);
}

/* A certificate that is wanted from a source that has the key beside it. */
static void certificate_beside_key(void) {
    size_t len = 0;
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    char *both = given_text("PEM certificate and key", &len);
    OK(tlslife_context_set_certificate_pem(context, both, len, &err));
    ungive(both, len);
    expect_gone();
    tlslife_context_free(context);
}

/* ----------------------------------------------------------------------------------------- URIs */

/* No provider knows the URI here, so the library has its PIN for the call alone. */
static void uri_refused(const char *before) {
    char uri[128];
    char *pin = given("PIN", 32);
    tlslife_context *context = with_certificate();
    (void)snprintf(uri, sizeof uri, "%s%s", before, pin);
    ungive(pin, 32);
    expect_held("PIN");
    REFUSED(tlslife_context_set_private_key_file(context, uri, NULL, &err));
    REFUSED(tlslife_context_set_identity_file(context, uri, NULL, &err));
    OPENSSL_cleanse(uri, sizeof uri);
    expect_gone();
    tlslife_context_free(context);
}

static void pin_in_uri(void) {
    uri_refused("pkcs11:token=t;object=o?pin-value=");
}

static void password_in_uri(void) {
    uri_refused("https://someone:x@a.example/key?pin-value=");
}

/* ---------------------------------------------------------------------------------------- table */

const life key_lives[] = {
    {"private key", "free", key_free},
    {"private key", "free, from a file", key_from_file},
    {"private key", "free, DER", key_der},
    {"private key", "free, with its certificate", identity_pem},
    {"private key", "not wanted, beside its certificate", certificate_beside_key},
    {"private key", "refused, of another certificate", key_of_another},
    {"private key", "refused, before the certificate", key_too_early},
    {"private key", "refused, damaged", key_damaged},
    {"passphrase", "free", key_encrypted},
    {"passphrase", "free, RFC 1421", key_traditional},
    {"passphrase", "free, DER", key_der_encrypted},
    {"passphrase", "free, PKCS#12", identity_pkcs12},
    {"passphrase", "refused, wrong", wrong_passphrase},
    {"passphrase", "refused, wrong, RFC 1421", wrong_passphrase_traditional},
    {"passphrase", "refused, wrong, DER", wrong_passphrase_der},
    {"passphrase", "refused, wrong, PKCS#12", wrong_passphrase_pkcs12},
    {"PIN", "refused, in a URI", pin_in_uri},
    {"PIN", "refused, in a URL", password_in_uri},
    {NULL, NULL, NULL},
};
