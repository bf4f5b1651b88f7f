/*
 * context.h: what a context is made of, and how it is frozen. context.c.
 */
#ifndef TLSLIFE_CONTEXT_H
#define TLSLIFE_CONTEXT_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "tls/policy.h"
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

/* A certificate with its key and chain, as SSL_use_cert_and_key wants them. */
typedef struct tlsl_credential {
    X509 *leaf;
    EVP_PKEY *key;
    STACK_OF(X509) *chain; /* may be NULL */
} tlsl_credential;

#define TLSL_CREDENTIALS_MAX 9 /* libssl holds one for each type of key */

/* What the program said of an option that other settings decide, too. */
typedef enum tlsl_said { TLSL_UNSAID = 0, TLSL_SAID_NO, TLSL_SAID_YES } tlsl_said;

struct tlslife_context {
    SSL_CTX *ctx;
    atomic_uint refs;
    tlslife_role role;
    atomic_bool frozen;
    bool foreign; /* the program's own SSL_CTX: nothing of it is changed */
    pthread_mutex_t freeze_lock;
    tlslife_verify verify;
    bool verify_host;
    bool ca_given; /* any CA was added: the system's are not added by themselves */
    tlslife_resumption resumption;      /* what holds */
    bool resumption_given;              /* by the program: nothing else changes it */
    tlsl_said no_ticket, no_anti_replay; /* the options of these names */
    bool gives_once;                    /* sessions with early data: the cache, not libssl, sees to it */
    bool num_tickets_given, verify_host_given, post_handshake_auth;
    int min_version, max_version; /* as given; 0: not */
    unsigned questions; /* TLSLIFE_ASK_* */
    bool refuses;       /* the extension that sends a refused peer its alert is there */
    atomic_int timeout_ms;
    char *groups;        /* as set, for server names; NULL: the default */
    unsigned char *alpn; /* wire form */
    size_t alpn_len;
    tlsl_server_name *server_names;
    tlsl_psk *psk;
    unsigned char *ocsp;
    size_t ocsp_len;
    bool keylog_keep;
    int keylog_fd;           /* -1: none */
    atomic_bool keylog_torn; /* the last line was written in part */
    tlsl_policy policy;      /* collected while it is configured; empty once frozen */
    unsigned char sid_ctx[32];
    size_t sid_ctx_len; /* 0 until frozen or set */
    tlslife_cache *cache;           /* as given, or NULL */
    _Atomic(tlslife_cache *) home; /* a server's own, where none was given, from its first session on */
    tlslife_ticket_keys *ticket_keys;
    tlsl_credential credentials[TLSL_CREDENTIALS_MAX];
    size_t credentials_len; /* filled when it is frozen */
};

/* Settles what is derived (CA default, session id context, credentials). Thread-safe, once. */
tlslife_status tlsl_context_freeze(tlslife_context *context, tlslife_error *err);
/*
 * The same, and a server must have something to show its clients, and a certificate its key
 * (INPUT): before a connection is made of the context, or it is chosen for one.
 */
tlslife_status tlsl_context_ready(tlslife_context *context, tlslife_error *err);
tlslife_context *tlsl_context_of(const SSL_CTX *ctx); /* from ex_data; NULL: not ours */

/* Adds the first name that leads to the context, unless it is frozen; from any thread. */
void tlsl_policy_add_name(tlslife_context *context, const char *name);

#endif
