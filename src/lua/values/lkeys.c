/*
 * lkeys.c: implements key rings, which seal what leaves the process, and the keys of stateless
 * tickets.
 *
 * Secrets come as Lua strings and are passed to the core without a copy. The exception is a list of
 * ticket keys, which is joined on the C stack and then wiped. tostring shows an address only. A
 * script's own string stays in Lua's memory until it is collected, and no C code can change that.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/base/loptions.h"
#include "lua/values/lkeys.h"
#include "tlslife.h"

/* Element i of the list at idx. It is popped, because the list keeps it. */
static const unsigned char *listed(lua_State *L, int idx, const char *what, lua_Integer i,
                                   size_t *out_len) {
    if (lua_rawgeti(L, idx, i) != LUA_TSTRING) {
        luaL_error(L, "%s: element %I is a %s, not a string", what, (LUAI_UACINT)i,
                   luaL_typename(L, -1));
    }
    const char *string = lua_tolstring(L, -1, out_len);
    lua_pop(L, 1);
    return (const unsigned char *)string;
}

/* The length of the list at idx. Raises if it is empty, or is not a list. */
static lua_Integer list_len(lua_State *L, int idx, const char *what) {
    lua_Integer len = (lua_Integer)tlb_list_len(L, idx, what), pairs = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        pairs++;
    }
    if (len == 0 || pairs != len) {
        luaL_error(L, "%s: a list of strings expected: { secret, ... }", what);
    }
    return len;
}

/* ------------------------------------------------------------------------------------ key rings */

int tlb_keyring_new(lua_State *L) {
    tlslife_error err;
    size_t secret_len;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_Integer len = list_len(L, 1, "keyring");
    tlb_new(L, &tlb_keyring_type);
    const unsigned char *secret = listed(L, 1, "keyring", 1, &secret_len);
    tlslife_keyring *keyring = tlslife_keyring_new(secret, secret_len, &err);
    if (!keyring) {
        return tlb_raise(L, &err, "keyring: element 1");
    }
    tlb_fill(L, &tlb_keyring_type, keyring);
    for (lua_Integer i = 2; i <= len; i++) {
        secret = listed(L, 1, "keyring", i, &secret_len);
        if (tlslife_keyring_add(keyring, secret, secret_len, &err) != TLSLIFE_OK) {
            return tlb_raise(L, &err, lua_pushfstring(L, "keyring: element %I", (LUAI_UACINT)i));
        }
    }
    return 1;
}

static int keyring_rotate(lua_State *L) {
    tlslife_keyring *self = tlb_self(L, &tlb_keyring_type)->object;
    tlslife_error err;
    size_t len;
    const char *secret = tlb_bytes(L, 2, &len);
    if (tlslife_keyring_rotate(self, (const unsigned char *)secret, len, &err) != TLSLIFE_OK) {
        return tlb_raise(L, &err, NULL);
    }
    lua_pushboolean(L, true);
    return 1;
}

/* ---------------------------------------------------------------------------------- ticket keys */

enum { TICKET_KEY = 80, TICKET_KEYS_MAX = 16 };

/* Joins the keys of the list at idx in out, and returns the number of bytes. */
static size_t gather_keys(lua_State *L, int idx, const char *what,
                          unsigned char out[TICKET_KEYS_MAX * TICKET_KEY]) {
    size_t key_len;
    lua_Integer len = list_len(L, idx, what);
    if (len > TICKET_KEYS_MAX) {
        luaL_error(L, "%s: %I keys, and %d are the most", what, (LUAI_UACINT)len, TICKET_KEYS_MAX);
    }
    for (lua_Integer i = 1; i <= len; i++) {
        listed(L, idx, what, i, &key_len);
        if (key_len != TICKET_KEY) {
            luaL_error(L, "%s: element %I has %I bytes, and a key has %d", what, (LUAI_UACINT)i,
                       (LUAI_UACINT)key_len, TICKET_KEY);
        }
    }
    for (lua_Integer i = 1; i <= len; i++) { /* nothing raises from here on */
        memcpy(out + (i - 1) * TICKET_KEY, listed(L, idx, what, i, &key_len), TICKET_KEY);
    }
    return (size_t)len * TICKET_KEY;
}

typedef struct ticket_options {
    const char *secret;
    size_t secret_len;
    bool keys, epochs; /* options that were given */
    long epoch_seconds;
    unsigned older;
} ticket_options;

static tlslife_status set_secret(tlb_setting *s) {
    ticket_options *options = s->into;
    options->secret = lua_tolstring(s->L, TLB_VALUE, &options->secret_len);
    return TLSLIFE_OK;
}

static tlslife_status set_epoch(tlb_setting *s) {
    ticket_options *options = s->into;
    options->epoch_seconds = (long)tlb_option_integer(s, 60, 604800);
    options->epochs = true;
    return TLSLIFE_OK;
}

