/*
 * policy.h: what decides who may come in, as one number. policy.c.
 */
#ifndef TLSLIFE_POLICY_H
#define TLSLIFE_POLICY_H

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#define TLSL_POLICY_HASH 32 /* bytes */

/* What a fact is about. */
typedef enum tlsl_fact_kind {
    TLSL_FACT_CA,           /* a certificate that is trusted */
    TLSL_FACT_CA_PLACE,     /* where more of them are looked for */
    TLSL_FACT_OWN_NAME,     /* that our certificate bears */
    TLSL_FACT_SERVER_NAME,  /* that leads to this context */
    TLSL_FACT_VERIFICATION, /* how strictly libssl verifies peers */
    TLSL_FACT_DEMANDS,      /* who asks whom, and for what besides */
} tlsl_fact_kind;

typedef struct tlsl_policy {
    unsigned char (*facts)[TLSL_POLICY_HASH];
    size_t len, room;
    bool incomplete; /* memory or OpenSSL failed: there is no hash */
} tlsl_policy;

/* Adds a fact, once, however often and in whatever order it is said. */
void tlsl_policy_add(tlsl_policy *policy, tlsl_fact_kind kind, const void *bytes, size_t len);
void tlsl_policy_add_certificate(tlsl_policy *policy, X509 *trusted);
/* What a context's SSL_CTX says of verification, however it came there. */
void tlsl_policy_add_verification(tlsl_policy *policy, SSL_CTX *ctx);
/* false: it is incomplete. */
bool tlsl_policy_hash(tlsl_policy *policy, unsigned char out[TLSL_POLICY_HASH]);
void tlsl_policy_clear(tlsl_policy *policy);

/* Hashes len, then bytes, so that "ab", "c" and "a", "bc" have different hashes. */
bool tlsl_hash_add(EVP_MD_CTX *hash, const void *bytes, size_t len);

#endif
