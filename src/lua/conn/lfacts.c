/*
 * lfacts.c: implements the getters of what a connection's handshake found. Each returns one value,
 * which is nil before it is known.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/base/lheld.h"
#include "lua/base/lstate.h"
#include "lua/conn/lfacts.h"
#include "lua/verb/lquestion.h"
#include "tlslife.h"

static int conn_handshake_done(lua_State *L) {
    lua_pushboolean(L, tlslife_conn_handshake_done(tlb_getter(L)));
    return 1;
}

static int conn_state(lua_State *L) {
    lua_pushstring(L, tlslife_conn_state_name(tlb_getter(L)));
    return 1;
}

static int conn_state_text(lua_State *L) {
    lua_pushstring(L, tlslife_conn_state_text(tlb_getter(L)));
    return 1;
}

static int conn_is_server(lua_State *L) {
    lua_pushboolean(L, tlslife_conn_is_server(tlb_getter(L)));
    return 1;
}

static int conn_version(lua_State *L) {
    return tlb_optional_string(L, tlslife_conn_version(tlb_getter(L)));
}

static int conn_cipher(lua_State *L) {
    return tlb_optional_string(L, tlslife_conn_cipher(tlb_getter(L)));
}

static int conn_group(lua_State *L) {
    return tlb_optional_string(L, tlslife_conn_group(tlb_getter(L)));
}

typedef bool (*algorithm)(const tlslife_conn *conn, char *out, size_t out_len);

static int push_algorithm(lua_State *L, algorithm get) {
    char name[64];
    return tlb_optional_string(L, get(tlb_getter(L), name, sizeof name) ? name : NULL);
}

static int conn_signature_algorithm(lua_State *L) {
    return push_algorithm(L, tlslife_conn_signature_algorithm);
}

static int conn_peer_signature_algorithm(lua_State *L) {
    return push_algorithm(L, tlslife_conn_peer_signature_algorithm);
}

static int conn_offered_ciphers(lua_State *L) {
    tlb_getter(L);
    tlb_held *held = tlb_hold(L);
    held->string = tlslife_conn_offered_ciphers(tlb_getter(L));
    if (!held->string) {
        lua_pushnil(L);
        return 1;
    }
    lua_newtable(L);
    const char *name = held->string;
    for (lua_Integer i = 1; *name; i++) {
        size_t len = strcspn(name, ":");
        lua_pushlstring(L, name, len);
        lua_rawseti(L, -2, i);
        name += len + (name[len] == ':');
    }
    tlb_held_clear(held);
    return 1;
}

/* Pushes the list that copy makes; nil if it is empty. */
static int push_list(lua_State *L, tlb_copier copy) {
    tlb_copy_without_gc(L, copy, tlb_getter(L));
    if (lua_rawlen(L, -1) == 0) {
        lua_pushnil(L);
    }
    return 1;
}

static int conn_ca_names(lua_State *L) {
    return push_list(L, tlb_ca_names);
}

