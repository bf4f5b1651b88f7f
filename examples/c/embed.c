/*
 * embed.c: a C program with Lua inside. C makes two contexts and joins two connections in memory.
 * A script makes a session with them and returns it. C resumes it.
 *
 * Usage: embed cert.pem key.pem     (the certificate is for "localhost")
 */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <tlslife.h>
#include <tlslife_lua.h>

static const char script[] =
    "local client, server = ...\n"
    "client:set_hostname 'localhost'\n"
    "repeat\n"
    "    local connected, accepted = client:connect(), server:accept()\n"
    "until connected and accepted\n"
    "server:write 'hello'\n"
    "print('from Lua', client:read(), client:version(), client:session_reused())\n"
    "client:shutdown()\n"
    "return client:session()\n";

static void stop(const char *message) {
    fprintf(stderr, "embed: %s\n", message);
    exit(1);
}

static tlslife_context *make_context(tlslife_role role, const char *certificate, const char *key) {
    tlslife_error err;
    tlslife_context *context = tlslife_context_new(role, &err);
    bool ok = context != NULL;
    if (ok && role == TLSLIFE_CLIENT) {
        ok = tlslife_context_add_ca_file(context, certificate, &err) == TLSLIFE_OK;
    } else if (ok) {
        ok = tlslife_context_set_certificate_file(context, certificate, &err) == TLSLIFE_OK &&
             tlslife_context_set_private_key_file(context, key, NULL, &err) == TLSLIFE_OK;
    }
    if (!ok) {
        stop(err.message);
    }
    return context;
}

static tlslife_conn *make_conn(tlslife_context *context) {
    tlslife_error err;
    tlslife_conn *conn = tlslife_conn_new(context, &err);
    if (conn == NULL) {
        stop(err.message);
    }
    tlslife_conn_set_blocking(conn, false);
    return conn;
}

/* In a protected call, with the two connections as light userdata; returns what the script does. */
static int run_script(lua_State *L) {
    tlslife_conn *client = lua_touserdata(L, 1), *server = lua_touserdata(L, 2);
    luaL_requiref(L, "tlslife.core", luaopen_tlslife_core, 0);
    if (luaL_loadstring(L, script) != LUA_OK) {
        return lua_error(L);
    }
    tlslife_lua_push_conn(L, client);
    tlslife_lua_push_conn(L, server);
    lua_call(L, 2, 1);
    return 1;
}

/* Runs the script with two new connections. The session that it returns is the caller's to free. */
static tlslife_session *talk(lua_State *L, tlslife_context *contexts[2], tlslife_session *offer) {
    tlslife_conn *client = make_conn(contexts[TLSLIFE_CLIENT]),
                 *server = make_conn(contexts[TLSLIFE_SERVER]);
    if (tlslife_conn_pair(client, server, 0) != TLSLIFE_OK ||
        tlslife_conn_set_session(client, offer) != TLSLIFE_OK) {
        stop(tlslife_conn_error(client)->message);
    }
    lua_pushcfunction(L, run_script);
    lua_pushlightuserdata(L, client);
    lua_pushlightuserdata(L, server);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
        stop(lua_tostring(L, -1));
    }
    tlslife_session *session = tlslife_lua_test_session(L, -1); /* lent, while it is on the stack */
    if (session == NULL) {
        stop("the script returned no session");
    }
    tlslife_session_up_ref(session);
    lua_pop(L, 1);
    tlslife_conn_free(
        client); /* the state has references of its own, and gives them up when it is closed */
    tlslife_conn_free(server);
    return session;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: embed cert.pem key.pem\n");
        return 2;
    }
    tlslife_context *contexts[2] = {make_context(TLSLIFE_CLIENT, argv[1], NULL),
                                    make_context(TLSLIFE_SERVER, argv[1], argv[2])};
    lua_State *L = luaL_newstate();
    if (L == NULL) {
        stop("out of memory");
    }
    luaL_openlibs(L);
    tlslife_session *first = talk(L, contexts, NULL);
    tlslife_session *second = talk(L, contexts, first); /* resumed: the script prints true */
    printf("from C   resumable: %s\n", tlslife_session_is_resumable(second) ? "yes" : "no");
    tlslife_session_free(first);
    tlslife_session_free(second);
    lua_close(L);
    tlslife_context_free(contexts[TLSLIFE_CLIENT]);
    tlslife_context_free(contexts[TLSLIFE_SERVER]);
    return 0;
}
