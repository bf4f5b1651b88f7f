/*
 * certificate_details.c: tells a program about a certificate that it has as bytes. It gives the
 * parts of its names by OID, its alternative names by kind and its public key, and says whether
 * another certificate issued it.
 *
 * An attacker would try names that mean more than they say. So a value is given by its length, with
 * every byte that is in it (a NUL, too), and an otherName whose type is no string has no value. The
 * text that certificate.c makes for people escapes such bytes.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "tlslife.h"
#include "values/certificate.h"
#include "values/certificate_details.h"

#define OID_TEXT_MAX 256
#define BYTES_MAX (1 << 20) /* of a certificate that is read; a large one has 10 KB */

/* -------------------------------------------------------------------------------------- reading */

X509 *tlsl_certificate_read(const void *bytes, size_t len) {
    const unsigned char *der = bytes;
    if (len == 0 || len > BYTES_MAX) {
        return NULL;
    }
    if (der[0] == 0x30) {
        X509 *x509 = d2i_X509(NULL, &der, (long)len);
        if (x509 != NULL) {
            return x509;
        }
    }
    BIO *bio = BIO_new_mem_buf(bytes, (int)len);
    X509 *x509 = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return x509;
}

/* ---------------------------------------------------------------------------------------- names */

static char *object_text(const ASN1_OBJECT *object, int as_oid) {
    char text[OID_TEXT_MAX];
    return OBJ_obj2txt(text, sizeof text, object, as_oid) > 0 ? strdup(text) : strdup("");
}

static unsigned char *copy_bytes(const unsigned char *bytes, size_t len) {
    unsigned char *copy = malloc(len + 1);
    if (copy != NULL) {
        if (len > 0) {
            memcpy(copy, bytes, len);
        }
        copy[len] = '\0';
    }
    return copy;
}

/* Fills the value of an entry. false if memory is short. A string that is no text has no utf8. */
static bool set_value(tlslife_name_entry *out, const ASN1_STRING *string) {
    unsigned char *utf8 = NULL;
    out->value_len = (size_t)ASN1_STRING_length(string);
    out->value = copy_bytes(ASN1_STRING_get0_data(string), out->value_len);
    int utf8_len = ASN1_STRING_to_UTF8(&utf8, string);
    if (utf8_len >= 0) {
        out->utf8_len = (size_t)utf8_len;
        out->utf8 = copy_bytes(utf8, out->utf8_len);
        OPENSSL_free(utf8);
    }
    return out->value != NULL && (utf8_len < 0 || out->utf8 != NULL);
}

static void clear_entries(tlslife_name_entry *entries, size_t len) {
    for (size_t i = 0; i < len; i++) {
        free(entries[i].oid);
        free(entries[i].name);
        free(entries[i].value);
        free(entries[i].utf8);
    }
    free(entries);
}

