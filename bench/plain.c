/*
 * plain.c: a plain C program on libssl, with which bench/rows.lua compares the Lua module. The two
 * work in turns.
 *
 * It is a process of its own, because a process has one allocator for OpenSSL, and a plain C
 * program has malloc. There is no tlslife in it.
 *
 *   plain TLSv1.2|TLSv1.3 stateful|tickets DIRECTORY [careless]
 *
 * The directory has ca.pem, certificate.pem and private_key.pem. The program prints OpenSSL's
 * version, and then does what each line of its input asks for (see commands, below). It answers
 * with a line each, which is the nanoseconds of its own processor time that this took, or what
 * failed.
 *
 * The comparison is fair. The certificates, versions, verification, modes and kinds of session are
 * those of the contexts that bench/rows.lua makes, and the same calls come in the same order, over
 * BIO_new_bio_pair(3). Results are checked, and nothing is printed meanwhile. The error queue is
 * emptied before each call whose result SSL_get_error(3) judges, as its manual page demands. A
 * program that forgets it is a little faster, and may read another connection's error some day.
 * `careless` makes this one such a program.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD 16384

/* A client's and a server's context, and what stands between them now. */
typedef struct peers {
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server; /* NULL when no connection stands */
    SSL_SESSION *session; /* the newest that the client was given */
    bool fresh;           /* it came with this connection */
    bool careless;        /* leaves the error queue as it is */
    /* as malloc would give them */
    _Alignas(16) unsigned char bytes
        [RECORD]; /* what is written: lines of numbers, as rows.lua has them */
    _Alignas(16) unsigned char buffer[RECORD];
} peers;

/* ------------------------------------------------------------------------------------- contexts */

/* Called by libssl with each session that the client may use again. The newest is kept. */
static int keep_session(SSL *ssl, SSL_SESSION *session) {
    peers *p = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(p->session);
    p->session = session;
    p->fresh = true;
    return 1;
}

static bool trust(SSL_CTX *ctx, const char *ca_file) {
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return SSL_CTX_load_verify_file(ctx, ca_file) == 1;
}

static const char *const files[] = {"ca.pem", "certificate.pem", "private_key.pem"};

enum { CA, CERTIFICATE, PRIVATE_KEY, FILES, PATH_LEN = 4096 };

/* The path of files[i] in the directory; valid until the next call for the same file. */
static const char *path_of(const char *directory, int i) {
    static char paths[FILES][PATH_LEN];
    (void)snprintf(paths[i], PATH_LEN, "%s/%s", directory, files[i]);
    return paths[i];
}

static bool set_up(peers *p, int version, bool stateful, const char *directory) {
    p->client_ctx = new_context(TLS_client_method(), version);
    p->server_ctx = new_context(TLS_server_method(), version);
    if (p->client_ctx == NULL || p->server_ctx == NULL ||
        !trust(p->client_ctx, path_of(directory, CA)) ||
        !set_identity(p->server_ctx, path_of(directory, CERTIFICATE),
                      path_of(directory, PRIVATE_KEY)) ||
        !set_server_sessions(p->server_ctx, stateful)) {
        return false;
    }
    SSL_CTX_set_app_data(p->client_ctx, p);
    set_client_sessions(p->client_ctx, keep_session);
    for (int i = 0; i < RECORD / 8; i++) {
        char line[16];
        (void)snprintf(line, sizeof line, "%07d\n", i + 1);
        memcpy(p->bytes + (size_t)i * 8, line, 8);
    }
    return true;
}

/* ----------------------------------------------------------------------------------- handshakes */

/*
 * capacity 0 is OpenSSL's own choice, a little more than a record. A pair allocates all of its
 * memory at once, and so a large one is slow to make.
 */
static bool join(SSL *client, SSL *server, size_t capacity) {
    BIO *a = NULL, *b = NULL;
    if (BIO_new_bio_pair(&a, capacity, &b, capacity) != 1) {
        return false;
    }
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
    return true;
}

static void clear_errors(const peers *p) {
    if (!p->careless) {
        ERR_clear_error();
    }
}

