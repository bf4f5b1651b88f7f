/*
 * transport_test.c: tests the parts of transports, which are byte queues, the BIO in memory, the
 * BIO over descriptors, waiting, dialling and listening.
 *
 * The specs test transports with TLS. The end of a stream and a peer that has gone are tested here
 * because libssl decides them by a BIO's answers alone.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "net/dial.h"
#include "net/fd.h"
#include "net/local.h"
#include "net/memory.h"
#include "net/tcp.h"
#include "tlslife.h"

#include "check.h"

#include <openssl/ssl.h>
#include <openssl/err.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* --------------------------------------------------------------------------------------- queues */

/*
 * The bytes of a long, fixed sequence, in which a byte that is lost, doubled or moved is noticed.
 */
static unsigned char nth_byte(size_t n) {
    return (unsigned char)((n * 2654435761u) >> 11);
}

static unsigned next_random(unsigned *state) {
    *state = *state * 1103515245u + 12345u;
    return *state >> 16;
}

static void put_some(tlsl_queue *queue, size_t *sent, size_t received, size_t wanted,
                     size_t capacity, bool *right) {
    unsigned char bytes[9000];
    for (size_t i = 0; i < wanted; i++) {
        bytes[i] = nth_byte(*sent + i);
    }
    size_t room = capacity - (*sent - received);
    size_t put = tlsl_queue_put(queue, bytes, wanted);
    *right = *right && put == (wanted < room ? wanted : room);
    *sent += put;
}

static void get_some(tlsl_queue *queue, size_t sent, size_t *received, size_t wanted, bool *right) {
    unsigned char bytes[9000];
    size_t there = sent - *received;
    size_t got = tlsl_queue_get(queue, bytes, wanted);
    *right =
        *right && got == (wanted < there ? wanted : there) && tlsl_queue_len(queue) == there - got;
    for (size_t i = 0; i < got; i++) {
        *right = *right && bytes[i] == nth_byte(*received + i);
    }
    *received += got;
}

/*
 * Compares random puts and gets with a count, while the queue wraps, grows, is emptied and filled.
 */
static void test_queue_order(size_t capacity) {
    tlsl_queue *queue = tlsl_queue_new(capacity);
    unsigned state = (unsigned)capacity;
    size_t sent = 0;
    size_t received = 0;
    bool right = queue != NULL;
    for (int i = 0; right && i < 3000; i++) {
        put_some(queue, &sent, received, next_random(&state) % 9000, capacity, &right);
        get_some(queue, sent, &received, next_random(&state) % 9000, &right);
    }
    while (right && received < sent) {
        get_some(queue, sent, &received, 9000, &right);
    }
    CHECK(right);
    CHECK(sent == received && sent > capacity);
    tlsl_queue_free(queue);
}

static void test_queue_end(void) {
    tlsl_queue *queue = tlsl_queue_new(100);
    char bytes[100];
    CHECK(tlsl_queue_get(queue, bytes, sizeof bytes) == 0);
    CHECK(!tlsl_queue_ended(queue));
    CHECK(tlsl_queue_put(queue, "four", 4) == 4);
    tlsl_queue_end(queue);
    CHECK(tlsl_queue_ended(queue));
    CHECK(tlsl_queue_put(queue, "more", 4) == 0);
    CHECK(tlsl_queue_get(queue, bytes, sizeof bytes) == 4 && memcmp(bytes, "four", 4) == 0);
    tlsl_queue_up_ref(queue);
    tlsl_queue_free(queue);
    CHECK(tlsl_queue_len(queue) == 0);
    tlsl_queue_free(queue);
    tlsl_queue_free(NULL);
}

/*
 * Says what an idle queue costs. It is not checked under a sanitizer, whose allocator mallinfo2
 * does not count.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static void test_queue_memory(void) {
    puts("not tried: the memory of a queue, under a sanitizer");
}
#else
static void test_queue_memory(void) {
    static unsigned char bytes[200000];
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    tlsl_queue *queue = tlsl_queue_new((size_t)1024 * 1024);
    CHECK(mallinfo2().uordblks + mallinfo2().hblkhd - before < 256);
    CHECK(tlsl_queue_put(queue, bytes, 100) == 100);
    CHECK(mallinfo2().uordblks + mallinfo2().hblkhd - before < 4700);
    CHECK(tlsl_queue_put(queue, bytes, sizeof bytes) == sizeof bytes);
    CHECK(mallinfo2().uordblks + mallinfo2().hblkhd - before < 2 * sizeof bytes);
    CHECK(tlsl_queue_get(queue, bytes, 100) == 100 &&
          tlsl_queue_get(queue, bytes, sizeof bytes) == sizeof bytes);
    CHECK(mallinfo2().uordblks + mallinfo2().hblkhd - before < 4700);
    CHECK(tlsl_queue_put(queue, bytes, 17000) == 17000 &&
          tlsl_queue_get(queue, bytes, 17000) == 17000);
    CHECK(mallinfo2().uordblks + mallinfo2().hblkhd - before < 33500);
    CHECK(tlsl_queue_put(queue, bytes, 100) == 100 && tlsl_queue_get(queue, bytes, 100) == 100);
    CHECK(mallinfo2().uordblks + mallinfo2().hblkhd - before < 4700);
    tlsl_queue_free(queue);
    CHECK(mallinfo2().uordblks + mallinfo2().hblkhd - before < 256);
}
#endif

/* ------------------------------------------------------------------------------------ in memory */

