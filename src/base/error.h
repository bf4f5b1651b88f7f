/*
 * error.h: how every file fills an error. error.c.
 *
 * tlsl_fail and tlsl_fail_system read no OpenSSL queue, so a store may call them.
 */
#ifndef TLSLIFE_ERROR_H
#define TLSLIFE_ERROR_H

#include "tlslife.h"

/* Fills err (may be NULL) with a message of ours. Always TLSLIFE_ERROR. */
tlslife_status tlsl_fail(tlslife_error *err, tlslife_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with the text of system_errno appended. */
tlslife_status tlsl_fail_system(tlslife_error *err, int system_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
