/*
 * loptions.c: tls.context{}: a table of options, one row for each.
 *
 * Every key must be known and of the right type before anything is done, so that a misspelt "verify" is an error and not
 * a context that verifies nothing. Then the rows set what is there, in their own order: what decides how certificates
 * are judged comes before the certificates. Tables by name (options, modes, server_names) are set in sorted order, so
 * that the same table always gives the same context and the same error.
 *
 * The context is in its userdata from the start: whatever raises, the collector frees it.
 */
#include "binding.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OPTIONS = 1, SELF, WHAT, VALUE }; /* the stack while a row's setter runs */

typedef struct setting {
    lua_State *L;
    tlslife_context *context;
    const char *what; /* "option 'verify'" */
    tlslife_error err;
} setting;

typedef struct option {
    const char *name;
    unsigned types;       /* a bit for each LUA_T that is lawful */
    const char *expected; /* the same in words */
    tlslife_status (*set)(setting *s);
} option;

#define TYPE(t) (1u << (t))
#define STRING TYPE(LUA_TSTRING), "string"
#define BOOLEAN TYPE(LUA_TBOOLEAN), "boolean"
#define INTEGER TYPE(LUA_TNUMBER), "integer"
#define NUMBER TYPE(LUA_TNUMBER), "number"
#define TABLE TYPE(LUA_TTABLE), "table"
#define FUNCTION TYPE(LUA_TFUNCTION), "function"
#define STRING_OR_TABLE TYPE(LUA_TSTRING) | TYPE(LUA_TTABLE), "string or table"
#define STRING_OR_BOOLEAN TYPE(LUA_TSTRING) | TYPE(LUA_TBOOLEAN), "string or boolean"

/* ------------------------------------------------------------------------------------- values of options */

/* The string at idx, without NUL. */
static const char *text_at(setting *s, int idx) {
    size_t len;
    const char *text = lua_tolstring(s->L, idx, &len);
    if (strlen(text) != len)
        luaL_error(s->L, "%s: a NUL is in it", s->what);
    return text;
}

static const char *text(setting *s) {
    return text_at(s, VALUE);
}

static bool truth(setting *s) {
    return lua_toboolean(s->L, VALUE);
}

static lua_Integer integer(setting *s, lua_Integer min, lua_Integer max) {
    int exact;
    lua_Integer value = lua_tointegerx(s->L, VALUE, &exact);
    if (!exact || value < min || value > max)
        luaL_error(s->L, "%s: %s is not in %I..%I", s->what, luaL_tolstring(s->L, VALUE, NULL),
                   (LUAI_UACINT)min, (LUAI_UACINT)max);
    return value;
}

static int choice(setting *s, const char *const words[]) {
    const char *word = text(s);
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    luaL_Buffer expected;
    luaL_buffinit(s->L, &expected);
    for (int i = 0; words[i]; i++) {
        luaL_addstring(&expected, i ? ", '" : "'");
        luaL_addstring(&expected, words[i]);
        luaL_addchar(&expected, '\'');
    }
    luaL_pushresult(&expected);
    return luaL_error(s->L, "%s: '%s' is none of %s", s->what, word, lua_tostring(s->L, -1));
}

/* Pushes another option's value. */
static int push_option(setting *s, const char *name) {
    lua_pushstring(s->L, name);
    return lua_rawget(s->L, OPTIONS);
}

/* Pushes the field of the table at idx, which must be a string, or nil if that is lawful. */
static const char *push_field(setting *s, int idx, const char *field, bool optional) {
    lua_pushstring(s->L, field);
    int type = lua_rawget(s->L, idx);
    if (type == LUA_TNIL && optional)
        return NULL;
    if (type != LUA_TSTRING)
        luaL_error(s->L, "%s: %s is a %s, not a string", s->what, field, lua_typename(s->L, type));
    return lua_tostring(s->L, -1);
}

/* Raises for keys of the table at idx that are none of these. */
static void check_fields(setting *s, int idx, const char *const fields[]) {
    for (lua_pushnil(s->L); lua_next(s->L, idx); lua_pop(s->L, 1)) {
        bool known = false;
        for (int i = 0; fields[i] && lua_type(s->L, -2) == LUA_TSTRING; i++)
            known = known || strcmp(fields[i], lua_tostring(s->L, -2)) == 0;
        if (!known) {
            lua_pop(s->L, 1);
            luaL_error(s->L, "%s: unknown field '%s'", s->what, luaL_tolstring(s->L, -1, NULL));
        }
    }
}

