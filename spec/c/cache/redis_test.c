/*
 * redis_test.c: tests the Redis store through the functions that every store has, against a real
 * redis-server, a valkey-server where there is one (from Debian 13 on), and servers that answer
 * wrongly, late or not at all.
 *
 * In each case every lookup must end in time and with the right result, and no call may wait.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "cache/store/store.h"
#include "tlslife.h"

#include "check.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT 64
#define REAL_MS 20000 /* a real server answers sooner, also on a busy machine */
#if defined(__SANITIZE_THREAD__)
#define CALL_MAX_MS 100 /* what counts there is races */
#else
#define CALL_MAX_MS 20 /* of any one verb */
#endif

static double longest_call_ms; /* that an ask has slept, in the main thread */

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* A program that we become says nothing. */
static void silence(void) {
    if (freopen("/dev/null", "w", stdout) == NULL) {
        _exit(126);
    }
}

static void rest(int ms) {
    (void)poll(NULL, 0, ms);
}

/* --------------------------------------------------------------------------------------- asking */

static void name_key(unsigned char key[TLSL_STORE_KEY], unsigned n) {
    memset(key, 0, TLSL_STORE_KEY);
    memcpy(key, &n, sizeof n);
}

/*
 * A clock that stands still while this thread runs, or could run and gets no processor, since a
 * busy machine is no defect of a call. It stands still, too, where the kernel does not count.
 */
static double asleep_ms(void) {
    static int fd = -1;
    char text[64] = "";
    unsigned long long ran = 0, waited = 0;
    if (fd < 0) {
        fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    }
    if (pread(fd, text, sizeof text - 1, 0) <= 0 || sscanf(text, "%llu %llu", &ran, &waited) != 2) {
        return 0;
    }
    return now_ms() - (double)(ran + waited) / 1e6;
}

static void ask(tlslife_store *store, tlsl_inquiry *inquiry) {
    double before = asleep_ms();
    store->verbs->ask(store, inquiry);
    double slept = asleep_ms() - before;
    if (slept > longest_call_ms) {
        longest_call_ms = slept;
    }
}

static void wait_for_store(tlslife_store *store) {
    bool writing = false;
    int timeout_ms = -1;
    int fd = store->verbs->fd(store, &writing, &timeout_ms);
    struct pollfd wait = {.fd = fd, .events = (short)(POLLIN | (writing ? POLLOUT : 0))};
    (void)poll(&wait, fd >= 0 ? 1 : 0, timeout_ms < 0 || timeout_ms > 20 ? 20 : timeout_ms);
}

static tlsl_found look_up(tlslife_store *store, unsigned n, bool take, tlsl_inquiry *inquiry) {
    memset(inquiry, 0, sizeof *inquiry);
    name_key(inquiry->key, n);
    inquiry->take = take;
    ask(store, inquiry);
    for (double end = now_ms() + 3000; inquiry->found == TLSL_FOUND_PENDING && now_ms() < end;) {
        wait_for_store(store);
        ask(store, inquiry);
    }
    if (inquiry->found == TLSL_FOUND_PENDING) {
        store->verbs->cancel(store, inquiry);
    }
    return inquiry->found;
}

static tlsl_found look(tlslife_store *store, unsigned n) {
    tlsl_inquiry inquiry;
    tlsl_found found = look_up(store, n, false, &inquiry);
    free(inquiry.bytes);
    return found;
}

static bool put_number(tlslife_store *store, unsigned n) {
    unsigned char key[TLSL_STORE_KEY];
    name_key(key, n);
    return store->verbs->put(store, key, (const unsigned char *)&n, sizeof n, 60);
}

static bool finds_number(tlslife_store *store, unsigned n, bool take) {
    tlsl_inquiry inquiry;
    bool right = look_up(store, n, take, &inquiry) == TLSL_FOUND_HIT &&
                 inquiry.bytes_len == sizeof n && memcmp(inquiry.bytes, &n, sizeof n) == 0;
    free(inquiry.bytes);
    return right;
}

