/*
 * shared_threads.c: uses every object of the public headers in four threads at once, under
 * ThreadSanitizer, which sees races and mutexes that are taken in two orders.
 *
 * A table has a row for each public function: an object, and a call on it (shared_threads_*.c).
 * Each thread borrows one object of each kind, makes a hundred of the calls in random order, and
 * then borrows other objects. Meanwhile other threads use the same objects, and replace them by new
 * ones, so that any thread may give up the last reference. They change what may be changed while it
 * is in use, and hand connections and listeners over.
 *
 * At the end every row must have been called in every thread. spec/project/threads_spec.lua
 * compares the table with the headers, and fails for a public function without a row. To see the
 * order of mutexes ThreadSanitizer must watch OpenSSL, too, and is then silent about races
 * (spec/races/locks.txt).
 *
 *     shared_threads [seconds [seed]]      default: 2 s, and the seed 1
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"
#include "shared_threads.h"
#include "tlslife.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, ROWS_MAX = 320, IN_HAND = 100 };

static const shared_call *rows[ROWS_MAX];
static unsigned rows_len, objects_from, objects_to;
static atomic_uint called[THREADS][ROWS_MAX];
static atomic_int findings; /* of ThreadSanitizer */
static world all;
static pthread_barrier_t start;
static struct timespec until;
static atomic_long ahead; /* seconds */

/*
 * The clock of the whole process. It jumps forward, so that ticket keys have new epochs and
 * sessions expire.
 */
time_t time(time_t *out) { /* NOLINT: libc's */
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += ahead;
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

static bool there_is_time(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec < until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec < until.tv_nsec);
}

/* ThreadSanitizer calls it with each report. */
__attribute__((visibility("default"))) void __tsan_on_report(void *report);
void __tsan_on_report(void *report) {
    (void)report;
    atomic_fetch_add(&findings, 1);
}

/*
 * ThreadSanitizer is told that the lock of the shared objects orders nothing. What a thread does
 * with an object that it has borrowed comes after the publication of that object alone. Otherwise
 * every call of one thread would seem to come before all calls that others make once they have
 * borrowed something, and no race would be seen.
 */
#if defined(__SANITIZE_THREAD__)
void AnnotateIgnoreSyncBegin(const char *file, int line);
void AnnotateIgnoreSyncEnd(const char *file, int line);
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define UNORDERED(call)                              \
    do {                                             \
        AnnotateIgnoreSyncBegin(__FILE__, __LINE__); \
        (call);                                      \
        AnnotateIgnoreSyncEnd(__FILE__, __LINE__);   \
    } while (0)
#define GIVEN(object) __tsan_release(object)
#define TAKEN(object) __tsan_acquire(object)
#else
#define UNORDERED(call) (call)
#define GIVEN(object) ((void)(object))
#define TAKEN(object) ((void)(object))
#endif

static void enter(world *w) {
    UNORDERED((void)pthread_mutex_lock(&w->lock));
}

static void leave(world *w) {
    UNORDERED((void)pthread_mutex_unlock(&w->lock));
}

/* ---------------------------------------------------------------------------------- the objects */

static void *up_ref(place where, void *object) {
    switch (where) {
    case PLACE_CLIENT:
    case PLACE_SERVER: return tlslife_context_up_ref(object);
    case PLACE_CACHE: return tlslife_cache_up_ref(object);
    case PLACE_STORE: return tlslife_store_up_ref(object);
    case PLACE_KEYRING: return tlslife_keyring_up_ref(object);
    case PLACE_TICKET_KEYS: return tlslife_ticket_keys_up_ref(object);
    default: return tlslife_session_up_ref(object);
    }
}

static void give_up(place where, void *object) {
    switch (where) {
    case PLACE_CLIENT:
    case PLACE_SERVER: tlslife_context_free(object); break;
    case PLACE_CACHE: tlslife_cache_free(object); break;
    case PLACE_STORE: tlslife_store_free(object); break;
    case PLACE_KEYRING: tlslife_keyring_free(object); break;
    case PLACE_TICKET_KEYS: tlslife_ticket_keys_free(object); break;
    default: tlslife_session_free(object); break;
    }
}

unsigned pick(hand *h, unsigned below) {
    return (unsigned)rand_r(&h->seed) % below;
}

void expect(hand *h, bool good, const char *what) {
    if (!good && atomic_fetch_add(&h->world->wrong, 1) < 10) {
        fprintf(stderr, "thread %u: %s: %s\n", h->thread, what, h->err.message);
    }
}

