/*
 * staple.h: declares the setting of the OCSP response that a server staples. staple.c.
 */
#ifndef TLSLIFE_STAPLE_H
#define TLSLIFE_STAPLE_H

#include <stddef.h>

#include "tlslife.h"

/* Sets the OCSP response to staple; errors call it by that name. */
tlslife_status tlsl_staple(tlslife_context *context, const unsigned char *der, size_t der_len,
                           const char *name, tlslife_error *err);

#endif
