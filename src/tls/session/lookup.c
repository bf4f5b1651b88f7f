/*
 * lookup.c: finds a session for a handshake, in the memory tier or in an external store, and keeps
 * those that are made.
 *
 * libssl asks for a server's session in the middle of the handshake and wants the answer at once.
 * Memory can give it: get_session_cb looks there. An external store cannot, so it is asked earlier.
 * When the ClientHello has arrived, the ids that libssl will ask for are read from it, the
 * handshake is suspended (SSL_CLIENT_HELLO_RETRY), and the store is asked with no SSL_ call on the
 * stack. When it has answered, however late, the handshake goes on and finds the session here. A
 * client looks before it sends its first byte.
 *
 * An attacker would try to make every ClientHello cost a lookup. A TLS 1.3 client sends a random
 * session id that means nothing, so without a PSK extension nothing is looked up. At most two
 * identities are, and only those of an id's length. A store that is slow costs that one handshake
 * its resumption.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "cache/cache.h"
#include "cache/external.h"
#include "cache/key.h"
#include "cache/store/store.h"
#include "metrics/counters.h"
#include "net/tcp.h"
#include "tls/context/context.h"
#include "tls/context/policy.h"
#include "tls/context/resumption.h"
#include "tls/context/settle.h"
#include "tls/context/ticket_keys.h"
#include "tls/session/hello.h"
#include "tls/session/lookup.h"
#include "tls/session/permit.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/ex_data.h"
#include "tls/state/failure.h"
#include "tls/state/traced.h"
#include "tlslife.h"
#include "values/session_value.h"

#define IDS_MAX 2    /* PSK identities that are looked up; clients send one or two */
#define PEER_MAX 400 /* bytes of a peer's text: a host name, ":", a port or a socket's path, NUL */

struct tlsl_search {
    tlsl_cache_key keys[IDS_MAX];
    size_t keys_len;
    size_t next; /* index in keys of the one that is being asked for, or is the next to be */
    bool take;   /* what is found is to be removed from the store, for it may be used once only */
    bool asked;  /* the inquiry is under way or answered */
    bool done;
    bool permit;       /* what is looked for is the permit of a ticket, not a session (permit.c) */
    uint64_t since_us; /* when the inquiry began */
    tlsl_inquiry inquiry;
    SSL_SESSION *found;
    size_t found_at;                     /* index in keys */
    unsigned char head[TLSL_STORE_HEAD]; /* of the sealed bytes that were found */
};

/* A client's session that the external store has, and under which key. */
typedef struct tlsl_stored {
    const SSL_SESSION *session; /* to be compared, not used; no reference is held */
    tlsl_cache_key key;
    unsigned char head[TLSL_STORE_HEAD]; /* by which the entry is known from later ones */
} tlsl_stored;

/* The cache of conn's sessions; NULL if there is none. */
static tlslife_cache *session_cache(const tlslife_conn *conn) {
    return tlsl_context_session_cache(conn->origin, false);
}

void tlsl_search_free(tlslife_conn *conn) {
    tlsl_search *search = conn->resume.search;
    if (search == NULL) {
        return;
    }
    if (search->asked && search->inquiry.found == TLSL_FOUND_PENDING) {
        tlslife_store *store = tlsl_cache_store(session_cache(conn));
        store->verbs->cancel(store, &search->inquiry);
    }
    free(search->inquiry.bytes);
    SSL_SESSION_free(search->found);
    free(search);
    conn->resume.search = NULL;
}

static tlsl_search *search_new(tlslife_conn *conn) {
    if (conn->resume.search == NULL) {
        conn->resume.search = calloc(1, sizeof *conn->resume.search);
    }
    return conn->resume.search;
}

/* --------------------------------------------------------------------------------------- asking */

/*
 * Whether a session may be used once only. A client offers a TLS 1.3 session once; a server that
 * allows early data finds one once.
 */
static bool used_once(const tlslife_conn *conn, bool tls13) {
    return tls13 && (!SSL_is_server(conn->ssl) || conn->context->gives_once);
}

static void ask(tlsl_search *search, tlslife_store *store) {
    if (!search->asked) {
        memset(&search->inquiry, 0, sizeof search->inquiry);
        tlsl_external_key(&search->keys[search->next], search->inquiry.key);
        search->inquiry.take = search->take;
        search->asked = true;
        search->since_us = tlsl_count_now();
        store->verbs->ask(store, &search->inquiry);
    } else if (search->inquiry.found == TLSL_FOUND_PENDING && !store->verbs->answered_by_program) {
        tlslife_store_pump(store);
        store->verbs->ask(store, &search->inquiry);
    }
}

