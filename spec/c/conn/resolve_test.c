/*
 * resolve_test.c: tests names that are resolved in threads, and dials that keep their time.
 *
 * This program replaces the C library's getaddrinfo by one that it controls. Some names wait until
 * they are let go, and one has an address that never answers in front of one that does.
 *
 * A call that must not wait does not. Nothing is left behind by a dial that is dropped: descriptors
 * are counted here, and the sanitizers see memory. A process, a child of fork() and a library that
 * is closed survive a thread that is resolving a name.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "net/resolve.h"
#include "net/tcp.h"
#include "tlslife.h"

#include "check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------------------- getaddrinfo, ours */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opens = PTHREAD_COND_INITIALIZER;
static bool gate_is_open = true;
static int running, running_most, names_asked, asked_here;
static pthread_t main_thread;
static bool signals_blocked = true;

static void set_gate(bool open) {
    pthread_mutex_lock(&lock);
    gate_is_open = open;
    if (open) {
        pthread_cond_broadcast(&gate_opens);
    }
    pthread_mutex_unlock(&lock);
}

static int count_of(const int *count) {
    pthread_mutex_lock(&lock);
    int value = *count;
    pthread_mutex_unlock(&lock);
    return value;
}

static void note_caller(void) {
    sigset_t mask;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (pthread_equal(pthread_self(), main_thread)) {
        asked_here++;
    } else {
        signals_blocked =
            signals_blocked && sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD);
    }
}

static void pass_gate(bool slow) {
    pthread_mutex_lock(&lock);
    note_caller();
    names_asked++;
    running++;
    running_most = running > running_most ? running : running_most;
    while (slow && !gate_is_open) {
        pthread_cond_wait(&gate_opens, &lock);
    }
    running--;
    pthread_mutex_unlock(&lock);
}

/* The library that scene_dlclose opens sees it, too. */
__attribute__((visibility("default"))) int getaddrinfo(const char *host, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **out) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (host == NULL || strstr(host, ".test") == NULL || (hints->ai_flags & AI_NUMERICHOST) != 0) {
        return real(host, service, hints, out);
    }
    pass_gate(strncmp(host, "slow", 4) == 0);
    if (strcmp(host, "none.test") == 0) {
        return EAI_NONAME;
    }
    if (strcmp(host, "broken.test") == 0) {
        errno = EIO;
        return EAI_SYSTEM;
    }
    int result = 0;
    if (strncmp(host, "dead-first", 10) == 0) {
        result = real("127.0.0.2", service, hints, out);
        out = &(*out)->ai_next;
    }
    if (result == 0 && strcmp(host, "dead-first-and-v6.test") == 0) {
        result = real("127.0.0.1", service, hints, out);
        out = &(*out)->ai_next;
        return result != 0 ? result : real("::1", service, hints, out);
    }
    return result != 0 ? result : real("127.0.0.1", service, hints, out);
}

static bool wait_until(const int *count, int value) {
    for (int64_t end = tlsl_deadline(5000); count_of(count) != value && tlsl_left_ms(end) > 0;) {
        (void)poll(NULL, 0, 1);
    }
    return count_of(count) == value;
}

static int open_descriptors(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory != NULL && readdir(directory) != NULL) {
        count++;
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return count;
}

/*
 * A thread that ends closes its descriptors, which may be a moment after its caller has the result.
 */
static bool descriptors_are(int count) {
    for (int64_t end = tlsl_deadline(5000); open_descriptors() != count && tlsl_left_ms(end) > 0;) {
        (void)poll(NULL, 0, 1);
    }
    return open_descriptors() == count;
}

/* ---------------------------------------------------------------------------------- resolutions */

static bool is_readable(int fd, int timeout_ms) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, timeout_ms) == 1 && (wait.revents & POLLIN) != 0;
}

static void test_address(void) {
    struct addrinfo *found = NULL;
    tlsl_resolution *begun = NULL;
    tlslife_error err;
    for (int i = 0; i < 2; i++) {
        CHECK(tlsl_resolve_begin(i == 0 ? "127.0.0.1" : "::1", "443", &found, &begun, &err) ==
              TLSLIFE_OK);
        CHECK(begun == NULL && found != NULL);
        freeaddrinfo(found);
    }
    CHECK(tlsl_resolve_begin("127.0.0.1", "no-such-service", &found, &begun, &err) ==
          TLSLIFE_ERROR);
    CHECK(err.kind == TLSLIFE_ERR_RESOLVE && begun == NULL);
    CHECK(count_of(&names_asked) == 0);
}

