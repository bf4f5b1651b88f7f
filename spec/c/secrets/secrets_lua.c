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
