/*
 * ex_data.c: finds the connection of an SSL and the context of an SSL_CTX, in OpenSSL's ex_data.
 *
 * Callbacks are given OpenSSL's object, and look ours up. No reference is held. An object of ours
 * takes its entry away before it frees OpenSSL's, since a program may hold that longer. SSL_dup
 * copies ex_data, callbacks, and nothing else of ours, so a copy that a program has made belongs to
 * no connection.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/once.h"
#include "tls/state/ex_data.h"
#include "tlslife.h"

static int conn_index = -1, context_index = -1;
static tlsl_once indexes_once = TLSL_ONCE;

/* CRYPTO_EX_dup of CRYPTO_get_ex_new_index(3). */
static int to_no_connection(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **copied,
                            int index, long unused_number, void *unused) {
    (void)to, (void)from, (void)index, (void)unused_number, (void)unused;
    *copied = NULL;
    return 1;
}

static bool make_indexes(void) {
    if (conn_index < 0) {
        conn_index = SSL_get_ex_new_index(0, NULL, NULL, to_no_connection, NULL);
    }
    if (context_index < 0) {
        context_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }
    return conn_index >= 0 && context_index >= 0;
}

static bool ready(void) {
    return tlsl_once_done(&indexes_once, make_indexes);
}

tlslife_conn *tlsl_conn_of(const SSL *ssl) {
    return ready() ? SSL_get_ex_data(ssl, conn_index) : NULL;
}

bool tlsl_conn_attach(SSL *ssl, tlslife_conn *conn) {
    return ready() && SSL_set_ex_data(ssl, conn_index, conn) == 1;
}

tlslife_context *tlsl_context_of(const SSL_CTX *ctx) {
    return ready() ? SSL_CTX_get_ex_data(ctx, context_index) : NULL;
}

bool tlsl_context_attach(SSL_CTX *ctx, tlslife_context *context) {
    return ready() && SSL_CTX_set_ex_data(ctx, context_index, context) == 1;
}