typedef struct memory_pair {
    tlsl_queue *to_b;
    tlsl_queue *to_a;
    BIO *a;
    BIO *b;
} memory_pair;

static memory_pair new_pair(size_t capacity) {
    memory_pair pair = {.to_b = tlsl_queue_new(capacity), .to_a = tlsl_queue_new(capacity)};
    pair.a = tlsl_memory_bio(pair.to_a, pair.to_b);
    pair.b = tlsl_memory_bio(pair.to_b, pair.to_a);
    tlsl_queue_free(pair.to_a);
    tlsl_queue_free(pair.to_b);
    return pair;
}

static void test_memory_bytes(void) {
    memory_pair pair = new_pair(1000);
    unsigned char bytes[600] = {0};
    CHECK(BIO_read(pair.b, bytes, sizeof bytes) == -1);
    CHECK(BIO_should_retry(pair.b) && BIO_should_read(pair.b) && !BIO_eof(pair.b));
    CHECK(BIO_write(pair.a, bytes, sizeof bytes) == 600);
    CHECK(BIO_write(pair.a, bytes, sizeof bytes) == 400);
    CHECK(BIO_write(pair.a, bytes, sizeof bytes) == -1);
    CHECK(BIO_should_retry(pair.a) && BIO_should_write(pair.a));
    CHECK(BIO_flush(pair.a) == 1);
    CHECK(BIO_wpending(pair.a) == 1000 && BIO_pending(pair.b) == 1000 && BIO_pending(pair.a) == 0);
    CHECK(BIO_read(pair.b, bytes, sizeof bytes) == 600);
    CHECK(!BIO_should_retry(pair.b));
    CHECK(BIO_write(pair.a, bytes, 1) == 1);
    CHECK(!BIO_should_retry(pair.a));
    BIO_free(pair.a);
    BIO_free(pair.b);
}

static void test_memory_ends(void) {
    memory_pair pair = new_pair(1000);
    char bytes[10];
    CHECK(BIO_write(pair.a, "last", 4) == 4);
    CHECK(BIO_write(pair.b, "lost", 4) == 4);
    BIO_free(pair.a);
    CHECK(!BIO_eof(pair.b));
    CHECK(BIO_read(pair.b, bytes, sizeof bytes) == 4 && memcmp(bytes, "last", 4) == 0);
    CHECK(BIO_read(pair.b, bytes, sizeof bytes) == 0);
    CHECK(BIO_eof(pair.b) && !BIO_should_retry(pair.b));
    errno = 0;
    CHECK(BIO_write(pair.b, "x", 1) == -1);
    CHECK(errno == EPIPE && !BIO_should_retry(pair.b));
    BIO_free(pair.b);
}

/* libssl tells an end from a wait by BIO_eof and the retry flags alone. */
static void test_memory_under_libssl(void) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    memory_pair pair = new_pair(65536);
    SSL_set_bio(ssl, pair.a, pair.a);
    int result = SSL_connect(ssl);
    CHECK(result == -1 && SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ);
    CHECK(BIO_pending(pair.b) > 100);
    BIO_free(pair.b);
    ERR_clear_error();
    result = SSL_connect(ssl);
    CHECK(result <= 0 && SSL_get_error(ssl, result) == SSL_ERROR_SSL);
    CHECK(ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
    SSL_free(ssl);

    ERR_clear_error();
    ssl = SSL_new(ctx);
    pair = new_pair(65536);
    SSL_set_bio(ssl, pair.a, pair.a);
    BIO_free(pair.b);
    errno = 0;
    result = SSL_connect(ssl);
    CHECK(result <= 0 && SSL_get_error(ssl, result) == SSL_ERROR_SYSCALL && errno == EPIPE);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    ERR_clear_error();
}

