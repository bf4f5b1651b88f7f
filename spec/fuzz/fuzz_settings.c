/*
 * fuzz_settings: what a program might pass on from a file or an administrator: PEM of every kind,
 * lists, names, SSL_CONF commands. The first byte chooses the setting. Whatever it was, a context
 * can still be sealed and asked.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "tlslife.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* A string of its own, so that a read past its end is seen. */
static char *text_of(const uint8_t *bytes, size_t len) {
    char *text = malloc(len + 1);
    if (text == NULL) {
        abort();
    }
    if (len > 0) {
        memcpy(text, bytes, len);
    }
    text[len] = '\0';
    return text;
}

static tlslife_status set_alpn(tlslife_context *context, const char *text, size_t len,
                               tlslife_error *err) {
    const char *const protocols[] = {"h2", text, text + len / 2};
    return tlslife_context_set_alpn(context, protocols, 3, err);
}

/* Where a server name leads: the same for all, as it is sealed by the first. */
static tlslife_status add_server_name(tlslife_context *context, const char *text,
                                      tlslife_error *err) {
    static tlslife_context *target;
    if (target == NULL) {
        target = tlslife_context_new(TLSLIFE_SERVER, NULL);
    }
    return tlslife_context_add_server_name(context, text, target, err);
}

/* "command value": at the first space. */
static tlslife_status set_conf(tlslife_context *context, char *text, tlslife_error *err) {
    char *space = strchr(text, ' ');
    if (space != NULL) {
        *space = '\0';
    }
    /* Commands that name files would only read this machine's. */
    if (strcasestr(text, "file") != NULL || strcasestr(text, "path") != NULL ||
        strcasecmp(text, "certificate") == 0 || strcasestr(text, "privatekey") != NULL ||
        strcasestr(text, "dhparam") != NULL || strcasestr(text, "store") != NULL) {
        return TLSLIFE_OK;
    }
    return tlslife_context_conf(context, text, space != NULL ? space + 1 : "", err);
}

static tlslife_status set_lists(tlslife_context *context, unsigned which, const char *text,
                                size_t len, tlslife_error *err) {
    switch (which) {
    case 0: return tlslife_context_set_cipher_list(context, text, err);
    case 1: return tlslife_context_set_ciphersuites(context, text, err);
    case 2: return tlslife_context_set_groups(context, text, err);
    case 3: return tlslife_context_set_signature_algorithms(context, text, err);
    case 4: return set_alpn(context, text, len, err);
    case 5: return tlslife_context_set_option(context, text, true, err);
    default: return tlslife_context_set_mode(context, text, false, err);
    }
}

static tlslife_status set_bytes(tlslife_context *context, unsigned which, const char *text,
                                size_t len, tlslife_error *err) {
    const unsigned char *bytes = (const unsigned char *)text;
    switch (which) {
    case 0: return tlslife_context_set_certificate_pem(context, text, len, err);
    case 1: return tlslife_context_set_private_key_pem(context, text, len, NULL, err);
    case 2: return tlslife_context_add_ca_pem(context, text, len, err);
    case 3: return tlslife_context_set_client_ca_pem(context, text, len, err);
    case 4: return tlslife_context_set_ocsp_response(context, bytes, len, err);
    case 5: return tlslife_context_set_session_id_context(context, bytes, len, err);
    case 6: return tlslife_context_add_psk(context, text, bytes, len, err);
    default: return add_server_name(context, text, err);
    }
}

static tlslife_status set(tlslife_context *context, unsigned which, char *text, size_t len,
                          tlslife_error *err) {
    if (which < 8) {
        return set_bytes(context, which, text, len, err);
    }
    return which < 15 ? set_lists(context, which - 8, text, len, err)
                      : set_conf(context, text, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    if (len == 0) {
        return 0;
    }
    tlslife_error err;
    unsigned char id[32];
    memset(&err, 0, sizeof err);
    tlslife_role role = (bytes[0] & 0x80) != 0 ? TLSLIFE_CLIENT : TLSLIFE_SERVER;
    tlslife_context *context = tlslife_context_new(role, NULL);
    char *text = text_of(bytes + 1, len - 1);
    if (context == NULL) {
        abort();
    }
    tlslife_status status = set(context, bytes[0] % 16, text, len - 1, &err);
    if (status != TLSLIFE_OK && (status != TLSLIFE_ERROR || err.message[0] == '\0')) {
        abort();
    }
    /* Without verification, so that the system's CAs are not read each time. */
    (void)tlslife_context_set_verify(context, TLSLIFE_VERIFY_NONE, NULL);
    (void)tlslife_context_session_id_context(context, id);
    tlslife_context_free(context);
    free(text);
    return 0;
}
