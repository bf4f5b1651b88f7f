/*
 * secrets_lua.c: gives secrets to the Lua module and lets go of them, for secrets.c.
 *
 * A script's own strings belong to Lua, which frees them when it has collected them. The allocator
 * of this file wipes what Lua frees. So what the scan finds after that is a copy that the module
 * has made.
 */
#include "secrets.h"
#include "secrets_told.h"
#include "state_with.h"
#include "tlslife_lua.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

static void *wiping(void *unused, void *old, size_t before, size_t after) {
    (void)unused;
    void *made = after == 0 ? NULL : malloc(after);
    if (after > 0 && made == NULL) {
        return NULL;
    }
    if (old != NULL) {
        if (made != NULL) {
            memcpy(made, old, before < after ? before : after);
        }
        explicit_bzero(old, before);
        free(old);
    }
    return made;
}

/* given(name, len), or given(name) for a text */
static int lua_given(lua_State *L) {
    size_t len = (size_t)luaL_optinteger(L, 2, 0);
    const char *name = luaL_checkstring(L, 1);
    char *secret = len > 0 ? given(name, len) : given_text(name, &len);
    lua_pushlstring(L, secret, len);
    ungive(secret, len);
    return 1;
}

static int lua_told(lua_State *L) {
    tell_keylog_line(luaL_checkstring(L, 1));
    return 0;
}

static int lua_held(lua_State *L) {
    expect_held(luaL_checkstring(L, 1));
    return 0;
}

static int lua_gone(lua_State *L) {
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCCOLLECT);
    expect_gone();
    return 0;
}

static const char before_each[] =
    "local tls, given, told, held, gone = ...\n"
    "local function connect(versions, psk)\n"
    "    local server = assert(tls.context {role = 'server',\n"
    "        certificate = given 'PEM certificate',\n"
    "        private_key = given 'PEM key', max_version = versions, psk = psk})\n"
    "    local client = assert(tls.context {role = 'client', psk = psk,\n"
    "        ca = given 'PEM certificate',\n"
    "        keylog = true})\n"
    "    local a, b = assert(client:connection()), assert(server:connection())\n"
    "    a:set_blocking(false) b:set_blocking(false) a:set_hostname 'localhost' tls.pair(a, b)\n"
    "    for _ = 1, 4 do a:connect() b:accept() end\n"
    "    assert(b:write 'x' and a:read() == 'x')\n"
    "    for line in a.take_keylog, a do told(line) end\n"
    "    return a, b, client\n"
    "end\n";

static void run(const char *script) {
    lua_State *L = state_with(wiping, NULL);
    luaL_Buffer whole;
    luaL_openlibs(L);
    luaL_buffinit(L, &whole);
    luaL_addstring(&whole, before_each);
    luaL_addstring(&whole, script);
    luaL_pushresult(&whole);
    expect_that(luaL_loadstring(L, lua_tostring(L, -1)) == LUA_OK, "a script");
    luaL_requiref(L, "tlslife.core", luaopen_tlslife_core, 0);
    lua_pushcfunction(L, lua_given);
    lua_pushcfunction(L, lua_told);
    lua_pushcfunction(L, lua_held);
    lua_pushcfunction(L, lua_gone);
    if (lua_pcall(L, 5, 0, 0) != LUA_OK) {
        expect_that(false, luaL_tolstring(L, -1, NULL));
    }
    lua_close(L);
    expect_gone();
}

/* ---------------------------------------------------------------------------------- the scripts */

#define LIFE(name, script)   \
    static void name(void) { \
        run(script);         \
    }

LIFE(options_free, "do local context = assert(tls.context {role = 'server',\n"
                   "        certificate = given 'PEM certificate',\n"
                   "    private_key = given 'PEM encrypted key', passphrase = given 'passphrase',\n"
                   "    psk = {identity = 'someone', key = given('PSK', 48)}})\n"
                   "held 'private key,PSK' context:free() end gone()")

LIFE(options_collected,
     "do local context = assert(tls.context {role = 'server',\n"
     "        certificate = given 'PEM certificate',\n"
     "    private_key = given 'PEM encrypted key', passphrase = given 'passphrase',\n"
     "    psk = {identity = 'someone', key = given('PSK', 48)}})\n"
     "held 'private key,PSK' end gone()")

