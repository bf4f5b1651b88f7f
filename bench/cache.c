/*
 * cache.c: the homes of sessions, measured. Memory beside OpenSSL's own cache, in one process and in turns; then the
 * shared slab with and without its seal; then Redis, one lookup at a time and many at once. bench/cache.lua runs this
 * and judges; what it prints is a line a row, in columns that a tab parts:
 *
 *   name, ours (median, least, most), theirs (the same, or nothing)
 *
 * What is fair: both sides have sessions of their own of one size, made and freed outside of the clock, the same ids in
 * the same order, and a reference of their own for each; one is looked up as OpenSSL does it (a read lock, the hash
 * table: SSL_has_matching_session_id(3)) with a reference taken and dropped. Where timeouts are mixed, OpenSSL's cache
 * is filled in the order that it likes best; else the filling alone would take minutes.
 *
 *     cache [full] [redis-server's path]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "core/cache.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 2000    /* operations between two looks at the clock */
#define BATCH_SLOW 40 /* of OpenSSL's, where each takes long */
#define ROUNDS_MAX 15
#define LIVES 7200 /* seconds */
#define SHORT_LIVES 300
#define IN_FLIGHT 64

static void die(const char *what) {
    fprintf(stderr, "bench cache: %s\n", what);
    exit(1);
}

static void demand(bool holds, const char *what) {
    if (!holds) {
        die(what);
    }
}

