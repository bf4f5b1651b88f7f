/*
 * data.c: reads and writes application data.
 *
 * A read is one SSL_read_ex into the caller's memory. A write is one SSL_write_ex of the caller's
 * memory for each record of 16 KiB. Small pieces are first gathered into one record, because a
 * record costs as much time as a copy of thousands of bytes. No data are read or written before the
 * handshake is done and every question is answered, except behind accept_early (early.c).
 *
 * After a write that must wait, libssl holds a record that is already encrypted, and must be given
 * the same bytes again. *out_written does not count them, so a caller that continues from there
 * gives those bytes.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error_queue.h"
#include "net/fd.h"
#include "tls/conn/data.h"
#include "tls/context/context.h"
#include "tls/handshake/early.h"
#include "tls/handshake/handshake.h"
#include "tls/handshake/ssl_result.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tls/state/traced.h"
#include "tlslife.h"

/* ----------------------------------------------------------------------------------------- read */

static bool usable(const tlslife_conn *conn) {
    return conn->open && conn->final_status == TLSLIFE_OK && conn->transport.kind != TLSL_NONE &&
           conn->transport.inner == NULL;
}

/* The result of libssl for a call of 0 bytes looks like that of a broken connection. */
static tlslife_status no_bytes(tlslife_conn *conn, const char *verb) {
    return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s of 0 bytes", verb);
}

/*
 * A client may show a server another certificate after the handshake (post-handshake
 * authentication, renegotiation), and on_verify clears conn->open then. libssl would go on from the
 * last message of that exchange to application data in the same call. So where the program is asked
 * about its peers, the messages are processed by a call that moves no data, and the caller looks at
 * conn->open again. SSL_peek_ex leaves the data in libssl. Returns what the SSL_ call returned.
 */
static int process_messages(const tlslife_conn *conn, bool before_read) {
    char byte;
    size_t len = 0;
    if (!SSL_is_server(conn->ssl) || !tlsl_asks_verify(conn->context)) {
        return 1;
    }
    if (before_read) {
        return SSL_peek_ex(conn->ssl, &byte, 1, &len);
    }
    return SSL_in_init(conn->ssl) ? SSL_do_handshake(conn->ssl) : 1;
}

/*
 * Whether the program has yet to accept a certificate that the client showed after the handshake.
 */
static bool awaits_answer(const tlslife_conn *conn) {
    return conn->shaken && !conn->open;
}

typedef int (*read_call)(SSL *, void *, size_t, size_t *);

/*
 * Reads where the connection is not open: asks an open question again, or reads early data, if
 * there are any, and then makes the rest of the handshake.
 */
static tlslife_status read_slowly(tlslife_conn *conn, read_call call, void *buffer,
                                  size_t buffer_len, size_t *out_early, int64_t *deadline,
                                  const char *verb) {
    if (conn->data.early == NULL || !(conn->shaken || tlslife_conn_early(conn))) {
        return tlsl_conn_ready(conn, verb); /* accept_early has not returned OK yet */
    }
    tlslife_status status =
        tlsl_early_read(conn, buffer, buffer_len, out_early, call == SSL_peek_ex, deadline, verb);
    if (status == TLSLIFE_OK && *out_early == 0) { /* they are over */
        status = conn->open ? TLSLIFE_OK : tlsl_handshake_drive(conn, verb, true, deadline);
        if (status == TLSLIFE_OK) {
            tlsl_early_free(conn);
        }
    }
    return status;
}