static void test_name(void) {
    struct addrinfo *found = NULL;
    tlsl_resolution *begun = NULL;
    tlslife_error err;
    set_gate(false);
    CHECK(tlsl_resolve_begin("slow.test", "443", &found, &begun, &err) == TLSLIFE_WANT_READ);
    CHECK(tlsl_resolution_end(begun, &found, &err) == TLSLIFE_WANT_READ);
    CHECK(!is_readable(tlsl_resolution_fd(begun), 20));
    set_gate(true);
    CHECK(is_readable(tlsl_resolution_fd(begun), 5000));
    CHECK(tlsl_resolution_end(begun, &found, &err) == TLSLIFE_OK);
    CHECK(found != NULL && found->ai_family == AF_INET && found->ai_socktype == SOCK_STREAM);
    freeaddrinfo(found);
    tlsl_resolution_drop(begun);
    CHECK(count_of(&asked_here) == 0);
    CHECK(signals_blocked);
}

static void test_failure(const char *host, tlslife_error_kind kind, int system_errno) {
    struct addrinfo *found = NULL;
    tlsl_resolution *begun = NULL;
    tlslife_error err;
    CHECK(tlsl_resolve_begin(host, "443", &found, &begun, &err) == TLSLIFE_WANT_READ);
    CHECK(is_readable(tlsl_resolution_fd(begun), 5000));
    CHECK(tlsl_resolution_end(begun, &found, &err) == TLSLIFE_ERROR && found == NULL);
    CHECK(err.kind == kind && err.system_errno == system_errno &&
          strstr(err.message, host) != NULL);
    tlsl_resolution_drop(begun);
}

/* Never taken, though it has ended. */
static void test_untaken(void) {
    struct addrinfo *found = NULL;
    tlsl_resolution *begun = NULL;
    CHECK(tlsl_resolve_begin("fast.test", "443", &found, &begun, NULL) == TLSLIFE_WANT_READ);
    CHECK(is_readable(tlsl_resolution_fd(begun), 5000));
    tlsl_resolution_drop(begun);
    tlsl_resolution_drop(NULL);
}

enum { MANY = 40, MOST = 16 };

/*
 * At most that many names are resolved at once. One that is dropped is not resolved, or its thread
 * frees it.
 */
static void test_bound(void) {
    struct addrinfo *found = NULL;
    tlsl_resolution *begun[MANY];
    int descriptors = open_descriptors();
    int asked_before = count_of(&names_asked);
    set_gate(false);
    for (int i = 0; i < MANY; i++) {
        CHECK(tlsl_resolve_begin("slow.test", "443", &found, &begun[i], NULL) == TLSLIFE_WANT_READ);
    }
    CHECK(wait_until(&running, MOST));
    for (int i = MANY - 1; i >= 1; i -= 2) {
        tlsl_resolution_drop(begun[i]);
    }
    CHECK(count_of(&running) == MOST && count_of(&running_most) == MOST);
    set_gate(true);
    for (int i = 0; i < MANY; i += 2) {
        CHECK(is_readable(tlsl_resolution_fd(begun[i]), 5000));
        CHECK(tlsl_resolution_end(begun[i], &found, NULL) == TLSLIFE_OK);
        freeaddrinfo(found);
        tlsl_resolution_drop(begun[i]);
    }
    CHECK(count_of(&running_most) == MOST);
    CHECK(count_of(&names_asked) - asked_before == MOST + (MANY - MOST) / 2);
    CHECK(descriptors_are(descriptors));
}

static void *resolve_on_and_on(void *wrong) {
    for (int i = 0; i < 100; i++) {
        struct addrinfo *found = NULL;
        tlsl_resolution *begun = NULL;
        bool ok = tlsl_resolve_begin("fast.test", "443", &found, &begun, NULL) == TLSLIFE_WANT_READ;
        if (ok && i % 3 != 0) { /* the third is dropped, wherever it is */
            ok = is_readable(tlsl_resolution_fd(begun), 5000) &&
                 tlsl_resolution_end(begun, &found, NULL) == TLSLIFE_OK;
            freeaddrinfo(found);
        }
        tlsl_resolution_drop(begun);
        *(bool *)wrong = *(bool *)wrong || !ok;
    }
    return NULL;
}