static double seconds(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu(void) {
    return seconds(CLOCK_THREAD_CPUTIME_ID);
}

static double wall(void) {
    return seconds(CLOCK_MONOTONIC);
}

static uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* -------------------------------------------------------------------------------------------------- rows */

typedef struct series {
    double values[ROUNDS_MAX];
    int len;
} series;

static void add(series *to, double value) {
    to->values[to->len++] = value;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_series(series *one) {
    if (one == NULL || one->len == 0) {
        printf("\t\t\t");
        return;
    }
    qsort(one->values, (size_t)one->len, sizeof one->values[0], compare);
    printf("\t%.9g\t%.9g\t%.9g", one->values[one->len / 2], one->values[0], one->values[one->len - 1]);
}

static void print_row(const char *name, series *ours, series *theirs) {
    printf("%s", name);
    print_series(ours);
    print_series(theirs);
    printf("\n");
    (void)fflush(stdout);
}

/* ---------------------------------------------------------------------------------------------- sessions */

static SSL *libssl; /* knows the version and the ciphers that sessions must name */

/* splitmix64's: each bit of x decides half of the bits that come out. */
static uint64_t mixed(uint64_t x) {
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/*
 * As unlike each other as the random ones of a real server. OpenSSL's hash is an id's first four bytes: where they go up by
 * the same step from one id to the next, its chains are all of one length, and the processor foresees them.
 */
static void nth_id(uint32_t n, unsigned char id[32]) {
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t part = mixed((uint64_t)n * 4 + i);
        memcpy(id + 8 * i, &part, sizeof part);
    }
    memcpy(id + 28, &n, sizeof n);
}

static SSL_SESSION *make_session(uint32_t n, int version, long timeout) {
    static const unsigned char cipher[] = {0xc0, 0x2f}; /* ECDHE-RSA-AES128-GCM-SHA256 */
    unsigned char id[32], secret[48] = {1};
    SSL_SESSION *session = SSL_SESSION_new();
    nth_id(n, id);
    demand(session != NULL && SSL_SESSION_set1_id(session, id, sizeof id) == 1 &&
               SSL_SESSION_set_protocol_version(session, version) == 1 &&
               SSL_SESSION_set_cipher(session, SSL_CIPHER_find(libssl, cipher)) == 1 &&
               SSL_SESSION_set1_master_key(session, secret, sizeof secret) == 1,
           "no session");
    SSL_SESSION_set_timeout(session, timeout);
    return session;
}

/* -------------------------------------------------------------------------------------------------- sides */

typedef struct side {
    tlslife_cache *cache; /* ours; or NULL, and: */
    SSL_CTX *ctx;
    SSL *ssl;
    SSL_SESSION **resident; /* a reference to each beside the cache's */
    size_t resident_len;
    SSL_SESSION *batch[BATCH];
    size_t batch_len;
    uint32_t made;
} side;

static void side_init(side *one, bool ours, size_t capacity) {
    memset(one, 0, sizeof *one);
    if (ours) {
        tlslife_cache_options options = tlslife_cache_defaults();
        options.capacity = capacity;
        one->cache = tlslife_cache_new(&options, NULL);
        demand(one->cache != NULL, "no cache");
        return;
    }
    one->ctx = SSL_CTX_new(TLS_method());
    demand(one->ctx != NULL, "no context");
    SSL_CTX_set_session_cache_mode(one->ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_cache_size(one->ctx, (long)capacity + 1); /* a cache of n holds n - 1 */
    one->ssl = SSL_new(one->ctx);
    demand(one->ssl != NULL, "no SSL");
}

static inline void put(side *one, SSL_SESSION *session) {
    if (one->cache != NULL) {
        demand(tlslife_cache_put(one->cache, tlslife_session_from_ssl_session(session)), "not put");
    } else {
        demand(SSL_CTX_add_session(one->ctx, session) == 1, "not added");
    }
}

static inline void get(side *one, const unsigned char *id, SSL_SESSION *session) {
    if (one->cache != NULL) {
        tlslife_session *found = tlslife_cache_get(one->cache, id, 32);
        demand(found != NULL, "not found");
        tlslife_session_free(found);
    } else {
        demand(SSL_has_matching_session_id(one->ssl, id, 32) == 1 && SSL_SESSION_up_ref(session) == 1,
               "not there");
        SSL_SESSION_free(session);
    }
}

static inline void drop(side *one, SSL_SESSION *session) {
    unsigned id_len = 0;
    if (one->cache != NULL) {
        const unsigned char *id = SSL_SESSION_get_id(session, &id_len);
        demand(tlslife_cache_remove(one->cache, id, id_len), "not removed");
    } else {
        demand(SSL_CTX_remove_session(one->ctx, session) == 1, "not removed");
    }
}

/* -- how long sessions live */

typedef enum timeouts { EQUAL, MIXED, SHORTENED } timeouts;
static const char *const timeouts_names[] = {"equal", "mixed", "shortened"};

/* share: 0 to 1, of the way through the filling. */
static long filling_lives(timeouts which, double share) {
    return which == MIXED ? SHORT_LIVES + (long)((LIVES - SHORT_LIVES) * share) : LIVES;
}

static long batch_lives(timeouts which, uint64_t *state) {
    if (which == MIXED) {
        return SHORT_LIVES + (long)(next_random(state) % (LIVES - SHORT_LIVES));
    }
    return which == SHORTENED ? SHORT_LIVES : LIVES;
}

static size_t bytes_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* The bytes that it took beside the sessions themselves. */
static size_t side_fill(side *one, size_t entries, timeouts which) {
    one->resident = malloc(entries * sizeof(SSL_SESSION *));
    demand(one->resident != NULL, "out of memory");
    for (size_t i = 0; i < entries; i++) {
        one->resident[i] =
            make_session(one->made++, SSL_version(libssl), filling_lives(which, (double)i / (double)entries));
    }
    size_t before = bytes_in_use();
    for (size_t i = 0; i < entries; i++) {
        put(one, one->resident[i]);
    }
    one->resident_len = entries;
    return bytes_in_use() - before;
}

static void batch_make(side *one, size_t len, timeouts which) {
    uint64_t state = 7;
    for (size_t i = 0; i < len; i++) {
        one->batch[i] = make_session(one->made++, SSL_version(libssl), batch_lives(which, &state));
    }
    one->batch_len = len;
}

static void batch_free(side *one) {
    for (size_t i = 0; i < one->batch_len; i++) {
        SSL_SESSION_free(one->batch[i]);
    }
    one->batch_len = 0;
}

static void side_clear(side *one) {
    tlslife_cache_free(one->cache);
    SSL_free(one->ssl);
    SSL_CTX_free(one->ctx);
    for (size_t i = 0; i < one->resident_len; i++) {
        SSL_SESSION_free(one->resident[i]);
    }
    free(one->resident);
}

/* ------------------------------------------------------------------------------------------- one thread */

static double puts_ns(side *one) {
    double before = cpu();
    for (size_t i = 0; i < one->batch_len; i++) {
        put(one, one->batch[i]);
    }
    return (cpu() - before) * 1e9 / (double)one->batch_len;
}

static double gets_ns(side *one, size_t gets, uint64_t seed) {
    static _Thread_local unsigned char ids[BATCH][32];
    static _Thread_local SSL_SESSION *sessions[BATCH];
    for (size_t i = 0; i < gets; i++) {
        unsigned id_len = 0;
        sessions[i] = one->resident[next_random(&seed) % one->resident_len];
        memcpy(ids[i], SSL_SESSION_get_id(sessions[i], &id_len), 32);
    }
    double before = cpu();
    for (size_t i = 0; i < gets; i++) {
        get(one, ids[i], sessions[i]);
    }
    return (cpu() - before) * 1e9 / (double)gets;
}

static double drops_ns(side *one) {
    double before = cpu();
    for (size_t i = 0; i < one->batch_len; i++) {
        drop(one, one->batch[i]);
    }
    return (cpu() - before) * 1e9 / (double)one->batch_len;
}

enum { PUT, GET, REMOVE, EVICT, VERBS };
static const char *const verbs_names[] = {"put", "get", "remove", "evict"};

static void measure_round(side *one, size_t batch, timeouts which, int round, series out[VERBS]) {
    batch_make(one, batch, which);
    add(&out[PUT], puts_ns(one));
    add(&out[GET], gets_ns(one, BATCH, (uint64_t)round));
    add(&out[REMOVE], drops_ns(one));
    batch_free(one);
}

static void measure_evict(side *one, size_t batch, timeouts which, series out[VERBS]) {
    batch_make(one, batch, which);
    add(&out[EVICT], puts_ns(one));
    batch_free(one);
}

/* Until nothing fits any more. */
static void make_full(side *one, size_t capacity, timeouts which) {
    for (size_t i = one->resident_len; i <= capacity; i++) {
        SSL_SESSION *session = make_session(one->made++, SSL_version(libssl),
                                            filling_lives(which == SHORTENED ? EQUAL : which, 1));
        put(one, session);
        SSL_SESSION_free(session);
    }
}

static const char *size_name(size_t entries) {
    return entries >= 1000000 ? "1 M" : entries >= 20000 ? "20 k" : "1 k";
}

static void print_bytes(size_t entries, const size_t bytes[2]) {
    char name[64];
    series ours = {.len = 0}, theirs = {.len = 0};
    add(&ours, (double)bytes[0] / (double)entries);
    add(&theirs, (double)bytes[1] / (double)entries);
    (void)snprintf(name, sizeof name, "bytes of %s", size_name(entries));
    print_row(name, &ours, &theirs);
}

static void bench_memory(size_t entries, timeouts which, int rounds) {
    static side sides[2];
    series results[2][VERBS] = {0};
    size_t bytes[2];
    size_t slow = which != EQUAL && entries >= 20000 ? (entries >= 1000000 ? 4 : BATCH_SLOW) : BATCH;
    for (int i = 0; i < 2; i++) {
        side_init(&sides[i], i == 0, entries + BATCH);
        bytes[i] = side_fill(&sides[i], entries, which);
    }
    for (int round = 0; round < rounds; round++) {
        measure_round(&sides[0], BATCH, which, round, results[0]);
        measure_round(&sides[1], slow, which, round, results[1]);
    }
    make_full(&sides[0], entries + BATCH, which);
    make_full(&sides[1], entries + BATCH, which);
    for (int round = 0; round < rounds; round++) {
        measure_evict(&sides[0], BATCH, which, results[0]);
        measure_evict(&sides[1], slow, which, results[1]);
    }
    for (int verb = 0; verb < VERBS; verb++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s at %s, %s timeouts", verbs_names[verb], size_name(entries),
                       timeouts_names[which]);
        print_row(name, &results[0][verb], &results[1][verb]);
    }
    if (which == EQUAL) {
        print_bytes(entries, bytes);
    }
    side_clear(&sides[0]);
    side_clear(&sides[1]);
}

/* ------------------------------------------------------------------------------------------ two threads */

#define THREAD_GETS 100000
#define THREAD_PUTS 20000

typedef struct worker {
    side *on;
    pthread_barrier_t *start;
    SSL_SESSION **own; /* what it puts and removes; NULL: it gets */
    unsigned number;
    double began, ended;
} worker;

static void work_gets(worker *me) {
    unsigned char id[32];
    uint64_t state = me->number + 1;
    for (int i = 0; i < THREAD_GETS; i++) {
        unsigned id_len = 0;
        SSL_SESSION *session = me->on->resident[next_random(&state) % me->on->resident_len];
        memcpy(id, SSL_SESSION_get_id(session, &id_len), sizeof id);
        get(me->on, id, session);
    }
}

static void work_puts(worker *me) {
    for (int i = 0; i < THREAD_PUTS; i++) {
        put(me->on, me->own[i]);
    }
    for (int i = 0; i < THREAD_PUTS; i++) {
        drop(me->on, me->own[i]);
    }
}

static void *work(void *argument) {
    worker *me = argument;
    (void)pthread_barrier_wait(me->start);
    me->began = wall();
    if (me->own != NULL) {
        work_puts(me);
    } else {
        work_gets(me);
    }
    me->ended = wall();
    return NULL;
}

static SSL_SESSION **own_sessions(side *one) {
    SSL_SESSION **all = malloc(THREAD_PUTS * sizeof *all);
    demand(all != NULL, "out of memory");
    for (int i = 0; i < THREAD_PUTS; i++) {
        all[i] = make_session(one->made++, SSL_version(libssl), LIVES);
    }
    return all;
}

static void own_sessions_free(SSL_SESSION **all) {
    for (int i = 0; all != NULL && i < THREAD_PUTS; i++) {
        SSL_SESSION_free(all[i]);
    }
    free(all);
}

/* Seconds until all of the threads have done their part. */
static double run_threads(side *on, unsigned threads, bool puts) {
    worker workers[2];
    pthread_t ids[2];
    pthread_barrier_t start;
    double began = 0, ended = 0;
    (void)pthread_barrier_init(&start, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (worker){.on = on, .start = &start, .number = i, .own = puts ? own_sessions(on) : NULL};
    }
    for (unsigned i = 0; i < threads; i++) {
        demand(pthread_create(&ids[i], NULL, work, &workers[i]) == 0, "no thread");
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
        began = i == 0 || workers[i].began < began ? workers[i].began : began;
        ended = workers[i].ended > ended ? workers[i].ended : ended;
        own_sessions_free(workers[i].own);
    }
    (void)pthread_barrier_destroy(&start);
    return ended - began;
}

/* What the second thread adds: twice the work, in how much of the time. */
static void bench_threads(bool puts, int rounds) {
    static side sides[2];
    series gains[2] = {0};
    for (int i = 0; i < 2; i++) {
        side_init(&sides[i], i == 0, 100000);
        (void)side_fill(&sides[i], 20000, EQUAL);
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < 2; i++) {
            double alone = run_threads(&sides[i], 1, puts);
            add(&gains[i], 2 * alone / run_threads(&sides[i], 2, puts));
        }
    }
    print_row(puts ? "second thread, put and remove" : "second thread, get", &gains[0], &gains[1]);
    side_clear(&sides[0]);
    side_clear(&sides[1]);
}

/* ---------------------------------------------------------------------------------------- the shared slab */

#define SLAB_ENTRIES 20000

typedef struct far_scene {
    tlslife_store *store;
    tlslife_keyring *keyring;
    tlslife_cache *cache;
    SSL_SESSION *session;
    unsigned char plain[512], *sealed;
    size_t plain_len, sealed_len;
} far_scene;

static const tlslife_bytes policy = {(const unsigned char *)"bench", 5};

static tlsl_cache_key far_entry(uint32_t n) {
    tlsl_cache_key key = {.client = false};
    nth_id(n, key.bytes);
    return key;
}

static void far_key(uint32_t n, unsigned char out[TLSL_STORE_KEY]) {
    tlsl_cache_key key = far_entry(n);
    tlsl_far_key(&key, out);
}

static void far_init(far_scene *scene, tlslife_store *store) {
    static const unsigned char secret[32] = {1};
    tlslife_cache_options options = tlslife_cache_defaults();
    memset(scene, 0, sizeof *scene);
    scene->store = store;
    scene->keyring = tlslife_keyring_new(secret, sizeof secret, NULL);
    options.store = store;
    options.keyring = scene->keyring;
    options.near = false;
    scene->cache = tlslife_cache_new(&options, NULL);
    demand(scene->store != NULL && scene->cache != NULL, "no far home");
    scene->session = make_session(1, TLS1_2_VERSION, LIVES);
    unsigned char *at = scene->plain + 1;
    scene->plain_len = 1 + (size_t)i2d_SSL_SESSION(scene->session, &at);
    demand(tlsl_seal(scene->keyring, (tlslife_bytes){scene->plain, scene->plain_len}, policy, &scene->sealed,
                     &scene->sealed_len),
           "not sealed");
}

static void far_clear(far_scene *scene) {
    free(scene->sealed);
    SSL_SESSION_free(scene->session);
    tlslife_cache_free(scene->cache);
    tlslife_keyring_free(scene->keyring);
    tlslife_store_free(scene->store);
}

static double slab_put(far_scene *scene) {
    static unsigned char keys[BATCH][TLSL_STORE_KEY];
    static uint32_t next;
    for (size_t i = 0; i < BATCH; i++) {
        far_key(next++ % SLAB_ENTRIES, keys[i]);
    }
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        demand(scene->store->verbs->put(scene->store, keys[i], scene->sealed, scene->sealed_len, LIVES),
               "not put");
    }
    return (cpu() - before) * 1e9 / BATCH;
}