/*
 * Keeps what the store has found in memory if it may be used again. A client has to take it from
 * the store to find out, so it puts it back.
 */
static void keep_found(tlslife_conn *conn, const tlsl_cache_key *key, const tlsl_search *search) {
    tlslife_cache *cache = session_cache(conn);
    if (used_once(conn, SSL_SESSION_get_protocol_version(search->found) == TLS1_3_VERSION)) {
        return;
    }
    if (tlsl_cache_in_memory(cache)) {
        tlsl_cache_keep(cache, key, search->found, NULL);
    }
    if (search->take) {
        tlsl_cache_note_stored(cache, search->found, search->inquiry.bytes);
        tlsl_external_put_back(cache, key, search->found,
                               (tlslife_bytes){search->inquiry.bytes, search->inquiry.bytes_len});
    }
}

static void count_answer(const tlsl_search *search) {
    tlsl_found found = search->inquiry.found;
    tlsl_answered answered = found == TLSL_FOUND_HIT    ? TLSL_ANSWERED_HIT
                             : found == TLSL_FOUND_MISS ? TLSL_ANSWERED_MISS
                                                        : TLSL_ANSWERED_FAILED;
    tlsl_count_time(TLSL_LOOKUP_TIME + answered * TLSL_HISTOGRAM,
                    tlsl_count_now() - search->since_us);
}

/*
 * Takes the store's answer: there is a session, the next id is to be asked for, or the search has
 * ended.
 */
static void take_answer(tlslife_conn *conn, tlsl_search *search) {
    tlslife_cache *cache = session_cache(conn);
    const tlsl_cache_key *key = &search->keys[search->next];
    const tlsl_inquiry *inquiry = &search->inquiry;
    count_answer(search);
    if (inquiry->found == TLSL_FOUND_HIT && search->permit) {
        conn->resume.permitted = tlsl_external_is_permit(cache, key, inquiry->bytes,
                                                         inquiry->bytes_len, tlsl_policy_of(conn));
    } else if (inquiry->found == TLSL_FOUND_HIT) {
        bool expired = false;
        search->found = tlsl_external_open(cache, key, inquiry->bytes, inquiry->bytes_len,
                                           tlsl_policy_of(conn), &expired);
        search->found_at = search->next;
        conn->resume.outcome = expired ? TLSLIFE_OUTCOME_EXPIRED : conn->resume.outcome;
    } else if (inquiry->found == TLSL_FOUND_FAILED) {
        tlsl_cache_count(cache, TLSL_COUNT_STORE_ERROR);
        conn->resume.outcome = search->permit ? conn->resume.outcome : TLSLIFE_OUTCOME_STORE;
    }
    search->asked = false;
    search->next++;
    search->done = search->found != NULL || search->next == search->keys_len;
    if (search->found != NULL) {
        tlsl_cache_count(cache, TLSL_COUNT_STORE_HIT);
        tlsl_told(conn, "found outside", search->found, TLSLIFE_OUTCOME_NONE);
        keep_found(conn, key, search);
        memcpy(search->head, inquiry->bytes, TLSL_STORE_HEAD); /* what opens is longer */
    } else if (search->done && !search->permit) {
        tlsl_cache_count(cache, TLSL_COUNT_MISS);
        tlsl_told(conn, "not found", NULL, conn->resume.outcome);
    }
    free(search->inquiry.bytes);
    search->inquiry.bytes = NULL;
}

/* Waits for the store if the connection is blocking. TLSLIFE_OK means: ask again. */
static tlslife_status wait_for_store(tlslife_conn *conn, tlslife_store *store, int64_t *deadline) {
    bool writing = false;
    int timeout_ms = -1;
    if (!conn->blocking || store->verbs->answered_by_program) {
        return TLSLIFE_WANT_SESSION;
    }
    if (*deadline == TLSL_DEADLINE_UNSET) {
        *deadline = tlsl_deadline(conn->timeout_ms);
    }
    uint64_t since = tlsl_waits(conn, "store");
    int fd = tlslife_store_fd(store, &writing, &timeout_ms);
    int64_t until = tlsl_deadline(timeout_ms);
    tlslife_status status = tlsl_wait_fd(fd, writing ? POLLIN | POLLOUT : POLLIN,
                                         until < *deadline ? until : *deadline);
    int failure = errno;
    tlsl_waited(conn, "store", since);
    if (status == TLSLIFE_TIMEOUT && *deadline <= until) {
        return TLSLIFE_TIMEOUT;
    }
    return status == TLSLIFE_ERROR
               ? tlsl_fail_system(tlsl_conn_error(conn), failure, "waiting for the store failed")
               : TLSLIFE_OK;
}

