/*
 * objects.c: loads certificates, private keys and CRLs in any format.
 *
 * A block of PEM whose label says what it holds is decoded as that. The rest goes to OpenSSL's
 * OSSL_STORE, which knows DER, PKCS#12, encrypted keys and the URIs of providers. PKCS#7, which it
 * does not know, is added here.
 *
 * People paste PEM with a byte order mark, with indented lines, or with one block right behind
 * another. OpenSSL reads none of these, so a tidy copy of the text is read.
 *
 * An attacker would try an object that asks for a passphrase, to have the process wait for a
 * terminal: the only passphrase is the one that the program gives. Or an object that is left out
 * without a word, such as a damaged CRL: whatever is wanted and cannot be read fails the source.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "tlslife.h"
#include "values/objects.h"

#define WIPED_STACK 32768 /* bytes: the frames of a key's decoding have fewer */
#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"

/* What a load has met, for the message. */
typedef struct findings {
    const char *passphrase;
    int wanted; /* a mask of tlsl_wanted */
    bool pem;   /* the source is PEM text */
    bool asked; /* for a passphrase, in the load of one object */
    int locked; /* objects that the passphrase, or its absence, did not open */
    int damaged;
    int certificates, keys, crls; /* that are there, whether wanted or not */
    int others;                   /* public keys, parameters and the like */
    bool no_store;                /* no provider knows the URI's scheme */
} findings;

/* ----------------------------------------------------------------------------------------- text */

static bool begins(const char *at, const char *end, const char *word) {
    size_t len = strlen(word);
    return (size_t)(end - at) >= len && memcmp(at, word, len) == 0;
}

static bool is_pem(const tlsl_source *source) {
    return source->bytes != NULL &&
           memmem(source->bytes, source->len, BEGIN, sizeof BEGIN - 1) != NULL;
}

/*
 * Writes the text to out with each BEGIN at the start of a line, each END at the end of one, and no
 * white space before a line. out has room for two bytes more than twice the text. Returns the
 * length.
 */
static size_t tidy(const char *at, const char *end, char *out) {
    char *to = out;
    bool closing = false; /* within the line of END */
    while (at < end) {
        bool line_begins = to == out || to[-1] == '\n';
        if (line_begins && (*at == ' ' || *at == '\t')) {
            at++;
            continue;
        }
        if (!line_begins && begins(at, end, BEGIN)) {
            *to++ = '\n';
        }
        if (begins(at, end, BEGIN) || begins(at, end, END)) {
            closing = *(at + 5) == 'E';
            memcpy(to, at, sizeof DASHES);
            to += sizeof DASHES;
            at += sizeof DASHES;
        } else if (closing && begins(at, end, DASHES)) {
            to = (char *)memcpy(to, DASHES "\n", sizeof DASHES) + sizeof DASHES;
            at += sizeof DASHES - 1;
            closing = false;
        } else {
            *to++ = *at++;
        }
    }
    return (size_t)(to - out);
}

/* -------------------------------------------------------------------------------------- loading */

static int give_passphrase(char *buffer, int size, int writing, void *data) {
    (void)writing;
    findings *found = data;
    found->asked = true;
    size_t len = found->passphrase == NULL ? 0 : strlen(found->passphrase);
    if (found->passphrase == NULL || len > (size_t)size) {
        return -1;
    }
    memcpy(buffer, found->passphrase, len);
    return (int)len;
}

static bool keep_certificate(tlsl_objects *out, X509 *x509) {
    bool ok = x509 != NULL && sk_X509_push(out->certificates, x509) > 0;
    if (!ok) {
        X509_free(x509);
    }
    return ok;
}

static bool keep_crl(tlsl_objects *out, X509_CRL *crl) {
    bool ok = crl != NULL && sk_X509_CRL_push(out->crls, crl) > 0;
    if (!ok) {
        X509_CRL_free(crl);
    }
    return ok;
}

static bool wants_crls(const findings *found) {
    return found->wanted & (TLSL_WANTED_CRLS | TLSL_WELCOME_CRLS);
}