/* Pushes what a getter says of a handshake that is done; nil if it is not. */
static int push_boolean(lua_State *L, bool (*get)(const tlslife_conn *conn)) {
    const tlslife_conn *conn = tlb_getter(L);
    if (tlslife_conn_version(conn)) {
        lua_pushboolean(L, get(conn));
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int conn_extended_master_secret(lua_State *L) {
    return push_boolean(L, tlslife_conn_extended_master_secret);
}

static int conn_hello_retry(lua_State *L) {
    return push_boolean(L, tlslife_conn_hello_retry);
}

static int conn_secure_renegotiation(lua_State *L) {
    return push_boolean(L, tlslife_conn_secure_renegotiation);
}

static int conn_num_renegotiations(lua_State *L) {
    lua_pushinteger(L, tlslife_conn_num_renegotiations(tlb_getter(L)));
    return 1;
}

static int conn_resumption(lua_State *L) {
    return tlb_optional_string(L, tlslife_outcome_name(tlslife_conn_resumption(tlb_getter(L))));
}

static int conn_alpn(lua_State *L) {
    tlslife_bytes protocol = {NULL, 0};
    tlslife_conn_alpn(tlb_getter(L), &protocol);
    return tlb_optional_bytes(L, protocol);
}

static int conn_psk_identity(lua_State *L) {
    return tlb_optional_string(L, tlslife_conn_psk_identity(tlb_getter(L)));
}

static int conn_psk_identity_hint(lua_State *L) {
    return tlb_optional_string(L, tlslife_conn_psk_identity_hint(tlb_getter(L)));
}

static int conn_server_name(lua_State *L) {
    return tlb_optional_string(L, tlslife_conn_server_name(tlb_getter(L)));
}

static int conn_verify_result(lua_State *L) {
    long result = tlslife_conn_verify_result(tlb_getter(L));
    if (result < 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushstring(L, tlslife_verify_result_text(result));
    lua_pushinteger(L, result);
    return 2;
}

static int conn_peer_certificates(lua_State *L) {
    return push_list(L, tlb_peer_certificates);
}

static int conn_local_certificates(lua_State *L) {
    return push_list(L, tlb_local_certificates);
}

static int conn_cipher_description(lua_State *L) {
    char text[256];
    size_t len = tlslife_conn_cipher_description(tlb_getter(L), text, sizeof text);
    return tlb_optional_string(L, len > 0 ? text : NULL);
}

static int conn_cipher_bits(lua_State *L) {
    int algorithm_bits = 0;
    int bits = tlslife_conn_cipher_bits(tlb_getter(L), &algorithm_bits);
    if (bits == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, bits);
    lua_pushinteger(L, algorithm_bits);
    return 2;
}

static int conn_verify_errors(lua_State *L) {
    enum { MOST = 32 };
    tlslife_verify_error errors[MOST];
    size_t len = tlslife_conn_verify_errors(tlb_getter(L), errors, MOST);
    if (len == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, (int)len, 0);
    for (size_t i = 0; i < len && i < MOST; i++) {
        lua_createtable(L, 0, 3);
        tlb_set_integer(L, "depth", errors[i].depth);
        tlb_set_integer(L, "result", errors[i].result);
        tlb_set_string(L, "text", tlslife_verify_result_text(errors[i].result));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

typedef size_t (*finished)(const tlslife_conn *conn, unsigned char *out, size_t out_len);

static int push_finished(lua_State *L, finished get) {
    unsigned char message[64]; /* as long as the longest hash */
    size_t len = get(tlb_getter(L), message, sizeof message);
    return tlb_optional_bytes(L, (tlslife_bytes){message, len});
}

static int conn_finished(lua_State *L) {
    return push_finished(L, tlslife_conn_finished);
}

static int conn_peer_finished(lua_State *L) {
    return push_finished(L, tlslife_conn_peer_finished);
}

static int conn_export_keying_material(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    size_t len = tlb_size(L, 2, 1, 65535, -1), label_len, context_len = 0;
    const char *label = tlb_bytes(L, 3, &label_len);
    const char *context = lua_isnoneornil(L, 4) ? NULL : tlb_bytes(L, 4, &context_len);
    luaL_Buffer exported;
    unsigned char *out = (unsigned char *)luaL_buffinitsize(L, &exported, len);
    tlb_conn *self = tlb_self_conn(L);
    tlslife_status status =
        tlslife_conn_export_keying_material(tlb_conn_object(self), out, len, label, label_len,
                                            (const unsigned char *)context, context_len);
    if (status != TLSLIFE_OK) {
        return tlb_told(L, self, status);
    }
    luaL_pushresultsize(&exported, len);
    return 1;
}

static int conn_ocsp_response(lua_State *L) {
    tlslife_bytes der = {NULL, 0};
    tlslife_conn_ocsp_response(tlb_getter(L), &der);
    return tlb_optional_bytes(L, der);
}

static int conn_take_keylog(lua_State *L) {
    tlb_getter(L);
    tlb_held *held = tlb_hold(L);
    held->string = tlslife_conn_take_keylog(tlb_getter(L));
    lua_pushstring(L, held->string);
    tlb_held_clear(held);
    return 1;
}

const luaL_Reg tlb_conn_facts[] = {
    {"handshake_done", conn_handshake_done},
    {"state", conn_state},
    {"state_text", conn_state_text},
    {"is_server", conn_is_server},
    {"version", conn_version},
    {"cipher", conn_cipher},
    {"group", conn_group},
    {"signature_algorithm", conn_signature_algorithm},
    {"peer_signature_algorithm", conn_peer_signature_algorithm},
    {"offered_ciphers", conn_offered_ciphers},
    {"ca_names", conn_ca_names},
    {"extended_master_secret", conn_extended_master_secret},
    {"hello_retry", conn_hello_retry},
    {"secure_renegotiation", conn_secure_renegotiation},
    {"num_renegotiations", conn_num_renegotiations},
    {"resumption", conn_resumption},
    {"alpn", conn_alpn},
    {"psk_identity", conn_psk_identity},
    {"psk_identity_hint", conn_psk_identity_hint},
    {"server_name", conn_server_name},
    {"verify_result", conn_verify_result},
    {"peer_certificates", conn_peer_certificates},
    {"local_certificates", conn_local_certificates},
    {"cipher_description", conn_cipher_description},
    {"cipher_bits", conn_cipher_bits},
    {"verify_errors", conn_verify_errors},
    {"finished", conn_finished},
    {"peer_finished", conn_peer_finished},
    {"export_keying_material", conn_export_keying_material},
    {"ocsp_response", conn_ocsp_response},
    {"take_keylog", conn_take_keylog},
    {NULL, NULL},
};