tlslife_status tlsl_search_go_on(tlslife_conn *conn, int64_t *deadline) {
    tlsl_search *search = conn->resume.search;
    tlslife_store *store = tlsl_cache_store(session_cache(conn));
    while (!search->done) {
        ask(search, store);
        if (search->inquiry.found != TLSL_FOUND_PENDING) {
            take_answer(conn, search);
            continue;
        }
        tlslife_status status = wait_for_store(conn, store, deadline);
        if (status != TLSLIFE_OK) {
            return status;
        }
    }
    return TLSLIFE_OK;
}

bool tlsl_search_waits(const tlslife_conn *conn) {
    return conn->resume.search != NULL && !conn->resume.search->done;
}

bool tlslife_conn_lookup(const tlslife_conn *conn, tlslife_lookup *out) {
    if (!tlsl_search_waits(conn) || !conn->resume.search->asked) {
        return false;
    }
    const tlsl_inquiry *inquiry = &conn->resume.search->inquiry;
    *out = (tlslife_lookup){.store = tlsl_cache_store(session_cache(conn)),
                            .key = {inquiry->key, sizeof inquiry->key},
                            .take = inquiry->take};
    return true;
}

bool tlslife_conn_lookup_answered(const tlslife_conn *conn) {
    if (!tlsl_search_waits(conn) || !conn->resume.search->asked) {
        return true;
    }
    const tlsl_inquiry *inquiry = &conn->resume.search->inquiry;
    tlslife_store *store = tlsl_cache_store(session_cache(conn));
    return inquiry->found != TLSL_FOUND_PENDING ||
           (store->verbs->answered != NULL && store->verbs->answered(store, inquiry));
}

/*
 * The inquiry that the program is to answer. NULL if there is none, and the error then names verb.
 */
static tlsl_inquiry *asked_inquiry(tlslife_conn *conn, const char *verb) {
    tlslife_lookup lookup;
    if (!tlslife_conn_lookup(conn, &lookup) || !lookup.store->verbs->answered_by_program ||
        conn->resume.search->inquiry.found != TLSL_FOUND_PENDING) {
        tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s, but the program was asked for no session",
                       verb);
        return NULL;
    }
    return &conn->resume.search->inquiry;
}

static void answered(tlslife_conn *conn, tlsl_inquiry *inquiry, tlsl_found found) {
    tlslife_store *store = tlsl_cache_store(session_cache(conn));
    store->verbs->cancel(store, inquiry);
    inquiry->found = found;
}

tlslife_status tlslife_conn_answer_session(tlslife_conn *conn, const unsigned char *sealed,
                                           size_t sealed_len) {
    tlsl_inquiry *inquiry = asked_inquiry(conn, "answer_session");
    if (inquiry == NULL) {
        return TLSLIFE_ERROR;
    }
    bool kept = sealed != NULL && sealed_len <= TLSL_STORE_BYTES_MAX;
    inquiry->bytes = kept ? malloc(sealed_len + 1) : NULL;
    if (inquiry->bytes != NULL) {
        memcpy(inquiry->bytes, sealed, sealed_len);
        inquiry->bytes_len = sealed_len;
    }
    bool too_big = sealed != NULL && !kept;
    answered(conn, inquiry,
             inquiry->bytes != NULL ? TLSL_FOUND_HIT
             : too_big              ? TLSL_FOUND_FAILED
                                    : TLSL_FOUND_MISS);
    return TLSLIFE_OK;
}

tlslife_status tlslife_conn_fail_session(tlslife_conn *conn) {
    tlsl_inquiry *inquiry = asked_inquiry(conn, "fail_session");
    if (inquiry == NULL) {
        return TLSLIFE_ERROR;
    }
    answered(conn, inquiry, TLSL_FOUND_FAILED);
    return TLSLIFE_OK;
}

/* --------------------------------------------------------------------------------------- server */

/*
 * Notes why no session was found. A client makes up the id beside a session of another version, so
 * that this id is unknown explains nothing.
 */
static void note_missing(tlslife_conn *conn, tlslife_outcome why) {
    if (conn->resume.outcome != TLSLIFE_OUTCOME_OTHER_VERSION) {
        conn->resume.outcome = (uint8_t)why;
    }
}