/* ---------------------------------------------------------------------------------- descriptors */

static bool is_open(int fd) {
    return fcntl(fd, F_GETFD) != -1;
}

static void close_both(const int fds[2]) {
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* Writes until the descriptor is full: it must say so, and not wait. */
static size_t fill(BIO *bio) {
    static const char bytes[30000];
    size_t total = 0;
    int put;
    while ((put = BIO_write(bio, bytes, sizeof bytes)) > 0) {
        total += (size_t)put;
    }
    CHECK(put == -1 && BIO_should_retry(bio) && BIO_should_write(bio));
    return total;
}

static size_t empty(BIO *bio) {
    char bytes[5000];
    size_t total = 0;
    int got;
    while ((got = BIO_read(bio, bytes, sizeof bytes)) > 0) {
        total += (size_t)got;
    }
    CHECK(got == -1 && BIO_should_retry(bio) && BIO_should_read(bio) && !BIO_eof(bio));
    return total;
}

/* Checks what holds for every kind with two ends. Neither of the two descriptors is O_NONBLOCK. */
static void test_both_ends(int read_fd, int write_fd) {
    int read_flags = fcntl(read_fd, F_GETFL);
    int write_flags = fcntl(write_fd, F_GETFL);
    BIO *reader = tlsl_fd_bio(NULL, read_fd, read_fd, false);
    BIO *writer = tlsl_fd_bio(NULL, write_fd, write_fd, false);
    char bytes[10];
    CHECK(tlsl_fd_read(reader) == read_fd && tlsl_fd_write(writer) == write_fd);
    CHECK((read_flags & O_NONBLOCK) == 0 && (write_flags & O_NONBLOCK) == 0);
    CHECK(empty(reader) == 0);
    CHECK(BIO_write(writer, "hello", 5) == 5);
    CHECK(BIO_flush(writer) == 1);
    CHECK(BIO_read(reader, bytes, sizeof bytes) == 5 && memcmp(bytes, "hello", 5) == 0);
    size_t total = fill(writer);
    CHECK(total > 0 && empty(reader) == total);
    CHECK(fcntl(read_fd, F_GETFL) == read_flags && fcntl(write_fd, F_GETFL) == write_flags);
    BIO_free(reader);
    BIO_free(writer);
    CHECK(is_open(read_fd) && is_open(write_fd));
}

static void test_end_of_stream(int read_fd, int write_fd) {
    BIO *reader = tlsl_fd_bio(NULL, read_fd, read_fd, true);
    BIO *writer = tlsl_fd_bio(NULL, write_fd, write_fd, true);
    char bytes[10];
    CHECK(BIO_write(writer, "bye", 3) == 3);
    BIO_free(writer);
    CHECK(!is_open(write_fd));
    CHECK(BIO_read(reader, bytes, sizeof bytes) == 3 && !BIO_eof(reader));
    CHECK(BIO_read(reader, bytes, sizeof bytes) == 0);
    CHECK(BIO_eof(reader) && !BIO_should_retry(reader));
    BIO_free(reader);
    CHECK(!is_open(read_fd));
}

static bool fails_in_silence(int write_fd) {
    sigset_t pipe_only, after, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigemptyset(&after);
    sigemptyset(&pending);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
    BIO *writer = tlsl_fd_bio(NULL, write_fd, write_fd, false);
    errno = 0;
    bool failed = BIO_write(writer, "x", 1) == -1 && errno == EPIPE && !BIO_should_retry(writer);
    BIO_free(writer);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &after);
    (void)sigpending(&pending);
    return failed && !sigismember(&pending, SIGPIPE) && !sigismember(&after, SIGPIPE);
}

