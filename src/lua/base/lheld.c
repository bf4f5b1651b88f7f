/*
 * lheld.c: holds C memory that is about to become a Lua value: what is ours is freed even if Lua
 * raises, and what the core lends stays while it is copied.
 *
 * Making a Lua string may raise (out of memory), and then the C memory would leak. A session's
 * bytes or a key-log line would also stay in memory unwiped. So a userdata is made before the C
 * call and holds its result. It is emptied as soon as the Lua string exists, or by the collector if
 * that never happens.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lua/base/lerror.h"
#include "lua/base/lheld.h"
#include "lua/base/lstate.h"
#include "tlslife.h"

static const char held_key;

void tlb_held_clear(tlb_held *held) {
    tlslife_certificate_clear(&held->certificate);
    tlslife_certificate_details_clear(&held->details);
    tlslife_session_bytes_free(held->bytes, held->bytes_len);
    held->bytes = NULL;
    held->bytes_len = 0;
    tlslife_string_free(held->string);
    held->string = NULL;
    tlslife_trace_event_free(held->event);
    held->event = NULL;
}

static int held_gc(lua_State *L) {
    tlb_held *held = tlb_private(L, 1, &held_key, sizeof *held);
    if (held) {
        tlb_held_clear(held);
        held->tag = 0;
    }
    return 0;
}

static const luaL_Reg held_metamethods[] = {{"__gc", held_gc}, {NULL, NULL}};

void tlb_open_held(lua_State *L) {
    luaL_newlib(L, held_metamethods);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &held_key);
}

tlb_held *tlb_hold(lua_State *L) {
    return tlb_new_private(L, &held_key, sizeof(tlb_held), 0);
}

/* -------------------------------------------------------------------------- what the core lends */

static int copy_lent(lua_State *L) {
    const tlb_state *state = tlb_state_of(L);
    state->copy(L, state->lent);
    return 1;
}

/* copy_lent finds the lent object in the state. As an argument, a debug hook could change it. */
void tlb_copy_without_gc(lua_State *L, tlb_copier copy, void *lent) {
    tlb_state *state = tlb_state_of(L);
    const tlb_state before = *state;
    bool running = lua_gc(L, LUA_GCISRUNNING);
    lua_gc(L, LUA_GCSTOP);
    state->copy = copy;
    state->lent = lent;
    lua_pushcfunction(L, copy_lent);
    int status = lua_pcall(L, 0, 1, 0);
    state->copy = before.copy;
    state->lent = before.lent;
    if (running) {
        lua_gc(L, LUA_GCRESTART);
    }
    if (status != LUA_OK) {
        lua_error(L);
    }
}

/* --------------------------------------------------------------------------------- certificates */

/* Sets the field names from "DNS:a.example,IP:127.0.0.1", as a list. */
static void set_names(lua_State *L, const char *names) {
    lua_newtable(L);
    for (lua_Integer i = 1; *names; i++) {
        size_t len = strcspn(names, ",");
        lua_pushlstring(L, names, len);
        lua_rawseti(L, -2, i);
        names += len;
        names += strspn(names, ", ");
    }
    lua_setfield(L, -2, "names");
}

void tlb_push_certificate(lua_State *L, const tlslife_certificate *certificate) {
    lua_createtable(L, 0, 12);
    tlb_set_string(L, "subject", certificate->subject);
    tlb_set_string(L, "issuer", certificate->issuer);
    tlb_set_string(L, "serial", certificate->serial);
    tlb_set_integer(L, "not_before", certificate->not_before);
    tlb_set_integer(L, "not_after", certificate->not_after);
    set_names(L, certificate->names);
    tlb_set_string(L, "fingerprint", certificate->fingerprint);
    if (certificate->key_type[0]) {
        tlb_set_string(L, "key_type", certificate->key_type);
        tlb_set_integer(L, "key_bits", certificate->key_bits);
    }
    tlb_set_string(L, "key_group", certificate->key_group[0] ? certificate->key_group : NULL);
    tlb_set_string(L, "pem", certificate->pem);
    lua_pushlstring(L, (const char *)certificate->der, certificate->der_len);
    lua_setfield(L, -2, "der");
}

typedef bool (*copier)(const tlslife_conn *conn, size_t index, tlslife_certificate *out);

static void push_certificates(lua_State *L, const tlslife_conn *conn, size_t len, copier copy) {
    lua_createtable(L, (int)len, 0);
    tlb_held *held = tlb_hold(L);
    for (size_t i = 0; i < len; i++) {
        if (!copy(conn, i, &held->certificate)) {
            luaL_error(L, "not enough memory");
        }
        tlb_push_certificate(L, &held->certificate);
        lua_rawseti(L, -3, (lua_Integer)i + 1);
        tlb_held_clear(held);
    }
    lua_pop(L, 1);
}

void tlb_peer_certificates(lua_State *L, void *lent) {
    push_certificates(L, lent, tlslife_conn_peer_certificates_len(lent),
                      tlslife_conn_peer_certificate);
}

void tlb_local_certificates(lua_State *L, void *lent) {
    push_certificates(L, lent, tlslife_conn_local_certificates_len(lent),
                      tlslife_conn_local_certificate);
}
