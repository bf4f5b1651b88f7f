/*
 * early.c: early data, which a client sends behind its ClientHello (RFC 8446 section 2.3).
 *
 * There are two ways. A program that calls write_early and read_early moves them by hand. On a
 * server, accept_early returns at their first bytes. From then on read gives what has come: early
 * data, then, when the rest of the handshake is made, all other data. Until then tlslife_conn_early
 * says that the bytes may be a replay.
 *
 * A write in between is sent at once, which is what early data are for. It goes through the buffer
 * of cork: the handshake cannot go on behind half a record, and whichever call comes next can send
 * that on from there. Where the policy verifies clients, a write first makes the handshake. So it
 * does once the client has said that its early data end, because its Finished is right behind, and
 * libssl forgets bytes that it could not flush at this point.
 *
 * An attacker would replay early data, which permit.c and lookup.c prevent; send more than the
 * context allows, for which libssl ends the connection, and which bounds the memory here; or never
 * finish, which costs what a slow client costs anywhere: the deadline of a call.
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
#include "tls/context/context.h"
#include "tls/handshake/begin.h"
#include "tls/handshake/early.h"
#include "tls/handshake/ssl_result.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tls/state/traced.h"
#include "tlslife.h"

typedef struct tlsl_early {
    unsigned char *bytes; /* read from libssl, and not yet by the program */
    size_t at, len, size;
    bool begun; /* early data have come */
    bool more;  /* the client has not said that they end */
} tlsl_early;

/* ------------------------------------------------------------------------------------- by name */

static tlslife_status no_bytes(tlslife_conn *conn, const char *verb) {
    return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s of 0 bytes", verb);
}

static tlslife_status early_begin(tlslife_conn *conn, const char *verb, bool server,
                                  int64_t *deadline) {
    if (conn->shaken) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s after the handshake is done", verb);
    }
    return tlsl_handshake_begin(conn, verb, server, deadline);
}

static uint32_t early_limit(const tlslife_conn *conn) {
    const SSL_SESSION *session = SSL_get0_session(conn->ssl);
    return session == NULL ? 0 : SSL_SESSION_get_max_early_data(session);
}

/* Client: whether the session to be offered is the cache's to choose, which nobody knows yet. */
static bool cache_chooses(const tlslife_conn *conn) {
    return SSL_get0_session(conn->ssl) == NULL && conn->origin->cache != NULL &&
           conn->origin->resumption != TLSLIFE_RESUMPTION_OFF;
}

/*
 * A server's early data go to a client that has not been verified yet. So they are not allowed
 * where the policy verifies clients.
 */
static tlslife_status check_write_early(tlslife_conn *conn) {
    bool server = SSL_is_server(conn->ssl);
    if (server && (!conn->begun || SSL_get_verify_mode(conn->ssl) != SSL_VERIFY_NONE)) {
        return tlsl_conn_fail(
            conn, TLSLIFE_ERR_USAGE,
            "a server's write_early follows its read_early, where the client need not be verified");
    }
    if (!server && !conn->begun && early_limit(conn) == 0 && !cache_chooses(conn)) {
        return tlsl_conn_fail(
            conn, TLSLIFE_ERR_USAGE,
            "write_early needs a session that allows early data: see its max_early_data");
    }
    return TLSLIFE_OK;
}

/*
 * How many bytes of early data may be sent now. A client's session limits them, which the program
 * did not know if the cache has chosen it. libssl would also send them where it leaves the ticket
 * out of the ClientHello, for its age or its version. That it is too late libssl says itself.
 */
static size_t early_left(const tlslife_conn *conn) {
    bool offers = early_limit(conn) > 0 && tlsl_ticket_is_offered(conn);
    if (SSL_is_server(conn->ssl) || (!offers && !SSL_in_before(conn->ssl))) {
        return SIZE_MAX;
    }
    uint32_t sent = conn->data.early_sent;
    return offers && early_limit(conn) > sent ? early_limit(conn) - sent : 0;
}

/* libssl refuses early data once the handshake has begun in another way, and changes nothing. */
static tlslife_status settle_early(tlslife_conn *conn, int64_t *deadline, const char *verb) {
    if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "%s too late: early data come before any other call of the handshake",
                              verb);
    }
    return tlsl_conn_settle(conn, 0, deadline, verb);
}

