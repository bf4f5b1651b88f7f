/*
 * transport.c: sets what carries a connection's records: a descriptor, a pair in memory, or memory
 * whose bytes the program moves. Another connection is set by nested.c.
 *
 * Each call that sets a transport replaces the one before. The BIOs belong to the connection's SSL.
 * The connection keeps their kind alone, so that a call knows what to wait for.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "net/address.h"
#include "net/dial.h"
#include "net/fd.h"
#include "net/front.h"
#include "net/local.h"
#include "net/memory.h"
#include "net/tcp.h"
#include "tls/conn/conn_settings.h"
#include "tls/conn/transport.h"
#include "tls/handshake/hold.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tls/state/proxied.h"
#include "tls/state/traced.h"
#include "tlslife.h"

#define MEMORY_CAPACITY ((size_t)64 * 1024) /* bytes each way, unless told otherwise */
#define MEMORY_CAPACITY_MAX ((size_t)1024 * 1024 * 1024)
#define ADDRESS_MAX 160 /* bytes of a peer's address in a trace */

/* Whether the SSL takes other BIOs. */
static bool takes_bios(const tlslife_conn *conn) {
    if (!tlsl_conn_lost_records(conn)) {
        return true;
    }
    bool takes = SSL_clear(conn->ssl) == 1;
    tlsl_errors_clear();
    return takes;
}

/* An SSL that cannot let its BIOs go has them until it is freed. */
void tlsl_transport_drop(tlslife_conn *conn) {
    tlsl_dial_free(conn->transport.dial);
    conn->transport.dial = NULL;
    free(conn->transport.service);
    conn->transport.service = NULL;
    tlsl_proxied_free(conn->transport.proxied);
    conn->transport.proxied = NULL;
    tlsl_handshake_unhold(conn);
    if (conn->transport.kind == TLSL_FD) {
        tlsl_fd_set_ssl(SSL_get_wbio(conn->ssl), NULL);
    }
    if (conn->transport.kind != TLSL_NONE && conn->transport.kind != TLSL_FOREIGN &&
        takes_bios(conn)) {
        SSL_set_bio(conn->ssl, NULL, NULL);
    }
    if (conn->transport.outer != NULL) {
        conn->transport.part(conn);
    }
    if (conn->transport.in != NULL) {
        tlsl_queue_end(conn->transport.out);
        tlsl_queue_free(conn->transport.in);
    }
    conn->transport.in = NULL;
    conn->closing.more = false;
    conn->transport.kind = TLSL_NONE;
}

void tlsl_transport_free(tlslife_conn *conn) {
    tlsl_transport_drop(conn);
    tlsl_queue_free(conn->transport.out);
    conn->transport.out = NULL;
}

void tlslife_conn_close_transport(tlslife_conn *conn) {
    tlsl_transport_drop(conn);
}

void tlslife_conn_set_blocking(tlslife_conn *conn, bool blocking) {
    tlsl_conn_set_waiting(conn, blocking, conn->timeout_ms);
}

bool tlslife_conn_blocking(const tlslife_conn *conn) {
    return conn->blocking;
}

void tlslife_conn_set_timeout_ms(tlslife_conn *conn, int timeout_ms) {
    tlsl_conn_set_waiting(conn, conn->blocking, timeout_ms < 0 ? -1 : timeout_ms);
    if (conn->transport.dial != NULL) {
        tlsl_dial_set_deadline(conn->transport.dial, tlsl_deadline(conn->timeout_ms));
    }
}

int tlslife_conn_timeout_ms(const tlslife_conn *conn) {
    return conn->timeout_ms;
}

/* Records the transport with the address of its peer. */
static void trace_transport(tlslife_conn *conn) {
    char address[ADDRESS_MAX] = "memory";
    if (conn->transport.kind != TLSL_MEMORY &&
        !tlslife_conn_peer_address(conn, address, sizeof address)) {
        snprintf(address, sizeof address, "descriptor");
    }
    tlsl_traced_transport(conn, address);
}

