/*
 * lsettings.c: sets the options of tls.context{}, one setter for each row of the table at the end,
 * in its order.
 *
 * The options that decide how certificates are judged come before the certificates. Tables by name
 * (options, modes, server_names) are set in sorted order, so the same table always gives the same
 * context and the same error.
 *
 * A text that contains "-----BEGIN" is PEM, one that begins as DER does is DER, and any other is
 * the name of a file or a URI. So a certificate is never read as a path, nor a path as a key. NULs
 * in a name are refused, since C would see only what is before the NUL.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/loptions.h"
#include "lua/context/lcontext.h"
#include "lua/context/lsettings.h"
#include "tlslife.h"

/* -------------------------------------------------------------------------------------- helpers */

/* Pushes the field of the table at idx, which must be a string, or may be nil if it is optional. */
static const char *push_field(tlb_setting *s, int idx, const char *field, bool optional) {
    lua_pushstring(s->L, field);
    int type = lua_rawget(s->L, idx);
    if (type == LUA_TNIL && optional) {
        return NULL;
    }
    if (type != LUA_TSTRING) {
        luaL_error(s->L, "%s: %s is a %s, not a string", s->what, field, lua_typename(s->L, type));
    }
    return lua_tostring(s->L, -1);
}

/* Whether the string is PEM, or DER: a SEQUENCE of a long length, or of all the string's. */
static bool is_text(tlb_setting *s, int idx) {
    size_t len;
    const char *string = lua_tolstring(s->L, idx, &len);
    unsigned char length = len > 2 ? (unsigned char)string[1] : 0;
    bool der = len > 2 && string[0] == 0x30 &&
               ((length >= 0x81 && length <= 0x84) || len == (size_t)length + 2);
    return der || memmem(string, len, "-----BEGIN", 10) != NULL;
}

/* The context was made with its role, so nothing is left to set. */
static tlslife_status set_role(tlb_setting *s) {
    (void)s;
    return TLSLIFE_OK;
}

/* ---------------------------------------------------------------------- certificates, keys, CAs */

typedef tlslife_status (*set_by_text)(tlslife_context *, const char *, size_t, tlslife_error *);
typedef tlslife_status (*set_by_file)(tlslife_context *, const char *, tlslife_error *);
typedef tlslife_status (*open_by_text)(tlslife_context *, const char *, size_t, const char *,
                                       tlslife_error *);
typedef tlslife_status (*open_by_file)(tlslife_context *, const char *, const char *,
                                       tlslife_error *);

/* Sets the source at idx, by whichever of the two functions takes it. */
static tlslife_status source_at(tlb_setting *s, int idx, set_by_text text, set_by_file file) {
    size_t len;
    const char *string = lua_tolstring(s->L, idx, &len);
    return is_text(s, idx) ? text(s->context, string, len, &s->err)
                           : file(s->context, tlb_option_text_at(s, idx), &s->err);
}

/* The same of a source that may be encrypted. */
static tlslife_status locked_at(tlb_setting *s, int idx, const char *passphrase, open_by_text text,
                                open_by_file file) {
    size_t len;
    const char *string = lua_tolstring(s->L, idx, &len);
    return is_text(s, idx) ? text(s->context, string, len, passphrase, &s->err)
                           : file(s->context, tlb_option_text_at(s, idx), passphrase, &s->err);
}

static tlslife_status certificate_at(tlb_setting *s, int idx) {
    return source_at(s, idx, tlslife_context_set_certificate_pem,
                     tlslife_context_set_certificate_file);
}

static tlslife_status private_key_at(tlb_setting *s, int idx, const char *passphrase) {
    return locked_at(s, idx, passphrase, tlslife_context_set_private_key_pem,
                     tlslife_context_set_private_key_file);
}

/* Sets a certificate and its private key, which are together at idx. */
static tlslife_status identity_at(tlb_setting *s, int idx, const char *passphrase) {
    return locked_at(s, idx, passphrase, tlslife_context_set_identity_pem,
                     tlslife_context_set_identity_file);
}

