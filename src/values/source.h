/*
 * source.h: reads the source of certificates and keys, which is a file, a text, or a URI that a
 * provider of OpenSSL resolves. source.c.
 */
#ifndef TLSLIFE_SOURCE_H
#define TLSLIFE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "tlslife.h"

#define TLSL_SOURCE_MAX ((size_t)16 * 1024 * 1024) /* a bundle of all public CAs has 0.25 MiB */

typedef struct tlsl_source {
    char *bytes; /* NULL: uri is one, which a provider of OpenSSL's resolves */
    size_t len;
    const char *uri; /* the caller's; NULL where bytes were given */
    char name[256];  /* in messages: without what may be secret in it */
    bool is_secret;  /* uri has a PIN or a password, or may be a key */
    bool owned;      /* bytes were read from a file: tlsl_source_close wipes them */
} tlsl_source;

/* Bytes of the caller's. */
tlsl_source tlsl_source_of(const void *bytes, size_t len, const char *name);
/*
 * Reads the file named path, or the file of a "file:" URI. Another URI is not opened here, unless
 * there is a file of that name. TLSLIFE_ERROR: there is no such file, or it is no regular file of
 * at most 16 MiB (INPUT).
 */
tlslife_status tlsl_source_open(const char *path, tlsl_source *out, tlslife_error *err);
void tlsl_source_close(tlsl_source *source);

#endif
