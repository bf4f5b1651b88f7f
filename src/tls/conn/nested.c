/*
 * nested.c: lets one connection travel within another, which is TLS in TLS.
 *
 *   inner's SSL --records--> BIO of this file --application data--> outer --records--> descriptor
 *
 * The BIO reads and writes by the calls that a program would make of the outer connection, so that
 * its messages after the handshake, its ends and its errors are treated as always. These calls
 * never wait. What the outer one wants becomes the BIO's retry flag and thus the want of the inner
 * one, whatever the inner one was about to do: a read of ours may have to wait until the outer
 * connection can write. The inner connection has the deadline and does the waiting, at the
 * descriptor of the outermost one.
 *
 * As long as the outer connection carries another, its own data verbs are refused, since they would
 * take records away, or put bytes between them. The BIO makes its calls under an exception.
 *
 * The calls are made within an SSL_ call of the inner connection. libssl may have put an error into
 * the thread's queue by then and is about to send the alert, whereas the outer call clears the
 * queue. So the queue is set aside meanwhile.
 *
 * An attacker who can cut the stream of the outer connection must not make that of the inner one
 * look complete. So the end of the outer stream, clean or not, is a bare end for the inner one.
 * A program may free, clear or close the outer connection at any time. The BIO has a reference, and
 * every call is checked as the program's own would be. Connections that carry each other in a
 * circle, or in a long chain, would exhaust the stack, so both are refused.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "base/once.h"
#include "net/front.h"
#include "net/method.h"
#include "tls/conn/transport.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tlslife.h"

#define LAYERS_MAX 8 /* a call of the innermost one uses stack for each */

typedef struct carried {
    tlsl_front front; /* comes first: front.h */
    tlslife_conn *outer;
} carried;

/* ------------------------------------------------------------------------------------------ BIO */

/* The state of the outer connection and of the thread that a call of the BIO restores. */
typedef struct visit {
    tlsl_errors errors;
    tlslife_conn *inner;
    bool blocking;
} visit;

static void enter(tlslife_conn *outer, visit *here) {
    tlsl_errors_set_aside(&here->errors);
    here->inner = outer->transport.inner;
    here->blocking = outer->blocking;
    outer->transport.inner = NULL;
    tlsl_conn_set_waiting(outer, false, outer->timeout_ms);
}

static bool has_ended(const tlslife_conn *outer) {
    return outer->transport.inner_status == TLSLIFE_CLOSED ||
           outer->transport.inner_status == TLSLIFE_TRUNCATED;
}

/* The end of the stream stays the status, even if an alert that libssl writes then succeeds. */
static void leave(tlslife_conn *outer, const visit *here, tlslife_status status) {
    tlsl_conn_set_waiting(outer, here->blocking, outer->timeout_ms);
    outer->transport.inner = here->inner;
    if (!has_ended(outer)) {
        outer->transport.inner_status = (uint8_t)status;
    }
    tlsl_errors_put_back(&here->errors);
}

/* The result of the BIO's call, with the flags that libssl asks for after it. */
static int result_of(BIO *bio, tlslife_status status) {
    switch (status) {
    case TLSLIFE_OK: return 1;
    case TLSLIFE_CLOSED:
    case TLSLIFE_TRUNCATED: errno = EPIPE; return 0;
    case TLSLIFE_WANT_WRITE: BIO_set_retry_write(bio); return -1;
    case TLSLIFE_ERROR: errno = EIO; return -1;
    default: BIO_set_retry_read(bio); return -1; /* also for a question, which is to be answered */
    }
}

static int nested_read(BIO *bio, char *buffer, size_t len, size_t *out_read) {
    carried *own = BIO_get_data(bio);
    visit here;
    BIO_clear_retry_flags(bio);
    *out_read = 0;
    if (own->front.bytes != NULL || len == 0) {
        *out_read = tlsl_front_take(&own->front, buffer, len);
        return 1;
    }
    enter(own->outer, &here);
    tlslife_status status = tlslife_conn_read(own->outer, buffer, len, out_read);
    leave(own->outer, &here, status);
    return result_of(bio, status);
}