/* Sets {certificate =, private_key =, passphrase =} at idx. */
static tlslife_status certificate_and_key(tlb_setting *s, int idx) {
    static const char *const fields[] = {"certificate", "private_key", "passphrase", NULL};
    tlb_check_fields(s, idx, fields);
    push_field(s, idx, "certificate", false);
    bool apart = push_field(s, idx, "private_key", true) != NULL;
    const char *passphrase =
        push_field(s, idx, "passphrase", true) ? tlb_option_text_at(s, -1) : NULL;
    if (!apart) {
        return identity_at(s, idx + 1, passphrase);
    }
    tlslife_status status = certificate_at(s, idx + 1);
    return status == TLSLIFE_OK ? private_key_at(s, idx + 2, passphrase) : status;
}

/* The option 'passphrase', or NULL. It stays on the stack. */
static const char *passphrase_option(tlb_setting *s) {
    return tlb_push_option(s, "passphrase") == LUA_TNIL ? NULL : tlb_option_text_at(s, -1);
}

static tlslife_status set_certificate(tlb_setting *s) {
    tlslife_status status = TLSLIFE_OK;
    if (lua_isstring(s->L, TLB_VALUE)) {
        return tlb_push_option(s, "private_key") == LUA_TNIL
                   ? identity_at(s, TLB_VALUE, passphrase_option(s))
                   : certificate_at(s, TLB_VALUE);
    }
    size_t len = tlb_list_len(s->L, TLB_VALUE, s->what);
    for (size_t i = 1; i <= len && status == TLSLIFE_OK; i++) {
        if (lua_rawgeti(s->L, TLB_VALUE, (lua_Integer)i) != LUA_TTABLE) {
            luaL_error(s->L, "%s: element %I is a %s, not a table", s->what, (LUAI_UACINT)i,
                       luaL_typename(s->L, -1));
        }
        status = certificate_and_key(s, TLB_VALUE + 1);
        lua_settop(s->L, TLB_VALUE);
    }
    return status;
}

static tlslife_status set_private_key(tlb_setting *s) {
    if (tlb_push_option(s, "certificate") != LUA_TSTRING) {
        luaL_error(s->L, "%s: it goes with option 'certificate' as a string", s->what);
    }
    return private_key_at(s, TLB_VALUE, passphrase_option(s));
}

/* The passphrase is used when the key is set. */
static tlslife_status set_passphrase(tlb_setting *s) {
    if (tlb_push_option(s, "certificate") != LUA_TSTRING) {
        luaL_error(s->L, "%s: it goes with option 'certificate' as a string", s->what);
    }
    return TLSLIFE_OK;
}

static tlslife_status ca_at(tlb_setting *s, int idx) {
    const char *string = lua_tostring(s->L, idx);
    struct stat status;
    if (strcmp(string, "system") == 0) {
        return tlslife_context_use_system_ca(s->context, &s->err);
    }
    if (!is_text(s, idx) && stat(tlb_option_text_at(s, idx), &status) == 0 &&
        S_ISDIR(status.st_mode)) {
        return tlslife_context_add_ca_directory(s->context, string, &s->err);
    }
    return source_at(s, idx, tlslife_context_add_ca_pem, tlslife_context_add_ca_file);
}

typedef tlslife_status (*source_setter)(tlb_setting *s, int idx);

/* Calls set with the option's string, or with each string of its list, which must not be empty. */
static tlslife_status each_source(tlb_setting *s, source_setter set, const char *if_empty) {
    tlslife_status status = TLSLIFE_OK;
    if (lua_isstring(s->L, TLB_VALUE)) {
        return set(s, TLB_VALUE);
    }
    size_t len = tlb_list_len(s->L, TLB_VALUE, s->what);
    if (len == 0) {
        luaL_error(s->L, "%s: the list is empty: leave it out%s", s->what, if_empty);
    }
    for (size_t i = 1; i <= len && status == TLSLIFE_OK; i++) {
        if (lua_rawgeti(s->L, TLB_VALUE, (lua_Integer)i) != LUA_TSTRING) {
            luaL_error(s->L, "%s: element %I is a %s, not a string", s->what, (LUAI_UACINT)i,
                       luaL_typename(s->L, -1));
        }
        status = set(s, TLB_VALUE + 1);
        lua_settop(s->L, TLB_VALUE);
    }
    return status;
}

