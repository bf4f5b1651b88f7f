/*
 * values_test.c: tests how the library reads names, failures and certificates.
 *
 * It covers errors from OpenSSL's queue, names of options and hosts, and certificates that are made
 * on the spot to deceive.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "base/error_queue.h"
#include "base/names.h"
#include "tlslife.h"
#include "values/certificate.h"

#include "check.h"

#include <openssl/ssl.h>
#include <openssl/err.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* --------------------------------------------------------------------------------------- errors */

static void test_fail(void) {
    tlslife_error err;
    memset(&err, 0x55, sizeof err);
    CHECK(tlsl_fail(&err, TLSLIFE_ERR_USAGE, "no %s at %d", "such", 7) == TLSLIFE_ERROR);
    CHECK(err.kind == TLSLIFE_ERR_USAGE && err.alert == -1 && err.verify_depth == -1);
    CHECK(err.code == 0 && err.queue_len == 0 && err.system_errno == 0 && err.verify_result == 0);
    CHECK_TEXT(err.message, "no such at 7");
    (void)tlsl_fail(&err, TLSLIFE_ERR_TLS, "again: %s", err.message);
    CHECK_TEXT(err.message, "again: no such at 7");
    (void)tlsl_fail(&err, TLSLIFE_ERR_TLS, "one\nline\x7f\x1b[2J");
    CHECK_TEXT(err.message, "one?line??[2J");
    CHECK(tlsl_fail(NULL, TLSLIFE_ERR_TLS, "nobody") == TLSLIFE_ERROR);
}

/* A message that is cut ends before a character, and not in the middle of one. */
static void test_long_message(void) {
    tlslife_error err;
    char text[600];
    for (size_t i = 0; i + 1 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xbc", 2);
    }
    text[sizeof text - 2] = '\0';
    (void)tlsl_fail(&err, TLSLIFE_ERR_USAGE, "%s", text);
    size_t len = strlen(err.message);
    CHECK(len == sizeof err.message - 2);
    CHECK((unsigned char)err.message[len - 1] == 0xbc &&
          (unsigned char)err.message[len - 2] == 0xc3);
}

static void test_system(void) {
    tlslife_error err;
    CHECK(tlsl_fail_system(&err, EACCES, "cannot open %s", "x") == TLSLIFE_ERROR);
    CHECK(err.kind == TLSLIFE_ERR_SYSTEM && err.system_errno == EACCES);
    CHECK_TEXT(err.message, "cannot open x: Permission denied");
    (void)tlsl_fail_system(&err, ENOMEM, "cannot");
    CHECK(err.kind == TLSLIFE_ERR_MEMORY);
}

static void test_queue(void) {
    tlslife_error err;
    ERR_clear_error();
    ERR_raise_data(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED, "depth\n%d", 3);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_EXTENSION);
    CHECK(tlsl_fail_openssl(&err, TLSLIFE_ERR_TLS, "the handshake failed") == TLSLIFE_ERROR);
    CHECK(ERR_peek_error() == 0);
    CHECK(err.kind == TLSLIFE_ERR_TLS && err.queue_len == 2 && err.code == err.queue[0].code);
    CHECK(ERR_GET_REASON(err.code) == SSL_R_CERTIFICATE_VERIFY_FAILED);
    CHECK_TEXT(err.message, "the handshake failed: certificate verify failed (depth?3)");
    CHECK_TEXT(err.library, "SSL routines");
    CHECK_TEXT(err.reason, "certificate verify failed");
    CHECK_TEXT(err.queue[0].data, "depth?3");
    CHECK_TEXT(err.queue[1].reason, "bad extension");
    CHECK_TEXT(err.queue[1].data, "");
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_EXTENSION);
    CHECK(tlsl_fail_openssl(NULL, TLSLIFE_ERR_TLS, "nobody") == TLSLIFE_ERROR);
    CHECK(ERR_peek_error() == 0);
    (void)tlsl_fail_openssl(&err, TLSLIFE_ERR_TLS, "nothing was said");
    CHECK_TEXT(err.message, "nothing was said");
}

/* As libssl 3.2 and later report a failure of the system: with the name of their function. */
static void test_queue_of_system(void) {
    tlslife_error err;
    ERR_raise_data(ERR_LIB_SYS, EPIPE, "%s failure", __func__);
    (void)tlsl_fail_openssl(&err, TLSLIFE_ERR_SYSTEM, "write failed");
    CHECK_TEXT(err.message, "write failed: Broken pipe");
    CHECK_TEXT(err.queue[0].data, "");
    CHECK(err.system_errno == EPIPE);
    ERR_raise_data(ERR_LIB_SYS, ENOENT, "calling fopen(%s)", "/x");
    (void)tlsl_fail_openssl(&err, TLSLIFE_ERR_SYSTEM, "it failed");
    CHECK_TEXT(err.message, "it failed: No such file or directory (calling fopen(/x))");
}

