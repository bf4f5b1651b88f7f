/*
 * options.h: between loptions.c, which walks the table of options, and lsettings.c, which knows what each means.
 */
#ifndef TLSLIFE_OPTIONS_H
#define TLSLIFE_OPTIONS_H

#include "binding.h"

/* The stack while a setter runs: the table of options, the context's userdata, "option 'x'", the option's value. */
enum { TLB_OPTIONS = 1, TLB_CONTEXT, TLB_WHAT, TLB_VALUE };

typedef struct tlb_setting {
    lua_State *L;
    tlslife_context *context;
    const char *what; /* "option 'verify'" */
    tlslife_error err;
} tlb_setting;

typedef struct tlb_option {
    const char *name;
    unsigned types;       /* a bit for each LUA_T that is lawful */
    const char *expected; /* the same in words */
    tlslife_status (*set)(tlb_setting *s);
} tlb_option;

#define TLB_TYPE_BIT(type) (1u << (type))

extern const tlb_option tlb_options[]; /* in the order in which they are set; name NULL after the last */
/* Which of the words the value is. Raises: none of them. */
int tlb_choice(tlb_setting *s, const char *const words[]);

#endif