LIFE(options_end_with_state,
     "context = assert(tls.context {role = 'server',\n"
     "        certificate = given 'PEM certificate',\n"
     "    private_key = given 'PEM key', psk = {identity = 'someone', key = given('PSK', 48)}})\n"
     "held 'private key,PSK'")

LIFE(option_raises,
     "do local ok = pcall(tls.context, {role = 'server',\n"
     "        certificate = given 'PEM certificate',\n"
     "    private_key = given 'PEM key', psk = {identity = 'someone', key = given('PSK', 48)},\n"
     "    session_timeout = -1}) assert(not ok) end gone()")

LIFE(option_fails,
     "do local ok = tls.context {role = 'server',\n"
     "        certificate = given 'PEM certificate',\n"
     "    private_key = given 'PEM key', psk = {identity = 'someone', key = given('PSK', 48)},\n"
     "    keylog = '/nowhere/at/all'} assert(not ok) end gone()")

LIFE(key_fails,
     "do local ok = tls.context {role = 'server',\n"
     "        certificate = given 'PEM certificate',\n"
     "    private_key = given 'PEM encrypted key', passphrase = given('wrong passphrase', 32)}\n"
     "assert(not ok) end gone()")

LIFE(ring_ends, "do local ring = tls.keyring {given('secret', 32), given('another secret', 32)}\n"
                "ring:rotate(given('third secret', 40)) ring:free()\n"
                "assert(not pcall(tls.keyring, {given('fourth secret', 32), given('short', 31)}))\n"
                "ring = tls.keyring {given('fifth secret', 32)} end gone()")

LIFE(ticket_keys_end,
     "do local keys = tls.ticket_keys {keys = {given('key 1', 80), given('key 2', 80)}}\n"
     "keys:replace {given('key 3', 80)}\n"
     "assert(not pcall(keys.replace, keys, {given('key 4', 80), given('short key', 79)}))\n"
     "assert(not pcall(tls.ticket_keys, {keys = {given('key 5', 80), 1}}))\n"
     "assert(not pcall(tls.ticket_keys, {secret = given('short secret', 31)}))\n"
     "local derived = tls.ticket_keys {secret = given('tickets secret', 32)}\n"
     "keys:free() end gone()")

LIFE(connection_ends, "do local a, b, client = connect 'TLSv1.3'\n"
                      "assert(#a:export_keying_material(32, 'EXPERIMENTAL spec') == 32)\n"
                      "local session = a:session()\n"
                      "local again = assert(client:import_session(session:export 'pem'))\n"
                      "assert(again == session:dup() and again:export() == session:export())\n"
                      "a:close(0) b:close(0) b:free() end gone()")

LIFE(connection_ends_12,
     "do local a, b, client = connect 'TLSv1.2'\n"
     "local session = a:session() client:import_session(session:export()) a:clear() end gone()")

LIFE(psk_connection_ends,
     "do local a, b = connect('TLSv1.3', {identity = 'someone', key = given('PSK', 32)})\n"
     "held 'PSK' a:close(0) b:close(0) end gone()")

LIFE(redis_ends,
     "do local store = assert(tls.redis {host = '127.0.0.1:1', password = given('password', 32)})\n"
     "held 'password' store:free()\n"
     "assert(not pcall(tls.redis, {password = given('another password', 32), database = -1}))\n"
     "end gone()")

const life lua_lives[] = {
    {"Lua: options", "free", options_free},
    {"Lua: options", "collected", options_collected},
    {"Lua: options", "end of the state", options_end_with_state},
    {"Lua: options", "an option raises", option_raises},
    {"Lua: options", "an option fails", option_fails},
    {"Lua: options", "wrong passphrase", key_fails},
    {"Lua: key ring", "free, rotate, refused, collected", ring_ends},
    {"Lua: ticket keys", "free, replace, refused, collected", ticket_keys_end},
    {"Lua: connection", "free, collected, TLS 1.3", connection_ends},
    {"Lua: connection", "clear, collected, TLS 1.2", connection_ends_12},
    {"Lua: connection", "PSK", psk_connection_ends},
    {"Lua: Redis' password", "free, refused", redis_ends},
    {NULL, NULL, NULL},
};
