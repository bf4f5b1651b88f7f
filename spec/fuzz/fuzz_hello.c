/*
 * fuzz_hello: a server that asks every question, and bytes from anybody. The input is a
 * ClientHello's body, put into its handshake message and records here, so that the parsers behind
 * are reached and not only the record layer; or, if its first byte is odd, the stream as it is.
 *
 * An empty corpus starts from a real ClientHello (LLVMFuzzerCustomMutator).
 */
#include "../c/identity.h"
#include "tlslife.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MAX 16000 /* one record */
#define HEADERS 9      /* a record's 5 bytes, a handshake message's 4 */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t len, size_t max_len, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t len, size_t max_len);

static tlslife_context *server;
static tlslife_context *other;

static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

static tlslife_context *new_server(unsigned questions) {
    static const char *const protocols[] = {"h2", "http/1.1"};
    static test_identity identity;
    static bool made;
    made = made || identity_make(&identity);
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, NULL);
    must(made && context != NULL);
    must(tlslife_context_set_certificate_pem(context, identity.certificate,
                                             strlen(identity.certificate), NULL) == TLSLIFE_OK);
    must(tlslife_context_set_private_key_pem(context, identity.key, strlen(identity.key), NULL,
                                             NULL) == TLSLIFE_OK);
    must(tlslife_context_set_alpn(context, protocols, 2, NULL) == TLSLIFE_OK);
    must(tlslife_context_add_psk(context, "identity", (const unsigned char *)"0123456789abcdef", 16,
                                 NULL) == TLSLIFE_OK);
    must(tlslife_context_set_max_early_data(context, 1000, NULL) == TLSLIFE_OK);
    must(tlslife_context_add_ca_pem(context, identity.certificate, strlen(identity.certificate),
                                    NULL) == TLSLIFE_OK);
    must(tlslife_context_set_verify(context, TLSLIFE_VERIFY_OPTIONAL, NULL) == TLSLIFE_OK);
    must(tlslife_context_set_questions(context, questions, NULL) == TLSLIFE_OK);
    return context;
}

static void set_up(void) {
    if (server == NULL) {
        other = new_server(0);
        server = new_server(TLSLIFE_ASK_HELLO | TLSLIFE_ASK_CERTIFICATE | TLSLIFE_ASK_VERIFY_ALL);
        must(tlslife_context_add_server_name(server, "other.example", other, NULL) == TLSLIFE_OK);
        must(tlslife_context_add_server_name(server, "*.wild.example", other, NULL) == TLSLIFE_OK);
    }
}

/* Every byte that the hello points to is read. */
static unsigned look_at(const tlslife_hello *hello) {
    unsigned sum = hello->has_ticket ? 1 : 0;
    must(hello->server_name == NULL || strlen(hello->server_name) < 65536);
    for (size_t i = 0; i < hello->alpn_len; i++) {
        for (size_t j = 0; j < hello->alpn[i].len; j++) {
            sum += hello->alpn[i].data[j];
        }
    }
    for (size_t i = 0; i < hello->versions_len; i++) {
        sum += hello->versions[i];
    }
    for (size_t i = 0; i < hello->ciphers_len; i++) {
        sum += hello->ciphers[i];
    }
    for (size_t i = 0; i < hello->session_id.len; i++) {
        sum += hello->session_id.data[i];
    }
    for (size_t i = 0; i < hello->psk_identities_len; i++) {
        for (size_t j = 0; j < hello->psk_identities[i].len; j++) {
            sum += hello->psk_identities[i].data[j];
        }
    }
    return sum;
}

static void answer_hello(tlslife_conn *conn) {
    const tlslife_hello *hello = tlslife_conn_hello(conn);
    must(hello != NULL);
    switch (look_at(hello) % 4) {
    case 0: must(tlslife_conn_refuse(conn, 112) == TLSLIFE_OK); break;
    case 1: must(tlslife_conn_answer_hello(conn, other) == TLSLIFE_OK); break;
    default: must(tlslife_conn_answer_hello(conn, NULL) == TLSLIFE_OK); break;
    }
}