/* Of an empty list, the core would trust the system's CAs, as without the option. */
static tlslife_status set_ca(tlb_setting *s) {
    return each_source(s, ca_at, ", or say \"system\", to trust the system's");
}

static tlslife_status client_ca_at(tlb_setting *s, int idx) {
    return source_at(s, idx, tlslife_context_set_client_ca_pem, tlslife_context_set_client_ca_file);
}

static tlslife_status set_client_ca(tlb_setting *s) {
    return each_source(s, client_ca_at, "");
}

static tlslife_status crl_at(tlb_setting *s, int idx) {
    return source_at(s, idx, tlslife_context_add_crl_pem, tlslife_context_add_crl_file);
}

static tlslife_status set_crl(tlb_setting *s) {
    return each_source(s, crl_at, "");
}

/* After the option crl, which turns the check of the leaf on. */
static tlslife_status set_crl_check(tlb_setting *s) {
    static const char *const words[] = {"none", "leaf", "chain", NULL};
    static const tlslife_crl_check values[] = {TLSLIFE_CRL_CHECK_NONE, TLSLIFE_CRL_CHECK_LEAF,
                                               TLSLIFE_CRL_CHECK_CHAIN};
    return tlslife_context_set_crl_check(s->context, values[tlb_choice(s, words)], &s->err);
}

static tlslife_status set_partial_chain(tlb_setting *s) {
    return tlslife_context_set_partial_chain(s->context, tlb_option_truth(s), &s->err);
}

static tlslife_status set_max_cert_list(tlb_setting *s) {
    return tlslife_context_set_max_cert_list(s->context, tlb_option_size(s, 1, 16777216), &s->err);
}

static tlslife_status set_dh_auto(tlb_setting *s) {
    return tlslife_context_set_dh_auto(s->context, tlb_option_truth(s), &s->err);
}

static tlslife_status set_dh_params(tlb_setting *s) {
    size_t len;
    const char *pem = lua_tolstring(s->L, TLB_VALUE, &len);
    return tlslife_context_set_dh_params_pem(s->context, pem, len, &s->err);
}

static tlslife_status set_purpose(tlb_setting *s) {
    return tlslife_context_set_purpose(s->context, tlb_option_text(s), &s->err);
}

/* true, or "no_ee_namechecks" */
static tlslife_status set_dane(tlb_setting *s) {
    static const char *const words[] = {"no_ee_namechecks", NULL};
    if (lua_isboolean(s->L, TLB_VALUE)) {
        return tlb_option_truth(s) ? tlslife_context_set_dane(s->context, false, &s->err)
                                   : TLSLIFE_OK;
    }
    (void)tlb_choice(s, words);
    return tlslife_context_set_dane(s->context, true, &s->err);
}

static tlslife_status set_max_send_fragment(tlb_setting *s) {
    return tlslife_context_set_max_send_fragment(s->context, tlb_option_size(s, 512, 16384),
                                                 &s->err);
}

/* true means required, and false none. */
static tlslife_verify verify_option(tlb_setting *s) {
    static const char *const words[] = {"none", "optional", "required", NULL};
    static const tlslife_verify values[] = {TLSLIFE_VERIFY_NONE, TLSLIFE_VERIFY_OPTIONAL,
                                            TLSLIFE_VERIFY_REQUIRED};
    return lua_isboolean(s->L, TLB_VALUE)
               ? (tlb_option_truth(s) ? TLSLIFE_VERIFY_REQUIRED : TLSLIFE_VERIFY_NONE)
               : values[tlb_choice(s, words)];
}

static tlslife_status set_verify(tlb_setting *s) {
    return tlslife_context_set_verify(s->context, verify_option(s), &s->err);
}

static tlslife_status set_verify_depth(tlb_setting *s) {
    return tlslife_context_set_verify_depth(s->context, (int)tlb_option_integer(s, 0, 100),
                                            &s->err);
}

static tlslife_status set_verify_host(tlb_setting *s) {
    return tlslife_context_set_verify_host(s->context, tlb_option_truth(s), &s->err);
}

/* --------------------------------------------------------------------------- what is negotiated */

