/*
 * fuzz_ocsp: judges OCSP responses as a server staples them. The first byte says what the rest is:
 * a whole response in DER; the part of a response that is signed (RFC 6960 section 4.2.1,
 * ResponseData), to which this target adds the issuer's good signature, so that what stands behind
 * the signature is reached, too; or the value of a certificate's TLS feature extension (RFC 7633).
 *
 * A response that counts as good must have an answer about the certificate that says so, and none
 * that says that it was revoked, in OpenSSL's own reading. What a server's context takes as its own
 * response is one SEQUENCE.
 *
 * Seeds: responses of the issuer and of a delegate, of each status and age, with other hashes, with
 * two answers, and of a stranger.
 *
 * floor: src/values/ocsp.c 58
 */
#include "fuzz.h"
#include "tlslife.h"
#include "values/ocsp.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { SERIAL = 1234, DAY = 86400, LEN_MAX = 8192 };

static X509 *issuer, *leaf;
static EVP_PKEY *issuer_key;

/* ------------------------------------------------------------------------------- certificates */

static X509 *issue(const char *name, long serial, EVP_PKEY *key, const char *usage) {
    X509 *x509 = X509_new();
    ASN1_TIME *before = X509_getm_notBefore(x509), *after = X509_getm_notAfter(x509);
    (void)X509_set_version(x509, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x509), serial);
    (void)ASN1_TIME_set_string(before, "20261101000000Z");
    (void)ASN1_TIME_set_string(after, "21261101000000Z");
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
                                     (const unsigned char *)name, -1, -1, 0);
    (void)X509_set_pubkey(x509, key);
    (void)X509_set_issuer_name(x509, X509_get_subject_name(issuer));
    if (usage != NULL) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, usage);
        must(extension != NULL && X509_add_ext(x509, extension, -1) == 1);
        X509_EXTENSION_free(extension);
    }
    must(X509_sign(x509, issuer_key, EVP_sha256()) > 0);
    return x509;
}

static void make_certificates(void) {
    BIO *certificate = BIO_new_mem_buf(fuzz_certificate, -1);
    BIO *key = BIO_new_mem_buf(fuzz_key, -1);
    issuer = PEM_read_bio_X509(certificate, NULL, NULL, NULL);
    issuer_key = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    must(issuer != NULL && issuer_key != NULL);
    leaf = issue("leaf", SERIAL, issuer_key, NULL);
    BIO_free(certificate);
    BIO_free(key);
}

/* ------------------------------------------------------------------------------ what must hold */

static bool is_of_leaf(OCSP_SINGLERESP *single) {
    ASN1_INTEGER *serial = NULL;
    OCSP_CERTID *id = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);
    must(OCSP_id_get0_info(NULL, NULL, NULL, &serial, id) == 1);
    return ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0;
}

static void must_be_good(const unsigned char *der, size_t len) {
    const unsigned char *at = der;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)len);
    must(response != NULL && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL);
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    int good = 0;
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        int status = OCSP_single_get0_status(single, NULL, NULL, NULL, NULL);
        good += is_of_leaf(single) && status == V_OCSP_CERTSTATUS_GOOD;
    }
    must(good > 0);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
}

static void judge(const unsigned char *der, size_t len) {
    long result = -1;
    const char *why = tlsl_ocsp_judge(der, len, leaf, issuer, &result);
    must(ERR_peek_error() == 0);
    if (why == NULL) {
        must_be_good(der, len);
    } else {
        must(why[0] != '\0' && result != X509_V_OK && result != -1);
    }
    must(tlsl_ocsp_judge(der, len, leaf, NULL, &result) != NULL);
    ERR_clear_error();
}

/* As the response that a server's own context staples. */
static void take(const unsigned char *der, size_t len) {
    tlslife_error err;
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, NULL);
    must(context != NULL);
    tlslife_status status = tlslife_context_set_ocsp_response(context, der, len, &err);
    must(ERR_peek_error() == 0);
    must(status == TLSLIFE_OK ? len > 1 && der[0] == 0x30 : err.message[0] != '\0');
    tlslife_context_free(context);
}

/* ------------------------------------------------------------------------------- signed anew */

/* A SEQUENCE or the like around what stands in the buffer from `from` on. */
static void wrap(unsigned char *buffer, size_t from, size_t *len, unsigned tag) {
    size_t inside = *len - from;
    must(inside < 65536);
    memmove(buffer + from + 4, buffer + from, inside);
    buffer[from] = (unsigned char)tag;
    buffer[from + 1] = 0x82;
    buffer[from + 2] = (unsigned char)(inside >> 8);
    buffer[from + 3] = (unsigned char)inside;
    *len += 4;
}