static void test_many_threads(void) {
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    bool wrong[THREADS] = {false};
    int descriptors = open_descriptors();
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, resolve_on_and_on, &wrong[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        CHECK(!wrong[i]);
    }
    CHECK(descriptors_are(descriptors));
}

/* ---------------------------------------------------------------------------------------- dials */

static tlslife_context *context;

static tlslife_conn *new_conn(bool blocking, int timeout_ms) {
    tlslife_conn *conn = tlslife_conn_new(context, NULL);
    if (conn == NULL) {
        abort();
    }
    tlslife_conn_set_blocking(conn, blocking);
    tlslife_conn_set_timeout_ms(conn, timeout_ms);
    return conn;
}

static tlslife_listener *listen_on(const char *host, const char *service, int backlog,
                                   char port[16]) {
    tlslife_listener *listener = tlslife_listen(host, service, backlog, false, NULL);
    if (listener == NULL) {
        abort();
    }
    (void)snprintf(port, 16, "%d", tlslife_listener_port(listener));
    return listener;
}

/* Waits for what wait_fd says, as a loop would, and counts how often. */
static tlslife_status dial(tlslife_conn *conn, const char *host, const char *port, int *waits) {
    tlslife_status status;
    *waits = 0;
    while ((status = tlslife_conn_dial(conn, host, port)) == TLSLIFE_WANT_READ ||
           status == TLSLIFE_WANT_WRITE) {
        bool writing = false;
        int timeout_ms = -1;
        int fd = tlslife_conn_wait_fd(conn, status, &writing, &timeout_ms);
        CHECK(fd >= 0 && fd == tlslife_conn_fd(conn) && writing == (status == TLSLIFE_WANT_WRITE));
        struct pollfd wait = {.fd = fd, .events = writing ? POLLOUT : POLLIN};
        (void)poll(&wait, 1, timeout_ms);
        ++*waits;
    }
    return status;
}

static void test_dial(void) {
    char port[16];
    int waits = 0;
    int descriptors = open_descriptors();
    tlslife_listener *listener = listen_on("127.0.0.1", "0", 0, port);
    tlslife_conn *conn = new_conn(false, -1);
    CHECK(dial(conn, "127.0.0.1", port, &waits) == TLSLIFE_OK);
    CHECK(dial(conn, "slow.test", port, &waits) == TLSLIFE_OK);
    CHECK_TEXT(tlslife_conn_hostname(conn), "slow.test");
    CHECK(dial(conn, "none.test", port, &waits) == TLSLIFE_ERROR);
    CHECK(tlslife_conn_error(conn)->kind == TLSLIFE_ERR_RESOLVE && tlslife_conn_fd(conn) == -1);
    CHECK(tlslife_conn_set_hostname(conn, "mine.test") == TLSLIFE_OK);
    CHECK(dial(conn, "fast.test", port, &waits) == TLSLIFE_OK);
    CHECK_TEXT(tlslife_conn_hostname(conn), "mine.test");
    tlslife_conn_set_blocking(conn, true);
    CHECK(count_of(&asked_here) == 0);
    CHECK(dial(conn, "fast.test", port, &waits) == TLSLIFE_OK && waits == 0);
    CHECK(count_of(&asked_here) == 1);
    tlslife_conn_free(conn);
    tlslife_listener_free(listener);
    CHECK(descriptors_are(descriptors));
}

/*
 * A dial that has begun is given up by another host, another transport, close_transport and free.
 */