static bool set_name(tlslife_name_entry **out, size_t *out_len, const X509_NAME *name) {
    int len = X509_NAME_entry_count(name);
    *out = calloc((size_t)len + 1, sizeof **out);
    if (*out == NULL) {
        return false;
    }
    *out_len = (size_t)len;
    for (int i = 0; i < len; i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        const ASN1_OBJECT *object = X509_NAME_ENTRY_get_object(entry);
        tlslife_name_entry *made = &(*out)[i];
        made->oid = object_text(object, 1);
        made->name = object_text(object, 0);
        if (made->oid == NULL || made->name == NULL ||
            !set_value(made, X509_NAME_ENTRY_get_data(entry))) {
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------------------- alternative names */

static bool set_address(tlslife_name_entry *out, const ASN1_OCTET_STRING *bytes) {
    char text[INET6_ADDRSTRLEN];
    int len = ASN1_STRING_length(bytes);
    int family = len == 4 ? AF_INET : AF_INET6;
    if ((len != 4 && len != 16) ||
        inet_ntop(family, ASN1_STRING_get0_data(bytes), text, sizeof text) == NULL) {
        return true; /* it has no value */
    }
    out->value_len = out->utf8_len = strlen(text);
    out->value = copy_bytes((const unsigned char *)text, out->value_len);
    out->utf8 = copy_bytes((const unsigned char *)text, out->utf8_len);
    return out->value != NULL && out->utf8 != NULL;
}

static bool is_string_type(int type) {
    return type == V_ASN1_UTF8STRING || type == V_ASN1_IA5STRING ||
           type == V_ASN1_PRINTABLESTRING || type == V_ASN1_T61STRING || type == V_ASN1_BMPSTRING ||
           type == V_ASN1_UNIVERSALSTRING || type == V_ASN1_VISIBLESTRING ||
           type == V_ASN1_NUMERICSTRING || type == V_ASN1_OCTET_STRING;
}

static bool set_other_name(tlslife_name_entry *out, const OTHERNAME *other) {
    out->oid = object_text(other->type_id, 1);
    out->name = object_text(other->type_id, 0);
    if (out->oid == NULL || out->name == NULL) {
        return false;
    }
    return !is_string_type(ASN1_TYPE_get(other->value)) ||
           set_value(out, other->value->value.asn1_string);
}

/* RFC 5280's words for the kinds that have a value; NULL for the others. */
static const char *kind_of(int type) {
    switch (type) {
    case GEN_DNS: return "dNSName";
    case GEN_EMAIL: return "rfc822Name";
    case GEN_URI: return "uniformResourceIdentifier";
    case GEN_IPADD: return "iPAddress";
    default: return NULL;
    }
}

/* Fills the next entry. *taken says whether the name is of a kind that has one. */
static bool set_general_name(tlslife_name_entry *out, const GENERAL_NAME *name, bool *taken) {
    int type = 0;
    void *value = GENERAL_NAME_get0_value(name, &type);
    *taken = type == GEN_OTHERNAME || kind_of(type) != NULL;
    if (type == GEN_OTHERNAME) {
        return set_other_name(out, value);
    }
    if (!*taken) {
        return true;
    }
    out->name = strdup(kind_of(type));
    return out->name != NULL &&
           (type == GEN_IPADD ? set_address(out, value) : set_value(out, value));
}

/* An extension that cannot be read has no names. */
static bool set_alternative_names(tlslife_certificate_details *out, const X509 *x509) {
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    int len = names == NULL ? 0 : sk_GENERAL_NAME_num(names);
    out->names = calloc((size_t)len + 1, sizeof *out->names);
    bool ok = out->names != NULL;
    for (int i = 0; ok && i < len; i++) {
        bool taken = false;
        tlslife_name_entry *entry = &out->names[out->names_len];
        ok = set_general_name(entry, sk_GENERAL_NAME_value(names, i), &taken);
        out->names_len += taken;
    }
    GENERAL_NAMES_free(names);
    return ok;
}

/* ----------------------------------------------------------------------------------- public key */

static const char *kind_of_key(const EVP_PKEY *key) {
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: return "RSA";
    case EVP_PKEY_DSA: return "DSA";
    case EVP_PKEY_DH: return "DH";
    case EVP_PKEY_EC: return "EC";
    default: return "Unknown";
    }
}

/* A key that OpenSSL cannot read is left out. */
static bool set_public_key(tlslife_certificate_details *out, const X509 *x509) {
    EVP_PKEY *key = X509_get0_pubkey(x509);
    BIO *bio = BIO_new(BIO_s_mem());
    if (key == NULL || bio == NULL || PEM_write_bio_PUBKEY(bio, key) != 1) {
        bool short_of = bio == NULL;
        BIO_free(bio);
        return !short_of;
    }
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    out->public_key = (char *)copy_bytes((const unsigned char *)text, (size_t)len);
    BIO_free(bio);
    out->public_key_kind = kind_of_key(key);
    out->public_key_bits = EVP_PKEY_get_bits(key);
    return out->public_key != NULL;
}

/* ------------------------------------------------------------------------------------ the whole */

static bool fill(tlslife_certificate_details *out, X509 *x509) {
    const char *signature = OBJ_nid2sn(X509_get_signature_nid(x509));
    out->signature_name = strdup(signature == NULL ? "" : signature);
    return out->signature_name != NULL && tlsl_certificate_fill(&out->certificate, x509) &&
           set_name(&out->subject, &out->subject_len, X509_get_subject_name(x509)) &&
           set_name(&out->issuer, &out->issuer_len, X509_get_issuer_name(x509)) &&
           set_alternative_names(out, x509) && set_public_key(out, x509);
}

tlslife_status tlslife_certificate_details_read(const void *bytes, size_t bytes_len,
                                                tlslife_certificate_details *out,
                                                tlslife_error *err) {
    ERR_clear_error();
    X509 *x509 = tlsl_certificate_read(bytes, bytes_len);
    if (x509 == NULL) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT,
                                 "these bytes are no certificate, neither PEM nor DER");
    }
    tlslife_certificate_details made;
    memset(&made, 0, sizeof made);
    bool ok = fill(&made, x509);
    X509_free(x509);
    ERR_clear_error();
    if (!ok) {
        tlslife_certificate_details_clear(&made);
        return tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for a certificate");
    }
    *out = made;
    return TLSLIFE_OK;
}

