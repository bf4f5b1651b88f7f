/*
 * conn.c: makes, copies, clears and frees connections.
 *
 * One tlslife_conn owns each SSL, and has a reference count of its own.
 *
 * Freeing does no I/O and sends no close_notify, so that a peer that is stuck, or hostile, cannot
 * hold up a finalizer.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error_queue.h"
#include "net/fd.h"
#include "tls/conn/transport.h"
#include "tls/context/context.h"
#include "tls/context/switch.h"
#include "tls/handshake/callbacks.h"
#include "tls/handshake/early.h"
#include "tls/handshake/hold.h"
#include "tls/handshake/psk_question.h"
#include "tls/handshake/tracing.h"
#include "tls/session/hello.h"
#include "tls/session/lookup.h"
#include "tls/session/permit.h"
#include "tls/session/session.h"
#include "tls/settings/keylog.h"
#include "tls/settings/verify.h"
#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tls/state/failure.h"
#include "tls/state/measured.h"
#include "tls/state/traced.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

/*
 * Makes the connection of ssl, and takes over the reference to ssl also when this fails. It calls
 * malloc, because glibc's calloc does not use the thread's cache of freed blocks, and sorts the
 * other free blocks instead.
 */
static tlslife_conn *wrap(tlslife_context *context, SSL *ssl, const char *how, tlslife_error *err) {
    tlslife_conn *conn = ssl == NULL ? NULL : malloc(sizeof *conn);
    if (conn == NULL || !tlsl_conn_attach(ssl, conn)) {
        SSL_free(ssl);
        free(conn);
        tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for a connection");
        return NULL;
    }
    *conn = (tlslife_conn){
        .ssl = ssl,
        .context = tlslife_context_up_ref(context),
        .origin = tlslife_context_up_ref(context),
        .resume.sid_ctx_len = (uint8_t)context->sid_ctx_len,
        .blocking = true,
        .timeout_ms = atomic_load(&context->timeout_ms),
        .found.alert = -1,
        .found.verify_depth = -1,
        .set.num_tickets = -1,
    };
    atomic_init(&conn->refs, 1);
    memcpy(conn->resume.sid_ctx, context->sid_ctx, conn->resume.sid_ctx_len);
    tlsl_tracing_begin(conn, how);
    return conn;
}

/*
 * Puts ssl before its first handshake. From libssl 3.2 on that needs memory, and libssl does not
 * say that there was none: tlsl_conn_lost_records.
 */
static bool set_role(SSL *ssl, bool server) {
    if (server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    return SSL_in_before(ssl);
}

tlslife_conn *tlslife_conn_new(tlslife_context *context, tlslife_error *err) {
    if (tlsl_context_ready(context, err) != TLSLIFE_OK) {
        return NULL;
    }
    tlsl_errors_clear();
    SSL *ssl = SSL_new(context->ctx);
    if (ssl != NULL && !set_role(ssl, context->role == TLSLIFE_SERVER)) {
        SSL_free(ssl);
        ssl = NULL;
    }
    return wrap(context, ssl, "new", err);
}

tlslife_conn *tlslife_conn_from_ssl(SSL *ssl, tlslife_error *err) {
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn != NULL) {
        return tlslife_conn_up_ref(conn);
    }
    tlslife_role role = SSL_is_server(ssl) ? TLSLIFE_SERVER : TLSLIFE_CLIENT;
    tlslife_context *context = tlslife_context_from_ssl_ctx(SSL_get_SSL_CTX(ssl), role, err);
    if (context == NULL) {
        return NULL;
    }
    SSL_up_ref(ssl);
    conn = wrap(context, ssl, "new", err);
    tlslife_context_free(context);
    if (conn != NULL) {
        conn->transport.kind = SSL_get_rbio(ssl) == NULL ? TLSL_NONE : TLSL_FOREIGN;
        conn->lent = true;
        conn->begun = !SSL_in_before(ssl);
        conn->open = conn->shaken = conn->known = SSL_is_init_finished(ssl);
    }
    return conn;
}

SSL *tlslife_conn_ssl(tlslife_conn *conn) {
    conn->lent = true;
    return conn->ssl;
}

tlslife_conn *tlslife_conn_up_ref(tlslife_conn *conn) {
    unsigned before = atomic_fetch_add_explicit(&conn->refs, 1, memory_order_relaxed);
    if (tlsl_traced(conn)) {
        tlsl_traced_refs(conn, "up_ref", (uint64_t)before + 1);
    }
    return conn;
}

