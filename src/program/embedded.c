/*
 * embedded.c: puts the module and its Lua files into package.preload, from where `require
 * "tlslife"` loads them.
 *
 * So the program tlslife is one file to copy, and never mixes its core with an installed one.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>

#include "program/embedded.h"
#include "tlslife_lua.h"

typedef struct embedded_module {
    const char *name;
    const char *chunk_name;
    const unsigned char *text;
    size_t text_len;
} embedded_module;

#include "program/embedded_modules.h" /* cmake/Embed.cmake makes it */

/* The loader of one Lua file. Its upvalue is the file's index in the table. */
static int load_embedded(lua_State *L) {
    enum { MODULES = sizeof embedded / sizeof *embedded - 1 };
    lua_Integer place = lua_tointeger(L, lua_upvalueindex(1));
    int arguments = lua_gettop(L);
    if (place < 0 || place >= MODULES) {
        return luaL_error(L, "an upvalue of this loader was changed");
    }
    const embedded_module *module = &embedded[place];
    if (luaL_loadbufferx(L, (const char *)module->text, module->text_len, module->chunk_name,
                         "t") != LUA_OK) {
        return lua_error(L);
    }
    lua_insert(L, 1);
    lua_call(L, arguments, 1);
    return 1;
}

void program_preload(lua_State *L) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_tlslife_core);
    lua_setfield(L, -2, "tlslife.core");
    for (lua_Integer i = 0; embedded[i].name != NULL; i++) {
        lua_pushinteger(L, i);
        lua_pushcclosure(L, load_embedded, 1);
        lua_setfield(L, -2, embedded[i].name);
    }
    lua_pop(L, 1);
}