static void want_id(tlslife_conn *conn, tlslife_bytes id, bool once) {
    tlsl_cache_key key = {.client = false};
    tlsl_search *search = tlsl_id_key(id.data, id.len, key.bytes) ? search_new(conn) : NULL;
    if (search == NULL || search->keys_len == IDS_MAX) {
        return;
    }
    tlslife_outcome why = TLSLIFE_OUTCOME_NOT_CACHED;
    /*
     * A session that may be used once is kept in one place only, and that is the store, which all
     * processes see.
     */
    bool in_memory = tlsl_cache_in_memory(session_cache(conn)) && !once;
    SSL_SESSION *session =
        in_memory ? tlsl_cache_find(session_cache(conn), &key, false, false, &why) : NULL;
    search->take = once;
    search->keys[search->keys_len++] = key;
    if (session != NULL && search->found == NULL) {
        tlsl_cache_count(session_cache(conn), TLSL_COUNT_HIT);
        tlsl_told(conn, "found", session, TLSLIFE_OUTCOME_NONE);
        search->found = session;
        search->found_at = search->keys_len - 1;
        search->done = true;
    } else {
        SSL_SESSION_free(session);
        note_missing(conn, why);
    }
}

static bool want_ids(tlslife_conn *conn, bool tls13) {
    tlslife_hello *hello = tlsl_hello_read(conn->ssl);
    if (hello == NULL) {
        return false;
    }
    for (size_t i = 0; tls13 && i < hello->psk_identities_len; i++) {
        if (hello->psk_identities[i].len ==
            SSL_MAX_SSL_SESSION_ID_LENGTH) { /* other lengths are no id of ours */
            want_id(conn, hello->psk_identities[i], used_once(conn, true));
        }
    }
    if (!tls13) {
        want_id(conn, hello->session_id, false);
    }
    tlsl_hello_free(hello);
    if (tlsl_search_waits(conn) && tlsl_cache_store(session_cache(conn)) == NULL) {
        tlsl_cache_count(session_cache(conn), TLSL_COUNT_MISS);
        conn->resume.search->done = true;
    }
    return true;
}

/*
 * Whether libssl may ask the cache for an id in this ClientHello. In TLS 1.2 a ticket goes before
 * an id, which most clients make up beside it. But if there is no key for the ticket, the id may be
 * that of a session.
 */
static bool ids_matter(const tlslife_conn *conn, const tlsl_hello_summary *summary, bool tls13) {
    bool tickets = !(SSL_get_options(conn->ssl) & SSL_OP_NO_TICKET);
    return session_cache(conn) != NULL && tlsl_conn_keeps_ids(conn, tls13) &&
           (tls13 ? summary->has_psk
                  : summary->has_session_id && !(tickets && summary->ticket.len > 0 &&
                                                 tlsl_ticket_key_known(conn, summary->ticket)));
}

/*
 * Takes the permit of the ticket whose early data follow: from the store, which all processes see,
 * or where there is none from memory.
 */
static void want_permit(tlslife_conn *conn) {
    tlslife_cache *cache = session_cache(conn);
    tlsl_cache_key key;
    tlsl_search *search = cache != NULL && tlsl_permit_key(tlsl_hello_first_psk(conn->ssl), &key)
                              ? search_new(conn)
                              : NULL;
    if (search == NULL) {
        return; /* also if memory is short: early data are rejected then */
    }
    search->permit = search->take = true;
    search->keys[search->keys_len++] = key;
    search->done = tlsl_cache_store(cache) == NULL;
    if (search->done) {
        tlslife_outcome why = TLSLIFE_OUTCOME_NOT_CACHED;
        SSL_SESSION *found = tlsl_cache_find(cache, &key, true, false, &why);
        conn->resume.permitted = found != NULL;
        SSL_SESSION_free(found);
    }
}