tlslife_status tlsl_transport_install(tlslife_conn *conn, BIO *bio, tlsl_transport_kind kind) {
    tlsl_transport_free(conn);
    if (!takes_bios(conn)) {
        BIO_free(bio);
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a transport");
    }
    SSL_set_bio(conn->ssl, bio, bio);
    conn->data.write_lost = false;
    conn->transport.kind = (uint8_t)kind;
    tlsl_conn_set_waiting(conn, conn->blocking, conn->timeout_ms);
    if (tlsl_traced(conn)) {
        trace_transport(conn);
    }
    return TLSLIFE_OK;
}

/* ---------------------------------------------------------------------------------- descriptors */

static tlslife_status use_fds(tlslife_conn *conn, int read_fd, int write_fd, bool owned) {
    BIO *bio = tlsl_fd_bio(conn->ssl, read_fd, write_fd, owned);
    if (bio == NULL) {
        if (owned) {
            close(read_fd);
        }
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a transport");
    }
    return tlsl_transport_install(conn, bio, TLSL_FD);
}

static tlslife_status check_fd(tlslife_conn *conn, int fd) {
    if (fcntl(fd, F_GETFD) == -1) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%d is not an open descriptor", fd);
    }
    return !tlsl_fd_has_tls(fd)
               ? TLSLIFE_OK
               : tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                                "descriptor %d is that of a TLS connection, whose records would be "
                                "broken: for TLS in TLS use set_connection",
                                fd);
}

tlslife_status tlslife_conn_set_fds(tlslife_conn *conn, int read_fd, int write_fd) {
    if (check_fd(conn, read_fd) != TLSLIFE_OK || check_fd(conn, write_fd) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    return use_fds(conn, read_fd, write_fd, false);
}

tlslife_status tlslife_conn_set_fd(tlslife_conn *conn, int fd) {
    return check_fd(conn, fd) == TLSLIFE_OK ? use_fds(conn, fd, fd, false) : TLSLIFE_ERROR;
}

tlslife_status tlslife_conn_take_fd(tlslife_conn *conn, int fd) {
    return check_fd(conn, fd) == TLSLIFE_OK ? tlsl_conn_own_fd(conn, fd) : TLSLIFE_ERROR;
}

tlslife_status tlsl_conn_own_fd(tlslife_conn *conn, int fd) {
    return use_fds(conn, fd, fd, true);
}

static int store_fd(const tlslife_conn *conn, bool *out_writing, int *out_timeout_ms) {
    tlslife_lookup lookup;
    if (!tlslife_conn_lookup(conn, &lookup)) {
        return -1;
    }
    int fd = tlslife_store_fd(lookup.store, out_writing, out_timeout_ms);
    if (tlslife_conn_lookup_answered(conn)) {
        *out_timeout_ms = 0;
    }
    return fd;
}

/* Whether a read finds bytes that were given back, of which no descriptor tells. */
static bool has_unread(const tlslife_conn *conn, tlslife_status want) {
    bool ours = conn->transport.kind != TLSL_NONE && conn->transport.kind != TLSL_FOREIGN;
    return ours && want == TLSLIFE_WANT_READ &&
           tlsl_front_len(tlsl_front_of(SSL_get_rbio(conn->ssl))) > 0;
}

int tlslife_conn_wait_fd(const tlslife_conn *conn, tlslife_status want, bool *out_writing,
                         int *out_timeout_ms) {
    *out_writing = want == TLSLIFE_WANT_WRITE;
    *out_timeout_ms = conn->closing.more || has_unread(conn, want) ? 0 : -1;
    if (want == TLSLIFE_WANT_SESSION) {
        *out_timeout_ms = -1;
        return store_fd(conn, out_writing, out_timeout_ms);
    }
    if (conn->transport.dial != NULL) {
        *out_timeout_ms = tlsl_left_ms(tlsl_dial_until(conn->transport.dial));
        return tlsl_dial_fd(conn->transport.dial, out_writing);
    }
    if (conn->transport.outer != NULL) {
        int timeout_ms = *out_timeout_ms;
        int fd = tlslife_conn_wait_fd(conn->transport.outer, want, out_writing, out_timeout_ms);
        *out_timeout_ms = timeout_ms == 0 ? 0 : *out_timeout_ms;
        return fd;
    }
    if (conn->transport.kind == TLSL_FD) {
        tlsl_fd_push(SSL_get_wbio(conn->ssl));
    }
    return tlsl_conn_fd_for(conn, *out_writing);
}

/* ----------------------------------------------------------------------------------------- dial */

/* The certificate must have the name that the program has set, or else the one dialled last. */
static tlslife_status name_peer(tlslife_conn *conn, const char *host) {
    if (conn->set.hostname != NULL && !conn->set.hostname_dialled) {
        return TLSLIFE_OK;
    }
    tlslife_status status = tlsl_conn_name_peer(conn, host);
    conn->set.hostname_dialled = status == TLSLIFE_OK;
    return status;
}

/*
 * A server's connection may dial, too, and makes the server's handshake then: a server of FTP may
 * open the connection for data. Its peers have no name. The name of a Unix socket is no name that a
 * certificate bears.
 */
static tlslife_status dial_begin(tlslife_conn *conn, const char *host, const char *service) {
    int64_t deadline = tlsl_deadline(conn->timeout_ms);
    if (conn->transport.dial != NULL && tlsl_dial_is(conn->transport.dial, host, service)) {
        /* A non-blocking caller goes on with the same dial, and keeps the first call's deadline. */
        if (conn->blocking) {
            tlsl_dial_set_deadline(conn->transport.dial, deadline);
        }
        return TLSLIFE_OK;
    }
    if (conn->begun) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "dial is for a connection before its handshake; clear begins anew");
    }
    bool names = !SSL_is_server(conn->ssl) && !tlsl_is_local(host);
    if (names && name_peer(conn, host) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlslife_error failure;
    tlsl_transport_free(conn);
    conn->transport.dial = tlsl_dial_new(host, service, conn->blocking, deadline, &failure);
    return conn->transport.dial != NULL ? TLSLIFE_OK : tlsl_conn_fail_as(conn, &failure);
}

