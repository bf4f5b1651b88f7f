/*
 * objects.h: the certificates, keys and CRLs that a source holds, in whichever format. objects.c.
 */
#ifndef TLSLIFE_OBJECTS_H
#define TLSLIFE_OBJECTS_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tlslife.h"
#include "values/source.h"

typedef enum tlsl_wanted { /* a mask */
    TLSL_WANTED_CERTIFICATES = 1,
    TLSL_WANTED_KEY = 2,
    TLSL_WANTED_CRLS = 4,
    TLSL_WELCOME_CRLS = 8 /* CRLs are taken, too, but need not be there */
} tlsl_wanted;

typedef struct tlsl_objects {
    STACK_OF(X509) * certificates; /* in the source's order; where that says nothing, leaf first */
    STACK_OF(X509_CRL) * crls;
    EVP_PKEY *key; /* the first, or NULL */
} tlsl_objects;

/*
 * Loads what a source holds: PEM, DER, PKCS#12, PKCS#7, or the objects of a URI. passphrase may be
 * NULL; the terminal is never asked. TLSLIFE_ERROR (INPUT) if there is nothing of one of the kinds
 * in wanted, or if something of these kinds is damaged or cannot be decrypted. *out is to be freed
 * in any case.
 */
tlslife_status tlsl_objects_load(const tlsl_source *source, int wanted, const char *passphrase,
                                 tlsl_objects *out, tlslife_error *err);
void tlsl_objects_free(tlsl_objects *objects);
/* The length of the SEQUENCE in DER with which the bytes begin; 0 if they begin with none. */
size_t tlsl_sequence_len(const unsigned char *bytes, size_t len);

#endif