static void test_queue_kinds(void) {
    tlslife_error err;
    ERR_raise(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE);
    (void)tlsl_fail_openssl(&err, TLSLIFE_ERR_TLS, "x");
    CHECK(err.kind == TLSLIFE_ERR_MEMORY);
    BIO *bio = BIO_new_file("/nonexistent/file", "r");
    CHECK(bio == NULL);
    (void)tlsl_fail_openssl(&err, TLSLIFE_ERR_INPUT, "cannot read it");
    CHECK(err.kind == TLSLIFE_ERR_INPUT && err.system_errno == ENOENT && err.queue_len >= 2);
    CHECK(strstr(err.message, "cannot read it: No such file or directory") == err.message);
    for (int i = 0; i < 40; i++) {
        ERR_raise(ERR_LIB_SSL, SSL_R_BAD_EXTENSION);
    }
    (void)tlsl_fail_openssl(&err, TLSLIFE_ERR_TLS, "x");
    CHECK(err.queue_len <= TLSLIFE_ERROR_QUEUE_MAX && err.queue_len >= 15 && ERR_peek_error() == 0);
}

static void test_words(void) {
    CHECK_TEXT(tlslife_status_name(TLSLIFE_OK), "ok");
    CHECK_TEXT(tlslife_status_name(TLSLIFE_WANT_CERTIFICATE), "want_certificate");
    CHECK_TEXT(tlslife_status_name(TLSLIFE_TIMEOUT), "timeout");
    CHECK_TEXT(tlslife_status_name(TLSLIFE_WANT_PSK), "want_psk");
    CHECK(tlslife_status_name((tlslife_status)99) != NULL);
    CHECK_TEXT(tlslife_error_kind_name(TLSLIFE_ERR_RESOLVE), "resolve");
    CHECK_TEXT(tlslife_error_kind_name(TLSLIFE_ERR_MEMORY), "memory");
    CHECK(tlslife_error_kind_name((tlslife_error_kind)99) != NULL);
    CHECK_TEXT(tlslife_alert_name(0), "close_notify");
    CHECK_TEXT(tlslife_alert_name(40), "handshake_failure");
    CHECK_TEXT(tlslife_alert_name(120), "no_application_protocol");
    CHECK(tlslife_alert_number("nothing") == -1 && tlslife_alert_number(NULL) == -1);
    int named = 0;
    for (int alert = 0; alert < 256; alert++) {
        const char *name = tlslife_alert_name(alert);
        bool known = strcmp(name, "unknown_alert") != 0;
        named += known;
        CHECK(tlslife_alert_number(name) == (known ? alert : -1));
        /* What OpenSSL can name, so can we. */
        CHECK(known || strcmp(SSL_alert_desc_string_long(alert), "unknown") == 0);
    }
    CHECK(named == 37);
    CHECK_TEXT(tlslife_verify_result_text(X509_V_OK), "ok");
    CHECK(strncmp(tlslife_openssl_version(), "OpenSSL 3.", 10) == 0);
    tlslife_string_free(NULL);
    tlslife_string_free(strdup("secret"));
}

/* ---------------------------------------------------------------------------------------- names */

static void test_options(void) {
    uint64_t bit = 0;
    CHECK(tlsl_option_bit("NO_TICKET", &bit) && bit == SSL_OP_NO_TICKET);
    CHECK(tlsl_option_bit("ssl_op_no_tlsv1_3", &bit) && bit == SSL_OP_NO_TLSv1_3);
    CHECK(tlsl_option_bit("SSL_OP_ALL", &bit) && bit == SSL_OP_ALL);
    CHECK(tlsl_option_bit("SINGLE_DH_USE", &bit) && bit == 0);
    CHECK(!tlsl_option_bit("NO_TICKETS", &bit) && !tlsl_option_bit("", &bit) &&
          !tlsl_option_bit("SSL_OP_", &bit));
    CHECK(!tlsl_option_bit("AUTO_RETRY", &bit));
    CHECK(tlsl_mode_bit("SSL_MODE_AUTO_RETRY", &bit) && bit == SSL_MODE_AUTO_RETRY);
    CHECK(tlsl_mode_bit("release_buffers", &bit) && bit == SSL_MODE_RELEASE_BUFFERS);
    CHECK(!tlsl_mode_bit("SSL_OP_RELEASE_BUFFERS", &bit));
}

