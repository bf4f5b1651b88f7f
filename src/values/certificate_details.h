/*
 * certificate_details.h: reads a certificate from bytes. certificate_details.c, whose public
 * functions are in tlslife.h.
 */
#ifndef TLSLIFE_CERTIFICATE_DETAILS_H
#define TLSLIFE_CERTIFICATE_DETAILS_H

#include <openssl/x509.h>
#include <stddef.h>

#include "tlslife.h"

/* The first certificate in bytes, PEM or DER, which the caller frees; NULL if there is none. */
X509 *tlsl_certificate_read(const void *bytes, size_t len);

#endif