/* Runs in a child with the default effect of SIGPIPE, which would end it. */
static void test_peer_gone(int write_fd) {
    pid_t child = fork();
    if (child == 0) {
        _exit(fails_in_silence(write_fd) ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A SIGPIPE that the program has blocked is still pending afterwards. */
static void test_pending_signal_stays(void) {
    int fds[2];
    sigset_t pipe_only, before, pending;
    CHECK(pipe(fds) == 0);
    (void)close(fds[0]);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    (void)raise(SIGPIPE);
    BIO *writer = tlsl_fd_bio(NULL, fds[1], fds[1], true);
    CHECK(BIO_write(writer, "x", 1) == -1 && errno == EPIPE);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGPIPE) == 1);
    const struct timespec at_once = {0, 0};
    CHECK(sigtimedwait(&pipe_only, NULL, &at_once) == SIGPIPE);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    BIO_free(writer);
}

static void test_kinds(void) {
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    test_both_ends(fds[0], fds[1]);
    test_end_of_stream(fds[0], fds[1]);
    CHECK(pipe(fds) == 0);
    test_both_ends(fds[0], fds[1]);
    test_end_of_stream(fds[0], fds[1]);
}

static void test_gone(void) {
    int fds[2];
    CHECK(pipe(fds) == 0);
    (void)close(fds[0]);
    test_peer_gone(fds[1]);
    (void)close(fds[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    (void)close(fds[0]);
    test_peer_gone(fds[1]);
    (void)close(fds[1]);
}

static void test_terminal(void) {
    int terminal, user;
    struct termios raw;
    char bytes[10];
    memset(&raw, 0, sizeof raw);
    cfmakeraw(&raw);
    if (openpty(&terminal, &user, NULL, &raw, NULL) != 0) {
        puts("not tried: no terminals here"); /* a bare chroot has no /dev/pts */
        return;
    }
    BIO *program = tlsl_fd_bio(NULL, user, user, false);
    BIO *screen = tlsl_fd_bio(NULL, terminal, terminal, false);
    CHECK(BIO_read(program, bytes, sizeof bytes) == -1 && BIO_should_read(program));
    CHECK(BIO_write(program, "hello", 5) == 5);
    struct pollfd wait = {.fd = terminal, .events = POLLIN};
    CHECK(poll(&wait, 1, 2000) == 1);
    CHECK(BIO_read(screen, bytes, sizeof bytes) == 5 && memcmp(bytes, "hello", 5) == 0);
    BIO_free(program);
    BIO_free(screen);
    (void)close(terminal);
    (void)close(user);
}

static void test_file(void) {
    char bytes[10];
    FILE *file = tmpfile();
    if (!CHECK(file != NULL)) {
        return;
    }
    int fd = fileno(file);
    BIO *bio = tlsl_fd_bio(NULL, fd, fd, false);
    CHECK(BIO_write(bio, "written", 7) == 7);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK(BIO_read(bio, bytes, sizeof bytes) == 7);
    CHECK(BIO_read(bio, bytes, sizeof bytes) == 0 && BIO_eof(bio));
    BIO_free(bio);
    (void)fclose(file);
}

static void test_failures(void) {
    int fds[2];
    char byte;
    CHECK(pipe(fds) == 0);
    BIO *bio = tlsl_fd_bio(NULL, fds[0], fds[1], false);
    close_both(fds);
    CHECK(BIO_read(bio, &byte, 1) == -1 && errno == EBADF && !BIO_should_retry(bio) &&
          !BIO_eof(bio));
    CHECK(BIO_write(bio, &byte, 1) == -1 && errno == EBADF && !BIO_should_retry(bio));
    BIO_free(bio);
}

static void test_ownership(void) {
    int fds[2];
    CHECK(pipe(fds) == 0);
    BIO *bio = tlsl_fd_bio(NULL, fds[0], fds[1], true);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    SSL_set_bio(ssl, bio, bio);
    CHECK(SSL_get_rfd(ssl) == fds[0]);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    CHECK(!is_open(fds[0]) && !is_open(fds[1]));
}

/* -------------------------------------------------------------------------------------- waiting */

static void on_alarm(int number) {
    (void)number;
}

static void test_waiting(void) {
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(tlsl_deadline(-1) == TLSL_NO_DEADLINE);
    int64_t begun = tlsl_now_ms();
    CHECK(tlsl_wait_fd(fds[0], POLLIN, tlsl_deadline(40)) == TLSLIFE_TIMEOUT);
    CHECK(tlsl_now_ms() - begun >= 39 && tlsl_now_ms() - begun < 2000);
    CHECK(tlsl_wait_fd(fds[0], POLLIN, tlsl_deadline(0)) == TLSLIFE_TIMEOUT);
    CHECK(tlsl_wait_fd(fds[0], POLLOUT, TLSL_NO_DEADLINE) == TLSLIFE_OK);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(tlsl_wait_fd(fds[0], POLLIN, tlsl_now_ms() - 5) == TLSLIFE_OK);
    close_both(fds);
    CHECK(tlsl_wait_fd(fds[0], POLLIN, tlsl_deadline(1000)) == TLSLIFE_ERROR && errno == EBADF);
}

/* Signals, every 7 ms; or none any more. */
static void set_signals(bool on) {
    struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval often = {.it_interval = {.tv_usec = 7000},
                                    .it_value = {.tv_usec = 7000}};
    const struct itimerval never = {.it_value = {0}};
    CHECK(!on || sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, on ? &often : &never, NULL) == 0);
    if (!on) {
        (void)signal(SIGALRM, SIG_DFL);
    }
}

/* Signals neither end a wait early nor make it longer. */
static void test_waiting_with_signals(void) {
    int fds[2];
    CHECK(pipe(fds) == 0);
    int64_t begun = tlsl_now_ms();
    set_signals(true);
    CHECK(tlsl_wait_fd(fds[0], POLLIN, tlsl_deadline(60)) == TLSLIFE_TIMEOUT);
    set_signals(false);
    CHECK(tlsl_now_ms() - begun >= 59 && tlsl_now_ms() - begun < 2000);
    close_both(fds);
}

/* Starts a process that writes a byte to fd and closes it, after 60 ms. */
static pid_t write_later(int fd) {
    pid_t child = fork();
    if (child == 0) {
        (void)usleep(60000);
        _exit(write(fd, "x", 1) == 1 ? 0 : 1);
    }
    return child;
}

static void await_child(pid_t child) {
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

/*
 * A BIO that may wait does so within the call, whatever signals come. It does not change the flags
 * of a descriptor.
 */
static void test_waiting_within(void) {
    int fds[2];
    char byte;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    BIO *bio = tlsl_fd_bio(NULL, fds[0], fds[0], false);
    tlsl_fd_set_waits(bio, true);
    int64_t begun = tlsl_now_ms();
    pid_t child = write_later(fds[1]);
    set_signals(true);
    CHECK(BIO_read(bio, &byte, 1) == 1);
    set_signals(false);
    CHECK(tlsl_now_ms() - begun >= 50);
    await_child(child);
    tlsl_fd_set_waits(bio, false);
    CHECK(empty(bio) == 0);
    tlsl_fd_set_waits(bio, true);
    CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0 && empty(bio) == 0);
    BIO_free(bio);
    close_both(fds);
}

/* A context with a key, so that it can serve clients. */
static tlslife_context *server_context(tlslife_error *err) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, err);
    CHECK(tlslife_context_add_psk(context, "me", (const unsigned char *)"key", 3, err) ==
          TLSLIFE_OK);
    return context;
}

