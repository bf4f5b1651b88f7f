/*
 * error.c: turns failures of this library, the system and OpenSSL into error values, and names
 * statuses, kinds and alerts.
 *
 * What OpenSSL leaves in its thread's queue is moved into the object that failed, the first cause
 * first, so that no other connection of this thread ever reads it.
 *
 * An attacker would put bytes into a certificate or an alert that end up in a log as a line of
 * their own, or try to have an error of one connection reported as another's. So control characters
 * never enter a message, and the queue is emptied even if the caller wants no error (err is NULL).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "tlslife.h"

#define MESSAGE_MAX sizeof(((tlslife_error *)0)->message)
#define SYSTEM_TEXT_MAX 128
#define PROBE 1024 /* bytes that OpenSSL must get, or memory is short */

/*
 * Copies text as one line: cut to fit, with control characters replaced. UTF-8 is kept, and a cut
 * never leaves half a character.
 */
static void copy_line(char *out, size_t out_len, const char *text) {
    size_t i = 0;
    for (; text[i] != '\0' && i + 1 < out_len; i++) {
        unsigned char c = (unsigned char)text[i];
        out[i] = (c < 0x20 || c == 0x7f) ? '?' : text[i];
    }
    if (text[i] != '\0') {
        while (i > 0 && ((unsigned char)text[i] & 0xc0) == 0x80) {
            i--;
        }
    }
    out[i] = '\0';
}

static void append_line(char *out, size_t out_len, const char *before, const char *text,
                        const char *after) {
    char joined[MESSAGE_MAX];
    (void)snprintf(joined, sizeof joined, "%s%s%s", before, text, after);
    size_t used = strlen(out);
    copy_line(out + used, out_len - used, joined);
}

static const char *system_text(int system_errno, char *buffer, size_t buffer_len) {
    return strerror_r(system_errno, buffer, buffer_len);
}

/* The message is made before err is emptied, since its arguments may point into err. */
static void begin(tlslife_error *err, tlslife_error_kind kind, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static void begin(tlslife_error *err, tlslife_error_kind kind, const char *format, va_list args) {
    char message[MESSAGE_MAX + 4]; /* longer than a message, so that copy_line does the cutting */
    (void)vsnprintf(message, sizeof message, format, args);
    memset(err, 0, sizeof *err);
    err->kind = kind;
    err->alert = -1;
    err->verify_depth = -1;
    copy_line(err->message, sizeof err->message, message);
}

tlslife_status tlsl_fail(tlslife_error *err, tlslife_error_kind kind, const char *format, ...) {
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        begin(err, kind, format, args);
        va_end(args);
    }
    return TLSLIFE_ERROR;
}

tlslife_status tlsl_fail_system(tlslife_error *err, int system_errno, const char *format, ...) {
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        begin(err, system_errno == ENOMEM ? TLSLIFE_ERR_MEMORY : TLSLIFE_ERR_SYSTEM, format, args);
        va_end(args);
        char text[SYSTEM_TEXT_MAX];
        append_line(err->message, sizeof err->message, ": ",
                    system_text(system_errno, text, sizeof text), "");
        err->system_errno = system_errno;
    }
    return TLSLIFE_ERROR;
}

static void fill_entry(tlslife_error_entry *entry, unsigned long code, const char *data) {
    char text[SYSTEM_TEXT_MAX];
    const char *library = ERR_lib_error_string(code);
    const char *reason = ERR_SYSTEM_ERROR(code)
                             ? system_text(ERR_GET_REASON(code), text, sizeof text)
                             : ERR_reason_error_string(code);
    if (reason == NULL) {
        (void)snprintf(text, sizeof text, "reason %d", ERR_GET_REASON(code));
        reason = text;
    }
    entry->code = code;
    copy_line(entry->library, sizeof entry->library, library != NULL ? library : "unknown library");
    copy_line(entry->reason, sizeof entry->reason, reason);
    copy_line(entry->data, sizeof entry->data, data);
}

/*
 * The oldest error of OpenSSL's queue, which is removed; 0: none. Where libssl 3.2 and later report
 * a failure of the system they give the name of their own function as data, which tells a user
 * nothing.
 */
static unsigned long take(const char **out_data) {
    const char *function = NULL, *data = NULL;
    int flags = 0;
    unsigned long code = ERR_get_error_all(NULL, NULL, &function, &data, &flags);
    bool text = code != 0 && (flags & ERR_TXT_STRING) != 0 && data != NULL;
    size_t len = function == NULL ? 0 : strlen(function);
    bool own_name = text && len > 0 && strncmp(data, function, len) == 0;
    *out_data = text && !own_name ? data : "";
    return code;
}