static int version(tlb_setting *s) {
    static const char *const words[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL};
    return TLSLIFE_TLS1_0 + tlb_choice(s, words);
}

/* The other end of the range, or 0. Its own row sets both again, and checks it. */
static int other_version(tlb_setting *s, const char *name) {
    static const char *const words[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL};
    if (tlb_push_option(s, name) != LUA_TSTRING) {
        return 0;
    }
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], lua_tostring(s->L, -1)) == 0) {
            return TLSLIFE_TLS1_0 + i;
        }
    }
    return 0;
}

static tlslife_status set_min_version(tlb_setting *s) {
    return tlslife_context_set_versions(s->context, version(s), other_version(s, "max_version"),
                                        &s->err);
}

static tlslife_status set_max_version(tlb_setting *s) {
    return tlslife_context_set_versions(s->context, other_version(s, "min_version"), version(s),
                                        &s->err);
}

static tlslife_status set_ciphers(tlb_setting *s) {
    return tlslife_context_set_cipher_list(s->context, tlb_option_text(s), &s->err);
}

static tlslife_status set_ciphersuites(tlb_setting *s) {
    return tlslife_context_set_ciphersuites(s->context, tlb_option_text(s), &s->err);
}

static tlslife_status set_groups(tlb_setting *s) {
    return tlslife_context_set_groups(s->context, tlb_option_text(s), &s->err);
}

static tlslife_status set_signature_algorithms(tlb_setting *s) {
    return tlslife_context_set_signature_algorithms(s->context, tlb_option_text(s), &s->err);
}

static tlslife_status set_alpn(tlb_setting *s) {
    size_t len;
    const char *const *protocols = tlb_string_list(s->L, TLB_VALUE, s->what, &len);
    return tlslife_context_set_alpn(s->context, protocols, len, &s->err);
}

/* The userdata of each target is kept, because its hooks may be asked. */
static tlslife_status set_server_names(tlb_setting *s) {
    size_t len;
    tlslife_status status = TLSLIFE_OK;
    const char *const *names = tlb_sorted_keys(s->L, TLB_VALUE, s->what, &len);
    lua_createtable(s->L, 0, (int)len);
    for (size_t i = 0; i < len && status == TLSLIFE_OK; i++) {
        lua_pushstring(s->L, names[i]);
        lua_rawget(s->L, TLB_VALUE);
        tlb_handle *target = tlb_check(s->L, -1, &tlb_context_type, s->what);
        lua_rawsetp(s->L, -2, target->object);
        status = tlslife_context_add_server_name(s->context, names[i], target->object, &s->err);
    }
    lua_setiuservalue(s->L, TLB_MADE, TLB_CONTEXT_TARGETS);
    return status;
}

/* Adds {identity =, key =} at idx. */
static tlslife_status psk_at(tlb_setting *s, int idx) {
    static const char *const fields[] = {"identity", "key", NULL};
    tlb_check_fields(s, idx, fields);
    push_field(s, idx, "identity", false);
    push_field(s, idx, "key", false);
    size_t len;
    const char *key = lua_tolstring(s->L, idx + 2, &len);
    return tlslife_context_add_psk(s->context, tlb_option_text_at(s, idx + 1),
                                   (const unsigned char *)key, len, &s->err);
}

static tlslife_status set_psk(tlb_setting *s) {
    tlslife_status status = TLSLIFE_OK;
    size_t len = tlb_list_len(s->L, TLB_VALUE, s->what);
    if (len == 0) {
        return psk_at(s, TLB_VALUE);
    }
    for (size_t i = 1; i <= len && status == TLSLIFE_OK; i++) {
        if (lua_rawgeti(s->L, TLB_VALUE, (lua_Integer)i) != LUA_TTABLE) {
            luaL_error(s->L, "%s: element %I is a %s, not a table", s->what, (LUAI_UACINT)i,
                       luaL_typename(s->L, -1));
        }
        status = psk_at(s, TLB_VALUE + 1);
        lua_settop(s->L, TLB_VALUE);
    }
    return status;
}

static tlslife_status set_psk_identity_hint(tlb_setting *s) {
    return tlslife_context_set_psk_identity_hint(s->context, tlb_option_text(s), &s->err);
}