static void append(unsigned char *buffer, size_t *len, const void *bytes, size_t bytes_len) {
    memcpy(buffer + *len, bytes, bytes_len);
    *len += bytes_len;
}

static size_t sign(const unsigned char *data, size_t len, unsigned char *out, size_t out_len) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, issuer_key) == 1 &&
         EVP_DigestSign(ctx, out, &out_len, data, len) == 1);
    EVP_MD_CTX_free(ctx);
    return out_len;
}

/* The response around that data: libcrypto verifies what it encodes itself, so that is signed. */
static size_t respond_with(OCSP_RESPDATA *data, unsigned char *out) {
    static const unsigned char ecdsa_with_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                                      0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    static const unsigned char successful[] = {0x0a, 0x01, 0x00};
    static const unsigned char basic_type[] = {0x06, 0x09, 0x2b, 0x06, 0x01, 0x05,
                                               0x05, 0x07, 0x30, 0x01, 0x01};
    unsigned char signature[256] = {0}; /* the first: no bits are unused */
    unsigned char *at = out;
    size_t len = 0;
    int data_len = i2d_OCSP_RESPDATA(data, NULL);
    if (data_len <= 0 || data_len > 2 * LEN_MAX || i2d_OCSP_RESPDATA(data, &at) != data_len) {
        return 0;
    }
    size_t signature_len = 1 + sign(out, (size_t)data_len, signature + 1, sizeof signature - 1);
    len = (size_t)data_len;
    append(out, &len, ecdsa_with_sha256, sizeof ecdsa_with_sha256);
    size_t from = len;
    append(out, &len, signature, signature_len);
    wrap(out, from, &len, 0x03);
    wrap(out, 0, &len, 0x30);
    wrap(out, 0, &len, 0x04);
    memmove(out + sizeof basic_type, out, len);
    memcpy(out, basic_type, sizeof basic_type);
    len += sizeof basic_type;
    wrap(out, 0, &len, 0x30);
    wrap(out, 0, &len, 0xa0);
    memmove(out + sizeof successful, out, len);
    memcpy(out, successful, sizeof successful);
    len += sizeof successful;
    wrap(out, 0, &len, 0x30);
    return len;
}

static void judge_signed(const unsigned char *bytes, size_t len) {
    static unsigned char der[4 * LEN_MAX];
    const unsigned char *at = bytes;
    OCSP_RESPDATA *data = d2i_OCSP_RESPDATA(NULL, &at, (long)len);
    size_t der_len = data == NULL ? 0 : respond_with(data, der);
    OCSP_RESPDATA_free(data);
    ERR_clear_error();
    if (der_len > 0) {
        judge(der, der_len);
    }
}

/* --------------------------------------------------------------------------------- must-staple */

