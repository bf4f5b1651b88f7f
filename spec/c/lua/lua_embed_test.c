/*
 * lua_embed_test.c: tests a C program with Lua inside (include/tlslife_lua.h).
 *
 * Objects of C go to a script and come back. The same contexts are used in the states of several
 * threads, sessions go from one state to another, and states are closed in any order.
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
#include <pthread.h>

static tlslife_context *client, *server;

static lua_State *new_state(void) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "tlslife", luaopen_tlslife_core, 1);
    lua_settop(L, 0);
    return L;
}

static void run(lua_State *L, const char *script) {
    if (!CHECK(luaL_dostring(L, script) == LUA_OK)) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    }
    lua_settop(L, 0);
}

/*
 * Every question is asked, and no Lua state has a hook. The module gives the default answers of the
 * header.
 */
static void make_contexts(const test_identity *identity) {
    tlslife_error err;
    size_t certificate_len = strlen(identity->certificate), key_len = strlen(identity->key);
    client = tlslife_context_new(TLSLIFE_CLIENT, &err);
    server = tlslife_context_new(TLSLIFE_SERVER, &err);
    CHECK(tlslife_context_add_ca_pem(client, identity->certificate, certificate_len, &err) ==
          TLSLIFE_OK);
    CHECK(tlslife_context_set_certificate_pem(server, identity->certificate, certificate_len,
                                              &err) == TLSLIFE_OK);
    CHECK(tlslife_context_set_private_key_pem(server, identity->key, key_len, NULL, &err) ==
          TLSLIFE_OK);
    CHECK(tlslife_context_set_questions(server, TLSLIFE_ASK_HELLO | TLSLIFE_ASK_CERTIFICATE,
                                        &err) == TLSLIFE_OK);
    CHECK(tlslife_context_set_questions(client, TLSLIFE_ASK_CERTIFICATE | TLSLIFE_ASK_VERIFY_ALL,
                                        &err) == TLSLIFE_OK);
}

/* The module was never opened in this state. */
static void check_pushing(void) {
    lua_State *L = luaL_newstate();
    lua_pushinteger(L, 1);
    CHECK(tlslife_lua_test_context(L, 1) == NULL && tlslife_lua_test_conn(L, 1) == NULL);
    tlslife_lua_push_context(L, client);
    tlslife_lua_push_context(L, client);
    CHECK(lua_rawequal(L, -1, -2));
    CHECK(tlslife_lua_check_context(L, -1) == client && tlslife_lua_test_context(L, -2) == client);
    CHECK(tlslife_lua_test_conn(L, -1) == NULL && tlslife_lua_test_session(L, -1) == NULL);
    CHECK(tlslife_lua_test_listener(L, -1) == NULL);
    tlslife_lua_push_session(L, NULL);
    CHECK(lua_isnil(L, -1));
    tlslife_lua_push_conn(L, NULL);
    CHECK(lua_isnil(L, -1) && tlslife_lua_test_trace(L, 1) == NULL);
    tlslife_trace *trace = tlslife_trace_new(1 << 20, false, NULL);
    tlslife_lua_push_trace(L, trace);
    CHECK(tlslife_lua_test_trace(L, -1) == trace && tlslife_lua_check_trace(L, -1) == trace);
    tlslife_trace_free(trace);
    lua_close(L);
}

static void *work(void *unused) {
    lua_State *L = new_state();
    tlslife_lua_push_context(L, client);
    lua_setglobal(L, "client");
    tlslife_lua_push_context(L, server);
    lua_setglobal(L, "server");
    run(L, "for i = 1, 8 do\n"
           "    local a, b = client:connection(), server:connection()\n"
           "    a:set_blocking(false) b:set_blocking(false)\n"
           "    a:set_hostname 'localhost' tlslife.pair(a, b)\n"
           "    local connected, accepted\n"
           "    for _ = 1, 20 do\n"
           "        connected = connected or a:connect() accepted = accepted or b:accept()\n"
           "    end\n"
           "    assert(connected and accepted)\n"
           "    if i % 3 == 0 then a:free() end\n"
           "end");
    lua_close(L);
    return unused;
}

