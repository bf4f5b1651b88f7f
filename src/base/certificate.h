/*
 * certificate.h: certificates as values. certificate.c.
 */
#ifndef TLSLIFE_CERTIFICATE_H
#define TLSLIFE_CERTIFICATE_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "tlslife.h"

/* Fills out from x509; false: out of memory, and out is cleared. */
bool tlsl_certificate_fill(tlslife_certificate *out, X509 *x509);
/* RFC 2253 text of a name in out (cut to fit). Returns out. */
char *tlsl_name_text(const X509_NAME *name, char *out, size_t out_len);

#endif