/* Makes all lookups at once. Returns the milliseconds until the last one has ended. */
static double look_many(tlslife_store *store, tlsl_inquiry *inquiries, unsigned count) {
    double begin = now_ms();
    unsigned left = count;
    for (unsigned i = 0; i < count; i++) {
        memset(&inquiries[i], 0, sizeof inquiries[i]);
        name_key(inquiries[i].key, i);
        ask(store, &inquiries[i]);
    }
    while (left > 0 && now_ms() < begin + 3000) {
        left = 0;
        wait_for_store(store);
        for (unsigned i = 0; i < count; i++) {
            if (inquiries[i].found == TLSL_FOUND_PENDING) {
                ask(store, &inquiries[i]);
                left += inquiries[i].found == TLSL_FOUND_PENDING;
            }
        }
    }
    CHECK(left == 0);
    return now_ms() - begin;
}

/* --------------------------------------------------------------------------------- the real one */

static int listen_somewhere(char service[8]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        abort();
    }
    (void)snprintf(service, 8, "%u", ntohs(address.sin_port));
    return fd;
}

static const char *program = "redis-server"; /* or valkey-server, which has the same options */

/* For 20 s at most. */
static void wait_for_port(const char *service) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(service)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool connected = false;
    for (int i = 0; i < 1000 && !connected; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
        (void)close(fd);
        if (!connected) {
            rest(20);
        }
    }
}

static pid_t start_redis(const char *service, const char *unix_path) {
    pid_t child = fork();
    if (child == 0) {
        silence();
        execlp(program, program, "--port", service, "--bind", "127.0.0.1", "--unixsocket",
               unix_path, "--save", "", "--appendonly", "no", "--requirepass", "sesame", "--dir",
               "/tmp", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000 && access(unix_path, F_OK) != 0; i++) {
        rest(20);
    }
    wait_for_port(service);
    return child;
}

static void stop(pid_t child) {
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}

static tlslife_store *open_store(tlslife_redis_options options) {
    tlslife_error err;
    tlslife_store *store = tlslife_store_redis(&options, &err);
    if (store == NULL) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    return store;
}

static void test_values(tlslife_redis_options options) {
    tlslife_store *store = open_store(options);
    unsigned char key[TLSL_STORE_KEY];
    CHECK(look(store, 1) == TLSL_FOUND_MISS);
    CHECK(put_number(store, 1));
    CHECK(finds_number(store, 1, false));
    CHECK(finds_number(store, 1, true));
    CHECK(look(store, 1) == TLSL_FOUND_MISS);
    CHECK(put_number(store, 2) && finds_number(store, 2, false));
    name_key(key, 2);
    CHECK(store->verbs->remove(store, key));
    CHECK(look(store, 2) == TLSL_FOUND_MISS);
    tlslife_store_free(store);
}

static void test_apart(tlslife_redis_options options) {
    tlslife_store *store = open_store(options);
    CHECK(put_number(store, 3) && finds_number(store, 3, false));
    tlslife_redis_options other = options;
    other.database = 3;
    tlslife_store *elsewhere = open_store(other);
    CHECK(look(elsewhere, 3) == TLSL_FOUND_MISS);
    tlslife_store_free(elsewhere);
    other = options;
    other.prefix = "other:";
    elsewhere = open_store(other);
    CHECK(look(elsewhere, 3) == TLSL_FOUND_MISS);
    tlslife_store_free(elsewhere);
    CHECK(finds_number(store, 3, true));
    tlslife_store_free(store);
}

static void test_refused(tlslife_redis_options options, const char *password) {
    options.password = password;
    tlslife_store *store = open_store(options);
    CHECK(look(store, 1) == TLSL_FOUND_FAILED);
    tlslife_store_free(store);
}

static void *look_on_and_on(void *store) {
    size_t right = 0;
    for (unsigned i = 0; i < 200; i++) {
        tlsl_inquiry inquiry = {.found = TLSL_FOUND_MISS};
        name_key(inquiry.key, i % 8);
        tlslife_store *asked = store;
        asked->verbs->ask(asked, &inquiry);
        while (inquiry.found == TLSL_FOUND_PENDING) {
            wait_for_store(asked);
            asked->verbs->ask(asked, &inquiry);
        }
        unsigned n = i % 8;
        right += inquiry.found == TLSL_FOUND_HIT && memcmp(inquiry.bytes, &n, sizeof n) == 0;
        free(inquiry.bytes);
    }
    return (void *)right;
}

static void test_threads(tlslife_redis_options options) {
    tlslife_store *store = open_store(options);
    pthread_t threads[4];
    for (unsigned i = 0; i < 8; i++) {
        CHECK(put_number(store, i));
    }
    CHECK(finds_number(store, 7, false));
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, look_on_and_on, store) == 0);
    }
    for (int i = 0; i < 4; i++) {
        void *right = NULL;
        CHECK(pthread_join(threads[i], &right) == 0);
        CHECK((size_t)right == 200);
    }
    tlslife_store_free(store);
}

