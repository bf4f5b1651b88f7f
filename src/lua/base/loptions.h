/*
 * loptions.h: reads a table of options. loptions.c.
 *
 * The files that know what the options mean have a row for each: lsettings.c (a context's),
 * lcache.c, lstore.c, lkeys.c and ltrace.c.
 */
#ifndef TLSLIFE_LUA_LOPTIONS_H
#define TLSLIFE_LUA_LOPTIONS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "tlslife.h"

/*
 * The stack while a setter runs: the table of options, the userdata that is being made, the string
 * "option 'x'", and the option's value.
 */
enum { TLB_OPTIONS = 1, TLB_MADE, TLB_WHAT, TLB_VALUE };

typedef struct tlb_setting {
    lua_State *L;
    union {
        tlslife_context *context;
        void *into; /* a structure that the setters fill */
    };
    const char *what; /* "option 'verify'" */
    tlslife_error err;
} tlb_setting;

typedef struct tlb_option {
    const char *name;
    unsigned types;       /* a bit for each LUA_T that is allowed */
    const char *expected; /* the same in words */
    tlslife_status (*set)(tlb_setting *s);
    bool demanded;
} tlb_option;

#define TLB_TYPE_BIT(type) (1u << (type))
#define TLB_STRING TLB_TYPE_BIT(LUA_TSTRING), "string"
#define TLB_BOOLEAN TLB_TYPE_BIT(LUA_TBOOLEAN), "boolean"
#define TLB_INTEGER TLB_TYPE_BIT(LUA_TNUMBER), "integer"
#define TLB_NUMBER TLB_TYPE_BIT(LUA_TNUMBER), "number"
#define TLB_TABLE TLB_TYPE_BIT(LUA_TTABLE), "table"
#define TLB_FUNCTION TLB_TYPE_BIT(LUA_TFUNCTION), "function"

/* Checks the table at TLB_OPTIONS, and replaces it by a copy, which is then alone on the stack. */
void tlb_read_options(lua_State *L, const tlb_option rows[]);
/*
 * Calls the setter of each option that was read, for the object at TLB_MADE. Leaves the options and
 * the object on the stack. If it returns false, s->what names the option and s->err has the reason.
 */
bool tlb_set_options(tlb_setting *s, const tlb_option rows[]);
/* Pushes an option that was read, and returns its type. */
int tlb_push_option(tlb_setting *s, const char *name);

/*
 * The option's value: a string without NUL, a boolean, an integer in a range, or the place of a
 * string in a list of words. They raise if it is anything else.
 */
const char *tlb_option_text(tlb_setting *s);
const char *tlb_option_text_at(tlb_setting *s, int idx);
bool tlb_option_truth(tlb_setting *s);
lua_Integer tlb_option_integer(tlb_setting *s, lua_Integer min, lua_Integer max);
/* An integer as a size. max is lowered to what memory can hold. */
size_t tlb_option_size(tlb_setting *s, lua_Integer min, lua_Integer max);
int tlb_choice(tlb_setting *s, const char *const words[]);
/* Raises if the table at idx has keys other than these. */
void tlb_check_fields(tlb_setting *s, int idx, const char *const fields[]);

#endif
