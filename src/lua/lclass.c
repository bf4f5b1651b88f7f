/*
 * lclass.c: implements tls.class(name), by which Lua code makes userdata of a type of its own.
 *
 * Programs tell the objects of LuaSec and LuaSocket from tables by type(), so what stands in for
 * them must be userdata. The metatable is a new table each time, and so never that of a type of C
 * code, whose functions would read memory that this userdata does not have.
 */
#include "binding.h"

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