/* Drops what belongs to one handshake and to the data after it. */
static void drop_progress(tlslife_conn *conn) {
    tlsl_search_free(conn);
    tlsl_session_name_free(conn);
    tlsl_permits_free(conn);
    tlsl_early_free(conn);
    tlsl_hello_free(conn->asked.client_hello);
    tlslife_context_free(conn->asked.chosen);
    free(conn->found.verify_subject);
    free(conn->found.verify_errors);
    free(conn->found.server_name);
    sk_X509_pop_free(conn->found.chain, X509_free);
    free(conn->resume.resumed_data);
    free(conn->resume.stored);
    free(conn->asked.refuse_reason);
    free(conn->asked.alpn.wire);
    tlsl_psk_asked_free(conn->asked.psk);
    if (conn->data.held != NULL) {
        OPENSSL_cleanse(conn->data.held, TLSL_RECORD);
        free(conn->data.held);
    }
    conn->asked.client_hello = NULL;
    conn->asked.chosen = NULL;
    conn->found.verify_subject = NULL;
    conn->found.verify_errors = NULL;
    conn->found.verify_errors_len = 0;
    conn->found.server_name = NULL;
    conn->found.chain = NULL;
    conn->found.ocsp_fault = NULL;
    conn->found.psk_identity = NULL;
    conn->resume.resumed_data = NULL;
    conn->resume.stored = NULL;
    conn->asked.refuse_reason = NULL;
    conn->asked.alpn = (tlsl_own_alpn){.given = false};
    conn->asked.alpn_chosen = false;
    conn->asked.psk = NULL;
    conn->data.held = NULL;
    conn->data.held_len = 0;
    conn->data.early_sent = 0;
    conn->open = conn->begun = conn->data.corked = conn->data.unanswered = conn->closing.more =
        conn->found.alert_received = conn->data.write_waits = conn->data.write_lost = conn->shaken =
            conn->known = conn->found.no_tls = conn->closing.notify_waits = conn->asked.hello_seen =
                conn->resume.told_store = conn->resume.offered = conn->resume.ticket_failed =
                    conn->resume.permitted = conn->resume.ticket_made = conn->asked.hello_passed =
                        conn->found.hello_retry = conn->found.extms = conn->found.hello_came =
                            false;
    conn->found.handshakes = 0;
    conn->resume.outcome = TLSLIFE_OUTCOME_NONE;
    tlsl_conn_forget_end(conn);
    conn->closing.passed = conn->closing.kept = 0;
    conn->asked.alert_chosen = false;
    conn->asked.hello = conn->asked.certificate = conn->asked.verify = TLSL_UNASKED;
    conn->found.alert = conn->found.verify_depth = -1;
    conn->found.verify_result = X509_V_OK;
}

static void free_settings(tlslife_conn *conn) {
    free(conn->set.hostname);
    free(conn->set.groups);
    free(conn->set.alpn.wire);
    free(conn->set.ticket_data);
    OPENSSL_free(conn->asked.ca_name);
    free(conn->transport.service);
}

