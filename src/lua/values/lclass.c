/*
 * lclass.c: implements what tlslife/socket.lua needs of C: tls.class(name), by which Lua code makes
 * userdata of a type of its own, and tls.line, which takes a line out of what was read.
 *
 * Programs tell the objects of LuaSec and LuaSocket from tables by type(), so what stands in for
 * them must be userdata. The metatable is a new table each time, and so never that of a type of C
 * code, whose functions would read memory that this userdata does not have.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <string.h>

#include "lua/base/larg.h"
#include "lua/values/lclass.h"

/* upvalue 1: the metatable */
static int make(lua_State *L) {
    if (!lua_istable(L, lua_upvalueindex(1))) { /* by the debug library */
        return luaL_error(L, "the metatable of this class is gone");
    }
    lua_newuserdatauv(L, 0, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);
    return 1;
}

int tlb_class(lua_State *L) {
    (void)tlb_text(L, 1);
    lua_settop(L, 1);
    lua_createtable(L, 0, 8);
    lua_insert(L, 1);
    lua_setfield(L, 1, "__name");
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, make, 1);
    lua_insert(L, 1);
    return 2;
}

/* Pushes the bytes without the returns in them. */
static void push_without_returns(lua_State *L, const char *bytes, size_t len) {
    luaL_Buffer line;
    luaL_buffinit(L, &line);
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\r') {
            luaL_addchar(&line, bytes[i]);
        }
    }
    luaL_pushresult(&line);
}

int tlb_line(lua_State *L) {
    size_t len;
    const char *text = tlb_bytes(L, 1, &len);
    size_t at = tlb_offset(L, 2, len);
    const char *from = text + at;
    const char *stop = at < len ? memchr(from, '\n', len - at) : NULL;
    if (!stop) {
        lua_pushnil(L);
        return 1;
    }
    size_t line_len = (size_t)(stop - from);
    if (line_len > 0 && stop[-1] == '\r') {
        line_len--;
    }
    if (line_len > 0 && memchr(from, '\r', line_len)) {
        push_without_returns(L, from, line_len);
    } else {
        lua_pushlstring(L, from, line_len);
    }
    lua_pushinteger(L, (lua_Integer)(stop - text) + 2);
    return 2;
}