static void check_threads(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void push_conn(lua_State *L, tlslife_conn *conn, const char *name) {
    tlslife_lua_push_conn(L, conn);
    tlslife_lua_push_conn(L, conn);
    CHECK(lua_rawequal(L, -1, -2) && tlslife_lua_check_conn(L, -1) == conn);
    lua_setglobal(L, name);
    lua_pop(L, 1);
    tlslife_conn_free(conn);
}

static void connect_in(lua_State *L) {
    tlslife_error err;
    tlslife_conn *a = tlslife_conn_new(client, &err), *b = tlslife_conn_new(server, &err);
    CHECK(tlslife_conn_pair(a, b, 0) == TLSLIFE_OK);
    CHECK(tlslife_conn_set_hostname(a, "localhost") == TLSLIFE_OK);
    tlslife_conn_set_blocking(a, false);
    tlslife_conn_set_blocking(b, false);
    push_conn(L, a, "a");
    push_conn(L, b, "b");
    run(L, "local connected, accepted\n"
           "for _ = 1, 20 do\n"
           "    connected = connected or a:connect() accepted = accepted or b:accept()\n"
           "end\n"
           "assert(connected and accepted)\n"
           "a:read() assert(a:context() ~= b:context())\n"
           "session = a:session() a:shutdown() a:free() assert(not pcall(a.read, a))");
    lua_getglobal(L, "a");
    CHECK(tlslife_lua_test_conn(L, -1) == NULL);
    lua_pop(L, 1);
}

/* A session goes from one state to another, and outlives the first. */
static void check_states(void) {
    lua_State *first = new_state(), *second = new_state();
    connect_in(first);
    lua_getglobal(first, "session");
    tlslife_lua_push_session(second, tlslife_lua_check_session(first, -1));
    lua_setglobal(second, "session");
    lua_close(first);
    run(second, "assert(session:protocol() == 'TLSv1.3' and session == session:dup())");
    lua_close(second);
}

/*
 * A script uses the program's cache and keys, and a script in another state uses those of the
 * first.
 */
static void check_caches(void) {
    tlslife_error err;
    static const unsigned char secret[] = "a secret that has 32 bytes or more";
    lua_State *L = luaL_newstate();
    tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_keyring *keyring = tlslife_keyring_new(secret, sizeof secret, &err);
    tlslife_store *store = tlslife_store_program(&err);
    tlslife_ticket_keys *keys = tlslife_ticket_keys_random(60, 1, &err);
    options.store = store;
    options.keyring = keyring;
    tlslife_cache *cache = tlslife_cache_new(&options, &err);
    CHECK(cache && store && keyring && keys);
    tlslife_lua_push_cache(L, cache);
    tlslife_lua_push_store(L, store);
    tlslife_lua_push_keyring(L, keyring);
    tlslife_lua_push_ticket_keys(L, keys);
    tlslife_cache_free(cache);
    tlslife_store_free(store);
    tlslife_keyring_free(keyring);
    tlslife_ticket_keys_free(keys);
    CHECK(tlslife_lua_check_cache(L, 1) == cache && tlslife_lua_test_cache(L, 2) == NULL);
    CHECK(tlslife_lua_check_store(L, 2) == store && tlslife_lua_test_store(L, 3) == NULL);
    CHECK(tlslife_lua_check_keyring(L, 3) == keyring && tlslife_lua_test_keyring(L, 4) == NULL);
    CHECK(tlslife_lua_check_ticket_keys(L, 4) == keys &&
          tlslife_lua_test_ticket_keys(L, 1) == NULL);
    tlslife_lua_push_cache(L, cache);
    CHECK(lua_rawequal(L, 1, -1));
    lua_close(L);
}

static const char serve[] =
    "function serve(session)\n"
    "    local a, b = client:connection(), server:connection()\n"
    "    a:set_blocking(false) b:set_blocking(false)\n"
    "    a:set_hostname 'localhost' tlslife.pair(a, b)\n"
    "    if session then a:set_session(client:import_session(session)) end\n"
    "    for _ = 1, 20 do\n"
    "        if not a:handshake_done() then a:connect() end\n"
    "        if not b:handshake_done() then b:accept() end\n"
    "    end\n"
    "    a:read() a:shutdown() b:shutdown() a:read()\n"
    "    return b:resumption(), a:session():export()\n"
    "end\n";

/* The contexts, and the session's bytes. */
static void share(lua_State *first, lua_State *second) {
    static const char *const names[] = {"server", "client"};
    size_t len;
    for (int i = 0; i < 2; i++) {
        lua_getglobal(first, names[i]);
        tlslife_lua_push_context(second, tlslife_lua_check_context(first, -1));
        lua_setglobal(second, names[i]);
    }
    lua_getglobal(first, "session");
    const char *bytes = lua_tolstring(first, -1, &len);
    lua_pushlstring(second, bytes, len);
    lua_setglobal(second, "session");
    lua_settop(first, 0);
}

/*
 * A cache whose store is functions of one state serves the connections of another state. In that
 * state the functions cannot be called, and puts wait for the first one.
 */
static void check_functions(const test_identity *identity) {
    lua_State *first = new_state(), *second = new_state();
    lua_pushstring(first, identity->certificate);
    lua_setglobal(first, "CERTIFICATE");
    lua_pushstring(first, identity->key);
    lua_setglobal(first, "KEY");
    run(first, serve);
    run(second, serve);
    run(first,
        "rows, puts, gets = {}, 0, 0\n"
        "keyring = tlslife.keyring {('k'):rep(32)}\n"
        "cache = tlslife.cache {in_memory = false, keyring = keyring, store = {\n"
        "    get = function(key) gets = gets + 1 return rows[key] end, remove = print,\n"
        "    put = function(key, sealed) puts = puts + 1 rows[key] = sealed end}}\n"
        "server = tlslife.context {role = 'server', certificate = CERTIFICATE, private_key = KEY,\n"
        "    cache = cache, max_version = 'TLSv1.2'}\n"
        "client = tlslife.context {role = 'client', ca = CERTIFICATE, max_version = 'TLSv1.2'}\n"
        "word, session = serve() assert(word == 'not_offered' and puts == 1)");
    share(first, second);
    run(second, "assert(serve(session) == 'not_cached')");
    run(first, "assert(puts == 1 and gets == 0)\n"
               "assert(serve(session) == 'resumed' and puts == 2 and gets == 1)\n"
               "assert(cache:stats().store_errors == 0)");
    lua_close(first);
    run(second, "assert(serve(session) == 'not_cached')");
    lua_close(second);
}

static void check_listener(void) {
    tlslife_error err;
    lua_State *L = new_state();
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 0, false, &err);
    tlslife_lua_push_listener(L, listener);
    CHECK(tlslife_lua_check_listener(L, -1) == listener);
    lua_setglobal(L, "listener");
    run(L, "assert(listener:port() > 0) listener:close() listener:close()\n"
           "assert(not pcall(listener.port, listener))");
    lua_close(L);
}