static tlslife_status set_older(tlb_setting *s) {
    ticket_options *options = s->into;
    options->older = (unsigned)tlb_option_integer(s, 1, 16);
    options->epochs = true;
    return TLSLIFE_OK;
}

static tlslife_status set_keys(tlb_setting *s) {
    ticket_options *options = s->into;
    if (options->secret || options->epochs) {
        luaL_error(s->L, "%s: options 'secret', 'epoch' and 'older' do not go with it", s->what);
    }
    options->keys = true;
    return TLSLIFE_OK;
}

static const tlb_option ticket_rows[] = {
    {"secret", TLB_STRING, set_secret, false},
    {"epoch", TLB_INTEGER, set_epoch, false},
    {"older", TLB_INTEGER, set_older, false},
    {"keys", TLB_TABLE, set_keys, false},
    {NULL, 0, NULL, NULL, false},
};

/* The ticket keys of option 'keys', which the calling program has chosen itself. */
static tlslife_ticket_keys *own_keys(tlb_setting *s) {
    unsigned char keys[TICKET_KEYS_MAX * TICKET_KEY];
    tlb_push_option(s, "keys");
    size_t len = gather_keys(s->L, lua_gettop(s->L), "option 'keys'", keys);
    tlslife_ticket_keys *made = tlslife_ticket_keys_new(keys, len, &s->err);
    explicit_bzero(keys, sizeof keys);
    lua_settop(s->L, TLB_MADE);
    return made;
}

int tlb_ticket_keys_new(lua_State *L) {
    ticket_options options = {.epoch_seconds = 43200, .older = 2};
    tlb_setting s = {.L = L, .into = &options};
    tlb_read_options(L, ticket_rows);
    tlb_new(L, &tlb_ticket_keys_type);
    tlb_set_options(&s, ticket_rows);
    tlslife_ticket_keys *keys =
        options.keys ? own_keys(&s)
        : options.secret
            ? tlslife_ticket_keys_derived((const unsigned char *)options.secret, options.secret_len,
                                          options.epoch_seconds, options.older, &s.err)
            : tlslife_ticket_keys_random(options.epoch_seconds, options.older, &s.err);
    if (!keys) {
        return tlb_raise(L, &s.err, "ticket_keys");
    }
    tlb_fill(L, &tlb_ticket_keys_type, keys);
    return 1;
}

static int ticket_keys_replace(lua_State *L) {
    unsigned char keys[TICKET_KEYS_MAX * TICKET_KEY];
    tlslife_error err;
    tlb_self(L, &tlb_ticket_keys_type);
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t len = gather_keys(L, 2, "replace", keys);
    tlslife_status status =
        tlslife_ticket_keys_replace(tlb_self(L, &tlb_ticket_keys_type)->object, keys, len, &err);
    explicit_bzero(keys, sizeof keys);
    if (status != TLSLIFE_OK) {
        return tlb_raise(L, &err, NULL);
    }
    lua_pushboolean(L, true);
    return 1;
}

/* ---------------------------------------------------------------------------------------- types */

static const luaL_Reg keyring_methods[] = {
    {"rotate", keyring_rotate},
    {"up_ref", tlb_handle_up_ref},
    {"free", tlb_handle_free},
    {NULL, NULL},
};

static const luaL_Reg ticket_keys_methods[] = {
    {"replace", ticket_keys_replace},
    {"up_ref", tlb_handle_up_ref},
    {"free", tlb_handle_free},
    {NULL, NULL},
};

/* tostring reveals nothing of a secret. */
static void describe(lua_State *L, void *object) {
    (void)object;
    lua_pushliteral(L, "secret");
}

static void *keyring_up_ref(void *object) {
    return tlslife_keyring_up_ref(object);
}

static void keyring_release(void *object) {
    tlslife_keyring_free(object);
}

const tlb_type tlb_keyring_type = {
    .name = "tlslife.keyring",
    .size = sizeof(tlb_handle),
    .up_ref = keyring_up_ref,
    .release = keyring_release,
    .describe = describe,
    .metamethods = tlb_handle_metamethods,
    .methods = {keyring_methods},
};

static void *ticket_keys_up_ref(void *object) {
    return tlslife_ticket_keys_up_ref(object);
}

static void ticket_keys_release(void *object) {
    tlslife_ticket_keys_free(object);
}

const tlb_type tlb_ticket_keys_type = {
    .name = "tlslife.ticket_keys",
    .size = sizeof(tlb_handle),
    .up_ref = ticket_keys_up_ref,
    .release = ticket_keys_release,
    .describe = describe,
    .metamethods = tlb_handle_metamethods,
    .methods = {ticket_keys_methods},
};
