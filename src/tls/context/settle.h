/*
 * settle.h: declares what a setter of a context does before and after the change. settle.c.
 */
#ifndef TLSLIFE_SETTLE_H
#define TLSLIFE_SETTLE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/context/context.h"
#include "tlslife.h"

/*
 * Derives the kind of resumption in force from context's settings, and sets its SSL_CTX
 * accordingly.
 */
void tlsl_resumption_settle(tlslife_context *context);
/* Whether a ClientHello that arrives at context may be served by another context. */
bool tlsl_context_may_switch(const tlslife_context *context);
/*
 * Notes that the program has set the options in the mask `options` (SSL_OP_*) to the bits in
 * `values`. The caller then calls tlsl_settings_agree, as a setter does.
 */
void tlsl_resumption_note_options(tlslife_context *context, uint64_t options, uint64_t values);
void tlsl_set_option(SSL_CTX *ctx, uint64_t option, bool on);
/* The settings that agree.c compares, as they are before a setter changes one of them. */
typedef struct tlsl_agreed {
    tlslife_verify verify;
    bool verify_host, verify_host_given, num_tickets_given, post_handshake_auth, resumption_given;
    tlslife_resumption resumption;
    tlsl_said no_ticket, no_anti_replay;
    int min_version, max_version;
    long min_spoken, max_spoken;
    uint64_t options;
    int verify_mode;
    size_t num_tickets;
    uint32_t max_early_data, recv_max_early_data;
    tlslife_cache *cache;             /* no reference is held of these two: the setter of the */
    tlslife_ticket_keys *ticket_keys; /* one that it replaces frees it when all agree */
} tlsl_agreed;
void tlsl_settings_before(const tlslife_context *context, tlsl_agreed *out);
/*
 * After the change: OK if all settings agree. Else err says which do not (USAGE), and context is
 * again as it was before.
 */
tlslife_status tlsl_settings_settle(tlslife_context *context, const tlsl_agreed *before,
                                    tlslife_error *err);
/* The latter, where libssl has refused a change and may have made a part of it. */
void tlsl_settings_take_back(tlslife_context *context, const tlsl_agreed *before);
/* OK if context has this role, or err says that the setting is of use to the other one (USAGE). */
tlslife_status tlsl_settings_role(const tlslife_context *context, tlslife_role role,
                                  const char *setting, const char *why, tlslife_error *err);

#endif
