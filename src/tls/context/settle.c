/*
 * settle.c: draws the consequences of a changed setting of a context. It sets the kind of
 * resumption in force, or takes the change back if it contradicts another setting.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "tls/context/agree.h"
#include "tls/context/context.h"
#include "tls/context/settle.h"
#include "tlslife.h"

/* ------------------------------------------------------------------------- resumption in force */

void tlsl_set_option(SSL_CTX *ctx, uint64_t option, bool on) {
    if (on) {
        SSL_CTX_set_options(ctx, option);
    } else {
        SSL_CTX_clear_options(ctx, option);
    }
}

/*
 * The kind of resumption in force. A program that gives a cache, and makes no other choice, wants
 * the cache to be used.
 */
static tlslife_resumption chosen(const tlslife_context *context) {
    if (context->resumption_given) {
        return context->resumption;
    }
    bool ids = context->role == TLSLIFE_SERVER &&
               (context->cache != NULL || context->no_ticket == TLSL_SAID_YES);
    return ids ? TLSLIFE_RESUMPTION_STATEFUL : TLSLIFE_RESUMPTION_BOTH;
}

bool tlsl_context_may_switch(const tlslife_context *context) {
    return context->server_names != NULL || (context->questions & TLSLIFE_ASK_HELLO);
}

static void settle_server(tlslife_context *context) {
    SSL_CTX *ctx = context->ctx;
    bool off = context->resumption == TLSLIFE_RESUMPTION_OFF;
    bool replays = context->no_anti_replay == TLSL_SAID_YES;
    context->gives_once = !off && !replays && SSL_CTX_get_max_early_data(ctx) > 0;
    /* A program's SSL that is no connection of ours depends on this option alone. */
    tlsl_set_option(ctx, SSL_OP_NO_TICKET,
                    off || context->gives_once ||
                        context->resumption == TLSLIFE_RESUMPTION_STATEFUL);
    tlsl_set_option(ctx, SSL_OP_NO_ANTI_REPLAY, replays || context->gives_once);
    /*
     * Without this mode libssl gives out no ids, and keeps none for the contexts behind this one
     * either.
     */
    bool ids = context->resumption == TLSLIFE_RESUMPTION_BOTH ||
               context->resumption == TLSLIFE_RESUMPTION_STATEFUL || context->gives_once ||
               tlsl_context_may_switch(context);
    SSL_CTX_set_session_cache_mode(ctx, ids ? SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL |
                                                  SSL_SESS_CACHE_NO_AUTO_CLEAR
                                            : SSL_SESS_CACHE_OFF);
}

static void settle_client(tlslife_context *context) {
    bool off = context->resumption == TLSLIFE_RESUMPTION_OFF;
    tlsl_set_option(context->ctx, SSL_OP_NO_TICKET, off || context->no_ticket == TLSL_SAID_YES);
    SSL_CTX_set_session_cache_mode(context->ctx,
                                   off ? SSL_SESS_CACHE_OFF
                                       : SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
}

void tlsl_resumption_settle(tlslife_context *context) {
    context->resumption = chosen(context);
    if (context->role == TLSLIFE_SERVER) {
        settle_server(context);
    } else {
        settle_client(context);
    }
}

static void note_option(tlsl_said *said, uint64_t option, uint64_t options, uint64_t values) {
    if (options & option) {
        *said = values & option ? TLSL_SAID_YES : TLSL_SAID_NO;
    }
}

void tlsl_resumption_note_options(tlslife_context *context, uint64_t options, uint64_t values) {
    note_option(&context->no_ticket, SSL_OP_NO_TICKET, options, values);
    note_option(&context->no_anti_replay, SSL_OP_NO_ANTI_REPLAY, options, values);
    tlsl_resumption_settle(context);
}

/* ------------------------------------------------------------------------------- all or nothing */

void tlsl_settings_before(const tlslife_context *context, tlsl_agreed *out) {
    SSL_CTX *ctx = context->ctx;
    *out = (tlsl_agreed){
        .verify = context->verify,
        .verify_host = context->verify_host,
        .verify_host_given = context->verify_host_given,
        .num_tickets_given = context->num_tickets_given,
        .post_handshake_auth = context->post_handshake_auth,
        .resumption_given = context->resumption_given,
        .resumption = context->resumption,
        .no_ticket = context->no_ticket,
        .no_anti_replay = context->no_anti_replay,
        .min_version = context->min_version,
        .max_version = context->max_version,
        .min_spoken = SSL_CTX_get_min_proto_version(ctx),
        .max_spoken = SSL_CTX_get_max_proto_version(ctx),
        .options = SSL_CTX_get_options(ctx),
        .verify_mode = SSL_CTX_get_verify_mode(ctx),
        .num_tickets = SSL_CTX_get_num_tickets(ctx),
        .max_early_data = SSL_CTX_get_max_early_data(ctx),
        .recv_max_early_data = SSL_CTX_get_recv_max_early_data(ctx),
        .cache = context->cache,
        .ticket_keys = context->ticket_keys,
    };
}

void tlsl_settings_take_back(tlslife_context *context, const tlsl_agreed *before) {
    SSL_CTX *ctx = context->ctx;
    context->verify = before->verify;
    context->verify_host = before->verify_host;
    context->verify_host_given = before->verify_host_given;
    context->num_tickets_given = before->num_tickets_given;
    context->post_handshake_auth = before->post_handshake_auth;
    context->resumption_given = before->resumption_given;
    context->resumption = before->resumption;
    context->no_ticket = before->no_ticket;
    context->no_anti_replay = before->no_anti_replay;
    context->min_version = before->min_version;
    context->max_version = before->max_version;
    context->cache = before->cache;
    context->ticket_keys = before->ticket_keys;
    SSL_CTX_set_min_proto_version(ctx, (int)before->min_spoken);
    SSL_CTX_set_max_proto_version(ctx, (int)before->max_spoken);
    SSL_CTX_clear_options(ctx, ~before->options);
    SSL_CTX_set_options(ctx, before->options);
    SSL_CTX_set_verify(ctx, before->verify_mode, NULL);
    SSL_CTX_set_num_tickets(ctx, before->num_tickets);
    SSL_CTX_set_max_early_data(ctx, before->max_early_data);
    SSL_CTX_set_recv_max_early_data(ctx, before->recv_max_early_data);
    SSL_CTX_set_post_handshake_auth(ctx, before->post_handshake_auth);
    tlsl_resumption_settle(context);
}

tlslife_status tlsl_settings_settle(tlslife_context *context, const tlsl_agreed *before,
                                    tlslife_error *err) {
    tlsl_resumption_settle(context);
    if (tlsl_settings_agree(context, err) == TLSLIFE_OK) {
        return TLSLIFE_OK;
    }
    tlsl_settings_take_back(context, before);
    return TLSLIFE_ERROR;
}

tlslife_status tlsl_settings_role(const tlslife_context *context, tlslife_role role,
                                  const char *setting, const char *why, tlslife_error *err) {
    return context->role == role
               ? TLSLIFE_OK
               : tlsl_fail(err, TLSLIFE_ERR_USAGE, "%s is of no use to a %s: %s", setting,
                           role == TLSLIFE_SERVER ? "client" : "server", why);
}
