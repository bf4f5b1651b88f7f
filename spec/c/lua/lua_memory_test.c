/*
 * lua_memory_test.c: tests that the Lua module gives everything back when Lua's memory ends.
 *
 * One program that uses every kind of object, and one that uses caches, is run in a new state again
 * and again. In the first run Lua's first allocation fails, in the next run a later one, and so on
 * until none fails. The blocks of each state are counted, and the leak checker sees the rest.
 *
 *     lua_memory_test [step]     step 1 lets each of them fail
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"
#include "identity.h"
#include "state_with.h"
#include "tlslife.h"
#include "tlslife_lua.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

static const char everything[] =
    "local tls, identity = require 'tlslife.core', ...\n"
    "local server = tls.context {role = 'server', certificate = CERTIFICATE, private_key = KEY,\n"
    "    on_hello = function(_, hello) assert(#hello.ciphers > 0 and #hello.versions > 0) end,\n"
    "    on_certificate = function(_, request) assert(request.ca_names) end,\n"
    "    on_verify = function(_, peer) return #peer.certificates == 1 end,\n"
    "    verify = 'optional', ca = CERTIFICATE,\n"
    "    alpn = {'h2', 'x'}, options = {NO_RENEGOTIATION = true}, keylog = true,\n"
    "    server_names = {['a.example'] = tls.context {\n"
    "        role = 'server', certificate = CERTIFICATE, private_key = KEY}}}\n"
    "local client = tls.context {role = 'client', ca = {CERTIFICATE}, alpn = {'x'},\n"
    "    keylog = true, certificate = {{certificate = CERTIFICATE, private_key = KEY}},\n"
    "    on_verify = function(_, peer) return peer.verified end, on_certificate = function() end}\n"
    "local a, b = client:connection(), server:connection()\n"
    "a:set_blocking(false) b:set_blocking(false) a:set_hostname 'localhost' tls.pair(a, b)\n"
    "local connected, accepted\n"
    "for _ = 1, 20 do\n"
    "    connected = connected or a:connect()\n"
    "    accepted = accepted or b:accept()\n"
    "end\n"
    "assert(connected and accepted)\n"
    "a:write {'x', 'y', ('z'):rep(100)} assert(b:read()) b:write 'hello' assert(a:read())\n"
    "local session = a:take_session()\n"
    "session:export 'pem' assert(client:import_session(session:export()) == session:dup())\n"
    "a:session() a:peer_certificates() a:take_keylog()\n"
    "a:export_keying_material(2000, 'EXPORTER-x') a:finished()\n"
    "tostring(a) tostring(session) a:dup()\n"
    "local buffer = tls.buffer(100) buffer:set 'abc' a:write(buffer) b:read_into(buffer)\n"
    "a:shutdown() b:shutdown() a:close()\n"
    "local c = client:connection() c:set_hostname 'elsewhere' c:set_blocking(false)\n"
    "c:set_memory() c:feed 'garbage'\n"
    "c:feed_eof() local ok, _, err = c:connect() assert(not ok) c:drain() c:clear() c:free()\n"
    "local l = tls.listen('127.0.0.1', 0) l:accept(server, 0) l:close()\n"
    "local none, message = tls.context {role = 'client', ca = '/nowhere'}\n"
    "assert(not none and message)\n"
    "do local closed <close> = client:connection() end\n";

/*
 * A failure inside a store's function does not fail the handshake, so the result of a handshake is
 * not checked. The collector is stopped until the end, because Lua does not call a finalizer for
 * which it has no memory.
 */