static void test_killed(tlslife_redis_options options, pid_t *server, const char *unix_path) {
    tlslife_store *store = open_store(options);
    tlsl_inquiry inquiries[IN_FLIGHT];
    CHECK(look(store, 1000) == TLSL_FOUND_MISS);
    (void)kill(*server, SIGSTOP);
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        memset(&inquiries[i], 0, sizeof inquiries[i]);
        ask(store, &inquiries[i]);
        CHECK(inquiries[i].found == TLSL_FOUND_PENDING);
    }
    stop(*server);
    double begin = now_ms();
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        while (inquiries[i].found == TLSL_FOUND_PENDING && now_ms() < begin + REAL_MS) {
            wait_for_store(store);
            ask(store, &inquiries[i]);
        }
        CHECK(inquiries[i].found == TLSL_FOUND_FAILED);
    }
    CHECK(now_ms() - begin < REAL_MS / 2); /* not by the time that they have */
    (void)unlink(unix_path);
    *server = start_redis(options.service, unix_path);
    tlsl_found found = TLSL_FOUND_FAILED;
    for (int i = 0; i < 40 && found != TLSL_FOUND_MISS; i++) {
        rest(50);
        found = look(store, 1000);
    }
    CHECK(found == TLSL_FOUND_MISS);
    tlslife_store_free(store);
}

/* Returns how many of the lookups do not find their own number. */
static unsigned misses_of(tlslife_store *store, unsigned lookups) {
    unsigned wrong = 0;
    for (unsigned i = 0; i < lookups; i++) {
        wrong += !finds_number(store, i % 8, false);
    }
    return wrong;
}

/* The reply to a lookup that was cancelled comes all the same, and answers no other lookup. */
static void test_canceled(tlslife_redis_options options, pid_t server) {
    tlslife_store *store = open_store(options);
    tlsl_inquiry canceled = {.found = TLSL_FOUND_MISS};
    for (unsigned i = 0; i < 8; i++) {
        CHECK(put_number(store, i) && finds_number(store, i, false));
    }
    (void)kill(server, SIGSTOP);
    name_key(canceled.key, 5);
    ask(store, &canceled);
    CHECK(canceled.found == TLSL_FOUND_PENDING && canceled.pending != NULL);
    store->verbs->cancel(store, &canceled);
    CHECK(canceled.pending == NULL && canceled.bytes == NULL);
    store->verbs->cancel(store, &canceled); /* of none, does nothing */
    (void)kill(server, SIGCONT);
    CHECK(misses_of(store, 16) == 0);
    for (unsigned i = 0; i < 8; i++) {
        CHECK(finds_number(store, i, true));
    }
    tlslife_store_free(store);
}

enum { FORKS = 3, LOOKUPS = 2000 };

/*
 * Runs in a child, and in a child of that. A lookup that was under way belongs to the parent, and
 * fails here at once.
 */
static void child_of_fork(tlslife_store *store, tlsl_inquiry *under_way) {
    (void)alarm(60);
    store->verbs->ask(store, under_way);
    bool failed = under_way->found == TLSL_FOUND_FAILED && under_way->pending == NULL;
    unsigned wrong = misses_of(store, LOOKUPS / 2);
    pid_t child = fork();
    wrong += misses_of(store, LOOKUPS / 2);
    tlslife_store_free(store); /* sends nothing on a connection of another process */
    int status = -1;
    bool well = child == 0 || (waitpid(child, &status, 0) == child && status == 0);
    end_child(failed && wrong == 0 && well ? 0 : 1);
}

/*
 * A store that is connected and has a lookup under way is used by its process, three children and
 * three grandchildren.
 */