tlslife_status tlslife_conn_write_early(tlslife_conn *conn, const void *bytes, size_t bytes_len,
                                        size_t *out_written) {
    uint64_t since = tlsl_traced_now(conn);
    int64_t deadline = TLSL_DEADLINE_UNSET;
    *out_written = 0;
    tlslife_status status = bytes_len > 0 ? check_write_early(conn) : no_bytes(conn, "write_early");
    if (status == TLSLIFE_OK) {
        status = early_begin(conn, "write_early", SSL_is_server(conn->ssl), &deadline);
    }
    size_t most = status == TLSLIFE_OK ? early_left(conn) : 0;
    while (status == TLSLIFE_OK && most > 0) {
        tlsl_errors_clear();
        if (SSL_write_early_data(conn->ssl, bytes, bytes_len < most ? bytes_len : most,
                                 out_written) == 1) {
            conn->data.early_sent += (uint32_t)*out_written;
            conn->data.unanswered = false;
            tlsl_conn_facts(conn);
            break;
        }
        status = settle_early(conn, &deadline, "write_early");
    }
    return tlsl_called(conn, "write_early", since, status, *out_written);
}

tlslife_status tlslife_conn_read_early(tlslife_conn *conn, void *buffer, size_t buffer_len,
                                       size_t *out_read) {
    uint64_t since = tlsl_traced_now(conn);
    int64_t deadline = TLSL_DEADLINE_UNSET;
    tlslife_status status = buffer_len > 0 ? early_begin(conn, "read_early", true, &deadline)
                                           : no_bytes(conn, "read_early");
    while (status == TLSLIFE_OK) {
        size_t now = 0;
        tlsl_errors_clear();
        int result = SSL_read_early_data(conn->ssl, buffer, buffer_len, &now);
        if (result != SSL_READ_EARLY_DATA_ERROR) {
            tlsl_conn_facts(conn);
            *out_read = result == SSL_READ_EARLY_DATA_FINISH ? 0 : now;
            conn->data.unanswered |= *out_read > 0;
            break;
        }
        status = settle_early(conn, &deadline, "read_early");
    }
    return tlsl_called(conn, "read_early", since, status, status == TLSLIFE_OK ? *out_read : 0);
}

tlslife_early tlslife_conn_early_data_status(const tlslife_conn *conn) {
    switch (SSL_get_early_data_status(conn->ssl)) {
    case SSL_EARLY_DATA_ACCEPTED: return TLSLIFE_EARLY_ACCEPTED;
    case SSL_EARLY_DATA_REJECTED: return TLSLIFE_EARLY_REJECTED;
    default: return TLSLIFE_EARLY_NOT_SENT;
    }
}

/* ------------------------------------------------------------------------- read like any others */

void tlsl_early_free(tlslife_conn *conn) {
    if (conn->data.early != NULL) {
        tlsl_wipe_free(conn->data.early->bytes, conn->data.early->size);
    }
    free(conn->data.early);
    conn->data.early = NULL;
}

bool tlslife_conn_early(const tlslife_conn *conn) {
    return conn->data.early != NULL && conn->data.early->begun && !conn->shaken;
}

bool tlsl_early_writable(const tlslife_conn *conn) {
    return tlslife_conn_early(conn) && conn->data.early->more && conn->final_status == TLSLIFE_OK &&
           conn->transport.kind != TLSL_NONE && SSL_get_verify_mode(conn->ssl) == SSL_VERIFY_NONE;
}

size_t tlsl_early_pending(const tlslife_conn *conn) {
    return conn->data.early == NULL ? 0 : conn->data.early->len - conn->data.early->at;
}

/* Keeps bytes behind those that are there. */
static bool keep(tlsl_early *early, const unsigned char *bytes, size_t len) {
    size_t left = early->len - early->at;
    if (left + len > early->size) {
        size_t size = left + len > 2 * early->size ? left + len : 2 * early->size;
        unsigned char *more = tlsl_malloc(size);
        if (more == NULL) {
            return false;
        }
        memcpy(more, early->bytes == NULL ? bytes : early->bytes + early->at, left);
        tlsl_wipe_free(early->bytes, early->size);
        early->bytes = more;
        early->size = size;
    } else if (left > 0) {
        memmove(early->bytes, early->bytes + early->at, left);
    }
    if (len > 0) {
        memcpy(early->bytes + left, bytes, len);
    }
    early->at = 0;
    early->len = left + len;
    return true;
}

