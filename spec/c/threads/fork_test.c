/*
 * fork_test.c: tests what a child of fork() has of its parent's objects.
 *
 * Contexts, caches, keys and a slab go on in both processes. Random numbers differ between them. A
 * queue belongs to the process that filled it. redis_test.c and resolve_test.c test fork() for
 * Redis and for names.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "base/process.h"
#include "cache/seal.h"
#include "cache/store/store.h"
#include "tlslife.h"

#include "check.h"
#include "identity.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool ends_well(pid_t child) {
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* -------------------------------------------------------------------------------- which process */

static pid_t plain_fork(void) {
    return fork();
}

/* No handler of pthread_atfork runs. */
static pid_t raw_clone(void) {
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, NULL, NULL, 0);
}

static bool is_another(uint64_t than) {
    return tlsl_process() != than && tlsl_process() == tlsl_process() &&
           ((uint32_t)tlsl_process() & ((1u << TLSL_PROCESS_ID_BITS) - 1)) == (uint32_t)getpid();
}

static void test_number(pid_t (*make_child)(void)) {
    uint64_t mine = tlsl_process();
    pid_t child = make_child();
    if (child == 0) {
        uint64_t childs = tlsl_process();
        bool another = is_another(mine);
        pid_t grandchild = make_child();
        if (grandchild == 0) {
            end_child(is_another(mine) && is_another(childs) ? 0 : 1);
        }
        end_child(another && tlsl_process() == childs && ends_well(grandchild) ? 0 : 1);
    }
    CHECK(ends_well(child));
    CHECK(tlsl_process() == mine);
}

/* The parent and the child both have the process number 1, each in a namespace of its own. */
static void test_namespaces(void) {
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWPID) != 0) {
            end_child(errno == EPERM ? 0 : 1);
        }
        pid_t first = fork();
        if (first == 0) {
            uint64_t mine = tlsl_process();
            pid_t other = unshare(CLONE_NEWPID) == 0 ? fork() : -1;
            if (other == 0) {
                end_child(getpid() == 1 && is_another(mine) ? 0 : 1);
            }
            end_child(getpid() == 1 && ends_well(other) ? 0 : 1);
        }
        end_child(ends_well(first) ? 0 : 1);
    }
    CHECK(ends_well(child));
}

/* ---------------------------------------------------------------------------- a program's queue */

static bool put_number(tlslife_store *store, unsigned char n) {
    unsigned char key[TLSL_STORE_KEY] = {n};
    return store->verbs->put(store, key, &n, 1, 60);
}

static int next_number(tlslife_store *store) {
    tlslife_store_event event;
    return tlslife_store_next(store, &event) ? event.sealed.data[0] : -1;
}

static void test_queue(void) {
    tlslife_store *store = tlslife_store_program(NULL);
    CHECK(put_number(store, 1) && put_number(store, 2) && put_number(store, 3));
    CHECK(next_number(store) == 1);
    pid_t child = fork();
    if (child == 0) {
        tlsl_inquiry inquiry = {.key = {2}};
        store->verbs->ask(store, &inquiry);
        bool asks_program = inquiry.found == TLSL_FOUND_PENDING;
        bool own = put_number(store, 9) && next_number(store) == 9 && next_number(store) == -1;
        tlslife_store_free(store);
        end_child(asks_program && own ? 0 : 1);
    }
    CHECK(ends_well(child));
    CHECK(next_number(store) == 2 && next_number(store) == 3 && next_number(store) == -1);
    tlslife_store_free(store);
}

/* ----------------------------------------------------------------------- contexts, caches, keys */

enum { PROCESSES = 4, VISITS = 50, ID_LEN = 32, SEALED_LEN = 49 };

typedef struct fresh { /* what no two processes may have alike */
    unsigned char ids[VISITS][ID_LEN], sealed[VISITS][SEALED_LEN];
} fresh;

typedef struct scene {
    tlslife_context *by_id, *by_ticket;                          /* servers */
    tlslife_context *client_of_id, *client_of_ticket, *stranger; /* the stranger has no cache */
    tlslife_keyring *keyring;
    fresh *seen; /* shared; of each process */
} scene;

static tlslife_context *new_client(const test_identity *identity, bool with_cache) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *cache = with_cache ? tlslife_cache_new(&options, NULL) : NULL;
    CHECK(tlslife_context_add_ca_pem(context, identity->certificate, strlen(identity->certificate),
                                     NULL) == TLSLIFE_OK);
    CHECK(!with_cache || tlslife_context_set_cache(context, cache, NULL) == TLSLIFE_OK);
    tlslife_cache_free(cache);
    return context;
}

static tlslife_context *new_server(const test_identity *identity, tlslife_resumption mode) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, NULL);
    const char *certificate = identity->certificate, *key = identity->key;
    CHECK(tlslife_context_set_certificate_pem(context, certificate, strlen(certificate), NULL) ==
          TLSLIFE_OK);
    CHECK(tlslife_context_set_private_key_pem(context, key, strlen(key), NULL, NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_versions(context, TLSLIFE_TLS1_2, TLSLIFE_TLS1_2, NULL) ==
          TLSLIFE_OK);
    CHECK(tlslife_context_set_resumption(context, mode, NULL) == TLSLIFE_OK);
    return context;
}

static bool goes_on(tlslife_status status) {
    return status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE;
}