static tlslife_status read_on(tlslife_conn *conn, read_call call, void *buffer, size_t buffer_len,
                              size_t *out_read, const char *verb) {
    int64_t deadline = TLSL_DEADLINE_UNSET;
    tlslife_status status = buffer_len > 0 ? TLSLIFE_OK : no_bytes(conn, verb);
    while (status == TLSLIFE_OK) {
        if (!usable(conn) || conn->data.early != NULL) {
            size_t early = 0;
            status = read_slowly(conn, call, buffer, buffer_len, &early, &deadline, verb);
            if (status != TLSLIFE_OK || early > 0) {
                *out_read = early > 0 ? early : *out_read;
                return status;
            }
            continue;
        }
        tlsl_errors_clear();
        int ret = process_messages(conn, true);
        if (ret > 0 && !conn->open) {
            continue;
        }
        if (ret > 0) {
            ret = call(conn->ssl, buffer, buffer_len, out_read);
        }
        if (ret > 0) {
            conn->data.unanswered = true;
            tlsl_conn_facts(conn);
            return TLSLIFE_OK;
        }
        status = tlsl_conn_settle(conn, ret, &deadline, verb);
    }
    return status;
}

static tlslife_status read_with(tlslife_conn *conn, read_call call, void *buffer, size_t buffer_len,
                                size_t *out_read, const char *verb) {
    uint64_t since = tlsl_traced_now(conn);
    tlslife_status status = read_on(conn, call, buffer, buffer_len, out_read, verb);
    return tlsl_called(conn, verb, since, status, status == TLSLIFE_OK ? *out_read : 0);
}

tlslife_status tlslife_conn_read(tlslife_conn *conn, void *buffer, size_t buffer_len,
                                 size_t *out_read) {
    return read_with(conn, SSL_read_ex, buffer, buffer_len, out_read, "read");
}

tlslife_status tlslife_conn_peek(tlslife_conn *conn, void *buffer, size_t buffer_len,
                                 size_t *out_read) {
    return read_with(conn, SSL_peek_ex, buffer, buffer_len, out_read, "peek");
}

/* Whether libssl may be asked about records, and the answer may be given to the program. */
static bool has_records(const tlslife_conn *conn) {
    return !awaits_answer(conn) && !tlsl_conn_lost_records(conn);
}

size_t tlslife_conn_pending(const tlslife_conn *conn) {
    int pending = has_records(conn) ? SSL_pending(conn->ssl) : 0;
    return tlsl_early_pending(conn) + (pending > 0 ? (size_t)pending : 0);
}

/* Bytes that the outer connection has decrypted are records of this one. */
bool tlslife_conn_has_pending(const tlslife_conn *conn) {
    bool outside = conn->transport.outer != NULL && tlslife_conn_has_pending(conn->transport.outer);
    return tlsl_early_pending(conn) > 0 ||
           (has_records(conn) && (SSL_has_pending(conn->ssl) || outside));
}

bool tlslife_conn_drained(const tlslife_conn *conn) {
    return usable(conn) && conn->transport.kind == TLSL_FD && tlsl_early_pending(conn) == 0 &&
           tlsl_fd_drained(SSL_get_rbio(conn->ssl)) && !SSL_has_pending(conn->ssl) &&
           (SSL_get_shutdown(conn->ssl) & SSL_RECEIVED_SHUTDOWN) == 0;
}

/* A peer may be waiting for bytes that cork holds back, so the connection is not idle then. */
bool tlslife_conn_idle(const tlslife_conn *conn) {
    if (conn->transport.inner != NULL) {
        return tlslife_conn_idle(conn->transport.inner);
    }
    return usable(conn) && !conn->data.unanswered && !conn->data.write_waits &&
           conn->data.held_len == 0 && !tlslife_conn_has_pending(conn);
}

/* ---------------------------------------------------------------------------------------- write */

/*
 * Whether libssl holds a record of the write that has just failed. It holds none where our
 * close_notify was sent before, or where a handshake must end before the write.
 */
static bool leaves_record(const SSL *ssl) {
    return SSL_want_write(ssl) && !SSL_in_init(ssl);
}

/*
 * Before the handshake is done a write is sent behind early data, or finishes the handshake first.
 */
static tlslife_status ready_to_write(tlslife_conn *conn, int64_t *deadline) {
    if (usable(conn) || tlsl_early_writable(conn)) {
        return TLSLIFE_OK;
    }
    return tlslife_conn_early(conn) ? tlsl_handshake_drive(conn, "write", true, deadline)
                                    : tlsl_conn_ready(conn, "write");
}

