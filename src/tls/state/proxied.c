/*
 * proxied.c: reads the header of the PROXY protocol before anything else on a connection whose
 * listener expects one.
 *
 * The header is read by the first call that moves bytes, so it waits as that call does, within its
 * deadline, and one that is wrong ends that connection alone.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "net/front.h"
#include "net/proxy.h"
#include "net/proxy_tlv.h"
#include "net/tcp.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tls/state/proxied.h"
#include "tlslife.h"

tlslife_status tlsl_proxied_expect(tlslife_conn *conn, unsigned versions, bool refused) {
    tlsl_proxied *proxied = calloc(1, sizeof *proxied);
    unsigned char *bytes = malloc(TLSL_PROXY_MAX);
    if (proxied == NULL || bytes == NULL) {
        free(proxied);
        free(bytes);
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a PROXY header");
    }
    *proxied = (tlsl_proxied){.versions = versions, .refused = refused, .bytes = bytes};
    conn->transport.proxied = proxied;
    return TLSLIFE_OK;
}

void tlsl_proxied_free(tlsl_proxied *proxied) {
    if (proxied != NULL) {
        free(proxied->bytes);
        free(proxied);
    }
}

static tlslife_status refuse(tlslife_conn *conn, const char *verb, const char *reason) {
    (void)tlsl_conn_fail(conn, TLSLIFE_ERR_TLS, "%s failed: the peer sent %s", verb, reason);
    return tlsl_conn_end(conn, TLSLIFE_ERROR);
}

static tlslife_status refuse_source(tlslife_conn *conn, const char *verb) {
    (void)tlsl_conn_fail(conn, TLSLIFE_ERR_TLS,
                         "%s failed: the peer is none of the proxies that may connect here", verb);
    return tlsl_conn_end(conn, TLSLIFE_ERROR);
}

/* The rest of the bytes is of no use any more. If memory is short, the block stays as large. */
static void keep_fields(tlsl_proxied *proxied, const tlsl_proxy_header *header) {
    size_t len = header->fields > 0 ? header->len - header->fields : 0;
    if (len == 0) {
        free(proxied->bytes);
        proxied->bytes = NULL;
        return;
    }
    memmove(proxied->bytes, proxied->bytes + header->fields, len);
    proxied->fields_len = len;
    unsigned char *smaller = realloc(proxied->bytes, len);
    proxied->bytes = smaller == NULL ? proxied->bytes : smaller;
}

/* What was read behind the header belongs to the stream. */
static tlslife_status finish(tlslife_conn *conn, const tlsl_proxy_header *header) {
    tlsl_proxied *proxied = conn->transport.proxied;
    if (!tlsl_front_put(tlsl_front_of(SSL_get_rbio(conn->ssl)), proxied->bytes + header->len,
                        proxied->len - header->len)) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a PROXY header");
    }
    if (header->client_len > 0) {
        (void)tlsl_address_text(&header->client, header->client_len, proxied->client,
                                sizeof proxied->client);
    }
    keep_fields(proxied, header);
    proxied->done = true;
    return TLSLIFE_OK;
}

/* Reads at most len bytes. OK without bytes means that the call has waited. */
static tlslife_status read_some(tlslife_conn *conn, size_t len, int64_t *deadline,
                                const char *verb) {
    tlsl_proxied *proxied = conn->transport.proxied;
    BIO *bio = SSL_get_rbio(conn->ssl);
    size_t got = 0;
    tlsl_errors_clear();
    if (BIO_read_ex(bio, proxied->bytes + proxied->len, len, &got) == 1) {
        proxied->len += got;
        return TLSLIFE_OK;
    }
    int failure = errno;
    if (BIO_should_retry(bio)) {
        return tlsl_conn_wait(conn, TLSLIFE_WANT_READ, deadline);
    }
    if (BIO_eof(bio)) {
        return refuse(conn, verb, "an end of its stream within the PROXY header");
    }
    (void)tlsl_fail_system(tlsl_conn_error(conn), failure, "%s failed in the PROXY header", verb);
    return tlsl_conn_end(conn, TLSLIFE_ERROR);
}

tlslife_status tlsl_proxied_read(tlslife_conn *conn, int64_t *deadline, const char *verb) {
    tlsl_proxied *proxied = conn->transport.proxied;
    tlslife_status status = TLSLIFE_OK;
    if (proxied == NULL || proxied->done) {
        return TLSLIFE_OK;
    }
    if (proxied->refused) {
        return refuse_source(conn, verb);
    }
    while (status == TLSLIFE_OK) {
        tlsl_proxy_header header;
        const char *reason = NULL;
        size_t needed =
            tlsl_proxy_parse(proxied->bytes, proxied->len, proxied->versions, &header, &reason);
        if (reason != NULL) {
            return refuse(conn, verb, reason);
        }
        if (needed == 0) {
            return finish(conn, &header);
        }
        status = read_some(conn, needed, deadline, verb);
    }
    return status;
}

bool tlslife_conn_proxy_tlv(const tlslife_conn *conn, unsigned type, tlslife_bytes *out) {
    const tlsl_proxied *proxied = tlsl_outermost(conn)->transport.proxied;
    return proxied != NULL && proxied->done &&
           tlsl_proxy_find_tlv(proxied->bytes, proxied->fields_len, type, out);
}
