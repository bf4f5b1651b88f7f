/*
 * libssl_psk_test.c: tests when libssl asks a client for its PSK. It uses libssl alone, without
 * this library. src/tls/handshake/psk_question.c relies on what is tested here, and the suite shows
 * it on each version of OpenSSL on which it runs.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

static const unsigned char key[] = "0123456789abcdef";

static char asked[128]; /* the hints that the client was told, and the state that it was in */
static bool answers;    /* whether the client has a PSK */

static unsigned on_client(SSL *ssl, const char *hint, char *identity, unsigned identity_max,
                          unsigned char *out, unsigned out_max) {
    size_t len = strlen(asked);
    snprintf(asked + len, sizeof asked - len, "%s%s in %s", len > 0 ? ", " : "",
             hint == NULL ? "none" : hint, SSL_state_string(ssl));
    if (!answers || identity_max < 3 || out_max < sizeof key - 1) {
        return 0;
    }
    memcpy(identity, "me", sizeof "me");
    memcpy(out, key, sizeof key - 1);
    return sizeof key - 1;
}

static unsigned on_server(SSL *ssl, const char *identity, unsigned char *out, unsigned out_max) {
    (void)ssl, (void)identity;
    if (out_max < sizeof key - 1) {
        return 0;
    }
    memcpy(out, key, sizeof key - 1);
    return sizeof key - 1;
}

static SSL *new_end(bool server, int max_version) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_max_proto_version(ctx, max_version);
    CHECK(SSL_CTX_set_cipher_list(ctx, "PSK:@SECLEVEL=0") == 1);
    if (server) {
        SSL_CTX_use_psk_identity_hint(ctx, "which?");
        SSL_CTX_set_psk_server_callback(ctx, on_server);
    } else {
        SSL_CTX_set_psk_client_callback(ctx, on_client);
    }
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    return ssl;
}

/* Returns whether the client's handshake is done, after ten calls. */
static bool meet(int client_max, int server_max) {
    SSL *client = new_end(false, client_max), *server = new_end(true, server_max);
    BIO *near = NULL, *far = NULL;
    BIO_new_bio_pair(&near, 0, &far, 0);
    SSL_set_bio(client, near, near);
    SSL_set_bio(server, far, far);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    asked[0] = '\0';
    int done = 0;
    for (int i = 0; i < 10 && done != 1; i++) {
        ERR_clear_error();
        done = SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    SSL_free(client);
    SSL_free(server);
    ERR_clear_error();
    return done == 1;
}

int main(void) {
    answers = true;
    CHECK(meet(TLS1_2_VERSION, TLS1_2_VERSION));
    CHECK_TEXT(asked, "which? in TWCKE");
    /* TLS 1.3 asks while it makes the ClientHello, when no server has spoken yet. */
    CHECK(meet(TLS1_3_VERSION, TLS1_2_VERSION));
    CHECK_TEXT(asked, "none in TWCH, which? in TWCKE");
    CHECK(meet(TLS1_3_VERSION, TLS1_3_VERSION));
    CHECK_TEXT(asked, "none in TWCH");
    /* Where there is no answer yet, the handshake is over: the callback cannot ask for time. */
    answers = false;
    CHECK(!meet(TLS1_2_VERSION, TLS1_2_VERSION));
    CHECK_TEXT(asked, "which? in TWCKE");
    return checks_end();
}
