/*
 * seal.h: declares how bytes that leave the process are sealed, and how keys are derived. seal.c.
 */
#ifndef TLSLIFE_SEAL_H
#define TLSLIFE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlslife.h"

/*
 * Derives out_len bytes by HKDF-SHA-256 from secret, without a salt. The info is label (at most 32
 * bytes) followed by number (8 bytes, big endian). Returns false if OpenSSL fails.
 */
bool tlsl_derive(const unsigned char *secret, size_t secret_len, const char *label, uint64_t number,
                 unsigned char *out, size_t out_len);

/*
 * Seals bytes under the ring's first key, bound to aad. The caller frees *out (malloc). Returns
 * false if memory runs out or OpenSSL fails.
 */
bool tlsl_seal(tlslife_keyring *keyring, tlslife_bytes bytes, tlslife_bytes aad,
               unsigned char **out, size_t *out_len);
/*
 * Opens bytes that were sealed under any key of the ring. The caller wipes and frees *out (malloc).
 * Returns false if the bytes do not open. The failure never tells why; only if memory was short,
 * OpenSSL's queue says so.
 */
bool tlsl_open(tlslife_keyring *keyring, tlslife_bytes sealed, tlslife_bytes aad,
               unsigned char **out, size_t *out_len);

#endif
