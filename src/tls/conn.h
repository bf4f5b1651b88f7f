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

typedef enum tlsl_transport_kind { TLSL_NONE = 0, TLSL_FD, TLSL_MEMORY, TLSL_FOREIGN } tlsl_transport_kind;

/* What a question of the handshake has come to. */
typedef enum tlsl_answer { TLSL_UNASKED = 0, TLSL_ASKED, TLSL_ACCEPTED, TLSL_REFUSED } tlsl_answer;

typedef struct tlsl_line {
    struct tlsl_line *next;
    char text[];
} tlsl_line;

/* transport.c: where the bytes go. */
typedef struct tlsl_transport {
    uint8_t kind;    /* tlsl_transport_kind */
    tlsl_dial *dial; /* while it is being connected */
    tlsl_queue *in;  /* of set_memory, as long as that is the transport */
    tlsl_queue *out; /* the same, and until there is another transport, for drain */
    char *service;   /* as dialled: part of the key of a client's sessions */
} tlsl_transport;

/* data.c: what a write has left behind. */
typedef struct tlsl_data {
    bool corked;
    bool unanswered;     /* something was read that no write has followed: see tlslife_conn_idle */
    bool write_waits;    /* libssl holds a record of data that the transport did not take */
    size_t held_len;     /* bytes in held */
    unsigned char *held; /* TLSL_RECORD bytes that cork holds back, or NULL */
} tlsl_data;

/* shutdown.c: how far the end has come. */
typedef struct tlsl_closing {
    bool notify_waits; /* libssl holds our close_notify, which the transport did not take */
    bool more;         /* close stopped while there was more to read, so that other connections have their turn */
    uint8_t passed;    /* TLSLIFE_SENT_SHUTDOWN, _RECEIVED_: the close_notify that did pass */
} tlsl_closing;

/* question.c, callbacks.c: what the program is asked, and its answers. */
typedef struct tlsl_asked {
    uint8_t hello, certificate, verify; /* tlsl_answer */
    bool hello_seen;                    /* server: the first ClientHello was looked at */
    int refuse_alert;
    tlslife_hello *client_hello; /* while it waits for an answer */
    tlslife_context *chosen;     /* the answer, until libssl calls back */
    char *refuse_reason; /* why the context that was chosen for this hello cannot serve it, or NULL */
    char *ca_name;       /* lent by tlslife_conn_ca_name */
} tlsl_asked;

#define TLSL_HEADER 5 /* bytes of a TLS record's header */

/* callbacks.c: what the handshake has found, for errors and getters. */
typedef struct tlsl_found_facts {
    int alert; /* the last fatal alert seen, or -1 */
    bool alert_received;
    bool no_tls; /* the first bytes that came are no header of a TLS record: */
    unsigned char first[TLSL_HEADER];
    long verify_result; /* of the built-in verification in this handshake */
    int verify_depth;   /* of the certificate that failed; -1: none */
    char *verify_subject;
    char *server_name; /* server: of the last ClientHello; libssl keeps none where a TLS 1.2 session is resumed */
} tlsl_found_facts;

/* conn.c: what was set on this connection, for dup. */
typedef struct tlsl_conn_settings {
    char *hostname;        /* lower case */
    bool hostname_dialled; /* by dial, not by the program: the next dial brings its own */
    int num_tickets;       /* -1: as the context has it */
    char *groups;
    unsigned char *alpn; /* wire form */
    size_t alpn_len;
    unsigned char *ticket_data; /* for the tickets of this connection */
    size_t ticket_data_len;
} tlsl_conn_settings;

/* lookup.c, session.c: the session that is looked for or resumed, and those that arrive. */
typedef struct tlsl_resume {
    bool told_store;    /* client: a ticket of this connection has gone to the external store */
    bool offered;       /* client: a session went into the ClientHello; server: the client offered one */
    bool ticket_failed; /* server: a ticket did not open */
    bool offered_expired; /* client: it was too old, by its own lifetime or its ticket's */
    uint8_t outcome;      /* tlslife_outcome: why nothing could be resumed, as far as is known */
    int offered_version;
    const SSL_SESSION *offered_session; /* to be compared, not used: no reference is held */
    SSL_SESSION *given_session;         /* client: the program's own choice, by set_session; or NULL */
    struct tlsl_search *search;         /* while a session is looked for, and what was found */
    unsigned char sid_ctx[SSL_MAX_SID_CTX_LENGTH]; /* a client's: the context's, with the host's part */
    size_t sid_ctx_len;
    unsigned char *resumed_data; /* of the ticket that it resumed by, once other data have taken their place */
    size_t resumed_data_len;
    /* client: sessions for the program or, with an external store, on their way there */
    SSL_SESSION **arrived; /* room for TLSL_SESSIONS_MAX, allocated with the first */
    size_t arrived_len;
} tlsl_resume;

/* conn.c: what has failed. */
typedef struct tlsl_failure {
    tlslife_error *last;  /* the last failure, or the last but the final one; NULL: none yet */
    tlslife_error *final; /* the one that ended the connection, which is given again whatever has failed since */
    bool final_is_last;   /* which of the two came last */
} tlsl_failure;

struct tlslife_conn {
    SSL *ssl;
    tlslife_context *context; /* in force */
    tlslife_context *origin;  /* the one it was made of: its cache and its ticket keys serve all its life */
    atomic_uint refs;
    int timeout_ms;
    bool blocking;
    bool begun;           /* a handshake call was made since new or clear */
    bool known;           /* libssl's last handshake is done: what it found can be told, also after a failure */
    bool shaken;          /* the first handshake is done, though a later one may be under way */
    bool open;            /* handshake done and every question answered */
    bool facts;           /* something was recorded that tlsl_conn_facts takes to where it belongs */
    uint8_t final_status; /* TLSLIFE_OK, or what every later call returns: TLSLIFE_ERROR, TLSLIFE_TRUNCATED */
    tlsl_line *keylog;
    tlsl_transport transport;
    tlsl_data data;
    tlsl_closing closing;
    tlsl_asked asked;
    tlsl_found_facts found;
    tlsl_conn_settings set;
    tlsl_resume resume;
    tlsl_failure failure;
};

tlslife_conn *tlsl_conn_of(const SSL *ssl); /* from ex_data; NULL: not ours */
tlslife_error *tlsl_conn_error(tlslife_conn *conn); /* where to write; NULL: out of memory */
/* Ends the connection, by the failure that was written last. Returns final_status. */
tlslife_status tlsl_conn_end(tlslife_conn *conn, tlslife_status final_status);
/*
 * TLSLIFE_OK, or what ended the connection, which the caller returns: tlslife_conn_error then says
 * why once more.
 */
tlslife_status tlsl_conn_final_status(tlslife_conn *conn);
/* Whether the program has a say on this connection's peer. */
bool tlsl_conn_asks_verify(const tlslife_conn *conn);
/* The connection's own mistake or failure: always TLSLIFE_ERROR. */
#define tlsl_conn_fail(conn, kind, ...) tlsl_fail(tlsl_conn_error(conn), (kind), __VA_ARGS__)

#endif
