/*
 * policy.c: computes one hash of a context's policy, which is the CAs that it trusts, how it
 * verifies peers, and its own identity.
 *
 * The policy is a set of facts, each of which is the hash of a value. How a value was set, how
 * often and in what order does not matter. A configuration file that repeats a setting leaves the
 * policy as it is, and what it changes is read from the SSL_CTX at the end. Settings that only say
 * how to speak (versions, ciphers, numbers of tickets) are not part of the policy. The parts of a
 * cipher string that decide which certificates are good enough (@SECLEVEL, SUITEB128) are.
 *
 * An attacker would try to find two policies with the same hash. So each fact is hashed with its
 * kind and its length before it.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/once.h"
#include "tls/context/policy.h"

/* Makes room for one more fact, or for as many as there are to be. */
static bool make_room(tlsl_policy *policy, size_t least) {
    if (policy->len < policy->room && least <= policy->room) {
        return true;
    }
    size_t room = policy->room == 0 ? 16 : policy->room * 2;
    room = room < least ? least : room;
    void *facts = realloc(policy->facts, room * sizeof *policy->facts);
    if (facts == NULL) {
        ERR_raise(ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE);
        return false;
    }
    policy->facts = facts;
    policy->room = room;
    return true;
}

static EVP_MD *sha256;
static tlsl_once sha256_once = TLSL_ONCE;

static bool fetch_sha256(void) {
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    return sha256 != NULL;
}

const EVP_MD *tlsl_sha256(void) {
    return tlsl_once_done(&sha256_once, fetch_sha256) ? sha256 : NULL;
}

bool tlsl_hash_add(EVP_MD_CTX *hash, const void *bytes, size_t len) {
    uint64_t framed = len;
    return EVP_DigestUpdate(hash, &framed, sizeof framed) == 1 &&
           EVP_DigestUpdate(hash, bytes, len) == 1;
}

static bool hash_fact(uint64_t kind, const void *bytes, size_t len,
                      unsigned char out[TLSL_POLICY_HASH]) {
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(hash, &kind, sizeof kind) == 1 && tlsl_hash_add(hash, bytes, len) &&
              EVP_DigestFinal_ex(hash, out, NULL) == 1;
    EVP_MD_CTX_free(hash);
    return ok;
}

bool tlsl_policy_add(tlsl_policy *policy, tlsl_fact_kind kind, const void *bytes, size_t len) {
    bool ok = make_room(policy, 0) && hash_fact(kind, bytes, len, policy->facts[policy->len]);
    policy->len += ok;
    return ok;
}

bool tlsl_policy_add_certificate(tlsl_policy *policy, tlsl_fact_kind kind, X509 *certificate) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    return X509_digest(certificate, EVP_sha256(), digest, &digest_len) == 1 &&
           tlsl_policy_add(policy, kind, digest, digest_len);
}

bool tlsl_policy_copy(tlsl_policy *to, const tlsl_policy *from) {
    if (!make_room(to, from->len)) {
        return false;
    }
    if (from->len > 0) {
        memcpy(to->facts, from->facts, from->len * sizeof *from->facts);
    }
    to->len = from->len;
    return true;
}

bool tlsl_policy_add_crl(tlsl_policy *policy, X509_CRL *crl) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    return X509_CRL_digest(crl, EVP_sha256(), digest, &digest_len) == 1 &&
           tlsl_policy_add(policy, TLSL_FACT_CRL, digest, digest_len);
}

/*
 * SSL_CONF_cmd's VerifyCAFile, VerifyCAPath and VerifyCAStore set a store that takes the place of
 * the context's own.
 */
static bool add_verify_store(tlsl_policy *policy, SSL_CTX *ctx) {
    static const char instead[] = "instead";
    X509_STORE *store = NULL;
    if (SSL_CTX_get0_verify_cert_store(ctx, &store) != 1 || store == NULL) {
        return true;
    }
    STACK_OF(X509) *trusted = X509_STORE_get1_all_certs(store);
    bool ok =
        trusted != NULL && tlsl_policy_add(policy, TLSL_FACT_CA_PLACE, instead, sizeof instead);
    for (int i = 0; ok && i < sk_X509_num(trusted); i++) {
        ok = tlsl_policy_add_certificate(policy, TLSL_FACT_CA, sk_X509_value(trusted, i));
    }
    sk_X509_pop_free(trusted, X509_free);
    return ok;
}

bool tlsl_policy_add_verification(tlsl_policy *policy, SSL_CTX *ctx) {
    int64_t said[] = {
        SSL_CTX_get_verify_mode(ctx),
        SSL_CTX_get_verify_depth(ctx),
        SSL_CTX_get_security_level(ctx),
        SSL_CTX_set_cert_flags(ctx, 0) &
            SSL_CERT_FLAG_SUITEB_128_LOS, /* sets no flag, and returns all flags */
        (int64_t)X509_VERIFY_PARAM_get_flags(SSL_CTX_get0_param(ctx)),
        /* RFC 7627 section 5.3: a peer aborts that is offered a session made otherwise. */
        (int64_t)(SSL_CTX_get_options(ctx) & SSL_OP_NO_EXTENDED_MASTER_SECRET),
    };
    return tlsl_policy_add(policy, TLSL_FACT_VERIFICATION, said, sizeof said) &&
           add_verify_store(policy, ctx);
}

static int compare(const void *a, const void *b) {
    return memcmp(a, b, TLSL_POLICY_HASH);
}

bool tlsl_policy_hash(tlsl_policy *policy, unsigned char out[TLSL_POLICY_HASH]) {
    size_t different = 0;
    qsort(policy->facts, policy->len, sizeof *policy->facts, compare);
    for (size_t i = 0; i < policy->len; i++) {
        if (i == 0 || compare(policy->facts[i], policy->facts[i - 1]) != 0) {
            memmove(policy->facts[different++], policy->facts[i], sizeof *policy->facts);
        }
    }
    policy->len = different;
    return EVP_Digest(policy->facts, different * sizeof *policy->facts, out, NULL, EVP_sha256(),
                      NULL) == 1;
}

void tlsl_policy_clear(tlsl_policy *policy) {
    free(policy->facts);
    *policy = (tlsl_policy){0};
}