static double slab_get(far_scene *scene, uint64_t seed) {
    static tlsl_inquiry all[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        all[i] = (tlsl_inquiry){.found = TLSL_FOUND_MISS};
        far_key(next_random(&seed) % SLAB_ENTRIES, all[i].key);
    }
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        scene->store->verbs->ask(scene->store, &all[i]);
    }
    double took = (cpu() - before) * 1e9 / BATCH;
    for (size_t i = 0; i < BATCH; i++) {
        demand(all[i].found == TLSL_FOUND_HIT, "the slab has lost something");
        free(all[i].bytes);
    }
    return took;
}

static double unseal(far_scene *scene) {
    unsigned char *plain = NULL;
    size_t plain_len = 0;
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        demand(tlsl_open(scene->keyring, (tlslife_bytes){scene->sealed, scene->sealed_len}, policy, &plain,
                         &plain_len),
               "does not open");
        free(plain);
    }
    return (cpu() - before) * 1e9 / BATCH;
}

static double seal(far_scene *scene) {
    unsigned char *sealed = NULL;
    size_t sealed_len = 0;
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        demand(tlsl_seal(scene->keyring, (tlslife_bytes){scene->plain, scene->plain_len}, policy, &sealed,
                         &sealed_len),
               "not sealed");
        free(sealed);
    }
    return (cpu() - before) * 1e9 / BATCH;
}

