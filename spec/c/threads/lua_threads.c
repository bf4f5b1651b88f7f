/*
 * lua_threads: runs four threads of a C program, each with Lua states of its own, one after
 * another. They share contexts, caches, a slab, key rings and ticket keys, and any thread may give
 * up the last reference. ThreadSanitizer and AddressSanitizer watch them.
 *
 * The C program makes the objects and pushes them into each state. The states make handshakes with
 * them, sessions and caches go around, keys are rotated and replaced, and a state ends where it
 * stands, by lua_close or by an error. What must hold whatever the others do: a handshake succeeds,
 * the bytes are right, and both ends agree whether they resume.
 *
 *     lua_threads [seconds]
 */
#include "check.h"
#include "identity.h"
#include "tlslife.h"
#include "tlslife_lua.h"

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, CONTEXTS = 3 };

typedef struct world {
    tlslife_context *clients[CONTEXTS], *servers[CONTEXTS];
    tlslife_cache *caches[2]; /* in memory; and over the slab */
    tlslife_store *slab;
    tlslife_keyring *keyring;
    tlslife_ticket_keys *ticket_keys;
} world;

static world all;
static test_identity identity;
static time_t until;
static atomic_long states, visits, resumed, problems;

/* -------------------------------------------------------------------------------------- a state */

static const char script[] =
    "local tls = require 'tlslife'\n"
    "local pick = function(list) return list[math.random(#list)] end\n"
    "local kept = {}\n"
    "local function visit()\n"
    "    local a, b = pick(CLIENTS):connection(), pick(SERVERS):connection()\n"
    "    a:set_blocking(false) b:set_blocking(false) a:set_hostname 'localhost' tls.pair(a, b)\n"
    "    local client, server, why\n"
    "    for _ = 1, 100 do\n"
    "        if not client then client, why = a:connect() end\n"
    "        if not server then server = b:accept() end\n"
    "        if client and server then break end\n"
    "    end\n"
    "    assert(client and server, why)\n"
    "    assert(b:write 'ping' and a:read() == 'ping' and a:write 'pong' and b:read() == 'pong')\n"
    "    assert(a:session_reused() == b:session_reused(), 'the ends disagree')\n"
    "    VISITED(a:session_reused())\n"
    "    kept[math.random(4)] = a:session()\n"
    "    if math.random(3) > 1 then a:shutdown() b:shutdown() b:read() a:read() end\n"
    "    if math.random(2) == 1 then a:free() b:free() end\n"
    "end\n"
    "local acts = {\n"
    "    function(s) pick(CACHES):put(s) end, function(s) pick(CACHES):get(s:id()) end,\n"
    "    function(s) pick(CACHES):take(s:id()) end, function(s) pick(CACHES):remove(s:id()) end,\n"
    "    function() pick(CACHES):flush(math.random(2) == 1) end,\n"
    "    function() pick(CACHES):stats() end,\n"
    "    function() for one in pick(CACHES):entries() do assert(#one.id > 0) end end,\n"
    "    function() local c = pick(CACHES) local s = c:export(KEYRING)\n"
    "        if s then c:import(KEYRING, s) end end,\n"
    "    function() KEYRING:rotate(('r'):rep(31) .. math.random(9)) end,\n"
    "    function() TICKET_KEYS:replace {(pick {'a', 'b', 'c'}):rep(80)} end,\n"
    "    function() SLAB:pump() end, function() pick(SERVERS):session_id_context() end,\n"
    "    function(s) assert(pick(CLIENTS):import_session(s:export())) end,\n"
    "    function() pick(SERVERS):up_ref():free() end,\n"
    "    function() pick(CLIENTS):set_timeout(5) end,\n"
    "    function() collectgarbage 'step' end,\n"
    "}\n"
    "for _ = 1, math.random(8) do\n"
    "    visit()\n"
    "    for _ = 1, 6 do\n"
    "        local session = kept[math.random(4)]\n"
    "        if session then pick(acts)(session) end\n"
    "    end\n"
    "end\n"
    "if math.random(4) == 1 then error 'on purpose' end\n";

static int visited(lua_State *L) {
    visits++;
    resumed += lua_toboolean(L, 1);
    return 0;
}

