/*
 * lcertificate.c: implements tls.certificate, tls.fingerprint and tls.issued, for certificates that
 * the script has as bytes.
 *
 * Whatever a certificate says is bytes that its maker chose. They become Lua strings with their
 * lengths, and nothing here reads them.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/base/lheld.h"
#include "lua/values/lcertificate.h"
#include "tlslife.h"

static void set_bytes(lua_State *L, const char *field, const unsigned char *bytes, size_t len) {
    if (bytes) {
        lua_pushlstring(L, (const char *)bytes, len);
        lua_setfield(L, -2, field);
    }
}

static void set_text(lua_State *L, const char *field, const char *text) {
    if (text) {
        lua_pushstring(L, text);
        lua_setfield(L, -2, field);
    }
}

/* Sets a field of the table at the top to a list of {oid =, name =, value =, utf8 =}. */
static void set_entries(lua_State *L, const char *field, const tlslife_name_entry *entries,
                        size_t len) {
    lua_createtable(L, (int)len, 0);
    for (size_t i = 0; i < len; i++) {
        lua_createtable(L, 0, 4);
        set_text(L, "oid", entries[i].oid);
        set_text(L, "name", entries[i].name);
        set_bytes(L, "value", entries[i].value, entries[i].value_len);
        set_bytes(L, "utf8", entries[i].utf8, entries[i].utf8_len);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, field);
}

static void push_details(lua_State *L, const tlslife_certificate_details *details) {
    tlb_push_certificate(L, &details->certificate);
    set_entries(L, "subject_entries", details->subject, details->subject_len);
    set_entries(L, "issuer_entries", details->issuer, details->issuer_len);
    set_entries(L, "alternative_names", details->names, details->names_len);
    set_text(L, "public_key", details->public_key);
    set_text(L, "public_key_kind", details->public_key_kind);
    lua_pushinteger(L, details->public_key_bits);
    lua_setfield(L, -2, "public_key_bits");
    set_text(L, "signature_name", details->signature_name);
}

int tlb_certificate(lua_State *L) {
    size_t len;
    tlslife_error err;
    const char *bytes = tlb_bytes(L, 1, &len);
    tlb_held *held = tlb_hold(L);
    if (tlslife_certificate_details_read(bytes, len, &held->details, &err) != TLSLIFE_OK) {
        return tlb_fail(L, &err, NULL);
    }
    push_details(L, &held->details);
    tlb_held_clear(held);
    return 1;
}

int tlb_fingerprint(lua_State *L) {
    size_t len;
    tlslife_error err;
    unsigned char digest[64];
    const char *bytes = tlb_bytes(L, 1, &len);
    const char *algorithm = lua_isnoneornil(L, 2) ? "sha256" : tlb_text(L, 2);
    size_t digest_len = tlslife_certificate_fingerprint(bytes, len, algorithm, digest, &err);
    if (digest_len == 0) {
        return tlb_fail(L, &err, NULL);
    }
    static const char hex[] = "0123456789abcdef";
    char text[2 * sizeof digest];
    for (size_t i = 0; i < digest_len; i++) {
        text[2 * i] = hex[digest[i] >> 4];
        text[2 * i + 1] = hex[digest[i] & 15];
    }
    lua_pushlstring(L, text, 2 * digest_len);
    return 1;
}

int tlb_issued(lua_State *L) {
    tlslife_error err;
    tlslife_bytes issuer;
    int top = lua_gettop(L);
    issuer.data = (const unsigned char *)tlb_bytes(L, 1, &issuer.len);
    luaL_argcheck(L, top >= 2, 2, "a certificate is expected");
    tlslife_bytes *chain = tlb_array(L, (size_t)top - 1, sizeof *chain);
    for (int i = 2; i <= top; i++) {
        chain[i - 2].data = (const unsigned char *)tlb_bytes(L, i, &chain[i - 2].len);
    }
    if (tlslife_certificate_issued(issuer, chain, (size_t)top - 1, &err) != TLSLIFE_OK) {
        return tlb_fail(L, &err, NULL);
    }
    lua_pushboolean(L, true);
    return 1;
}