static void test_let_go(void) {
    char port[16];
    int waits = 0;
    int descriptors = open_descriptors();
    tlslife_listener *listener = listen_on("127.0.0.1", "0", 0, port);
    tlslife_conn *conn = new_conn(false, -1);
    set_gate(false);
    CHECK(tlslife_conn_dial(conn, "slow.test", port) == TLSLIFE_WANT_READ);
    CHECK(tlslife_conn_dial(conn, "slow.test", port) == TLSLIFE_WANT_READ);
    CHECK(dial(conn, "fast.test", port, &waits) == TLSLIFE_OK);
    CHECK_TEXT(tlslife_conn_hostname(conn), "fast.test");
    CHECK(tlslife_conn_dial(conn, "slow.test", port) == TLSLIFE_WANT_READ);
    CHECK(tlslife_conn_set_memory(conn, 0) == TLSLIFE_OK && tlslife_conn_fd(conn) == -1);
    CHECK(tlslife_conn_dial(conn, "slow.test", port) == TLSLIFE_WANT_READ);
    tlslife_conn_close_transport(conn);
    CHECK(tlslife_conn_fd(conn) == -1);
    CHECK(tlslife_conn_dial(conn, "slow.test", port) == TLSLIFE_WANT_READ);
    tlslife_conn_free(conn);
    tlslife_listener_free(listener);
    CHECK(descriptors_are(descriptors)); /* with the threads still in it */
    set_gate(true);
    CHECK(wait_until(&running, 0));
}

/* A dial that was begun without waiting is finished by a call that waits. */
static void test_change_of_mode(void) {
    char port[16];
    tlslife_listener *listener = listen_on("127.0.0.1", "0", 0, port);
    tlslife_conn *conn = new_conn(false, -1);
    set_gate(false);
    CHECK(tlslife_conn_dial(conn, "slow.test", port) == TLSLIFE_WANT_READ);
    tlslife_conn_set_blocking(conn, true);
    tlslife_conn_set_timeout_ms(conn, 30);
    int64_t begun = tlsl_now_ms();
    CHECK(tlslife_conn_dial(conn, "slow.test", port) == TLSLIFE_TIMEOUT);
    CHECK(tlsl_now_ms() - begun >= 29);
    tlslife_conn_set_blocking(conn, false);
    CHECK(tlslife_conn_dial(conn, "slow.test", port) == TLSLIFE_WANT_READ);
    tlslife_conn_set_blocking(conn, true);
    tlslife_conn_set_timeout_ms(conn, 5000);
    set_gate(true);
    CHECK(tlslife_conn_dial(conn, "slow.test", port) == TLSLIFE_OK);
    tlslife_conn_free(conn);
    tlslife_listener_free(listener);
}

static void test_deadline(void) {
    int waits = 0;
    bool writing = false;
    int timeout_ms = -1;
    tlslife_conn *conn = new_conn(false, 80);
    set_gate(false);
    int64_t begun = tlsl_now_ms();
    CHECK(tlslife_conn_dial(conn, "slow.test", "1") == TLSLIFE_WANT_READ);
    (void)tlslife_conn_wait_fd(conn, TLSLIFE_WANT_READ, &writing, &timeout_ms);
    CHECK(timeout_ms > 0 && timeout_ms <= 80);
    tlslife_conn_set_timeout_ms(conn, 60000);
    tlslife_conn_set_timeout_ms(conn, 160); /* from now on, instead */
    CHECK(dial(conn, "slow.test", "1", &waits) == TLSLIFE_TIMEOUT);
    CHECK(tlsl_now_ms() - begun >= 159 && tlsl_now_ms() - begun < 2000);
    CHECK(tlslife_conn_wait_fd(conn, TLSLIFE_WANT_READ, &writing, &timeout_ms) == -1 &&
          timeout_ms == -1);
    CHECK(tlslife_conn_dial(conn, "slow.test", "1") == TLSLIFE_WANT_READ); /* begins anew */
    tlslife_conn_free(conn);
    set_gate(true);
    CHECK(wait_until(&running, 0));
}

/*
 * Makes connections until the listener's queue is full. From then on the address does not answer.
 */
static size_t fill(const char *host, const char *port, tlslife_conn **conns, size_t conns_max) {
    size_t count = 0;
    tlslife_status status = TLSLIFE_OK;
    while (status == TLSLIFE_OK && count < conns_max) {
        conns[count] = new_conn(true, 60);
        status = tlslife_conn_dial(conns[count++], host, port);
    }
    CHECK(status == TLSLIFE_TIMEOUT);
    return count;
}

