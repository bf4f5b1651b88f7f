/*
 * names.h: host names, IP addresses, and the names of OpenSSL's options and modes. names.c.
 */
#ifndef TLSLIFE_NAMES_H
#define TLSLIFE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

bool tlsl_option_bit(const char *name, uint64_t *out_bit); /* "NO_TICKET", "SSL_OP_NO_TICKET", any case */
bool tlsl_mode_bit(const char *name, uint64_t *out_bit);   /* "AUTO_RETRY" */
/* A host name as RFC 6066 wants it (letters, digits, '-', '_', '.'; labels of 1..63, 253 in all). */
bool tlsl_is_hostname(const char *name);
bool tlsl_is_ip(const char *name);
void tlsl_lower(char *name); /* ASCII, in place */

#endif