static void test_fork(tlslife_redis_options options, pid_t server) {
    tlslife_store *store = open_store(options);
    tlsl_inquiry under_way = {.found = TLSL_FOUND_MISS};
    pid_t children[FORKS];
    double longest_before = longest_call_ms;
    for (unsigned i = 0; i < 8; i++) {
        CHECK(put_number(store, i) && finds_number(store, i, false));
    }
    (void)kill(server, SIGSTOP);
    name_key(under_way.key, 7);
    ask(store, &under_way);
    CHECK(under_way.found == TLSL_FOUND_PENDING);
    for (int i = 0; i < FORKS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            child_of_fork(store, &under_way);
        }
    }
    (void)kill(server, SIGCONT);
    CHECK(misses_of(store, LOOKUPS) == 0);
    ask(store, &under_way);
    CHECK(under_way.found == TLSL_FOUND_HIT);
    free(under_way.bytes);
    for (int i = 0; i < FORKS; i++) {
        int status = -1;
        CHECK(waitpid(children[i], &status, 0) == children[i] && status == 0);
        CHECK(misses_of(store, 8) == 0); /* the end of a child ends no connection of ours */
    }
    for (unsigned i = 0; i < 8; i++) {
        CHECK(finds_number(store, i, true));
    }
    /* Seven processes shared the processors, so the time of their calls is not judged. */
    longest_call_ms = longest_before;
    tlslife_store_free(store);
}

static void test_real(void) {
    char service[8];
    char unix_path[64];
    (void)snprintf(unix_path, sizeof unix_path, "/tmp/tlslife-redis-%d.sock", (int)getpid());
    (void)close(listen_somewhere(service));
    pid_t server = start_redis(service, unix_path);
    tlslife_redis_options options = {
        .service = service, .password = "sesame", .timeout_ms = REAL_MS};
    test_values(options);
    test_apart(options);
    test_refused(options, "wrong");
    test_refused(options, NULL);
    test_fork(options, server);
    test_canceled(options, server);
    options.unix_path = unix_path;
    test_values(options);
    test_fork(options, server);
    options.unix_path = NULL;
    options.pending_max = 1; /* AUTH must not count */
    test_refused(options, "wrong");
    tlslife_store *narrow = open_store(options);
    CHECK(look(narrow, 1) == TLSL_FOUND_MISS);
    tlslife_store_free(narrow);
    options.pending_max = 0;
    test_threads(options);
    options.timeout_ms = 250;
    test_killed(options, &server, unix_path);
    stop(server);
    (void)unlink(unix_path);
}

/* ---------------------------------------------------------------------------------- through TLS */

static bool make_identity(const char *directory) {
    char command[512];
    (void)snprintf(
        command, sizeof command,
        "mkdir -m 700 %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        "-days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
        "-keyout %s/key.pem -out %s/cert.pem 2>/dev/null",
        directory, directory, directory);
    return system(command) == 0;
}

static pid_t start_tls_redis(const char *service, const char *directory) {
    pid_t child = fork();
    if (child == 0) {
        silence();
        if (chdir(directory) == 0) {
            execlp(program, program, "--port", "0", "--tls-port", service, "--bind", "127.0.0.1",
                   "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file",
                   "cert.pem", "--tls-auth-clients", "no", "--save", "", "--requirepass", "sesame",
                   (char *)NULL);
        }
        _exit(127);
    }
    wait_for_port(service);
    return child;
}

/*
 * The store verifies its server. One whose certificate it does not trust counts as one that cannot
 * be reached.
 */
static void test_tls(void) {
    char service[8];
    char directory[64];
    char path[96];
    tlslife_error err;
    (void)snprintf(directory, sizeof directory, "/tmp/tlslife-redis-%d", (int)getpid());
    (void)snprintf(path, sizeof path, "%s/cert.pem", directory);
    (void)close(listen_somewhere(service));
    tlslife_context *knowing = tlslife_context_new(TLSLIFE_CLIENT, &err);
    tlslife_context *strange = tlslife_context_new(TLSLIFE_CLIENT, &err);
    if (!CHECK(make_identity(directory)) ||
        !CHECK(tlslife_context_add_ca_file(knowing, path, &err) == TLSLIFE_OK)) {
        return;
    }
    pid_t server = start_tls_redis(service, directory);
    tlslife_redis_options options = {.host = "localhost",
                                     .service = service,
                                     .password = "sesame",
                                     .timeout_ms = REAL_MS,
                                     .tls = knowing};
    test_values(options);
    test_fork(options, server);
    options.tls = strange;
    test_refused(options, "sesame");
    tlslife_context_free(knowing);
    tlslife_context_free(strange);
    stop(server);
    (void)snprintf(path, sizeof path, "rm -r %s", directory);
    CHECK(system(path) == 0);
}