/* Each setting counts from the next call on, whatever was set before. */
static void test_waiting_of_connections(void) {
    int fds[2];
    tlslife_error err;
    tlslife_context *context = server_context(&err);
    tlslife_conn *conn = tlslife_conn_new(context, &err);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 &&
          tlslife_conn_set_fd(conn, fds[0]) == TLSLIFE_OK);
    tlslife_conn_set_timeout_ms(conn, 20);
    CHECK(tlslife_conn_accept(conn) == TLSLIFE_TIMEOUT);
    tlslife_conn_set_blocking(conn, false);
    CHECK(tlslife_conn_accept(conn) == TLSLIFE_WANT_READ);
    tlslife_conn_set_timeout_ms(conn, -1);
    CHECK(tlslife_conn_accept(conn) == TLSLIFE_WANT_READ);
    CHECK(tlslife_conn_set_fd(conn, fds[0]) == TLSLIFE_OK);
    CHECK(tlslife_conn_accept(conn) == TLSLIFE_WANT_READ);
    tlslife_conn_set_blocking(conn, true);
    pid_t child = write_later(fds[1]);
    (void)close(fds[1]);
    set_signals(true);
    CHECK(tlslife_conn_accept(conn) == TLSLIFE_TRUNCATED);
    set_signals(false);
    await_child(child);
    tlslife_conn_free(conn);
    tlslife_context_free(context);
    (void)close(fds[0]);
}

/* -------------------------------------------------------------------------- dialling, listening */

static const char *port_text(int port) {
    static char text[16];
    (void)snprintf(text, sizeof text, "%d", port);
    return text;
}

/* Dials to the end, at most two seconds. */
static tlslife_status dial(const char *host, const char *service, int *out_fd, tlslife_error *err) {
    tlsl_dial *dialling = tlsl_dial_new(host, service, true, TLSL_NO_DEADLINE, err);
    if (dialling == NULL) {
        return TLSLIFE_ERROR;
    }
    CHECK(tlsl_dial_is(dialling, host, service) && !tlsl_dial_is(dialling, host, "other"));
    int64_t deadline = tlsl_deadline(2000);
    tlslife_status status;
    while ((status = tlsl_dial_step(dialling, out_fd, err)) == TLSLIFE_WANT_WRITE) {
        bool writing = false;
        if (tlsl_wait_fd(tlsl_dial_fd(dialling, &writing), POLLOUT, deadline) != TLSLIFE_OK) {
            status = TLSLIFE_TIMEOUT;
            break;
        }
    }
    tlsl_dial_free(dialling);
    return status;
}

