/*
 * method.h: makes a BIO method from four functions. method.c.
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
/*
 * Makes a method for a source and sink, whose type also has the flags in type. It is called once
 * for a method in a process. NULL if memory is short.
 */
BIO_METHOD *tlsl_bio_method(const char *name, int type, const tlsl_bio_verbs *verbs);

#endif