/* Counts what info holds, and takes it over if it is wanted. false: memory is short. */
static bool take(OSSL_STORE_INFO *info, tlsl_objects *out, findings *found) {
    switch (OSSL_STORE_INFO_get_type(info)) {
    case OSSL_STORE_INFO_CERT:
        found->certificates++;
        return !(found->wanted & TLSL_WANTED_CERTIFICATES) ||
               keep_certificate(out, OSSL_STORE_INFO_get1_CERT(info));
    case OSSL_STORE_INFO_CRL:
        found->crls++;
        return !wants_crls(found) || keep_crl(out, OSSL_STORE_INFO_get1_CRL(info));
    case OSSL_STORE_INFO_PKEY:
        found->keys++;
        if (found->wanted & TLSL_WANTED_KEY && out->key == NULL) {
            out->key = OSSL_STORE_INFO_get1_PKEY(info);
            return out->key != NULL;
        }
        return true;
    default: found->others++; return true;
    }
}

/* Takes all objects of a store, and closes it. One that is damaged ends it. */
static bool collect(OSSL_STORE_CTX *store, tlsl_objects *out, findings *found) {
    bool ok = true;
    found->asked = false;
    while (ok && OSSL_STORE_eof(store) != 1) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        if (info != NULL) {
            ok = take(info, out, found);
            OSSL_STORE_INFO_free(info);
        } else if (OSSL_STORE_error(store) == 1) {
            found->locked += found->asked;
            found->damaged += !found->asked;
            break;
        }
    }
    OSSL_STORE_close(store);
    return ok;
}

/* Takes what one block of PEM, or one object in DER, holds. */
static bool collect_bytes(const char *bytes, size_t len, const UI_METHOD *ask, tlsl_objects *out,
                          findings *found) {
    BIO *bio = BIO_new_mem_buf(bytes, (int)len);
    OSSL_STORE_CTX *store =
        bio == NULL ? NULL
                    : OSSL_STORE_attach(bio, "file", NULL, NULL, ask, found, NULL, NULL, NULL);
    bool ok = store != NULL && collect(store, out, found);
    BIO_free(bio);
    return ok;
}

/* --------------------------------------------------------------------------------------- PKCS#7 */

/* A PKCS#7 need not be in order: the leaf, which issued none of the others, comes first. */
static void leaf_first(STACK_OF(X509) *x509s) {
    for (int i = 0; i < sk_X509_num(x509s); i++) {
        X509 *one = sk_X509_value(x509s, i);
        bool issued = false;
        for (int k = 0; k < sk_X509_num(x509s) && !issued; k++) {
            issued = k != i && X509_check_issued(one, sk_X509_value(x509s, k)) == X509_V_OK;
        }
        if (!issued) {
            (void)sk_X509_delete(x509s, i);
            (void)sk_X509_unshift(x509s, one); /* there is room: one was just taken out */
            return;
        }
    }
}

/* Counts what a PKCS#7 holds, and takes over what is wanted. false: memory is short. */
static bool take_signed(const PKCS7_SIGNED *sign, tlsl_objects *out, findings *found) {
    int certificates = sk_X509_num(sign->cert), crls = sk_X509_CRL_num(sign->crl); /* -1: none */
    bool ok = true;
    if (certificates > 0 && found->wanted & TLSL_WANTED_CERTIFICATES) {
        ok = X509_add_certs(out->certificates, sign->cert, X509_ADD_FLAG_UP_REF) == 1;
        leaf_first(out->certificates);
    }
    for (int i = 0; ok && wants_crls(found) && i < crls; i++) {
        X509_CRL *crl = sk_X509_CRL_value(sign->crl, i);
        ok = X509_CRL_up_ref(crl) == 1 && keep_crl(out, crl);
    }
    found->certificates += certificates > 0 ? certificates : 0;
    found->crls += crls > 0 ? crls : 0;
    return ok;
}