static bool is_pem(setting *s, int idx) {
    size_t len;
    const char *string = lua_tolstring(s->L, idx, &len);
    return memmem(string, len, "-----BEGIN", 10) != NULL;
}

/* ------------------------------------------------------------------------------- certificates, keys, CAs */

static tlslife_status certificate_at(setting *s, int idx) {
    size_t len;
    const char *string = lua_tolstring(s->L, idx, &len);
    if (is_pem(s, idx))
        return tlslife_context_set_certificate_pem(s->context, string, len, &s->err);
    return tlslife_context_set_certificate_file(s->context, text_at(s, idx), &s->err);
}

static tlslife_status private_key_at(setting *s, int idx, const char *passphrase) {
    size_t len;
    const char *string = lua_tolstring(s->L, idx, &len);
    if (is_pem(s, idx))
        return tlslife_context_set_private_key_pem(s->context, string, len, passphrase, &s->err);
    return tlslife_context_set_private_key_file(s->context, text_at(s, idx), passphrase, &s->err);
}

/* {certificate =, private_key =, passphrase =} at idx */
static tlslife_status certificate_and_key(setting *s, int idx) {
    static const char *const fields[] = {"certificate", "private_key", "passphrase", NULL};
    check_fields(s, idx, fields);
    push_field(s, idx, "certificate", false);
    push_field(s, idx, "private_key", false);
    const char *passphrase = push_field(s, idx, "passphrase", true) ? text_at(s, -1) : NULL;
    tlslife_status status = certificate_at(s, idx + 1);
    return status == TLSLIFE_OK ? private_key_at(s, idx + 2, passphrase) : status;
}

static tlslife_status set_certificate(setting *s) {
    tlslife_status status = TLSLIFE_OK;
    if (lua_isstring(s->L, VALUE)) {
        if (push_option(s, "private_key") == LUA_TNIL)
            luaL_error(s->L, "%s: option 'private_key' is missing", s->what);
        return certificate_at(s, VALUE);
    }
    lua_Unsigned len = lua_rawlen(s->L, VALUE);
    for (lua_Unsigned i = 1; i <= len && status == TLSLIFE_OK; i++) {
        if (lua_rawgeti(s->L, VALUE, (lua_Integer)i) != LUA_TTABLE)
            luaL_error(s->L, "%s: element %I is a %s, not a table", s->what, (LUAI_UACINT)i,
                       luaL_typename(s->L, -1));
        status = certificate_and_key(s, VALUE + 1);
        lua_settop(s->L, VALUE);
    }
    return status;
}

static tlslife_status set_private_key(setting *s) {
    if (push_option(s, "certificate") != LUA_TSTRING)
        luaL_error(s->L, "%s: it goes with option 'certificate' as a string", s->what);
    const char *passphrase = push_option(s, "passphrase") == LUA_TNIL ? NULL : text_at(s, -1);
    return private_key_at(s, VALUE, passphrase);
}

/* Used with the key. */
static tlslife_status set_passphrase(setting *s) {
    if (push_option(s, "private_key") == LUA_TNIL)
        luaL_error(s->L, "%s: option 'private_key' is missing", s->what);
    return TLSLIFE_OK;
}

static tlslife_status ca_at(setting *s, int idx) {
    size_t len;
    const char *string = lua_tolstring(s->L, idx, &len);
    struct stat status;
    if (strcmp(string, "system") == 0)
        return tlslife_context_use_system_ca(s->context, &s->err);
    if (is_pem(s, idx))
        return tlslife_context_add_ca_pem(s->context, string, len, &s->err);
    if (stat(text_at(s, idx), &status) == 0 && S_ISDIR(status.st_mode))
        return tlslife_context_add_ca_directory(s->context, string, &s->err);
    return tlslife_context_add_ca_file(s->context, string, &s->err);
}

static tlslife_status set_ca(setting *s) {
    tlslife_status status = TLSLIFE_OK;
    if (lua_isstring(s->L, VALUE))
        return ca_at(s, VALUE);
    lua_Unsigned len = lua_rawlen(s->L, VALUE);
    for (lua_Unsigned i = 1; i <= len && status == TLSLIFE_OK; i++) {
        if (lua_rawgeti(s->L, VALUE, (lua_Integer)i) != LUA_TSTRING)
            luaL_error(s->L, "%s: element %I is a %s, not a string", s->what, (LUAI_UACINT)i,
                       luaL_typename(s->L, -1));
        status = ca_at(s, VALUE + 1);
        lua_settop(s->L, VALUE);
    }
    return status;
}

