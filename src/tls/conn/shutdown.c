/*
 * shutdown.c: ends connections, and decides whether their sessions stay resumable.
 *
 * One call of tlslife_conn_shutdown is one SSL_shutdown, and each of its three results has a status
 * of its own. When an SSL is freed, cleared or given another session, libssl marks the session as
 * bad if the handshake was done and our close_notify was not marked as sent. So a client that wants
 * to resume must send close_notify. tlslife_conn_close sends it once, and waits for the peer's only
 * if it is told to.
 *
 * A peer that never answers costs at most the time to the deadline. What a peer sends meanwhile is
 * read and dropped. Where the connection does not block, and shares its thread with others, one
 * call reads a limited amount.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error_queue.h"
#include "net/fd.h"
#include "net/tcp.h"
#include "tls/conn/data.h"
#include "tls/conn/transport.h"
#include "tls/context/context.h"
#include "tls/handshake/handshake.h"
#include "tls/handshake/ssl_result.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tls/state/measured.h"
#include "tls/state/traced.h"
#include "tlslife.h"

#define READS_MAX 64 /* reads of 4 KiB in one call that must not wait */

static tlslife_status check_shutdown(tlslife_conn *conn) {
    bool under_way = SSL_in_init(conn->ssl);
    if (conn->final_status != TLSLIFE_OK) {
        return tlsl_conn_final_status(conn);
    }
    if (conn->transport.kind == TLSL_NONE && !SSL_in_before(conn->ssl) &&
        (under_way || !SSL_get_quiet_shutdown(conn->ssl))) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "shutdown without a transport, which was closed");
    }
    if (conn->data.write_lost) {
        return TLSLIFE_CLOSED;
    }
    /*
     * A close_notify would take the place of the record, which would then never be finished. A
     * record of bytes that cork has held back can be finished here.
     */
    if (conn->data.write_waits && conn->data.held_len == 0) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "shutdown while a write waits: finish it first, with the same bytes");
    }
    if (!conn->shaken) {
        /*
         * In a handshake SSL_shutdown would fail and change nothing, so this does not end the
         * connection. After libssl's end of it, a question about the peer is still unanswered.
         */
        return tlsl_conn_fail(
            conn, TLSLIFE_ERR_USAGE,
            "shutdown before a handshake is done: finish it, or free the connection");
    }
    return TLSLIFE_OK;
}

/*
 * Calls SSL_shutdown, and records whether libssl still holds our close_notify. OpenSSL 3.2 and
 * later do not report a close_notify to the info callback that is sent at a second try.
 */
static int shut_down(tlslife_conn *conn) {
    bool waited = conn->closing.notify_waits;
    tlsl_errors_clear();
    int ret = SSL_shutdown(conn->ssl);
    conn->closing.notify_waits = ret < 0 && SSL_want_write(conn->ssl);
    if (waited && ret >= 0) {
        tlsl_measured_closed(conn, TLSLIFE_SENT_SHUTDOWN);
    }
    return ret;
}

/*
 * Whether nothing is left to be done, though a renegotiation has begun behind our close_notify,
 * which no peer finishes.
 */
static bool is_over(const tlslife_conn *conn) {
    const int both = SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN;
    return SSL_in_init(conn->ssl) && (SSL_get_shutdown(conn->ssl) & both) == both;
}

/*
 * Shuts down, with bytes that cork holds back sent first. libssl refuses SSL_shutdown while a
 * message after the handshake is half read or half written, such as a ticket in two records, a key
 * update, or a renegotiation that the peer has begun. So that message is finished first.
 */
static tlslife_status shutdown_within(tlslife_conn *conn, int64_t *deadline) {
    tlslife_status status = TLSLIFE_OK;
    if (tlslife_conn_early(conn)) { /* the client's Finished is all that is left to come */
        status = tlsl_handshake_drive(conn, "shutdown", true, deadline);
    }
    if (status == TLSLIFE_OK) {
        status = check_shutdown(conn);
    }
    if (status == TLSLIFE_OK) {
        status = tlsl_flush(conn, deadline);
    }
    while (status == TLSLIFE_OK && !is_over(conn)) {
        bool under_way = SSL_in_init(conn->ssl);
        int ret = under_way ? SSL_do_handshake(conn->ssl) : shut_down(conn);
        if (!under_way && ret >= 0) {
            tlsl_conn_facts(conn);
            if (ret == 1 && conn->transport.kind == TLSL_FD) {
                /* Other bytes may follow, of this connection or another. */
                tlsl_fd_set_tls(SSL_get_rbio(conn->ssl), false);
            }
            return ret == 0 ? TLSLIFE_SENT : TLSLIFE_OK;
        }
        status = ret == 1 ? TLSLIFE_OK : tlsl_conn_settle(conn, ret, deadline, "shutdown");
    }
    return status == TLSLIFE_CLOSED && is_over(conn) ? TLSLIFE_OK : status;
}

tlslife_status tlslife_conn_shutdown(tlslife_conn *conn) {
    uint64_t since = tlsl_traced_now(conn);
    int64_t deadline = TLSL_DEADLINE_UNSET;
    return tlsl_called(conn, "shutdown", since, shutdown_within(conn, &deadline), 0);
}