/* ------------------------------------------------------------------------------- the faulty one */

typedef struct fault {
    const char *reply; /* to each GET; NULL: never any */
    size_t copies;     /* of it */
    int delay_ms;      /* from the first byte to the first reply */
    bool close_after;
    bool numbered; /* replies with the command's number on this connection: $1 1, $1 2, ... */
} fault;

static size_t count_commands(const char *bytes, ssize_t len) {
    size_t count = 0;
    for (ssize_t i = 0; i < len; i++) {
        count += bytes[i] == '*' && i + 1 < len && bytes[i + 1] == '2';
    }
    return count;
}

static void serve_one(int fd, const fault *how) {
    char bytes[65536];
    char reply[] = "$1\r\n0\r\n";
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        if (how->reply == NULL) {
            continue;
        }
        rest(how->delay_ms);
        for (ssize_t more;
             (more = recv(fd, bytes + got, sizeof bytes - (size_t)got, MSG_DONTWAIT)) > 0;) {
            got += more;
        }
        for (size_t i = 0; i < count_commands(bytes, got) * how->copies; i++) {
            reply[4]++;
            const char *sent = how->numbered ? reply : how->reply;
            if (send(fd, sent, strlen(sent), MSG_NOSIGNAL) < 0) {
                break;
            }
        }
        if (how->close_after) {
            break;
        }
    }
    (void)close(fd);
}

static pid_t start_faulty(char service[8], const fault *how) {
    int listener = listen_somewhere(service);
    pid_t child = fork();
    if (child == 0) {
        for (;;) {
            int fd = accept(listener, NULL, NULL);
            if (fd >= 0) {
                serve_one(fd, how);
            }
        }
    }
    (void)close(listener);
    return child;
}

/* Every lookup must end as `wanted`, within the deadline and what a busy machine adds. */
static void test_fault(const char *name, const fault *how, tlsl_found wanted) {
    char service[8];
    tlsl_inquiry inquiry;
    pid_t server = start_faulty(service, how);
    tlslife_store *store =
        open_store((tlslife_redis_options){.service = service, .timeout_ms = 100});
    int failed_before = checks_failed;
    for (int i = 0; i < 3; i++) {
        double begin = now_ms();
        CHECK(look_up(store, 1, false, &inquiry) == wanted);
        CHECK(now_ms() - begin < 200);
        free(inquiry.bytes);
        rest(60);
    }
    if (checks_failed > failed_before) {
        fprintf(stderr, "  with a server that %s\n", name);
    }
    tlslife_store_free(store);
    stop(server);
}

static void test_faults(void) {
    test_fault("never answers", &(fault){.reply = NULL}, TLSL_FOUND_FAILED);
    test_fault("closes", &(fault){.reply = "", .close_after = true}, TLSL_FOUND_FAILED);
    test_fault("closes mid-reply",
               &(fault){.reply = "$10\r\nabc", .copies = 1, .close_after = true},
               TLSL_FOUND_FAILED);
    test_fault("sends garbage", &(fault){.reply = "HTTP/1.1 400\r\n\r\n", .copies = 1},
               TLSL_FOUND_FAILED);
    test_fault("claims 1 GiB", &(fault){.reply = "$1073741824\r\nabc", .copies = 1},
               TLSL_FOUND_FAILED);
    test_fault("claims an array", &(fault){.reply = "*1000000000\r\n", .copies = 1},
               TLSL_FOUND_FAILED);
    test_fault("nests arrays", &(fault){.reply = "*1\r\n", .copies = 100000}, TLSL_FOUND_FAILED);
    test_fault("answers twice", &(fault){.reply = "-ERR no\r\n", .copies = 2}, TLSL_FOUND_FAILED);
    test_fault("is full", &(fault){.reply = "-OOM no\r\n", .copies = 1}, TLSL_FOUND_FAILED);
    test_fault("answers no bytes", &(fault){.reply = "$0\r\n\r\n", .copies = 1}, TLSL_FOUND_FAILED);
    test_fault("is right", &(fault){.reply = "$-1\r\n", .copies = 1}, TLSL_FOUND_MISS);
}

