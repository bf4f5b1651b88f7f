/*
 * secrets_texts.h: declares the certificates, keys and passphrases that the scanning process of
 * secrets.c gives to lives. secrets_texts.c.
 */
#ifndef TLSLIFE_SPEC_SECRETS_TEXTS_H
#define TLSLIFE_SPEC_SECRETS_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct test_text {
    const char *name;
    char bytes[4096];
    size_t len;
    const char *key; /* PEM of the private key that is in it, or NULL */
    bool secret;     /* the bytes themselves */
} test_text;

bool texts_make(void);
const test_text *texts_find(const char *name); /* NULL: there is none */

#endif
