/*
 * fuzz.h: declares what the fuzz targets share, which are a check that ends the program, the input
 * taken byte by byte, a clock that stands still, a certificate that stays the same, and the seeds.
 *
 * The clock and the certificate are fixed because the corpus in spec/fuzz/corpus holds sessions.
 * They must mean next year what they mean today.
 *
 * A target that starts from real bytes has a function make_seeds. It runs, and the program ends,
 * where TLSLIFE_SEEDS names a directory (./dev fuzz --corpus).
 *
 * The head of each target says which files of src/ it is for: a line "floor: FILE N" demands that
 * it reaches N % of the edges of that file. Sound code seldom reaches more than 60 %
 * (spec/fuzz/coverage.awk). The corpus alone reaches each floor.
 */
#ifndef TLSLIFE_SPEC_FUZZ_H
#define TLSLIFE_SPEC_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tlslife.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static inline void must_hold(bool holds, const char *what, const char *file, int line) {
    if (!holds) {
        fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
        abort();
    }
}

#define must(condition) must_hold((condition), #condition, __FILE__, __LINE__)

#define FUZZ_NOW 1800000000 /* in January 2027 */

/* libc's, for the library and, as it is exported, for libssl. */
__attribute__((visibility("default"))) time_t time(time_t *out) {
    if (out != NULL) {
        *out = FUZZ_NOW;
    }
    return FUZZ_NOW;
}

/* ------------------------------------------------------------------------------------ the input */

typedef struct fuzz_input {
    const uint8_t *at;
    size_t left;
} fuzz_input;

/* The next byte; 0 past the end. */
static inline unsigned take_byte(fuzz_input *input) {
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->at++;
}

/* The next len bytes, or those that are left. */
static inline fuzz_input take_bytes(fuzz_input *input, size_t len) {
    fuzz_input taken = {input->at, len < input->left ? len : input->left};
    input->at += taken.left;
    input->left -= taken.left;
    return taken;
}

/* A string of its own, so that a read past its end is seen. The caller frees it. */
static inline char *text_of(const uint8_t *bytes, size_t len) {
    char *text = malloc(len + 1);
    must(text != NULL);
    if (len > 0) {
        memcpy(text, bytes, len);
    }
    text[len] = '\0';
    return text;
}

/* ------------------------------------------------------------------------------------ the seeds */

static inline void write_seed(const char *name, const void *bytes, size_t len) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", getenv("TLSLIFE_SEEDS"), name);
    FILE *file = fopen(path, "wb");
    must(file != NULL && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
}

static inline void seeds_if_asked(void (*make_seeds)(void)) {
    if (getenv("TLSLIFE_SEEDS") != NULL) {
        make_seeds();
        exit(0);
    }
}

/* ---------------------------------------------------------------------------------- certificate */

/* For localhost, self-signed, from 2026 to 2126. */
static const char fuzz_certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBlTCCATugAwIBAgIUDxeav2OmgpkMMdV0YkbLen41cfowCgYIKoZIzj0EAwIw\n"
    "FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODIxMTUwMVoYDzIxMjYxMTA0\n"
    "MjExNTAxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
    "PQMBBwNCAAQYhZwQ2VtKXB6Q000E9N37ARIydnwIxLfJLTien4kMtGhKniTRrpSd\n"
    "Nzi243u0frvfourtODgA9B2iBeFla27yo2kwZzAdBgNVHQ4EFgQURq9nAqjbOUlO\n"
    "NbJ2ZEHQwn0ct3QwHwYDVR0jBBgwFoAURq9nAqjbOUlONbJ2ZEHQwn0ct3QwDwYD\n"
    "VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID\n"
    "SAAwRQIhANYLIzdtXSpRYygVVoV/uaVHS/3rlbEaq65nSyiJ+P+uAiBBjGlvthUn\n"
    "Ltyqne8YE5UJolXHkWNLRtfUGk4SsfenKQ==\n"
    "-----END CERTIFICATE-----\n";

static const char fuzz_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZVaWF8QZr2W6DL4v\n"
    "lsG2TP7MRQqAu1E2loCksAEljlWhRANCAAQYhZwQ2VtKXB6Q000E9N37ARIydnwI\n"
    "xLfJLTien4kMtGhKniTRrpSdNzi243u0frvfourtODgA9B2iBeFla27y\n"
    "-----END PRIVATE KEY-----\n";

static inline tlslife_context *fuzz_server_context(void) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, NULL);
    must(context != NULL);
    must(tlslife_context_set_certificate_pem(context, fuzz_certificate, strlen(fuzz_certificate),
                                             NULL) == TLSLIFE_OK);
    must(tlslife_context_set_private_key_pem(context, fuzz_key, strlen(fuzz_key), NULL, NULL) ==
         TLSLIFE_OK);
    return context;
}

/* A client that trusts the certificate. */
static inline tlslife_context *fuzz_client_context(void) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    must(context != NULL && tlslife_context_add_ca_pem(context, fuzz_certificate,
                                                       strlen(fuzz_certificate), NULL) ==
                                TLSLIFE_OK);
    return context;
}

#endif
