/*
 * policy.h: a context's policy (CAs, verification, its own identity) as one hash. policy.c.
 */
#ifndef TLSLIFE_POLICY_H
#define TLSLIFE_POLICY_H

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#define TLSL_POLICY_HASH 32 /* bytes */

/* The subject of a fact. */
typedef enum tlsl_fact_kind {
    TLSL_FACT_CA,           /* a certificate that is trusted */
    TLSL_FACT_CRL,          /* a list of revoked certificates */
    TLSL_FACT_CA_PLACE,     /* where more trusted certificates are looked for */
    TLSL_FACT_OWN_NAME,     /* server: a name in the context's own certificate */
    TLSL_FACT_OWN_IDENTITY, /* client: the context's own certificate */
    TLSL_FACT_PSK,          /* the identity of a PSK that the context offers or accepts */
    TLSL_FACT_SERVER_NAME,  /* a server name that leads to this context */
    TLSL_FACT_VERIFICATION, /* how strictly libssl verifies peers and binds sessions to them */
    TLSL_FACT_DEMANDS,      /* the role, verify_host, and whether on_verify is asked */
} tlsl_fact_kind;

typedef struct tlsl_policy {
    unsigned char (*facts)[TLSL_POLICY_HASH];
    size_t len, room;
} tlsl_policy;

/*
 * Adds a fact. Adding one again, or in another order, changes nothing. false: it was not added, and
 * OpenSSL's queue says why. Then the caller must fail, since a policy that lacks a fact is that of
 * another context.
 */
bool tlsl_policy_add(tlsl_policy *policy, tlsl_fact_kind kind, const void *bytes, size_t len);
bool tlsl_policy_add_certificate(tlsl_policy *policy, tlsl_fact_kind kind, X509 *certificate);
bool tlsl_policy_add_crl(tlsl_policy *policy, X509_CRL *crl);
/* Adds what ctx says about verification, however that was set. */
bool tlsl_policy_add_verification(tlsl_policy *policy, SSL_CTX *ctx);
/* Makes an empty policy a copy of another. */
bool tlsl_policy_copy(tlsl_policy *to, const tlsl_policy *from);
/* The hash of all facts. false if OpenSSL fails. */
bool tlsl_policy_hash(tlsl_policy *policy, unsigned char out[TLSL_POLICY_HASH]);
void tlsl_policy_clear(tlsl_policy *policy);

/* SHA-256, fetched once: a fetch takes longer than the hash of a name. NULL: no memory. */
const EVP_MD *tlsl_sha256(void);
/*
 * Adds len, then the bytes, to hash, so that "ab", "c" and "a", "bc" have different hashes. false
 * if OpenSSL fails.
 */
bool tlsl_hash_add(EVP_MD_CTX *hash, const void *bytes, size_t len);

#endif
