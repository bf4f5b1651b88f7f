/*
 * fail.h: filling an error, for the core and the stores alike. error.c.
 */
#ifndef TLSLIFE_FAIL_H
#define TLSLIFE_FAIL_H

#include "tlslife.h"

/* Fills err (may be NULL) with a message of ours; no OpenSSL queue is read. Always TLSLIFE_ERROR. */
tlslife_status tlsl_fail(tlslife_error *err, tlslife_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with errno's text appended. */
tlslife_status tlsl_fail_system(tlslife_error *err, int system_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
