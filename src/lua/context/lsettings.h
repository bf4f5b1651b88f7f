/*
 * lsettings.h: the options of tls.context{}. lsettings.c.
 */
#ifndef TLSLIFE_LUA_LSETTINGS_H
#define TLSLIFE_LUA_LSETTINGS_H

#include "lua/base/loptions.h"

/* The rows are in the order in which they are set. name is NULL after the last. */
extern const tlb_option tlb_context_options[];

#endif
