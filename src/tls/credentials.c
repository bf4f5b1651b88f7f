/*
 * credentials.c: the setters of a context's certificate, private key, CAs and stapled OCSP
 * response.
 *
 * All of it comes as PEM (an OCSP response as DER), from a file or from memory, and is parsed from
 * a memory BIO. So a file is read once, OpenSSL never asks the terminal for a passphrase, and the
 * policy's hash covers the very bytes that are trusted.
 *
 * An attacker who can write such a file would try to exhaust the process with a huge file, a device
 * or a FIFO that never ends. Only regular files of limited size are read.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "tls/context.h"
#include "tls/settings.h"
#include "tlslife.h"

#define PEM_FILE_MAX (16L * 1024 * 1024) /* bytes: a bundle of all public CAs has 0.25 MiB */

/* A text, and what error messages call it. */
typedef struct pem_text {
    char *bytes; /* malloc'ed if it comes from a file */
    size_t len;
    const char *name;
} pem_text;

static tlslife_status read_all(int fd, pem_text *text, tlslife_error *err) {
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return tlsl_fail_system(err, errno, "cannot read %s", text->name);
    }
    if (!S_ISREG(status.st_mode) || status.st_size > PEM_FILE_MAX) {
        return tlsl_fail(err, TLSLIFE_ERR_INPUT, "%s is no regular file of at most 16 MiB",
                         text->name);
    }
    text->bytes = malloc((size_t)status.st_size + 1);
    if (text->bytes == NULL) {
        return tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for %s", text->name);
    }
    for (ssize_t got = 1; got > 0 && text->len < (size_t)status.st_size;) {
        got = read(fd, text->bytes + text->len, (size_t)status.st_size - text->len);
        if (got < 0) {
            return tlsl_fail_system(err, errno, "cannot read %s", text->name);
        }
        text->len += (size_t)got;
    }
    return TLSLIFE_OK;
}

/* Reads path into text. The error's kind is INPUT, since the program has named the file. */
static tlslife_status pem_open(const char *path, pem_text *text, tlslife_error *err) {
    *text = (pem_text){.name = path};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    tlslife_status status =
        fd < 0 ? tlsl_fail_system(err, errno, "cannot open %s", path) : read_all(fd, text, err);
    if (fd >= 0) {
        close(fd);
    }
    if (status != TLSLIFE_OK && err != NULL && err->kind == TLSLIFE_ERR_SYSTEM) {
        err->kind = TLSLIFE_ERR_INPUT;
    }
    return status;
}

static void pem_close(pem_text *text) {
    OPENSSL_cleanse(text->bytes, text->len);
    free(text->bytes);
}

static BIO *pem_bio(const pem_text *text) {
    return text->len > INT32_MAX ? NULL : BIO_new_mem_buf(text->bytes, (int)text->len);
}

typedef tlslife_status (*pem_setter)(tlslife_context *, const pem_text *, const char *,
                                     tlslife_error *);

static tlslife_status from_file(tlslife_context *context, pem_setter set, const char *path,
                                const char *passphrase, tlslife_error *err) {
    pem_text text;
    if (tlsl_context_settable(context, err) != TLSLIFE_OK ||
        pem_open(path, &text, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlslife_status status = set(context, &text, passphrase, err);
    pem_close(&text);
    return status;
}

static tlslife_status from_memory(tlslife_context *context, pem_setter set, const char *pem,
                                  size_t pem_len, const char *passphrase, tlslife_error *err) {
    pem_text text = {.bytes = (char *)(uintptr_t)pem, .len = pem_len, .name = "the PEM text"};
    return tlsl_context_settable(context, err) != TLSLIFE_OK ? TLSLIFE_ERROR
                                                             : set(context, &text, passphrase, err);
}

/* -------------------------------------------------------------------------- certificate and key */

/*
 * Whether the last error is the one that PEM_read_bio_* leaves at the end of a text. Any other
 * means that the text is damaged.
 */
static bool only_end_of_pem(void) {
    unsigned long code = ERR_peek_last_error();
    return code == 0 ||
           (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE);
}

static bool add_chain(SSL_CTX *ctx, BIO *bio) {
    X509 *x509;
    if (SSL_CTX_clear_chain_certs(ctx) != 1) {
        return false;
    }
    while ((x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, x509) != 1) {
            X509_free(x509);
            return false;
        }
    }
    bool ended = only_end_of_pem();
    if (ended) {
        ERR_clear_error();
    }
    return ended;
}

static tlslife_status set_certificate(tlslife_context *context, const pem_text *text,
                                      const char *passphrase, tlslife_error *err) {
    (void)passphrase;
    BIO *bio = pem_bio(text);
    X509 *leaf = bio == NULL ? NULL : PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    /* Setting a leaf makes its type of key the current one, and the chain then belongs to that. */
    bool ok = leaf != NULL && SSL_CTX_use_certificate(context->ctx, leaf) == 1 &&
              add_chain(context->ctx, bio);
    X509_free(leaf);
    BIO_free(bio);
    return ok ? TLSLIFE_OK
              : tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "no usable certificate in %s",
                                  text->name);
}