static bool add_pkcs7(const char *bytes, size_t len, tlsl_objects *out, findings *found) {
    BIO *bio = BIO_new_mem_buf(bytes, (int)len);
    PKCS7 *pkcs7 = bio == NULL  ? NULL
                   : found->pem ? PEM_read_bio_PKCS7(bio, NULL, NULL, NULL)
                                : d2i_PKCS7_bio(bio, NULL);
    bool is = pkcs7 != NULL && PKCS7_type_is_signed(pkcs7) && pkcs7->d.sign != NULL;
    bool ok = bio != NULL && (!is || take_signed(pkcs7->d.sign, out, found));
    found->damaged += !is;
    PKCS7_free(pkcs7);
    BIO_free(bio);
    return ok;
}

/* -------------------------------------------------------------------------------------- sources */

/*
 * OpenSSL looks at each byte of a file as the possible start of an object, which takes minutes for
 * a megabyte of zeros. So nothing reaches it that is not one SEQUENCE.
 */
size_t tlsl_sequence_len(const unsigned char *bytes, size_t len) {
    const unsigned char *at = bytes;
    long content = 0;
    int tag = 0, class = 0;
    ERR_set_mark();
    int form = len == 0 || bytes[0] != (V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED)
                   ? 0x80
                   : ASN1_get_object(&at, &content, &tag, &class, (long)len);
    ERR_pop_to_mark();
    return form & 0x81 ? 0 : (size_t)(at - bytes) + (size_t)content;
}

/*
 * Takes objects in DER that follow each other. Bytes behind the last one are a damaged object.
 * Without any object there is no DER at all, and the caller says so.
 */
static bool load_der(const char *bytes, size_t len, const UI_METHOD *ask, tlsl_objects *out,
                     findings *found) {
    bool ok = true;
    size_t at = 0, one;
    while (ok && (one = tlsl_sequence_len((const unsigned char *)bytes + at, len - at)) > 0) {
        int damaged = found->damaged;
        ok = collect_bytes(bytes + at, one, ask, out, found);
        if (ok && found->damaged > damaged) { /* the store knows no PKCS#7 */
            found->damaged = damaged;
            ok = add_pkcs7(bytes + at, one, out, found);
        }
        at += one;
    }
    found->damaged += at > 0 && at < len;
    return ok;
}

/* What a block in PEM holds. */
typedef struct block {
    unsigned char *data;
    size_t len;
    bool encrypted; /* by a passphrase, as in RFC 1421 */
    bool sound;     /* the text is base64 of one SEQUENCE, or encrypted */
} block;

static block open_block(const char *text, size_t len, bool trusted) {
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    char *name = NULL, *header = NULL;
    long data_len = 0;
    block opened = {.data = NULL};
    ERR_set_mark();
    if (bio != NULL && PEM_read_bio(bio, &name, &header, &opened.data, &data_len) == 1) {
        size_t one = tlsl_sequence_len(opened.data, (size_t)data_len);
        opened.len = (size_t)data_len;
        opened.encrypted = header[0] != '\0';
        /* A trusted certificate has a second SEQUENCE, which says what it is trusted for. */
        opened.sound = opened.encrypted || one == opened.len ||
                       (trusted && one > 0 &&
                        one + tlsl_sequence_len(opened.data + one, opened.len - one) == opened.len);
    }
    ERR_pop_to_mark();
    OPENSSL_free(name);
    OPENSSL_free(header);
    BIO_free(bio);
    return opened;
}

/*
 * OpenSSL reads a certificate's key and extensions when there is need, and remembers for ever that
 * they could not be read, also where memory alone was short. So they are read here, and where that
 * fails the certificate is read once more. One whose key OpenSSL does not know stays as it is.
 */
static X509 *read_certificate(const unsigned char *der, long len) {
    X509 *x509 = NULL;
    bool whole = false;
    ERR_set_mark();
    for (int tries = 0; tries < 2 && !whole; tries++) {
        const unsigned char *at = der;
        X509_free(x509);
        x509 = d2i_X509(NULL, &at, len);
        whole = x509 == NULL ||
                (X509_get0_pubkey(x509) != NULL && X509_check_purpose(x509, -1, 0) == 1);
    }
    if (x509 == NULL) {
        ERR_clear_last_mark();
    } else {
        ERR_pop_to_mark();
    }
    return x509;
}