/*
 * Makes a connection in memory. Returns whether it resumed. id, if it is not NULL, receives the id
 * of its session.
 */
static bool visit(tlslife_context *client_of, tlslife_context *server_of, unsigned char *id) {
    tlslife_conn *client = tlslife_conn_new(client_of, NULL),
                 *server = tlslife_conn_new(server_of, NULL);
    tlslife_status at_client = TLSLIFE_WANT_READ, at_server = TLSLIFE_WANT_READ;
    bool ok = tlslife_conn_set_hostname(client, "localhost") == TLSLIFE_OK &&
              tlslife_conn_pair(client, server, 0) == TLSLIFE_OK;
    for (int i = 0; ok && i < 20 && (goes_on(at_client) || goes_on(at_server)); i++) {
        at_client = goes_on(at_client) ? tlslife_conn_connect(client) : at_client;
        at_server = goes_on(at_server) ? tlslife_conn_accept(server) : at_server;
    }
    tlslife_session *session = tlslife_conn_get1_session(client);
    if (id != NULL && session != NULL && tlslife_session_id(session).len == ID_LEN) {
        memcpy(id, tlslife_session_id(session).data, ID_LEN);
    }
    bool resumed =
        at_client == TLSLIFE_OK && at_server == TLSLIFE_OK && tlslife_conn_session_reused(client);
    tlslife_session_free(session);
    (void)tlslife_conn_close(client, 0);
    (void)tlslife_conn_close(server, 0);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    return resumed;
}

static bool seal_nothing(tlslife_keyring *keyring, unsigned char out[SEALED_LEN]) {
    static const unsigned char nothing[1];
    unsigned char *sealed = NULL;
    size_t len = 0;
    bool ok = tlsl_seal(keyring, (tlslife_bytes){nothing, 0}, (tlslife_bytes){nothing, 0}, &sealed,
                        &len) &&
              len == SEALED_LEN;
    if (ok) {
        memcpy(out, sealed, len);
    }
    free(sealed);
    return ok;
}

/*
 * In every process a client from before the fork resumes, and what is made after it differs from
 * what the others make.
 */
static bool go_on(const scene *self, fresh *own) {
    bool ok = true;
    for (int i = 0; i < VISITS; i++) {
        ok = ok && visit(self->client_of_id, self->by_id, NULL) &&
             visit(self->client_of_ticket, self->by_ticket, NULL) &&
             !visit(self->stranger, self->by_id, own->ids[i]) &&
             seal_nothing(self->keyring, own->sealed[i]);
    }
    return ok;
}

static bool alike(const unsigned char *a, const unsigned char *b, size_t len, size_t count) {
    for (size_t i = 0; i < count * count; i++) {
        if (memcmp(a + i / count * len, b + i % count * len, len) == 0) {
            return true;
        }
    }
    return false;
}

static void compare(const fresh *seen) {
    for (size_t i = 0; i < PROCESSES; i++) {
        for (size_t j = 0; j < i; j++) {
            CHECK(!alike(seen[i].ids[0], seen[j].ids[0], ID_LEN, VISITS));
            CHECK(!alike(seen[i].sealed[0], seen[j].sealed[0], SEALED_LEN, VISITS));
        }
    }
}

static scene new_scene(void) {
    static const unsigned char secret[32] = "a secret that all of them share";
    test_identity identity;
    CHECK(identity_make(&identity));
    tlslife_ticket_keys *keys = tlslife_ticket_keys_random(604800, 1, NULL);
    scene self = {.by_id = new_server(&identity, TLSLIFE_RESUMPTION_STATEFUL),
                  .by_ticket = new_server(&identity, TLSLIFE_RESUMPTION_TICKETS),
                  .client_of_id = new_client(&identity, true),
                  .client_of_ticket = new_client(&identity, true),
                  .stranger = new_client(&identity, false),
                  .keyring = tlslife_keyring_new(secret, sizeof secret, NULL),
                  .seen = mmap(NULL, PROCESSES * sizeof(fresh), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
    CHECK(tlslife_context_set_ticket_keys(self.by_ticket, keys, NULL) == TLSLIFE_OK);
    tlslife_ticket_keys_free(keys);
    return self;
}

static void end_scene(scene *self) {
    tlslife_context_free(self->by_id);
    tlslife_context_free(self->by_ticket);
    tlslife_context_free(self->client_of_id);
    tlslife_context_free(self->client_of_ticket);
    tlslife_context_free(self->stranger);
    tlslife_keyring_free(self->keyring);
    (void)munmap(self->seen, PROCESSES * sizeof(fresh));
}

static void test_go_on(void) {
    pid_t children[PROCESSES - 1];
    scene self = new_scene();
    CHECK(!visit(self.client_of_id, self.by_id, NULL));
    CHECK(!visit(self.client_of_ticket, self.by_ticket, NULL));
    for (int i = 0; i < PROCESSES - 1; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            bool ok = go_on(&self, &self.seen[i + 1]);
            end_scene(&self);
            end_child(ok ? 0 : 1);
        }
    }
    CHECK(go_on(&self, &self.seen[0]));
    for (int i = 0; i < PROCESSES - 1; i++) {
        CHECK(ends_well(children[i]));
    }
    compare(self.seen);
    end_scene(&self);
}

int main(void) {
    test_number(plain_fork);
    test_number(raw_clone);
    test_namespaces();
    test_queue();
    test_go_on();
    return checks_end();
}