/* ------------------------------------------------------------------------------------- sessions */

static tlslife_status set_resumption(tlb_setting *s) {
    static const char *const words[] = {"both", "tickets", "stateful", "off", NULL};
    static const tlslife_resumption values[] = {TLSLIFE_RESUMPTION_BOTH, TLSLIFE_RESUMPTION_TICKETS,
                                                TLSLIFE_RESUMPTION_STATEFUL,
                                                TLSLIFE_RESUMPTION_OFF};
    return tlslife_context_set_resumption(s->context, values[tlb_choice(s, words)], &s->err);
}

static tlslife_status set_num_tickets(tlb_setting *s) {
    return tlslife_context_set_num_tickets(s->context, tlb_option_size(s, 0, 16), &s->err);
}

static tlslife_status set_session_timeout(tlb_setting *s) {
    return tlslife_context_set_session_timeout(s->context, (long)tlb_option_integer(s, 1, 604800),
                                               &s->err);
}

static tlslife_status set_session_id_context(tlb_setting *s) {
    size_t len;
    const char *id = lua_tolstring(s->L, TLB_VALUE, &len);
    return tlslife_context_set_session_id_context(s->context, (const unsigned char *)id, len,
                                                  &s->err);
}

/* The cache's userdata is kept, because Lua functions may be its store. */
static tlslife_status set_cache(tlb_setting *s) {
    tlslife_cache *cache = tlb_check(s->L, TLB_VALUE, &tlb_cache_type, s->what)->object;
    lua_pushvalue(s->L, TLB_VALUE);
    lua_setiuservalue(s->L, TLB_MADE, TLB_CONTEXT_CACHE);
    return tlslife_context_set_cache(s->context, cache, &s->err);
}

static tlslife_status set_ticket_keys(tlb_setting *s) {
    tlslife_ticket_keys *keys = tlb_check(s->L, TLB_VALUE, &tlb_ticket_keys_type, s->what)->object;
    return tlslife_context_set_ticket_keys(s->context, keys, &s->err);
}

static tlslife_status set_max_early_data(tlb_setting *s) {
    return tlslife_context_set_max_early_data(
        s->context, (uint32_t)tlb_option_integer(s, 0, UINT32_MAX), &s->err);
}

/* ----------------------------------------------------------------------------------------- OCSP */

/* Whether the bytes are a DER SEQUENCE that is as long as the string, which no file's name is. */
static bool is_der(const unsigned char *bytes, size_t len) {
    size_t header = 2, content;
    if (len < 2 || bytes[0] != 0x30) {
        return false;
    }
    content = bytes[1];
    if (content > 0x80) {
        size_t octets = content & 0x7f;
        header += octets;
        if (octets > 3 || len < header) {
            return false;
        }
        content = 0;
        for (size_t i = 2; i < header; i++) {
            content = content << 8 | bytes[i];
        }
    }
    return header + content == len;
}

static tlslife_status set_ocsp_response(tlb_setting *s) {
    size_t len;
    const char *string = lua_tolstring(s->L, TLB_VALUE, &len);
    return is_der((const unsigned char *)string, len)
               ? tlslife_context_set_ocsp_response(s->context, (const unsigned char *)string, len,
                                                   &s->err)
               : tlslife_context_set_ocsp_response_file(s->context, tlb_option_text(s), &s->err);
}

static tlslife_status set_ocsp_request(tlb_setting *s) {
    return tlslife_context_set_ocsp_request(s->context, tlb_option_truth(s), &s->err);
}

static tlslife_status set_ocsp_verify(tlb_setting *s) {
    return tlslife_context_set_ocsp_verify(s->context, verify_option(s), &s->err);
}

/* -------------------------------------------------------------------------------- other options */

static tlslife_status set_keylog(tlb_setting *s) {
    if (lua_isstring(s->L, TLB_VALUE)) {
        return tlslife_context_set_keylog(s->context, tlb_option_text(s), &s->err);
    }
    return tlb_option_truth(s) ? tlslife_context_set_keylog(s->context, NULL, &s->err) : TLSLIFE_OK;
}

