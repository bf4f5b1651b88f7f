/*
 * options.h: between loptions.c, which walks a table of options, and the files that know what each
 * option means: lsettings.c (a context's), lcache.c, lstore.c, lkeys.c.
 */
#ifndef TLSLIFE_OPTIONS_H
#define TLSLIFE_OPTIONS_H

#include "binding.h"

/*
 * The stack while a setter runs: the options, the userdata of what is made, "option 'x'", the
 * option's value.
 */
enum { TLB_OPTIONS = 1, TLB_MADE, TLB_WHAT, TLB_VALUE };

typedef struct tlb_setting {
    lua_State *L;
    union {
        tlslife_context *context;
        void *into; /* a structure of options that the setters fill */
    };
    const char *what; /* "option 'verify'" */
    tlslife_error err;
} tlb_setting;

typedef struct tlb_option {
    const char *name;
    unsigned types;       /* a bit for each LUA_T that is lawful */
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

/* Rows are in the order in which they are set; name is NULL after the last. */
extern const tlb_option tlb_context_options[];

/* Checks the table at TLB_OPTIONS, and leaves a copy of it there, alone on the stack. */
void tlb_read_options(lua_State *L, const tlb_option rows[]);
/*
 * Sets what was read, for what is at TLB_MADE, and leaves these two. false: s->err says why,
 * s->what which one.
 */
bool tlb_set_options(tlb_setting *s, const tlb_option rows[]);
/* Pushes an option that was read: its type. */
int tlb_push_option(tlb_setting *s, const char *name);

/*
 * The value as a string without NUL, a boolean, an integer of that range, one of these words
 * (which?). Or raises.
 */
const char *tlb_option_text(tlb_setting *s);
const char *tlb_option_text_at(tlb_setting *s, int idx);
bool tlb_option_truth(tlb_setting *s);
lua_Integer tlb_option_integer(tlb_setting *s, lua_Integer min, lua_Integer max);
/* The same as a size, which is none that memory cannot have. */
size_t tlb_option_size(tlb_setting *s, lua_Integer min, lua_Integer max);
int tlb_choice(tlb_setting *s, const char *const words[]);
/*
 * Pushes the userdata of a store that is the functions in the value, a table. ERROR: s->err.
 * Raises: it is none.
 */
tlslife_status tlb_push_program(tlb_setting *s);
/* Raises for keys of the table at idx that are none of these. */
void tlb_check_fields(tlb_setting *s, int idx, const char *const fields[]);

#endif
