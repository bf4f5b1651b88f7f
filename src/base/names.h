/*
 * names.h: host names, IP addresses, and the names of OpenSSL's options and modes. names.c.
 */
#ifndef TLSLIFE_NAMES_H
#define TLSLIFE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool tlsl_option_bit(const char *name, uint64_t *out_bit); /* "NO_TICKET", "SSL_OP_NO_TICKET", any case */
bool tlsl_mode_bit(const char *name, uint64_t *out_bit);   /* "AUTO_RETRY" */
/*
 * A host name as RFC 6066 wants it (letters, digits, '-', '_', '.'; labels of 1..63, 253 in all).
 */
bool tlsl_is_hostname(const char *name);
/*
 * "127.0.0.1", "::1", or with the zone that RFC 4007 section 11 has for addresses of one link,
 * "fe80::1%eth0".
 */
bool tlsl_is_ip(const char *name);
/* The address alone, as a certificate has it; false: it does not fit. */
bool tlsl_ip_without_zone(const char *ip, char *out, size_t out_len);
void tlsl_lower(char *name); /* ASCII, in place, but for a zone */

#endif