static void read_feature(const unsigned char *bytes, size_t len) {
    static const unsigned char must_staple[] = {0x30, 0x03, 0x02, 0x01, 0x05};
    X509 *x509 = X509_dup(leaf);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    must(x509 != NULL && value != NULL && ASN1_OCTET_STRING_set(value, bytes, (int)len) == 1);
    X509_EXTENSION *extension =
        X509_EXTENSION_create_by_NID(NULL, NID_tlsfeature, (int)(len % 2), value);
    must(extension != NULL && X509_add_ext(x509, extension, -1) == 1);
    bool staple = tlsl_must_staple(x509);
    must(ERR_peek_error() == 0);
    must(staple || len != sizeof must_staple || memcmp(bytes, must_staple, len) != 0);
    TLS_FEATURE *features = X509V3_EXT_d2i(extension);
    must(staple || features != NULL); /* what cannot be read demands it */
    sk_ASN1_INTEGER_pop_free(features, ASN1_INTEGER_free);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    X509_free(x509);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    fuzz_input input = {bytes, len};
    unsigned how = take_byte(&input) % 4;
    if (input.left > LEN_MAX) {
        return 0;
    }
    switch (how) {
    case 0: judge(input.at, input.left); break;
    case 1: judge_signed(input.at, input.left); break;
    case 2: read_feature(input.at, input.left); break;
    default: take(input.at, input.left); break;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

typedef struct answer {
    const EVP_MD *(*hash)(void);
    long serial;
    int status, made, next; /* seconds from now; next 0: none is named */
} answer;

static void add(OCSP_BASICRESP *basic, const answer *one) {
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    (void)ASN1_INTEGER_set(serial, one->serial);
    OCSP_CERTID *id = OCSP_cert_id_new(one->hash(), X509_get_subject_name(issuer),
                                       X509_get0_pubkey_bitstr(issuer), serial);
    ASN1_TIME *made = ASN1_GENERALIZEDTIME_set(NULL, FUZZ_NOW + one->made);
    ASN1_TIME *next = one->next == 0 ? NULL : ASN1_GENERALIZEDTIME_set(NULL, FUZZ_NOW + one->next);
    must(OCSP_basic_add1_status(basic, id, one->status, OCSP_REVOKED_STATUS_KEYCOMPROMISE, made,
                                made, next) != NULL);
    ASN1_GENERALIZEDTIME_free(made);
    ASN1_GENERALIZEDTIME_free(next);
    OCSP_CERTID_free(id);
    ASN1_INTEGER_free(serial);
}

/* The same response whole, as a context's own, and the part of it that is signed. */
static void write_response(const char *name, OCSP_BASICRESP *basic, int status) {
    unsigned char seed[LEN_MAX] = {0}, *at = seed + 1;
    char path[64];
    OCSP_RESPONSE *response = OCSP_response_create(status, basic);
    int len = i2d_OCSP_RESPONSE(response, NULL);
    must(len > 0 && len < LEN_MAX && i2d_OCSP_RESPONSE(response, &at) == len);
    write_seed(name, seed, (size_t)len + 1);
    seed[0] = 3;
    (void)snprintf(path, sizeof path, "%s-own", name);
    write_seed(path, seed, (size_t)len + 1);
    if (basic != NULL) {
        at = seed + 1;
        seed[0] = 1;
        len = i2d_OCSP_RESPDATA((OCSP_RESPDATA *)(uintptr_t)OCSP_resp_get0_respdata(basic), &at);
        must(len > 0);
        (void)snprintf(path, sizeof path, "%s-data", name);
        write_seed(path, seed, (size_t)len + 1);
    }
    OCSP_RESPONSE_free(response);
}

static void write_signed(const char *name, X509 *signer, EVP_PKEY *key, unsigned long flags,
                         const answer *answers, size_t answers_len) {
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    for (size_t i = 0; i < answers_len; i++) {
        add(basic, &answers[i]);
    }
    must(OCSP_basic_sign(basic, signer, key, EVP_sha256(), NULL, flags) == 1);
    write_response(name, basic, OCSP_RESPONSE_STATUS_SUCCESSFUL);
    OCSP_BASICRESP_free(basic);
}

static void write_delegated(const char *name, const char *usage) {
    static const answer good = {EVP_sha1, SERIAL, V_OCSP_CERTSTATUS_GOOD, -60, DAY};
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *delegate = issue("delegate", 2, key, usage);
    write_signed(name, delegate, key, OCSP_RESPID_KEY, &good, 1);
    X509_free(delegate);
    EVP_PKEY_free(key);
}

static void make_seeds(void) {
    static const answer good = {EVP_sha1, SERIAL, V_OCSP_CERTSTATUS_GOOD, -60, DAY};
    static const answer hashed = {EVP_sha256, SERIAL, V_OCSP_CERTSTATUS_GOOD, -60, 0};
    static const answer revoked = {EVP_sha1, SERIAL, V_OCSP_CERTSTATUS_REVOKED, -60, DAY};
    static const answer unknown = {EVP_sha1, SERIAL, V_OCSP_CERTSTATUS_UNKNOWN, -60, DAY};
    static const answer past = {EVP_sha1, SERIAL, V_OCSP_CERTSTATUS_GOOD, -9 * DAY, -8 * DAY};
    static const answer two[] = {{EVP_sha1, 99, V_OCSP_CERTSTATUS_REVOKED, -60, DAY},
                                 {EVP_sha1, SERIAL, V_OCSP_CERTSTATUS_GOOD, -60, DAY}};
    static const unsigned char features[][8] = {{2, 0x30, 3, 2, 1, 5}, {2, 0x30, 3, 2, 1, 17}};
    make_certificates();
    write_signed("good", issuer, issuer_key, OCSP_NOCERTS, &good, 1);
    write_signed("hashed", issuer, issuer_key, OCSP_NOCERTS | OCSP_RESPID_KEY, &hashed, 1);
    write_signed("revoked", issuer, issuer_key, OCSP_NOCERTS, &revoked, 1);
    write_signed("unknown", issuer, issuer_key, OCSP_NOCERTS, &unknown, 1);
    write_signed("past", issuer, issuer_key, OCSP_NOCERTS, &past, 1);
    write_signed("two", issuer, issuer_key, OCSP_NOCERTS, two, 2);
    write_delegated("delegate", "OCSPSigning");
    write_delegated("no-delegate", "serverAuth");
    write_response("busy", NULL, OCSP_RESPONSE_STATUS_TRYLATER);
    write_seed("feature", features[0], 6);
    write_seed("other-feature", features[1], 6);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    make_certificates();
    return 0;
}
