/*
 * lua_memory_test: what the binding holds when Lua's memory ends.
 *
 * One life of everything (contexts with hooks, a connection in memory, sessions, errors, a listener) is run in one
 * state after the other, and in each the next allocation of Lua fails: first the first, then the second, until
 * none does. Whatever was begun must be given back: the state's blocks are counted, the rest is the leak checker's.
 *
 *     lua_memory_test [step]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"
#include "identity.h"
#include "tlslife.h"
#include "tlslife_lua.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

static const char life[] =
    "local tls, identity = require 'tlslife.core', ...\n"
    "local server = tls.context {role = 'server', certificate = CERTIFICATE, private_key = KEY,\n"
    "    on_hello = function(_, hello) assert(#hello.ciphers > 0 and #hello.versions > 0) end,\n"
    "    on_certificate = function(_, request) assert(request.ca_names) end,\n"
    "    on_verify = function(_, peer) return #peer.certificates == 1 end, verify = 'optional', ca = CERTIFICATE,\n"
    "    alpn = {'h2', 'x'}, options = {NO_RENEGOTIATION = true}, keylog = true,\n"
    "    server_names = {['a.example'] = tls.context {role = 'server', certificate = CERTIFICATE, private_key = KEY}}}\n"
    "local client = tls.context {role = 'client', ca = {CERTIFICATE}, alpn = {'x'}, keylog = true,\n"
    "    certificate = {{certificate = CERTIFICATE, private_key = KEY}},\n"
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
    "a:session() a:peer_certificates() a:take_keylog() a:export_keying_material(2000, 'EXPORTER-x') a:finished()\n"
    "tostring(a) tostring(session) a:dup()\n"
    "local buffer = tls.buffer(100) buffer:set 'abc' a:write(buffer) b:read_into(buffer)\n"
    "a:shutdown() b:shutdown() a:close()\n"
    "local c = client:connection() c:set_hostname 'elsewhere' c:set_blocking(false) c:set_memory() c:feed 'garbage'\n"
    "c:feed_eof() local ok, _, err = c:connect() assert(not ok) c:drain() c:clear() c:free()\n"
    "local l = tls.listen('127.0.0.1', 0) l:accept(server, 0) l:close()\n"
    "local none, message = tls.context {role = 'client', ca = '/nowhere'} assert(not none and message)\n"
    "do local closed <close> = client:connection() end\n";

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
    lua_State *L = lua_newstate(allocate, allowed);
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

/* Whether the life ended well although the allocation after so many was to fail: there were not as many. */
static bool survives(long allocations, const test_identity *identity) {
    allowance allowed = {-1, 0};
    lua_State *L = new_state(&allowed, identity);
    CHECK(luaL_loadbuffer(L, life, sizeof life - 1, "=life") == LUA_OK);
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

int main(int argc, char **argv) {
    static test_identity identity;
    long step = argc > 1 ? atol(argv[1]) : 2, allocations = 0;
    CHECK(identity_make(&identity));
    while (checks_failed == 0 && !survives(allocations, &identity)) {
        allocations += step > 0 ? step : 1;
    }
    CHECK(allocations > 100);
    return checks_end();
}