static tlslife_status set_client_ca(setting *s) {
    size_t len;
    const char *string = lua_tolstring(s->L, VALUE, &len);
    if (is_pem(s, VALUE))
        return tlslife_context_set_client_ca_pem(s->context, string, len, &s->err);
    return tlslife_context_set_client_ca_file(s->context, text(s), &s->err);
}

static tlslife_status set_verify(setting *s) {
    static const char *const words[] = {"none", "optional", "required", NULL};
    static const tlslife_verify values[] = {TLSLIFE_VERIFY_NONE, TLSLIFE_VERIFY_OPTIONAL,
                                            TLSLIFE_VERIFY_REQUIRED};
    tlslife_verify verify = lua_isboolean(s->L, VALUE)
                                ? (truth(s) ? TLSLIFE_VERIFY_REQUIRED : TLSLIFE_VERIFY_NONE)
                                : values[choice(s, words)];
    return tlslife_context_set_verify(s->context, verify, &s->err);
}

static tlslife_status set_verify_depth(setting *s) {
    return tlslife_context_set_verify_depth(s->context, (int)integer(s, 0, 100), &s->err);
}

static tlslife_status set_verify_host(setting *s) {
    return tlslife_context_set_verify_host(s->context, truth(s), &s->err);
}

/* ------------------------------------------------------------------------------------ what is negotiated */

static int version(setting *s) {
    static const char *const words[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL};
    return TLSLIFE_TLS1_0 + choice(s, words);
}

/* The other end of the range; its own row sets both again, and checks it. */
static int other_version(setting *s, const char *name) {
    static const char *const words[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL};
    if (push_option(s, name) != LUA_TSTRING)
        return 0;
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], lua_tostring(s->L, -1)) == 0)
            return TLSLIFE_TLS1_0 + i;
    return 0;
}

static tlslife_status set_min_version(setting *s) {
    return tlslife_context_set_versions(s->context, version(s), other_version(s, "max_version"), &s->err);
}

static tlslife_status set_max_version(setting *s) {
    return tlslife_context_set_versions(s->context, other_version(s, "min_version"), version(s), &s->err);
}

static tlslife_status set_ciphers(setting *s) {
    return tlslife_context_set_cipher_list(s->context, text(s), &s->err);
}

static tlslife_status set_ciphersuites(setting *s) {
    return tlslife_context_set_ciphersuites(s->context, text(s), &s->err);
}

static tlslife_status set_groups(setting *s) {
    return tlslife_context_set_groups(s->context, text(s), &s->err);
}

static tlslife_status set_signature_algorithms(setting *s) {
    return tlslife_context_set_signature_algorithms(s->context, text(s), &s->err);
}

static tlslife_status set_alpn(setting *s) {
    size_t len;
    const char *const *protocols = tlb_string_list(s->L, VALUE, s->what, &len);
    return tlslife_context_set_alpn(s->context, protocols, len, &s->err);
}

/* The userdata of each target is kept: its hooks are asked. */
static tlslife_status set_server_names(setting *s) {
    size_t len;
    tlslife_status status = TLSLIFE_OK;
    const char *const *names = tlb_sorted_keys(s->L, VALUE, s->what, &len);
    lua_createtable(s->L, 0, (int)len);
    for (size_t i = 0; i < len && status == TLSLIFE_OK; i++) {
        lua_pushstring(s->L, names[i]);
        lua_rawget(s->L, VALUE);
        tlb_handle *target = tlb_check(s->L, -1, &tlb_context_type, s->what);
        lua_rawsetp(s->L, -2, target->object);
        status = tlslife_context_add_server_name(s->context, names[i], target->object, &s->err);
    }
    lua_setiuservalue(s->L, SELF, TLB_CONTEXT_TARGETS);
    return status;
}

/* {identity =, key =} at idx */
static tlslife_status psk_at(setting *s, int idx) {
    static const char *const fields[] = {"identity", "key", NULL};
    check_fields(s, idx, fields);
    push_field(s, idx, "identity", false);
    push_field(s, idx, "key", false);
    size_t len;
    const char *key = lua_tolstring(s->L, idx + 2, &len);
    return tlslife_context_add_psk(s->context, text_at(s, idx + 1), (const unsigned char *)key, len, &s->err);
}