/* A port that is bound and not listened on, so that it refuses connections. */
static int refusing_port(int *out_fd) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t address_len = sizeof address;
    *out_fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(*out_fd, (const struct sockaddr *)&address, sizeof address) == 0);
    CHECK(getsockname(*out_fd, (struct sockaddr *)&address, &address_len) == 0);
    return ntohs(address.sin_port);
}

static void test_dial_failures(void) {
    tlslife_error err;
    int fd = -1;
    int holder;
    int port = refusing_port(&holder);
    CHECK(dial("127.0.0.1", port_text(port), &fd, &err) == TLSLIFE_ERROR);
    CHECK(err.kind == TLSLIFE_ERR_SYSTEM && err.system_errno == ECONNREFUSED && fd == -1);
    CHECK(strstr(err.message, "127.0.0.1") != NULL &&
          strstr(err.message, "Connection refused") != NULL);
    (void)close(holder);
    char label[80];
    memset(label, 'a', sizeof label - 1); /* longer than a label may be, so no resolver is asked */
    label[sizeof label - 1] = '\0';
    CHECK(dial(label, "443", &fd, &err) == TLSLIFE_ERROR && err.kind == TLSLIFE_ERR_RESOLVE);
    CHECK(dial("127.0.0.1", "no-such-service", &fd, &err) == TLSLIFE_ERROR &&
          err.kind == TLSLIFE_ERR_RESOLVE);
    CHECK(dial(label, "443", &fd, NULL) == TLSLIFE_ERROR);
    tlsl_dial_free(NULL);
}

static void check_connected(int fd) {
    int no_delay = 0;
    socklen_t len = sizeof no_delay;
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len) == 0 && no_delay != 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void test_dial(void) {
    tlslife_error err;
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 0, false, &err);
    if (!CHECK(listener != NULL)) {
        return;
    }
    int fd = -1;
    char address[64];
    char wanted[64];
    CHECK(dial("127.0.0.1", port_text(tlslife_listener_port(listener)), &fd, &err) == TLSLIFE_OK &&
          fd >= 0);
    check_connected(fd);
    (void)snprintf(wanted, sizeof wanted, "127.0.0.1:%d", tlslife_listener_port(listener));
    CHECK(tlsl_peer_address(fd, address, sizeof address));
    CHECK_TEXT(address, wanted);
    CHECK(!tlsl_peer_address(fd, address, 5));
    CHECK(!tlsl_peer_address(tlslife_listener_fd(listener), address, sizeof address));
    (void)close(fd);
    tlslife_listener_free(listener);
}

/* Replaces the C library's function in this program, so that one name surely has two addresses. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (host == NULL || strcmp(host, "two.test") != 0) {
        return real(host, service, hints, out);
    }
    int result = real("127.0.0.2", service, hints, out);
    return result != 0 ? result : real("127.0.0.1", service, hints, &(*out)->ai_next);
}

/* No server listens on the first address, so the second is tried. */
static void test_dial_two_addresses(void) {
    tlslife_error err;
    int fd = -1;
    char address[64];
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 0, false, &err);
    const char *port = port_text(tlslife_listener_port(listener));
    CHECK(dial("two.test", port, &fd, &err) == TLSLIFE_OK && fd >= 0);
    CHECK(tlsl_peer_address(fd, address, sizeof address) &&
          strncmp(address, "127.0.0.1:", 10) == 0);
    (void)close(fd);
    fd = -1;
    tlslife_listener_free(listener);
    CHECK(dial("two.test", port, &fd, &err) == TLSLIFE_ERROR && fd == -1);
    CHECK(err.kind == TLSLIFE_ERR_SYSTEM && err.system_errno == ECONNREFUSED);
}

/*
 * A listener whose queue is full does not answer. The dial waits, and its descriptor is closed with
 * it.
 */
static void test_dial_waits(void) {
    tlslife_error err;
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 1, false, &err);
    const char *port = port_text(tlslife_listener_port(listener));
    tlsl_dial *dials[8];
    int fds[8];
    int count = 0;
    bool writing = false;
    tlslife_status status = TLSLIFE_OK;
    while (status == TLSLIFE_OK && count < 8) {
        fds[count] = -1;
        dials[count] = tlsl_dial_new("127.0.0.1", port, true, TLSL_NO_DEADLINE, &err);
        status = tlsl_dial_step(dials[count], &fds[count], &err);
        if (status == TLSLIFE_WANT_WRITE &&
            tlsl_wait_fd(tlsl_dial_fd(dials[count], &writing), POLLOUT, tlsl_deadline(50)) ==
                TLSLIFE_OK) {
            status = tlsl_dial_step(dials[count], &fds[count], &err);
        }
        count++;
    }
    CHECK(status == TLSLIFE_WANT_WRITE && count > 1);
    int waiting = tlsl_dial_fd(dials[count - 1], &writing);
    CHECK(waiting >= 0 && writing);
    CHECK(tlsl_dial_step(dials[count - 1], &fds[count - 1], &err) == TLSLIFE_WANT_WRITE);
    for (int i = 0; i < count; i++) {
        tlsl_dial_free(dials[i]);
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    CHECK(!is_open(waiting));
    tlslife_listener_free(listener);
}

