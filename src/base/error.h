/*
 * error.h: fills an error with a message. error.c.
 *
 * Neither function reads OpenSSL's queue, so a store may call them.
 */
#ifndef TLSLIFE_ERROR_H
#define TLSLIFE_ERROR_H

#include <stddef.h>

#include "tlslife.h"

/*
 * Alerts in the order of their numbers, as places from 0. What has no name of its own has the last
 * place. tlsl_alert_at is NULL behind that.
 */
size_t tlsl_alert_place(int alert);
const char *tlsl_alert_at(size_t place);

/* Fills err, which may be NULL, with a kind and a message. Returns TLSLIFE_ERROR. */
tlslife_status tlsl_fail(tlslife_error *err, tlslife_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, with the text of system_errno appended. The kind is MEMORY for ENOMEM, else SYSTEM. */
tlslife_status tlsl_fail_system(tlslife_error *err, int system_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
