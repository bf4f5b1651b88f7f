/*
 * cache_model_test.c: compares a cache's memory with a list that is searched from end to end.
 *
 * The calls are random, from fixed seeds. After each call the result, all counters and the number
 * of sessions that live must be the list's.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"
#include "tlslife.h"
#include "sessions.h"

/* --------------------------------------------------------------------------------------- models */

#define MODEL_MAX 200

typedef struct model_entry {
    unsigned n, peer;
    SSL_SESSION *session;
    time_t expires; /* as it was put; no two have the same */
    time_t own;     /* as its timeout has been shortened to since */
    unsigned long used;
    bool queues; /* client: TLS 1.3 */
} model_entry;

/* The model of the cache, which is a list that is searched from end to end. */
typedef struct model {
    model_entry entries[MODEL_MAX];
    size_t len, capacity;
    unsigned long clock;
    uint64_t puts, hits, misses, expired, evicted, bad;
    uint8_t why[64]; /* of peers */
} model;

static void model_leave(model *m, size_t at, tlslife_outcome why) {
    m->why[m->entries[at].peer % 64] = (uint8_t)why;
    m->len--;
    memmove(&m->entries[at], &m->entries[at + 1], (m->len - at) * sizeof m->entries[0]);
}

static size_t model_find(const model *m, unsigned n) {
    size_t at = 0;
    while (at < m->len && m->entries[at].n != n) {
        at++;
    }
    return at;
}

static size_t model_soonest(const model *m) {
    size_t at = 0;
    for (size_t i = 1; i < m->len; i++) {
        at = m->entries[i].expires < m->entries[at].expires ? i : at;
    }
    return at;
}

static size_t model_oldest(const model *m) {
    size_t at = 0;
    for (size_t i = 1; i < m->len; i++) {
        at = m->entries[i].used < m->entries[at].used ? i : at;
    }
    return at;
}

static bool model_expire_one(model *m) {
    size_t at = model_soonest(m);
    if (m->len == 0 || m->entries[at].expires > the_time) {
        return false;
    }
    model_leave(m, at, TLSLIFE_OUTCOME_EXPIRED);
    m->expired++;
    return true;
}

static void model_add(model *m, unsigned n, unsigned peer, SSL_SESSION *session, long timeout,
                      bool queues) {
    for (int i = 0; i < 2; i++) {
        (void)model_expire_one(m);
    }
    if (m->len == m->capacity && !model_expire_one(m)) {
        model_leave(m, model_oldest(m), TLSLIFE_OUTCOME_NOT_CACHED);
        m->evicted++;
    }
    m->entries[m->len++] =
        (model_entry){n, peer, session, the_time + timeout, the_time + timeout, ++m->clock, queues};
    m->puts++;
}

static void model_put(model *m, unsigned n, SSL_SESSION *session, long timeout) {
    size_t at = model_find(m, n);
    if (at < m->len) {
        m->entries[at] =
            (model_entry){n, 0, session, the_time + timeout, the_time + timeout, ++m->clock, false};
        m->puts++;
    } else {
        model_add(m, n, 0, session, timeout, false);
    }
}

/* A timeout that no other entry ends with. */
static long lonely_timeout(const model *m, unsigned *state) {
    long timeout = 1 + (long)(next_random(state) % 400);
    for (size_t i = 0; i < m->len; i++) {
        if (m->entries[i].expires == the_time + timeout) {
            timeout++;
            i = (size_t)-1;
        }
    }
    return timeout;
}

static SSL_SESSION *model_get(model *m, unsigned n, bool leaves) {
    size_t at = model_find(m, n);
    if (at == m->len) {
        m->misses++;
        return NULL;
    }
    if (m->entries[at].expires <= the_time || m->entries[at].own <= the_time) {
        model_leave(m, at, TLSLIFE_OUTCOME_EXPIRED);
        m->expired++;
        m->misses++;
        return NULL;
    }
    SSL_SESSION *session = m->entries[at].session;
    m->hits++;
    m->entries[at].used = ++m->clock;
    if (leaves) {
        model_leave(m, at, TLSLIFE_OUTCOME_SPENT);
    }
    return session;
}

