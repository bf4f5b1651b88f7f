/*
 * error_queue.h: OpenSSL's error queue of this thread, and how an error takes it over. error.c.
 */
#ifndef TLSLIFE_ERROR_QUEUE_H
#define TLSLIFE_ERROR_QUEUE_H

#include <openssl/err.h>

#include "base/error.h"

/*
 * As tlsl_fail. Then drains the queue into err, the first cause first, and appends the reason of
 * the first cause to the message.
 */
tlslife_status tlsl_fail_openssl(tlslife_error *err, tlslife_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Before an SSL_ call: an error that somebody else left must not be read as this connection's. */
static inline void tlsl_errors_clear(void) {
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

#endif