static void set_contexts(lua_State *L, const char *name, tlslife_context *const *list) {
    lua_newtable(L);
    for (int i = 0; i < CONTEXTS; i++) {
        tlslife_lua_push_context(L, list[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setglobal(L, name);
}

static int open_state(lua_State *L) {
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_tlslife_core);
    lua_setfield(L, -2, "tlslife");
    luaL_requiref(L, "tlslife.core", luaopen_tlslife_core, 0);
    lua_register(L, "VISITED", visited);
    set_contexts(L, "CLIENTS", all.clients);
    set_contexts(L, "SERVERS", all.servers);
    lua_newtable(L);
    for (int i = 0; i < 2; i++) {
        tlslife_lua_push_cache(L, all.caches[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setglobal(L, "CACHES");
    tlslife_lua_push_store(L, all.slab);
    lua_setglobal(L, "SLAB");
    tlslife_lua_push_keyring(L, all.keyring);
    lua_setglobal(L, "KEYRING");
    tlslife_lua_push_ticket_keys(L, all.ticket_keys);
    lua_setglobal(L, "TICKET_KEYS");
    return 0;
}

static void play(void) {
    lua_State *L = luaL_newstate();
    lua_pushcfunction(L, open_state);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK || luaL_loadstring(L, script) != LUA_OK ||
        (lua_pcall(L, 0, 0, 0) != LUA_OK && strstr(lua_tostring(L, -1), "on purpose") == NULL)) {
        problems++;
        fprintf(stderr, "lua_threads: %s\n", lua_tostring(L, -1));
    }
    lua_close(L);
    states++;
}

static void *work(void *argument) {
    (void)argument;
    do {
        play();
    } while (time(NULL) < until);
    return NULL;
}

/* -------------------------------------------------------------------------------------- objects */

static tlslife_context *new_server(tlslife_cache *cache, tlslife_resumption resumption) {
    tlslife_context *self = tlslife_context_new(TLSLIFE_SERVER, NULL);
    CHECK(tlslife_context_set_certificate_pem(self, identity.certificate,
                                              strlen(identity.certificate), NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_private_key_pem(self, identity.key, strlen(identity.key), NULL,
                                              NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_resumption(self, resumption, NULL) == TLSLIFE_OK);
    if (cache != NULL) {
        CHECK(tlslife_context_set_cache(self, cache, NULL) == TLSLIFE_OK);
    }
    if (resumption != TLSLIFE_RESUMPTION_STATEFUL) {
        CHECK(tlslife_context_set_ticket_keys(self, all.ticket_keys, NULL) == TLSLIFE_OK);
    }
    return self;
}

static tlslife_context *new_client(tlslife_cache *cache, int version) {
    tlslife_context *self = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    CHECK(tlslife_context_add_ca_pem(self, identity.certificate, strlen(identity.certificate),
                                     NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_versions(self, TLSLIFE_TLS1_2, version, NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_cache(self, cache, NULL) == TLSLIFE_OK);
    return self;
}

static void make_world(const char *path) {
    unsigned char secret[33] = "a secret of thirty-two bytes....";
    tlslife_cache_options options = tlslife_cache_defaults();
    all.keyring = tlslife_keyring_new(secret, 32, NULL);
    all.ticket_keys = tlslife_ticket_keys_new((const unsigned char[80]){1}, 80, NULL);
    all.slab = tlslife_store_shared(path, 1 << 20, false, NULL);
    all.caches[0] = tlslife_cache_new(&options, NULL);
    options.store = all.slab;
    options.keyring = all.keyring;
    all.caches[1] = tlslife_cache_new(&options, NULL);
    all.servers[0] = new_server(all.caches[0], TLSLIFE_RESUMPTION_STATEFUL);
    all.servers[1] = new_server(all.caches[1], TLSLIFE_RESUMPTION_BOTH);
    all.servers[2] = new_server(NULL, TLSLIFE_RESUMPTION_TICKETS);
    for (int i = 0; i < CONTEXTS; i++) {
        all.clients[i] = new_client(all.caches[i % 2], i == 1 ? TLSLIFE_TLS1_2 : TLSLIFE_TLS1_3);
    }
}

static void free_world(void) {
    for (int i = 0; i < CONTEXTS; i++) {
        tlslife_context_free(all.clients[i]);
        tlslife_context_free(all.servers[i]);
    }
    tlslife_cache_free(all.caches[0]);
    tlslife_cache_free(all.caches[1]);
    tlslife_store_free(all.slab);
    tlslife_keyring_free(all.keyring);
    tlslife_ticket_keys_free(all.ticket_keys);
}

int main(int argc, char **argv) {
    char directory[] = "/tmp/lua_threads.XXXXXX", path[sizeof directory + 8];
    pthread_t threads[THREADS];
    CHECK(identity_make(&identity));
    if (!CHECK(mkdtemp(directory) != NULL)) {
        return checks_end();
    }
    (void)snprintf(path, sizeof path, "%s/slab", directory);
    make_world(path);
    until = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    free_world();
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
    CHECK(problems == 0);
    CHECK(states >= THREADS && visits > states && resumed > 0);
    printf("proved lua_threads: %ld states, %ld connections, %ld resumed; %ld findings\n", states,
           visits, resumed, problems);
    return checks_end();
}