/* A reply that comes after its lookup has ended answers no other lookup. */
static void test_late(void) {
    char service[8];
    tlsl_inquiry inquiry = {.found = TLSL_FOUND_MISS};
    pid_t server = start_faulty(
        service, &(fault){.reply = "", .copies = 1, .delay_ms = 160, .numbered = true});
    tlslife_store *store =
        open_store((tlslife_redis_options){.service = service, .timeout_ms = 100});
    CHECK(look_up(store, 1, false, &inquiry) == TLSL_FOUND_FAILED);
    CHECK(inquiry.bytes == NULL);
    CHECK(look_up(store, 2, false, &inquiry) == TLSL_FOUND_HIT);
    CHECK(inquiry.bytes_len == 1 && inquiry.bytes[0] == '2');
    free(inquiry.bytes);
    tlslife_store_free(store);
    stop(server);
}

static void test_overlap(void) {
    char service[8];
    tlsl_inquiry inquiries[IN_FLIGHT];
    pid_t server = start_faulty(service, &(fault){.reply = "$-1\r\n", .copies = 1, .delay_ms = 50});
    tlslife_store *store =
        open_store((tlslife_redis_options){.service = service, .timeout_ms = 1000});
    double took = look_many(store, inquiries, IN_FLIGHT);
    printf("%d lookups in flight at a server that takes 50 ms: %.0f ms\n", IN_FLIGHT, took);
    CHECK(took < 250);
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        CHECK(inquiries[i].found == TLSL_FOUND_MISS);
    }
    tlslife_store_free(store);
    stop(server);
}

/*
 * No server listens. After five failures a lookup ends at once, and the store pauses for longer
 * than after one failure.
 */
static void test_circuit(void) {
    char service[8];
    tlsl_inquiry inquiry = {.found = TLSL_FOUND_MISS};
    (void)close(listen_somewhere(service));
    tlslife_store *store =
        open_store((tlslife_redis_options){.service = service, .timeout_ms = 100});
    for (int i = 0; i < 5; i++) {
        CHECK(look(store, 1) == TLSL_FOUND_FAILED);
        rest(60);
    }
    double begin = now_ms();
    store->verbs->ask(store, &inquiry);
    CHECK(inquiry.found == TLSL_FOUND_FAILED && inquiry.pending == NULL);
    CHECK(now_ms() - begin < 1 || now_ms() - begin < CALL_MAX_MS);
    CHECK(!put_number(store, 1));
    tlslife_store_free(store);
}

/* A store whose queue grows without a pump refuses more. */
static void test_bounded(void) {
    char service[8];
    unsigned char key[TLSL_STORE_KEY] = {0};
    int listener = listen_somewhere(service);
    tlslife_store *store =
        open_store((tlslife_redis_options){.service = service, .pending_max = 10});
    for (int i = 0; i < 10; i++) {
        CHECK(store->verbs->remove(store, key));
    }
    CHECK(!store->verbs->remove(store, key));
    tlslife_store_free(store);
    (void)close(listener);
}

/*
 * The call that reads from the connection takes all answers, so the other lookups are answered
 * without a call of their own.
 */
