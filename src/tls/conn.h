/*
 * conn.h: what a connection is made of. conn.c.
 */
#ifndef TLSLIFE_CONN_H
#define TLSLIFE_CONN_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/dial.h"
#include "net/memory.h"
#include "tlslife.h"

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
    bool known;              /* libssl's last handshake is done: what it found can be told, also after a failure */
    uint8_t hello_answer;    /* tlsl_answer */
    uint8_t certificate_answer;
    uint8_t verify_answer;
    tlslife_context *chosen; /* the answer to a question, until libssl calls back */
    int refuse_alert;
    char *refuse_reason; /* why the context that was chosen for this hello cannot serve it; or NULL */
    int alert; /* the last fatal alert seen, or -1 */
    bool alert_received;
    long verify_result; /* what the built-in verification found in this handshake, and of which certificate */
    int verify_depth;   /* -1: nothing failed */
    char *verify_subject;
    bool write_waits;     /* libssl holds a record of data that the transport did not take */
    bool shaken;          /* the first handshake is done, though a later one may be under way */
    bool goodbye_waits;   /* libssl holds our close_notify, which the transport did not take */
    uint8_t passed;       /* TLSLIFE_SENT_SHUTDOWN, _RECEIVED_: the close_notify that did pass */
    char *hostname;   /* lower case */
    char *server_name; /* server: of the last ClientHello; libssl keeps none where a TLS 1.2 session is resumed */
    bool hostname_dialled; /* by dial, not by the program: the next dial brings its own */
    bool more; /* close stopped in the middle of what there is to read, for others to have their turn */
    unsigned char sid_ctx[SSL_MAX_SID_CTX_LENGTH]; /* a client's: the context's, with the host's part */
    size_t sid_ctx_len;
    char *groups;        /* as set on this connection, for dup */
    unsigned char *alpn; /* wire form, as set on this connection, for dup */
    size_t alpn_len;
    int num_tickets; /* as set on this connection, or -1 */
    tlsl_dial *dial;
    tlsl_queue *in;       /* set_memory's, as long as it is the transport */
    tlsl_queue *out;      /* the same, and after that, till there is another transport: for drain */
    tlslife_hello *hello; /* while a ClientHello waits */
    char *ca_name;        /* lent by tlslife_conn_ca_name */
    char *service;              /* as dialled: part of what a client's sessions are kept under */
    struct tlsl_search *search; /* lookup.c: while a session is looked for, and what was found */
    uint8_t outcome;            /* tlslife_outcome: why nothing could be resumed, as far as is known */
    /* client: a session went into the ClientHello; server: the client offered one */
    bool offered;
    bool ticket_failed;         /* server: a ticket did not open */
    bool offered_expired; /* client: it was too old, by its own word or its ticket's */
    int offered_version;
    const SSL_SESSION *offered_session; /* to be compared, not used: no reference is held */
    SSL_SESSION *given_session;         /* client: the program's own choice, by set_session; or NULL */
    unsigned char *ticket_data; /* what goes into the tickets of this connection */
    size_t ticket_data_len;
    unsigned char *resumed_data; /* of the ticket that it resumed by, once others have taken their place */
    size_t resumed_data_len;
    /* a client's, for the program; with a far home, on their way there */
    SSL_SESSION **sessions; /* room for TLSL_SESSIONS_MAX, allocated with the first */
    size_t sessions_len;
    tlslife_error *error; /* the last failure, or the last but the one that ended the connection; NULL: none yet */
    tlslife_error *end;   /* the failure that ended it: it is given again, whatever has failed since */
    bool tells_end;       /* which of the two is the last */
};

tlslife_conn *tlsl_conn_of(const SSL *ssl); /* from ex_data; NULL: not ours */
tlslife_error *tlsl_conn_error(tlslife_conn *conn); /* where to write; NULL: out of memory */
/* Ends the connection, by the failure that was written last. Returns fate. */
tlslife_status tlsl_conn_end(tlslife_conn *conn, tlslife_status fate);
/* TLSLIFE_OK, or what ended the connection, which the caller returns: tlslife_conn_error then says why once more. */
tlslife_status tlsl_conn_fate(tlslife_conn *conn);
/* Whether the program has a say on this connection's peer. */
bool tlsl_conn_asks_verify(const tlslife_conn *conn);
/* The connection's own mistake or failure: always TLSLIFE_ERROR. */
#define tlsl_conn_fail(conn, kind, ...) tlsl_fail(tlsl_conn_error(conn), (kind), __VA_ARGS__)

#endif
