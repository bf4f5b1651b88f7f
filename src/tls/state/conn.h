/*
 * conn.h: the structure of a connection. Each part of it names the file that it belongs to; conn.c
 * makes and frees it.
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
#define TLSL_TICKET_HEAD 32 /* bytes */

typedef enum tlsl_transport_kind {
    TLSL_NONE = 0,
    TLSL_FD,
    TLSL_MEMORY,
    TLSL_NESTED, /* the application data of another connection */
    TLSL_FOREIGN /* the BIOs of an SSL that the program made */
} tlsl_transport_kind;

/* The state of a question of the handshake. */
typedef enum tlsl_answer { TLSL_UNASKED = 0, TLSL_ASKED, TLSL_ACCEPTED, TLSL_REFUSED } tlsl_answer;

typedef struct tlsl_line {
    struct tlsl_line *next;
    char text[];
} tlsl_line;

/* transport.c: what carries the records. */
typedef struct tlsl_transport {
    uint8_t kind;         /* tlsl_transport_kind */
    uint8_t inner_status; /* nested.c: of the last call for inner */
    bool holds;           /* hold.c has a callback in the BIO */
    tlsl_dial *dial;      /* while it is being connected */
    tlsl_queue *in;       /* of set_memory, as long as that is the transport */
    tlsl_queue *out;      /* of set_memory, until there is another transport: drain reads it */
    char *service;        /* as dialled; it is part of the key of a client's sessions */
    struct tlsl_proxied *proxied; /* proxied.c: where a PROXY header comes first; else NULL */
    /* nested.c: the connection that carries this one (with a reference), what ends that, and the
     * one that this one carries (without) */
    tlslife_conn *outer;
    void (*part)(tlslife_conn *conn);
    tlslife_conn *inner;
} tlsl_transport;

/* data.c: what reads and writes have left unfinished. */
typedef struct tlsl_data {
    bool corked;
    bool unanswered;     /* bytes were read, and no write has followed; see tlslife_conn_idle */
    bool write_waits;    /* libssl holds a record of data that the transport did not take */
    bool write_lost;     /* and never will, because the peer has left after its close_notify */
    uint32_t early_sent; /* client: bytes of early data */
    size_t held_len;     /* bytes in held */
    unsigned char *held; /* TLSL_RECORD bytes that cork holds back, or NULL */
    struct tlsl_early *early; /* early.c: early data and what follows them; NULL: none, or over */
} tlsl_data;

/* shutdown.c: the state of the shutdown. */
typedef struct tlsl_closing {
    bool notify_waits; /* libssl holds our close_notify, which the transport did not take */
    /* close stopped while there was more to read, so that other connections have their turn */
    bool more;
    uint8_t passed; /* TLSLIFE_SENT_SHUTDOWN, _RECEIVED_: each close_notify that was sent, came */
    uint8_t kept;   /* the mask as it was when a renegotiation began */
} tlsl_closing;

/* Protocols for ALPN that were set on one connection, also none. */
typedef struct tlsl_own_alpn {
    bool given;
    unsigned char *wire; /* NULL: no protocol */
    size_t len;
} tlsl_own_alpn;

/* question.c, verify.c: what the program is asked, and its answers. */
typedef struct tlsl_asked {
    uint8_t hello, certificate, verify; /* tlsl_answer */
    bool hello_seen;                    /* server: the first ClientHello has been processed */
    bool hello_passed;                  /* server: the handshake has gone on behind it */
    bool alert_chosen;                  /* the program has chosen refuse_alert */
    bool alpn_chosen;                   /* server: libssl has made its choice */
    bool other_shown; /* the SSL has the certificates of an answer, also after clear */
    int refuse_alert;
    tlslife_hello *client_hello; /* while it waits for an answer */
    tlslife_context *chosen;     /* the answer, until libssl makes the callback again */
    /* why the context that was chosen for this ClientHello cannot serve it, or NULL */
    char *refuse_reason;
    tlsl_own_alpn alpn; /* server: the program's choice for this handshake, made within it */
    char *ca_name;      /* lent by tlslife_conn_ca_name */
    struct tlsl_psk_asked *psk; /* psk_question.c; NULL: nothing was asked */
} tlsl_asked;

#define TLSL_VERIFY_ERRORS_MAX 32 /* errors that are kept; a chain has at most 100 certificates */
#define TLSL_HEADER 5             /* bytes of a TLS record's header */

/* callbacks.c, verify.c: what the handshake has found, for errors and getters. */
typedef struct tlsl_found_facts {
    int alert; /* the last fatal alert seen, or -1 */
    bool alert_received;
    bool examined;    /* the first header that the peer sent was */
    bool no_tls;      /* the first bytes of the peer, in `first`, are no header of a TLS record */
    bool hello_retry; /* a HelloRetryRequest was sent or received */
    bool extms;       /* the first handshake has agreed on the extended master secret */
    bool hello_came;  /* server: a ClientHello, since the last handshake that is done */
    unsigned char first[TLSL_HEADER];
    uint8_t verify_errors_len;
    int verify_result;   /* of the built-in verification in this handshake */
    int verify_depth;    /* of the certificate that failed; -1: none */
    unsigned handshakes; /* that are done */
    char *verify_subject;
    /* all that the verification refused, where the program decides about it; else none */
    tlslife_verify_error *verify_errors; /* TLSL_VERIFY_ERRORS_MAX places, or NULL */
    STACK_OF(X509) *chain;  /* client that verifies OCSP responses: until it has done so */
    const char *ocsp_fault; /* client: what was wrong with the OCSP response, or NULL */
    /* server: of the last ClientHello. libssl keeps none where a TLS 1.2 session is resumed. */
    char *server_name;
    const char *psk_identity; /* psk.c: of the PSK in use in TLS 1.3, or NULL; its owner's */
} tlsl_found_facts;

