/*
 * secrets_lua.c: gives secrets to the Lua module and lets go of them, for secrets.c.
 */
#include "secrets.h"
#include "secrets_script.h"

#include <stddef.h>

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

/* A key and its certificate in one source; certificates with a passphrase each. */
LIFE(sources_end,
     "do local one = assert(tls.context {role = 'server', certificate = given 'PKCS#12',\n"
     "    passphrase = given 'passphrase of PKCS#12'})\n"
     "local two = assert(tls.context {role = 'server', certificate = {{\n"
     "    certificate = given 'PEM certificate', private_key = given 'DER encrypted key',\n"
     "    passphrase = given 'passphrase'}}}) held 'private key'\n"
     "assert(not tls.context {role = 'server', certificate = given 'PKCS#12',\n"
     "    passphrase = given('wrong passphrase of PKCS#12', 32)})\n"
     "end gone()")

/* The hook of a client of either version, of a server of TLS 1.2, and what they may not return. */
LIFE(hook_ends,
     "do local key, asked = given('PSK', 32), 0\n"
     "local function server() return key end\n"
     "local function client() asked = asked + 1 return 'someone', key end\n"
     "local s = assert(tls.context {role = 'server', max_version = 'TLSv1.2', on_psk = server,\n"
     "    ciphers = 'PSK'})\n"
     "local c = assert(tls.context {role = 'client', ciphers = 'PSK', on_psk = client,\n"
     "    verify = 'none'})\n"
     "local a, b = c:connection(), s:connection()\n"
     "a:set_blocking(false) b:set_blocking(false) tls.pair(a, b)\n"
     "for _ = 1, 4 do a:connect() b:accept() end\n"
     "assert(b:write 'x' and a:read() == 'x' and asked == 2) held 'PSK'\n"
     "b:free() b = s:connection() b:set_blocking(false) a:clear() tls.pair(a, b)\n"
     "key = given('PSK that is too long', 300)\n"
     "assert(not pcall(a.connect, a))\n"
     "function client() return 'someone', key end\n"
     "end gone()")

LIFE(trace_ends, "do local trace = tls.trace {secrets = true}\n"
                 "local a, b = connect('TLSv1.3', nil, trace) a:close(0) b:close(0)\n"
                 "a:free() b:free() collectgarbage() held 'EXPORTER_SECRET'\n"
                 "for _ = 1, 20 do assert(trace:next()) end end gone()")

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
    {"Lua: sources", "collected, wrong passphrase", sources_end},
    {"Lua: on_psk", "free, clear, refused, collected", hook_ends},
    {"Lua: trace", "collected", trace_ends},
    {"Lua: Redis' password", "free, refused", redis_ends},
    {NULL, NULL, NULL},
};
