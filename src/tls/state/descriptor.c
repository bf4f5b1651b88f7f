/*
 * descriptor.c: the descriptor of a connection's transport. It says which one it is, waits for it
 * and tells the address of the peer.
 */
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "net/dial.h"
#include "net/fd.h"
#include "net/tcp.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tls/state/proxied.h"
#include "tls/state/traced.h"
#include "tlslife.h"

int tlsl_conn_fd_for(const tlslife_conn *conn, bool writing) {
    switch ((tlsl_transport_kind)conn->transport.kind) {
    case TLSL_FD:
        return writing ? tlsl_fd_write(SSL_get_wbio(conn->ssl))
                       : tlsl_fd_read(SSL_get_rbio(conn->ssl));
    case TLSL_FOREIGN: return writing ? SSL_get_wfd(conn->ssl) : SSL_get_rfd(conn->ssl);
    default: return -1;
    }
}

int tlslife_conn_fd(const tlslife_conn *conn) {
    if (conn->transport.dial != NULL) {
        bool writing;
        return tlsl_dial_fd(conn->transport.dial, &writing);
    }
    return tlsl_conn_fd_for(tlsl_outermost(conn), false);
}

tlslife_status tlsl_conn_wait(tlslife_conn *conn, tlslife_status status, int64_t *deadline) {
    bool reading = status == TLSLIFE_WANT_READ;
    const tlslife_conn *outermost = tlsl_outermost(conn);
    if (!conn->blocking || (!reading && status != TLSLIFE_WANT_WRITE) ||
        outermost->transport.kind == TLSL_MEMORY) {
        return status;
    }
    if (*deadline == TLSL_DEADLINE_UNSET) {
        *deadline = tlsl_deadline(conn->timeout_ms);
    }
    uint64_t since = tlsl_waits(conn, reading ? "read" : "write");
    tlslife_status waited =
        tlsl_wait_fd(tlsl_conn_fd_for(outermost, !reading), reading ? POLLIN : POLLOUT, *deadline);
    int failure = errno;
    tlsl_waited(conn, reading ? "read" : "write", since);
    if (waited == TLSLIFE_ERROR) {
        tlsl_fail_system(tlsl_conn_error(conn), failure, "waiting for the transport failed");
    }
    return waited;
}

bool tlsl_conn_waits_in_kernel(const tlslife_conn *conn) {
    return conn->blocking && conn->timeout_ms < 0 && !tlsl_traced(conn);
}

void tlsl_conn_set_waiting(tlslife_conn *conn, bool blocking, int timeout_ms) {
    conn->blocking = blocking;
    conn->timeout_ms = timeout_ms;
    if (conn->transport.kind == TLSL_FD) {
        /* Without a deadline the kernel can wait, within the read or write. */
        tlsl_fd_set_waits(SSL_get_rbio(conn->ssl), tlsl_conn_waits_in_kernel(conn));
    }
}

/* The client's address as a PROXY header has it, lent; NULL if there is none. */
static const char *client_of(const tlslife_conn *conn) {
    const tlsl_proxied *proxied = conn->transport.proxied;
    return proxied == NULL || proxied->client[0] == '\0' ? NULL : proxied->client;
}

bool tlslife_conn_peer_address(const tlslife_conn *conn, char *out, size_t out_len) {
    const char *client = client_of(tlsl_outermost(conn));
    int fd = tlslife_conn_fd(conn);
    if (client != NULL) {
        int needed = snprintf(out, out_len, "%s", client);
        return needed > 0 && (size_t)needed < out_len;
    }
    return fd >= 0 && tlsl_peer_address(fd, out, out_len);
}

bool tlslife_conn_proxy_address(const tlslife_conn *conn, char *out, size_t out_len) {
    const tlsl_proxied *proxied = tlsl_outermost(conn)->transport.proxied;
    int fd = tlslife_conn_fd(conn);
    return proxied != NULL && proxied->done && fd >= 0 && tlsl_peer_address(fd, out, out_len);
}
