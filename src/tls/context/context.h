/*
 * context.h: the fields of a context, and its freezing. context.c.
 */
#ifndef TLSLIFE_CONTEXT_H
#define TLSLIFE_CONTEXT_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "tls/context/policy.h"
#include "tlslife.h"

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

/* A certificate with its key and chain, in the form that SSL_use_cert_and_key(3) takes. */
typedef struct tlsl_credential {
    X509 *leaf;
    EVP_PKEY *key;
    STACK_OF(X509) *chain; /* may be NULL */
} tlsl_credential;

#define TLSL_CREDENTIALS_MAX 9 /* libssl holds one for each type of key */

/* What the program has said about an option that other settings decide, too. */
typedef enum tlsl_said { TLSL_UNSAID = 0, TLSL_SAID_NO, TLSL_SAID_YES } tlsl_said;

struct tlslife_context {
    SSL_CTX *ctx;
    atomic_uint refs;
    tlslife_role role;
    atomic_bool frozen;
    bool foreign; /* the program's own SSL_CTX, of which nothing is changed */
    atomic_bool lent; /* the program has the SSL_CTX, and may have changed it since */
    /* Client: the cipher of the last session that fitted, which the ClientHellos offer; or NULL. */
    _Atomic(const SSL_CIPHER *) offers;
    pthread_mutex_t freeze_lock;
    tlslife_verify verify;
    bool verify_host;
    int purpose; /* X509_PURPOSE_* that a peer's certificate must serve; 0: that of its role */
    bool dane;   /* client: connections may have TLSA records */
    tlslife_verify ocsp_verify; /* client: what is demanded of a stapled OCSP response */
    bool ocsp_declined;         /* client: the program has said that none is asked for */
    bool ca_given; /* whether any CA was added; if not, freezing adds the system's */
    tlslife_resumption resumption;       /* the one in force */
    bool resumption_given;               /* by the program, and then nothing else changes it */
    tlsl_said no_ticket, no_anti_replay; /* the options SSL_OP_NO_TICKET and _NO_ANTI_REPLAY */
    bool gives_once; /* the early data of a TLS 1.3 session are accepted once only */
    bool num_tickets_given, verify_host_given, post_handshake_auth;
    int min_version, max_version; /* as given; 0 if not given */
    unsigned questions;           /* TLSLIFE_ASK_* */
    bool refuses; /* the extension that sends a refused peer its alert is installed */
    atomic_int timeout_ms;
    char *groups;        /* as set, for a switch of contexts; NULL for OpenSSL's default */
    unsigned char *alpn; /* in the form that is sent (RFC 7301 section 3.1) */
    size_t alpn_len;
    tlsl_server_name *server_names;
    tlsl_psk *psk;
    unsigned char *ocsp;
    size_t ocsp_len;
    bool keylog_keep;
    int keylog_fd;           /* -1 if there is none */
    atomic_bool keylog_torn; /* the last line was written in part */
    tlsl_policy policy;      /* collected during configuration; empty once the context is frozen */
    unsigned char sid_ctx[32];
    size_t sid_ctx_len;   /* 0 until the context is frozen or the program has set one */
    tlslife_cache *cache; /* as given, or NULL */
    /* A server's own cache. It is made for the first session that needs one if none was given. */
    _Atomic(tlslife_cache *) own_cache;
    tlslife_ticket_keys *ticket_keys;
    tlslife_trace *trace; /* or NULL */
    tlsl_credential credentials[TLSL_CREDENTIALS_MAX]; /* filled when the context is frozen */
    size_t credentials_len;
};

/* Whether the program is asked about the peers of context's connections. */
static inline bool tlsl_asks_verify(const tlslife_context *context) {
    return context->questions & (TLSLIFE_ASK_VERIFY | TLSLIFE_ASK_VERIFY_ALL);
}

/*
 * A context of ctx with one reference and no settings, which takes over the caller's reference to
 * ctx. NULL: out of memory.
 */
tlslife_context *tlsl_context_alloc(SSL_CTX *ctx, tlslife_role role);
/*
 * Freezes context: adds the default CAs, and derives the session id context and the credentials.
 * Any thread may call it; all but the first successful call do nothing. The error says which
 * settings contradict each other, or what OpenSSL could not do; the context is not frozen then.
 */
tlslife_status tlsl_context_freeze(tlslife_context *context, tlslife_error *err);
/*
 * Clears OpenSSL's error queue. TLSLIFE_OK if context may still be set; else err says why not
 * (USAGE).
 */
tlslife_status tlsl_context_settable(tlslife_context *context, tlslife_error *err);
/* Adds the system's CAs to those that context trusts, which is not frozen yet. */
tlslife_status tlsl_context_trust_system(tlslife_context *context, tlslife_error *err);
/*
 * Freezes context, and checks that connections can use it: a server must have something to show its
 * clients, and a certificate needs its key (INPUT). It is called before a connection is made of the
 * context, and before the context is chosen for one.
 */
tlslife_status tlsl_context_ready(tlslife_context *context, tlslife_error *err);

/*
 * Adds to context's policy a server name that leads to it. A frozen context stays as it is. Any
 * thread may call it.
 */
bool tlsl_policy_add_name(tlslife_context *context, const char *name);

#endif
