/*
 * threads.c: uses contexts and sessions from several threads at once, under ThreadSanitizer.
 *
 * Each thread makes connections of the same two contexts, and begins before these are frozen.
 * Sessions arrive in one thread and are offered in another, or in several at once, while other
 * threads export, import, compare and free them. There is a run for TLS 1.3 tickets, TLS 1.3
 * stateful, TLS 1.2 tickets and TLS 1.2 ids. A connection stays in the thread that made it, as the
 * header demands.
 *
 *     threads [threads [rounds]]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"
#include "identity.h"
#include "tlslife.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define POOL_MAX 8

typedef struct tls_scene {
    const char *name;
    int version;
    tlslife_resumption resumption;
    tlslife_context *client;
    tlslife_context *server;
    pthread_barrier_t start;
    int rounds;
    pthread_mutex_t pool_lock;
    tlslife_session *pool[POOL_MAX]; /* filled by all, used by all */
    size_t pool_next;
    atomic_int broken;
    atomic_int handshakes;
    atomic_int resumed;
    atomic_int imported;
} tls_scene;

static bool broken(tls_scene *scene, const char *what, const tlslife_error *err) {
    if (atomic_fetch_add(&scene->broken, 1) < 3) {
        fprintf(stderr, "%s: %s: %s\n", scene->name, what, err != NULL ? err->message : "");
    }
    return false;
}

/* ------------------------------------------------------------------------------------- the pool */

/*
 * A reference to a session that all threads may offer, which the caller frees. NULL means that
 * there is none yet.
 */
static tlslife_session *pool_borrow(tls_scene *scene, unsigned which) {
    pthread_mutex_lock(&scene->pool_lock);
    tlslife_session *session = scene->pool[which % POOL_MAX];
    if (session != NULL) {
        (void)tlslife_session_up_ref(session);
    }
    pthread_mutex_unlock(&scene->pool_lock);
    return session;
}

static void pool_put(tls_scene *scene, tlslife_session *session) {
    pthread_mutex_lock(&scene->pool_lock);
    size_t place = scene->pool_next++ % POOL_MAX;
    tlslife_session *before = scene->pool[place];
    scene->pool[place] = session;
    pthread_mutex_unlock(&scene->pool_lock);
    tlslife_session_free(before);
}

/* --------------------------------------------------------------------------------- a connection */

static bool is_wait(tlslife_status status) {
    return status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE;
}

static bool handshake(tls_scene *scene, tlslife_conn *client, tlslife_conn *server) {
    tlslife_status at_client = TLSLIFE_WANT_READ;
    tlslife_status at_server = TLSLIFE_WANT_READ;
    for (int i = 0; i < 20 && (is_wait(at_client) || is_wait(at_server)); i++) {
        at_client = is_wait(at_client) ? tlslife_conn_connect(client) : at_client;
        at_server = is_wait(at_server) ? tlslife_conn_accept(server) : at_server;
    }
    if (at_client != TLSLIFE_OK) {
        return broken(scene, "connect", tlslife_conn_error(client));
    }
    return at_server == TLSLIFE_OK || broken(scene, "accept", tlslife_conn_error(server));
}

static bool carry(tls_scene *scene, tlslife_conn *from, tlslife_conn *to) {
    char bytes[64];
    size_t len = 0;
    if (tlslife_conn_write(from, "some bytes", 10, &len) != TLSLIFE_OK || len != 10) {
        return broken(scene, "write", tlslife_conn_error(from));
    }
    if (tlslife_conn_read(to, bytes, sizeof bytes, &len) != TLSLIFE_OK || len != 10) {
        return broken(scene, "read", tlslife_conn_error(to));
    }
    return memcmp(bytes, "some bytes", 10) == 0 || broken(scene, "other bytes", NULL);
}