static bool model_agrees(const model *m, const tlslife_cache *cache) {
    tlslife_cache_stats stats = stats_of(cache);
    return stats.entries == m->len && stats.puts == m->puts && stats.hits == m->hits &&
           stats.misses == m->misses && stats.expired == m->expired &&
           stats.evicted == m->evicted && stats.bad == m->bad && live == (int)m->len;
}

static bool model_shrink(model *m, unsigned which, unsigned by) {
    if (m->len > 0) {
        model_entry *entry = &m->entries[which % m->len];
        long timeout = SSL_SESSION_get_timeout(entry->session);
        timeout = timeout > (long)by ? timeout - (long)by : 0;
        SSL_SESSION_set_timeout(entry->session, timeout);
        entry->own = SSL_SESSION_get_time(entry->session) + timeout;
    }
    return true;
}

static bool server_step(model *m, tlslife_cache *cache, unsigned *state) {
    unsigned op = next_random(state) % 100;
    unsigned n = next_random(state) % (unsigned)(m->capacity * 2 + 2);
    unsigned char id[32];
    nth_id(n, id);
    if (op < 45) {
        long timeout = lonely_timeout(m, state);
        SSL_SESSION *session = nth_session(n, timeout);
        model_put(m, n, session, timeout);
        bool kept = tlslife_cache_put(cache, as(session));
        SSL_SESSION_free(session);
        return kept;
    }
    if (op < 85) {
        bool leaves = op >= 75;
        SSL_SESSION *wanted = model_get(m, n, leaves);
        tlslife_session *got =
            leaves ? tlslife_cache_take(cache, id, 32) : tlslife_cache_get(cache, id, 32);
        tlslife_session_free(got);
        return got == as(wanted);
    }
    if (op < 90) {
        size_t at = model_find(m, n);
        bool there = at < m->len;
        if (there) {
            model_leave(m, at, TLSLIFE_OUTCOME_NOT_CACHED);
        }
        return tlslife_cache_remove(cache, id, 32) == there;
    }
    if (op < 93) {
        return model_shrink(m, next_random(state), next_random(state) % 300);
    }
    if (op < 94) {
        size_t flushed = 0;
        while (model_expire_one(m)) {
            flushed++;
        }
        return tlslife_cache_flush(cache, false) == flushed;
    }
    the_time += next_random(state) % 20;
    return true;
}

/* -- the same for clients */

/* The newest of the peer's, or m->len. */
static size_t model_newest(const model *m, unsigned peer) {
    size_t at = m->len;
    for (size_t i = 0; i < m->len; i++) { /* the list is in order of arrival */
        at = m->entries[i].peer == peer ? i : at;
    }
    return at;
}

static void model_keep(model *m, unsigned n, unsigned peer, SSL_SESSION *session, long timeout,
                       bool queues) {
    size_t own = 0, oldest = m->len;
    for (size_t i = m->len; i-- > 0;) {
        const model_entry *entry = &m->entries[i];
        if (entry->peer == peer && (!queues || !entry->queues || entry->n == n)) {
            model_leave(m, i, TLSLIFE_OUTCOME_NOT_CACHED);
        }
    }
    for (size_t i = m->len; i-- > 0;) {
        own += m->entries[i].peer == peer;
        oldest = m->entries[i].peer == peer ? i : oldest;
    }
    if (own == 4) {
        model_leave(m, oldest, TLSLIFE_OUTCOME_NOT_CACHED);
        m->evicted++;
    }
    model_add(m, n, peer, session, timeout, queues);
}