static double whole_put(far_scene *scene) {
    tlsl_cache_key key = far_entry(1);
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        tlsl_far_put(scene->cache, &key, scene->session, policy);
    }
    return (cpu() - before) * 1e9 / BATCH;
}

/* From the slab to a live session. */
static double whole_get(far_scene *scene) {
    tlsl_cache_key key = far_entry(1);
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        tlsl_inquiry one = {.found = TLSL_FOUND_MISS};
        tlsl_far_key(&key, one.key);
        scene->store->verbs->ask(scene->store, &one);
        SSL_SESSION *session = one.found == TLSL_FOUND_HIT
                                   ? tlsl_far_open(scene->cache, &key, one.bytes, one.bytes_len, policy)
                                   : NULL;
        demand(session != NULL, "the slab's session does not open");
        SSL_SESSION_free(session);
        free(one.bytes);
    }
    return (cpu() - before) * 1e9 / BATCH;
}

/* Nobody else is to open it: its name goes at once, as a file's may. */
static tlslife_store *slab_open(const char *name) {
    char path[96];
    (void)snprintf(path, sizeof path, "shm:bench-%ld-%s", (long)getpid(), name);
    tlslife_store *store = tlslife_store_shared(path, (size_t)64 << 20, true, NULL);
    (void)snprintf(path, sizeof path, "/dev/shm/tlslife-bench-%ld-%s", (long)getpid(), name);
    (void)unlink(path);
    return store;
}