/* One is used more than the others. */
static unsigned pick_place(hand *h) {
    return pick(h, 2) == 0 ? 0 : pick(h, EACH);
}

void publish(hand *h, place where, void *object) {
    unsigned at = pick_place(h);
    expect(h, object != NULL, "no object to publish");
    atomic_fetch_add(&h->world->made, 1);
    enter(h->world);
    GIVEN(&h->world->objects[where][at]);
    void *before =
        atomic_exchange_explicit(&h->world->objects[where][at], object, memory_order_relaxed);
    leave(h->world);
    if (before != NULL) {
        TAKEN(&h->world->objects[where][at]);
        give_up(where, before);
    }
}

void *borrow(hand *h, place where) {
    unsigned at = pick_place(h);
    enter(h->world);
    TAKEN(&h->world->objects[where][at]);
    void *object = atomic_load_explicit(&h->world->objects[where][at], memory_order_relaxed);
    object = object == NULL ? NULL : up_ref(where, object);
    leave(h->world);
    return object;
}

/* ------------------------------------------------------------------------------ what is in hand */

/* An object that one thread has handed over belongs to another from then on. */
static void swap_parcels(hand *h) {
    unsigned at = pick(h, sizeof all.parcels / sizeof all.parcels[0]);
    h->own = atomic_exchange(&h->world->parcels[at], h->own);
}

static void free_parcel(parcel *own) {
    if (own != NULL) {
        tlslife_conn_free(own->client);
        tlslife_conn_free(own->server);
        tlslife_listener_free(own->listener);
    }
    free(own);
}

static void take_in_hand(hand *h) {
    unsigned char id[32];
    h->client = borrow(h, PLACE_CLIENT);
    h->server = borrow(h, PLACE_SERVER);
    h->cache = borrow(h, PLACE_CACHE);
    h->store = borrow(h, PLACE_STORE);
    h->keyring = borrow(h, PLACE_KEYRING);
    h->ticket_keys = borrow(h, PLACE_TICKET_KEYS);
    h->session = borrow(h, PLACE_SESSION);
    (void)tlslife_context_session_id_context(h->client, id); /* freezes it */
    (void)tlslife_context_session_id_context(h->server, id);
    if (h->own == NULL) {
        h->own = calloc(1, sizeof *h->own);
        h->own->listener = tlslife_listen("127.0.0.1", "0", 0, false, &h->err);
        make_connections(h);
    }
}

static void put_down(hand *h) {
    tlslife_context_free(h->client);
    tlslife_context_free(h->server);
    tlslife_cache_free(h->cache);
    tlslife_store_free(h->store);
    tlslife_keyring_free(h->keyring);
    tlslife_ticket_keys_free(h->ticket_keys);
    tlslife_session_free(h->session);
    swap_parcels(h);
}

static void call(hand *h, unsigned row) {
    rows[row]->run(h);
    atomic_fetch_add_explicit(&called[h->thread][row], 1, memory_order_relaxed);
}

/* Half of the calls are made on objects that are neither contexts nor connections. */
static unsigned pick_row(hand *h) {
    return pick(h, 2) == 0 ? pick(h, rows_len) : objects_from + pick(h, objects_to - objects_from);
}

/* Every row is called once, and then random ones as long as there is time. */
static void *run_thread(void *argument) {
    hand *h = argument;
    unsigned first = pick(h, rows_len), done = 0;
    (void)pthread_barrier_wait(&start);
    while (done < rows_len || there_is_time()) {
        take_in_hand(h);
        atomic_fetch_add(&ahead, pick(h, 8) == 0 ? 61 : 0);
        for (unsigned i = 0; i < IN_HAND; i++, done++) {
            if (i % 20 == 0) {
                drive(h);
            }
            call(h, done < rows_len ? (first + done) % rows_len : pick_row(h));
        }
        put_down(h);
    }
    free_parcel(h->own);
    OPENSSL_thread_stop();
    return NULL;
}

/* ------------------------------------------------------------------------------------ the world */

static bool write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    bool good = file != NULL && fputs(text, file) >= 0;
    return file != NULL && fclose(file) == 0 && good;
}

static pid_t start_redis(void) {
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (freopen("/dev/null", "w", stdout) != NULL) {
            execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", all.socket,
                   "--save", "", "--appendonly", "no", (char *)NULL);
        }
        _exit(126);
    }
    for (int i = 0; i < 1000 && access(all.socket, F_OK) != 0; i++) {
        (void)usleep(20000);
    }
    return child;
}