/*
 * Takes the one object in a block whose label says what it is. OSSL_STORE would try the decoders of
 * all kinds, which takes half as long again for a certificate, and three times as long for a key.
 */
static bool collect_block(const block *opened, int kind, tlsl_objects *out, findings *found) {
    const unsigned char *at = opened->data;
    long len = (long)opened->len;
    if (kind == TLSL_WANTED_KEY) {
        EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, len);
        *(key == NULL ? &found->damaged : &found->keys) += 1;
        if (out->key == NULL) {
            out->key = key;
        } else {
            EVP_PKEY_free(key);
        }
        return true;
    }
    if (kind == TLSL_WANTED_CERTIFICATES) {
        X509 *x509 = read_certificate(at, len);
        *(x509 == NULL ? &found->damaged : &found->certificates) += 1;
        return x509 == NULL || keep_certificate(out, x509);
    }
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, len);
    *(crl == NULL ? &found->damaged : &found->crls) += 1;
    return crl == NULL || keep_crl(out, crl);
}

static bool has(const char *label, size_t len, const char *word) {
    return memmem(label, len, word, strlen(word)) != NULL;
}

/* One block, from BEGIN to END. label is the rest of its first line. */
static bool load_block(const char *text, size_t len, const char *label, size_t label_len,
                       const UI_METHOD *ask, tlsl_objects *out, findings *found) {
    bool pkcs7 = has(label, label_len, "PKCS7-") || has(label, label_len, "CMS-");
    int kind = has(label, label_len, "PRIVATE KEY-")   ? TLSL_WANTED_KEY
               : has(label, label_len, "CERTIFICATE-") ? TLSL_WANTED_CERTIFICATES
               : has(label, label_len, "CRL-")         ? TLSL_WANTED_CRLS | TLSL_WELCOME_CRLS
                                                       : 0;
    if (!(kind & found->wanted) && !pkcs7) {
        found->keys += kind == TLSL_WANTED_KEY;
        found->certificates += kind == TLSL_WANTED_CERTIFICATES;
        found->crls += kind == (TLSL_WANTED_CRLS | TLSL_WELCOME_CRLS);
        return true;
    }
    bool trusted = has(label, label_len, "TRUSTED "), ok = true;
    bool plain = !trusted && (kind != TLSL_WANTED_KEY ||
                              begins(label, label + label_len, "PRIVATE KEY-")); /* PKCS#8 */
    block opened = open_block(text, len, trusted);
    if (!opened.sound) {
        found->damaged++;
    } else if (pkcs7) {
        ok = add_pkcs7(text, len, out, found);
    } else if (plain && !opened.encrypted) {
        ok = collect_block(&opened, kind, out, found);
    } else {
        ok = collect_bytes(text, len, ask, out, found);
    }
    OPENSSL_clear_free(opened.data, opened.len);
    return ok;
}

/* Takes each block of a tidy text. Text between the blocks is skipped. */
static bool load_pem(const char *text, size_t len, const UI_METHOD *ask, tlsl_objects *out,
                     findings *found) {
    const char *end = text + len, *at = text;
    bool ok = true;
    while (ok && (at = memmem(at, (size_t)(end - at), BEGIN, sizeof BEGIN - 1)) != NULL) {
        const char *label = at + sizeof BEGIN - 1;
        const char *close = memmem(label, (size_t)(end - label), END, sizeof END - 1);
        const char *line = memchr(label, '\n', (size_t)(end - label));
        const char *stop = close == NULL ? NULL : memchr(close, '\n', (size_t)(end - close));
        line = line == NULL ? end : line;
        stop = stop == NULL ? end : stop;
        ok = load_block(at, (size_t)(stop - at), label, (size_t)(line - label), ask, out, found);
        at = stop;
    }
    return ok;
}

/*
 * Takes the text out of OpenSSL's errors, which has the URI in it. OpenSSL keeps the memory of a
 * text until another error takes its place, so the text is wiped.
 */