static void bench_shared(int rounds) {
    enum { RAW_GET, RAW_PUT, OPEN, SEAL, ALL_GET, ALL_PUT, KINDS };
    static const char *const names[] = {
        "shared get, sealed bytes",   "shared put, sealed bytes",  "unsealing", "sealing",
        "shared get, a live session", "shared put, a live session"};
    far_scene scene, live; /* live: one entry written again and again pushes out the others of its shard */
    series results[KINDS] = {0};
    far_init(&scene, slab_open("entries"));
    far_init(&live, slab_open("live"));
    for (int i = 0; i < SLAB_ENTRIES / BATCH; i++) {
        (void)slab_put(&scene);
    }
    for (int round = 0; round < rounds; round++) {
        add(&results[RAW_GET], slab_get(&scene, (uint64_t)round));
        add(&results[RAW_PUT], slab_put(&scene));
        add(&results[OPEN], unseal(&scene));
        add(&results[SEAL], seal(&scene));
        add(&results[ALL_PUT], whole_put(&live));
        add(&results[ALL_GET], whole_get(&live));
    }
    for (int i = 0; i < KINDS; i++) {
        print_row(names[i], &results[i], NULL);
    }
    far_clear(&scene);
    far_clear(&live);
}

/* ------------------------------------------------------------------------------------------------- Redis */