static const char cache_life[] =
    "collectgarbage 'stop' local tls, rows = require 'tlslife.core', {}\n"
    "local keyring = tls.keyring {('a'):rep(32), ('b'):rep(32)} keyring:rotate(('c'):rep(32))\n"
    "local external = tls.cache {keyring = keyring, in_memory = false, timeout = 100, store = {\n"
    "    get = function(key) coroutine.yield() return rows[key] end,\n"
    "    put = function(key, sealed, lifetime) coroutine.yield() rows[key] = sealed .. '' end,\n"
    "    remove = function(key) rows[key] = nil end}}\n"
    "local keys = tls.ticket_keys {keys = {('k'):rep(80)}}\n"
    "keys:replace {('l'):rep(80), ('k'):rep(80)}\n"
    "tostring(tls.ticket_keys {secret = ('s'):rep(32), epoch = 60, older = 1})\n"
    "local memory = tls.cache()\n"
    "local server = tls.context {role = 'server', certificate = CERTIFICATE, private_key = KEY,\n"
    "    cache = external, ticket_keys = keys, max_early_data = 10}\n"
    "local client = tls.context {role = 'client', ca = CERTIFICATE, cache = memory}\n"
    "local function visit()\n"
    "    local a, b = client:connection(), server:connection()\n"
    "    a:set_blocking(false) b:set_blocking(false) a:set_hostname 'localhost' tls.pair(a, b)\n"
    "    b:set_ticket_data 'data'\n"
    "    for _ = 1, 20 do\n"
    "        if not a:handshake_done() then a:connect() end\n"
    "        if not b:handshake_done() then b:accept() end\n"
    "    end\n"
    "    assert(a:handshake_done() and b:handshake_done())\n"
    "    a:read() a:resumption() b:ticket_data() a:shutdown() b:shutdown() b:dup()\n"
    "end\n"
    "for _ = 1, 3 do\n"
    "    local thread = coroutine.create(visit)\n"
    "    repeat\n"
    "        local ok, message = coroutine.resume(thread)\n"
    "        if not ok then error(message, 0) end\n"
    "    until coroutine.status(thread) == 'dead'\n"
    "end\n"
    "for entry in memory:entries() do\n"
    "    external:remove(entry.id) memory:get(entry.id) memory:take(entry.id)\n"
    "end\n"
    "tls.cache():import(keyring, memory:export(keyring))\n"
    "memory:flush(true) tostring(memory) external:stats()\n"
    "local none, message = memory:import(keyring, 'garbage') assert(not none and message)\n"
    "assert(not pcall(tls.cache, {store = {get = print}}))\n";

typedef struct allowance {
    long left;   /* allocations until one fails; -1: none will */
    long blocks; /* alive */
} allowance;

static void *allocate(void *ud, void *block, size_t old_size, size_t new_size) {
    allowance *allowed = ud;
    if (new_size == 0) {
        allowed->blocks -= block != NULL;
        free(block);
        return NULL;
    }
    if (block == NULL || new_size > old_size) {
        if (allowed->left == 0) {
            return NULL;
        }
        allowed->left -= allowed->left > 0;
    }
    void *moved = realloc(block, new_size);
    allowed->blocks += moved != NULL && block == NULL;
    return moved;
}

static lua_State *new_state(allowance *allowed, const test_identity *identity) {
    lua_State *L = state_with(allocate, allowed);
    luaL_openlibs(L);
    lua_pushstring(L, identity->certificate);
    lua_setglobal(L, "CERTIFICATE");
    lua_pushstring(L, identity->key);
    lua_setglobal(L, "KEY");
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_tlslife_core);
    lua_setfield(L, -2, "tlslife.core");
    lua_settop(L, 0);
    return L;
}

/*
 * Whether the program ended well although the allocation after that many was to fail. So it makes
 * no more of them.
 */
static bool survives(const char *life, long allocations, const test_identity *identity) {
    allowance allowed = {-1, 0};
    lua_State *L = new_state(&allowed, identity);
    CHECK(luaL_loadbuffer(L, life, strlen(life), "=life") == LUA_OK);
    allowed.left = allocations;
    int result = lua_pcall(L, 0, 0, 0);
    bool well = result == LUA_OK && allowed.left > 0;
    allowed.left = -1;
    if (result != LUA_OK) {
        const char *message = luaL_tolstring(L, -1, NULL);
        if (!CHECK(strstr(message, "not enough memory") != NULL)) {
            fprintf(stderr, "after %ld allocations: %s\n", allocations, message);
        }
    }
    lua_close(L);
    CHECK(allowed.blocks == 0);
    return well;
}

/*
 * Every fourth allocation fails: under AddressSanitizer the third, the seventh and so on, elsewhere
 * the first, the fifth and so on.
 */
#ifdef __SANITIZE_ADDRESS__
#define FIRST 2
#else
#define FIRST 0
#endif

int main(int argc, char **argv) {
    static test_identity identity;
    long step = argc > 1 && atol(argv[1]) > 0 ? atol(argv[1]) : 4;
    long first = FIRST;
    if (argc > 1) {
        first = 0;
    }
    static const char *const lives[] = {everything, cache_life};
    CHECK(identity_make(&identity));
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
        long allocations = first;
        while (checks_failed == 0 && !survives(lives[i], allocations, &identity)) {
            allocations += step;
        }
        CHECK(allocations > 100);
    }
    return checks_end();
}
