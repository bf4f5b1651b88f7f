/*
 * loptions.c: reads a table of options, such as those of tls.context{}, tls.cache{} and
 * tls.redis{}.
 *
 * Every key must be known and every value of the right type before anything is done, so a misspelt
 * "verify" is an error, and not a context that verifies nothing. Then each row's setter sets its
 * option, in the order of the rows.
 *
 * The setters read a copy of the table which the script cannot reach. The script's finalizers may
 * run meanwhile. They could replace a value that was checked, or drop the last reference to a
 * string that the core still reads.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lua/base/larg.h"
#include "lua/base/loptions.h"
#include "tlslife.h"

static bool known_option(const char *name, const tlb_option rows[]) {
    for (const tlb_option *row = rows; row->name; row++) {
        if (strcmp(row->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_names(lua_State *L, const tlb_option rows[]) {
    size_t len;
    const char *const *names = tlb_sorted_keys(L, TLB_OPTIONS, "options", &len);
    for (size_t i = 0; i < len; i++) {
        if (!known_option(names[i], rows)) {
            luaL_error(L, "unknown option '%s'", names[i]);
        }
    }
    lua_settop(L, TLB_OPTIONS);
}

/* Pushes "option 'x'" and the option's value, and returns the value's type. */
static int push_value(lua_State *L, const tlb_option *row) {
    lua_settop(L, TLB_MADE);
    lua_pushfstring(L, "option '%s'", row->name);
    lua_pushstring(L, row->name);
    return lua_rawget(L, TLB_OPTIONS);
}

void tlb_read_options(lua_State *L, const tlb_option rows[]) {
    luaL_checktype(L, TLB_OPTIONS, LUA_TTABLE);
    lua_settop(L, TLB_OPTIONS);
    check_names(L, rows);
    lua_newtable(L);
    for (const tlb_option *row = rows; row->name; row++) {
        int type = push_value(L, row);
        if (type == LUA_TNIL ? row->demanded : !(row->types & TLB_TYPE_BIT(type))) {
            tlb_type_error(L, TLB_VALUE, lua_tostring(L, TLB_WHAT), row->expected);
        }
        lua_setfield(L, TLB_MADE, row->name);
    }
    lua_settop(L, TLB_MADE);
    lua_replace(L, TLB_OPTIONS);
}

bool tlb_set_options(tlb_setting *s, const tlb_option rows[]) {
    for (const tlb_option *row = rows; row->name; row++) {
        if (push_value(s->L, row) == LUA_TNIL) {
            continue;
        }
        s->what = lua_tostring(s->L, TLB_WHAT);
        if (row->set(s) != TLSLIFE_OK) {
            return false;
        }
    }
    lua_settop(s->L, TLB_MADE);
    return true;
}

int tlb_push_option(tlb_setting *s, const char *name) {
    return lua_getfield(s->L, TLB_OPTIONS, name);
}

/* --------------------------------------------------------------------------------------- values */

const char *tlb_option_text_at(tlb_setting *s, int idx) {
    size_t len;
    const char *text = lua_tolstring(s->L, idx, &len);
    if (strlen(text) != len) {
        luaL_error(s->L, "%s: a NUL is in it", s->what);
    }
    return text;
}

const char *tlb_option_text(tlb_setting *s) {
    return tlb_option_text_at(s, TLB_VALUE);
}

bool tlb_option_truth(tlb_setting *s) {
    return lua_toboolean(s->L, TLB_VALUE);
}

lua_Integer tlb_option_integer(tlb_setting *s, lua_Integer min, lua_Integer max) {
    int exact;
    lua_Integer value = lua_tointegerx(s->L, TLB_VALUE, &exact);
    if (!exact || value < min || value > max) {
        luaL_error(s->L, "%s: %s is not in %I..%I", s->what, luaL_tolstring(s->L, TLB_VALUE, NULL),
                   (LUAI_UACINT)min, (LUAI_UACINT)max);
    }
    return value;
}

size_t tlb_option_size(tlb_setting *s, lua_Integer min, lua_Integer max) {
    return (size_t)tlb_option_integer(s, min, max < PTRDIFF_MAX ? max : (lua_Integer)PTRDIFF_MAX);
}

int tlb_choice(tlb_setting *s, const char *const words[]) {
    const char *word = tlb_option_text(s);
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], word) == 0) {
            return i;
        }
    }
    luaL_Buffer expected;
    luaL_buffinit(s->L, &expected);
    for (int i = 0; words[i]; i++) {
        luaL_addstring(&expected, i ? ", '" : "'");
        luaL_addstring(&expected, words[i]);
        luaL_addchar(&expected, '\'');
    }
    luaL_pushresult(&expected);
    return luaL_error(s->L, "%s: '%s' is not one of %s", s->what, word, lua_tostring(s->L, -1));
}

void tlb_check_fields(tlb_setting *s, int idx, const char *const fields[]) {
    for (lua_pushnil(s->L); lua_next(s->L, idx); lua_pop(s->L, 1)) {
        bool known = false;
        for (int i = 0; fields[i] && lua_type(s->L, -2) == LUA_TSTRING; i++) {
            known = known || strcmp(fields[i], lua_tostring(s->L, -2)) == 0;
        }
        if (!known) {
            lua_pop(s->L, 1);
            luaL_error(s->L, "%s: unknown field '%s'", s->what, luaL_tolstring(s->L, -1, NULL));
        }
    }
}
