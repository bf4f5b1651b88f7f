/*
 * larg.h: checks of arguments. larg.c.
 */
#ifndef TLSLIFE_LUA_LARG_H
#define TLSLIFE_LUA_LARG_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define TLB_SIZE_MAX (1 << 30)

/*
 * The integer at idx, which must be in min..max. If it is absent, the result is fallback; a
 * fallback below min makes the argument mandatory.
 */
size_t tlb_size(lua_State *L, int idx, lua_Integer min, lua_Integer max, lua_Integer fallback);
bool tlb_boolean(lua_State *L, int idx);
bool tlb_optional_boolean(lua_State *L, int idx); /* false if it is absent */
/*
 * The seconds at idx as milliseconds, rounded up; -1 for nil. what names the argument in an error.
 * If it is NULL, the error has the argument's number.
 */
int tlb_milliseconds(lua_State *L, int idx, const char *what);
/* A string. Numbers are not accepted. */
const char *tlb_bytes(lua_State *L, int idx, size_t *out_len);
/* A string that contains no NUL. */
const char *tlb_text(lua_State *L, int idx);
/* A port, which is an integer 0..65535 (it becomes a string on the stack), or a service's name. */
const char *tlb_service(lua_State *L, int idx);
/*
 * The offset of byte i of len bytes. i is the integer at idx, by default 1. The result is 0..len;
 * len is for an i one past the end.
 */
size_t tlb_offset(lua_State *L, int idx, size_t len);
/*
 * The length of the list at idx. Raises if it is above TLB_LIST_MAX. The border of a table with
 * holes may be any power of two, and no real list is as long.
 */
#define TLB_LIST_MAX (1 << 24)
size_t tlb_list_len(lua_State *L, int idx, const char *what);
/*
 * Pushes a userdata with room for len elements of that size. Raises if memory cannot hold so many.
 */
void *tlb_array(lua_State *L, size_t len, size_t size);
/*
 * The list of strings at idx as C strings, in a userdata that is pushed. They are valid while the
 * list and the userdata are.
 */
const char *const *tlb_string_list(lua_State *L, int idx, const char *what, size_t *out_len);
/*
 * The keys of the table at idx, sorted, in a userdata that is pushed, above a table that keeps
 * them. Raises for keys that are not strings.
 */
const char *const *tlb_sorted_keys(lua_State *L, int idx, const char *what, size_t *out_len);
/* Raises "option 'x': string expected, got nil". */
int tlb_type_error(lua_State *L, int idx, const char *what, const char *expected);

#endif