static tlslife_status set_psk(setting *s) {
    tlslife_status status = TLSLIFE_OK;
    lua_Unsigned len = lua_rawlen(s->L, VALUE);
    if (len == 0)
        return psk_at(s, VALUE);
    for (lua_Unsigned i = 1; i <= len && status == TLSLIFE_OK; i++) {
        if (lua_rawgeti(s->L, VALUE, (lua_Integer)i) != LUA_TTABLE)
            luaL_error(s->L, "%s: element %I is a %s, not a table", s->what, (LUAI_UACINT)i,
                       luaL_typename(s->L, -1));
        status = psk_at(s, VALUE + 1);
        lua_settop(s->L, VALUE);
    }
    return status;
}

/* --------------------------------------------------------------------------------------------- sessions */

static tlslife_status set_resumption(setting *s) {
    static const char *const words[] = {"tickets", "stateful", "off", NULL};
    static const tlslife_resumption values[] = {TLSLIFE_RESUMPTION_TICKETS, TLSLIFE_RESUMPTION_STATEFUL,
                                                TLSLIFE_RESUMPTION_OFF};
    return tlslife_context_set_resumption(s->context, values[choice(s, words)], &s->err);
}

static tlslife_status set_num_tickets(setting *s) {
    return tlslife_context_set_num_tickets(s->context, (size_t)integer(s, 0, 16), &s->err);
}

static tlslife_status set_session_timeout(setting *s) {
    return tlslife_context_set_session_timeout(s->context, (long)integer(s, 1, 604800), &s->err);
}

static tlslife_status set_session_id_context(setting *s) {
    size_t len;
    const char *id = lua_tolstring(s->L, VALUE, &len);
    return tlslife_context_set_session_id_context(s->context, (const unsigned char *)id, len, &s->err);
}

static tlslife_status set_max_early_data(setting *s) {
    return tlslife_context_set_max_early_data(s->context, (uint32_t)integer(s, 0, UINT32_MAX), &s->err);
}

/* ------------------------------------------------------------------------------------------------- OCSP */

#define OCSP_MAX 65536

/* A SEQUENCE that is as long as the string: no file's name is. */
static bool is_der(const unsigned char *bytes, size_t len) {
    size_t header = 2, content;
    if (len < 2 || bytes[0] != 0x30)
        return false;
    content = bytes[1];
    if (content > 0x80) {
        size_t octets = content & 0x7f;
        header += octets;
        if (octets > 3 || len < header)
            return false;
        content = 0;
        for (size_t i = 2; i < header; i++)
            content = content << 8 | bytes[i];
    }
    return header + content == len;
}

static tlslife_status input_error(setting *s, const char *path, int system_errno, const char *why) {
    memset(&s->err, 0, sizeof s->err);
    s->err.kind = TLSLIFE_ERR_INPUT;
    s->err.alert = s->err.verify_depth = -1;
    s->err.system_errno = system_errno;
    snprintf(s->err.message, sizeof s->err.message, "cannot read the OCSP response from %.400s: %s", path,
             why);
    return TLSLIFE_ERROR;
}

static tlslife_status set_ocsp_response(setting *s) {
    size_t len;
    const char *string = lua_tolstring(s->L, VALUE, &len);
    if (is_der((const unsigned char *)string, len))
        return tlslife_context_set_ocsp_response(s->context, (const unsigned char *)string, len, &s->err);
    const char *path = text(s);
    unsigned char *bytes = lua_newuserdatauv(s->L, OCSP_MAX + 1, 0);
    FILE *file = fopen(path, "rbe");
    if (!file)
        return input_error(s, path, errno, strerror(errno));
    len = fread(bytes, 1, OCSP_MAX + 1, file);
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (failed)
        return input_error(s, path, failed, strerror(failed));
    if (len > OCSP_MAX || !is_der(bytes, len))
        return input_error(s, path, 0, "it is no DER of at most 64 KiB");
    return tlslife_context_set_ocsp_response(s->context, bytes, len, &s->err);
}

static tlslife_status set_ocsp_request(setting *s) {
    return tlslife_context_set_ocsp_request(s->context, truth(s), &s->err);
}

/* -------------------------------------------------------------------------------------------- the rest */

static tlslife_status set_keylog(setting *s) {
    if (lua_isstring(s->L, VALUE))
        return tlslife_context_set_keylog(s->context, text(s), &s->err);
    return truth(s) ? tlslife_context_set_keylog(s->context, NULL, &s->err) : TLSLIFE_OK;
}

