/*
 * core.h: what the files of the core know of each other. Nothing here is public.
 *
 * A tlslife_session is an SSL_SESSION by another name: no wrapper, so identity and reference counts are
 * OpenSSL's own. Contexts and connections are structures of ours around an SSL_CTX and an SSL; the way back,
 * for callbacks, is ex_data.
 *
 * The rule that an attacker would like to see broken: an OpenSSL callback only records. It allocates at most,
 * never reads a file or a socket, never waits, never calls the program.
 */
#ifndef TLSLIFE_CORE_H
#define TLSLIFE_CORE_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "fail.h"
#include "tlslife.h"

/* ---------------------------------------------------------------------------------------------- error.c */

/*
 * As tlsl_fail (fail.h), then drains OpenSSL's queue into err: first cause, and all of it; appends its
 * reason to the message.
 */
tlslife_status tlsl_fail_openssl(tlslife_error *err, tlslife_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* -------------------------------------------------------------------------------------------- method.c */

typedef struct tlsl_bio_verbs {
    int (*read)(BIO *bio, char *buffer, size_t len, size_t *out_read);
    int (*write)(BIO *bio, const char *bytes, size_t len, size_t *out_written);
    long (*ctrl)(BIO *bio, int command, long number, void *pointer);
    int (*destroy)(BIO *bio);
} tlsl_bio_verbs;
/* For a source and sink, and what else type says of it: once in a process. NULL: out of memory. */
BIO_METHOD *tlsl_bio_method(const char *name, int type, const tlsl_bio_verbs *verbs);

/* -------------------------------------------------------------------------------------------- blocks.c */

#define TLSL_RECORD 16384
#define TLSL_LINE 64 /* of a cache */
/*
 * As malloc, but what can hold a record begins at a multiple of TLSL_LINE: where source and destination lie alike memory
 * is copied a quarter faster, and never as slowly as some processors do where they differ by a few bytes modulo a page
 * (thirty times as long).
 */
static inline void *tlsl_malloc(size_t size) {
    return size < TLSL_RECORD ? malloc(size)
                              : aligned_alloc(TLSL_LINE, (size + TLSL_LINE - 1) / TLSL_LINE * TLSL_LINE);
}

/* -------------------------------------------------------------------------------------------- memory.c */

/* One BIO end over two bounded byte queues, shared by reference with the other end. */
typedef struct tlsl_queue tlsl_queue;
tlsl_queue *tlsl_queue_new(size_t capacity); /* NULL: out of memory; one reference */
void tlsl_queue_up_ref(tlsl_queue *queue);
void tlsl_queue_free(tlsl_queue *queue);
size_t tlsl_queue_put(tlsl_queue *queue, const void *bytes, size_t len); /* how many were taken */
size_t tlsl_queue_get(tlsl_queue *queue, void *buffer, size_t len);     /* how many were there */
size_t tlsl_queue_len(const tlsl_queue *queue);
/* no more will be put: a reader sees end of stream after what is there */
void tlsl_queue_end(tlsl_queue *queue);
bool tlsl_queue_ended(const tlsl_queue *queue);
/*
 * A BIO that reads from in and writes to out; takes a reference of its own to each. Freeing it ends out.
 * NULL: out of memory.
 */
BIO *tlsl_memory_bio(tlsl_queue *in, tlsl_queue *out);

/* ------------------------------------------------------------------------------------------------ fd.c */

/*
 * A BIO over descriptors that does not block (MSG_DONTWAIT) until it is told to, never raises SIGPIPE and
 * leaves their flags alone; closes them when freed if owned. After a failed read or write errno is the
 * system's. ssl is the one that it is for: its tickets wait a moment, where a socket is owned; or NULL. NULL: out of
 * memory.
 */
BIO *tlsl_fd_bio(const SSL *ssl, int read_fd, int write_fd, bool owned);
/* Whether a call may wait, without end, where the descriptor does: EAGAIN stays possible. */
void tlsl_fd_set_waits(BIO *bio, bool waits);
int tlsl_fd_read(BIO *bio);  /* its descriptors */
int tlsl_fd_write(BIO *bio);
bool tlsl_fd_drained(BIO *bio); /* its last read took all that was there */
void tlsl_fd_part(BIO *bio);    /* its SSL may go before it does: somebody else may hold it, too */
void tlsl_fd_push(BIO *bio);    /* somebody is about to wait for it: what waits for more goes out */

/* ----------------------------------------------------------------------------------------------- tcp.c */

/* A deadline on the monotonic clock, in ms; TLSL_NO_DEADLINE never passes. */
#define TLSL_NO_DEADLINE INT64_MAX
int64_t tlsl_now_ms(void);
int64_t tlsl_deadline(int timeout_ms); /* -1: TLSL_NO_DEADLINE */
int tlsl_left_ms(int64_t deadline);    /* as poll wants it: -1 for ever, 0 when it has passed */
/*
 * Waits for fd to be readable or writable (POLLIN, POLLOUT). OK, TIMEOUT, or ERROR with errno. EINTR goes
 * on waiting.
 */
tlslife_status tlsl_wait_fd(int fd, short events, int64_t deadline);
/* "127.0.0.1:8443" or "[::1]:8443"; false: the socket has no peer, or not over IP. */
bool tlsl_peer_address(int fd, char *out, size_t out_len);

/* ---------------------------------------------------------------------------------------------- dial.c */

/* A TCP connection being made: a name, its addresses and the one that is tried. */
typedef struct tlsl_dial tlsl_dial;
/* waits: the name is resolved in this call, which may take its time. RESOLVE, MEMORY, SYSTEM. */
tlsl_dial *tlsl_dial_new(const char *host, const char *service, bool waits, int64_t deadline,
    tlslife_error *err);
void tlsl_dial_free(tlsl_dial *dial); /* closes what is not taken */
/* whether it is for this target */
bool tlsl_dial_is(const tlsl_dial *dial, const char *host, const char *service);
/*
 * Goes on without waiting: OK and *out_fd (the caller's); WANT_READ (the name is being resolved), WANT_WRITE:
 * wait for tlsl_dial_fd; TIMEOUT; ERROR (no such name, or every address failed).
 */
tlslife_status tlsl_dial_step(tlsl_dial *dial, int *out_fd, tlslife_error *err);
int tlsl_dial_fd(const tlsl_dial *dial, bool *out_writing);
int64_t tlsl_dial_until(const tlsl_dial *dial); /* when to step though nothing came */
void tlsl_dial_set_deadline(tlsl_dial *dial, int64_t deadline);

/* --------------------------------------------------------------------------------------- certificate.c */

/* Fills out from x509; false: out of memory, and out is cleared. */
bool tlsl_certificate_fill(tlslife_certificate *out, X509 *x509);
/* RFC 2253 text of a name in out (cut to fit). Returns out. */
char *tlsl_name_text(const X509_NAME *name, char *out, size_t out_len);

/* --------------------------------------------------------------------------------------------- names.c */

bool tlsl_option_bit(const char *name, uint64_t *out_bit); /* "NO_TICKET", "SSL_OP_NO_TICKET", any case */
bool tlsl_mode_bit(const char *name, uint64_t *out_bit);   /* "AUTO_RETRY" */
/* A host name as RFC 6066 wants it (letters, digits, '-', '_', '.'; labels of 1..63, 253 in all). */
bool tlsl_is_hostname(const char *name);
bool tlsl_is_ip(const char *name);
void tlsl_lower(char *name); /* ASCII, in place */

/* ------------------------------------------------------------------------------------------- context.c */

typedef struct tlsl_psk {
    struct tlsl_psk *next;
    char *identity;
    unsigned char *key;
    size_t key_len;
} tlsl_psk;

typedef struct tlsl_server_name {
    struct tlsl_server_name *next;
    char *pattern; /* lower case */
    tlslife_context *target;
} tlsl_server_name;

/* A certificate with its key and chain, as SSL_use_cert_and_key wants them. */
typedef struct tlsl_credential {
    X509 *leaf;
    EVP_PKEY *key;
    STACK_OF(X509) *chain; /* may be NULL */
} tlsl_credential;

#define TLSL_CREDENTIALS_MAX 9 /* libssl holds one for each type of key */

struct tlslife_context {
    SSL_CTX *ctx;
    atomic_uint refs;
    tlslife_role role;
    atomic_bool sealed;
    bool foreign; /* the program's own SSL_CTX: nothing of it is changed */
    pthread_mutex_t seal_lock;
    tlslife_verify verify;
    bool verify_host;
    bool ca_given; /* any CA was added: the system's are not added by themselves */
    tlslife_resumption resumption;
    bool gives_once;       /* sessions with early data: the cache, not libssl, sees to it */
    bool resumption_given; /* by the program: a cache does not change it */
    unsigned questions; /* TLSLIFE_ASK_* */
    atomic_int timeout_ms;
    char *groups;        /* as set, for server names; NULL: the default */
    unsigned char *alpn; /* wire form */
    size_t alpn_len;
    tlsl_server_name *server_names;
    tlsl_psk *psk;
    unsigned char *ocsp;
    size_t ocsp_len;
    bool keylog_keep;
    int keylog_fd;      /* -1: none */
    EVP_MD_CTX *policy; /* the hash of the policy, fed while it is configured; NULL once sealed */
    unsigned char sid_ctx[32];
    size_t sid_ctx_len; /* 0 until sealed or set */
    tlslife_cache *cache;
    tlslife_ticket_keys *ticket_keys;
    tlsl_credential credentials[TLSL_CREDENTIALS_MAX];
    size_t credentials_len; /* filled by the seal */
};

/* Installs what tlslife_context_set_cache and its like make necessary; whenever a setting changes that. */
void tlsl_context_set_cache_mode(tlslife_context *context);
/* Settles what is derived (CA default, session id context, credentials). Thread-safe, once. */
tlslife_status tlsl_context_seal(tlslife_context *context, tlslife_error *err);
tlslife_context *tlsl_context_of(const SSL_CTX *ctx); /* from ex_data; NULL: not ours */

/*
 * Adds bytes to the policy that the session id context is a hash of, by the thread that configures the
 * context.
 */
bool tlsl_policy_add(tlslife_context *context, const void *bytes, size_t len);
/* Adds the first name that leads to the context, unless it is sealed; from any thread. */
void tlsl_policy_add_name(tlslife_context *context, const char *name);

/* ----------------------------------------------------------------------------------------- callbacks.c */

/* Installs the callbacks that every context of ours has. They record; they never call the program. */
void tlsl_callbacks_install(tlslife_context *context);
void tlsl_callbacks_ask_certificate(tlslife_context *context);
void tlsl_callbacks_psk(tlslife_context *context);
void tlsl_callbacks_keylog(tlslife_context *context);
void tlsl_callbacks_ocsp(tlslife_context *context);
void tlsl_callbacks_cache(tlslife_context *context, bool on);

/* -------------------------------------------------------------------------------------------- switch.c */

/* The target for a server name, or NULL. */
tlslife_context *tlsl_context_match(const tlslife_context *context, const char *server_name);
/* Makes ssl continue under context: certificate, and every attribute that SSL_set_SSL_CTX leaves behind. */
bool tlsl_context_apply(tlslife_context *context, SSL *ssl);
/* Presents the certificates of context on ssl, in place of those it has. */
bool tlsl_context_present(const tlslife_context *context, SSL *ssl);

/*
 * A client's session id context, which libssl never sends: what its policy is, whose name it verified (0
 * where it verifies none), and which context of this process it is.
 */
#define TLSL_HOST_HASH 12 /* bytes of it */
typedef struct tlsl_client_id {
    unsigned char policy[12];
    unsigned char host[TLSL_HOST_HASH];
    uint64_t number;
} tlsl_client_id;

_Static_assert(sizeof(tlsl_client_id) == SSL_MAX_SID_CTX_LENGTH, "it fills a session id context");

/* ---------------------------------------------------------------------------------------------- conn.c */

#define TLSL_SESSIONS_MAX 16

typedef enum tlsl_transport { TLSL_NONE = 0, TLSL_FD, TLSL_MEMORY, TLSL_FOREIGN } tlsl_transport;

/* Where a question stands. */
typedef enum tlsl_answer { TLSL_UNASKED = 0, TLSL_ASKED, TLSL_ACCEPTED, TLSL_REFUSED } tlsl_answer;

typedef struct tlsl_line {
    struct tlsl_line *next;
    char text[];
} tlsl_line;

struct tlslife_conn {
    SSL *ssl;
    tlslife_context *context; /* in force */
    /* -- hot: read by every read and write */
    bool open;         /* handshake done and every question answered */
    bool blocking;
    bool corked;
    bool unanswered;   /* something was read that no write has followed: see tlslife_conn_idle */
    uint8_t fate;      /* TLSLIFE_OK, or what every later call returns: TLSLIFE_ERROR, TLSLIFE_TRUNCATED */
    uint8_t transport; /* tlsl_transport */
    int timeout_ms;
    tlsl_line *keylog;
    bool facts;          /* something was recorded that tlsl_conn_facts takes to where it belongs */
    size_t held_len;     /* bytes in held */
    unsigned char *held; /* TLSL_RECORD bytes: what cork holds back, or NULL */
    /* -- cold */
    atomic_uint refs;
    tlslife_context *origin; /* the one it was made of: its cache and its ticket keys serve all its life */
    bool told_far;           /* client: a ticket of this connection has gone to the far home */
    bool hello_seen;         /* server: the first ClientHello was looked at */
    bool begun;              /* a handshake call was made since new or clear */
    uint8_t hello_answer;    /* tlsl_answer */
    uint8_t certificate_answer;
    uint8_t verify_answer;
    tlslife_context *chosen; /* the answer to a question, until libssl calls back */
    int refuse_alert;
    int alert; /* the last fatal alert seen, or -1 */
    bool alert_received;
    long verify_result; /* what the built-in verification found in this handshake, and of which certificate */
    int verify_depth;   /* -1: nothing failed */
    char *verify_subject;
    bool write_waits; /* libssl holds a record that the transport did not take */
    char *hostname;   /* lower case */
    bool hostname_dialled; /* by dial, not by the program: the next dial brings its own */
    bool more; /* close stopped in the middle of what there is to read, for others to have their turn */
    unsigned char sid_ctx[SSL_MAX_SID_CTX_LENGTH]; /* a client's: the context's, with the host's part */
    size_t sid_ctx_len;
    char *groups;        /* as set on this connection, for dup */
    unsigned char *alpn; /* wire form, as set on this connection, for dup */
    size_t alpn_len;
    int num_tickets; /* as set on this connection, or -1 */
    tlsl_dial *dial;
    tlsl_queue *in, *out; /* TLSL_MEMORY */
    tlslife_hello *hello; /* while a ClientHello waits */
    char *ca_name;        /* lent by tlslife_conn_ca_name */
    char *service;              /* as dialled: part of what a client's sessions are kept under */
    struct tlsl_search *search; /* lookup.c: while a session is looked for, and what was found */
    uint8_t outcome;            /* tlslife_outcome: why nothing could be resumed, as far as is known */
    /* client: a session went into the ClientHello; server: the client offered one */
    bool offered;
    bool ticket_failed;         /* server: a ticket did not open */
    int offered_version;
    const SSL_SESSION *offered_session; /* to be compared, not used: no reference is held */
    unsigned char *ticket_data; /* what goes into the tickets of this connection */
    size_t ticket_data_len;
    unsigned char *resumed_data; /* of the ticket that it resumed by, once others have taken their place */
    size_t resumed_data_len;
    /* a client's, for the program; with a far home, on their way there */
    SSL_SESSION *sessions[TLSL_SESSIONS_MAX];
    size_t sessions_len;
    tlslife_error *error; /* allocated at the first failure */
};

tlslife_conn *tlsl_conn_of(const SSL *ssl); /* from ex_data; NULL: not ours */
tlslife_error *tlsl_conn_error(tlslife_conn *conn); /* where to write; NULL: out of memory */
/* Whether the program has a say on this connection's peer. */
bool tlsl_conn_asks_verify(const tlslife_conn *conn);
/* The connection's own mistake or failure: always TLSLIFE_ERROR. */
#define tlsl_conn_fail(conn, kind, ...) tlsl_fail(tlsl_conn_error(conn), (kind), __VA_ARGS__)

/* ------------------------------------------------------------------------------------------- verdict.c */

/* handshake.c: what must hold before a handshake goes on; server is the side whose verb it is. */
tlslife_status tlsl_handshake_begin(tlslife_conn *conn, const char *verb, bool server, int64_t *deadline);

/* handshake.c: between libssl's end of a handshake and ours. OK and not *done: libssl has tickets to send. */
tlslife_status tlsl_handshake_finish(tlslife_conn *conn, bool *done);

#define TLSL_DEADLINE_UNSET INT64_MIN

/* Before an SSL_ call that moves data: OK, or why there is none to be made. verb is for the message. */
tlslife_status tlsl_conn_ready(tlslife_conn *conn, const char *verb);
/*
 * After an SSL_ call that returned ret <= 0: OK: it has waited, call again; else the status to return.
 * *deadline starts as TLSL_DEADLINE_UNSET.
 */
tlslife_status tlsl_conn_settle(tlslife_conn *conn, int ret, int64_t *deadline, const char *verb);
/* Waits for what status wants, where there is something to wait for: OK: call again. */
tlslife_status tlsl_conn_wait(tlslife_conn *conn, tlslife_status status, int64_t *deadline);
/*
 * Takes what callbacks recorded to where it belongs: key-log lines to their file, sessions to their far
 * home.
 */
void tlsl_conn_take_facts(tlslife_conn *conn);
static inline void tlsl_conn_facts(tlslife_conn *conn) {
    if (conn->facts) {
        tlsl_conn_take_facts(conn);
    }
}
/* An error left by anybody else must not be read as this connection's. */
#define tlsl_errors_clear() ((void)(ERR_peek_error() != 0 && (ERR_clear_error(), 0)))

/* --------------------------------------------------------------------------------------------- hello.c */

/* The ClientHello that libssl is reading, copied; NULL: out of memory, or it is malformed. */
tlslife_hello *tlsl_hello_read(SSL *ssl);
void tlsl_hello_free(tlslife_hello *hello);
/* The same at a glance, without memory. */
typedef struct tlsl_hello_brief {
    bool offers_tls13, has_psk, has_ticket, has_session_id;
} tlsl_hello_brief;
tlsl_hello_brief tlsl_hello_glance(SSL *ssl);

/* ----------------------------------------------------------------------------------------- transport.c */

void tlsl_transport_drop(tlslife_conn *conn);
/* How the calls of conn wait from now on: what its blocking and timeout_ms must be set by. */
void tlsl_conn_set_waiting(tlslife_conn *conn, bool blocking, int timeout_ms);
/* tlslife_conn_take_fd for a descriptor that was just made: nothing about it need be asked. */
tlslife_status tlsl_conn_own_fd(tlslife_conn *conn, int fd);

/* ------------------------------------------------------------------------------------------- session.c */

/*
 * A session has arrived or been made: to the cache, or into the connection's queue. true: the reference was
 * taken.
 */
bool tlsl_conn_new_session(tlslife_conn *conn, SSL_SESSION *session);
/* The connection's own data into the session of which a ticket is about to be made. false: out of memory. */
bool tlsl_conn_label_ticket(tlslife_conn *conn);
/* Keeps a session that arrived, with the reference given. */
void tlsl_conn_keep_session(tlslife_conn *conn, SSL_SESSION *session);
/*
 * Server: tells libssl how many tickets go out with the handshake: none while the program has yet to accept
 * the peer.
 */
void tlsl_conn_set_tickets(tlslife_conn *conn);
/* Server: sends the tickets that were held back. */
bool tlsl_conn_release_tickets(tlslife_conn *conn);
/* Whether session may be offered by conn: its context and its host name. */
tlslife_status tlsl_session_check(tlslife_conn *conn, const SSL_SESSION *session);

#endif