bool tlsl_search_for_hello(tlslife_conn *conn, bool *out_waits) {
    tlsl_hello_summary summary = tlsl_hello_summarize(conn->ssl);
    bool tls13 = summary.offers_tls13 && tlsl_conn_speaks_tls13(conn);
    /* A session id does not show that a session is offered: TLS 1.3 clients make one up. */
    bool other = tls13 ? !summary.has_psk && summary.ticket.len > 0
                       : summary.has_psk && summary.ticket.len == 0;
    conn->resume.offered =
        summary.has_psk || summary.ticket.len > 0 || (!tls13 && summary.has_session_id);
    conn->resume.outcome = other                  ? TLSLIFE_OUTCOME_OTHER_VERSION
                           : conn->resume.offered ? TLSLIFE_OUTCOME_NOT_CACHED
                                                  : TLSLIFE_OUTCOME_NOT_OFFERED;
    tlsl_conn_choose_tickets(conn, tls13, summary.takes_ticket);
    /*
     * Sessions in memory are found when libssl asks. But if a ticket does not open, it must be
     * known by then whether the id leads to a session.
     */
    bool now =
        ids_matter(conn, &summary, tls13) &&
        (tlsl_cache_store(session_cache(conn)) != NULL || (!tls13 && summary.ticket.len > 0));
    bool ok = !now || want_ids(conn, tls13);
    if (tls13 && summary.sends_early && tlsl_conn_permits(conn)) {
        want_permit(conn);
    }
    *out_waits = tlsl_search_waits(conn);
    return ok;
}

bool tlsl_search_found_id(const tlslife_conn *conn) {
    return conn->resume.search != NULL && conn->resume.search->found != NULL &&
           SSL_version(conn->ssl) < TLS1_3_VERSION;
}

void tlsl_search_judge(tlslife_conn *conn, const SSL_SESSION *session) {
    unsigned len = 0;
    const unsigned char *id = SSL_SESSION_get0_id_context(session, &len);
    bool same = len == conn->context->sid_ctx_len && memcmp(id, conn->context->sid_ctx, len) == 0;
    bool expired = tlsl_session_left(session, 0, time(NULL)) == 0;
    bool other = SSL_SESSION_get_protocol_version(session) != SSL_version(conn->ssl);
    /*
     * A session that libssl refuses for another reason, such as its cipher, counts as not accepted.
     */
    conn->resume.outcome = !same     ? TLSLIFE_OUTCOME_OTHER_CONTEXT
                           : expired ? TLSLIFE_OUTCOME_EXPIRED
                           : other   ? TLSLIFE_OUTCOME_OTHER_VERSION
                                     : TLSLIFE_OUTCOME_NOT_ACCEPTED;
}

/* The callback does not wait. A session of a store was fetched before. */
SSL_SESSION *tlsl_on_get_session(SSL *ssl, const unsigned char *id, int id_len, int *copy) {
    tlslife_conn *conn = tlsl_conn_of(ssl);
    *copy = 0; /* libssl takes over the reference that is returned */
    tlsl_cache_key key = {.client = false};
    if (conn == NULL || session_cache(conn) == NULL || id_len <= 0 ||
        !tlsl_id_key(id, (size_t)id_len, key.bytes) ||
        !tlsl_conn_keeps_ids(conn, SSL_version(ssl) >= TLS1_3_VERSION)) {
        return NULL;
    }
    tlsl_search *search = conn->resume.search;
    SSL_SESSION *session = NULL;
    if (search != NULL && search->found != NULL &&
        memcmp(search->keys[search->found_at].bytes, key.bytes, sizeof key.bytes) == 0) {
        session = search->found;
        search->found = NULL;
    } else if (search == NULL) {
        tlslife_outcome why = TLSLIFE_OUTCOME_NOT_CACHED;
        bool once = used_once(conn, SSL_version(ssl) >= TLS1_3_VERSION);
        session = tlsl_cache_find(session_cache(conn), &key, once, true, &why);
        note_missing(conn, why);
        tlsl_told(conn, session == NULL ? "not found" : "found", session,
                  session == NULL ? (int)why : TLSLIFE_OUTCOME_NONE);
    }
    if (session != NULL) {
        tlsl_search_judge(conn, session);
    }
    if (session != NULL && !tlsl_session_fits(ssl, session)) {
        SSL_SESSION_free(session);
        return NULL;
    }
    return session;
}

/*
 * libssl gives each stateless ticket of TLS 1.3 an id as well, which no cache holds. A store need
 * not be told that such a session has ended.
 */
static bool may_be_kept(const tlslife_context *context, const SSL_SESSION *session) {
    bool stateless = context->resumption == TLSLIFE_RESUMPTION_BOTH ||
                     context->resumption == TLSLIFE_RESUMPTION_TICKETS;
    return context->role == TLSLIFE_CLIENT || tlsl_context_may_switch(context) || !stateless ||
           SSL_SESSION_get_protocol_version(session) != TLS1_3_VERSION ||
           (SSL_SESSION_get_max_early_data(session) > 0 && context->ticket_keys == NULL);
}