static tlslife_status set_flags(setting *s, tlslife_status (*set)(tlslife_context *, const char *, bool,
                                                                  tlslife_error *)) {
    size_t len;
    tlslife_status status = TLSLIFE_OK;
    const char *const *names = tlb_sorted_keys(s->L, VALUE, s->what, &len);
    for (size_t i = 0; i < len && status == TLSLIFE_OK; i++) {
        lua_pushstring(s->L, names[i]);
        if (lua_rawget(s->L, VALUE) != LUA_TBOOLEAN)
            luaL_error(s->L, "%s: %s is a %s, not a boolean", s->what, names[i], luaL_typename(s->L, -1));
        status = set(s->context, names[i], lua_toboolean(s->L, -1), &s->err);
        lua_pop(s->L, 1);
    }
    return status;
}

static tlslife_status set_options(setting *s) {
    return set_flags(s, tlslife_context_set_option);
}

static tlslife_status set_modes(setting *s) {
    return set_flags(s, tlslife_context_set_mode);
}

static tlslife_status set_quiet_shutdown(setting *s) {
    return tlslife_context_set_quiet_shutdown(s->context, truth(s), &s->err);
}

static tlslife_status set_post_handshake_auth(setting *s) {
    return tlslife_context_set_post_handshake_auth(s->context, truth(s), &s->err);
}

static tlslife_status set_timeout(setting *s) {
    tlslife_context_set_timeout_ms(s->context, tlb_milliseconds(s->L, VALUE, s->what));
    return TLSLIFE_OK;
}

/* ------------------------------------------------------------------------------------------------ hooks */

static tlslife_status ask(setting *s, int value, unsigned question) {
    unsigned questions = question;
    for (int other = TLB_CONTEXT_HELLO; other <= TLB_CONTEXT_VERIFY; other++) {
        static const unsigned asked[] = {0, TLSLIFE_ASK_HELLO, TLSLIFE_ASK_CERTIFICATE, TLSLIFE_ASK_VERIFY};
        if (lua_getiuservalue(s->L, SELF, other) == LUA_TFUNCTION)
            questions |= asked[other];
        lua_pop(s->L, 1);
    }
    lua_pushvalue(s->L, VALUE);
    lua_setiuservalue(s->L, SELF, value);
    return tlslife_context_set_questions(s->context, questions, &s->err);
}

static tlslife_status set_on_hello(setting *s) {
    return ask(s, TLB_CONTEXT_HELLO, TLSLIFE_ASK_HELLO);
}

static tlslife_status set_on_certificate(setting *s) {
    return ask(s, TLB_CONTEXT_CERTIFICATE, TLSLIFE_ASK_CERTIFICATE);
}

static tlslife_status set_on_verify(setting *s) {
    bool all = push_option(s, "verify_all") != LUA_TNIL && lua_toboolean(s->L, -1);
    return ask(s, TLB_CONTEXT_VERIFY, TLSLIFE_ASK_VERIFY | (all ? TLSLIFE_ASK_VERIFY_ALL : 0u));
}

/* Used with the hook. */
static tlslife_status set_verify_all(setting *s) {
    if (truth(s) && push_option(s, "on_verify") == LUA_TNIL)
        luaL_error(s->L, "%s: option 'on_verify' is missing: nobody would decide", s->what);
    return TLSLIFE_OK;
}

/* -------------------------------------------------------------------------------------------- the table */

