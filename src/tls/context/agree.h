/*
 * agree.h: declares the check that the settings of a context agree. agree.c.
 */
#ifndef TLSLIFE_AGREE_H
#define TLSLIFE_AGREE_H

#include "tlslife.h"

/* TLSLIFE_OK, or err names two settings of which one would have no effect (USAGE). */
tlslife_status tlsl_settings_agree(const tlslife_context *context, tlslife_error *err);

#endif