static bool finish(tls_scene *scene, tlslife_conn *client, tlslife_conn *server) {
    if (tlslife_conn_shutdown(client) != TLSLIFE_SENT) {
        return broken(scene, "shutdown", tlslife_conn_error(client));
    }
    if (tlslife_conn_shutdown(server) != TLSLIFE_SENT ||
        tlslife_conn_shutdown(server) != TLSLIFE_OK) {
        return broken(scene, "answer to shutdown", tlslife_conn_error(server));
    }
    return tlslife_conn_shutdown(client) == TLSLIFE_OK ||
           broken(scene, "end of shutdown", tlslife_conn_error(client));
}

static bool live(tls_scene *scene, tlslife_conn *client, tlslife_conn *server) {
    if (!handshake(scene, client, server) || !carry(scene, client, server) ||
        !carry(scene, server, client)) {
        return false;
    }
    atomic_fetch_add(&scene->handshakes, 1);
    atomic_fetch_add(&scene->resumed, tlslife_conn_session_reused(client) ? 1 : 0);
    if (tlslife_conn_session_reused(client) != tlslife_conn_session_reused(server)) {
        return broken(scene, "the two do not agree on resumption", NULL);
    }
    tlslife_session *session;
    while ((session = tlslife_conn_take_session(client)) != NULL) {
        pool_put(scene, session);
    }
    return finish(scene, client, server);
}

static bool prepare(tls_scene *scene, tlslife_conn *client, tlslife_conn *server, unsigned which) {
    tlslife_conn_set_blocking(client, false);
    tlslife_conn_set_blocking(server, false);
    if (tlslife_conn_set_hostname(client, "localhost") != TLSLIFE_OK) {
        return broken(scene, "set_hostname", tlslife_conn_error(client));
    }
    if (tlslife_conn_pair(client, server, 0) != TLSLIFE_OK) {
        return broken(scene, "pair", tlslife_conn_error(client));
    }
    tlslife_session *session = pool_borrow(scene, which);
    tlslife_status status =
        session != NULL ? tlslife_conn_set_session(client, session) : TLSLIFE_OK;
    tlslife_session_free(session);
    return status == TLSLIFE_OK || broken(scene, "set_session", tlslife_conn_error(client));
}

static bool one_life(tls_scene *scene, unsigned which) {
    tlslife_error err;
    tlslife_conn *client = tlslife_conn_new(scene->client, &err);
    tlslife_conn *server = tlslife_conn_new(scene->server, &err);
    bool good = client != NULL && server != NULL
                    ? prepare(scene, client, server, which) && live(scene, client, server)
                    : broken(scene, "new", &err);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    return good;
}

/* ------------------------------------------------------------------------------ sessions' bytes */

static bool round_trip(tls_scene *scene, tlslife_session *session) {
    tlslife_error err;
    unsigned char *bytes = NULL;
    size_t len = 0;
    if (tlslife_session_export_der(session, &bytes, &len, &err) != TLSLIFE_OK) {
        return broken(scene, "export", &err);
    }
    tlslife_session *again = tlslife_context_import_session(scene->client, bytes, len, &err);
    tlslife_session_bytes_free(bytes, len);
    if (again == NULL) {
        return broken(scene, "import", &err);
    }
    bool same = tlslife_session_equal(session, again) && tlslife_session_equal(session, session);
    pool_put(scene, again);
    atomic_fetch_add(&scene->imported, 1);
    return same || broken(scene, "the import is not equal", NULL);
}

static bool look_at(tls_scene *scene, unsigned which) {
    tlslife_session *session = pool_borrow(scene, which);
    if (session == NULL) {
        return true;
    }
    bool good = tlslife_session_protocol(session) != NULL && tlslife_session_timeout(session) > 0 &&
                tlslife_session_time(session) > 0;
    tlslife_session *copy = tlslife_session_dup(session);
    good = good && copy != NULL;
    tlslife_session_free(copy);
    good = good ? round_trip(scene, session) : broken(scene, "getters", NULL);
    tlslife_session_free(session);
    return good;
}