/*
 * Reads until the peer's close_notify. Application data are dropped; sessions of tickets that come
 * before it are kept.
 */
static tlslife_status await_close_notify(tlslife_conn *conn, int64_t *deadline) {
    unsigned char dropped[4096];
    tlslife_status status = TLSLIFE_OK;
    int reads = 0;
    while (status == TLSLIFE_OK && !(SSL_get_shutdown(conn->ssl) & SSL_RECEIVED_SHUTDOWN)) {
        size_t len = 0;
        tlsl_errors_clear();
        int ret = SSL_read_ex(conn->ssl, dropped, sizeof dropped, &len);
        OPENSSL_cleanse(dropped, len);
        if (ret > 0 && *deadline != TLSL_NO_DEADLINE && tlsl_now_ms() >= *deadline) {
            return TLSLIFE_TIMEOUT;
        }
        if (ret > 0 && !conn->blocking && ++reads == READS_MAX) {
            conn->closing.more = true;
            return TLSLIFE_WANT_READ;
        }
        status = ret > 0 ? TLSLIFE_OK : tlsl_conn_settle(conn, ret, deadline, "close");
    }
    return status == TLSLIFE_CLOSED ? TLSLIFE_OK : status;
}

/* Sends our close_notify, once. */
static tlslife_status send_close_notify(tlslife_conn *conn, int64_t *deadline) {
    if (conn->data.write_waits && conn->data.held_len == 0) {
        /*
         * Nothing can be sent behind half a record. But SSL_shutdown marks the close_notify as
         * sent, so that the session stays good.
         */
        (void)shut_down(conn);
        return conn->data.write_lost ? TLSLIFE_CLOSED : TLSLIFE_TIMEOUT;
    }
    bool marked = SSL_get_shutdown(conn->ssl) & SSL_SENT_SHUTDOWN;
    return marked && !conn->closing.notify_waits ? TLSLIFE_SENT : shutdown_within(conn, deadline);
}

static tlslife_status close_politely(tlslife_conn *conn, int timeout_ms) {
    int64_t deadline = tlsl_deadline(timeout_ms);
    bool blocking = conn->blocking;
    int own_timeout_ms = conn->timeout_ms;
    tlsl_conn_set_waiting(conn, blocking && timeout_ms != 0, timeout_ms);
    conn->closing.more = false;
    tlslife_status status = send_close_notify(conn, &deadline);
    if (status == TLSLIFE_SENT && timeout_ms != 0) {
        status = await_close_notify(conn, &deadline);
    }
    tlsl_conn_set_waiting(conn, blocking, own_timeout_ms);
    return status;
}

/*
 * The result by the close_notify that were sent and received. libssl's mask is not used, because
 * the program or a quiet shutdown may have set it.
 */
static tlslife_status what_passed(const tlslife_conn *conn) {
    int passed = conn->origin->foreign ? SSL_get_shutdown(conn->ssl) : conn->closing.passed;
    if ((passed & TLSLIFE_SENT_SHUTDOWN) == 0 || conn->closing.notify_waits) {
        return TLSLIFE_UNSENT;
    }
    return passed & TLSLIFE_RECEIVED_SHUTDOWN ? TLSLIFE_OK : TLSLIFE_SENT;
}

static bool is_want(tlslife_status status) {
    return status >= TLSLIFE_WANT_READ && status <= TLSLIFE_WANT_SESSION;
}

static tlslife_status close_within(tlslife_conn *conn, int timeout_ms) {
    bool live = (conn->shaken || tlslife_conn_early(conn)) && conn->transport.kind != TLSL_NONE;
    tlslife_status status = tlsl_conn_final_status(conn);
    if (live && status == TLSLIFE_OK) {
        status = close_politely(conn, timeout_ms);
    }
    if (is_want(status)) {
        if (timeout_ms != 0) { /* non-blocking, in memory, or a question: the caller calls again */
            return status;
        }
        status = TLSLIFE_TIMEOUT; /* the call must not wait, and will not be made again */
    }
    tlsl_transport_drop(conn);
    bool ended = status == TLSLIFE_OK || status == TLSLIFE_SENT || status == TLSLIFE_CLOSED;
    return ended ? what_passed(conn) : status;
}

tlslife_status tlslife_conn_close(tlslife_conn *conn, int timeout_ms) {
    uint64_t since = tlsl_traced_now(conn);
    return tlsl_called(conn, "close", since, close_within(conn, timeout_ms), 0);
}

tlslife_status tlslife_conn_set_shutdown(tlslife_conn *conn, int mode) {
    if (mode < 0 || mode > (TLSLIFE_SENT_SHUTDOWN | TLSLIFE_RECEIVED_SHUTDOWN)) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "a shutdown mode is 0 to 3, not %d", mode);
    }
    SSL_set_shutdown(conn->ssl, mode);
    return tlsl_called(conn, "set_shutdown", tlsl_traced_now(conn), TLSLIFE_OK, 0);
}

int tlslife_conn_get_shutdown(const tlslife_conn *conn) {
    return SSL_get_shutdown(conn->ssl);
}