/* A write of which a part has gone has succeeded, and what stops the rest comes with the next. */
static int nested_write(BIO *bio, const char *bytes, size_t len, size_t *out_written) {
    carried *own = BIO_get_data(bio);
    visit here;
    BIO_clear_retry_flags(bio);
    *out_written = 0;
    enter(own->outer, &here);
    tlslife_status status = tlslife_conn_write(own->outer, bytes, len, out_written);
    status = *out_written > 0 ? TLSLIFE_OK : status;
    leave(own->outer, &here, status);
    return result_of(bio, status);
}

static long nested_ctrl(BIO *bio, int command, long number, void *pointer) {
    const carried *own = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP: return 1;
    case BIO_CTRL_EOF: return has_ended(own->outer) && own->front.bytes == NULL;
    case BIO_CTRL_PENDING:
        return (long)(tlslife_conn_pending(own->outer) + tlsl_front_len(&own->front));
    default: return 0;
    }
}

static int nested_destroy(BIO *bio) {
    carried *own = BIO_get_data(bio);
    if (own != NULL) {
        BIO_set_data(bio, NULL);
        tlsl_front_clear(&own->front);
        tlslife_conn_free(own->outer);
        free(own);
    }
    return 1;
}

static tlsl_once method_once = TLSL_ONCE;
static BIO_METHOD *method;

static bool make_method(void) {
    const tlsl_bio_verbs verbs = {nested_read, nested_write, nested_ctrl, nested_destroy};
    method = tlsl_bio_method("tlslife nested", 0, &verbs);
    return method != NULL;
}

/* A BIO over the application data of outer, with a reference of its own. NULL: memory is short. */
static BIO *bio_over(tlslife_conn *outer) {
    tlsl_errors_clear();
    if (!tlsl_once_done(&method_once, make_method)) {
        return NULL;
    }
    carried *own = malloc(sizeof *own);
    BIO *bio = own == NULL ? NULL : BIO_new(method);
    if (bio == NULL) {
        free(own);
        return NULL;
    }
    *own = (carried){.outer = tlslife_conn_up_ref(outer)};
    BIO_set_data(bio, own);
    BIO_set_init(bio, 1);
    return bio;
}

/* -------------------------------------------------------------------------- inner and outer */

static tlslife_status cannot(tlslife_conn *conn, const char *why) {
    return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "set_connection: %s", why);
}

/* Whether outer can carry conn now: OK, or ERROR, which is conn's. */
static tlslife_status check(tlslife_conn *conn, tlslife_conn *outer) {
    int layers = 2;
    const tlslife_conn *one = outer;
    for (; one != conn && one->transport.outer != NULL; one = one->transport.outer) {
        layers++;
    }
    if (one == conn) {
        return cannot(conn, "a connection cannot carry itself");
    }
    if (layers > LAYERS_MAX) {
        return cannot(conn, "these are more than 8 connections within each other");
    }
    if (conn->transport.inner != NULL) {
        return cannot(conn, "this connection carries another already: begin with the outermost");
    }
    if (outer->transport.inner != NULL && outer->transport.inner != conn) {
        return cannot(conn, "the outer connection carries another already");
    }
    if (!outer->open || outer->final_status != TLSLIFE_OK || outer->transport.kind == TLSL_NONE) {
        return cannot(conn, "the outer connection is not open: its handshake comes first");
    }
    if (outer->data.corked || outer->data.write_waits) {
        return cannot(conn, "the outer connection is corked, or a write of it waits");
    }
    return TLSLIFE_OK;
}

/* transport.c calls it when conn has another transport, or none. */
static void part(tlslife_conn *conn) {
    tlslife_conn *outer = conn->transport.outer;
    conn->transport.outer = NULL;
    outer->transport.inner = NULL;
    tlslife_conn_free(outer);
}

tlslife_status tlslife_conn_set_connection(tlslife_conn *conn, tlslife_conn *outer) {
    if (check(conn, outer) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    BIO *bio = bio_over(outer);
    if (bio == NULL) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a transport");
    }
    if (tlsl_transport_install(conn, bio, TLSL_NESTED) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    conn->transport.outer = tlslife_conn_up_ref(outer);
    conn->transport.part = part;
    outer->transport.inner = conn;
    outer->transport.inner_status = TLSLIFE_OK;
    return TLSLIFE_OK;
}

tlslife_conn *tlslife_conn_get0_outer(const tlslife_conn *conn) {
    return conn->transport.outer;
}

tlslife_conn *tlslife_conn_get0_inner(const tlslife_conn *conn) {
    return conn->transport.inner;
}
