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

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "tlslife.h"

/* ---------------------------------------------------------------------------------------------- error.c */

/* Fills err (may be NULL) with a message of ours; no OpenSSL queue is read. Always TLSLIFE_ERROR. */
tlslife_status tlsl_fail(tlslife_error *err, tlslife_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, then drains OpenSSL's queue into err: first cause, and all of it; appends its reason to the message. */
tlslife_status tlsl_fail_openssl(tlslife_error *err, tlslife_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with errno's text appended. */
tlslife_status tlsl_fail_system(tlslife_error *err, int system_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* -------------------------------------------------------------------------------------------- memory.c */

/* One BIO end over two bounded byte queues, shared by reference with the other end. */
typedef struct tlsl_queue tlsl_queue;
tlsl_queue *tlsl_queue_new(size_t capacity); /* NULL: out of memory; one reference */
void tlsl_queue_up_ref(tlsl_queue *queue);
void tlsl_queue_free(tlsl_queue *queue);
size_t tlsl_queue_put(tlsl_queue *queue, const void *bytes, size_t len); /* how many were taken */
size_t tlsl_queue_get(tlsl_queue *queue, void *buffer, size_t len);     /* how many were there */
size_t tlsl_queue_len(const tlsl_queue *queue);
void tlsl_queue_end(tlsl_queue *queue); /* no more will be put: a reader sees end of stream after what is there */
bool tlsl_queue_ended(const tlsl_queue *queue);
/* A BIO that reads from in and writes to out; takes a reference of its own to each. Freeing it ends out. NULL: out of memory. */
BIO *tlsl_memory_bio(tlsl_queue *in, tlsl_queue *out);

/* ------------------------------------------------------------------------------------------------ fd.c */

/* A BIO over descriptors that never blocks (MSG_DONTWAIT), never raises SIGPIPE and leaves their flags alone;
 * closes them when freed if owned. After a failed read or write errno is the system's. NULL: out of memory. */
BIO *tlsl_fd_bio(int read_fd, int write_fd, bool owned);
int tlsl_fd_read(BIO *bio);  /* its descriptors */
int tlsl_fd_write(BIO *bio);

/* ----------------------------------------------------------------------------------------------- tcp.c */

/* A deadline on the monotonic clock, in ms; TLSL_NO_DEADLINE never passes. */
#define TLSL_NO_DEADLINE INT64_MAX
int64_t tlsl_now_ms(void);
int64_t tlsl_deadline(int timeout_ms); /* -1: TLSL_NO_DEADLINE */
/* Waits for fd to be readable or writable (POLLIN, POLLOUT). OK, TIMEOUT, or ERROR with errno. EINTR goes on waiting. */
tlslife_status tlsl_wait_fd(int fd, short events, int64_t deadline);

/* A TCP connection being made: addresses and the one that is tried. */
typedef struct tlsl_dial tlsl_dial;
tlsl_dial *tlsl_dial_new(const char *host, const char *service, tlslife_error *err); /* resolves: RESOLVE, MEMORY */
void tlsl_dial_free(tlsl_dial *dial); /* closes what is not taken */
bool tlsl_dial_is(const tlsl_dial *dial, const char *host, const char *service); /* whether it is for this target */
/* Goes on without waiting: OK and *out_fd (the caller's), WANT_WRITE (wait for tlsl_dial_fd), ERROR (every address failed). */
tlslife_status tlsl_dial_step(tlsl_dial *dial, int *out_fd, tlslife_error *err);
int tlsl_dial_fd(const tlsl_dial *dial);

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

struct tlslife_context {
    SSL_CTX *ctx;
    atomic_uint refs;
    tlslife_role role;
    atomic_bool sealed;
    bool foreign;               /* the program's own SSL_CTX: nothing of it is changed */
    pthread_mutex_t seal_lock;
    tlslife_verify verify;
    bool verify_host;
    bool ca_given;              /* any CA was added: the system's are not added by themselves */
    tlslife_resumption resumption;
    unsigned questions;         /* TLSLIFE_ASK_* */
    atomic_int timeout_ms;
    unsigned char *alpn;        /* wire form */
    size_t alpn_len;
    tlsl_server_name *server_names;
    tlsl_psk *psk;
    unsigned char *ocsp;
    size_t ocsp_len;
    bool keylog_keep;
    int keylog_fd;              /* -1: none */
    size_t num_tickets;
    EVP_MD_CTX *policy;         /* hash of the CA set, fed while it is configured */
    unsigned char policy_hash[32]; /* once sealed */
    unsigned char sid_ctx[32];
    size_t sid_ctx_len;         /* 0 until sealed or set */
};

/* Settles what is derived (CA default, session id context). Thread-safe, once. */
tlslife_status tlsl_context_seal(tlslife_context *context, tlslife_error *err);
tlslife_context *tlsl_context_of(const SSL_CTX *ctx); /* from ex_data; NULL: not ours */
/* The target for a server name, or NULL. */
tlslife_context *tlsl_context_match(const tlslife_context *context, const char *server_name);
/* Makes conn continue under context: certificate, and every attribute that SSL_set_SSL_CTX leaves behind. */
bool tlsl_context_apply(tlslife_context *context, SSL *ssl);

#define TLSL_POLICY_LEN 24 /* of a client's session id context: the policy's hash; the other 8 are the context's number */

/* ---------------------------------------------------------------------------------------------- conn.c */

#define TLSL_SESSIONS_MAX 16
#define TLSL_RECORD 16384

typedef enum tlsl_transport { TLSL_NONE = 0, TLSL_FD, TLSL_MEMORY, TLSL_FOREIGN } tlsl_transport;

typedef enum tlsl_answer { TLSL_UNASKED = 0, TLSL_ASKED, TLSL_ANSWERED, TLSL_REFUSED } tlsl_answer;

typedef struct tlsl_hello tlsl_hello; /* hello.c: a tlslife_hello and what it points into */

typedef struct tlsl_line {
    struct tlsl_line *next;
    char text[];
} tlsl_line;

struct tlslife_conn {
    SSL *ssl;
    tlslife_context *context;    /* in force */
    atomic_uint refs;
    /* -- hot: read by every read and write */
    bool open;                   /* handshake done and every question answered */
    bool failed;                 /* a fatal error: libssl would only repeat itself */
    bool blocking;
    bool corked;
    uint8_t transport;           /* tlsl_transport */
    int timeout_ms;
    size_t held_len;             /* bytes in held */
    unsigned char *held;         /* TLSL_RECORD bytes: what cork holds back, or NULL */
    /* -- cold */
    bool begun;                  /* a handshake call was made since new or clear */
    uint8_t hello_answer;        /* tlsl_answer */
    uint8_t certificate_answer;
    uint8_t verify_answer;
    bool server_verify_pending;  /* the server's question, after the handshake */
    int refuse_alert;
    int alert;                   /* the last fatal alert seen, or -1 */
    bool alert_received;
    long verify_result;          /* recorded in the verify callback when it failed */
    int verify_depth;
    char *verify_subject;
    char *hostname;
    char *groups;                /* as set on this connection, for dup */
    unsigned char *alpn;         /* wire form, as set on this connection, for dup */
    size_t alpn_len;
    int num_tickets;             /* as set on this connection, or -1 */
    tlsl_dial *dial;
    tlsl_queue *in, *out;        /* TLSL_MEMORY */
    tlsl_hello *hello;
    char *ca_name;               /* lent by tlslife_conn_ca_name */
    SSL_SESSION *sessions[TLSL_SESSIONS_MAX];
    size_t sessions_len;
    tlsl_line *keylog;
    tlslife_error *error;        /* allocated at the first failure */
};

tlslife_conn *tlsl_conn_of(const SSL *ssl); /* from ex_data; NULL: not ours */
tlslife_error *tlsl_conn_error(tlslife_conn *conn); /* where to write; NULL: out of memory */

#endif