/* Waits until tlsl_dial_step can go on. OK also when its time is over, which the step reports. */
static tlslife_status dial_wait(tlslife_conn *conn) {
    bool writing = false;
    uint64_t since = tlsl_waits(conn, "dial");
    int fd = tlsl_dial_fd(conn->transport.dial, &writing);
    tlslife_status status =
        tlsl_wait_fd(fd, writing ? POLLOUT : POLLIN, tlsl_dial_until(conn->transport.dial));
    int failure = errno;
    tlsl_waited(conn, "dial", since);
    return status == TLSLIFE_ERROR ? tlsl_fail_system(tlsl_conn_error(conn), failure,
                                                      "waiting for the connection failed")
                                   : TLSLIFE_OK;
}

static tlslife_status dial_step(tlslife_conn *conn, int *out_fd) {
    tlslife_error failure;
    tlslife_status status = tlsl_dial_step(conn->transport.dial, out_fd, &failure);
    return status == TLSLIFE_ERROR ? tlsl_conn_fail_as(conn, &failure) : status;
}

static bool wants(tlslife_status status) {
    return status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE;
}

/* As tlsl_address_of. The host of a Unix socket is all of its name, and its service is "". */
static tlslife_status address_to_dial(const char *host, const char *service, tlsl_address *out,
                                      tlslife_error *err) {
    if (!tlsl_is_local(host)) {
        return tlsl_address_of(host, service, NULL, false, out, err);
    }
    return service == NULL ? tlsl_address_or_local(host, out, err)
                           : tlsl_fail(err, TLSLIFE_ERR_USAGE,
                                       "\"%s\" is a Unix socket, which has no port", host);
}

static tlslife_status dial(tlslife_conn *conn, const char *host, const char *service) {
    int fd = -1;
    tlsl_address address = {.host = ""};
    tlslife_error failure;
    if (address_to_dial(host, service, &address, &failure) != TLSLIFE_OK) {
        return tlsl_conn_fail_as(conn, &failure);
    }
    tlslife_status status = dial_begin(conn, address.host, address.service);
    while (status == TLSLIFE_OK) {
        status = dial_step(conn, &fd);
        if (!wants(status) || !conn->blocking) {
            break;
        }
        status = dial_wait(conn);
    }
    if (wants(status)) {
        return status;
    }
    /* After a timeout, too: the next dial resolves the name again. */
    tlsl_dial_free(conn->transport.dial);
    conn->transport.dial = NULL;
    if (status == TLSLIFE_OK) {
        if (tlsl_conn_waits_in_kernel(conn)) {
            /* No other process has the socket. If it stays O_NONBLOCK, poll does the waiting. */
            (void)fcntl(fd, F_SETFL, 0);
        }
        status = tlsl_conn_own_fd(conn, fd);
        /* Where memory is short this is NULL, and sessions are kept under the port's number. */
        conn->transport.service = strdup(address.service[0] ? address.service : address.host);
    }
    return status;
}

