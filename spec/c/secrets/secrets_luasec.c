/*
 * secrets_luasec.c: gives secrets to the drop-in for LuaSec and lets go of them, for secrets.c.
 */
#include "secrets.h"
#include "secrets_script.h"

#include <stddef.h>

#define KEYS                                                                     \
    "local ssl = require 'tlslife.luasec'\n"                                     \
    "local certificate, key = file 'PEM certificate', file 'PEM key'\n"          \
    "local locked = file 'PEM encrypted key'\n"                                  \
    "local function server(key, password)\n"                                     \
    "    return ssl.newcontext {mode = 'server', protocol = 'any', key = key,\n" \
    "        certificate = certificate, password = password}\n"                  \
    "end\n"                                                                      \
    "local function remove()\n"                                                  \
    "    os.remove(certificate) os.remove(key) os.remove(locked)\n"              \
    "end\n"

LIFE(plain_key, KEYS "do local ctx = assert(server(key)) held 'private key' end remove() gone()")

LIFE(plain_key_asks, KEYS "do local ctx = assert(server(key, function() error 'asked' end))\n"
                          "held 'private key' end remove() gone()")

LIFE(password, KEYS "do local ctx = assert(server(locked, given 'passphrase'))\n"
                    "held 'private key,passphrase' end remove() gone()")

LIFE(password_function,
     KEYS "do local ctx = assert(server(locked, function() return given 'passphrase' end))\n"
          "held 'private key,passphrase' end remove() gone()")

LIFE(wrong_password,
     KEYS "do assert(not server(locked, given('wrong passphrase', 32)))\n"
          "assert(not server(locked, function() return given('another passphrase', 32) end))\n"
          "end remove() gone()")

LIFE(key_loaded, KEYS "do local context = require 'tlslife.luasec.context'.module\n"
                      "local ctx = assert(context.create 'any')\n"
                      "assert(context.loadkey(ctx, key, function() error 'asked' end)) end\n"
                      "gone() remove()")

/* The context is kept, and with it the key. The text of the key's file is not. */
LIFE(kept, KEYS "do local kept = require 'tlslife.luasec.kept'\n"
                "local parameters = {mode = 'server', protocol = 'any', key = locked,\n"
                "    certificate = certificate, password = given 'passphrase'}\n"
                "assert(kept.context(parameters) == kept.context(parameters))\n"
                "parameters.key, parameters.password = key, nil\n"
                "assert(kept.context(parameters) == kept.context(parameters)) end\n"
                "held 'private key' gone 'private key,passphrase' remove()")

/* Both ends are asked. In TLS 1.3 the server's function is asked for each ClientHello. */
#define PSK(protocol)                                                                           \
    KEYS "do local native = require 'tlslife.luasec.native'\n"                                  \
         "local PSK = given('PSK', 32)\n"                                                       \
         "local client = assert(ssl.newcontext {mode = 'client', protocol = '" protocol "',\n"  \
         "    ciphers = 'PSK', psk = function() return 'someone', PSK end})\n"                  \
         "local server = assert(ssl.newcontext {mode = 'server', protocol = '" protocol "',\n"  \
         "    ciphers = 'PSK', psk = {hint = 'hint', callback = function() return PSK end}})\n" \
         "local a, b = assert(native.new(client)), assert(native.new(server))\n"                \
         "a:set_blocking(false) b:set_blocking(false) tls.pair(a, b)\n"                         \
         "for _ = 1, 4 do a:connect() b:accept() end\n"                                         \
         "assert(b:write 'x' and a:read() == 'x') held 'PSK' end remove() gone()"

LIFE(psk_12, PSK("tlsv1_2"))
LIFE(psk_13, PSK("tlsv1_3"))

const life luasec_lives[] = {
    {"LuaSec: key", "collected", plain_key},
    {"LuaSec: key", "collected, with a function", plain_key_asks},
    {"LuaSec: key", "loaded, collected", key_loaded},
    {"LuaSec: password", "collected", password},
    {"LuaSec: password", "collected, of a function", password_function},
    {"LuaSec: password", "refused, wrong", wrong_password},
    {"LuaSec: parameters", "kept", kept},
    {"LuaSec: PSK", "collected, TLS 1.2", psk_12},
    {"LuaSec: PSK", "collected, TLS 1.3", psk_13},
    {NULL, NULL, NULL},
};
