/*
 * client.c: the client that drives the servers of bench/tcp.lua and bench/server.lua in turns, and
 * reads how much processor time they used.
 *
 *   client MODE TLSv1.2|TLSv1.3 CONNECTIONS TURNS AMOUNT PATH port:pid[,pid...]...
 *
 *   one         A turn is AMOUNT connections, one after the other. Each offers the newest session
 *               that the server gave, sends one request, reads the answer up to close_notify and
 *               answers that. A first connection, which brings a session, is not counted.
 *   keep        CONNECTIONS to each server are opened first. A turn is AMOUNT waves. In a wave
 *               every connection asks, then every answer is read. So the server has as much to do
 *               as it has connections, and sleeps once per wave at most.
 *   full        A turn is AMOUNT connections: handshake, one request, its answer, close_notify,
 *               close. CONNECTIONS are under way at once, and none offers a session.
 *   resumed     The same, but each connection offers a session that the server gave, each once.
 *   wide        As full, but any connection that is ready goes on, so that no server waits for
 *               another's turn. This costs the client more.
 *   idle        CONNECTIONS are opened, each asks once and stays open.
 *
 * A connection that was not resumed where it should be, or was where it should not, ends the run,
 * as does a failed one, because a server that resumes only some connections is not measured.
 *
 * The output is a line for each server: processor nanoseconds of its processes, user's and
 * system's, and wall nanoseconds, both per operation, the number of operations, and how many of
 * them had to offer a session once more because the server had given too few. For idle it is the
 * growth of the processes' private memory in bytes per connection. The clock is the servers' own
 * (clock_getcpuclockid(3)), so nothing that this program does is in it. It waits for answers one
 * after the other and in the order of asking on blocking sockets, which costs the least. No
 * tlslife in it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "../support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    SERVERS_MAX = 16,
    WORKERS_MAX = 16,
    ANSWER_MAX = 65536,
    WARM_UP = 8,
    AT_ONCE = 32,
    SESSIONS_MAX = 128
};

typedef struct server {
    const char *word; /* as it was named */
    pid_t pids[WORKERS_MAX];
    clockid_t clocks[WORKERS_MAX];
    SSL **connections;                   /* a ring of them */
    SSL_SESSION *sessions[SESSIONS_MAX]; /* that it gave, and that were not offered yet */
    size_t sessions_len;
    double cpu, wall;
    long operations, again;
    int workers, port;
    bool resume;      /* each connection offers a session */
    bool newest_only; /* of the sessions, the last one is kept */
} server;

typedef struct drive {
    SSL_CTX *ctx;
    char request[256];
    size_t request_len;
    size_t connections, turns, amount;
} drive;

typedef bool work_fn(const drive *run, server *to);

/* ------------------------------------------------------------------------------- one connection */

/* Called by libssl with each session that may be offered. */
static int keep_session(SSL *ssl, SSL_SESSION *session) {
    server *from = SSL_get_app_data(ssl);
    if (from->newest_only && from->sessions_len == 1) {
        SSL_SESSION_free(from->sessions[--from->sessions_len]);
    }
    if (from->sessions_len == SESSIONS_MAX) {
        return 0;
    }
    from->sessions[from->sessions_len++] = session;
    return 1;
}

/*
 * The servers present certificates that were made for this run, and verification would not be a
 * server's work. With one suite and one group all servers do the same sums, except in the mode
 * `one`, which leaves both to OpenSSL.
 */
static SSL_CTX *new_ctx(const char *mode, const char *version) {
    SSL_CTX *ctx = new_context(TLS_client_method(), parse_version(version));
    bool fixed = strcmp(mode, "one") != 0;
    if (ctx == NULL || (fixed && (SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384") != 1 ||
                                  SSL_CTX_set1_groups_list(ctx, "X25519") != 1))) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_read_ahead(ctx, 1);
    set_client_sessions(ctx, keep_session);
    return ctx;
}