static char redis_directory[] = "/tmp/tlslife-bench.XXXXXX";
static char redis_socket[64];

static bool redis_listens(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, redis_socket, sizeof redis_socket);
    bool listens = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return listens;
}

/* 0: it does not come up. */
static pid_t redis_start(const char *program) {
    demand(mkdtemp(redis_directory) != NULL, "no directory");
    (void)snprintf(redis_socket, sizeof redis_socket, "%s/socket", redis_directory);
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL) {
            _exit(127);
        }
        (void)execl(program, "redis-server", "--port", "0", "--unixsocket", redis_socket, "--save", "",
                    "--dir", redis_directory, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 300; i++) {
        if (redis_listens()) {
            return pid;
        }
        (void)usleep(10000);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return 0;
}

static void redis_stop(pid_t pid) {
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
    (void)unlink(redis_socket);
    (void)rmdir(redis_directory);
}

static void wait_for_store(tlslife_store *store) {
    bool writing = false;
    int timeout_ms = -1;
    int fd = tlslife_store_fd(store, &writing, &timeout_ms);
    struct pollfd one = {.fd = fd, .events = (short)(POLLIN | (writing ? POLLOUT : 0))};
    (void)poll(&one, fd >= 0 ? 1 : 0, timeout_ms >= 0 && timeout_ms < 1000 ? timeout_ms : 1000);
    tlslife_store_pump(store);
}

