/*
 * state_with.h: makes a Lua state with an allocator, in each Lua that the binding is for. Since 5.5
 * a state has a seed; here it is always the same.
 */
#ifndef STATE_WITH_H
#define STATE_WITH_H

#include <lua.h>

static inline lua_State *state_with(lua_Alloc allocate, void *ud) {
#if LUA_VERSION_NUM >= 505
    return lua_newstate(allocate, ud, 1);
#else
    return lua_newstate(allocate, ud);
#endif
}

#endif
