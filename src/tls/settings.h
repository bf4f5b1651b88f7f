/*
 * settings.h: what the setters of a context and of a connection share. settings.c.
 */
#ifndef TLSLIFE_SETTINGS_H
#define TLSLIFE_SETTINGS_H

#include <stddef.h>

#include "tlslife.h"

/*
 * OK while the context may still be set, with OpenSSL's queue cleared; else the error says why not.
 */
tlslife_status tlsl_context_settable(tlslife_context *context, tlslife_error *err);
/* An ALPN list as on the wire, malloc'ed, or NULL and err. */
unsigned char *tlsl_alpn_wire(const char *const *protocols, size_t protocols_len, size_t *out_len,
                              tlslife_error *err);
/* Whether these bytes may be a stapled OCSP response. */
bool tlsl_is_ocsp_response(const unsigned char *der, size_t der_len);
/* agree.c: OK, or the two settings of which one would be without effect. */
tlslife_status tlsl_settings_agree(const tlslife_context *context, tlslife_error *err);

#endif
