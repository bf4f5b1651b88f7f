/*
 * oracle.h: declares what the files of the oracle share.
 *
 * The oracle is a plain program on libssl that says what libssl does. It runs the life of a
 * connection call by call, and prints a line for each case. spec/others/oracle_spec.lua runs the
 * same lives through tlslife and compares. So no expectation is written down by hand, and the
 * libssl of this machine decides.
 *
 * A case has a kind (protocol and way of resuming), a role, and the two ends of a connection, which
 * are called the subject and its peer. The contexts are set up as tlslife's are.
 *
 * A line is "NAME: TOKEN TOKEN ...". The token of a call is "s.shutdown=-1/want_write". It says
 * whose call it was (s or p), its name, and what it returned. For a failure it adds SSL_get_error's
 * word, and after "ssl:" the reason of the first error.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

enum kind { TLS12_ID, TLS12_TICKET, TLS13_STATEFUL, TLS13_STATELESS, KINDS };
enum role { CLIENT, SERVER, ROLES };
enum wire { MEMORY, SOCKETS };

enum {
    CAPACITY = 8192, /* bytes that the transport in memory holds, each way */
    KEPT_MAX = 32,
    SENT = SSL_SENT_SHUTDOWN,
    RECEIVED = SSL_RECEIVED_SHUTDOWN
};

struct scene {
    enum kind kind;
    enum role role; /* the subject's */
    int argument;   /* of the sequence: a mask, a number */
    SSL_CTX *contexts[ROLES];
    SSL *ends[ROLES];
    SSL_SESSION *held;  /* the subject's session, by a reference of our own */
    SSL_SESSION *offer; /* for a client to offer later: `held`, or a copy if the subject serves */
    SSL_SESSION *first; /* the same of the first ticket, in TLS 1.3 */
    SSL_SESSION *kept[KEPT_MAX]; /* what the client was given, oldest first */
    size_t kept_len;
};

/* ------------------------------------------------------------------------------- oracle_scene.c */

void must(bool holds, const char *what); /* ends the program if the oracle itself cannot go on */
const char *kind_name(enum kind kind);
const char *role_name(enum role role);
bool is_tls13(enum kind kind);

void scene_open(struct scene *scene, enum kind kind, enum role role);
/*
 * The same, with the contexts of the first scene of its kind that was opened so. Their client has
 * a certificate, and answers a server that asks for one after the handshake. early: the
 * server takes early data.
 */
void scene_open_shared(struct scene *scene, enum kind kind, enum role role, bool early);
void scene_close(struct scene *scene);
SSL *subject(const struct scene *scene);
SSL *peer(const struct scene *scene);
SSL *client_of(const struct scene *scene);
SSL *server_of(const struct scene *scene);

/* A new SSL of the scene's context, without a transport. */
SSL *connection(struct scene *scene, enum role role);
/*
 * Puts a copy by SSL_dup in an end's place, on a new transport. Returns whether there is one,
 * since SSL_dup copies no SSL whose handshake has begun. What SSL_dup forgets is set again.
 */
bool put_copy(struct scene *scene, enum role role);
/* Makes both ends and the transport between them, without a handshake. */
void prepare(struct scene *scene, enum wire wire);
/* The same, then the handshake and a byte each way. Keeps references to the sessions. */
void meet(struct scene *scene, enum wire wire);
/*
 * Makes the subject's first call of a handshake, and prints it. If the subject is a server the peer
 * makes its own first.
 */
void begin(struct scene *scene);

/* Closes and frees both ends, and makes two new ones. */
void prepare_again(struct scene *scene);
/* Closes and frees the peer, and joins a new one to the subject. */
void replace_peer(struct scene *scene);
/*
 * Makes and begins a second connection. Its client offers the held session, or a copy of it if the
 * subject is a server.
 */
void prepare_resuming(struct scene *scene);
void begin_resuming(struct scene *scene);
/*
 * A reference to the session, or a copy of it if the subject is a server. What becomes of the
 * session is then the server's doing alone.
 */
SSL_SESSION *offered(const struct scene *scene, SSL_SESSION *session);

void join(SSL *a, SSL *b);                /* gives both a new transport in memory */
bool handshake(SSL *client, SSL *server); /* to its end; false: it failed */
void exchange(SSL *client, SSL *server);  /* a byte each way, which brings TLS 1.3's tickets */
void settle(SSL **ssl);                   /* frees it, its session judged good */
void settle_all(struct scene *scene);     /* both ends */
void leave(SSL *ssl);                     /* its stream ends, without close_notify */
void garble(SSL *ssl);                    /* what is no TLS arrives at it */

/* --------------------------------------------------------------------------------- oracle_say.c */

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_shutdown(const struct scene *scene, SSL *ssl);
void say_read(const struct scene *scene, SSL *ssl);
void say_peek(const struct scene *scene, SSL *ssl);
void say_read_early(const struct scene *scene, SSL *ssl);
void say_write_early(const struct scene *scene, SSL *ssl);
void say_write(const struct scene *scene, SSL *ssl, size_t len);
void say_handshake(const struct scene *scene, SSL *ssl);
bool finish(const struct scene *scene); /* the rest of the handshake of both ends, told */
void say_clear(SSL *ssl);
void say_masks(const struct scene *scene);
void say_resumable(const struct scene *scene);
void say_reused(const char *name, SSL *client, SSL *server);
/* Whether a new connection of the scene's contexts resumes if it offers the session. */
void say_fresh(struct scene *scene, const char *name, SSL_SESSION *session);
void say_final_status(struct scene *scene); /* resumable, fresh, and first in TLS 1.3 */

/* ------------------------------------------- oracle_matrix.c, oracle_sequence.c, oracle_state.c */

struct cases {          /* a walk over all cases: visits those whose name is wanted, or all */
    const char *wanted; /* NULL: all */
    bool list_only;
    size_t met;
};

bool case_begins(struct cases *cases, const char *name); /* true: run it; its line was begun */
void case_ends(void);

void matrix_walk(struct cases *cases);
void sequence_walk(struct cases *cases);
void state_walk(struct cases *cases);

/* ------------------------------------------------------------------------------- oracle_walk.c */

void read_walks(void);

/* ------------------------------------------- oracle_shutdown.c, oracle_life.c, oracle_session.c */

enum {
    IDS = 1 << TLS12_ID | 1 << TLS13_STATEFUL,
    TLS12 = 1 << TLS12_ID | 1 << TLS12_TICKET,
    TLS13 = 1 << TLS13_STATEFUL | 1 << TLS13_STATELESS,
    EVERY = TLS12 | TLS13,
    OF_CLIENT = 1 << CLIENT,
    OF_SERVER = 1 << SERVER,
    OF_BOTH = OF_CLIENT | OF_SERVER
};

struct sequence {
    const char *name;
    int kinds;
    int roles;
    void (*run)(struct scene *);
    int argument;
};

/* Each ends with one that has no name. */
extern const struct sequence SHUTDOWN_SEQUENCES[], LIFE_SEQUENCES[], SESSION_SEQUENCES[];

/* The ends of the matrix that a sequence goes on from. */
void end_full(struct scene *scene);
void end_eof(struct scene *scene);
void end_alert_sent(struct scene *scene);
void end_alert_received(struct scene *scene);

#endif