static void test_hosts(void) {
    static const char *const good[] = {
        "a", "localhost", "A.Example", "xn--bcher-kva.example", "_dmarc.a-b.c3", "1.2"};
    static const char *const bad[] = {"",    ".",     "a.",  ".a",           "a..b", "a b",
                                      "a/b", "a:443", "*.a", "b\xc3\xbc.de", "a\n",  "[::1]"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK(tlsl_is_hostname(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(!tlsl_is_hostname(bad[i]));
    }
    char name[260];
    memset(name, 'a', sizeof name);
    for (size_t i = 63; i < sizeof name; i += 64) {
        name[i] = '.';
    }
    name[253] = '\0';
    CHECK(tlsl_is_hostname(name));
    name[253] = 'a';
    name[254] = '\0';
    CHECK(!tlsl_is_hostname(name));
    memset(name, 'a', 64);
    name[63] = '\0';
    CHECK(tlsl_is_hostname(name));
    name[63] = 'a';
    name[64] = '\0';
    CHECK(!tlsl_is_hostname(name));
    CHECK(tlsl_is_ip("127.0.0.1") && tlsl_is_ip("::1") && tlsl_is_ip("2001:db8::7f"));
    CHECK(!tlsl_is_ip("127.0.0") && !tlsl_is_ip("localhost") && !tlsl_is_ip("[::1]") &&
          !tlsl_is_ip("1.2.3.256"));
    CHECK(tlsl_is_ip("fe80::1%lo") && tlsl_is_ip("fe80::1%br-lan.7") && tlsl_is_ip("fe80::1%2"));
    CHECK(!tlsl_is_ip("fe80::1%") && !tlsl_is_ip("%lo") && !tlsl_is_ip("127.0.0.1%lo") &&
          !tlsl_is_ip("fe80::1%a%b") && !tlsl_is_ip("fe80::1%a b") &&
          !tlsl_is_ip("fe80::1%sixteen-and-more"));
    char plain[16], zoned[] = "FE80::A%Up0";
    CHECK(tlsl_ip_without_zone("fe80::1%lo", plain, sizeof plain) && strcmp(plain, "fe80::1") == 0);
    CHECK(!tlsl_ip_without_zone("fe80::1%lo", plain, 7));
    tlsl_lower(zoned);
    CHECK_TEXT(zoned, "fe80::a%Up0");
}

/* --------------------------------------------------------------------------------- certificates */

static void add_name(GENERAL_NAMES *names, int type, const void *bytes, int len) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    CHECK(ASN1_STRING_set(value, bytes, len) == 1);
    GENERAL_NAME_set0_value(name, type, value);
    CHECK(sk_GENERAL_NAME_push(names, name) > 0);
}

static void add_names(X509 *x509) {
    static const unsigned char v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    add_name(names, GEN_DNS, "a.example", 9);
    add_name(names, GEN_DNS, "b.example,DNS:bank.example", 26);
    add_name(names, GEN_DNS, "bank.example\0.evil.example", 26);
    add_name(names, GEN_DNS, "line\nfeed \\ \xff", 13);
    add_name(names, GEN_IPADD, "\x7f\0\0\1", 4);
    add_name(names, GEN_IPADD, v6, 16);
    add_name(names, GEN_IPADD, "\x7f\0\0\1\1", 5);
    add_name(names, GEN_URI, "https://a.example/?b", 20);
    add_name(names, GEN_EMAIL, "me@a.example", 12);
    CHECK(X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, 0) == 1);
    GENERAL_NAMES_free(names);
}

static X509 *make_certificate(bool with_names) {
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *x509 = X509_new();
    X509_NAME *name = X509_get_subject_name(x509);
    (void)X509_set_version(x509, 2);
    (void)X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                     (const unsigned char *)"Evil, CN=bank\nX", -1, -1, 0);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"a.example",
                                     -1, -1, 0);
    (void)X509_set_issuer_name(x509, name);
    (void)ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), 0xabcdef0123456789u);
    (void)ASN1_TIME_set_string_X509(X509_getm_notBefore(x509), "20200102030405Z");
    (void)ASN1_TIME_set_string(X509_getm_notAfter(x509), "20991231235959Z");
    (void)X509_set_pubkey(x509, key);
    if (with_names) {
        add_names(x509);
    }
    CHECK(X509_sign(x509, key, EVP_sha256()) > 0);
    EVP_PKEY_free(key);
    return x509;
}