static void check_error(void) {
    tlslife_error err = {
        .kind = TLSLIFE_ERR_INPUT, .message = "a message", .alert = -1, .verify_depth = -1};
    lua_State *L = new_state();
    CHECK(tlslife_lua_push_error(L, &err) == 3);
    CHECK(lua_gettop(L) == 3 && lua_isnil(L, 1) && lua_istable(L, 3));
    CHECK_TEXT(lua_tostring(L, 2), "a message");
    CHECK_TEXT(luaL_tolstring(L, 3, NULL), "a message");
    lua_close(L);
}

/* A context in C that asks for PSKs. A server of TLS 1.2 has no certificate then. */
static void push_asking_for_psk(lua_State *L, tlslife_role role, const char *name) {
    tlslife_context *context = tlslife_context_new(role, NULL);
    CHECK(tlslife_context_set_questions(context, TLSLIFE_ASK_PSK, NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_versions(context, 0, TLSLIFE_TLS1_2, NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_cipher_list(context, "PSK", NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_verify(context, TLSLIFE_VERIFY_NONE, NULL) == TLSLIFE_OK);
    tlslife_lua_push_context(L, context);
    lua_setglobal(L, name);
    tlslife_context_free(context);
}

/*
 * The default for a PSK is that there is none. The alerts are those that tlslife.h promises for
 * that answer, and the peer that has the key is a context of the script.
 */
static void check_no_psk(void) {
    lua_State *L = new_state();
    push_asking_for_psk(L, TLSLIFE_CLIENT, "client");
    push_asking_for_psk(L, TLSLIFE_SERVER, "server");
    run(L, "function try(client, server)\n"
           "    local a, b = client:connection(), server:connection()\n"
           "    a:set_blocking(false) b:set_blocking(false) tlslife.pair(a, b)\n"
           "    local alerts = {}\n"
           "    for _ = 1, 20 do\n"
           "        for end_, verb in pairs {[a] = a.connect, [b] = b.accept} do\n"
           "            local done, _, err = verb(end_)\n"
           "            assert(not done)\n"
           "            alerts[#alerts + 1] = err and err.alert\n"
           "        end\n"
           "    end\n"
           "    assert(a:psk_identity() == nil)\n"
           "    return alerts[1]\n"
           "end\n"
           "knows = {psk = {identity = 'me', key = ('k'):rep(32)}, ciphers = 'PSK',\n"
           "    max_version = 'TLSv1.2', verify = 'none'}\n"
           "function context(role) knows.role = role return assert(tlslife.context(knows)) end\n"
           "assert(try(context 'client', server) == 'unknown_psk_identity')\n"
           "assert(try(client, context 'server') == 'handshake_failure')\n");
    lua_close(L);
}

/* Memory that a script's finalizers ask for while its state is closed is given back, too. */
static void check_closing(void) {
    lua_State *L = new_state();
    tlslife_lua_push_context(L, client);
    lua_setglobal(L, "client");
    run(L, "conn = client:connection()\n"
           "last = setmetatable({}, {__gc = function()\n"
           "    late = conn:context():connection() conn:free()\n"
           "end})\n"
           "first = setmetatable({}, {__gc = function()\n"
           "    kept = client:connection() pcall(conn.connect, conn)\n"
           "end})");
    lua_close(L);
}

int main(void) {
    static test_identity identity;
    CHECK(identity_make(&identity));
    make_contexts(&identity);
    check_pushing();
    check_threads();
    check_states();
    check_caches();
    check_functions(&identity);
    check_listener();
    check_error();
    check_no_psk();
    check_closing();
    tlslife_context_free(client);
    tlslife_context_free(server);
    return checks_end();
}