static void serve(tlslife_conn *conn) {
    tlslife_status status = TLSLIFE_OK;
    for (int i = 0; i < 8; i++) { /* no handshake asks more */
        status = tlslife_conn_accept(conn);
        if (status == TLSLIFE_WANT_HELLO) {
            answer_hello(conn);
        } else if (status == TLSLIFE_WANT_CERTIFICATE) {
            must(tlslife_conn_answer_certificate(conn, NULL) == TLSLIFE_OK);
        } else if (status == TLSLIFE_WANT_VERIFY) {
            must(tlslife_conn_answer_verify(conn, true) == TLSLIFE_OK);
        } else {
            break;
        }
    }
    must(status != TLSLIFE_WANT_HELLO && status != TLSLIFE_WANT_CERTIFICATE &&
         status != TLSLIFE_WANT_VERIFY);
    if (status == TLSLIFE_ERROR) {
        must(tlslife_conn_error(conn)->kind != TLSLIFE_ERR_NONE &&
             tlslife_conn_error(conn)->message[0] != '\0');
    }
}

static void feed_hello(tlslife_conn *conn, const uint8_t *body, size_t len) {
    unsigned char headers[HEADERS] = {0x16, 3, 1, 0, 0, 1, 0, 0, 0};
    size_t fed = 0;
    headers[3] = (unsigned char)((len + 4) >> 8);
    headers[4] = (unsigned char)(len + 4);
    headers[7] = (unsigned char)(len >> 8);
    headers[8] = (unsigned char)len;
    must(tlslife_conn_feed(conn, headers, sizeof headers, &fed) == TLSLIFE_OK &&
         fed == sizeof headers);
    must(tlslife_conn_feed(conn, body, len, &fed) == TLSLIFE_OK && fed == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    size_t fed = 0;
    if (len == 0 || len > BODY_MAX) {
        return 0;
    }
    set_up();
    tlslife_conn *conn = tlslife_conn_new(server, NULL);
    must(conn != NULL);
    tlslife_conn_set_blocking(conn, false);
    must(tlslife_conn_set_memory(conn, 0) == TLSLIFE_OK);
    if ((bytes[0] & 1) != 0) {
        must(tlslife_conn_feed(conn, bytes + 1, len - 1, &fed) == TLSLIFE_OK);
    } else {
        feed_hello(conn, bytes + 1, len - 1);
    }
    serve(conn);
    (void)tlslife_conn_feed_eof(conn);
    serve(conn);
    (void)tlslife_conn_server_name(conn);
    (void)tlslife_conn_state_text(conn);
    (void)tlslife_conn_clear(conn);
    tlslife_conn_free(conn);
    return 0;
}

/* ------------------------------------------------------------------------------------- the seed */

/* A client's own hello, without its headers; a byte in front says so. */
static size_t real_hello(uint8_t *out, size_t max_len) {
    static const char *const protocols[] = {"h2", "http/1.1"};
    unsigned char hello[4096];
    size_t len = 0;
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    must(context != NULL && tlslife_context_set_alpn(context, protocols, 2, NULL) == TLSLIFE_OK);
    must(tlslife_context_add_psk(context, "identity", (const unsigned char *)"0123456789abcdef", 16,
                                 NULL) == TLSLIFE_OK);
    tlslife_conn *conn = tlslife_conn_new(context, NULL);
    must(conn != NULL && tlslife_conn_set_hostname(conn, "a.wild.example") == TLSLIFE_OK);
    tlslife_conn_set_blocking(conn, false);
    must(tlslife_conn_set_memory(conn, 0) == TLSLIFE_OK &&
         tlslife_conn_connect(conn) == TLSLIFE_WANT_READ);
    must(tlslife_conn_drain(conn, hello, sizeof hello, &len) == TLSLIFE_OK && len > HEADERS);
    tlslife_conn_free(conn);
    tlslife_context_free(context);
    len = len - HEADERS < max_len - 1 ? len - HEADERS : max_len - 1;
    out[0] = 0;
    memcpy(out + 1, hello + HEADERS, len);
    return len + 1;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t len, size_t max_len, unsigned seed) {
    (void)seed;
    if (len < 40 && max_len > 1) {
        return real_hello(bytes, max_len);
    }
    return LLVMFuzzerMutate(bytes, len, max_len);
}
