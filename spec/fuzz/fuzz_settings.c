/*
 * fuzz_settings: sets what a program might take from a file or an administrator, which are PEM of
 * every kind, lists, names and SSL_CONF commands, up to eight of them after each other. After any
 * of them, a context can still be frozen and asked.
 *
 * floor: src/tls/settings/settings.c 11
 * floor: src/tls/context/policy.c 20
 * floor: src/base/names.c 27
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "fuzz.h"
#include "tlslife.h"

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

/* One setting: its number, the length of its text in two bytes, the text. */
static void set_next(tlslife_context *context, fuzz_input *input) {
    tlslife_error err;
    memset(&err, 0, sizeof err);
    unsigned which = take_byte(input) % 16;
    size_t len = take_byte(input);
    len = len << 8 | take_byte(input);
    fuzz_input taken = take_bytes(input, len);
    char *text = text_of(taken.at, taken.left);
    tlslife_status status = set(context, which, text, taken.left, &err);
    must(status == TLSLIFE_OK || (status == TLSLIFE_ERROR && err.message[0] != '\0'));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    fuzz_input input = {bytes, len};
    unsigned char id[32];
    tlslife_role role = (take_byte(&input) & 1) != 0 ? TLSLIFE_CLIENT : TLSLIFE_SERVER;
    tlslife_context *context = tlslife_context_new(role, NULL);
    must(context != NULL);
    for (int i = 0; i < 8 && input.left > 0; i++) {
        set_next(context, &input);
    }
    /* Without verification, so that the system's CAs are not read each time. */
    (void)tlslife_context_set_verify(context, TLSLIFE_VERIFY_NONE, NULL);
    (void)tlslife_context_session_id_context(context, id);
    tlslife_context_free(context);
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

typedef struct text {
    unsigned which;
    const char *text;
} text;

static void write_texts(const char *name, tlslife_role role, const text *texts) {
    char seed[8192];
    size_t len = 0;
    seed[len++] = (char)(role == TLSLIFE_CLIENT);
    for (; texts->text != NULL; texts++) {
        size_t text_len = strlen(texts->text);
        seed[len++] = (char)texts->which;
        seed[len++] = (char)(text_len >> 8);
        seed[len++] = (char)text_len;
        memcpy(seed + len, texts->text, text_len);
        len += text_len;
    }
    write_seed(name, seed, len);
}

static void make_seeds(void) {
    const text ours[] = {{0, fuzz_certificate}, {1, fuzz_key},        {2, fuzz_certificate},
                         {3, fuzz_certificate}, {7, "*.a.example"},   {6, "identity"},
                         {4, "response"},       {5, "a new context"}, {0, NULL}};
    const text lists[] = {{8, "ECDHE+AESGCM:!aNULL@SECLEVEL=1"},
                          {9, "TLS_AES_128_GCM_SHA256"},
                          {10, "X25519:P-256"},
                          {11, "ed25519:rsa_pss_rsae_sha256"},
                          {12, "h2http/1.1"},
                          {13, "NO_TICKET"},
                          {14, "AUTO_RETRY"},
                          {15, "MinProtocol TLSv1.2"},
                          {0, NULL}};
    const text commands[] = {{15, "VerifyMode Require"},
                             {15, "Options -SessionTicket,Bugs"},
                             {15, "MaxProtocol TLSv1.2"},
                             {15, "CipherString DEFAULT@SECLEVEL=2"},
                             {0, NULL}};
    write_texts("server", TLSLIFE_SERVER, ours);
    write_texts("server-lists", TLSLIFE_SERVER, lists);
    write_texts("server-commands", TLSLIFE_SERVER, commands);
    write_texts("client", TLSLIFE_CLIENT, ours);
    write_texts("client-lists", TLSLIFE_CLIENT, lists);
    write_texts("client-commands", TLSLIFE_CLIENT, commands);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    return 0;
}
