/*
 * permit.c: lets each ticket of TLS 1.3 send early data once, in whichever process they arrive.
 *
 * A stateless ticket opens wherever its key is, as often as it is shown. That is harmless for a
 * handshake, but not for early data, which are good before the client has proved that it is there.
 * So a ticket that allows early data has a permit in the cache of its context: an entry that says
 * nothing but that it exists. Early data take it out, which only one process can do, and without
 * it they are rejected. The connection resumes all the same, and the client sends its data again
 * after the handshake. This is RFC 8446 section 8.1, single-use tickets, for early data alone.
 *
 * The key of a permit is a hash of the ticket's first 32 bytes, the name of its key and the random
 * IV. They are known when libssl makes the ticket, and are the first thing in the ClientHello's
 * first PSK identity, so that an external store can be asked while the handshake is suspended.
 *
 * An attacker would replay a ClientHello and its early data
 *   - to another worker or machine: the permit is taken where all of them look;
 *   - after a restart: the cache that has lost its content has no permits;
 *   - after filling the cache: what was evicted permits nothing. Nothing grows with replays;
 *   - while the store is down: what cannot be asked permits nothing;
 *   - after the clock has changed: libssl compares the ticket's age with what the client says, and
 *     rejects early data where they differ by 10 seconds (section 8.3). The permit does not depend
 *     on a clock, but for its own expiry.
 * An attacker who has seen a ClientHello, and whose forged one arrives first, takes the permit
 * away. That costs the client the round trip that it wanted to save, as the replay itself would.
 */
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/external.h"
#include "tls/context/context.h"
#include "tls/context/resumption.h"
#include "tls/session/permit.h"
#include "tls/state/conn.h"
#include "tlslife.h"
#include "values/session_value.h"

typedef struct given {
    tlsl_cache_key key;
    long lifetime;
} given;

typedef struct tlsl_permits {
    size_t given_len;
    given given[TLSL_SESSIONS_MAX];
} tlsl_permits;

bool tlsl_permit_key(tlslife_bytes ticket, tlsl_cache_key *out) {
    static const char label[] = "tlslife early data permit";
    unsigned char named[sizeof label + TLSL_TICKET_HEAD];
    if (ticket.len < TLSL_TICKET_HEAD) {
        return false;
    }
    memcpy(named, label, sizeof label);
    memcpy(named + sizeof label, ticket.data, TLSL_TICKET_HEAD);
    out->client = false;
    return EVP_Digest(named, sizeof named, out->bytes, NULL, EVP_sha256(), NULL) == 1;
}

void tlsl_permits_free(tlslife_conn *conn) {
    free(conn->resume.permits);
    conn->resume.permits = NULL;
}

/* Memory holds sessions, so a permit there is one without a secret, whose id is the key. */
static void keep_in_memory(tlslife_cache *cache, const tlsl_cache_key *key,
                           const SSL_SESSION *ticket) {
    SSL_SESSION *permit = SSL_SESSION_new();
    if (permit != NULL && SSL_SESSION_set1_id(permit, key->bytes, sizeof key->bytes) == 1 &&
        SSL_SESSION_set_protocol_version(permit, TLS1_3_VERSION) == 1 &&
        SSL_SESSION_set_cipher(permit, SSL_SESSION_get0_cipher(ticket)) == 1 &&
        tlsl_session_set_mark(permit, TLSL_MARK_PERMIT)) {
        SSL_SESSION_set_time(permit, SSL_SESSION_get_time(ticket));
        SSL_SESSION_set_timeout(permit, SSL_SESSION_get_timeout(ticket));
        tlsl_cache_keep(cache, key, permit, NULL);
    }
    SSL_SESSION_free(permit);
}

static void give_later(tlslife_conn *conn, const tlsl_cache_key *key, long lifetime) {
    if (conn->resume.permits == NULL) {
        conn->resume.permits = calloc(1, sizeof *conn->resume.permits);
    }
    tlsl_permits *permits = conn->resume.permits;
    if (permits != NULL && permits->given_len < TLSL_SESSIONS_MAX) { /* else it has no permit */
        permits->given[permits->given_len++] = (given){.key = *key, .lifetime = lifetime};
        conn->facts = true;
    }
}

void tlsl_permit_give(tlslife_conn *conn, const SSL_SESSION *session) {
    tlslife_bytes head = {conn->resume.ticket_head, TLSL_TICKET_HEAD};
    tlsl_cache_key key;
    bool made = conn->resume.ticket_made;
    conn->resume.ticket_made = false;
    if (!made || SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION ||
        SSL_SESSION_get_max_early_data(session) == 0 || !tlsl_conn_permits(conn) ||
        !tlsl_permit_key(head, &key)) {
        return;
    }
    tlslife_cache *cache = tlsl_context_session_cache(conn->origin, true);
    if (cache != NULL && tlsl_cache_store(cache) == NULL) {
        keep_in_memory(cache, &key, session);
    } else if (cache != NULL) {
        give_later(conn, &key, tlsl_lifetime_left(cache, session));
    }
}

void tlsl_permits_tell(tlslife_conn *conn) {
    const tlsl_permits *permits = conn->resume.permits;
    if (permits == NULL) {
        return;
    }
    for (size_t i = 0; i < permits->given_len; i++) {
        tlsl_external_put_permit(tlsl_context_session_cache(conn->origin, false),
                                 &permits->given[i].key, permits->given[i].lifetime,
                                 tlsl_policy_of(conn));
    }
    tlsl_permits_free(conn);
}

/*
 * A ticket may allow more than the context does now, or none although its client believes so: a
 * client of libssl takes over what the ticket before allowed. Both would end the connection.
 */
static bool within_limit(const tlslife_conn *conn) {
    const SSL_SESSION *session = SSL_get0_session(conn->ssl);
    uint32_t most = session == NULL ? 0 : SSL_SESSION_get_max_early_data(session);
    return most > 0 && most <= SSL_get_max_early_data(conn->ssl);
}

bool tlsl_permit_allows(const tlslife_conn *conn) {
    if (!within_limit(conn)) {
        return false;
    }
    if (conn->data.early != NULL && tlsl_asks_verify(conn->context)) {
        return false; /* the program is asked before it reads, which is after the handshake */
    }
    return !conn->context->gives_once || tlsl_conn_keeps_ids(conn, true) || conn->resume.permitted;
}