/* Empties OpenSSL's queue, into err if it is not NULL. */
static void drain(tlslife_error *err) {
    const char *data;
    unsigned long code;
    while ((code = take(&data)) != 0) {
        if (err != NULL && err->queue_len < TLSLIFE_ERROR_QUEUE_MAX) {
            fill_entry(&err->queue[err->queue_len++], code, data);
        }
    }
}

/*
 * A digest's context that cannot be copied, or for which the provider makes none, is a lack of
 * memory, which OpenSSL does not say.
 */
static bool is_failed_copy(unsigned long code) {
    return ERR_GET_LIB(code) == ERR_LIB_EVP &&
           (ERR_GET_REASON(code) == EVP_R_NOT_ABLE_TO_COPY_CTX ||
            ERR_GET_REASON(code) == EVP_R_INITIALIZATION_ERROR);
}

static bool is_failed_allocation(unsigned long code) {
    int reason = ERR_GET_REASON(code);
    return ERR_SYSTEM_ERROR(code) ? reason == ENOMEM : reason == ERR_R_MALLOC_FAILURE;
}

/*
 * The entry of the queue that says why. When memory is short OpenSSL's parsers report that the
 * bytes cannot be read. So the caller's input is blamed only if no allocation failed.
 */
static const tlslife_error_entry *cause_of(const tlslife_error *err) {
    for (size_t i = 0; err->kind == TLSLIFE_ERR_INPUT && i < err->queue_len; i++) {
        if (is_failed_allocation(err->queue[i].code)) {
            return &err->queue[i];
        }
    }
    return &err->queue[0];
}

static void explain(tlslife_error *err) {
    const tlslife_error_entry *first = cause_of(err);
    err->code = first->code;
    memcpy(err->library, first->library, sizeof err->library);
    memcpy(err->reason, first->reason, sizeof err->reason);
    if (ERR_SYSTEM_ERROR(first->code)) {
        err->system_errno = ERR_GET_REASON(first->code);
    }
    if (is_failed_allocation(first->code) || is_failed_copy(first->code)) {
        err->kind = TLSLIFE_ERR_MEMORY;
    }
    append_line(err->message, sizeof err->message, ": ", first->reason,
                is_failed_copy(first->code) ? ": out of memory" : "");
    if (first->data[0] != '\0') {
        append_line(err->message, sizeof err->message, " (", first->data, ")");
    }
}

/* Whether OpenSSL gets no memory now. Its functions do not always report that as the cause. */
static bool is_memory_short(void) {
    void *probe = OPENSSL_malloc(PROBE);
    OPENSSL_free(probe);
    return probe == NULL;
}

tlslife_status tlsl_fail_openssl(tlslife_error *err, tlslife_error_kind kind, const char *format,
                                 ...) {
    bool is_short = kind == TLSLIFE_ERR_INPUT && is_memory_short();
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        begin(err, kind, format, args);
        va_end(args);
    }
    drain(err);
    if (err != NULL && err->queue_len > 0) {
        explain(err);
    }
    if (err != NULL && is_short && err->kind != TLSLIFE_ERR_MEMORY) {
        err->kind = TLSLIFE_ERR_MEMORY;
        append_line(err->message, sizeof err->message, ": ", "out of memory", "");
    }
    return TLSLIFE_ERROR;
}

tlslife_status tlsl_fail_making(tlslife_error *err, const char *text) {
    return ERR_peek_error() != 0 ? tlsl_fail_openssl(err, TLSLIFE_ERR_TLS, "%s", text)
                                 : tlsl_fail(err, TLSLIFE_ERR_MEMORY, "%s: out of memory", text);
}

void tlsl_errors_set_aside(tlsl_errors *aside) {
    const char *data;
    unsigned long code;
    aside->len = 0;
    while ((code = take(&data)) != 0) {
        if (aside->len < TLSLIFE_ERROR_QUEUE_MAX) {
            aside->list[aside->len].code = code;
            copy_line(aside->list[aside->len].data, sizeof aside->list[0].data, data);
            aside->len++;
        }
    }
}

void tlsl_errors_put_back(const tlsl_errors *aside) {
    tlsl_errors_clear();
    for (size_t i = 0; i < aside->len; i++) {
        unsigned long code = aside->list[i].code;
        ERR_new();
        ERR_set_error(ERR_SYSTEM_ERROR(code) ? ERR_LIB_SYS : ERR_GET_LIB(code),
                      ERR_GET_REASON(code), "%s", aside->list[i].data);
    }
}