static void test_share(bool blocking, int timeout_ms, int wanted_ms) {
    char port[16];
    char same_port[16];
    tlslife_conn *fillers[8];
    char address[64];
    int waits = 0;
    tlslife_listener *alive = listen_on("127.0.0.1", "0", 0, port);
    tlslife_listener *dead = listen_on("127.0.0.2", port, 1, same_port);
    size_t fillers_len = fill("127.0.0.2", port, fillers, sizeof fillers / sizeof fillers[0]);
    tlslife_conn *conn = new_conn(blocking, timeout_ms);
    int64_t begun = tlsl_now_ms();
    CHECK(dial(conn, "dead-first.test", port, &waits) == TLSLIFE_OK);
    int64_t took = tlsl_now_ms() - begun;
    CHECK(took >= wanted_ms - 1 && took < wanted_ms + 900);
    CHECK(tlslife_conn_peer_address(conn, address, sizeof address));
    CHECK(strncmp(address, "127.0.0.1:", 10) == 0);
    tlslife_listener_free(alive);
    tlslife_conn_set_timeout_ms(conn, 100);
    CHECK(dial(conn, "127.0.0.2", port, &waits) == TLSLIFE_TIMEOUT);
    /* One refuses, and the other might still answer. */
    CHECK(dial(conn, "dead-first.test", port, &waits) == TLSLIFE_TIMEOUT);
    tlslife_conn_free(conn);
    for (size_t i = 0; i < fillers_len; i++) {
        tlslife_conn_free(fillers[i]);
    }
    tlslife_listener_free(dead);
}

/* The second attempt is at the other family, though that one stands last. */
static void test_families(bool blocking) {
    char port[16];
    char same_port[16];
    tlslife_conn *fillers[8];
    char address[64];
    int waits = 0;
    tlslife_listener *v6 = tlslife_listen("::1", "0", 0, false, NULL);
    if (v6 == NULL) {
        puts("not tried: both families, without IPv6");
        return;
    }
    (void)snprintf(port, sizeof port, "%d", tlslife_listener_port(v6));
    int before = open_descriptors();
    tlslife_listener *alive = listen_on("127.0.0.1", port, 0, same_port);
    tlslife_listener *dead = listen_on("127.0.0.2", port, 1, same_port);
    size_t fillers_len = fill("127.0.0.2", port, fillers, sizeof fillers / sizeof fillers[0]);
    int descriptors = open_descriptors();
    tlslife_conn *conn = new_conn(blocking, 20000);
    int64_t begun = tlsl_now_ms();
    CHECK(dial(conn, "dead-first-and-v6.test", port, &waits) == TLSLIFE_OK);
    CHECK(tlsl_now_ms() - begun >= 249);
    CHECK(tlslife_conn_peer_address(conn, address, sizeof address));
    CHECK(strncmp(address, "[::1]:", 6) == 0);
    CHECK(descriptors_are(descriptors + 1));
    tlslife_conn_free(conn);
    for (size_t i = 0; i < fillers_len; i++) {
        tlslife_conn_free(fillers[i]);
    }
    tlslife_listener_free(dead);
    tlslife_listener_free(alive);
    CHECK(descriptors_are(before));
    tlslife_listener_free(v6);
}

/* -------------------------------------------------------------- while a thread is in the middle */

static tlslife_conn *begin_slow(int nth) {
    tlslife_conn *conn = new_conn(false, -1);
    set_gate(false);
    if (tlslife_conn_dial(conn, "slow.test", "1") != TLSLIFE_WANT_READ ||
        !wait_until(&running, nth)) {
        exit(3);
    }
    return conn;
}

static int status_of(pid_t child) {
    int status = -1;
    (void)waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#if defined(__SANITIZE_THREAD__)
static void test_fork(void) {
    puts("not tried: threads in a child of fork, under ThreadSanitizer");
}
#else
/*
 * A child of fork has none of the threads that wait for the condition. glibc's broadcast would wait
 * for those of them that had been woken, and had not gone on yet.
 */
static void open_gate_in_child(void) {
    pthread_mutex_lock(&lock);
    gate_is_open = true;
    pthread_mutex_unlock(&lock);
}

/* The child does not have the threads of its parent, and starts its own. */
static void child_of_fork(tlslife_conn **conns, size_t conns_len) {
    int waits = 0;
    int asked = count_of(&asked_here);
    bool failed = tlslife_conn_dial(conns[0], "slow.test", "1") == TLSLIFE_ERROR;
    open_gate_in_child();
    tlslife_conn *other = new_conn(false, -1);
    bool resolved =
        dial(other, "none.test", "1", &waits) == TLSLIFE_ERROR && count_of(&asked_here) == asked;
    for (size_t i = 0; i < conns_len; i++) {
        tlslife_conn_free(conns[i]);
    }
    tlslife_conn_free(other);
    end_child(failed && resolved ? 0 : 1);
}

static void test_fork(void) {
    tlslife_conn *conns[MOST];
    for (int i = 0; i < MOST; i++) { /* all threads that there may be */
        conns[i] = begin_slow(i + 1);
    }
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(20);
        child_of_fork(conns, MOST);
    }
    CHECK(status_of(child) == 0);
    for (int i = 0; i < MOST; i++) {
        tlslife_conn_free(conns[i]);
    }
    set_gate(true);
    CHECK(wait_until(&running, 0));
}
#endif

