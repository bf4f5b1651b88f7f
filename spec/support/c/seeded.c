/*
 * seeded.c: makes the random bytes of libcrypto a function of a number, for programs that must be
 * repeated. Keys, session ids and signatures are the same each time, and so are the lengths of
 * messages. require "seeded" returns a function seed(n), which begins anew.
 *
 * All threads take the next bytes of one sequence.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <lauxlib.h>
#include <lua.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdint.h>

static _Atomic(uint64_t) state;

/* splitmix64 */
static uint64_t next(void) {
    uint64_t x = atomic_fetch_add(&state, 0x9E3779B97F4A7C15) + 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

static int bytes(unsigned char *to, int len) {
    for (int i = 0; i < len; i += 8) {
        uint64_t word = next();
        for (int j = i; j < len && j < i + 8; j++, word >>= 8) {
            to[j] = (unsigned char)word;
        }
    }
    return 1;
}

static int ready(void) {
    return 1;
}

static int seed(lua_State *L) {
    static const RAND_METHOD method = {.bytes = bytes, .pseudorand = bytes, .status = ready};
    state = (uint64_t)luaL_checkinteger(L, 1);
    RAND_set_rand_method(&method);
    return 0;
}

int luaopen_seeded(lua_State *L);
__attribute__((visibility("default"))) int luaopen_seeded(lua_State *L) {
    lua_pushcfunction(L, seed);
    return 1;
}