void tlsl_on_remove_session(SSL_CTX *ctx, SSL_SESSION *session) {
    tlslife_context *context = tlsl_context_of(ctx);
    tlslife_cache *cache = context == NULL ? NULL : tlsl_context_session_cache(context, false);
    if (cache != NULL && may_be_kept(context, session)) {
        tlsl_cache_drop(cache, session, tlsl_session_left(session, 0, time(NULL)) > 0);
    }
}

/* --------------------------------------------------------------------------------------- client */

/* "host:port" of the peer, as far as they are known. */
static void peer_text(const tlslife_conn *conn, char *out, size_t out_len) {
    char address[80] = "";
    const char *port = conn->transport.service;
    if (port == NULL && tlslife_conn_peer_address(conn, address, sizeof address)) {
        port = strrchr(address, ':');
        port = port == NULL ? NULL : port + 1;
    }
    snprintf(out, out_len, "%s%s%s", conn->set.hostname == NULL ? address : conn->set.hostname,
             port == NULL ? "" : ":", port == NULL ? "" : port);
}

/* The key of a session in the cache, and what it is made of. */
typedef struct tlsl_session_name {
    tlsl_cache_key key;
    char peer[PEER_MAX]; /* a client's: "host:port" of the server. A server's: "" */
} session_name;

/* A client's session is found by host, port, server name, ALPN and the policy that verified it. */
static bool make_name(const tlslife_conn *conn, session_name *out) {
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    const EVP_MD *sha256 = tlsl_sha256();
    tlslife_bytes policy = tlsl_policy_of(conn);
    const char *name = SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name);
    const tlsl_own_alpn *own = &conn->set.alpn;
    peer_text(conn, out->peer, sizeof out->peer);
    bool ok = hash != NULL && sha256 != NULL && EVP_DigestInit_ex(hash, sha256, NULL) == 1 &&
              tlsl_hash_add(hash, policy.data, policy.len) &&
              tlsl_hash_add(hash, out->peer, strlen(out->peer)) &&
              tlsl_hash_add(hash, name == NULL ? "" : name, name == NULL ? 0 : strlen(name)) &&
              tlsl_hash_add(hash, own->given ? own->wire : conn->context->alpn,
                            own->given ? own->len : conn->context->alpn_len) &&
              EVP_DigestFinal_ex(hash, out->key.bytes, NULL) == 1;
    EVP_MD_CTX_free(hash);
    out->key.client = true;
    return ok;
}

void tlsl_session_name_free(tlslife_conn *conn) {
    free(conn->resume.name);
    conn->resume.name = NULL;
}

/*
 * Client: the name, which is made once for a handshake and its tickets. What it is made of cannot
 * change once the handshake has begun. NULL: memory is short.
 */
static const session_name *client_name(tlslife_conn *conn) {
    if (conn->resume.name != NULL && conn->begun) {
        return conn->resume.name;
    }
    tlsl_session_name_free(conn);
    conn->resume.name = malloc(sizeof *conn->resume.name);
    if (conn->resume.name != NULL && !make_name(conn, conn->resume.name)) {
        tlsl_session_name_free(conn);
    }
    return conn->resume.name;
}

/* Client: whether the session has the session id context of the connection. */
static bool is_own(const tlslife_conn *conn, const SSL_SESSION *session) {
    unsigned len = 0;
    const unsigned char *id = SSL_SESSION_get0_id_context(session, &len);
    return len == conn->resume.sid_ctx_len && memcmp(id, conn->resume.sid_ctx, len) == 0;
}

/*
 * Takes over a session, with its reference. One of another context of the same policy is copied,
 * since libssl compares the whole session id context.
 */
static SSL_SESSION *own(const tlslife_conn *conn, SSL_SESSION *session) {
    if (is_own(conn, session)) {
        return session;
    }
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    SSL_SESSION_free(session);
    if (copy != NULL && SSL_SESSION_set1_id_context(copy, conn->resume.sid_ctx,
                                                    (unsigned)conn->resume.sid_ctx_len) != 1) {
        SSL_SESSION_free(copy);
        copy = NULL;
    }
    return copy;
}

/* Takes over the reference to session, and offers the session. */
static void offer(tlslife_conn *conn, SSL_SESSION *session) {
    session = session == NULL ? NULL : own(conn, session);
    if (session != NULL) {
        SSL_set_session(conn->ssl, session);
        SSL_SESSION_free(session);
    }
}