static void hang_up(SSL *ssl) {
    if (ssl != NULL) {
        int fd = SSL_get_fd(ssl);
        ERR_clear_error();
        (void)SSL_shutdown(ssl);
        SSL_free(ssl);
        (void)close(fd);
    }
}

/*
 * Offers a session. The last one is kept and copies of it are offered, since libssl's client offers
 * a TLS 1.3 session once only.
 */
static bool offer(SSL *ssl, server *to) {
    bool last = to->sessions_len == 1;
    SSL_SESSION *session =
        last ? SSL_SESSION_dup(to->sessions[0]) : to->sessions[--to->sessions_len];
    bool ok = session != NULL && SSL_set_session(ssl, session) == 1;
    to->again += last;
    SSL_SESSION_free(session);
    return ok;
}

/*
 * A connection whose ClientHello has been sent, so that the server may begin. The client does not
 * wait, although a quick server may have answered already.
 */
static SSL *say_hello(const drive *run, server *to) {
    int fd = dial_loopback(to->port);
    SSL *ssl = fd < 0 ? NULL : SSL_new(run->ctx);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        return NULL;
    }
    SSL_set_app_data(ssl, to);
    SSL_set_connect_state(ssl);
    ERR_clear_error();
    if ((to->resume && !offer(ssl, to)) || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        return NULL;
    }
    int result = SSL_do_handshake(ssl);
    bool well = result == 1 || SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ;
    return well && fcntl(fd, F_SETFL, 0) == 0 ? ssl : NULL;
}

static bool ask(const drive *run, SSL *ssl) {
    size_t written;
    return SSL_write_ex(ssl, run->request, run->request_len, &written) == 1;
}

static bool shake_and_ask(const drive *run, SSL *ssl, const server *to) {
    bool resumed = to->resume;
    ERR_clear_error();
    return SSL_do_handshake(ssl) == 1 && (SSL_session_reused(ssl) == 1) == resumed && ask(run, ssl);
}

/* Reads the whole answer: headers, which come in one record, and Content-Length bytes. */
static bool take_answer(SSL *ssl) {
    static char text[ANSWER_MAX + 1];
    size_t len, got;
    ERR_clear_error();
    if (SSL_read_ex(ssl, text, ANSWER_MAX, &len) != 1) {
        return false;
    }
    text[len] = '\0';
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strcasestr(text, "\r\nContent-Length: ");
    if (strncmp(text, "HTTP/1.1 200", 12) != 0 || end == NULL || length == NULL || length > end) {
        return false;
    }
    size_t wanted = strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
    got = len - (size_t)(end + 4 - text);
    while (got < wanted && SSL_read_ex(ssl, text, ANSWER_MAX, &len) == 1) {
        got += len;
    }
    return got == wanted;
}

/* --------------------------------------------------------------------------------- what is done */

/*
 * Opens `count` connections, each of which has asked and got its answer. AT_ONCE are under way at
 * once.
 */
static bool open_all(const drive *run, server *to, size_t count) {
    for (size_t i = 0; i < count + AT_ONCE; i++) {
        if (i >= AT_ONCE && (!shake_and_ask(run, to->connections[i - AT_ONCE], to) ||
                             !take_answer(to->connections[i - AT_ONCE]))) {
            return false;
        }
        if (i < count && (to->connections[i] = say_hello(run, to)) == NULL) {
            return false;
        }
    }
    return true;
}

static void close_all(server *to, size_t count) {
    for (size_t i = 0; i < count; i++) {
        hang_up(to->connections[i]);
        to->connections[i] = NULL;
    }
}

static bool waves(const drive *run, server *to) {
    for (size_t wave = 0; wave < run->amount; wave++) {
        for (size_t i = 0; i < run->connections; i++) {
            if (!ask(run, to->connections[i])) {
                return false;
            }
        }
        for (size_t i = 0; i < run->connections; i++) {
            if (!take_answer(to->connections[i])) {
                return false;
            }
        }
    }
    to->operations += (long)(run->amount * run->connections);
    return true;
}

