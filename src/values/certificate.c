/*
 * certificate.c: copies an X.509 certificate into plain values: names, times, serial number,
 * fingerprint, kind of key, DER and PEM.
 *
 * An attacker would try a certificate whose names read as more than they are.
 * "a.example,DNS:bank.example" in one DNS entry, or "bank.example\0.evil.example", must come out as
 * one odd name and not as two good ones. So in the list of alternative names every byte that is not
 * printable ASCII, every comma and every backslash is written as \XX, and the subject and issuer go
 * through OpenSSL's RFC 2253 escaping, control characters included.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tlslife.h"
#include "values/certificate.h"

/* ----------------------------------------------------------------------------------------- text */

/* The text in a memory BIO as a string of its own; NULL if memory is short. Frees the BIO. */
static char *take_text(BIO *bio) {
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = len < 0 ? NULL : OPENSSL_malloc((size_t)len + 1);
    if (text != NULL) {
        if (len > 0) {
            memcpy(text, bytes, (size_t)len);
        }
        text[len] = '\0';
    }
    BIO_free(bio);
    return text;
}

static char *name_string(const X509_NAME *name) {
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL) {
        return NULL;
    }
    if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0) {
        BIO_free(bio);
        return NULL;
    }
    return take_text(bio);
}

char *tlsl_name_text(const X509_NAME *name, char *out, size_t out_len) {
    char *text = name_string(name);
    (void)snprintf(out, out_len, "%s", text != NULL ? text : "");
    OPENSSL_free(text);
    return out;
}

static char *pem_string(X509 *x509) {
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL) {
        return NULL;
    }
    if (PEM_write_bio_X509(bio, x509) != 1) {
        BIO_free(bio);
        return NULL;
    }
    return take_text(bio);
}

static char *serial_string(const X509 *x509) {
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), NULL);
    char *text = number != NULL ? BN_bn2hex(number) : NULL;
    BN_free(number);
    return text;
}

/*
 * Seconds since 1970, computed from days because a time_t may have 32 bits. A time that cannot be
 * read is 1970, so that such a certificate has expired.
 */
static int64_t seconds(const ASN1_TIME *time) {
    const struct tm epoch = {.tm_year = 70, .tm_mday = 1};
    struct tm parts;
    int days = 0, rest = 0;
    memset(&parts, 0, sizeof parts);
    bool good = time != NULL && ASN1_TIME_to_tm(time, &parts) == 1 &&
                OPENSSL_gmtime_diff(&days, &rest, &epoch, &parts) == 1;
    return good ? (int64_t)days * 86400 + rest : 0;
}

static bool fingerprint(X509 *x509, char out[65]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    if (X509_digest(x509, EVP_sha256(), digest, &digest_len) != 1 || digest_len != 32) {
        return false;
    }
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", (unsigned)digest[i]);
    }
    return true;
}

/* ---------------------------------------------------------------------------- alternative names */

static bool put_escaped(BIO *out, const unsigned char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = bytes[i];
        bool plain = c > 0x20 && c < 0x7f && c != ',' && c != '\\';
        if ((plain ? BIO_write(out, &bytes[i], 1) : BIO_printf(out, "\\%02X", (unsigned)c)) <= 0) {
            return false;
        }
    }
    return true;
}

/* An address of neither length is written as escaped bytes, which no address matches. */
static bool put_address(BIO *out, const unsigned char *bytes, size_t len) {
    char text[INET6_ADDRSTRLEN];
    if ((len == 4 && inet_ntop(AF_INET, bytes, text, sizeof text) != NULL) ||
        (len == 16 && inet_ntop(AF_INET6, bytes, text, sizeof text) != NULL)) {
        return BIO_puts(out, text) > 0;
    }
    for (size_t i = 0; i < len; i++) {
        if (BIO_printf(out, "\\%02X", (unsigned)bytes[i]) <= 0) {
            return false;
        }
    }
    return true;
}

/*
 * The prefix of a kind of name; NULL for kinds that are left out (directory names, registered ids,
 * other names).
 */