/* Client: notes that the store has session, which is the connection's own, under that key. */
static void note_stored(tlslife_conn *conn, const SSL_SESSION *session, const tlsl_cache_key *key,
                        const unsigned char head[TLSL_STORE_HEAD]) {
    if (conn->resume.stored == NULL) {
        conn->resume.stored = malloc(sizeof *conn->resume.stored);
    }
    if (conn->resume.stored != NULL) {
        *conn->resume.stored = (tlsl_stored){.session = session, .key = *key};
        memcpy(conn->resume.stored->head, head, TLSL_STORE_HEAD);
    }
}

/* Client: offers what the search, which has ended, has found in the store. */
static void offer_found(tlslife_conn *conn) {
    SSL_SESSION *found = conn->resume.search->found;
    tlsl_cache_key key = conn->resume.search->keys[0];
    unsigned char head[TLSL_STORE_HEAD];
    memcpy(head, conn->resume.search->head, sizeof head);
    conn->resume.search->found = NULL;
    tlsl_search_free(conn);
    offer(conn, found);
    const SSL_SESSION *offered = SSL_get0_session(conn->ssl);
    if (offered != NULL &&
        !used_once(conn, SSL_SESSION_get_protocol_version(offered) == TLS1_3_VERSION)) {
        note_stored(conn, offered, &key, head); /* keep_found has put it back */
    }
}

tlslife_status tlsl_search_for_peer(tlslife_conn *conn, int64_t *deadline) {
    tlslife_cache *cache = session_cache(conn);
    if (conn->resume.search == NULL) {
        tlslife_outcome why = TLSLIFE_OUTCOME_NOT_CACHED;
        bool external = tlsl_cache_store(cache) != NULL;
        const session_name *name = client_name(conn);
        if (name == NULL) {
            return TLSLIFE_OK; /* memory is short: the handshake is a full one */
        }
        SSL_SESSION *session = tlsl_cache_in_memory(cache)
                                   ? tlsl_cache_find(cache, &name->key, false, !external, &why)
                                   : NULL;
        conn->resume.outcome = (uint8_t)why;
        if (session != NULL || !external) {
            tlsl_told(conn, session == NULL ? "not found" : "found", session,
                      session == NULL ? (int)why : TLSLIFE_OUTCOME_NONE);
        }
        if (session != NULL || !external || search_new(conn) == NULL) {
            offer(conn, session);
            return TLSLIFE_OK;
        }
        conn->resume.search->keys[conn->resume.search->keys_len++] = name->key;
        conn->resume.search->take = true; /* it may be a TLS 1.3 session */
        tlsl_session_name_free(conn);     /* while the store is asked, the program may change it */
    }
    tlslife_status status = tlsl_search_go_on(conn, deadline);
    if (status == TLSLIFE_OK) {
        offer_found(conn);
    }
    return status;
}

/* -------------------------------------------------------------------------------------- keeping */

/*
 * What session is kept under; a server's is written to *by_id. NULL if memory is short, or if the
 * context in force keeps no ids.
 */
static const session_name *name_of(tlslife_conn *conn, const SSL_SESSION *session,
                                   session_name *by_id) {
    if (!SSL_is_server(conn->ssl)) {
        return client_name(conn);
    }
    by_id->peer[0] = '\0';
    by_id->key.client = false;
    bool tls13 = SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION;
    return tlsl_session_key(session, by_id->key.bytes) && tlsl_conn_keeps_ids(conn, tls13) ? by_id
                                                                                           : NULL;
}

/*
 * Whether a new session goes into memory, and in *out_external whether it goes into the store. One
 * that may be used once goes into one of them only. If there is a store, a server's goes there,
 * since all processes see there that it was taken. Of a client's tickets the first goes into the
 * store, for the next process that connects, and the others into memory.
 */
static bool goes_into_memory(tlslife_conn *conn, const SSL_SESSION *session, bool *out_external) {
    const tlslife_cache *cache = session_cache(conn);
    bool in_memory = tlsl_cache_in_memory(cache), external = tlsl_cache_store(cache) != NULL;
    bool once = used_once(conn, SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION);
    *out_external = external;
    if (!external || !in_memory || !once) {
        return in_memory;
    }
    *out_external = SSL_is_server(conn->ssl) || !conn->resume.told_store;
    conn->resume.told_store = true;
    return !*out_external;
}

/* tlsl_cache_removal: tells the trace of the connection whose session makes others go. */
static void on_removed(void *conn, const SSL_SESSION *session, tlslife_outcome why) {
    tlsl_told(conn, "evicted", session,
              why == TLSLIFE_OUTCOME_EXPIRED ? (int)why : TLSLIFE_OUTCOME_NONE);
}