static tlslife_status set_trace(tlb_setting *s) {
    tlslife_trace *trace = tlb_check(s->L, TLB_VALUE, &tlb_trace_type, s->what)->object;
    return tlslife_context_set_trace(s->context, trace, &s->err);
}

static tlslife_status set_flags(tlb_setting *s,
                                tlslife_status (*set)(tlslife_context *, const char *, bool,
                                                      tlslife_error *)) {
    size_t len;
    tlslife_status status = TLSLIFE_OK;
    const char *const *names = tlb_sorted_keys(s->L, TLB_VALUE, s->what, &len);
    for (size_t i = 0; i < len && status == TLSLIFE_OK; i++) {
        lua_pushstring(s->L, names[i]);
        if (lua_rawget(s->L, TLB_VALUE) != LUA_TBOOLEAN) {
            luaL_error(s->L, "%s: %s is a %s, not a boolean", s->what, names[i],
                       luaL_typename(s->L, -1));
        }
        status = set(s->context, names[i], lua_toboolean(s->L, -1), &s->err);
        lua_pop(s->L, 1);
    }
    return status;
}

static tlslife_status set_options(tlb_setting *s) {
    return set_flags(s, tlslife_context_set_option);
}

static tlslife_status set_modes(tlb_setting *s) {
    return set_flags(s, tlslife_context_set_mode);
}

static tlslife_status set_quiet_shutdown(tlb_setting *s) {
    return tlslife_context_set_quiet_shutdown(s->context, tlb_option_truth(s), &s->err);
}

static tlslife_status set_post_handshake_auth(tlb_setting *s) {
    return tlslife_context_set_post_handshake_auth(s->context, tlb_option_truth(s), &s->err);
}

static tlslife_status set_timeout(tlb_setting *s) {
    tlslife_context_set_timeout_ms(s->context, tlb_milliseconds(s->L, TLB_VALUE, s->what));
    return TLSLIFE_OK;
}

/* ---------------------------------------------------------------------------------------- hooks */

static tlslife_status ask(tlb_setting *s, int value, unsigned question) {
    unsigned questions = question;
    for (int other = TLB_CONTEXT_HELLO; other <= TLB_CONTEXT_PSK; other++) {
        static const unsigned asked[] = {0, TLSLIFE_ASK_HELLO, TLSLIFE_ASK_CERTIFICATE,
                                         TLSLIFE_ASK_VERIFY, TLSLIFE_ASK_PSK};
        if (lua_getiuservalue(s->L, TLB_MADE, other) == LUA_TFUNCTION) {
            questions |= asked[other];
        }
        lua_pop(s->L, 1);
    }
    lua_pushvalue(s->L, TLB_VALUE);
    lua_setiuservalue(s->L, TLB_MADE, value);
    return tlslife_context_set_questions(s->context, questions, &s->err);
}

static tlslife_status set_on_hello(tlb_setting *s) {
    return ask(s, TLB_CONTEXT_HELLO, TLSLIFE_ASK_HELLO);
}

static tlslife_status set_on_certificate(tlb_setting *s) {
    return ask(s, TLB_CONTEXT_CERTIFICATE, TLSLIFE_ASK_CERTIFICATE);
}

static tlslife_status set_on_verify(tlb_setting *s) {
    bool all = tlb_push_option(s, "verify_all") != LUA_TNIL && lua_toboolean(s->L, -1);
    return ask(s, TLB_CONTEXT_VERIFY, TLSLIFE_ASK_VERIFY | (all ? TLSLIFE_ASK_VERIFY_ALL : 0u));
}

static tlslife_status set_on_psk(tlb_setting *s) {
    return ask(s, TLB_CONTEXT_PSK, TLSLIFE_ASK_PSK);
}

/* The option is used when the hook is set. */
static tlslife_status set_verify_all(tlb_setting *s) {
    if (tlb_option_truth(s) && tlb_push_option(s, "on_verify") == LUA_TNIL) {
        luaL_error(s->L, "%s: option 'on_verify' is missing", s->what);
    }
    return TLSLIFE_OK;
}

/* ----------------------------------------------------------------------------- table of options */

