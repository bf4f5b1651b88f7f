/*
 * plain.c: moves bytes over the transport before TLS begins, and gives back those that were read
 * too early.
 *
 * Protocols with STARTTLS, PostgreSQL's SSLRequest and HTTP's CONNECT speak in plain bytes first.
 * The calls use the BIO that TLS will use, so the waiting, the deadlines and the loops are those of
 * read and write.
 *
 * An attacker in the network would send commands in plain text behind STARTTLS, so that the server
 * takes them for commands of the client in the TLS session (CVE-2011-0411). Nothing here carries
 * plain bytes over into TLS: what was read and is not given back is the program's, and what was not
 * read, or was given back, goes to the handshake, which fails on it.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "net/front.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tls/state/outer.h"
#include "tls/state/proxied.h"
#include "tls/state/traced.h"
#include "tlslife.h"

#define UNREAD_MAX ((size_t)1 << 20)

static tlslife_status check(tlslife_conn *conn, int64_t *deadline, const char *verb) {
    if (conn->final_status != TLSLIFE_OK) {
        return tlsl_conn_final_status(conn);
    }
    if (conn->transport.kind == TLSL_NONE) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "%s without a transport: dial, set_fd, pair or set_memory first",
                              verb);
    }
    return conn->begun
               ? tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                                "%s after the handshake has begun: plain bytes come first", verb)
               : tlsl_proxied_read(conn, deadline, verb);
}

/* After a BIO has moved nothing. OK means that the call has waited, and tries again. */
static tlslife_status unmoved(tlslife_conn *conn, BIO *bio, bool reads, int64_t *deadline,
                              const char *verb) {
    int failure = errno;
    tlslife_status outer = tlsl_outer_status(conn);
    if (BIO_should_retry(bio) && outer == TLSLIFE_OK) {
        return tlsl_conn_wait(conn, BIO_should_write(bio) ? TLSLIFE_WANT_WRITE : TLSLIFE_WANT_READ,
                              deadline);
    }
    if (reads && BIO_eof(bio)) {
        return outer == TLSLIFE_TRUNCATED ? outer : TLSLIFE_CLOSED;
    }
    if (outer != TLSLIFE_OK) {
        tlsl_outer_explain(conn, verb);
        return TLSLIFE_ERROR;
    }
    return tlsl_fail_system(tlsl_conn_error(conn), failure, "%s failed", verb);
}

static const char reads[] = "plain_read", writes[] = "plain_write";

static tlslife_status read_plain(tlslife_conn *conn, void *buffer, size_t buffer_len,
                                 size_t *out_read) {
    const char *verb = reads;
    int64_t deadline = TLSL_DEADLINE_UNSET;
    tlslife_status status = check(conn, &deadline, verb);
    if (status == TLSLIFE_OK && buffer_len == 0) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s of 0 bytes", verb);
    }
    while (status == TLSLIFE_OK) {
        BIO *bio = SSL_get_rbio(conn->ssl);
        tlsl_errors_clear();
        if (BIO_read_ex(bio, buffer, buffer_len, out_read) == 1) {
            return TLSLIFE_OK;
        }
        status = unmoved(conn, bio, true, &deadline, verb);
    }
    return status;
}

tlslife_status tlslife_conn_plain_read(tlslife_conn *conn, void *buffer, size_t buffer_len,
                                       size_t *out_read) {
    uint64_t since = tlsl_traced_now(conn);
    tlslife_status status = read_plain(conn, buffer, buffer_len, out_read);
    return tlsl_called(conn, reads, since, status, status == TLSLIFE_OK ? *out_read : 0);
}

tlslife_status tlslife_conn_plain_write(tlslife_conn *conn, const void *bytes, size_t bytes_len,
                                        size_t *out_written) {
    const char *verb = writes;
    uint64_t since = tlsl_traced_now(conn);
    int64_t deadline = TLSL_DEADLINE_UNSET;
    tlslife_status status = check(conn, &deadline, verb);
    *out_written = 0;
    while (status == TLSLIFE_OK && *out_written < bytes_len) {
        BIO *bio = SSL_get_wbio(conn->ssl);
        size_t now = 0;
        tlsl_errors_clear();
        if (BIO_write_ex(bio, (const unsigned char *)bytes + *out_written, bytes_len - *out_written,
                         &now) == 1) {
            *out_written += now;
        } else {
            status = unmoved(conn, bio, false, &deadline, verb);
        }
    }
    return tlsl_called(conn, verb, since, status, *out_written);
}

tlslife_status tlslife_conn_unread(tlslife_conn *conn, const void *bytes, size_t bytes_len) {
    int64_t deadline = TLSL_DEADLINE_UNSET;
    tlslife_status status = check(conn, &deadline, "unread");
    if (status != TLSLIFE_OK) {
        return status;
    }
    if (conn->transport.kind == TLSL_FOREIGN) {
        return tlsl_conn_fail(
            conn, TLSLIFE_ERR_USAGE,
            "unread needs a transport of this library, and the SSL has the program's own BIO");
    }
    tlsl_front *front = tlsl_front_of(SSL_get_rbio(conn->ssl));
    size_t there = tlsl_front_len(front);
    if (bytes_len > UNREAD_MAX || there > UNREAD_MAX - bytes_len) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "unread of more than 1 MiB in all");
    }
    return tlsl_front_put(front, bytes, bytes_len)
               ? TLSLIFE_OK
               : tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for unread bytes");
}
