/*
 * settings.h: checks that the setters of contexts and of connections share. settings.c.
 */
#ifndef TLSLIFE_SETTINGS_H
#define TLSLIFE_SETTINGS_H

#include <stddef.h>

#include "tlslife.h"

/*
 * The names in protocols as an ALPN list in the form that is sent (RFC 7301 section 3.1). The
 * caller frees it with free(); *out_len is its length. NULL: a name or the list has an unlawful
 * length (USAGE), or memory is short (MEMORY).
 */
unsigned char *tlsl_alpn_wire(const char *const *protocols, size_t protocols_len, size_t *out_len,
                              tlslife_error *err);
/* Whether these bytes may be a stapled OCSP response: one SEQUENCE in DER, and nothing after it. */
bool tlsl_is_ocsp_response(const unsigned char *der, size_t der_len);
/* In agree.c. TLSLIFE_OK, or err names two settings of which one would have no effect (USAGE). */
tlslife_status tlsl_settings_agree(const tlslife_context *context, tlslife_error *err);

#endif