#define STRING_OR_TABLE TLB_TYPE_BIT(LUA_TSTRING) | TLB_TYPE_BIT(LUA_TTABLE), "string or table"
#define STRING_OR_BOOLEAN \
    TLB_TYPE_BIT(LUA_TSTRING) | TLB_TYPE_BIT(LUA_TBOOLEAN), "string or boolean"

const tlb_option tlb_context_options[] = {
    {"role", TLB_TYPE_BIT(LUA_TSTRING), "'client' or 'server'", set_role, true},
    {"min_version", TLB_STRING, set_min_version, false},
    {"max_version", TLB_STRING, set_max_version, false},
    {"ciphers", TLB_STRING, set_ciphers, false},
    {"ciphersuites", TLB_STRING, set_ciphersuites, false},
    {"groups", TLB_STRING, set_groups, false},
    {"signature_algorithms", TLB_STRING, set_signature_algorithms, false},
    {"dh_auto", TLB_BOOLEAN, set_dh_auto, false},
    {"dh_params", TLB_STRING, set_dh_params, false},
    {"max_send_fragment", TLB_INTEGER, set_max_send_fragment, false},
    {"options", TLB_TABLE, set_options, false},
    {"modes", TLB_TABLE, set_modes, false},
    {"verify", STRING_OR_BOOLEAN, set_verify, false},
    {"verify_depth", TLB_INTEGER, set_verify_depth, false},
    {"verify_host", TLB_BOOLEAN, set_verify_host, false},
    {"purpose", TLB_STRING, set_purpose, false},
    {"dane", STRING_OR_BOOLEAN, set_dane, false},
    {"ca", STRING_OR_TABLE, set_ca, false},
    {"crl", STRING_OR_TABLE, set_crl, false},
    {"crl_check", TLB_STRING, set_crl_check, false},
    {"partial_chain", TLB_BOOLEAN, set_partial_chain, false},
    {"max_cert_list", TLB_INTEGER, set_max_cert_list, false},
    {"client_ca", STRING_OR_TABLE, set_client_ca, false},
    {"certificate", STRING_OR_TABLE, set_certificate, false},
    {"private_key", TLB_STRING, set_private_key, false},
    {"passphrase", TLB_STRING, set_passphrase, false},
    {"psk", TLB_TABLE, set_psk, false},
    {"psk_identity_hint", TLB_STRING, set_psk_identity_hint, false},
    {"alpn", TLB_TABLE, set_alpn, false},
    {"resumption", TLB_STRING, set_resumption, false},
    {"num_tickets", TLB_INTEGER, set_num_tickets, false},
    {"session_timeout", TLB_INTEGER, set_session_timeout, false},
    {"session_id_context", TLB_STRING, set_session_id_context, false},
    {"max_early_data", TLB_INTEGER, set_max_early_data, false},
    {"cache", TLB_TYPE_BIT(LUA_TUSERDATA), "tlslife.cache", set_cache, false},
    {"ticket_keys", TLB_TYPE_BIT(LUA_TUSERDATA), "tlslife.ticket_keys", set_ticket_keys, false},
    {"post_handshake_auth", TLB_BOOLEAN, set_post_handshake_auth, false},
    {"ocsp_response", TLB_STRING, set_ocsp_response, false},
    {"ocsp_request", TLB_BOOLEAN, set_ocsp_request, false},
    {"ocsp_verify", STRING_OR_BOOLEAN, set_ocsp_verify, false},
    {"keylog", STRING_OR_BOOLEAN, set_keylog, false},
    {"trace", TLB_TYPE_BIT(LUA_TUSERDATA), "tlslife.trace", set_trace, false},
    {"quiet_shutdown", TLB_BOOLEAN, set_quiet_shutdown, false},
    {"timeout", TLB_NUMBER, set_timeout, false},
    {"on_hello", TLB_FUNCTION, set_on_hello, false},
    {"on_certificate", TLB_FUNCTION, set_on_certificate, false},
    {"on_verify", TLB_FUNCTION, set_on_verify, false},
    {"on_psk", TLB_FUNCTION, set_on_psk, false},
    {"verify_all", TLB_BOOLEAN, set_verify_all, false},
    {"server_names", TLB_TABLE, set_server_names, false},
    {NULL, 0, NULL, NULL, false},
};