/* So many lookups at once, until all are answered; how many were hits. */
static size_t look_up(tlslife_store *store, size_t len, uint32_t first) {
    static tlsl_inquiry all[IN_FLIGHT];
    size_t pending = 0, hits = 0;
    double deadline = wall() + 3;
    for (size_t i = 0; i < len; i++) {
        all[i] = (tlsl_inquiry){.found = TLSL_FOUND_MISS};
        far_key((first + (uint32_t)i) % IN_FLIGHT, all[i].key);
        store->verbs->ask(store, &all[i]);
        pending += all[i].found == TLSL_FOUND_PENDING;
    }
    while (pending > 0 && wall() < deadline) {
        wait_for_store(store);
        pending = 0;
        for (size_t i = 0; i < len; i++) {
            if (all[i].found == TLSL_FOUND_PENDING) {
                store->verbs->ask(store, &all[i]);
                pending += all[i].found == TLSL_FOUND_PENDING;
            }
        }
    }
    for (size_t i = 0; i < len; i++) {
        if (all[i].found == TLSL_FOUND_PENDING) {
            store->verbs->cancel(store, &all[i]);
        }
        hits += all[i].found == TLSL_FOUND_HIT;
        free(all[i].bytes);
    }
    return hits;
}

static void measure_lookups(tlslife_store *store, size_t at_once, series *latency, series *work_of) {
    enum { LOOKUPS = 16 * IN_FLIGHT };
    double before = wall(), cpu_before = cpu();
    size_t hits = 0;
    for (uint32_t i = 0; i < LOOKUPS; i += (uint32_t)at_once) {
        hits += look_up(store, at_once, i);
    }
    demand(hits == LOOKUPS, "Redis has lost something");
    add(latency, (wall() - before) * 1e9 / LOOKUPS);
    add(work_of, (cpu() - cpu_before) * 1e9 / LOOKUPS);
}

static bool redis_fill(far_scene *scene) {
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        unsigned char key[TLSL_STORE_KEY];
        far_key(i, key);
        demand(scene->store->verbs->put(scene->store, key, scene->sealed, scene->sealed_len, LIVES),
               "not put");
    }
    for (int i = 0; i < 5; i++) {
        if (look_up(scene->store, IN_FLIGHT, 0) == IN_FLIGHT) {
            return true;
        }
        (void)usleep(10000);
    }
    return false;
}

static void bench_redis(const char *program, int rounds) {
    pid_t pid = redis_start(program);
    tlslife_redis_options options = {.unix_path = redis_socket, .timeout_ms = 2000};
    tlslife_store *store = pid > 0 ? tlslife_store_redis(&options, NULL) : NULL;
    if (store == NULL) {
        printf("note\t%s\n", pid > 0 ? "this build has no Redis" : "redis-server does not start");
    } else {
        far_scene scene;
        series alone = {.len = 0}, alone_cpu = {.len = 0}, many = {.len = 0}, many_cpu = {.len = 0};
        far_init(&scene, store);
        demand(redis_fill(&scene), "Redis does not answer");
        for (int round = 0; round < rounds; round++) {
            measure_lookups(store, 1, &alone, &alone_cpu);
            measure_lookups(store, IN_FLIGHT, &many, &many_cpu);
        }
        print_row("Redis, time a lookup", &many, &alone);
        print_row("Redis, our CPU a lookup", &many_cpu, &alone_cpu);
        far_clear(&scene);
    }
    if (pid > 0) {
        redis_stop(pid);
    }
}

int main(int argc, char **argv) {
    bool full = argc > 1 && strcmp(argv[1], "full") == 0;
    /* The heap's top stays: else one side's sessions are new pages each round, because they lie there: see plain.c. */
    (void)mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024);
    (void)mallopt(M_TOP_PAD, 1024 * 1024);
    const char *redis = argc > 1 + full ? argv[1 + full] : NULL;
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    libssl = SSL_new(ctx);
    demand(libssl != NULL, "no libssl");
    for (int which = EQUAL; which <= SHORTENED; which++) {
        bench_memory(1000, (timeouts)which, ROUNDS_MAX);
        bench_memory(20000, (timeouts)which, ROUNDS_MAX);
        if (full) {
            bench_memory(1000000, (timeouts)which, 5);
        }
    }
    bench_threads(false, ROUNDS_MAX);
    bench_threads(true, ROUNDS_MAX);
    bench_shared(ROUNDS_MAX);
    if (redis != NULL) {
        bench_redis(redis, ROUNDS_MAX);
    }
    SSL_free(libssl);
    SSL_CTX_free(ctx);
    return 0;
}
