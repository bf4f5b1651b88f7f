/*
 * secrets_script.c: runs a Lua script that gives secrets to the module and lets go of them, for
 * secrets.c.
 *
 * A script's own strings belong to Lua, which frees them when it has collected them. The allocator
 * of this file wipes what Lua frees. So what the scan finds after that is a copy that the module
 * has made.
 */
#include "secrets_script.h"
#include "program/writer.h"
#include "secrets.h"
#include "secrets_told.h"
#include "state_with.h"
#include "tlslife_lua.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *wiping(void *unused, void *old, size_t before, size_t after) {
    (void)unused;
    void *made = after == 0 ? NULL : malloc(after);
    if (after > 0 && made == NULL) {
        return NULL;
    }
    if (old != NULL) {
        if (made != NULL) {
            memcpy(made, old, before < after ? before : after);
        }
        explicit_bzero(old, before);
        free(old);
    }
    return made;
}

/* given(name, len), or given(name) for a text */
static int lua_given(lua_State *L) {
    size_t len = (size_t)luaL_optinteger(L, 2, 0);
    const char *name = luaL_checkstring(L, 1);
    char *secret = len > 0 ? given(name, len) : given_text(name, &len);
    lua_pushlstring(L, secret, len);
    ungive(secret, len);
    return 1;
}

/* file(name): the path of a file with that text, which io's buffers have not seen */
static int lua_file(lua_State *L) {
    char path[] = "/tmp/secrets.XXXXXX";
    size_t len = 0;
    char *text = given_text(luaL_checkstring(L, 1), &len);
    int fd = mkstemp(path);
    expect_that(fd >= 0 && write(fd, text, len) == (ssize_t)len, "a file");
    ungive(text, len);
    (void)close(fd);
    lua_pushstring(L, path);
    return 1;
}

static int lua_told(lua_State *L) {
    tell_keylog_line(luaL_checkstring(L, 1));
    return 0;
}

static int lua_held(lua_State *L) {
    expect_held(luaL_checkstring(L, 1));
    return 0;
}

/* gone(), or gone(names) of what is still in use */
static int lua_gone(lua_State *L) {
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCCOLLECT);
    expect_gone_but(luaL_optstring(L, 1, ""));
    return 0;
}

static const char before_each[] =
    "local tls, given, told, held, gone, file = ...\n"
    "local function connect(versions, psk, trace)\n"
    "    local server = assert(tls.context {role = 'server', keylog = true,\n"
    "        certificate = given 'PEM certificate',\n"
    "        private_key = given 'PEM key', max_version = versions, psk = psk})\n"
    "    local client = assert(tls.context {role = 'client', psk = psk, trace = trace,\n"
    "        ca = given 'PEM certificate',\n"
    "        keylog = not trace})\n"
    "    local a, b = assert(client:connection()), assert(server:connection())\n"
    "    a:set_blocking(false) b:set_blocking(false) a:set_hostname 'localhost' tls.pair(a, b)\n"
    "    for _ = 1, 4 do a:connect() b:accept() end\n"
    "    assert(b:write 'x' and a:read() == 'x')\n"
    "    for line in b.take_keylog, b do told(line) end\n"
    "    for line in a.take_keylog, a do told(line) end\n"
    "    return a, b, client\n"
    "end\n";

/* The Lua files of the checkout, in which this runs, and what writes a trace in the program. */
static void prepare(lua_State *L) {
    lua_getglobal(L, "package");
    lua_pushliteral(L, "lua/?.lua;lua/?/init.lua");
    lua_setfield(L, -2, "path");
    lua_pop(L, 1);
    lua_newtable(L);
    program_add_writer(L);
    lua_setglobal(L, "host");
}

void run_script(const char *script) {
    lua_State *L = state_with(wiping, NULL);
    luaL_Buffer whole;
    luaL_openlibs(L);
    prepare(L);
    luaL_buffinit(L, &whole);
    luaL_addstring(&whole, before_each);
    luaL_addstring(&whole, script);
    luaL_pushresult(&whole);
    expect_that(luaL_loadstring(L, lua_tostring(L, -1)) == LUA_OK, "a script");
    luaL_requiref(L, "tlslife.core", luaopen_tlslife_core, 0);
    lua_pushcfunction(L, lua_given);
    lua_pushcfunction(L, lua_told);
    lua_pushcfunction(L, lua_held);
    lua_pushcfunction(L, lua_gone);
    lua_pushcfunction(L, lua_file);
    if (lua_pcall(L, 6, 0, 0) != LUA_OK) {
        expect_that(false, luaL_tolstring(L, -1, NULL));
    }
    lua_close(L);
    expect_gone();
}