/*
 * Three stages, half the ring apart: hello, then the handshake's end and the request, then the
 * answer and the end. So the server always has other connections to serve.
 */
static bool handshakes(const drive *run, server *to) {
    size_t half = run->connections / 2, ring = half * 2;
    for (size_t i = 0; i < run->amount + ring; i++) {
        SSL **here = &to->connections[i % ring], **middle = &to->connections[(i + half) % ring];
        if (i >= ring) {
            if (!take_answer(*here)) {
                return false;
            }
            hang_up(*here);
            *here = NULL;
        }
        if (i >= half && i - half < run->amount && !shake_and_ask(run, *middle, to)) {
            return false;
        }
        if (i < run->amount && (*here = say_hello(run, to)) == NULL) {
            return false;
        }
    }
    to->operations += (long)run->amount;
    return true;
}

/* ------------------------------------------------------------------------ one after the other */

/* One request, the whole answer, and close_notify both ways. */
static bool ask_to_the_end(const drive *run, SSL *ssl) {
    char text[4096];
    size_t len, got = 0;
    int result = 0;
    if (!ask(run, ssl)) {
        return false;
    }
    while ((result = SSL_read_ex(ssl, text, sizeof text, &len)) == 1) {
        got += len;
    }
    return SSL_get_error(ssl, result) == SSL_ERROR_ZERO_RETURN && got > 0 && SSL_shutdown(ssl) == 1;
}

static bool talk(const drive *run, SSL *ssl, server *to, int fd) {
    static char host[] = "localhost"; /* not const, since OpenSSL's macro casts that away */
    bool offered = to->sessions_len == 1;
    SSL_set_app_data(ssl, to);
    ERR_clear_error();
    return SSL_set_fd(ssl, fd) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1 &&
           (!offered || SSL_set_session(ssl, to->sessions[0]) == 1) && SSL_connect(ssl) == 1 &&
           ask_to_the_end(run, ssl) && (SSL_session_reused(ssl) == 1) == offered &&
           to->sessions_len == 1;
}

