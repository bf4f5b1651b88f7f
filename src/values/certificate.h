/*
 * certificate.h: an X.509 certificate as plain values. certificate.c.
 */
#ifndef TLSLIFE_CERTIFICATE_H
#define TLSLIFE_CERTIFICATE_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "tlslife.h"

/*
 * Fills out from x509; the caller clears it with tlslife_certificate_clear. false if memory is
 * short, and out is cleared then.
 */
bool tlsl_certificate_fill(tlslife_certificate *out, X509 *x509);
/* Writes name in the form of RFC 2253 to out, cut to fit; "" if memory is short. Returns out. */
char *tlsl_name_text(const X509_NAME *name, char *out, size_t out_len);

#endif