static SSL_SESSION *model_search(model *m, unsigned peer, tlslife_outcome *why) {
    size_t at;
    while ((at = model_newest(m, peer)) < m->len) {
        model_entry *entry = &m->entries[at];
        if (entry->expires <= the_time || entry->own <= the_time) {
            model_leave(m, at, TLSLIFE_OUTCOME_EXPIRED);
            m->expired++;
            continue;
        }
        SSL_SESSION *session = entry->session;
        entry->used = ++m->clock;
        m->hits++;
        if (entry->queues) {
            model_leave(m, at, TLSLIFE_OUTCOME_SPENT);
        }
        return session;
    }
    m->misses++;
    *why = m->why[peer] == 0 ? TLSLIFE_OUTCOME_NOT_CACHED : (tlslife_outcome)m->why[peer];
    return NULL;
}

static bool client_step(model *m, tlslife_cache *cache, unsigned *state) {
    unsigned op = next_random(state) % 100;
    unsigned peer = next_random(state) % 12;
    unsigned n = peer * 1000 + next_random(state) % 8;
    tlsl_cache_key key = peer_key(peer);
    if (op < 50) {
        long timeout = lonely_timeout(m, state);
        bool queues = next_random(state) % 4 > 0;
        SSL_SESSION *session = client_session(n, queues ? TLS1_3_VERSION : TLS1_2_VERSION);
        SSL_SESSION_set_timeout(session, timeout);
        model_keep(m, n, peer, session, timeout, queues);
        bool kept = tlsl_cache_keep(cache, &key, session, NULL);
        SSL_SESSION_free(session);
        return kept;
    }
    if (op < 80) {
        tlslife_outcome wanted_why = TLSLIFE_OUTCOME_NONE, why;
        SSL_SESSION *wanted = model_search(m, peer, &wanted_why);
        return find(cache, peer, &why) == wanted && why == wanted_why;
    }
    if (op < 90 && m->len > 0) {
        size_t at = next_random(state) % m->len;
        bool bad = next_random(state) % 2 == 0;
        SSL_SESSION *session = m->entries[at].session;
        model_leave(m, at, bad ? TLSLIFE_OUTCOME_NOT_CLOSED : TLSLIFE_OUTCOME_EXPIRED);
        m->bad += bad;
        SSL_SESSION_up_ref(session);
        tlsl_cache_drop(cache, session, bad);
        SSL_SESSION_free(session);
        return true;
    }
    if (op < 93) {
        return model_shrink(m, next_random(state), next_random(state) % 300);
    }
    the_time += next_random(state) % 20;
    return true;
}

/* ---------------------------------------------------------------------------------------- tests */

typedef bool step_fn(model *m, tlslife_cache *cache, unsigned *state);

static void test_model(step_fn *step, size_t capacity, unsigned seed, unsigned steps) {
    static model m;
    memset(&m, 0, sizeof m);
    m.capacity = capacity;
    unsigned state = seed;
    bool right = true;
    tlslife_cache *cache = new_cache(capacity);
    for (unsigned i = 0; right && i < steps; i++) {
        right = step(&m, cache, &state) && model_agrees(&m, cache);
        if (!right) {
            fprintf(stderr, "%s, capacity %zu, seed %u: the model differs at step %u\n",
                    step == client_step ? "clients" : "servers", capacity, seed, i);
        }
    }
    CHECK(right && m.hits > 0 && m.misses > 0 && m.expired > 0 && m.evicted > 0);
    CHECK(step != client_step || m.bad > 0);
    tlslife_cache_free(cache);
    CHECK(live == 0);
}

int main(void) {
    sessions_begin();
    for (unsigned seed = 1; seed <= 5; seed++) {
        test_model(server_step, 1, seed, 2000);
        test_model(server_step, 2, seed, 3000);
        test_model(server_step, 7, seed, 5000);
        test_model(server_step, 100, seed, 20000);
        test_model(client_step, 3, seed, 3000);
        test_model(client_step, 20, seed, 20000);
        test_model(client_step, 100, seed, 10000);
    }
    sessions_end();
    return checks_end();
}
