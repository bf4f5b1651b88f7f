/*
 * seal.h: sealing what leaves the process, and deriving keys. seal.c.
 */
#ifndef TLSLIFE_SEAL_H
#define TLSLIFE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlslife.h"

/*
 * HKDF-SHA-256 of secret, without salt, with label (32 bytes at most) and then number (big endian)
 * as its info.
 */
bool tlsl_derive(const unsigned char *secret, size_t secret_len, const char *label, uint64_t number,
                 unsigned char *out, size_t out_len);

/*
 * Seals bytes under the ring's first key, bound to aad. *out malloc'ed. false: out of memory, or
 * OpenSSL failed.
 */
bool tlsl_seal(tlslife_keyring *keyring, tlslife_bytes bytes, tlslife_bytes aad, unsigned char **out,
               size_t *out_len);
/*
 * Opens what was sealed under any key of the ring. *out malloc'ed; wipe it. false: it does not
 * open. Constant in what it tells: nothing.
 */
bool tlsl_open(tlslife_keyring *keyring, tlslife_bytes sealed, tlslife_bytes aad, unsigned char **out,
               size_t *out_len);

#endif