void tlslife_certificate_details_clear(tlslife_certificate_details *details) {
    if (details == NULL) {
        return;
    }
    tlslife_certificate_clear(&details->certificate);
    clear_entries(details->subject, details->subject_len);
    clear_entries(details->issuer, details->issuer_len);
    /* If memory ran out, the entry after the last one is half filled. */
    clear_entries(details->names, details->names == NULL ? 0 : details->names_len + 1);
    free(details->public_key);
    free(details->signature_name);
    memset(details, 0, sizeof *details);
}

size_t tlslife_certificate_fingerprint(const void *bytes, size_t bytes_len, const char *algorithm,
                                       unsigned char out[64], tlslife_error *err) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    ERR_clear_error();
    X509 *x509 = tlsl_certificate_read(bytes, bytes_len);
    EVP_MD *md = x509 == NULL ? NULL : EVP_MD_fetch(NULL, algorithm, NULL);
    bool ok = md != NULL && X509_digest(x509, md, digest, &len) == 1 && len > 0 && len <= 64;
    EVP_MD_free(md);
    X509_free(x509);
    if (!ok) {
        (void)tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT,
                                "no fingerprint: the bytes are no certificate, or \"%s\" is no "
                                "digest of at most 64 bytes",
                                algorithm);
        return 0;
    }
    memcpy(out, digest, len);
    return len;
}

/* --------------------------------------------------------------------------------------- issued */

static bool read_chain(STACK_OF(X509) *chain, const tlslife_bytes *pieces, size_t len) {
    for (size_t i = 0; i < len; i++) {
        X509 *x509 = tlsl_certificate_read(pieces[i].data, pieces[i].len);
        if (x509 == NULL || sk_X509_push(chain, x509) <= 0) {
            X509_free(x509);
            return false;
        }
    }
    return true;
}

/* Verifies the first certificate of chain, with the others between it and the issuer. */
static tlslife_status verify_under(X509 *issuer, STACK_OF(X509) *chain, tlslife_error *err) {
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *verification = X509_STORE_CTX_new();
    tlslife_status status = TLSLIFE_ERROR;
    if (store == NULL || verification == NULL || X509_STORE_add_cert(store, issuer) != 1 ||
        X509_STORE_CTX_init(verification, store, sk_X509_value(chain, 0), chain) != 1) {
        (void)tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for a verification");
    } else if (X509_verify_cert(verification) > 0) {
        status = TLSLIFE_OK;
    } else {
        long result = X509_STORE_CTX_get_error(verification);
        (void)tlsl_fail(err, TLSLIFE_ERR_VERIFY, "%s", tlslife_verify_result_text(result));
        if (err != NULL) {
            err->verify_result = result;
            err->verify_depth = X509_STORE_CTX_get_error_depth(verification);
        }
    }
    X509_STORE_CTX_free(verification);
    X509_STORE_free(store);
    ERR_clear_error();
    return status;
}

tlslife_status tlslife_certificate_issued(tlslife_bytes issuer, const tlslife_bytes *chain,
                                          size_t chain_len, tlslife_error *err) {
    ERR_clear_error();
    X509 *top = tlsl_certificate_read(issuer.data, issuer.len);
    STACK_OF(X509) *certificates = sk_X509_new_null();
    tlslife_status status = TLSLIFE_ERROR;
    if (top != NULL && certificates != NULL && chain_len > 0 &&
        read_chain(certificates, chain, chain_len)) {
        status = verify_under(top, certificates, err);
    } else {
        (void)tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT,
                                "an issuer, and a certificate or a chain, are needed, in PEM or "
                                "DER");
    }
    sk_X509_pop_free(certificates, X509_free);
    X509_free(top);
    return status;
}
