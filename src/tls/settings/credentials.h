/*
 * credentials.h: declares how a program is asked which certificate is shown. credentials.c.
 */
#ifndef TLSLIFE_CREDENTIALS_H
#define TLSLIFE_CREDENTIALS_H

#include "tlslife.h"

/* The program is asked before a certificate is shown, as context->questions says. */
void tlsl_credentials_ask(tlslife_context *context);

#endif
