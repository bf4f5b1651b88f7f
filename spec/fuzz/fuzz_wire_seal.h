/*
 * fuzz_wire_seal.h: seals a record as one of two peers would, from a line of the key log. So the
 * target can send what a hostile peer could send after its handshake. fuzz_wire_seal.c.
 */
#ifndef TLSLIFE_SPEC_FUZZ_WIRE_SEAL_H
#define TLSLIFE_SPEC_FUZZ_WIRE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_SECRET_MAX = 48, WIRE_RANDOM = 32 };
enum { WIRE_MORE = 64 }; /* bytes that sealing adds at most */

/* What seals the records of one direction: AES-128-GCM and SHA-256. */
typedef struct wire_keys {
    bool known, tls13;
    unsigned char key[16], iv[12];
} wire_keys;

/* Of TLS 1.3, from the direction's traffic secret. */
bool wire_keys_13(const unsigned char secret[32], wire_keys *out);
/* Of TLS 1.2, from the master secret and both randoms. */
bool wire_keys_12(const unsigned char master[48], const unsigned char client[WIRE_RANDOM],
                  const unsigned char server[WIRE_RANDOM], bool from_client, wire_keys *out);
/* Writes the record to out, which has len + WIRE_MORE bytes. Returns its length, 0: it failed. */
size_t wire_seal(const wire_keys *keys, uint64_t nth, unsigned type, const unsigned char *bytes,
                 size_t len, unsigned char *out);

#endif