typedef int (*write_call)(SSL *, const void *, size_t, size_t *);

/* Writes all of bytes. *written grows by the bytes of each record that was sent. */
static tlslife_status write_all(tlslife_conn *conn, const unsigned char *bytes, size_t len,
                                size_t *written, int64_t *deadline) {
    tlslife_status status = conn->data.write_lost ? TLSLIFE_CLOSED : TLSLIFE_OK;
    size_t gone = 0;
    while (status == TLSLIFE_OK && gone < len) {
        size_t now = 0;
        status = ready_to_write(conn, deadline);
        if (status != TLSLIFE_OK) {
            break;
        }
        bool early = !conn->open;
        tlsl_errors_clear();
        int ret = early ? 1 : process_messages(conn, false);
        if (ret > 0 && !early && !conn->open) {
            continue;
        }
        if (ret > 0) {
            write_call call = early ? SSL_write_early_data : SSL_write_ex;
            ret = call(conn->ssl, bytes + gone, len - gone, &now);
        }
        if (ret > 0) {
            conn->data.write_waits = conn->data.unanswered = false;
            gone += now;
            continue;
        }
        conn->data.write_waits |= leaves_record(conn->ssl);
        status = tlsl_conn_settle(conn, ret, deadline, "write");
        conn->data.write_lost = conn->data.write_waits && status == TLSLIFE_CLOSED;
    }
    *written += gone;
    tlsl_conn_facts(conn);
    return status;
}

/* Sends what cork holds back. After a wait, the bytes that were not sent move to the front. */
static tlslife_status flush_held(tlslife_conn *conn, int64_t *deadline) {
    size_t gone = 0;
    tlslife_status status = write_all(conn, conn->data.held, conn->data.held_len, &gone, deadline);
    conn->data.held_len -= gone;
    memmove(conn->data.held, conn->data.held + gone, conn->data.held_len);
    return status;
}

/* Appends to the bytes that cork holds back, and sends them whenever there are 16 KiB. */
static tlslife_status hold(tlslife_conn *conn, const unsigned char *bytes, size_t len,
                           size_t *written, int64_t *deadline) {
    while (len > 0) {
        tlslife_status status =
            conn->data.held_len < TLSL_RECORD ? TLSLIFE_OK : flush_held(conn, deadline);
        if (status != TLSLIFE_OK) {
            return status;
        }
        size_t now =
            TLSL_RECORD - conn->data.held_len < len ? TLSL_RECORD - conn->data.held_len : len;
        memcpy(conn->data.held + conn->data.held_len, bytes, now);
        conn->data.held_len += now;
        *written += now;
        bytes += now;
        len -= now;
    }
    return TLSLIFE_OK;
}

/* Writes behind early data: through the buffer of cork, which any later call can flush. */
static tlslife_status write_before_finished(tlslife_conn *conn, const void *bytes, size_t len,
                                            size_t *written, int64_t *deadline) {
    bool corked = conn->data.corked;
    tlslife_status status = tlslife_conn_cork(conn, true);
    if (status == TLSLIFE_OK) {
        status = hold(conn, bytes, len, written, deadline);
    }
    conn->data.corked = corked;
    return status == TLSLIFE_OK && !corked ? tlsl_flush(conn, deadline) : status;
}

static tlslife_status write_piece(tlslife_conn *conn, const void *bytes, size_t len,
                                  size_t *written, int64_t *deadline) {
    tlslife_status ready = ready_to_write(conn, deadline);
    if (ready != TLSLIFE_OK) {
        return ready;
    }
    if (!conn->open) {
        return write_before_finished(conn, bytes, len, written, deadline);
    }
    if (conn->data.corked && (SSL_get_shutdown(conn->ssl) & SSL_SENT_SHUTDOWN) == 0) {
        return hold(conn, bytes, len, written, deadline);
    }
    if (conn->data.held_len > 0) {
        tlslife_status status = flush_held(conn, deadline);
        if (status != TLSLIFE_OK) {
            return status;
        }
    }
    return write_all(conn, bytes, len, written, deadline);
}

