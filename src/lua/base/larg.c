/*
 * larg.c: checks arguments, so the core never sees a value of the wrong type, out of range, or with
 * a NUL where C would stop reading.
 *
 * Numbers are what a hostile script would try first: a negative length, 2^63, NaN seconds. Each
 * kind of number has one check, whose message names the argument.
 */
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lua/base/larg.h"

int tlb_type_error(lua_State *L, int idx, const char *what, const char *expected) {
    if (!what) {
        return luaL_typeerror(L, idx, expected);
    }
    const char *got = luaL_typename(L, idx);
    if (luaL_getmetafield(L, idx, "__name") == LUA_TSTRING) {
        got = lua_tostring(L, -1);
    }
    return luaL_error(L, "%s: %s expected, got %s", what, expected, got);
}

static int argument_error(lua_State *L, int idx, const char *what, const char *message) {
    return what ? luaL_error(L, "%s: %s", what, message) : luaL_argerror(L, idx, message);
}

size_t tlb_size(lua_State *L, int idx, lua_Integer min, lua_Integer max, lua_Integer fallback) {
    if (fallback >= min && lua_isnoneornil(L, idx)) {
        return (size_t)fallback;
    }
    lua_Integer value = luaL_checkinteger(L, idx);
    if (value < min || value > max) {
        luaL_argerror(L, idx,
                      lua_pushfstring(L, "%I is not in %I..%I", (LUAI_UACINT)value,
                                      (LUAI_UACINT)min, (LUAI_UACINT)max));
    }
    return (size_t)value;
}

bool tlb_boolean(lua_State *L, int idx) {
    luaL_checktype(L, idx, LUA_TBOOLEAN);
    return lua_toboolean(L, idx);
}

bool tlb_optional_boolean(lua_State *L, int idx) {
    return !lua_isnoneornil(L, idx) && tlb_boolean(L, idx);
}

int tlb_milliseconds(lua_State *L, int idx, const char *what) {
    if (lua_isnoneornil(L, idx)) {
        return -1;
    }
    if (lua_type(L, idx) != LUA_TNUMBER) {
        tlb_type_error(L, idx, what, "number or nil");
    }
    double seconds = lua_tonumber(L, idx);
    if (!(seconds >= 0 && seconds <= INT_MAX / 1000)) {
        argument_error(L, idx, what, "seconds are 0 to 2147483, or nil for no limit");
    }
    return (int)ceil(seconds * 1000);
}

const char *tlb_bytes(lua_State *L, int idx, size_t *out_len) {
    luaL_checktype(L, idx, LUA_TSTRING);
    return lua_tolstring(L, idx, out_len);
}

const char *tlb_text(lua_State *L, int idx) {
    size_t len;
    const char *text = tlb_bytes(L, idx, &len);
    if (strlen(text) != len) {
        luaL_argerror(L, idx, "a NUL is in it");
    }
    return text;
}

const char *tlb_service(lua_State *L, int idx) {
    if (lua_type(L, idx) != LUA_TNUMBER) {
        return tlb_text(L, idx);
    }
    char text[sizeof "65535"];
    size_t port = tlb_size(L, idx, 0, 65535, -1), at = sizeof text;
    text[--at] = '\0';
    do {
        text[--at] = (char)('0' + port % 10);
        port /= 10;
    } while (port > 0);
    const char *service = lua_pushstring(L, text + at);
    lua_replace(L, idx);
    return service;
}

size_t tlb_offset(lua_State *L, int idx, size_t len) {
    if (lua_isnoneornil(L, idx)) {
        return 0;
    }
    lua_Integer i = luaL_checkinteger(L, idx);
    luaL_argcheck(L, i >= 1 && (lua_Unsigned)i <= len + 1, idx,
                  "out of range: bytes are 1 to the length");
    return (size_t)i - 1;
}

/* The element or key at the top as a C string, which the table keeps alive. */
static const char *listed_string(lua_State *L, const char *what, const char *of, lua_Integer i) {
    size_t len;
    const char *string = lua_tolstring(L, -1, &len);
    if (strlen(string) != len) {
        luaL_error(L, "%s: a NUL is in %s %I", what, of, (LUAI_UACINT)i);
    }
    return string;
}

size_t tlb_list_len(lua_State *L, int idx, const char *what) {
    lua_Unsigned len = lua_rawlen(L, idx);
    if (len > TLB_LIST_MAX) {
        luaL_error(L, "%s: a list has at most %I elements, and the length of this table is %I",
                   what, (LUAI_UACINT)TLB_LIST_MAX, (LUAI_UACINT)len);
    }
    return (size_t)len;
}

void *tlb_array(lua_State *L, size_t len, size_t size) {
    if (len > (size_t)PTRDIFF_MAX / size) {
        luaL_error(L, "not enough memory");
    }
    return lua_newuserdatauv(L, len * size, 0);
}

const char *const *tlb_string_list(lua_State *L, int idx, const char *what, size_t *out_len) {
    if (lua_type(L, idx) != LUA_TTABLE) {
        tlb_type_error(L, idx, what, "table of strings");
    }
    size_t len = tlb_list_len(L, idx, what);
    const char **list = tlb_array(L, len + 1, sizeof *list);
    for (size_t i = 0; i < len; i++) {
        if (lua_rawgeti(L, idx, (lua_Integer)i + 1) != LUA_TSTRING) {
            luaL_error(L, "%s: element %I is a %s, not a string", what, (LUAI_UACINT)i + 1,
                       luaL_typename(L, -1));
        }
        list[i] = listed_string(L, what, "element", (lua_Integer)i + 1);
        lua_pop(L, 1);
    }
    *out_len = len;
    return list;
}

static size_t count_pairs(lua_State *L, int idx, const char *what) {
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1), n++) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            luaL_error(L, "%s: a key is a %s, not a name", what, luaL_typename(L, -2));
        }
    }
    return n;
}

static int compare_strings(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *tlb_sorted_keys(lua_State *L, int idx, const char *what, size_t *out_len) {
    size_t len = count_pairs(L, idx, what), n = 0;
    lua_createtable(L, (int)len, 0); /* keeps the keys, which a finalizer may remove later */
    int kept = lua_gettop(L);
    const char **keys = tlb_array(L, len + 1, sizeof *keys);
    for (lua_pushnil(L); lua_next(L, idx);) {
        lua_pop(L, 1);
        if (n == len || lua_type(L, -1) != LUA_TSTRING) {
            luaL_error(L, "%s: a finalizer changed the table", what);
        }
        keys[n] = listed_string(L, what, "key", (lua_Integer)n + 1);
        n++;
        lua_pushvalue(L, -1);
        lua_rawseti(L, kept, (lua_Integer)n);
    }
    qsort(keys, n, sizeof *keys, compare_strings);
    *out_len = n;
    return keys;
}