static bool visit(const drive *run, server *to) {
    int fd = dial_loopback(to->port);
    SSL *ssl = fd < 0 ? NULL : SSL_new(run->ctx);
    bool ok = ssl != NULL && talk(run, ssl, to, fd);
    SSL_free(ssl);
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

static bool visits(const drive *run, server *to) {
    for (size_t i = 0; i < run->amount; i++) {
        if (!visit(run, to)) {
            return false;
        }
    }
    to->operations += (long)run->amount;
    return true;
}

/* ------------------------------------------------------------------------- all at the same time */

typedef enum progress { FAILED, WAITING, ENDED } progress;

/*
 * Goes on with a connection as far as possible without waiting. *asked says that its handshake is
 * done and its request sent.
 */
static progress go_on(const drive *run, SSL *ssl, bool *asked) {
    unsigned char byte;
    size_t len;
    ERR_clear_error();
    int result = *asked ? SSL_peek_ex(ssl, &byte, 1, &len) : SSL_do_handshake(ssl);
    if (result != 1) {
        return SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ ? WAITING : FAILED;
    }
    if (*asked) {
        return take_answer(ssl) ? ENDED : FAILED; /* in one record with what was peeked at */
    }
    *asked = ask(run, ssl);
    return *asked ? WAITING : FAILED;
}

static bool begin(const drive *run, server *to, size_t i, struct pollfd *wait) {
    SSL *ssl = to->connections[i] = say_hello(run, to);
    *wait = (struct pollfd){.fd = ssl == NULL ? -1 : SSL_get_fd(ssl), .events = POLLIN};
    return ssl != NULL && fcntl(wait->fd, F_SETFL, O_NONBLOCK) == 0;
}

static bool wide(const drive *run, server *to) {
    enum { WIDE_MAX = 256 };
    struct pollfd waits[WIDE_MAX];
    bool asked[WIDE_MAX] = {false};
    size_t begun = 0, ended = 0, count = run->connections < WIDE_MAX ? run->connections : WIDE_MAX;
    count = count < run->amount ? count : run->amount;
    for (; begun < count; begun++) {
        if (!begin(run, to, begun, &waits[begun])) {
            return false;
        }
    }
    while (ended < run->amount && poll(waits, (nfds_t)count, 20000) > 0) {
        for (size_t i = 0; i < count; i++) {
            progress how = waits[i].fd >= 0 && waits[i].revents != 0
                               ? go_on(run, to->connections[i], &asked[i])
                               : WAITING;
            if (how == ENDED) {
                hang_up(to->connections[i]);
                to->connections[i] = NULL;
                asked[i] = false;
                waits[i].fd = -1;
                ended++;
                how = begun == run->amount || (begun++, begin(run, to, i, &waits[i])) ? WAITING
                                                                                      : FAILED;
            }
            if (how == FAILED) {
                return false;
            }
        }
    }
    to->operations += (long)run->amount;
    return ended == run->amount;
}

/* ---------------------------------------------------------------------------------------- turns */

static double used(const server *by) {
    double sum = 0;
    for (int i = 0; i < by->workers; i++) {
        sum += clock_ns(by->clocks[i]);
    }
    return sum;
}

/* Each round of turns begins with another server. The server that failed, or NULL. */
static server *take_turns(const drive *run, server *servers, size_t count, work_fn *work) {
    for (size_t i = 0; i < run->turns * count; i++) {
        server *next = &servers[(i / count + i) % count];
        double wall = clock_ns(CLOCK_MONOTONIC), cpu = used(next);
        if (!work(run, next)) {
            return next;
        }
        next->cpu += used(next) - cpu;
        next->wall += clock_ns(CLOCK_MONOTONIC) - wall;
    }
    for (size_t i = 0; i < count; i++) {
        printf("%.1f %.1f %ld %ld\n", servers[i].cpu / (double)servers[i].operations,
               servers[i].wall / (double)servers[i].operations, servers[i].operations,
               servers[i].again);
    }
    return NULL;
}

static server *run_waves(drive *run, server *servers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!open_all(run, &servers[i], run->connections)) {
            return &servers[i];
        }
    }
    server *failed = take_turns(run, servers, count, waves);
    for (size_t i = 0; failed == NULL && i < count; i++) {
        close_all(&servers[i], run->connections);
    }
    return failed;
}

static server *run_visits(drive *run, server *servers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        servers[i].newest_only = true;
        if (!visit(run, &servers[i])) {
            return &servers[i];
        }
    }
    return take_turns(run, servers, count, visits);
}

/*
 * The first connections, which warm the server up and bring sessions for as many as are under way
 * at once, do not count.
 */
static server *run_handshakes(drive *run, server *servers, size_t count, bool resumed,
                              work_fn *work) {
    const size_t warm_up = resumed && run->connections > WARM_UP ? run->connections : WARM_UP;
    for (size_t i = 0; i < count; i++) {
        if (!open_all(run, &servers[i], warm_up) || servers[i].sessions_len == 0) {
            return &servers[i];
        }
        close_all(&servers[i], warm_up);
        servers[i].resume = resumed;
    }
    return take_turns(run, servers, count, work);
}

/* The private memory of the server's processes, in bytes. */
static double own_memory(const server *of) {
    double sum = 0;
    for (int i = 0; i < of->workers; i++) {
        char path[64], line[256];
        double kib;
        (void)snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)of->pids[i]);
        FILE *file = fopen(path, "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
            if (sscanf(line, "Private_Clean: %lf", &kib) == 1 ||
                sscanf(line, "Private_Dirty: %lf", &kib) == 1) {
                sum += kib * 1024;
            }
        }
        if (file != NULL) {
            (void)fclose(file);
        }
    }
    return sum;
}