/* conn_settings.c: what was set on this connection alone. dup copies it. */
typedef struct tlsl_conn_settings {
    char *hostname;        /* lower case */
    bool hostname_dialled; /* dial set it, not the program; the next dial sets another */
    int num_tickets;       /* -1: as the context has it */
    char *groups;
    tlsl_own_alpn alpn;
    unsigned char *ticket_data; /* for the tickets of this connection */
    size_t ticket_data_len;
} tlsl_conn_settings;

/* lookup.c, session.c: the session that is looked up or resumed, and those that arrive. */
typedef struct tlsl_resume {
    bool told_store;    /* client: a ticket of this connection has gone to the external store */
    bool offered;       /* client: the ClientHello has a session; server: the client offered one */
    bool ticket_failed; /* server: a ticket could not be decrypted */
    bool offered_expired; /* client: it was too old, by its own lifetime or its ticket's */
    bool ticket_made;     /* server: and its session has not come yet */
    bool permitted;       /* server: the permit of the ticket has been taken (permit.c) */
    uint8_t outcome;      /* tlslife_outcome: why nothing could be resumed, as far as is known */
    uint8_t sid_ctx_len;
    uint8_t arrived_len;
    int offered_version;
    const SSL_SESSION *offered_session; /* to be compared, not used; no reference is held */
    SSL_SESSION *given_session;         /* client: what the program gave to set_session, or NULL */
    struct tlsl_search *search;         /* a lookup under way, and what it has found */
    struct tlsl_stored *stored;         /* client: which session the external store has */
    struct tlsl_session_name *name; /* client: what its sessions are kept under, or NULL */
    /* a client's: the context's session id context, with the host's part filled in */
    unsigned char sid_ctx[SSL_MAX_SID_CTX_LENGTH];
    /* of the ticket that was resumed, once other data have been set in the session; else NULL */
    unsigned char *resumed_data;
    size_t resumed_data_len;
    /* client: sessions for the program or, with an external store, that are to be sent there */
    SSL_SESSION **arrived; /* TLSL_SESSIONS_MAX places, allocated with the first session */
    /* server: the beginning of the ticket that is being made, the name of its key and the IV */
    unsigned char ticket_head[TLSL_TICKET_HEAD];
    struct tlsl_permits *permits; /* server: permit.c: those that go to the external store */
} tlsl_resume;

/* tracing.c, traced.c: where it is recorded what this connection does. */
typedef struct tlsl_traced_by {
    tlslife_trace *trace;
    uint64_t number; /* of this connection in it */
    bool server;
    bool was_good;   /* the session in use was resumable at some time */
} tlsl_traced_by;

/* measured.c: what was counted of this connection. */
typedef struct tlsl_measured {
    /*
     * when its handshake began; after that, when the first close_notify was sent or came: in units
     * of 16 us, modulo 19 hours
     */
    uint32_t since;
    bool counts; /* its handshake has begun */
    bool failed; /* its failure was counted */
} tlsl_measured;

/* failure.c: what has failed. */
typedef struct tlsl_failure {
    tlslife_error *last; /* the last failure, or the last but the final one; NULL: none yet */
    /* the one that ended the connection; it is reported again, whatever has failed since */
    tlslife_error *final;
    bool final_is_last; /* which of the two came last */
    bool last_lost;     /* there was no memory for it */
    bool final_lost;
} tlsl_failure;

/*
 * A server has one for each client that waits, so a member stands where it leaves no gap, and is no
 * wider than it must be: an idle connection's memory is a figure of docs/performance.md.
 */
struct tlslife_conn {
    SSL *ssl;
    tlslife_context *context; /* in force */
    /* the one that the connection was made of, whose cache and ticket keys it uses to the end */
    tlslife_context *origin;
    atomic_uint refs;
    int timeout_ms;
    bool blocking;
    bool begun; /* a handshake call was made since new or clear */
    /* libssl's last handshake is done: its results can be read, also after a failure */
    bool known;
    bool shaken; /* the first handshake is done, though a later one may be under way */
    bool open;   /* the handshake is done, and every question is answered */
    bool facts;  /* callbacks have recorded something for tlsl_conn_facts */
    bool lent;   /* the program has the SSL, and may have changed it since */
    /* TLSLIFE_OK, or what every later call returns: TLSLIFE_ERROR, TLSLIFE_TRUNCATED */
    uint8_t final_status;
    tlsl_line *keylog;
    tlsl_transport transport;
    tlsl_data data;
    tlsl_closing closing;
    tlsl_asked asked;
    tlsl_found_facts found;
    tlsl_conn_settings set;
    tlsl_resume resume;
    tlsl_traced_by *traced; /* NULL: nowhere */
    tlsl_failure failure;
    tlsl_measured measured;
};

/* The connection whose transport is not another connection: conn itself, or one that carries it. */
static inline const tlslife_conn *tlsl_outermost(const tlslife_conn *conn) {
    while (conn->transport.outer != NULL) {
        conn = conn->transport.outer;
    }
    return conn;
}

#endif