static void forget_text(void) {
    unsigned long codes[TLSLIFE_ERROR_QUEUE_MAX], code = 0;
    size_t len = 0;
    const char *text = NULL;
    int flags = 0;
    while ((code = ERR_peek_error_data(&text, &flags)) != 0) {
        if (flags & ERR_TXT_MALLOCED) {
            OPENSSL_cleanse((char *)(uintptr_t)text, strlen(text));
        }
        (void)ERR_get_error();
        if (len < TLSLIFE_ERROR_QUEUE_MAX) {
            codes[len++] = code;
        }
    }
    for (size_t i = 0; i < len; i++) {
        ERR_raise(ERR_GET_LIB(codes[i]), ERR_GET_REASON(codes[i]));
    }
}

static bool load_uri(const tlsl_source *source, const UI_METHOD *ask, tlsl_objects *out,
                     findings *found) {
    OSSL_STORE_CTX *store = OSSL_STORE_open(source->uri, ask, found, NULL, NULL);
    found->no_store = store == NULL;
    bool ok = store == NULL || collect(store, out, found);
    if (source->is_secret) {
        forget_text();
    }
    return ok;
}

/*
 * Overwrites what calls of OpenSSL have left on the stack below the caller's frame: it copies a
 * passphrase into frames of its own, and does not wipe them.
 */
__attribute__((noinline)) static void wipe_stack(void) {
    char below[WIPED_STACK];
    OPENSSL_cleanse(below, sizeof below);
}

static bool load(const tlsl_source *source, tlsl_objects *out, findings *found) {
    UI_METHOD *ask = UI_UTIL_wrap_read_pem_callback(give_passphrase, 0);
    size_t room = found->pem ? 2 * source->len + 2 : 0;
    char *text = found->pem ? OPENSSL_malloc(room) : NULL;
    bool ok = ask != NULL && (text != NULL || !found->pem);
    ERR_clear_error();
    if (ok && source->bytes == NULL) {
        ok = load_uri(source, ask, out, found);
    } else if (ok && text == NULL) {
        ok = load_der(source->bytes, source->len, ask, out, found);
    } else if (ok) {
        size_t len = tidy(source->bytes, source->bytes + source->len, text);
        ok = load_pem(text, len, ask, out, found);
    }
    OPENSSL_clear_free(text, room);
    UI_destroy_method(ask);
    wipe_stack();
    return ok;
}

/* ------------------------------------------------------------------------------------- messages */

/* Appends "N names", or "a name", to a list of such in out. */
static void enumerate(char *out, size_t out_len, int n, const char *name) {
    size_t used = strlen(out);
    if (n > 1) {
        (void)snprintf(out + used, out_len - used, "%s%d %ss", used > 0 ? " and " : "", n, name);
    } else if (n == 1) {
        (void)snprintf(out + used, out_len - used, "%sa %s", used > 0 ? " and " : "", name);
    }
}

static const char *expected(int wanted) {
    bool key = wanted & TLSL_WANTED_KEY, certificate = wanted & TLSL_WANTED_CERTIFICATES;
    return key && certificate ? "a certificate with its private key"
           : key              ? "a private key"
           : certificate      ? "a certificate"
                              : "a CRL";
}

/* Whether OpenSSL lacks an algorithm that it needed. Then no passphrase could be right. */
static bool lacks_algorithm(void) {
    tlsl_errors met;
    bool lacks = false;
    tlsl_errors_set_aside(&met);
    for (size_t i = 0; i < met.len; i++) {
        unsigned long code = met.list[i].code;
        lacks = lacks ||
                (ERR_GET_LIB(code) == ERR_LIB_EVP && ERR_GET_REASON(code) == ERR_R_UNSUPPORTED);
    }
    tlsl_errors_put_back(&met);
    return lacks;
}

static tlslife_status fail_locked(const tlsl_source *source, const findings *found,
                                  tlslife_error *err) {
    const char *why =
        lacks_algorithm()           ? "is encrypted by an algorithm that OpenSSL does not have, "
                                      "or only in its legacy provider"
        : found->passphrase != NULL ? "is encrypted, and the passphrase is wrong"
        : found->wanted & TLSL_WANTED_KEY ? "is encrypted: give its passphrase"
                                          : "is encrypted, and the passphrase is a private key's: "
                                            "have both taken from there, or decrypt it";
    return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "%s %s", source->name, why);
}