const char *tlslife_status_name(tlslife_status status) {
    static const char *const names[] = {
        [TLSLIFE_OK] = "ok",
        [TLSLIFE_ERROR] = "error",
        [TLSLIFE_WANT_READ] = "want_read",
        [TLSLIFE_WANT_WRITE] = "want_write",
        [TLSLIFE_WANT_HELLO] = "want_hello",
        [TLSLIFE_WANT_CERTIFICATE] = "want_certificate",
        [TLSLIFE_WANT_VERIFY] = "want_verify",
        [TLSLIFE_WANT_SESSION] = "want_session",
        [TLSLIFE_SENT] = "sent",
        [TLSLIFE_CLOSED] = "closed",
        [TLSLIFE_TRUNCATED] = "truncated",
        [TLSLIFE_TIMEOUT] = "timeout",
        [TLSLIFE_UNSENT] = "unsent",
        [TLSLIFE_WANT_PSK] = "want_psk",
    };
    size_t index = (size_t)status;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown_status";
}

const char *tlslife_error_kind_name(tlslife_error_kind kind) {
    static const char *const names[] = {
        [TLSLIFE_ERR_NONE] = "none",     [TLSLIFE_ERR_USAGE] = "usage",
        [TLSLIFE_ERR_INPUT] = "input",   [TLSLIFE_ERR_TLS] = "tls",
        [TLSLIFE_ERR_ALERT] = "alert",   [TLSLIFE_ERR_VERIFY] = "verify",
        [TLSLIFE_ERR_SYSTEM] = "system", [TLSLIFE_ERR_RESOLVE] = "resolve",
        [TLSLIFE_ERR_MEMORY] = "memory",
    };
    size_t index = (size_t)kind;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown_kind";
}

/*
 * The alerts of IANA's registry. RFC 8446 calls those that TLS 1.3 no longer sends _RESERVED, but
 * older peers still send them.
 */
static const struct {
    int number;
    const char *name;
} alerts[] = {
    {0, "close_notify"},
    {10, "unexpected_message"},
    {20, "bad_record_mac"},
    {21, "decryption_failed"},
    {22, "record_overflow"},
    {30, "decompression_failure"},
    {40, "handshake_failure"},
    {41, "no_certificate"},
    {42, "bad_certificate"},
    {43, "unsupported_certificate"},
    {44, "certificate_revoked"},
    {45, "certificate_expired"},
    {46, "certificate_unknown"},
    {47, "illegal_parameter"},
    {48, "unknown_ca"},
    {49, "access_denied"},
    {50, "decode_error"},
    {51, "decrypt_error"},
    {52, "too_many_cids_requested"},
    {60, "export_restriction"},
    {70, "protocol_version"},
    {71, "insufficient_security"},
    {80, "internal_error"},
    {86, "inappropriate_fallback"},
    {90, "user_canceled"},
    {100, "no_renegotiation"},
    {109, "missing_extension"},
    {110, "unsupported_extension"},
    {111, "certificate_unobtainable"},
    {112, "unrecognized_name"},
    {113, "bad_certificate_status_response"},
    {114, "bad_certificate_hash_value"},
    {115, "unknown_psk_identity"},
    {116, "certificate_required"},
    {117, "general_error"},
    {120, "no_application_protocol"},
    {121, "ech_required"},
};

const char *tlslife_alert_name(int alert) {
    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++) {
        if (alerts[i].number == alert) {
            return alerts[i].name;
        }
    }
    return "unknown_alert";
}

size_t tlsl_alert_place(int alert) {
    size_t len = sizeof alerts / sizeof alerts[0], place = 0;
    while (place < len && alerts[place].number != alert) {
        place++;
    }
    return place;
}

const char *tlsl_alert_at(size_t place) {
    size_t len = sizeof alerts / sizeof alerts[0];
    return place < len ? alerts[place].name : place == len ? tlslife_alert_name(-1) : NULL;
}

int tlslife_alert_number(const char *name) {
    for (size_t i = 0; name != NULL && i < sizeof alerts / sizeof alerts[0]; i++) {
        if (strcmp(alerts[i].name, name) == 0) {
            return alerts[i].number;
        }
    }
    return -1;
}

const char *tlslife_verify_result_text(long verify_result) {
    return X509_verify_cert_error_string(verify_result);
}

const char *tlslife_openssl_version(void) {
    return OpenSSL_version(OPENSSL_VERSION);
}

void tlslife_string_free(char *string) {
    if (string != NULL) {
        OPENSSL_cleanse(string, strlen(string));
        free(string);
    }
}