/* Sends the bytes that cork holds back, of which libssl may have a record that was sent in part. */
static tlslife_status send_held(tlslife_conn *conn, int64_t *deadline, const char *verb) {
    size_t sent = 0;
    tlsl_errors_clear();
    if (SSL_write_early_data(conn->ssl, conn->data.held, conn->data.held_len, &sent) != 1) {
        return tlsl_conn_settle(conn, 0, deadline, verb);
    }
    conn->data.write_waits = false;
    conn->data.held_len -= sent;
    memmove(conn->data.held, conn->data.held + sent, conn->data.held_len);
    return TLSLIFE_OK;
}

/* Reads the next record of early data, or finds that they are over. */
static tlslife_status fill(tlslife_conn *conn, int64_t *deadline, const char *verb) {
    tlsl_early *early = conn->data.early;
    unsigned char record[TLSL_RECORD];
    tlslife_status status = tlsl_handshake_begin(conn, verb, true, deadline);
    while (status == TLSLIFE_OK && conn->data.write_waits) {
        status = send_held(conn, deadline, verb);
    }
    while (status == TLSLIFE_OK) {
        size_t len = 0;
        tlsl_errors_clear();
        int result = SSL_read_early_data(conn->ssl, record, sizeof record, &len);
        if (result != SSL_READ_EARLY_DATA_ERROR) {
            early->more = result == SSL_READ_EARLY_DATA_SUCCESS;
            early->begun = early->begun || early->more;
            bool kept = keep(early, record, len);
            OPENSSL_cleanse(record, len);
            tlsl_conn_facts(conn);
            return kept ? TLSLIFE_OK
                        : tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for early data");
        }
        status = settle_early(conn, deadline, verb);
    }
    return status;
}

tlslife_status tlsl_early_begin(tlslife_conn *conn, int64_t *deadline, const char *verb) {
    tlslife_status status = TLSLIFE_OK;
    if (conn->data.early == NULL && SSL_in_before(conn->ssl)) {
        conn->data.early = calloc(1, sizeof *conn->data.early);
        if (conn->data.early == NULL) {
            return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for early data");
        }
        conn->data.early->more = true;
    }
    while (status == TLSLIFE_OK && conn->data.early != NULL && conn->data.early->more &&
           !conn->data.early->begun) {
        status = fill(conn, deadline, verb);
    }
    if (status == TLSLIFE_OK && !tlslife_conn_early(conn) && tlsl_early_pending(conn) == 0) {
        tlsl_early_free(conn);
    }
    return status;
}

tlslife_status tlsl_early_end(tlslife_conn *conn, int64_t *deadline, const char *verb) {
    tlslife_status status = TLSLIFE_OK;
    while (status == TLSLIFE_OK && conn->data.early->more) {
        status = fill(conn, deadline, verb);
    }
    return status;
}

/* Gives the program bytes that were kept. */
static void give(tlslife_conn *conn, void *buffer, size_t buffer_len, size_t *out_read, bool peek) {
    tlsl_early *early = conn->data.early;
    size_t left = early->len - early->at;
    *out_read = buffer_len < left ? buffer_len : left;
    memcpy(buffer, early->bytes + early->at, *out_read);
    early->at += peek ? 0 : *out_read;
    conn->data.unanswered = true;
}

tlslife_status tlsl_early_read(tlslife_conn *conn, void *buffer, size_t buffer_len,
                               size_t *out_read, bool peek, int64_t *deadline, const char *verb) {
    tlslife_status status = tlsl_conn_final_status(conn);
    while (status == TLSLIFE_OK && tlsl_early_pending(conn) == 0 && conn->data.early->more) {
        status = fill(conn, deadline, verb);
    }
    if (status == TLSLIFE_OK && tlsl_early_pending(conn) > 0) {
        give(conn, buffer, buffer_len, out_read, peek);
    }
    return status;
}