static void test_certificate(void) {
    tlslife_certificate seen;
    X509 *x509 = make_certificate(true);
    if (!CHECK(tlsl_certificate_fill(&seen, x509))) {
        return;
    }
    CHECK_TEXT(seen.subject, "CN=a.example,O=Evil\\, CN=bank\\0AX");
    CHECK_TEXT(seen.issuer, seen.subject);
    CHECK_TEXT(seen.serial, "ABCDEF0123456789");
    CHECK_TEXT(
        seen.names,
        "DNS:a.example,DNS:b.example\\2CDNS:bank.example,DNS:bank.example\\00.evil.example,"
        "DNS:line\\0Afeed\\20\\5C\\20\\FF,IP:127.0.0.1,IP:2001:db8::1,IP:\\7F\\00\\00\\01\\01,"
        "URI:https://a.example/?b,email:me@a.example");
    CHECK(seen.not_before == 1577934245 && seen.not_after == 4102444799);
    const unsigned char *der = seen.der;
    X509 *again = d2i_X509(NULL, &der, (long)seen.der_len);
    CHECK(again != NULL && X509_cmp(x509, again) == 0 && der == seen.der + seen.der_len);
    X509_free(again);
    BIO *pem = BIO_new_mem_buf(seen.pem, -1);
    again = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    CHECK(again != NULL && X509_cmp(x509, again) == 0);
    X509_free(again);
    BIO_free(pem);
    CHECK(strlen(seen.fingerprint) == 64 && strspn(seen.fingerprint, "0123456789abcdef") == 64);
    CHECK_TEXT(seen.key_type, "EC");
    CHECK_TEXT(seen.key_group, "prime256v1");
    CHECK(seen.key_bits == 256);
    char cut[6];
    CHECK_TEXT(tlsl_name_text(X509_get_subject_name(x509), cut, sizeof cut), "CN=a.");
    tlslife_certificate_clear(&seen);
    CHECK(seen.der == NULL && seen.names == NULL && seen.der_len == 0);
    tlslife_certificate_clear(&seen);
    tlslife_certificate_clear(NULL);
    X509_free(x509);
}

/*
 * Certificates without alternative names, or with ones that cannot be read. Nothing is returned,
 * and nothing is left in the error queue.
 */
static void test_certificate_without_names(void) {
    tlslife_certificate seen;
    X509 *x509 = make_certificate(false);
    CHECK(tlsl_certificate_fill(&seen, x509));
    CHECK_TEXT(seen.names, "");
    tlslife_certificate_clear(&seen);
    ASN1_OCTET_STRING *garbage = ASN1_OCTET_STRING_new();
    CHECK(ASN1_OCTET_STRING_set(garbage, (const unsigned char *)"\x30\x82garbage", 9) == 1);
    X509_EXTENSION *extension =
        X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, garbage);
    CHECK(X509_add_ext(x509, extension, -1) == 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(garbage);
    ERR_clear_error();
    CHECK(tlsl_certificate_fill(&seen, x509));
    CHECK_TEXT(seen.names, "");
    CHECK(ERR_peek_error() == 0);
    tlslife_certificate_clear(&seen);
    X509_free(x509);
}

/* A public key that OpenSSL does not know has no type, and nothing is left in the queue. */
static void test_certificate_of_unknown_key(void) {
    static const unsigned char ec[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}; /* its OID */
    tlslife_certificate seen;
    unsigned char *der = NULL;
    X509 *x509 = make_certificate(true);
    int len = i2d_X509(x509, &der);
    X509_free(x509);
    unsigned char *oid = memmem(der, (size_t)len, ec, sizeof ec);
    CHECK(oid != NULL);
    oid[6] = 0x7f;
    const unsigned char *at = der;
    x509 = d2i_X509(NULL, &at, len);
    ERR_clear_error();
    CHECK(x509 != NULL && tlsl_certificate_fill(&seen, x509));
    CHECK(seen.key_type[0] == '\0' && seen.key_bits == 0 && seen.key_group[0] == '\0');
    CHECK(ERR_peek_error() == 0);
    tlslife_certificate_clear(&seen);
    X509_free(x509);
    OPENSSL_free(der);
}

int main(void) {
    CHECK(OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL) ==
          1); /* libssl's reasons have no text before */
    test_fail();
    test_long_message();
    test_system();
    test_queue();
    test_queue_of_system();
    test_queue_kinds();
    test_words();
    test_options();
    test_hosts();
    test_certificate();
    test_certificate_without_names();
    test_certificate_of_unknown_key();
    return checks_end();
}