typedef struct passphrase_ask {
    const char *passphrase;
    bool asked;
} passphrase_ask;

/* OpenSSL's default would ask the terminal. */
static int give_passphrase(char *buffer, int size, int writing, void *data) {
    (void)writing;
    passphrase_ask *ask = data;
    ask->asked = true;
    size_t len = ask->passphrase == NULL ? 0 : strlen(ask->passphrase);
    if (len == 0 || len > (size_t)size) {
        return -1;
    }
    memcpy(buffer, ask->passphrase, len);
    return (int)len;
}

static tlslife_status key_failed(const pem_text *text, const passphrase_ask *ask,
                                 tlslife_error *err) {
    if (ask->asked && ask->passphrase == NULL) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT,
                                 "the private key in %s is encrypted: give its passphrase",
                                 text->name);
    }
    return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "no usable private key in %s%s", text->name,
                             ask->asked ? " (is the passphrase right?)" : "");
}

static tlslife_status set_private_key(tlslife_context *context, const pem_text *text,
                                      const char *passphrase, tlslife_error *err) {
    passphrase_ask ask = {.passphrase = passphrase};
    BIO *bio = pem_bio(text);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &ask);
    BIO_free(bio);
    if (key == NULL) {
        return key_failed(text, &ask, err);
    }
    /*
     * If the key belongs to another certificate, libssl drops the certificate, so that is checked
     * first.
     */
    X509 *leaf = SSL_CTX_get0_certificate(context->ctx);
    bool belongs = leaf != NULL && X509_check_private_key(leaf, key) == 1;
    bool ok = belongs && SSL_CTX_use_PrivateKey(context->ctx, key) == 1;
    EVP_PKEY_free(key);
    if (!belongs) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "the private key in %s %s", text->name,
                                 leaf == NULL ? "came before its certificate: set that first"
                                              : "is not the key of the certificate");
    }
    return ok ? TLSLIFE_OK
              : tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "no usable private key in %s",
                                  text->name);
}

tlslife_status tlslife_context_set_certificate_file(tlslife_context *context, const char *path,
                                                    tlslife_error *err) {
    return from_file(context, set_certificate, path, NULL, err);
}

tlslife_status tlslife_context_set_certificate_pem(tlslife_context *context, const char *pem,
                                                   size_t pem_len, tlslife_error *err) {
    return from_memory(context, set_certificate, pem, pem_len, NULL, err);
}

tlslife_status tlslife_context_set_private_key_file(tlslife_context *context, const char *path,
                                                    const char *passphrase, tlslife_error *err) {
    return from_file(context, set_private_key, path, passphrase, err);
}

tlslife_status tlslife_context_set_private_key_pem(tlslife_context *context, const char *pem,
                                                   size_t pem_len, const char *passphrase,
                                                   tlslife_error *err) {
    return from_memory(context, set_private_key, pem, pem_len, passphrase, err);
}

/* ------------------------------------------------------------------------------------------ CAs */

static bool trust_one(tlslife_context *context, X509_STORE *store, const X509_INFO *info,
                      int *trusted) {
    if (info->x509 != NULL) {
        *trusted += 1;
        if (X509_STORE_add_cert(store, info->x509) != 1) {
            return false;
        }
        tlsl_policy_add_certificate(&context->policy, TLSL_FACT_CA, info->x509);
    }
    return info->crl == NULL || X509_STORE_add_crl(store, info->crl) == 1;
}

