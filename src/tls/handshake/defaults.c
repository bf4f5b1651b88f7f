/*
 * defaults.c: makes a context, with the settings that it has before the program sets any.
 *
 * They are safe ones: a client verifies its peer's certificate and name, and no version before
 * TLS 1.2 is spoken.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "tls/context/context.h"
#include "tls/context/settle.h"
#include "tls/handshake/callbacks.h"
#include "tls/state/ex_data.h"
#include "tlslife.h"

static bool set_defaults(tlslife_context *context) {
    SSL_CTX *ctx = context->ctx;
    bool client = context->role == TLSLIFE_CLIENT;
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1); /* one recv for a record's header, its body and what follows */
    SSL_CTX_set_verify(ctx, client ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    context->verify = client ? TLSLIFE_VERIFY_REQUIRED : TLSLIFE_VERIFY_NONE;
    context->verify_host = client;
    tlsl_callbacks_install(context);
    tlsl_resumption_settle(context);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           tlsl_context_attach(ctx, context);
}

tlslife_context *tlslife_context_new(tlslife_role role, tlslife_error *err) {
    ERR_clear_error();
    if (role != TLSLIFE_CLIENT && role != TLSLIFE_SERVER) {
        tlsl_fail(err, TLSLIFE_ERR_USAGE,
                  "a context's role is TLSLIFE_CLIENT or TLSLIFE_SERVER, not %d", (int)role);
        return NULL;
    }
    SSL_CTX *ctx = SSL_CTX_new(role == TLSLIFE_SERVER ? TLS_server_method() : TLS_client_method());
    tlslife_context *context = ctx == NULL ? NULL : tlsl_context_alloc(ctx, role);
    if (context == NULL) {
        SSL_CTX_free(ctx);
        tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "cannot make a context");
        return NULL;
    }
    if (!set_defaults(context)) {
        tlsl_fail_making(err, "cannot make a context");
        tlslife_context_free(context);
        return NULL;
    }
    return context;
}