static const option table[] = {
    {"role", STRING, NULL},
    {"min_version", STRING, set_min_version},
    {"max_version", STRING, set_max_version},
    {"ciphers", STRING, set_ciphers},
    {"ciphersuites", STRING, set_ciphersuites},
    {"groups", STRING, set_groups},
    {"signature_algorithms", STRING, set_signature_algorithms},
    {"options", TABLE, set_options},
    {"modes", TABLE, set_modes},
    {"verify", STRING_OR_BOOLEAN, set_verify},
    {"verify_depth", INTEGER, set_verify_depth},
    {"verify_host", BOOLEAN, set_verify_host},
    {"ca", STRING_OR_TABLE, set_ca},
    {"client_ca", STRING, set_client_ca},
    {"certificate", STRING_OR_TABLE, set_certificate},
    {"private_key", STRING, set_private_key},
    {"passphrase", STRING, set_passphrase},
    {"psk", TABLE, set_psk},
    {"alpn", TABLE, set_alpn},
    {"resumption", STRING, set_resumption},
    {"num_tickets", INTEGER, set_num_tickets},
    {"session_timeout", INTEGER, set_session_timeout},
    {"session_id_context", STRING, set_session_id_context},
    {"max_early_data", INTEGER, set_max_early_data},
    {"post_handshake_auth", BOOLEAN, set_post_handshake_auth},
    {"ocsp_response", STRING, set_ocsp_response},
    {"ocsp_request", BOOLEAN, set_ocsp_request},
    {"keylog", STRING_OR_BOOLEAN, set_keylog},
    {"quiet_shutdown", BOOLEAN, set_quiet_shutdown},
    {"timeout", NUMBER, set_timeout},
    {"on_hello", FUNCTION, set_on_hello},
    {"on_certificate", FUNCTION, set_on_certificate},
    {"on_verify", FUNCTION, set_on_verify},
    {"verify_all", BOOLEAN, set_verify_all},
    {"server_names", TABLE, set_server_names},
};

enum { ROWS = sizeof table / sizeof *table };

/* How many letters must be changed, put in or left out to make b of a; names of options are short. */
static size_t distance(const char *a, const char *b) {
    enum { LONGEST = 32 };
    size_t row[LONGEST + 1], len = strlen(b);
    if (len > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= len; j++) {
            size_t best = diagonal + (a[i] != b[j - 1]);
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[len];
}

static int unknown_option(lua_State *L, const char *name) {
    const char *nearest = NULL;
    size_t least = 3;
    for (int i = 0; i < ROWS; i++) {
        size_t changes = distance(name, table[i].name);
        if (changes < least) {
            least = changes;
            nearest = table[i].name;
        }
    }
    if (nearest)
        return luaL_error(L, "unknown option '%s' (did you mean '%s'?)", name, nearest);
    return luaL_error(L, "unknown option '%s'", name);
}

static void check_names(lua_State *L) {
    size_t len;
    const char *const *names = tlb_sorted_keys(L, OPTIONS, "options", &len);
    for (size_t n = 0; n < len; n++) {
        int i = 0;
        while (i < ROWS && strcmp(table[i].name, names[n]) != 0)
            i++;
        if (i == ROWS)
            unknown_option(L, names[n]);
    }
    lua_pop(L, 1);
}

/* Pushes WHAT and VALUE; false where the option is not given. */
static bool push_value(lua_State *L, const option *row) {
    lua_settop(L, SELF);
    lua_pushfstring(L, "option '%s'", row->name);
    lua_pushstring(L, row->name);
    int type = lua_rawget(L, OPTIONS);
    if (type == LUA_TNIL)
        return false;
    bool right = (row->types & TYPE(type)) != 0;
    if (!right)
        tlb_type_error(L, VALUE, lua_tostring(L, WHAT), row->expected);
    return true;
}

static tlslife_role role(lua_State *L) {
    static const char *const words[] = {"client", "server", NULL};
    if (!push_value(L, &table[0]))
        luaL_error(L, "option 'role': 'client' or 'server' expected, got nil");
    setting s = {.L = L, .what = lua_tostring(L, WHAT)};
    return choice(&s, words) == 0 ? TLSLIFE_CLIENT : TLSLIFE_SERVER;
}

static int set_all(setting *s) {
    for (int i = 1; i < ROWS; i++) {
        if (!push_value(s->L, &table[i]))
            continue;
        s->what = lua_tostring(s->L, WHAT);
        if (table[i].set(s) != TLSLIFE_OK) {
            tlb_release(s->L, SELF, &tlb_context_type);
            return tlb_fail(s->L, &s->err, lua_tostring(s->L, WHAT));
        }
    }
    lua_settop(s->L, SELF);
    return 1;
}

int tlb_context_new(lua_State *L) {
    luaL_checktype(L, OPTIONS, LUA_TTABLE);
    lua_settop(L, OPTIONS);
    check_names(L);
    lua_pushnil(L);
    for (int i = 0; i < ROWS; i++)
        push_value(L, &table[i]);
    tlslife_role wanted = role(L);
    lua_settop(L, OPTIONS);
    tlb_new(L, &tlb_context_type);
    setting s = {.L = L};
    s.context = tlslife_context_new(wanted, &s.err);
    if (!s.context)
        return tlb_fail(L, &s.err, NULL);
    tlb_fill(L, &tlb_context_type, s.context);
    return set_all(&s);
}