static const char *kind_of(int type) {
    switch (type) {
    case GEN_DNS: return "DNS:";
    case GEN_IPADD: return "IP:";
    case GEN_URI: return "URI:";
    case GEN_EMAIL: return "email:";
    default: return NULL;
    }
}

static bool put_name(BIO *out, const GENERAL_NAME *name, bool *first) {
    int type = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    const char *kind = kind_of(type);
    if (kind == NULL) {
        return true;
    }
    if ((!*first && BIO_write(out, ",", 1) != 1) || BIO_puts(out, kind) <= 0) {
        return false;
    }
    *first = false;
    const unsigned char *bytes = ASN1_STRING_get0_data(value);
    size_t len = (size_t)ASN1_STRING_length(value);
    return type == GEN_IPADD ? put_address(out, bytes, len) : put_escaped(out, bytes, len);
}

/*
 * An extension that cannot be read has no names. OpenSSL's error about it is dropped, since it is
 * not an error of the caller's operation. false: memory was short, so that there may be names.
 */
static bool alternative_names(const X509 *x509, GENERAL_NAMES **out) {
    bool empty = ERR_peek_error() == 0;
    (void)ERR_set_mark();
    *out = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    bool short_of =
        *out == NULL && empty && ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
    (void)ERR_pop_to_mark();
    return !short_of;
}

static char *names_string(const X509 *x509) {
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL) {
        return NULL;
    }
    GENERAL_NAMES *names = NULL;
    bool first = true;
    bool good = alternative_names(x509, &names);
    for (int i = 0; good && i < sk_GENERAL_NAME_num(names); i++) {
        good = put_name(bio, sk_GENERAL_NAME_value(names, i), &first);
    }
    GENERAL_NAMES_free(names);
    if (!good) {
        BIO_free(bio);
        return NULL;
    }
    return take_text(bio);
}

/* ----------------------------------------------------------------------------------- public key */

/*
 * A key that OpenSSL cannot read has no type. OpenSSL's error about it is dropped, as above. false:
 * memory was short.
 */
static bool public_key(X509 *x509, tlslife_certificate *out) {
    bool empty = ERR_peek_error() == 0;
    (void)ERR_set_mark();
    const EVP_PKEY *key = X509_get0_pubkey(x509);
    const char *type = key == NULL ? NULL : EVP_PKEY_get0_type_name(key);
    if (type != NULL) {
        (void)snprintf(out->key_type, sizeof out->key_type, "%s", type);
        out->key_bits = EVP_PKEY_get_bits(key);
        if (EVP_PKEY_get_group_name(key, out->key_group, sizeof out->key_group, NULL) != 1) {
            out->key_group[0] = '\0';
        }
    }
    bool short_of = empty && ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
    (void)ERR_pop_to_mark();
    return !short_of;
}

/* ------------------------------------------------------------------------------------ the whole */

bool tlsl_certificate_fill(tlslife_certificate *out, X509 *x509) {
    memset(out, 0, sizeof *out);
    int der_len = i2d_X509(x509, &out->der);
    out->der_len = der_len > 0 ? (size_t)der_len : 0;
    out->pem = pem_string(x509);
    out->subject = name_string(X509_get_subject_name(x509));
    out->issuer = name_string(X509_get_issuer_name(x509));
    out->serial = serial_string(x509);
    out->not_before = seconds(X509_get0_notBefore(x509));
    out->not_after = seconds(X509_get0_notAfter(x509));
    out->names = names_string(x509);
    if (out->der_len > 0 && out->pem != NULL && out->subject != NULL && out->issuer != NULL &&
        out->serial != NULL && out->names != NULL && fingerprint(x509, out->fingerprint) &&
        public_key(x509, out)) {
        return true;
    }
    tlslife_certificate_clear(out);
    return false;
}

void tlslife_certificate_clear(tlslife_certificate *certificate) {
    if (certificate == NULL) {
        return;
    }
    OPENSSL_free(certificate->der);
    OPENSSL_free(certificate->pem);
    OPENSSL_free(certificate->subject);
    OPENSSL_free(certificate->issuer);
    OPENSSL_free(certificate->serial);
    OPENSSL_free(certificate->names);
    memset(certificate, 0, sizeof *certificate);
}
