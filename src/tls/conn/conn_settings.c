/*
 * conn_settings.c: sets what belongs to one connection alone: the name of its peer, ALPN, groups,
 * the number of tickets, and whether its shutdown is quiet.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error_queue.h"
#include "base/names.h"
#include "base/once.h"
#include "net/address.h"
#include "tls/conn/conn_settings.h"
#include "tls/context/context.h"
#include "tls/context/policy.h"
#include "tls/context/resumption.h"
#include "tls/session/session.h"
#include "tls/state/conn.h"
#include "tls/state/failure.h"
#include "tlslife.h"
#include "values/session_value.h"

static tlslife_status client_before(tlslife_conn *conn, const char *what) {
    tlsl_errors_clear();
    if (SSL_is_server(conn->ssl)) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s is for a client's connection", what);
    }
    return !conn->begun ? TLSLIFE_OK
                        : tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                                         "%s must come before the handshake begins", what);
}

/*
 * The host's part of a client's session id context. A hash costs a hundredth of a resumed
 * handshake, and a thread connects to the same few hosts one after the other, so each thread keeps
 * the last hash.
 */
static bool hash_host(const char *hostname, unsigned char out[TLSL_HOST_HASH]) {
    static _Thread_local struct {
        char name[256];
        unsigned char hash[TLSL_HOST_HASH];
    } last; /* an empty name: no hash yet */
    unsigned char hash[EVP_MAX_MD_SIZE];
    size_t len = strlen(hostname);
    bool fits = len > 0 && len < sizeof last.name;
    if (fits && strcmp(hostname, last.name) == 0) {
        memcpy(out, last.hash, TLSL_HOST_HASH);
        return true;
    }
    const EVP_MD *sha256 = tlsl_sha256();
    if (sha256 == NULL || EVP_Digest(hostname, len, hash, NULL, sha256, NULL) != 1) {
        return false;
    }
    memcpy(out, hash, TLSL_HOST_HASH);
    if (fits) {
        memcpy(last.name, hostname, len + 1);
        memcpy(last.hash, hash, TLSL_HOST_HASH);
    }
    return true;
}

/*
 * A session may resume with the name that it was made with alone, because resumption does not
 * verify the certificate's name again.
 */
static bool bind_sessions(tlslife_conn *conn, const char *hostname) {
    tlsl_client_id id;
    if (conn->context->foreign) {
        return true;
    }
    memcpy(&id, conn->resume.sid_ctx, sizeof id);
    if (!hash_host(hostname, id.host)) {
        return false;
    }
    memcpy(conn->resume.sid_ctx, &id, sizeof id);
    return SSL_set_session_id_context(conn->ssl, conn->resume.sid_ctx,
                                      (unsigned)conn->resume.sid_ctx_len) == 1;
}

static bool set_verified_name(tlslife_conn *conn, const char *hostname, bool ip) {
    SSL *ssl = conn->ssl;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (!bind_sessions(conn, hostname)) {
        return false;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (ip) {
        char plain[TLSL_HOST_MAX];
        return tlsl_ip_without_zone(hostname, plain, sizeof plain) &&
               SSL_set1_host(ssl, NULL) == 1 && X509_VERIFY_PARAM_set1_ip_asc(param, plain) == 1;
    }
    return X509_VERIFY_PARAM_set1_ip(param, NULL, 0) == 1 && SSL_set1_host(ssl, hostname) == 1;
}

/*
 * The name without a trailing dot, as RFC 6066 section 3 demands, and in lower case, because host
 * names are compared without regard to case.
 */
static char *canonical(const char *hostname) {
    char *copy = strdup(hostname);
    size_t len = copy == NULL ? 0 : strlen(copy);
    if (len > 1 && copy[len - 1] == '.') {
        copy[len - 1] = '\0';
    }
    if (copy != NULL) {
        tlsl_lower(copy);
    }
    return copy;
}

tlslife_status tlsl_conn_name_peer(tlslife_conn *conn, const char *host) {
    char *copy = canonical(host);
    if (copy == NULL) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a host name");
    }
    bool ip = tlsl_is_ip(copy);
    bool verifies = conn->context->verify_host && conn->context->verify != TLSLIFE_VERIFY_NONE;
    bool ok = SSL_set_tlsext_host_name(conn->ssl, ip ? NULL : copy) == 1 &&
              (!verifies || set_verified_name(conn, copy, ip));
    free(conn->set.hostname);
    conn->set.hostname = ok ? copy : NULL; /* without one to verify, connect refuses */
    conn->set.hostname_dialled = false;
    if (ok) {
        return TLSLIFE_OK;
    }
    /* The name is known to be one: what fails behind that is OpenSSL's memory, silently. */
    (void)tlsl_fail_openssl(tlsl_conn_error(conn), TLSLIFE_ERR_MEMORY,
                            "out of memory for the host name \"%s\"", copy);
    free(copy);
    return TLSLIFE_ERROR;
}