tlslife_status tlslife_conn_dial(tlslife_conn *conn, const char *host, const char *service) {
    uint64_t since = tlsl_traced_now(conn);
    return tlsl_called(conn, "dial", since, dial(conn, host, service), 0);
}

/* --------------------------------------------------------------------------------------- memory */

static bool join(tlslife_conn *conn, tlsl_queue *in, tlsl_queue *out) {
    BIO *bio = tlsl_memory_bio(in, out);
    return bio != NULL && tlsl_transport_install(conn, bio, TLSL_MEMORY) == TLSLIFE_OK;
}

static tlslife_status check_capacity(tlslife_conn *conn, size_t *capacity) {
    *capacity = *capacity == 0 ? MEMORY_CAPACITY : *capacity;
    return *capacity <= MEMORY_CAPACITY_MAX
               ? TLSLIFE_OK
               : tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                                "a memory transport holds at most 1 GiB, not %zu", *capacity);
}

tlslife_status tlslife_conn_pair(tlslife_conn *a, tlslife_conn *b, size_t capacity) {
    if (check_capacity(a, &capacity) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (a == b) {
        return tlsl_conn_fail(a, TLSLIFE_ERR_USAGE, "a connection cannot be its own peer");
    }
    tlsl_queue *there = tlsl_queue_new(capacity), *back = tlsl_queue_new(capacity);
    bool ok = there != NULL && back != NULL && join(a, back, there) && join(b, there, back);
    tlsl_queue_free(there);
    tlsl_queue_free(back);
    return ok ? TLSLIFE_OK : tlsl_conn_fail(a, TLSLIFE_ERR_MEMORY, "out of memory for a pair");
}

tlslife_status tlslife_conn_set_memory(tlslife_conn *conn, size_t capacity) {
    if (check_capacity(conn, &capacity) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlsl_queue *in = tlsl_queue_new(capacity), *out = tlsl_queue_new(capacity);
    if (in == NULL || out == NULL || !join(conn, in, out)) {
        tlsl_queue_free(in);
        tlsl_queue_free(out);
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a transport");
    }
    conn->transport.in = in;
    conn->transport.out = out;
    return TLSLIFE_OK;
}

/* ------------------------------------------------------------------------------- feed and drain */

static tlslife_status not_by_hand(tlslife_conn *conn, const char *verb) {
    return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s needs the transport of set_memory", verb);
}

/* Whether the transport takes bytes from the program. It takes none when it has been dropped. */
static tlslife_status fed_by_hand(tlslife_conn *conn, const char *verb) {
    if (conn->transport.in == NULL && conn->transport.out != NULL) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s without a transport, which was closed",
                              verb);
    }
    return conn->transport.in != NULL ? TLSLIFE_OK : not_by_hand(conn, verb);
}

tlslife_status tlslife_conn_feed(tlslife_conn *conn, const void *bytes, size_t bytes_len,
                                 size_t *out_fed) {
    if (fed_by_hand(conn, "feed") != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (tlsl_queue_ended(conn->transport.in)) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "feed after feed_eof, which has ended the peer's stream");
    }
    *out_fed = tlsl_queue_put(conn->transport.in, bytes, bytes_len);
    return *out_fed == 0 && bytes_len > 0 && tlsl_queue_takes(conn->transport.in)
               ? tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for what is fed")
               : TLSLIFE_OK;
}

tlslife_status tlslife_conn_feed_eof(tlslife_conn *conn) {
    if (fed_by_hand(conn, "feed_eof") != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlsl_queue_end(conn->transport.in);
    return TLSLIFE_OK;
}

tlslife_status tlslife_conn_drain(tlslife_conn *conn, void *buffer, size_t buffer_len,
                                  size_t *out_drained) {
    if (conn->transport.out == NULL) {
        return not_by_hand(conn, "drain");
    }
    *out_drained = tlsl_queue_get(conn->transport.out, buffer, buffer_len);
    return TLSLIFE_OK;
}