/* Runs this program again, for one scene. */
static int run_again(const char *scene) {
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(20);
        (void)execl("/proc/self/exe", "resolve_test", scene, (char *)NULL);
        _exit(127);
    }
    return status_of(child);
}

/* The program ends while a thread is resolving a name. */
static int scene_exit(void) {
    tlslife_conn_free(begin_slow(1));
    tlslife_context_free(context);
    return 0;
}

/*
 * The library is closed by dlclose, as lua_close does, while a thread is resolving. The thread then
 * ends in code that must still be there.
 */
static int scene_dlclose(const char *library) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    tlslife_context *(*new_context)(tlslife_role, tlslife_error *);
    tlslife_conn *(*conn_new)(tlslife_context *, tlslife_error *);
    void (*set_blocking)(tlslife_conn *, bool);
    tlslife_status (*conn_dial)(tlslife_conn *, const char *, const char *);
    if (handle == NULL) {
        return 4;
    }
    *(void **)&new_context = dlsym(handle, "tlslife_context_new");
    *(void **)&conn_new = dlsym(handle, "tlslife_conn_new");
    *(void **)&set_blocking = dlsym(handle, "tlslife_conn_set_blocking");
    *(void **)&conn_dial = dlsym(handle, "tlslife_conn_dial");
    tlslife_conn *conn = conn_new(new_context(TLSLIFE_CLIENT, NULL), NULL);
    set_blocking(conn, false);
    set_gate(false);
    if (conn_dial(conn, "slow.test", "1") != TLSLIFE_WANT_READ || !wait_until(&running, 1)) {
        return 5;
    }
    (void)dlclose(handle);
    set_gate(true);
    bool ended = wait_until(&running, 0);
    (void)poll(NULL, 0, 50); /* lets the thread end, which cannot be waited for */
    _exit(ended ? 0 : 6);    /* what is leaked here could not be freed: its library was closed */
}

static bool shared_library(char *path, size_t path_len) {
    ssize_t len = readlink("/proc/self/exe", path, path_len - 1);
    path[len > 0 ? len : 0] = '\0';
    char *end = strstr(path, "/spec/c/");
    if (end == NULL || (size_t)(end - path) + 16 > path_len) {
        return false;
    }
    (void)snprintf(end, path_len - (size_t)(end - path), "/libtlslife.so");
    return access(path, R_OK) == 0;
}

static void test_ends(void) {
    char path[PATH_MAX];
    CHECK(run_again("exit") == 0);
    if (shared_library(path, sizeof path)) {
        CHECK(run_again("dlclose") == 0);
    } else {
        puts("not tried: dlclose, without a shared library");
    }
}

static int run_scene(const char *scene) {
    char path[PATH_MAX];
    if (strcmp(scene, "exit") == 0) {
        return scene_exit();
    }
    return shared_library(path, sizeof path) ? scene_dlclose(path) : 7;
}

int main(int argc, char **argv) {
    main_thread = pthread_self();
    context = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    if (argc > 1) {
        return run_scene(argv[1]);
    }
    test_address();
    test_name();
    test_failure("none.test", TLSLIFE_ERR_RESOLVE, 0);
    test_failure("broken.test", TLSLIFE_ERR_SYSTEM, EIO);
    test_untaken();
    test_bound();
    test_many_threads();
    test_dial();
    test_let_go();
    test_change_of_mode();
    test_deadline();
    test_share(false, 600, 250);
    test_share(true, 200, 99);
    test_families(false);
    test_families(true);
    test_share(false, -1, 250);
    test_fork();
    test_ends();
    tlslife_context_free(context);
    return checks_end();
}