tlslife_status tlslife_conn_set_hostname(tlslife_conn *conn, const char *hostname) {
    if (client_before(conn, "set_hostname") != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlsl_address address;
    tlslife_error failure;
    return tlsl_address_of(hostname, NULL, "0", false, &address, &failure) == TLSLIFE_OK
               ? tlsl_conn_name_peer(conn, address.host)
               : tlsl_conn_fail_as(conn, &failure);
}

const char *tlslife_conn_hostname(const tlslife_conn *conn) {
    return conn->set.hostname;
}

/* A server chooses when it has the ClientHello, and the program has answered for the context. */
static tlslife_status alpn_settable(tlslife_conn *conn) {
    if (!SSL_is_server(conn->ssl)) {
        return client_before(conn, "set_alpn");
    }
    return !conn->asked.alpn_chosen && !conn->known && !conn->shaken
               ? TLSLIFE_OK
               : tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                                "set_alpn must come before the protocol is chosen: when the "
                                "context is asked for (on_hello) at the latest");
}

tlslife_status tlslife_conn_set_alpn(tlslife_conn *conn, const char *const *protocols,
                                     size_t protocols_len) {
    tlsl_own_alpn own = {.given = true};
    tlslife_error failure;
    if (alpn_settable(conn) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (protocols_len > 0) {
        own.wire = tlsl_alpn_wire(protocols, protocols_len, &own.len, &failure);
        if (own.wire == NULL) {
            return tlsl_conn_fail_as(conn, &failure);
        }
    }
    /* What is chosen for one ClientHello is not kept for the next client, as the context is not. */
    tlsl_own_alpn *place = conn->begun ? &conn->asked.alpn : &conn->set.alpn;
    free(place->wire);
    *place = own;
    return SSL_is_server(conn->ssl) ||
                   SSL_set_alpn_protos(conn->ssl, own.wire, (unsigned)own.len) == 0
               ? TLSLIFE_OK
               : tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for ALPN");
}

/* As for a context (settings.c). */
static bool set_groups(SSL *ssl, const char *list) {
    if (list[0] == '\0') {
        return false;
    }
    long set = SSL_set1_groups_list(ssl, list);
    return set == 1 || SSL_set1_groups_list(ssl, list) == 1;
}

tlslife_status tlslife_conn_set_groups(tlslife_conn *conn, const char *list) {
    ERR_clear_error();
    if (conn->begun) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "set_groups must come before the handshake begins");
    }
    char *copy = strdup(list);
    if (copy == NULL) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for groups");
    }
    if (!set_groups(conn->ssl, list)) {
        free(copy);
        return tlsl_fail_openssl(tlsl_conn_error(conn), TLSLIFE_ERR_INPUT,
                                 "groups \"%s\" cannot be used", list);
    }
    free(conn->set.groups);
    conn->set.groups = copy;
    return TLSLIFE_OK;
}

/* ----------------------------------------------------------------------------------------- DANE */

tlslife_status tlslife_conn_set_dane(tlslife_conn *conn, const char *name) {
    if (conn->begun || !conn->context->dane) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "set_dane must come before the handshake begins, on a client's "
                              "connection of a context with DANE");
    }
    if (tlslife_conn_set_hostname(conn, name) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    ERR_clear_error();
    return SSL_dane_enable(conn->ssl, conn->set.hostname) > 0
               ? TLSLIFE_OK
               : tlsl_fail_openssl(tlsl_conn_error(conn), TLSLIFE_ERR_USAGE,
                                   "DANE cannot be used for %s (is it set already?)", name);
}

tlslife_status tlslife_conn_add_tlsa(tlslife_conn *conn, uint8_t usage, uint8_t selector,
                                     uint8_t matching_type, const unsigned char *data,
                                     size_t data_len) {
    ERR_clear_error();
    if (conn->begun || !conn->context->dane) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "add_tlsa must come after set_dane and before the handshake begins");
    }
    int added = SSL_dane_tlsa_add(conn->ssl, usage, selector, matching_type, data, data_len);
    return added > 0 ? TLSLIFE_OK
                     : tlsl_fail_openssl(tlsl_conn_error(conn), TLSLIFE_ERR_INPUT,
                                         "the TLSA record %u %u %u cannot be used", usage, selector,
                                         matching_type);
}

tlslife_status tlslife_conn_set_num_tickets(tlslife_conn *conn, size_t num_tickets) {
    if (!SSL_is_server(conn->ssl)) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "set_num_tickets on a client's connection: servers send tickets");
    }
    tlslife_error failure;
    if (tlsl_check_num_tickets(num_tickets, &failure) != TLSLIFE_OK) {
        return tlsl_conn_fail_as(conn, &failure);
    }
    conn->set.num_tickets = (int)num_tickets;
    tlsl_conn_set_tickets(conn);
    return TLSLIFE_OK;
}

void tlslife_conn_set_quiet_shutdown(tlslife_conn *conn, bool quiet) {
    SSL_set_quiet_shutdown(conn->ssl, quiet);
}

bool tlslife_conn_quiet_shutdown(const tlslife_conn *conn) {
    return SSL_get_quiet_shutdown(conn->ssl);
}