static server *run_idle(drive *run, server *servers, size_t count) {
    const struct timespec settle = {.tv_nsec = 300 * 1000 * 1000L};
    for (size_t i = 0; i < count; i++) {
        server *to = &servers[i];
        if (!open_all(run, to, WARM_UP)) {
            return to;
        }
        close_all(to, WARM_UP);
        (void)nanosleep(&settle, NULL);
        double before = own_memory(to);
        if (!open_all(run, to, run->connections)) {
            return to;
        }
        (void)nanosleep(&settle, NULL);
        printf("%.1f\n", (own_memory(to) - before) / (double)run->connections);
        close_all(to, run->connections);
    }
    return NULL;
}

/* -------------------------------------------------------------------------------------- program */

static bool parse(server *out, const char *word, size_t connections) {
    char *end;
    size_t room = connections < WARM_UP ? WARM_UP : connections;
    *out = (server){.word = word, .port = (int)strtol(word, &end, 10)};
    out->connections = calloc(room, sizeof *out->connections);
    for (int i = 0; i < WORKERS_MAX && (*end == ':' || *end == ','); i++) {
        out->pids[i] = (pid_t)strtol(end + 1, &end, 10);
        if (clock_getcpuclockid(out->pids[i], &out->clocks[i]) != 0) {
            return false;
        }
        out->workers = i + 1;
    }
    return out->workers > 0 && *end == '\0' && out->connections != NULL;
}

/* Raises the limit of open descriptors as far as is allowed. */
static void raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static server *do_as_told(const char *mode, drive *run, server *servers, size_t count) {
    if (strcmp(mode, "idle") == 0) {
        return run_idle(run, servers, count);
    }
    if (strcmp(mode, "one") == 0) {
        return run_visits(run, servers, count);
    }
    if (strcmp(mode, "keep") == 0) {
        return run_waves(run, servers, count);
    }
    return run_handshakes(run, servers, count, strcmp(mode, "resumed") == 0,
                          strcmp(mode, "wide") == 0 ? wide : handshakes);
}

/* HTTP/1.0 where the server ends the connection. */
static void set_request(drive *run, const char *mode, const char *path) {
    int len =
        snprintf(run->request, sizeof run->request, "GET %s HTTP/1.%c\r\nHost: localhost\r\n\r\n",
                 path, strcmp(mode, "one") == 0 ? '0' : '1');
    run->request_len = (size_t)len;
}

int main(int argc, char **argv) {
    enum { MODE = 1, VERSION, CONNECTIONS, TURNS, AMOUNT, PATH, FIXED };
    server servers[SERVERS_MAX];
    if (argc <= FIXED || argc > FIXED + SERVERS_MAX) {
        return 2;
    }
    drive run = {.ctx = new_ctx(argv[MODE], argv[VERSION]),
                 .connections = strtoul(argv[CONNECTIONS], NULL, 10),
                 .turns = strtoul(argv[TURNS], NULL, 10),
                 .amount = strtoul(argv[AMOUNT], NULL, 10)};
    set_request(&run, argv[MODE], argv[PATH]);
    size_t count = (size_t)(argc - FIXED);
    for (size_t i = 0; i < count; i++) {
        if (!parse(&servers[i], argv[FIXED + i], run.connections)) {
            return 2;
        }
    }
    (void)signal(SIGPIPE, SIG_IGN);
    raise_limit();
    server *failed = run.ctx == NULL ? servers : do_as_told(argv[MODE], &run, servers, count);
    if (failed != NULL) {
        fprintf(stderr, "client: %s of %s: a connection failed, or was not as it should be\n",
                argv[MODE], failed->word);
        ERR_print_errors_fp(stderr);
    }
    return failed != NULL;
}