void tlslife_conn_free(tlslife_conn *conn) {
    if (conn != NULL && tlsl_traced(conn)) {
        /* Before the reference goes, since the connection may go with it. */
        tlsl_traced_refs(conn, "free", (uint64_t)atomic_load(&conn->refs) - 1);
    }
    if (conn == NULL || atomic_fetch_sub_explicit(&conn->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    tlsl_measured_end(conn);
    tlsl_transport_free(conn);
    SSL_SESSION *stored = tlsl_stored_before_end(conn), *judged = tlsl_traced_before_end(conn);
    if (conn->lent) { /* the program may have the SSL for longer */
        (void)tlsl_conn_attach(conn->ssl, NULL);
    }
    SSL_free(conn->ssl);
    tlsl_stored_after_end(conn, stored);
    tlsl_traced_after_end(conn, judged);
    drop_progress(conn);
    tlsl_keylog_drop(conn);
    SSL_SESSION_free(conn->resume.given_session);
    for (size_t i = 0; i < conn->resume.arrived_len; i++) {
        SSL_SESSION_free(conn->resume.arrived[i]);
    }
    free(conn->resume.arrived);
    tlslife_context_free(conn->context);
    tlslife_context_free(conn->origin);
    tlsl_tracing_end(conn);
    free_settings(conn);
    free(conn->failure.last);
    free(conn);
}

/*
 * libssl keeps a ClientHello whose callback wants to be called again. SSL_clear leaks it, whereas
 * SSL_free does not, and a callback that refuses the hello makes libssl free it. So the hello is
 * refused here, and the alert goes into a null BIO.
 */
static tlslife_status refuse_suspended_hello(tlslife_conn *conn) {
    BIO *kept = SSL_get_wbio(conn->ssl), *nowhere = BIO_new(BIO_s_null());
    if (nowhere == NULL) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory to clear the connection");
    }
    if (kept != NULL) {
        BIO_up_ref(kept);
    }
    tlsl_traced_by *traced = conn->traced;
    conn->traced = NULL; /* the refusal reaches no peer, so it is not recorded */
    /* The alert would make the session of the handshake before this one bad. */
    SSL_set_session(conn->ssl, NULL);
    SSL_set0_wbio(conn->ssl, nowhere);
    conn->asked.hello = TLSL_REFUSED;
    conn->asked.refuse_alert = SSL_AD_USER_CANCELLED;
    SSL_do_handshake(conn->ssl);
    SSL_set0_wbio(conn->ssl, kept);
    conn->traced = traced;
    ERR_clear_error();
    return TLSLIFE_OK;
}

/* Copies the settings that libssl's SSL_dup forgets. */
static bool copy_forgotten(tlslife_conn *to, const SSL *from) {
    SSL *ssl = to->ssl;
    const char *server_name = SSL_get_servername(from, TLSEXT_NAMETYPE_host_name);
    SSL_set_quiet_shutdown(ssl, SSL_get_quiet_shutdown(from));
    if (server_name != NULL && !SSL_is_server(ssl) &&
        SSL_set_tlsext_host_name(ssl, server_name) != 1) {
        return false;
    }
    tlsl_conn_set_tickets(to);
    return (to->set.groups == NULL || SSL_set1_groups_list(ssl, to->set.groups) == 1) &&
           (!to->set.alpn.given || SSL_is_server(ssl) ||
            SSL_set_alpn_protos(ssl, to->set.alpn.wire, (unsigned)to->set.alpn.len) == 0);
}

static void hand_over_transport(SSL *to, const SSL *from) {
    BIO *in = SSL_get_rbio(from), *out = SSL_get_wbio(from);
    if (in != NULL && BIO_up_ref(in)) {
        SSL_set0_rbio(to, in);
    }
    if (out != NULL && BIO_up_ref(out)) {
        SSL_set0_wbio(to, out);
    }
    tlsl_fd_set_ssl(out, to);
}

/* SSL_dup, which sets the role of the copy, too: see set_role. */
static SSL *dup_whole(SSL *ssl) {
    SSL *copy = SSL_dup(ssl);
    if (copy != NULL && !SSL_in_before(copy)) {
        SSL_free(copy);
        copy = NULL;
    }
    return copy;
}

/*
 * SSL_clear fails while a renegotiation is pending, and only the end of the renegotiation changes
 * that. A peer may ask for one and leave. So SSL_clear judges the session, the SSL is put before
 * its first handshake, where SSL_dup copies it, and the copy takes its place.
 */
static tlslife_status clear_by_copy(tlslife_conn *conn) {
    SSL *before = conn->ssl;
    tlsl_handshake_unhold(conn);
    SSL_clear(before);
    conn->ssl = set_role(before, SSL_is_server(before)) ? dup_whole(before) : NULL;
    if (conn->ssl == NULL || !tlsl_conn_attach(conn->ssl, conn) || !copy_forgotten(conn, before)) {
        SSL_free(conn->ssl);
        conn->ssl = before;
        tlsl_fail_openssl(tlsl_conn_error(conn), TLSLIFE_ERR_MEMORY,
                          "out of memory to clear the connection");
        return tlsl_conn_end(conn, TLSLIFE_ERROR); /* it can be tried again */
    }
    hand_over_transport(conn->ssl, before);
    (void)tlsl_conn_attach(before, NULL);
    SSL_free(before);
    return TLSLIFE_OK;
}

static tlslife_status clear_ssl(tlslife_conn *conn) {
    if (SSL_renegotiate_pending(conn->ssl) && !conn->origin->foreign) {
        return clear_by_copy(conn);
    }
    bool hello_waits = SSL_want_client_hello_cb(conn->ssl) && !conn->context->foreign;
    if (hello_waits && refuse_suspended_hello(conn) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (SSL_clear(conn->ssl) == 1) {
        return TLSLIFE_OK;
    }
    bool as_before = SSL_renegotiate_pending(conn->ssl); /* in an SSL that the program has made */
    (void)tlsl_fail_openssl(tlsl_conn_error(conn), TLSLIFE_ERR_TLS, "clear failed");
    return as_before ? TLSLIFE_ERROR : tlsl_conn_end(conn, TLSLIFE_ERROR);
}

/*
 * The last client's ClientHello chose the context. The next client sends one of its own. If that
 * fails, the connection cannot be used before it is cleared again.
 */
static tlslife_status return_to_origin(tlslife_conn *conn) {
    bool has_groups = conn->set.groups != NULL;
    ERR_clear_error();
    if (!tlsl_context_apply(conn->origin, conn->ssl) ||
        (has_groups && SSL_set1_groups_list(conn->ssl, conn->set.groups) != 1)) {
        tlsl_fail_openssl(tlsl_conn_error(conn), TLSLIFE_ERR_MEMORY,
                          "out of memory to clear the connection");
        return tlsl_conn_end(conn, TLSLIFE_ERROR);
    }
    tlslife_context_free(conn->context);
    conn->context = tlslife_context_up_ref(conn->origin);
    return TLSLIFE_OK;
}

tlslife_status tlslife_conn_clear(tlslife_conn *conn) {
    ERR_clear_error();
    SSL_SESSION *stored = tlsl_stored_before_end(conn), *judged = tlsl_traced_before_end(conn);
    tlslife_status status = clear_ssl(conn);
    tlsl_stored_after_end(conn, stored);
    tlsl_traced_after_end(conn, judged);
    if (status != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (!conn->origin->foreign) {
        tlsl_callbacks_first_header(conn->ssl);
    }
    tlsl_measured_end(conn);
    conn->found.examined = false;
    if (tlsl_traced(conn)) {
        conn->traced->was_good = false;
        tlsl_tracing_install(conn);
        tlsl_traced_life(conn, "clear", 1);
    }
    drop_progress(conn);
    bool off = conn->origin->resumption == TLSLIFE_RESUMPTION_OFF && !conn->origin->foreign;
    if (off || (conn->origin->cache != NULL && !tlsl_conn_has_given_session(conn))) {
        /* The cache has it too, and the next handshake takes it from there. */
        SSL_set_session(conn->ssl, NULL);
    }
    return conn->context == conn->origin ? TLSLIFE_OK : return_to_origin(conn);
}

/* ------------------------------------------------------------------------------------------ dup */

static bool copy_string(char **to, const char *from) {
    *to = from == NULL ? NULL : strdup(from);
    return from == NULL || *to != NULL;
}

static bool copy_alpn(tlslife_conn *to, const tlslife_conn *from) {
    const tlsl_own_alpn *own = &from->set.alpn;
    to->set.alpn = (tlsl_own_alpn){own->given, own->wire == NULL ? NULL : malloc(own->len), 0};
    if (to->set.alpn.wire != NULL) {
        memcpy(to->set.alpn.wire, own->wire, own->len);
        to->set.alpn.len = own->len;
    }
    return own->wire == NULL || to->set.alpn.wire != NULL;
}

static bool copy_ticket_data(tlslife_conn *to, const tlslife_conn *from) {
    return from->set.ticket_data == NULL ||
           tlslife_conn_set_ticket_data(to, from->set.ticket_data, from->set.ticket_data_len) ==
               TLSLIFE_OK;
}

/* Copies what the library itself keeps for a connection. */
static bool copy_own(tlslife_conn *to, const tlslife_conn *from) {
    to->blocking = from->blocking;
    to->timeout_ms = from->timeout_ms;
    to->lent = from->lent;
    to->set.hostname_dialled = from->set.hostname_dialled;
    to->set.num_tickets = from->set.num_tickets;
    to->asked.other_shown = from->asked.other_shown;
    memcpy(to->resume.sid_ctx, from->resume.sid_ctx, sizeof to->resume.sid_ctx);
    if (tlsl_conn_has_given_session(from)) {
        tlsl_conn_note_given_session(to, from->resume.given_session);
    }
    return copy_string(&to->set.hostname, from->set.hostname) &&
           copy_string(&to->set.groups, from->set.groups) && copy_alpn(to, from) &&
           copy_ticket_data(to, from) &&
           (!from->data.corked || tlslife_conn_cork(to, true) == TLSLIFE_OK);
}

tlslife_conn *tlslife_conn_dup(tlslife_conn *conn, tlslife_error *err) {
    if (!SSL_in_before(conn->ssl)) {
        return tlslife_conn_up_ref(conn);
    }
    ERR_clear_error();
    tlslife_conn *dup = wrap(conn->context, dup_whole(conn->ssl), "dup", err);
    if (dup != NULL && !(copy_own(dup, conn) && copy_forgotten(dup, conn->ssl) &&
                         tlsl_verifies_name(SSL_get0_param(dup->ssl), SSL_get0_param(conn->ssl)))) {
        tlslife_conn_free(dup);
        dup = NULL;
        tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for a copy of a connection");
    }
    if (dup != NULL && !conn->origin->foreign) {
        (void)tlslife_conn_set_trace(dup, tlsl_traced(conn) ? conn->traced->trace : NULL);
    }
    return dup;
}

tlslife_context *tlslife_conn_get0_context(const tlslife_conn *conn) {
    return conn->context;
}