tlslife_status tlslife_conn_write(tlslife_conn *conn, const void *bytes, size_t bytes_len,
                                  size_t *out_written) {
    uint64_t since = tlsl_traced_now(conn);
    int64_t deadline = TLSL_DEADLINE_UNSET;
    *out_written = 0;
    tlslife_status status = write_piece(conn, bytes, bytes_len, out_written, &deadline);
    return tlsl_called(conn, "write", since, status, *out_written);
}

/* The position of a gathering write in its pieces. */
typedef struct cursor {
    const tlslife_bytes *piece;
    size_t pieces_len; /* from piece on */
    size_t offset;     /* in *piece */
} cursor;

static size_t gather(cursor *at, unsigned char *record) {
    size_t len = 0;
    while (at->pieces_len > 0 && len < TLSL_RECORD) {
        size_t left = at->piece->len - at->offset;
        size_t now = TLSL_RECORD - len < left ? TLSL_RECORD - len : left;
        if (now > 0) {
            memcpy(record + len, at->piece->data + at->offset, now);
        }
        len += now;
        at->offset += now;
        if (at->offset == at->piece->len) {
            at->piece++;
            at->pieces_len--;
            at->offset = 0;
        }
    }
    return len;
}

tlslife_status tlslife_conn_writev(tlslife_conn *conn, const tlslife_bytes *pieces,
                                   size_t pieces_len, size_t *out_written) {
    unsigned char record[TLSL_RECORD];
    uint64_t since = tlsl_traced_now(conn);
    int64_t deadline = TLSL_DEADLINE_UNSET;
    cursor at = {pieces, pieces_len, 0};
    tlslife_status status = TLSLIFE_OK;
    size_t len = 0;
    *out_written = 0;
    while (status == TLSLIFE_OK && at.pieces_len > 0) {
        const tlslife_bytes *piece = at.piece;
        if (at.offset == 0 && piece->len >= TLSL_RECORD && !conn->data.corked) {
            /* Full records are written from the caller's memory. */
            size_t whole = piece->len - piece->len % TLSL_RECORD;
            status = write_piece(conn, piece->data, whole, out_written, &deadline);
            at.offset = whole;
            continue;
        }
        size_t now = gather(&at, record);
        len = now > len ? now : len;
        status = write_piece(conn, record, now, out_written, &deadline);
    }
    OPENSSL_cleanse(record, len);
    return tlsl_called(conn, "write", since, status, *out_written);
}

tlslife_status tlslife_conn_cork(tlslife_conn *conn, bool cork) {
    if (cork && conn->transport.inner != NULL) {
        return tlsl_conn_carries(conn, "cork");
    }
    if (cork && conn->data.held == NULL) {
        conn->data.held = malloc(TLSL_RECORD);
        if (conn->data.held == NULL) {
            return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for cork");
        }
    }
    conn->data.corked = cork;
    return TLSLIFE_OK;
}

tlslife_status tlsl_flush(tlslife_conn *conn, int64_t *deadline) {
    tlslife_status status = TLSLIFE_OK;
    if (conn->data.held_len > 0) {
        status = flush_held(conn, deadline);
    }
    if (status == TLSLIFE_OK && !conn->data.corked && conn->data.held != NULL) {
        OPENSSL_cleanse(conn->data.held, TLSL_RECORD);
        free(conn->data.held);
        conn->data.held = NULL;
    }
    return status;
}

tlslife_status tlslife_conn_flush(tlslife_conn *conn) {
    uint64_t since = tlsl_traced_now(conn);
    int64_t deadline = TLSL_DEADLINE_UNSET;
    return tlsl_called(conn, "flush", since, tlsl_flush(conn, &deadline), 0);
}
