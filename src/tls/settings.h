/*
 * settings.h: checks that the setters of contexts and of connections share. settings.c.
 */
#ifndef TLSLIFE_SETTINGS_H
#define TLSLIFE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/context.h"
#include "tlslife.h"

/* Sets the OCSP response to staple; errors call it by that name. */
tlslife_status tlsl_settings_staple(tlslife_context *context, const unsigned char *der,
                                    size_t der_len, const char *name, tlslife_error *err);
/* In agree.c. TLSLIFE_OK, or err names two settings of which one would have no effect (USAGE). */
tlslife_status tlsl_settings_agree(const tlslife_context *context, tlslife_error *err);
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
