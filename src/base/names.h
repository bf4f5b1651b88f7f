/*
 * names.h: recognizes host names and IP addresses, and finds OpenSSL's options and modes by name.
 * names.c.
 */
#ifndef TLSLIFE_NAMES_H
#define TLSLIFE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlslife.h"

/*
 * The bit of an option ("NO_TICKET") or mode ("AUTO_RETRY"), with or without the prefix SSL_OP_ or
 * SSL_MODE_, in any case. false if this OpenSSL has none of that name.
 */
bool tlsl_option_bit(const char *name, uint64_t *out_bit);
bool tlsl_mode_bit(const char *name, uint64_t *out_bit);
/*
 * Whether name is a host name in the form of RFC 6066 section 3: labels of 1 to 63 letters, digits,
 * '-' and '_', with dots between them, and at most 253 bytes in all.
 */
bool tlsl_is_hostname(const char *name);
/*
 * Whether name is an IP address: "127.0.0.1", "::1", or with a zone (RFC 4007 section 11)
 * "fe80::1%eth0".
 */
bool tlsl_is_ip(const char *name);
/*
 * Writes an IP address without its zone to out, as certificates have it. false if it does not fit.
 */
bool tlsl_ip_without_zone(const char *ip, char *out, size_t out_len);
/* Makes ASCII letters lower case in place, except in a zone. */
void tlsl_lower(char *name);
/*
 * The names in protocols as an ALPN list in the form that is sent (RFC 7301 section 3.1). The
 * caller frees it with free(); *out_len is its length. NULL: a name or the list has an unlawful
 * length (USAGE), or memory is short (MEMORY).
 */
unsigned char *tlsl_alpn_wire(const char *const *protocols, size_t protocols_len, size_t *out_len,
                              tlslife_error *err);

#endif