static void *run_thread(void *argument) {
    tls_scene *scene = argument;
    tlslife_context *client = tlslife_context_up_ref(scene->client);
    tlslife_context *server = tlslife_context_up_ref(scene->server);
    unsigned seed = (unsigned)(uintptr_t)pthread_self();
    (void)pthread_barrier_wait(&scene->start);
    bool good = true;
    for (int i = 0; good && i < scene->rounds; i++) {
        good = one_life(scene, (unsigned)rand_r(&seed)) && look_at(scene, (unsigned)rand_r(&seed));
    }
    tlslife_context_free(client);
    tlslife_context_free(server);
    OPENSSL_thread_stop();
    return NULL;
}

/* ----------------------------------------------------------------------------------- the scenes */

static bool set_up(tls_scene *scene, const test_identity *identity) {
    tlslife_error err;
    memset(&err, 0, sizeof err);
    size_t certificate_len = strlen(identity->certificate);
    scene->client = tlslife_context_new(TLSLIFE_CLIENT, &err);
    scene->server = tlslife_context_new(TLSLIFE_SERVER, &err);
    bool good =
        scene->client != NULL && scene->server != NULL &&
        tlslife_context_add_ca_pem(scene->client, identity->certificate, certificate_len, &err) ==
            TLSLIFE_OK &&
        tlslife_context_set_versions(scene->client, scene->version, scene->version, &err) ==
            TLSLIFE_OK &&
        tlslife_context_set_certificate_pem(scene->server, identity->certificate, certificate_len,
                                            &err) == TLSLIFE_OK &&
        tlslife_context_set_private_key_pem(scene->server, identity->key, strlen(identity->key),
                                            NULL, &err) == TLSLIFE_OK &&
        tlslife_context_set_resumption(scene->server, scene->resumption, &err) == TLSLIFE_OK;
    return good || broken(scene, "set up", &err);
}

static void tear_down(tls_scene *scene) {
    for (size_t i = 0; i < POOL_MAX; i++) {
        tlslife_session_free(scene->pool[i]);
    }
    tlslife_context_free(scene->client);
    tlslife_context_free(scene->server);
    pthread_mutex_destroy(&scene->pool_lock);
    pthread_barrier_destroy(&scene->start);
}

static void play(tls_scene *scene, const test_identity *identity, unsigned threads) {
    pthread_t ids[64];
    (void)pthread_mutex_init(&scene->pool_lock, NULL);
    (void)pthread_barrier_init(&scene->start, NULL, threads);
    if (CHECK(set_up(scene, identity))) {
        for (unsigned i = 0; i < threads; i++) {
            CHECK(pthread_create(&ids[i], NULL, run_thread, scene) == 0);
        }
        for (unsigned i = 0; i < threads; i++) {
            (void)pthread_join(ids[i], NULL);
        }
        CHECK(scene->broken == 0);
        CHECK(scene->handshakes == (int)threads * scene->rounds);
        CHECK(scene->resumed > 0 && scene->imported > 0);
        printf("%s: %d handshakes, %d resumed, %d sessions exported and imported\n", scene->name,
               scene->handshakes, scene->resumed, scene->imported);
    }
    tear_down(scene);
}

int main(int argc, char **argv) {
    long threads = argc > 1 ? strtol(argv[1], NULL, 10) : 4;
    int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 25;
    tls_scene scenes[] = {
        {.name = "TLS 1.3, tickets",
         .version = TLSLIFE_TLS1_3,
         .resumption = TLSLIFE_RESUMPTION_TICKETS},
        {.name = "TLS 1.3, stateful",
         .version = TLSLIFE_TLS1_3,
         .resumption = TLSLIFE_RESUMPTION_STATEFUL},
        {.name = "TLS 1.2, tickets",
         .version = TLSLIFE_TLS1_2,
         .resumption = TLSLIFE_RESUMPTION_TICKETS},
        {.name = "TLS 1.2, ids",
         .version = TLSLIFE_TLS1_2,
         .resumption = TLSLIFE_RESUMPTION_STATEFUL},
    };
    test_identity identity;
    if (threads < 1 || threads > 64 || !CHECK(identity_make(&identity))) {
        fprintf(stderr, "usage: threads [1..64 [rounds]]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        scenes[i].rounds = rounds;
        play(&scenes[i], &identity, (unsigned)threads);
    }
    return checks_end();
}
