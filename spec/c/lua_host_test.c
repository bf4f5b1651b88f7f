/*
 * lua_host_test: a C program with Lua inside (include/tlslife_lua.h): its objects in a script's hands and back, the same
 * contexts in the states of several threads, sessions from one state to another, states closed in any order.
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

/* Everything is asked, and no Lua state has a hook: the module answers as the header's defaults. */
static void make_contexts(const test_identity *identity) {
    tlslife_error err;
    size_t certificate_len = strlen(identity->certificate), key_len = strlen(identity->key);
    client = tlslife_context_new(TLSLIFE_CLIENT, &err);
    server = tlslife_context_new(TLSLIFE_SERVER, &err);
    CHECK(tlslife_context_add_ca_pem(client, identity->certificate, certificate_len, &err) == TLSLIFE_OK);
    CHECK(tlslife_context_set_certificate_pem(server, identity->certificate, certificate_len, &err) ==
          TLSLIFE_OK);
    CHECK(tlslife_context_set_private_key_pem(server, identity->key, key_len, NULL, &err) == TLSLIFE_OK);
    CHECK(tlslife_context_set_questions(server, TLSLIFE_ASK_HELLO | TLSLIFE_ASK_CERTIFICATE, &err) ==
          TLSLIFE_OK);
    CHECK(tlslife_context_set_questions(client, TLSLIFE_ASK_CERTIFICATE | TLSLIFE_ASK_VERIFY_ALL, &err) ==
          TLSLIFE_OK);
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
           "    a:set_blocking(false) b:set_blocking(false) a:set_hostname 'localhost' tlslife.pair(a, b)\n"
           "    local connected, accepted\n"
           "    for _ = 1, 20 do connected = connected or a:connect() accepted = accepted or b:accept() end\n"
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
    CHECK(lua_rawequal(L, -1, -2));
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
           "for _ = 1, 20 do connected = connected or a:connect() accepted = accepted or b:accept() end\n"
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

static void check_listener(void) {
    tlslife_error err;
    lua_State *L = new_state();
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 0, false, &err);
    tlslife_lua_push_listener(L, listener);
    CHECK(tlslife_lua_check_listener(L, -1) == listener);
    lua_setglobal(L, "listener");
    run(L,
        "assert(listener:port() > 0) listener:close() listener:close() assert(not pcall(listener.port, listener))");
    lua_close(L);
}

static void check_error(void) {
    tlslife_error err = {.kind = TLSLIFE_ERR_INPUT, .message = "a message", .alert = -1, .verify_depth = -1};
    lua_State *L = new_state();
    CHECK(tlslife_lua_push_error(L, &err) == 3);
    CHECK(lua_gettop(L) == 3 && lua_isnil(L, 1) && lua_istable(L, 3));
    CHECK_TEXT(lua_tostring(L, 2), "a message");
    CHECK_TEXT(luaL_tolstring(L, 3, NULL), "a message");
    lua_close(L);
}

/* What finalizers of a script ask for while its state closes is given back too. */
static void check_closing(void) {
    lua_State *L = new_state();
    tlslife_lua_push_context(L, client);
    lua_setglobal(L, "client");
    run(L,
        "conn = client:connection()\n"
        "last = setmetatable({}, {__gc = function() late = conn:context():connection() conn:free() end})\n"
        "first = setmetatable({}, {__gc = function() kept = client:connection() pcall(conn.connect, conn) end})");
    lua_close(L);
}

int main(void) {
    static test_identity identity;
    CHECK(identity_make(&identity));
    make_contexts(&identity);
    check_pushing();
    check_threads();
    check_states();
    check_listener();
    check_error();
    check_closing();
    tlslife_context_free(client);
    tlslife_context_free(server);
    return checks_end();
}