static bool set_up(void) {
    (void)snprintf(all.directory, sizeof all.directory, "/tmp/shared_threads.XXXXXX");
    if (!identity_make(&all.identity) || mkdtemp(all.directory) == NULL) {
        return false;
    }
    (void)snprintf(all.certificate, sizeof all.certificate, "%s/certificate", all.directory);
    (void)snprintf(all.key, sizeof all.key, "%s/key", all.directory);
    (void)snprintf(all.slab, sizeof all.slab, "%s/slab", all.directory);
    (void)snprintf(all.socket, sizeof all.socket, "%s/redis", all.directory);
    return write_file(all.certificate, all.identity.certificate) &&
           write_file(all.key, all.identity.key);
}

static void make_objects(hand *h) {
    all.trace = tlslife_trace_new(65536, true, &h->err);
    unsigned char secret[SECRET_LEN] = {1};
    for (unsigned i = 0; i < EACH; i++) {
        all.objects[PLACE_STORE][i] = h->store = make_store(h, i);
        all.objects[PLACE_KEYRING][i] = h->keyring =
            tlslife_keyring_new(secret, sizeof secret, &h->err);
        all.objects[PLACE_TICKET_KEYS][i] = h->ticket_keys =
            i == 0 ? tlslife_ticket_keys_derived(secret, sizeof secret, 60, 2, &h->err)
                   : tlslife_ticket_keys_random(60, 2, &h->err);
        all.objects[PLACE_CACHE][i] = h->cache = make_cache(h, i);
        all.objects[PLACE_CLIENT][i] = make_context(h, TLSLIFE_CLIENT);
        all.objects[PLACE_SERVER][i] = make_context(h, TLSLIFE_SERVER);
        atomic_fetch_add(&all.made, 6);
    }
}

static void tear_down(pid_t redis) {
    for (place where = 0; where < PLACES; where++) {
        for (unsigned i = 0; i < EACH; i++) {
            if (all.objects[where][i] != NULL) {
                give_up(where, all.objects[where][i]);
            }
        }
    }
    for (size_t i = 0; i < sizeof all.parcels / sizeof all.parcels[0]; i++) {
        free_parcel(all.parcels[i]);
    }
    tlslife_trace_free(all.trace);
    (void)kill(redis, SIGTERM);
    (void)waitpid(redis, NULL, 0);
    (void)unlink(all.certificate);
    (void)unlink(all.key);
    (void)unlink(all.slab);
    (void)unlink(all.socket);
    CHECK(rmdir(all.directory) == 0);
}

static void add_rows(const shared_call *table) {
    for (; table->function != NULL && rows_len < ROWS_MAX; table++) {
        rows[rows_len++] = table;
    }
}

static void run_threads(unsigned seed) {
    static hand hands[THREADS];
    pthread_t ids[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        hands[i] = (hand){.world = &all, .seed = seed + i, .thread = i};
        CHECK(pthread_create(&ids[i], NULL, run_thread, &hands[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(ids[i], NULL);
    }
}

static unsigned long count_calls(void) {
    unsigned long sum = 0;
    for (unsigned row = 0; row < rows_len; row++) {
        for (unsigned i = 0; i < THREADS; i++) {
            if (!CHECK(called[i][row] > 0)) {
                fprintf(stderr, "thread %u never called %s\n", i, rows[row]->function);
            }
            sum += called[i][row];
        }
    }
    return sum;
}

int main(int argc, char **argv) {
    long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 2;
    unsigned seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;
    static hand maker = {.world = &all};
    (void)pthread_mutex_init(&all.lock, NULL);
    (void)pthread_mutex_init(&all.events, NULL);
    (void)pthread_barrier_init(&start, NULL, THREADS);
    if (!CHECK(set_up())) {
        return 2;
    }
    pid_t redis = start_redis();
    add_rows(context_calls);
    objects_from = rows_len;
    add_rows(object_calls);
    objects_to = rows_len;
    add_rows(conn_calls);
    make_objects(&maker);
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    printf("seed %u\n", seed);
    run_threads(seed);
    unsigned long calls = count_calls();
    tear_down(redis);
    CHECK(all.wrong == 0);
    CHECK(all.handshakes > 0);
    printf("%u handshakes\n", all.handshakes);
    int status = checks_end();
    printf("proved threads: %lu operations by %d threads on %lu objects; %d findings\n", calls,
           THREADS, all.made, checks_failed + findings);
    return findings == 0 ? status : 1;
}