/* An address of the kernel's or of a PROXY header, as text: none where it is cut or of no kind. */
static void test_addresses_as_text(void) {
    struct sockaddr_storage any;
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&any;
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/s"};
    const socklen_t path = offsetof(struct sockaddr_un, sun_path);
    char text[64];
    memset(&any, 0, sizeof any);
    CHECK(!tlsl_address_text(&any, sizeof any, text, sizeof text));
    memcpy(&any, &local, sizeof local);
    CHECK(!tlsl_address_text(&any, sizeof local, text, sizeof text)); /* it has no port */
    memset(&any, 0, sizeof any);
    in->sin_family = AF_INET;
    in->sin_port = htons(443);
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(tlsl_address_text(&any, sizeof *in, text, sizeof text));
    CHECK_TEXT(text, "127.0.0.1:443");
    CHECK(!tlsl_address_text(&any, sizeof *in - 1, text, sizeof text));
    CHECK(!tlsl_address_text(&any, sizeof *in, text, sizeof "127.0.0.1:443" - 1));
    CHECK(tlsl_local_text(&local, sizeof local, text, sizeof text));
    CHECK_TEXT(text, "unix:/run/s");
    CHECK(!tlsl_local_text(&local, sizeof local, text, sizeof "unix:/run/s" - 1));
    CHECK(!tlsl_local_text(&local, path, text, sizeof text)); /* a socket without a name */
    memcpy(local.sun_path, "\0name", 5);
    CHECK(tlsl_local_text(&local, path + 5, text, sizeof text));
    CHECK_TEXT(text, "unix:@name");
}

