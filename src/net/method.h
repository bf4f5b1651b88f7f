/*
 * method.h: a BIO method from four functions. method.c.
 */
#ifndef TLSLIFE_METHOD_H
#define TLSLIFE_METHOD_H

#include <openssl/bio.h>
#include <stddef.h>

typedef struct tlsl_bio_verbs {
    int (*read)(BIO *bio, char *buffer, size_t len, size_t *out_read);
    int (*write)(BIO *bio, const char *bytes, size_t len, size_t *out_written);
    long (*ctrl)(BIO *bio, int command, long number, void *pointer);
    int (*destroy)(BIO *bio);
} tlsl_bio_verbs;
/* For a source and sink, and what else type says of it: once in a process. NULL: out of memory. */
BIO_METHOD *tlsl_bio_method(const char *name, int type, const tlsl_bio_verbs *verbs);

#endif