/* Nothing at all was found. */
static tlslife_status fail_empty(const tlsl_source *source, const findings *found,
                                 tlslife_error *err) {
    const unsigned char *bytes = (const unsigned char *)source->bytes;
    bool wide = bytes != NULL && source->len > 1 && (bytes[0] ^ bytes[1]) == 1 && bytes[0] >= 0xfe;
    const char *what = found->no_store    ? "is a URI that no provider knows, or can open"
                       : found->others    ? "holds an object of another kind"
                       : bytes == NULL    ? "is a URI that leads to no object"
                       : source->len == 0 ? "is empty"
                       : wide             ? "is text in UTF-16"
                       : found->pem       ? "is PEM of another kind"
                                          : "is neither PEM, DER, PKCS#12 nor PKCS#7";
    return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "%s %s, and %s was expected", source->name,
                             what, expected(found->wanted));
}

static tlslife_status judge(const tlsl_source *source, const tlsl_objects *got,
                            const findings *found, tlslife_error *err) {
    int certificates = sk_X509_num(got->certificates), crls = sk_X509_CRL_num(got->crls);
    int wanted = found->wanted;
    bool missing = (wanted & TLSL_WANTED_KEY && got->key == NULL) ||
                   (wanted & TLSL_WANTED_CERTIFICATES && certificates == 0) ||
                   (wanted & TLSL_WANTED_CRLS && crls == 0);
    char list[80] = "";
    if (missing && found->locked > 0) {
        return fail_locked(source, found, err);
    }
    if (found->damaged > 0 && (found->pem || !missing)) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT,
                                 "%s is damaged: a certificate, key or CRL there cannot be read",
                                 source->name);
    }
    enumerate(list, sizeof list, found->certificates, "certificate");
    enumerate(list, sizeof list, found->keys, "private key");
    enumerate(list, sizeof list, found->crls, "CRL");
    if (missing && list[0] == '\0') {
        return fail_empty(source, found, err);
    }
    return !missing ? TLSLIFE_OK
                    : tlsl_fail(err, TLSLIFE_ERR_INPUT, "%s holds %s, and %s was expected",
                                source->name, list, expected(wanted));
}

static tlslife_status load_once(const tlsl_source *source, int wanted, const char *passphrase,
                                tlsl_objects *out, bool *out_retries, tlslife_error *err) {
    findings found = {.passphrase = passphrase, .wanted = wanted, .pem = is_pem(source)};
    *out = (tlsl_objects){.certificates = sk_X509_new_null(), .crls = sk_X509_CRL_new_null()};
    if (source->len > TLSL_SOURCE_MAX) {
        return tlsl_fail(err, TLSLIFE_ERR_INPUT, "%s has more than 16 MiB, the most that is read",
                         source->name);
    }
    if (out->certificates == NULL || out->crls == NULL || !load(source, out, &found)) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for %s", source->name);
    }
    tlslife_status status = judge(source, out, &found, err);
    *out_retries = status != TLSLIFE_OK && found.damaged > 0 && source->bytes != NULL;
    ERR_clear_error();
    return status;
}

/*
 * When memory is short OpenSSL's decoders report the bytes as damaged. So a source that seems to be
 * damaged is read once more. A URI is not, because a token counts wrong PINs.
 */
tlslife_status tlsl_objects_load(const tlsl_source *source, int wanted, const char *passphrase,
                                 tlsl_objects *out, tlslife_error *err) {
    bool retries = false, never = false;
    tlslife_status status = load_once(source, wanted, passphrase, out, &retries, err);
    if (retries) {
        tlsl_objects_free(out);
        status = load_once(source, wanted, passphrase, out, &never, err);
    }
    return status;
}

void tlsl_objects_free(tlsl_objects *objects) {
    sk_X509_pop_free(objects->certificates, X509_free);
    sk_X509_CRL_pop_free(objects->crls, X509_CRL_free);
    EVP_PKEY_free(objects->key);
    *objects = (tlsl_objects){.certificates = NULL};
}
