/*
 * loptions.c: tls.context{}: the walk over a table of options.
 *
 * Every key must be known and of the right type before anything is done, so that a misspelt "verify" is an error and not
 * a context that verifies nothing. Then the rows of lsettings.c set what is there, in their own order.
 *
 * The context is in its userdata from the start: whatever raises, the collector frees it. Finalizers of the script may
 * run in between and change the table under us: so each value is looked at again when it is set.
 */
#include "options.h"

#include <string.h>

static bool known_option(const char *name) {
    for (const tlb_option *row = tlb_options; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return true;
    return false;
}

static void check_names(lua_State *L) {
    size_t len;
    const char *const *names = tlb_sorted_keys(L, TLB_OPTIONS, "options", &len);
    for (size_t i = 0; i < len; i++)
        if (!known_option(names[i]))
            luaL_error(L, "unknown option '%s'", names[i]);
    lua_settop(L, TLB_OPTIONS);
}

/* Pushes what and value; false where the option is not given. */
static bool push_value(lua_State *L, const tlb_option *row) {
    lua_settop(L, TLB_CONTEXT);
    lua_pushfstring(L, "option '%s'", row->name);
    lua_pushstring(L, row->name);
    int type = lua_rawget(L, TLB_OPTIONS);
    if (type == LUA_TNIL)
        return false;
    if (!(row->types & TLB_TYPE_BIT(type)))
        tlb_type_error(L, TLB_VALUE, lua_tostring(L, TLB_WHAT), row->expected);
    return true;
}

static void check_types(lua_State *L) {
    lua_settop(L, TLB_CONTEXT);
    for (const tlb_option *row = tlb_options; row->name; row++)
        push_value(L, row);
}

static tlslife_role role(lua_State *L) {
    static const char *const words[] = {"client", "server", NULL};
    if (!push_value(L, &tlb_options[0]))
        luaL_error(L, "option 'role': 'client' or 'server' expected, got nil");
    tlb_setting s = {.L = L, .what = lua_tostring(L, TLB_WHAT)};
    return tlb_choice(&s, words) == 0 ? TLSLIFE_CLIENT : TLSLIFE_SERVER;
}

static int set_all(tlb_setting *s) {
    for (const tlb_option *row = tlb_options; row->name; row++) {
        if (!push_value(s->L, row))
            continue;
        s->what = lua_tostring(s->L, TLB_WHAT);
        if (row->set(s) != TLSLIFE_OK) {
            tlb_release(s->L, TLB_CONTEXT, &tlb_context_type);
            return tlb_fail(s->L, &s->err, s->what);
        }
    }
    lua_settop(s->L, TLB_CONTEXT);
    return 1;
}

int tlb_context_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, TLB_OPTIONS);
    check_names(L);
    check_types(L);
    tlslife_role wanted = role(L);
    lua_settop(L, TLB_OPTIONS);
    tlb_new(L, &tlb_context_type);
    tlb_setting s = {.L = L};
    s.context = tlslife_context_new(wanted, &s.err);
    if (!s.context)
        return tlb_fail(L, &s.err, NULL);
    tlb_fill(L, &tlb_context_type, s.context);
    return set_all(&s);
}
