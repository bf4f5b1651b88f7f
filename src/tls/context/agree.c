/*
 * agree.c: finds two settings of which one would have no effect beside the other.
 *
 * A program that sets both means something else than what would happen, and would not notice: there
 * would be no ticket though tickets were asked for, or no resumption despite a cache. So the setter
 * that is called last fails, in whichever order they are called, and changes nothing.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tls/context/agree.h"
#include "tls/context/context.h"
#include "tlslife.h"

/* ------------------------------------------------------------------------------------- versions */

typedef struct version {
    int number;
    const char *name;
    uint64_t option; /* the one that excludes this version */
} version;

static const version versions[] = {
    {TLSLIFE_TLS1_0, "TLSv1", SSL_OP_NO_TLSv1},
    {TLSLIFE_TLS1_1, "TLSv1.1", SSL_OP_NO_TLSv1_1},
    {TLSLIFE_TLS1_2, "TLSv1.2", SSL_OP_NO_TLSv1_2},
    {TLSLIFE_TLS1_3, "TLSv1.3", SSL_OP_NO_TLSv1_3},
};
enum { VERSIONS = sizeof versions / sizeof *versions };

static bool excluded(const tlslife_context *context, const version *one) {
    return SSL_CTX_get_options(context->ctx) & one->option;
}

static bool spoken(const tlslife_context *context, const version *one) {
    long min = SSL_CTX_get_min_proto_version(context->ctx),
         max = SSL_CTX_get_max_proto_version(context->ctx);
    return one->number >= min && (max == 0 || one->number <= max) && !excluded(context, one);
}

static tlslife_status versions_agree(const tlslife_context *context, tlslife_error *err) {
    bool any = false;
    for (size_t i = 0; i < VERSIONS; i++) {
        const version *one = &versions[i];
        any = any || spoken(context, one);
        if ((one->number == context->min_version || one->number == context->max_version) &&
            excluded(context, one)) {
            return tlsl_fail(
                err, TLSLIFE_ERR_USAGE,
                "%s is an end of the range of versions, and an option (NO_...) excludes it: "
                "set the range alone",
                one->name);
        }
    }
    return any ? TLSLIFE_OK
               : tlsl_fail(
                     err, TLSLIFE_ERR_USAGE,
                     "the range of versions and the options (NO_...) together leave no version");
}

/* Whether TLS 1.3 is spoken if a setting needs it. */
static tlslife_status tls13_agrees(const tlslife_context *context, tlslife_error *err) {
    const char *what = SSL_CTX_get_max_early_data(context->ctx) > 0 ? "early data"
                       : context->post_handshake_auth ? "post-handshake authentication"
                                                      : NULL;
    return what == NULL || spoken(context, &versions[VERSIONS - 1])
               ? TLSLIFE_OK
               : tlsl_fail(err, TLSLIFE_ERR_USAGE,
                           "%s needs TLS 1.3, which this context does not speak", what);
}

/* ----------------------------------------------------------------------------------- resumption */

static const char *name_of(tlslife_resumption resumption) {
    static const char *const names[] = {"both", "tickets", "stateful", "off"};
    return names[resumption];
}

static tlslife_status option_agrees(const tlslife_context *context, tlslife_error *err) {
    bool tickets = context->resumption == TLSLIFE_RESUMPTION_BOTH ||
                   context->resumption == TLSLIFE_RESUMPTION_TICKETS;
    tlsl_said contrary = tickets ? TLSL_SAID_YES : TLSL_SAID_NO;
    if (!context->resumption_given || context->no_ticket != contrary) {
        return TLSLIFE_OK;
    }
    return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                     "the option NO_TICKET is %s, and resumption is \"%s\": leave one of them out",
                     tickets ? "on" : "off", name_of(context->resumption));
}

static tlslife_status off_agrees(const tlslife_context *context, tlslife_error *err) {
    const SSL_CTX *ctx = context->ctx;
    const char *what = context->cache != NULL         ? "a cache"
                       : context->ticket_keys != NULL ? "ticket keys"
                       : context->num_tickets_given && SSL_CTX_get_num_tickets(ctx) > 0 ? "tickets"
                       : SSL_CTX_get_max_early_data(ctx) > 0 ? "early data"
                                                             : NULL;
    return what == NULL || context->resumption != TLSLIFE_RESUMPTION_OFF
               ? TLSLIFE_OK
               : tlsl_fail(
                     err, TLSLIFE_ERR_USAGE,
                     "resumption is \"off\", where %s would be of no use: leave one of them out",
                     what);
}

/* --------------------------------------------------------------------------------- verification */

static tlslife_status host_agrees(const tlslife_context *context, tlslife_error *err) {
    return context->verify != TLSLIFE_VERIFY_NONE || !context->verify_host_given
               ? TLSLIFE_OK
               : tlsl_fail(
                     err, TLSLIFE_ERR_USAGE,
                     "verify_host is on, and the peer is not verified: a name that nobody has "
                     "signed for proves nothing");
}

static tlslife_status ocsp_agrees(const tlslife_context *context, tlslife_error *err) {
    if (context->ocsp_verify == TLSLIFE_VERIFY_NONE) {
        return TLSLIFE_OK;
    }
    if (context->verify == TLSLIFE_VERIFY_NONE) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "OCSP responses are verified, and the peer is not: its certificate may be "
                         "anybody's");
    }
    return !context->ocsp_declined
               ? TLSLIFE_OK
               : tlsl_fail(err, TLSLIFE_ERR_USAGE,
                           "OCSP responses are verified, and none is asked for: leave one of them "
                           "out");
}

tlslife_status tlsl_settings_agree(const tlslife_context *context, tlslife_error *err) {
    bool agree =
        versions_agree(context, err) == TLSLIFE_OK && tls13_agrees(context, err) == TLSLIFE_OK &&
        option_agrees(context, err) == TLSLIFE_OK && off_agrees(context, err) == TLSLIFE_OK &&
        host_agrees(context, err) == TLSLIFE_OK && ocsp_agrees(context, err) == TLSLIFE_OK;
    return agree ? TLSLIFE_OK : TLSLIFE_ERROR;
}