bool tlsl_cache_new_session(tlslife_conn *conn, SSL_SESSION *session) {
    session_name by_id;
    bool external = false;
    free(conn->resume.stored); /* the new one takes the place of the one before */
    conn->resume.stored = NULL;
    tlsl_permit_give(conn, session);
    if (!SSL_is_server(conn->ssl) && !is_own(conn, session)) {
        return false; /* the program has set another in the SSL: it has a policy of its own */
    }
    const session_name *name = name_of(conn, session, &by_id);
    if (name == NULL) {
        return false;
    }
    tlslife_cache *cache = tlsl_context_session_cache(conn->origin, true);
    if (cache != NULL && goes_into_memory(conn, session, &external)) {
        bool kept = tlsl_cache_keep_told(cache, &name->key, session, name->peer,
                                         tlsl_traced(conn) ? on_removed : NULL, conn);
        tlsl_told(conn, kept ? "stored" : "not stored", session, TLSLIFE_OUTCOME_NONE);
    }
    return external;
}

void tlsl_cache_store_session(tlslife_conn *conn, SSL_SESSION *session) {
    session_name by_id;
    unsigned char head[TLSL_STORE_HEAD];
    const session_name *name = name_of(conn, session, &by_id);
    if (name == NULL) {
        return;
    }
    tlsl_external_put(session_cache(conn), &name->key, session, tlsl_policy_of(conn), head);
    tlsl_told(conn, "stored outside", session, TLSLIFE_OUTCOME_NONE);
    if (!SSL_is_server(conn->ssl)) {
        tlsl_cache_note_stored(session_cache(conn), session, head);
    }
    if (!SSL_is_server(conn->ssl) && session == SSL_get0_session(conn->ssl)) {
        note_stored(conn, session, &name->key, head);
    }
}

/*
 * The memory tier drops a bad session in libssl's callback. The callback does not know the peer
 * under which a store has it, and so the store is told here. It keeps what another connection has
 * put in the place of this session.
 */
SSL_SESSION *tlsl_stored_before_end(const tlslife_conn *conn) {
    SSL_SESSION *session = SSL_get0_session(conn->ssl);
    if (session == NULL || conn->resume.stored == NULL || conn->resume.stored->session != session) {
        return NULL;
    }
    SSL_SESSION_up_ref(session);
    return session;
}

void tlsl_stored_after_end(tlslife_conn *conn, SSL_SESSION *session) {
    if (session != NULL && conn->resume.stored != NULL && !SSL_SESSION_is_resumable(session)) {
        tlsl_external_remove_if(session_cache(conn), &conn->resume.stored->key,
                                conn->resume.stored->head);
    }
    SSL_SESSION_free(session);
}

/* -------------------------------------------------------------------------------------- outcome */

tlslife_outcome tlslife_conn_resumption(const tlslife_conn *conn) {
    if (!conn->known || SSL_get0_session(conn->ssl) == NULL) {
        return TLSLIFE_OUTCOME_NONE;
    }
    if (SSL_session_reused(conn->ssl) && conn->found.psk_identity == NULL) {
        return TLSLIFE_OUTCOME_RESUMED;
    }
    if (!SSL_is_server(conn->ssl) && conn->resume.offered) {
        return conn->resume.offered_expired ? TLSLIFE_OUTCOME_EXPIRED
               : conn->resume.offered_version != SSL_version(conn->ssl)
                   ? TLSLIFE_OUTCOME_OTHER_VERSION
                   : TLSLIFE_OUTCOME_NOT_ACCEPTED;
    }
    if (SSL_is_server(conn->ssl) && conn->resume.offered && conn->resume.ticket_failed) {
        return TLSLIFE_OUTCOME_TICKET;
    }
    /* A server that has used a PSK had taken its identity for a session's. */
    bool psk = SSL_is_server(conn->ssl) && conn->found.psk_identity != NULL;
    return psk || conn->resume.outcome == TLSLIFE_OUTCOME_NONE
               ? TLSLIFE_OUTCOME_NOT_OFFERED
               : (tlslife_outcome)conn->resume.outcome;
}

const char *tlslife_outcome_name(tlslife_outcome outcome) {
    static const char *const names[] = {
        NULL,    "resumed",      "not_offered",   "not_cached",    "expired", "not_closed",
        "spent", "not_accepted", "other_version", "other_context", "ticket",  "store"};
    return outcome <= TLSLIFE_OUTCOME_STORE ? names[outcome] : NULL;
}