static bool is_waiting(SSL *ssl, int result) {
    int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static bool step(const peers *p, SSL *ssl, int (*call)(SSL *), int *result) {
    if (*result == 1) {
        return true;
    }
    clear_errors(p);
    *result = call(ssl);
    return *result == 1 || is_waiting(ssl, *result);
}

/* Each end in its turn until both are done. */
static bool shake_hands(const peers *p) {
    int client = 0, server = 0;
    while (client != 1 || server != 1) {
        if (!step(p, p->client, SSL_connect, &client) || !step(p, p->server, SSL_accept, &server)) {
            return false;
        }
    }
    return true;
}

static bool name_server(SSL *client) {
    static char host[] = "localhost"; /* not const, since OpenSSL's macro casts that away */
    return SSL_set_tlsext_host_name(client, host) == 1 && SSL_set1_host(client, host) == 1;
}

/* What SSL_new has made is in p even if this fails. */
static bool open_connection(peers *p, bool offer, size_t capacity) {
    p->client = SSL_new(p->client_ctx);
    p->server = SSL_new(p->server_ctx);
    return p->client != NULL && p->server != NULL && name_server(p->client) &&
           join(p->client, p->server, capacity) &&
           (!offer || SSL_set_session(p->client, p->session) == 1) && shake_hands(p) &&
           (SSL_session_reused(p->client) == 1) == offer;
}

static int shut_down(const peers *p, SSL *ssl) {
    clear_errors(p);
    return SSL_shutdown(ssl);
}

/*
 * close_notify from each end, then each reads the other's; a client finds TLS 1.3's tickets on the
 * way.
 */
static bool close_connection(const peers *p) {
    return shut_down(p, p->client) == 0 && shut_down(p, p->server) == 0 &&
           shut_down(p, p->server) == 1 && shut_down(p, p->client) == 1;
}

static void free_connection(peers *p) {
    SSL_free(p->client);
    SSL_free(p->server);
    p->client = p->server = NULL;
}

/* n connections opened, closed both ways and freed. */
static bool handshakes(peers *p, const long *numbers) {
    long n = numbers[0];
    bool resumed = numbers[1] != 0, ok = true;
    while (ok && n-- > 0) {
        p->fresh = false;
        ok = open_connection(p, resumed, 0) && close_connection(p) &&
             (p->fresh || SSL_version(p->client) < TLS1_3_VERSION); /* a ticket is offered once */
        free_connection(p);
    }
    return ok;
}

/* ----------------------------------------------------------------------------------------- data */

/*
 * The next blocks of memory begin elsewhere in their pages. How two blocks lie to each other
 * decides how fast glibc 2.36 copies from one to the other on some processors, up to four times; so
 * that neither side is lucky for a whole run, each round has another layout. Lua's side does the
 * same.
 */
static void shift(void) {
    static void *block;
    free(block);
    block = malloc(1 + (size_t)rand() % 16384); /* not a secret, so any generator will do */
}

/* A connection that stays, for what follows. */
static bool open_peers(peers *p, const long *numbers) {
    free_connection(p);
    shift();
    return open_connection(p, false, (size_t)numbers[0]);
}

static bool write_all(const peers *p, const unsigned char *bytes, size_t len) {
    for (size_t written = 0; len > 0; bytes += written, len -= written) {
        clear_errors(p);
        if (SSL_write_ex(p->client, bytes, len, &written) != 1) {
            return false;
        }
    }
    return true;
}

/* len bytes that arrive, in as many reads as it takes, kept where they belong in the buffer. */
static bool read_all(peers *p, size_t len) {
    unsigned char *at = p->buffer;
    for (size_t got = 0; len > 0; at += got, len -= got) {
        clear_errors(p);
        if (SSL_read_ex(p->server, at, len, &got) != 1) {
            return false;
        }
    }
    return true;
}

static bool has_arrived(const peers *p, size_t len) {
    return memcmp(p->bytes, p->buffer, len) == 0;
}

/* The client writes len bytes n times and the server reads them. The last ones are compared. */
static bool exchange(peers *p, const long *numbers) {
    size_t len = (size_t)numbers[0];
    bool ok = p->client != NULL && len <= RECORD;
    memset(p->buffer, 0, RECORD);
    for (long n = numbers[1]; ok && n > 0; n--) {
        ok = write_all(p, p->bytes, len) && read_all(p, len);
    }
    return ok && has_arrived(p, len);
}

static bool write_each(const peers *p, const unsigned char *bytes, size_t len, size_t piece_len) {
    for (; len > 0; bytes += piece_len, len -= piece_len) {
        if (!write_all(p, bytes, piece_len)) {
            return false;
        }
    }
    return true;
}

/* The same, but written in pieces, each with a call of its own. */
static bool pieces(peers *p, const long *numbers) {
    size_t len = (size_t)numbers[0], piece_len = (size_t)numbers[1];
    bool ok = p->client != NULL && len <= RECORD && piece_len > 0 && len % piece_len == 0;
    memset(p->buffer, 0, RECORD);
    for (long n = numbers[2]; ok && n > 0; n--) {
        ok = write_each(p, p->bytes, len, piece_len) && read_all(p, len);
    }
    return ok && has_arrived(p, len);
}

/* Whether SSL_is_init_finished(3) said yes n times. */
static bool getter(peers *p, const long *numbers) {
    long yes = 0;
    for (long n = p->client == NULL ? 0 : numbers[0]; n > 0; n--) {
        yes += SSL_is_init_finished(p->client);
    }
    return yes == numbers[0];
}

/* -------------------------------------------------------------------------------------- program */

typedef struct command {
    const char *name;
    bool (*work)(peers *p, const long *numbers);
    int numbers; /* how many */
} command;

static const command commands[] = {
    {"handshakes", handshakes, 2}, /* how many; whether they resume */
    {"open", open_peers, 1},   /* capacity of what joins them, in bytes; 0: OpenSSL's own choice */
    {"exchange", exchange, 2}, /* bytes; how often */
    {"pieces", pieces, 3},     /* bytes, bytes of a piece; how often */
    {"getter", getter, 1},     /* how often */
};

enum { NUMBERS_MAX = 3, NAME_MAX_LEN = 15 };

/* The command of a line, and its numbers. NULL means that there is no such command. */
static const command *parse(const char *line, long *numbers) {
    char name[NAME_MAX_LEN + 1];
    int found = sscanf(line, "%15s %ld %ld %ld", name, &numbers[0], &numbers[1], &numbers[2]) - 1;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (found == commands[i].numbers && strcmp(name, commands[i].name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* With the first cause in OpenSSL's queue. */
static void complain(const char *what) {
    char reason[256] = "no reason given";
    unsigned long code = ERR_get_error();
    if (code != 0) {
        ERR_error_string_n(code, reason, sizeof reason);
    }
    ERR_clear_error();
    printf("plain C: it failed: %s: %s\n", what, reason);
}

static void answer(peers *p, char *line) {
    long numbers[NUMBERS_MAX] = {0};
    line[strcspn(line, "\n")] = '\0';
    const command *asked = parse(line, numbers);
    double start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (asked != NULL && asked->work(p, numbers)) {
        printf("%.0f\n", clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start);
    } else {
        complain(line);
    }
}

static void serve(peers *p) {
    char line[128];
    printf("%s\n", OpenSSL_version(OPENSSL_VERSION));
    while (fflush(stdout) == 0 && fgets(line, sizeof line, stdin) != NULL) {
        answer(p, line);
    }
}

static void free_peers(peers *p) {
    free_connection(p);
    SSL_SESSION_free(p->session);
    SSL_CTX_free(p->client_ctx);
    SSL_CTX_free(p->server_ctx);
}

int main(int argc, char **argv) {
    static peers p;
    bool ok = false;
    steady_heap();
    if (argc >= 4) {
        p.careless = argc > 4;
        ok = set_up(&p, parse_version(argv[1]), strcmp(argv[2], "stateful") == 0, argv[3]);
        if (ok) {
            serve(&p);
        }
        free_peers(&p);
    }
    if (!ok) {
        complain(argc > 1 ? argv[1] : "no words");
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