static tlslife_status add_ca(tlslife_context *context, const pem_text *text, const char *passphrase,
                             tlslife_error *err) {
    (void)passphrase;
    BIO *bio = pem_bio(text);
    STACK_OF(X509_INFO) *infos = bio == NULL ? NULL : PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL);
    BIO_free(bio);
    X509_STORE *store = SSL_CTX_get_cert_store(context->ctx);
    bool ok = infos != NULL;
    int trusted = 0;
    for (int i = 0; ok && i < sk_X509_INFO_num(infos); i++) {
        ok = trust_one(context, store, sk_X509_INFO_value(infos, i), &trusted);
    }
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    if (!ok || trusted == 0) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "no usable CA certificate in %s",
                                 text->name);
    }
    context->ca_given = true;
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_add_ca_file(tlslife_context *context, const char *path,
                                           tlslife_error *err) {
    return from_file(context, add_ca, path, NULL, err);
}

tlslife_status tlslife_context_add_ca_pem(tlslife_context *context, const char *pem, size_t pem_len,
                                          tlslife_error *err) {
    return from_memory(context, add_ca, pem, pem_len, NULL, err);
}

tlslife_status tlslife_context_add_ca_directory(tlslife_context *context, const char *path,
                                                tlslife_error *err) {
    struct stat status;
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        return tlsl_fail(err, TLSLIFE_ERR_INPUT, "%s is no directory of CA certificates", path);
    }
    if (SSL_CTX_load_verify_dir(context->ctx, path) != 1) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "the CA directory %s cannot be used",
                                 path);
    }
    tlsl_policy_add(&context->policy, TLSL_FACT_CA_PLACE, path, strlen(path));
    context->ca_given = true;
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_use_system_ca(tlslife_context *context, tlslife_error *err) {
    static const char system[] = "system";
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (SSL_CTX_set_default_verify_paths(context->ctx) != 1) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT,
                                 "the system's CA certificates cannot be used");
    }
    tlsl_policy_add(&context->policy, TLSL_FACT_CA_PLACE, system, sizeof system);
    context->ca_given = true;
    return TLSLIFE_OK;
}

static tlslife_status set_client_ca(tlslife_context *context, const pem_text *text,
                                    const char *passphrase, tlslife_error *err) {
    (void)passphrase;
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    BIO *bio = pem_bio(text);
    X509 *x509;
    bool ok = names != NULL && bio != NULL;
    while (ok && (x509 = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x509));
        ok = name != NULL && sk_X509_NAME_push(names, name) > 0;
        X509_free(x509);
    }
    ok = ok && only_end_of_pem() && sk_X509_NAME_num(names) > 0;
    BIO_free(bio);
    if (!ok) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "no usable CA certificate in %s",
                                 text->name);
    }
    ERR_clear_error();
    SSL_CTX_set_client_CA_list(context->ctx, names);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_client_ca_file(tlslife_context *context, const char *path,
                                                  tlslife_error *err) {
    return from_file(context, set_client_ca, path, NULL, err);
}

tlslife_status tlslife_context_set_client_ca_pem(tlslife_context *context, const char *pem,
                                                 size_t pem_len, tlslife_error *err) {
    return from_memory(context, set_client_ca, pem, pem_len, NULL, err);
}

/* ----------------------------------------------------------------------------------------- OCSP */

static tlslife_status set_ocsp_response(tlslife_context *context, const pem_text *text,
                                        const char *passphrase, tlslife_error *err) {
    (void)passphrase;
    const unsigned char *der = (const unsigned char *)text->bytes;
    return tlsl_is_ocsp_response(der, text->len)
               ? tlslife_context_set_ocsp_response(context, der, text->len, err)
               : tlsl_fail(err, TLSLIFE_ERR_INPUT, "no OCSP response, in DER, in %s", text->name);
}

tlslife_status tlslife_context_set_ocsp_response_file(tlslife_context *context, const char *path,
                                                      tlslife_error *err) {
    return from_file(context, set_ocsp_response, path, NULL, err);
}