static void test_listen(void) {
    tlslife_error err;
    tlslife_listener *first = tlslife_listen("127.0.0.1", "0", 0, false, &err);
    if (!CHECK(first != NULL)) {
        return;
    }
    CHECK(tlslife_listener_port(first) > 0);
    CHECK((fcntl(tlslife_listener_fd(first), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(tlslife_listen("127.0.0.1", port_text(tlslife_listener_port(first)), 0, false, &err) ==
          NULL);
    CHECK(err.kind == TLSLIFE_ERR_SYSTEM && err.system_errno == EADDRINUSE);
    int fd = tlslife_listener_fd(first);
    tlslife_listener_free(first);
    CHECK(!is_open(fd));
    first = tlslife_listen("127.0.0.1", "0", 0, true, &err);
    tlslife_listener *second =
        tlslife_listen("127.0.0.1", port_text(tlslife_listener_port(first)), 0, true, &err);
    CHECK(second != NULL);
    tlslife_listener_free(first);
    tlslife_listener_free(second);
    CHECK(tlslife_listen("127.0.0.1", "no-such-service", 0, false, &err) == NULL &&
          err.kind == TLSLIFE_ERR_RESOLVE);
    CHECK(tlslife_listen("192.0.2.1", "0", 0, false, &err) == NULL &&
          err.system_errno == EADDRNOTAVAIL);
    tlslife_listener_free(NULL);
}

static void test_accept(tlslife_listener *listener, tlslife_context *context, const char *host) {
    tlslife_error err;
    tlslife_conn *conn = NULL;
    int fd = -1;
    char address[64];
    CHECK(dial(host, port_text(tlslife_listener_port(listener)), &fd, &err) == TLSLIFE_OK);
    CHECK(tlslife_listener_accept(listener, context, 2000, &conn, &err) == TLSLIFE_OK);
    if (CHECK(conn != NULL)) {
        check_connected(tlslife_conn_fd(conn));
        CHECK(tlslife_conn_peer_address(conn, address, sizeof address));
        CHECK(strncmp(address, strchr(host, ':') != NULL ? "[::1]:" : "127.0.0.1:", 6) == 0);
        int accepted = tlslife_conn_fd(conn);
        tlslife_conn_free(conn);
        CHECK(!is_open(accepted));
    }
    (void)close(fd);
}

static bool has_ipv6(void) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return has;
}

static int listening_fd(void) {
    int fd = -1;
    (void)refusing_port(&fd);
    CHECK(listen(fd, 8) == 0);
    return fd;
}

static void test_listener(void) {
    tlslife_error err;
    tlslife_conn *conn = NULL;
    tlslife_context *context = server_context(&err);
    tlslife_listener *listener = tlslife_listen(NULL, "0", 0, false, &err);
    CHECK(tlslife_listener_accept(listener, context, 0, &conn, &err) == TLSLIFE_WANT_READ);
    int64_t begun = tlsl_now_ms();
    CHECK(tlslife_listener_accept(listener, context, 40, &conn, &err) == TLSLIFE_TIMEOUT);
    CHECK(tlsl_now_ms() - begun >= 39);
    CHECK(conn == NULL);
    test_accept(listener, context, "127.0.0.1");
    test_accept(listener, context, "127.0.0.1"); /* the socket is known to pass its options on */
    if (has_ipv6()) {
        test_accept(listener, context, "::1");
    } else {
        puts("not tried: no IPv6 here");
    }
    tlslife_listener_free(listener);
    int fd = listening_fd(); /* without TCP_NODELAY */
    listener = tlslife_listen_fd(fd, &err);
    for (int i = 0; i < 2 && CHECK(listener != NULL); i++) {
        test_accept(listener, context, "127.0.0.1");
    }
    tlslife_listener_free(listener);
    tlslife_context_free(context);
}

/* A client that comes after 60 ms. */
static pid_t connect_later(const tlslife_listener *listener) {
    pid_t child = fork();
    if (child == 0) {
        int fd = -1;
        (void)usleep(60000);
        _exit(dial("127.0.0.1", port_text(tlslife_listener_port(listener)), &fd, NULL) == TLSLIFE_OK
                  ? 0
                  : 1);
    }
    return child;
}

/*
 * Waits without a deadline, before and after a call with one, which makes the socket non-blocking.
 */
static void test_accept_waits(void) {
    tlslife_error err;
    tlslife_conn *conn = NULL;
    tlslife_context *context = server_context(&err);
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 0, false, &err);
    for (int i = 0; i < 2; i++) {
        bool non_blocking = (fcntl(tlslife_listener_fd(listener), F_GETFL) & O_NONBLOCK) != 0;
        CHECK(non_blocking == (i > 0));
        pid_t child = connect_later(listener);
        set_signals(true);
        CHECK(tlslife_listener_accept(listener, context, -1, &conn, &err) == TLSLIFE_OK);
        set_signals(false);
        await_child(child);
        tlslife_conn_free(conn);
        CHECK(tlslife_listener_accept(listener, context, 0, &conn, &err) == TLSLIFE_WANT_READ);
    }
    tlslife_listener_free(listener);
    tlslife_context_free(context);
}

/*
 * No descriptor is left, which is an error. The client still waits, and is served once there is one
 * again.
 */
static void test_accept_without_descriptors(void) {
    tlslife_error err;
    tlslife_conn *conn = NULL;
    struct rlimit before, none;
    int fd = -1;
    tlslife_context *context = server_context(&err);
    tlslife_listener *listener = tlslife_listen("127.0.0.1", "0", 0, false, &err);
    CHECK(dial("127.0.0.1", port_text(tlslife_listener_port(listener)), &fd, &err) == TLSLIFE_OK);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = (rlim_t)fd + 1;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(tlslife_listener_accept(listener, context, 2000, &conn, &err) == TLSLIFE_ERROR);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(err.kind == TLSLIFE_ERR_SYSTEM && err.system_errno == EMFILE);
    CHECK(tlslife_listener_accept(listener, context, 2000, &conn, &err) == TLSLIFE_OK);
    tlslife_conn_free(conn);
    (void)close(fd);
    tlslife_listener_free(listener);
    tlslife_context_free(context);
}

int main(void) {
    test_queue_order(1);
    test_queue_order(4096);
    test_queue_order(10000);
    test_queue_order(65536);
    test_queue_end();
    test_queue_memory();
    test_memory_bytes();
    test_memory_ends();
    test_memory_under_libssl();
    test_kinds();
    test_gone();
    test_pending_signal_stays();
    test_terminal();
    test_file();
    test_failures();
    test_ownership();
    test_waiting();
    test_waiting_with_signals();
    test_waiting_within();
    test_waiting_of_connections();
    test_dial_failures();
    test_dial();
    test_dial_two_addresses();
    test_dial_waits();
    test_addresses_as_text();
    test_listen();
    test_listener();
    test_accept_waits();
    test_accept_without_descriptors();
    return checks_end();
}
