/*
 * error_queue.h: moves OpenSSL's error queue of this thread into an error. error.c.
 */
#ifndef TLSLIFE_ERROR_QUEUE_H
#define TLSLIFE_ERROR_QUEUE_H

#include <openssl/err.h>
#include <stddef.h>

#include "base/error.h"

/*
 * As tlsl_fail. Then moves the queue into err, the first cause first, and appends the first cause's
 * reason to the message. The queue is emptied also if err is NULL.
 */
tlslife_status tlsl_fail_openssl(tlslife_error *err, tlslife_error_kind kind, const char *format,
                                 ...) __attribute__((format(printf, 3, 4)));
/*
 * The same for what fails only where an algorithm is missing, which OpenSSL says, or memory, which
 * it often does not say. So an empty queue means memory. It must have been empty before.
 */
tlslife_status tlsl_fail_making(tlslife_error *err, const char *text);
/*
 * Called before an SSL_ call, so that an error that other code left behind is not taken for one of
 * this call.
 */
static inline void tlsl_errors_clear(void) {
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

/* Errors that were taken out of the thread's queue. */
typedef struct tlsl_errors {
    size_t len;
    struct {
        unsigned long code;
        char data[128];
    } list[TLSLIFE_ERROR_QUEUE_MAX];
} tlsl_errors;

/* Moves the thread's queue into *aside. Names of OpenSSL's files and functions are lost. */
void tlsl_errors_set_aside(tlsl_errors *aside);
/* Empties the queue, and puts those errors back. */
void tlsl_errors_put_back(const tlsl_errors *aside);

#endif
