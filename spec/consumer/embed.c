/*
 * embed.c: a C program with Lua inside, which hands a context of its own to a script that makes a
 * connection.
 */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <tlslife.h>
#include <tlslife_lua.h>

static const char script[] = "local context = ...\n"
                             "local conn <close> = context:connection()\n"
                             "assert(conn:context() == context and conn:state() == 'before')\n"
                             "return not conn:is_server()";

static int run(lua_State *L) {
    luaL_openlibs(L);
    luaL_requiref(L, "tlslife.core", luaopen_tlslife_core, 0);
    if (luaL_loadstring(L, script) != LUA_OK) {
        return lua_error(L);
    }
    tlslife_lua_push_context(L, lua_touserdata(L, 1));
    lua_call(L, 1, 1);
    return 1;
}

int main(void) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    lua_State *L = luaL_newstate();
    if (context == NULL || L == NULL) {
        return 1;
    }
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, context);
    int result = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_toboolean(L, -1) ? 0 : 1;
    if (result != 0) {
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    }
    lua_close(L);
    tlslife_context_free(context);
    return result;
}
