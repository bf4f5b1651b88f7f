/*
 * lbuffer.c: implements tls.buffer, a block of bytes into which reads and from which writes are
 * made, again and again, without a Lua string for each.
 *
 * The bytes are in the userdata itself, so Lua counts their memory. What was read is a peer's
 * plaintext, so it is wiped when the buffer is collected or its scope ends.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <string.h>

#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lstate.h"
#include "lua/values/lbuffer.h"

/*
 * Since the capacity must match the userdata's length, no access leaves the userdata, whatever a
 * script has done to its metatable.
 */
tlb_buffer *tlb_test_buffer(lua_State *L, int idx) {
    tlb_buffer *buffer = tlb_test(L, idx, &tlb_buffer_type);
    return buffer && buffer->capacity == lua_rawlen(L, idx) - sizeof *buffer ? buffer : NULL;
}

static tlb_buffer *self_buffer(lua_State *L) {
    tlb_buffer *self = tlb_test_buffer(L, 1);
    return self ? self : (tlb_buffer *)(void *)tlb_bad_self(L);
}

int tlb_buffer_new(lua_State *L) {
    size_t capacity = tlb_size(L, 1, 1, TLB_SIZE_MAX, 16384);
    tlb_buffer *buffer = lua_newuserdatauv(L, sizeof *buffer + capacity, 0);
    *buffer = (tlb_buffer){tlb_tag(&tlb_buffer_type), capacity, 0};
    tlb_push_registered(L, &tlb_buffer_type);
    lua_setmetatable(L, -2);
    return 1;
}

/*
 * A position as string.sub counts: from 1, or from the end if it is negative. The results 0 and len
 * + 1 lie outside of the bytes.
 */
static lua_Integer position(lua_Integer i, size_t len) {
    if (i >= 0) {
        return i;
    }
    return i < -(lua_Integer)len ? 0 : (lua_Integer)len + i + 1;
}

static int buffer_sub(lua_State *L) {
    tlb_buffer *self = self_buffer(L);
    lua_Integer from = position(luaL_optinteger(L, 2, 1), self->len);
    lua_Integer to = position(luaL_optinteger(L, 3, -1), self->len);
    if (from < 1) {
        from = 1;
    }
    if (to > (lua_Integer)self->len) {
        to = (lua_Integer)self->len;
    }
    if (from > to) {
        lua_pushliteral(L, "");
    } else {
        lua_pushlstring(L, (const char *)self->data + from - 1, (size_t)(to - from + 1));
    }
    return 1;
}

static int buffer_set(lua_State *L) {
    tlb_buffer *self = self_buffer(L);
    size_t len;
    const char *bytes = tlb_bytes(L, 2, &len);
    if (len > self->capacity) {
        return luaL_error(L, "buffer:set(): %I bytes do not fit into %I, the capacity",
                          (LUAI_UACINT)len, (LUAI_UACINT)self->capacity);
    }
    memcpy(self->data, bytes, len);
    self->len = len;
    lua_settop(L, 1);
    return 1;
}

static int buffer_capacity(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)self_buffer(L)->capacity);
    return 1;
}

static int buffer_len(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)self_buffer(L)->len);
    return 1;
}

static int buffer_tostring(lua_State *L) {
    tlb_buffer *self = self_buffer(L);
    lua_pushfstring(L, "%s: %p (%I of %I bytes)", tlb_buffer_type.name, (void *)self,
                    (LUAI_UACINT)self->len, (LUAI_UACINT)self->capacity);
    return 1;
}

static int buffer_gc(lua_State *L) {
    tlb_buffer *self = tlb_test_buffer(L, 1);
    if (self) {
        explicit_bzero(self->data, self->capacity);
        self->len = 0;
    }
    return 0;
}

static const luaL_Reg methods[] = {
    {"sub", buffer_sub},
    {"set", buffer_set},
    {"capacity", buffer_capacity},
    {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", buffer_gc},   {"__close", buffer_gc},
    {"__len", buffer_len}, {"__tostring", buffer_tostring},
    {NULL, NULL},
};

const tlb_type tlb_buffer_type = {
    .name = "tlslife.buffer",
    .size = sizeof(tlb_buffer),
    .metamethods = metamethods,
    .methods = {methods},
};