static void test_answered(void) {
    char service[8];
    tlsl_inquiry inquiries[2] = {{.found = TLSL_FOUND_MISS}, {.found = TLSL_FOUND_MISS}};
    bool writing = false;
    int timeout_ms = -1;
    pid_t server = start_faulty(service, &(fault){.reply = "$-1\r\n", .copies = 1, .delay_ms = 50});
    tlslife_store *store =
        open_store((tlslife_redis_options){.service = service, .timeout_ms = 1000});
    double end = now_ms() + 1000;
    for (unsigned i = 0; i < 2; i++) {
        name_key(inquiries[i].key, i);
        ask(store, &inquiries[i]);
        CHECK(!store->verbs->answered(store, &inquiries[i]));
    }
    while (inquiries[0].found == TLSL_FOUND_PENDING) {
        wait_for_store(store);
        ask(store, &inquiries[0]);
    }
    CHECK(inquiries[0].found == TLSL_FOUND_MISS);
    while (!store->verbs->answered(store, &inquiries[1]) &&
           now_ms() < end) { /* the server may take its time twice */
        wait_for_store(store);
        tlslife_store_pump(store);
    }
    CHECK(inquiries[1].found == TLSL_FOUND_PENDING && store->verbs->answered(store, &inquiries[1]));
    (void)store->verbs->fd(store, &writing, &timeout_ms);
    CHECK(timeout_ms == 1);
    ask(store, &inquiries[1]);
    CHECK(inquiries[1].found == TLSL_FOUND_MISS);
    (void)store->verbs->fd(store, &writing, &timeout_ms);
    CHECK(timeout_ms == -1 && !writing);
    tlslife_store_free(store);
    stop(server);
}

/*
 * A lookup whose time is over counts as answered. One whose time is not over does not wake the
 * program every millisecond.
 */
static void test_late_is_answered(void) {
    char service[8];
    tlsl_inquiry inquiry = {.found = TLSL_FOUND_MISS};
    bool writing = false;
    int timeout_ms = -1;
    pid_t server = start_faulty(service, &(fault){.reply = NULL});
    tlslife_store *store =
        open_store((tlslife_redis_options){.service = service, .timeout_ms = 100});
    ask(store, &inquiry);
    (void)store->verbs->fd(store, &writing, &timeout_ms);
    CHECK(timeout_ms >= 2 && timeout_ms <= 10);
    CHECK(!store->verbs->answered(store, &inquiry));
    rest(110);
    CHECK(store->verbs->answered(store, &inquiry));
    ask(store, &inquiry);
    CHECK(inquiry.found == TLSL_FOUND_FAILED);
    tlslife_store_free(store);
    stop(server);
}

/* Replaces the C library's function in this program. One name takes long to resolve. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (host == NULL || strcmp(host, "slow.test") != 0 || (hints->ai_flags & AI_NUMERICHOST) != 0) {
        return real(host, service, hints, out);
    }
    rest(300);
    return real("127.0.0.1", service, hints, out);
}

/*
 * The name is resolved in a thread. No call takes as long as that (main checks it), and the answer
 * comes.
 */
static void test_slow_name(void) {
    char service[8];
    tlsl_inquiry inquiry;
    pid_t server = start_faulty(service, &(fault){.reply = "$-1\r\n", .copies = 1, .delay_ms = 5});
    tlslife_redis_options options = {.host = "slow.test", .service = service, .timeout_ms = 2000};
    tlslife_store *store = open_store(options);
    double begin = now_ms();
    CHECK(look_up(store, 1, false, &inquiry) == TLSL_FOUND_MISS);
    CHECK(now_ms() - begin >= 299);
    tlslife_store_free(store);
    options.timeout_ms = 100; /* of a lookup, which must fail in time if the server is slower */
    store = open_store(options);
    begin = now_ms();
    CHECK(look_up(store, 1, false, &inquiry) == TLSL_FOUND_FAILED);
    CHECK(now_ms() - begin >= 99 && now_ms() - begin < 290);
    rest(310);
    CHECK(look_up(store, 1, false, &inquiry) == TLSL_FOUND_MISS); /* the name is known by now */
    tlslife_store_free(store);
    options.connect_timeout_ms = 20;
    store = open_store(options);
    CHECK(look_up(store, 1, false, &inquiry) == TLSL_FOUND_FAILED);
    tlslife_store_free(store); /* and the name is still being resolved */
    stop(server);
}

int main(void) {
    (void)signal(SIGPIPE, SIG_IGN);
    test_real();
    test_tls();
    if (system("command -v valkey-server >/dev/null") == 0) {
        program = "valkey-server";
        test_real();
        test_tls();
        printf("with valkey-server, too\n");
    }
    test_faults();
    test_late();
    test_overlap();
    test_circuit();
    test_bounded();
    test_answered();
    test_late_is_answered();
    test_slow_name();
    printf("the longest sleep of an ask: %.2f ms\n", longest_call_ms);
    CHECK(longest_call_ms < CALL_MAX_MS);
    return checks_end();
}
