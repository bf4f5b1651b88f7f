/*
 * tlslife.h: the whole C API of libtlslife.
 *
 * libtlslife owns the life of OpenSSL's SSL and SSL_SESSION objects. OpenSSL does the TLS. Each
 * call here does what the manual page named beside it says; where libssl lets a program ruin
 * something, the call is refused with an error that says so.
 *
 * Conventions
 *   new, dup, up_ref, free, get0, get1, set1, take mean what they mean in OpenSSL: get0 lends, get1 and take
 *   give a reference that the caller frees, set1 takes a reference of its own. free(NULL) does nothing.
 *   Every verb returns a tlslife_status and only that; outputs are out_ parameters, written on success only
 *   unless the declaration says otherwise. Lengths are bytes and end in _len. Times in names: _seconds, _ms.
 *   Strings are UTF-8 or ASCII and end in NUL unless a length stands beside them.
 *
 * Errors
 *   Contexts and sessions are shared by threads, so the error goes to the caller: the last parameter
 *   `err` may be NULL, and is written only when the call fails. A connection belongs to one thread at a time
 *   and keeps its own error: tlslife_conn_error().
 *
 * Threads
 *   Reference counts are atomic. A context is configured by one thread and sealed by its first connection;
 *   from then on it, and every session, may be used from any thread at once. A connection and a listener
 *   belong to one thread at a time; they may move.
 *
 * Suspension
 *   No callback is ever made into the caller. A question of the handshake comes out as a status
 *   (TLSLIFE_WANT_HELLO, _CERTIFICATE, _VERIFY): answer it, at any time later, and make the same call again.
 */
#ifndef TLSLIFE_H
#define TLSLIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TLSLIFE_API __attribute__((visibility("default")))
#else
#define TLSLIFE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TLSLIFE_VERSION "0.1.0"

typedef struct tlslife_context tlslife_context;   /* an SSL_CTX, sealed at its first connection */
typedef struct tlslife_conn tlslife_conn;         /* an SSL and its transport */
typedef struct tlslife_session tlslife_session;   /* an SSL_SESSION; never NULL where one is returned */
typedef struct tlslife_listener tlslife_listener; /* a listening TCP socket */
typedef struct tlslife_cache tlslife_cache;       /* sessions, shared by contexts, Lua states and threads */
/* a far home of a cache: bytes outside of this process's heap */
typedef struct tlslife_store tlslife_store;
typedef struct tlslife_keyring tlslife_keyring;   /* keys that seal what leaves the process */
typedef struct tlslife_ticket_keys tlslife_ticket_keys; /* keys of stateless tickets */

typedef struct tlslife_bytes { const unsigned char *data; size_t len; } tlslife_bytes; /* lent */

/* -------------------------------------------------------------------------------------- results */

typedef enum tlslife_status {
    TLSLIFE_OK = 0,
    TLSLIFE_ERROR,            /* it failed: see the error */
    TLSLIFE_WANT_READ,        /* call again when the transport is readable, or was fed */
    TLSLIFE_WANT_WRITE,       /* call again when the transport is writable, or was drained */
    TLSLIFE_WANT_HELLO,       /* a ClientHello waits for tlslife_conn_answer_hello */
    TLSLIFE_WANT_CERTIFICATE, /* the handshake waits for tlslife_conn_answer_certificate */
    TLSLIFE_WANT_VERIFY,      /* the peer waits for tlslife_conn_answer_verify */
    TLSLIFE_WANT_SESSION,     /* the handshake waits for its session's home: see tlslife_conn_lookup */
    /* shutdown: our close_notify is out, the peer's has not come (SSL_shutdown's 0) */
    TLSLIFE_SENT,
    TLSLIFE_CLOSED,           /* the peer's close_notify has come: a clean end */
    TLSLIFE_TRUNCATED,        /* the stream ended without close_notify: an attacker may have cut it */
    TLSLIFE_TIMEOUT,          /* the deadline passed; the connection is as it was, and may be called again */
    TLSLIFE_UNSENT            /* close: the transport is gone, and no close_notify of ours went out by it */
} tlslife_status;

/* The stable word for a status: "ok", "error", "want_read", ... Never NULL. */
TLSLIFE_API const char *tlslife_status_name(tlslife_status status);

typedef enum tlslife_error_kind {
    TLSLIFE_ERR_NONE = 0,
    TLSLIFE_ERR_USAGE,   /* the program's mistake: this call is not lawful now, or not with this argument */
    TLSLIFE_ERR_INPUT,   /* a file, PEM, DER or name given by the program cannot be used */
    TLSLIFE_ERR_TLS,     /* libssl refused or failed; the queue says why */
    TLSLIFE_ERR_ALERT,   /* the peer sent a fatal alert */
    TLSLIFE_ERR_VERIFY,  /* the peer's certificate was not accepted */
    TLSLIFE_ERR_SYSTEM,  /* the operating system said no: see system_errno */
    TLSLIFE_ERR_RESOLVE, /* the host name has no address */
    TLSLIFE_ERR_MEMORY   /* out of memory */
} tlslife_error_kind;

#define TLSLIFE_ERROR_QUEUE_MAX 16 /* OpenSSL's own queue holds no more */

typedef struct tlslife_error_entry {
    unsigned long code; /* OpenSSL's packed code */
    char library[32];   /* "SSL routines" */
    char reason[96];    /* "certificate verify failed" */
    char data[128];     /* what the library added, or "" */
} tlslife_error_entry;

typedef struct tlslife_error {
    tlslife_error_kind kind;
    char message[512];        /* what happened, to what, and what to do: one line */
    unsigned long code;       /* OpenSSL's packed code of the first cause, or 0 */
    char library[32];         /* of the first cause, or "" */
    char reason[96];          /* of the first cause, or "" */
    int alert;                /* 0..255, RFC 8446 section 6, or -1: none */
    bool alert_received;      /* true: the peer sent it; false: we did */
    long verify_result;       /* X509_V_ERR_*, 0 when verification is not what failed */
    int verify_depth;         /* 0 is the peer's own certificate; -1: none */
    char verify_subject[256]; /* of the certificate that failed, RFC 2253, or "" */
    int system_errno;         /* errno, or 0 */
    size_t queue_len;         /* entries in queue */
    tlslife_error_entry queue[TLSLIFE_ERROR_QUEUE_MAX]; /* all that OpenSSL said, first cause first */
} tlslife_error;

/*
 * The stable word for a kind: "usage", "input", "tls", "alert", "verify", "system", "resolve",
 * "memory".
 */
TLSLIFE_API const char *tlslife_error_kind_name(tlslife_error_kind kind);

/* The name of an alert as RFC 8446 writes it ("handshake_failure"), or "unknown_alert". */
TLSLIFE_API const char *tlslife_alert_name(int alert);

/* The number of an alert by that name, or -1: there is none. */
TLSLIFE_API int tlslife_alert_number(const char *name);

/* The sentence for an X509_V_ERR_* code (X509_verify_cert_error_string). */
TLSLIFE_API const char *tlslife_verify_result_text(long verify_result);

/* The version of the OpenSSL in use ("OpenSSL 3.0.19 27 Jan 2026"). */
TLSLIFE_API const char *tlslife_openssl_version(void);

/*
 * From now on what OpenSSL frees in this process is kept, 512 KiB in each thread at most, for the
 * next that wants as much (CRYPTO_set_mem_functions(3)): full handshakes cost some five per cent
 * less than with glibc's malloc alone, resumed ones four to ten. For a program that calls it once,
 * before anything of this library or of OpenSSL, in its first thread; no library should. Not for a
 * build with AddressSanitizer, which sees less then. false: OpenSSL has taken memory already, and
 * nothing changes. A thread's memory goes with it. The program tlslife does it.
 */
TLSLIFE_API bool tlslife_keep_memory(void);

/* --------------------------------------------------------------------------------- certificates */

/*
 * What a person or a policy wants to know of an X.509 certificate. All strings belong to the
 * struct.
 */
typedef struct tlslife_certificate {
    unsigned char *der; /* the certificate, DER */
    size_t der_len;
    char *pem;           /* the same, PEM */
    char *subject;       /* RFC 2253: "CN=example.org,O=Example" */
    char *issuer;        /* RFC 2253 */
    char *serial;        /* hexadecimal, upper case, no prefix */
    int64_t not_before;  /* seconds since 1970, UTC */
    int64_t not_after;   /* seconds since 1970, UTC */
    char *names;         /* subjectAltName: "DNS:a.example,IP:127.0.0.1", or "" */
    char fingerprint[65]; /* SHA-256 of the DER, lower-case hexadecimal */
} tlslife_certificate;

/* Frees what the struct holds and zeroes it. Safe on a zeroed struct. */
TLSLIFE_API void tlslife_certificate_clear(tlslife_certificate *certificate);

/* -------------------------------------------------------------------------------------- context */

typedef enum tlslife_role { TLSLIFE_CLIENT = 0, TLSLIFE_SERVER = 1 } tlslife_role;

typedef enum tlslife_verify {
    TLSLIFE_VERIFY_NONE = 0, /* SSL_VERIFY_NONE. A server asks for no certificate. */
    TLSLIFE_VERIFY_OPTIONAL, /* server only, SSL_VERIFY_PEER: asks; none is accepted, a bad one is not */
    TLSLIFE_VERIFY_REQUIRED  /* SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT */
} tlslife_verify;

typedef enum tlslife_resumption {
    /* tickets, and session ids for those clients of TLS 1.2 that take no ticket */
    TLSLIFE_RESUMPTION_BOTH = 0,
    /* stateless tickets (RFC 5077, RFC 8446 4.6.1); the server keeps nothing */
    TLSLIFE_RESUMPTION_TICKETS,
    /* session ids; in TLS 1.3 tickets that hold an id only (SSL_OP_NO_TICKET) */
    TLSLIFE_RESUMPTION_STATEFUL,
    TLSLIFE_RESUMPTION_OFF          /* no session is offered or accepted */
} tlslife_resumption;

enum { /* the handshake's questions; a mask for tlslife_context_set_questions */
    TLSLIFE_ASK_HELLO = 1,       /* server: which context for this ClientHello? */
    TLSLIFE_ASK_CERTIFICATE = 2, /* which certificate shall we present? */
    TLSLIFE_ASK_VERIFY = 4,      /* is this peer, whom the built-in verification accepted, acceptable? */
    TLSLIFE_ASK_VERIFY_ALL = 8   /* the same, also for peers whom it did not accept: the answer decides */
};

enum { /* protocol versions, as on the wire */
    TLSLIFE_TLS1_0 = 0x0301, TLSLIFE_TLS1_1 = 0x0302, TLSLIFE_TLS1_2 = 0x0303, TLSLIFE_TLS1_3 = 0x0304
};

/*
 * A context with the safe defaults: a client verifies peer and host name, against the system's CAs
 * unless others are given; TLS 1.2 is the least; resumption by tickets, and by ids for those
 * without; SSL_MODE_RELEASE_BUFFERS; a session id context derived from the policy. Source:
 * SSL_CTX_new(3). Returns NULL and fills err when out of memory or when OpenSSL cannot start.
 *
 * Every tlslife_context_set_ and _add_ below fails with TLSLIFE_ERR_USAGE once the context is
 * sealed: what a running handshake reads cannot be changed under it. Make another context and use
 * that for what comes next. Settings of which one would be without effect beside another are USAGE
 * too, of whichever comes last: tickets and the option NO_TICKET, resumption OFF and a cache,
 * ticket keys, tickets or early data, versions that an option excludes, early data without TLS 1.3,
 * verify_host where nobody is verified.
 */
TLSLIFE_API tlslife_context *tlslife_context_new(tlslife_role role, tlslife_error *err);
TLSLIFE_API tlslife_context *tlslife_context_up_ref(tlslife_context *context); /* returns its argument */
TLSLIFE_API void tlslife_context_free(tlslife_context *context);
TLSLIFE_API tlslife_role tlslife_context_role(const tlslife_context *context);

/*
 * Our certificate, leaf first, then its chain, PEM: from a file or from memory; then its private
 * key. Call the two again for a key of another type (RSA beside ECDSA). passphrase may be NULL; an
 * encrypted key without one fails, the terminal is never asked. The key must belong to the
 * certificate that was set before it. Errors: INPUT (no such file, not PEM, wrong passphrase, key
 * of another certificate). Source: SSL_CTX_use_certificate(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_certificate_file(tlslife_context *context, const char *path,
    tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_certificate_pem(tlslife_context *context, const char *pem,
    size_t pem_len, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_private_key_file(tlslife_context *context, const char *path,
    const char *passphrase, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_private_key_pem(tlslife_context *context, const char *pem,
    size_t pem_len, const char *passphrase, tlslife_error *err);

/*
 * The CAs that we trust. Each call adds. When verification is on and none was added, the system's
 * are used; use_system_ca adds them to others. Errors: INPUT. Source:
 * SSL_CTX_load_verify_locations(3).
 */
TLSLIFE_API tlslife_status tlslife_context_add_ca_file(tlslife_context *context, const char *path,
    tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_add_ca_directory(tlslife_context *context, const char *path,
    tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_add_ca_pem(tlslife_context *context, const char *pem,
    size_t pem_len, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_use_system_ca(tlslife_context *context, tlslife_error *err);

/*
 * Server: the CA names sent with a certificate request, PEM. Source: SSL_CTX_set0_CA_list(3).
 * Errors: INPUT.
 */
TLSLIFE_API tlslife_status tlslife_context_set_client_ca_file(tlslife_context *context, const char *path,
    tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_client_ca_pem(tlslife_context *context, const char *pem,
    size_t pem_len, tlslife_error *err);

/*
 * Default: a client REQUIRED, a server NONE. OPTIONAL is a USAGE error on a client. Source:
 * SSL_CTX_set_verify(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_verify(tlslife_context *context, tlslife_verify verify,
    tlslife_error *err);
/* Intermediate CAs allowed in a chain, 0..100. Source: SSL_CTX_set_verify_depth(3). */
TLSLIFE_API tlslife_status tlslife_context_set_verify_depth(tlslife_context *context, int depth,
    tlslife_error *err);
/*
 * Client: whether the certificate must bear the host name (default true). Source:
 * X509_VERIFY_PARAM_set1_host(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_verify_host(tlslife_context *context, bool verify_host,
    tlslife_error *err);

/*
 * TLSLIFE_TLS1_*; 0 is the default: TLS 1.2 and the newest. Source:
 * SSL_CTX_set_min_proto_version(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_versions(tlslife_context *context, int min_version,
    int max_version, tlslife_error *err);
/* TLS 1.2 and below, OpenSSL's syntax, "@SECLEVEL=n" too. Source: SSL_CTX_set_cipher_list(3). */
TLSLIFE_API tlslife_status tlslife_context_set_cipher_list(tlslife_context *context, const char *list,
    tlslife_error *err);
/* TLS 1.3, names joined by ":". Source: SSL_CTX_set_ciphersuites(3). */
TLSLIFE_API tlslife_status tlslife_context_set_ciphersuites(tlslife_context *context, const char *list,
    tlslife_error *err);
/* Key exchange groups, names joined by ":". Source: SSL_CTX_set1_groups_list(3). */
TLSLIFE_API tlslife_status tlslife_context_set_groups(tlslife_context *context, const char *list,
    tlslife_error *err);
/* Signature algorithms, names joined by ":". Source: SSL_CTX_set1_sigalgs_list(3). */
TLSLIFE_API tlslife_status tlslife_context_set_signature_algorithms(tlslife_context *context,
    const char *list, tlslife_error *err);

/*
 * ALPN (RFC 7301). A client offers these, in order. A server takes the first of its own that the
 * client offers; a client that offers only others gets the alert no_application_protocol. Names of
 * 1..255 bytes. Source: SSL_CTX_set_alpn_select_cb(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_alpn(tlslife_context *context, const char *const *protocols,
    size_t protocols_len, tlslife_error *err);

/*
 * Server: connections whose ClientHello names a server that matches `pattern` ("a.example", or
 * "*.example" for one label) continue under `target`, with all of its policy. Exact names win over
 * wildcards; no match keeps this context. Takes a reference to target and seals it. Source:
 * SSL_CTX_set_client_hello_cb(3), RFC 6066 section 3.
 */
TLSLIFE_API tlslife_status tlslife_context_add_server_name(tlslife_context *context, const char *pattern,
    tlslife_context *target, tlslife_error *err);

/*
 * A pre-shared key, TLS 1.2 and 1.3 (SHA-256 suites). A client offers the first that was added; a
 * server looks the client's identity up. identity 0..256 bytes (a client's: 0..255; TLS 1.3 offers
 * no empty one) without NUL, since libssl hands on what comes before one; key 1..256 bytes; both
 * copied, the key wiped when the context goes. Source: SSL_CTX_set_psk_client_callback(3).
 */
TLSLIFE_API tlslife_status tlslife_context_add_psk(tlslife_context *context, const char *identity,
    const unsigned char *key, size_t key_len, tlslife_error *err);

/*
 * Server: how sessions resume; default BOTH, or STATEFUL with a cache or the option NO_TICKET.
 * Contexts that one listener leads to may differ: each hello gets what the one in force allows,
 * from the cache and by the ticket keys of the listener's. Client: OFF neither asks for tickets nor
 * keeps sessions.
 */
TLSLIFE_API tlslife_status tlslife_context_set_resumption(tlslife_context *context,
    tlslife_resumption resumption, tlslife_error *err);
/*
 * Server: TLS 1.3 tickets after a full handshake, 0..16; default 2. Source:
 * SSL_CTX_set_num_tickets(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_num_tickets(tlslife_context *context, size_t num_tickets,
    tlslife_error *err);
/*
 * Seconds that a session lives, 1..604800 (RFC 8446 4.6.1: seven days at most); default 7200.
 * Source: SSL_CTX_set_timeout(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_session_timeout(tlslife_context *context, long timeout_seconds,
    tlslife_error *err);
/*
 * Replaces the derived session id context, 1..32 bytes (servers; a client's is always derived and
 * holds a number of its own, by which a session knows the context it belongs to). Source:
 * SSL_CTX_set_session_id_context(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_session_id_context(tlslife_context *context,
    const unsigned char *id, size_t id_len, tlslife_error *err);

/* Server: the stapled OCSP response, DER. Source: SSL_CTX_set_tlsext_status_cb(3). */
TLSLIFE_API tlslife_status tlslife_context_set_ocsp_response(tlslife_context *context,
    const unsigned char *der, size_t der_len, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_ocsp_response_file(tlslife_context *context,
    const char *path, tlslife_error *err);
/* Client: whether to ask for one (default false); tlslife_conn_ocsp_response() has it. */
TLSLIFE_API tlslife_status tlslife_context_set_ocsp_request(tlslife_context *context, bool request,
    tlslife_error *err);

/*
 * Key log (the NSS format, SSL_CTX_set_keylog_callback(3)): appended to a file, one write a line,
 * after the call that made it; with path NULL, kept for tlslife_conn_take_keylog. These lines
 * decrypt the traffic, so the file must be ours alone: made with the mode 0600, or there with it
 * and owned by this user, and no symbolic link (INPUT otherwise). A FIFO must have its reader.
 * Nothing waits for a key log, and no signal comes of it: what a full disk, a full FIFO or a reader
 * who has gone does not take is lost.
 */
TLSLIFE_API tlslife_status tlslife_context_set_keylog(tlslife_context *context, const char *path,
    tlslife_error *err);

/*
 * One of OpenSSL's options, by name without "SSL_OP_" ("NO_TICKET", any case). Source:
 * SSL_CTX_set_options(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_option(tlslife_context *context, const char *name, bool on,
    tlslife_error *err);
/*
 * One of OpenSSL's modes, by name without "SSL_MODE_" ("AUTO_RETRY"). ASYNC, and taking away the
 * two that write is built on, are USAGE errors. Source: SSL_CTX_set_mode(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_mode(tlslife_context *context, const char *name, bool on,
    tlslife_error *err);
/*
 * Anything else that SSL_CONF_cmd(3) knows for configuration files: ("MinProtocol", "TLSv1.2").
 * Sessions are kept apart by what it changes of who may come in (verification, CAs, names of
 * certificates, security level), and by nothing else.
 */
TLSLIFE_API tlslife_status tlslife_context_conf(tlslife_context *context, const char *command,
    const char *value, tlslife_error *err);

/* Source: SSL_CTX_set_quiet_shutdown(3). Default false. */
TLSLIFE_API tlslife_status tlslife_context_set_quiet_shutdown(tlslife_context *context, bool quiet,
    tlslife_error *err);
/*
 * Bytes of early data: a server accepts, a client may send (RFC 8446 section 2.3); default 0: none.
 * Source: SSL_CTX_set_max_early_data(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_max_early_data(tlslife_context *context,
    uint32_t max_early_data, tlslife_error *err);
/*
 * Client: offer post-handshake authentication (TLS 1.3). Source:
 * SSL_CTX_set_post_handshake_auth(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_post_handshake_auth(tlslife_context *context, bool on,
    tlslife_error *err);
/*
 * The deadline of each blocking call of connections made from now on; -1: none (the default).
 * Allowed at any time.
 */
TLSLIFE_API void tlslife_context_set_timeout_ms(tlslife_context *context, int timeout_ms);
/*
 * Which questions suspend the handshake; a mask of TLSLIFE_ASK_*; default 0. HELLO is a server's.
 */
TLSLIFE_API tlslife_status tlslife_context_set_questions(tlslife_context *context, unsigned questions,
    tlslife_error *err);

/*
 * The session id context in force; seals the context. Writes at most 32 bytes to out, returns how
 * many.
 */
TLSLIFE_API size_t tlslife_context_session_id_context(tlslife_context *context, unsigned char out[32]);

/*
 * A session from its bytes, DER or PEM, made for this context: the lawful way to bring a session
 * from another context, process or machine. The caller frees it. Errors: INPUT (not a session, or
 * of more than 64 KiB); USAGE when it was made by a client under another policy (its certificate
 * was never verified as this context demands). Source: d2i_SSL_SESSION(3).
 */
TLSLIFE_API tlslife_session *tlslife_context_import_session(tlslife_context *context,
    const unsigned char *bytes, size_t bytes_len, tlslife_error *err);

/*
 * Sessions live in this cache: a server's by session id (resumption becomes STATEFUL unless it was
 * set; with BOTH only those that have no ticket; with TICKETS only those that allow early data,
 * whose single use the cache enforces), a client's by peer (host, port, server name, ALPN, policy).
 * Takes a reference. One cache serves any number of contexts. Without one a server's sessions are
 * in a cache of its own, a client's in the connection's queue (tlslife_conn_take_session); with
 * one, a client's sessions go to the cache, the queue stays empty, and a connection for which
 * set_session was not called offers what the cache has.
 */
TLSLIFE_API tlslife_status tlslife_context_set_cache(tlslife_context *context, tlslife_cache *cache,
    tlslife_error *err);
TLSLIFE_API tlslife_cache *tlslife_context_get0_cache(const tlslife_context *context); /* NULL: none */
/*
 * Server: the keys of stateless tickets (RFC 5077; SSL_CTX_set_tlsext_ticket_key_evp_cb(3)). Takes
 * a reference; any number of contexts may share them. Without, OpenSSL makes random keys that never
 * change.
 */
TLSLIFE_API tlslife_status tlslife_context_set_ticket_keys(tlslife_context *context, tlslife_ticket_keys *keys,
    tlslife_error *err);

/* -------------------------------------------------------------------------------------- keyring */

/*
 * Keys for AES-256-GCM, derived by HKDF-SHA-256 from secrets of 32 bytes or more (fewer: USAGE).
 * The first seals and opens; those added later open only. What is sealed is bound to its key in the
 * store and to the context's policy, so that bytes that are moved or swapped do not open.
 * Thread-safe; secrets wiped at the end.
 */
TLSLIFE_API tlslife_keyring *tlslife_keyring_new(const unsigned char *secret, size_t secret_len,
    tlslife_error *err);
TLSLIFE_API tlslife_keyring *tlslife_keyring_up_ref(tlslife_keyring *keyring);
TLSLIFE_API void tlslife_keyring_free(tlslife_keyring *keyring);
/* One more key that opens; at most 8 in all (more: USAGE). */
TLSLIFE_API tlslife_status tlslife_keyring_add(tlslife_keyring *keyring, const unsigned char *secret,
    size_t secret_len, tlslife_error *err);
/* A new first key, at run time; the others open still, the oldest of 8 goes. */
TLSLIFE_API tlslife_status tlslife_keyring_rotate(tlslife_keyring *keyring, const unsigned char *secret,
    size_t secret_len, tlslife_error *err);

/* ---------------------------------------------------------------------------------- ticket keys */

/*
 * Keys that any number of machines derive from one secret (32 bytes or more) and the time's epoch,
 * with no word between them: HKDF-SHA-256 over the number of the epoch. Tickets are made under the
 * epoch's key; those of `older_epochs` before (1..16) and of one after (another machine's clock)
 * open too, and are renewed. epoch_seconds: 60..604800.
 */
TLSLIFE_API tlslife_ticket_keys *tlslife_ticket_keys_derived(const unsigned char *secret, size_t secret_len,
    long epoch_seconds, unsigned older_epochs, tlslife_error *err);
/* Random keys of this process, a new one every epoch_seconds. */
TLSLIFE_API tlslife_ticket_keys *tlslife_ticket_keys_random(long epoch_seconds, unsigned older_epochs,
    tlslife_error *err);
/*
 * The program's own: 1..16 keys of 80 bytes (16 name, 32 HMAC-SHA-256, 32 AES-256-CBC: nginx's
 * order), the first for new tickets.
 */
TLSLIFE_API tlslife_ticket_keys *tlslife_ticket_keys_new(const unsigned char *keys, size_t keys_len,
    tlslife_error *err);
/*
 * Replaces the program's own keys, at run time, for all contexts that have them. USAGE for derived
 * and random ones.
 */
TLSLIFE_API tlslife_status tlslife_ticket_keys_replace(tlslife_ticket_keys *ticket_keys, const unsigned char *keys,
    size_t keys_len, tlslife_error *err);
TLSLIFE_API tlslife_ticket_keys *tlslife_ticket_keys_up_ref(tlslife_ticket_keys *keys);
TLSLIFE_API void tlslife_ticket_keys_free(tlslife_ticket_keys *keys);

/* ---------------------------------------------------------------------------------------- cache */

typedef struct tlslife_cache_options {
    size_t capacity;          /* sessions in memory at most; 0 keeps none */
    size_t capacity_bytes;    /* of their DER, at most; 0: not counted */
    long timeout_seconds;     /* no session lives longer, in any home; 0: as long as it says itself */
    size_t sessions_per_peer; /* client: TLS 1.3 sessions that wait for one peer, 1..16 */
    tlslife_store *store;     /* a far home, or NULL; the cache takes a reference */
    tlslife_keyring *keyring; /* seals what goes there: demanded with a store; the cache takes a reference */
    bool in_memory;                /* with a store: memory in front of it; without: always in memory */
} tlslife_cache_options;

/* {.capacity = 20480, .sessions_per_peer = 4, .in_memory = true}, the rest 0. */
TLSLIFE_API tlslife_cache_options tlslife_cache_defaults(void);

/* Errors: USAGE (numbers out of range, a store without a keyring), MEMORY. */
TLSLIFE_API tlslife_cache *tlslife_cache_new(const tlslife_cache_options *options, tlslife_error *err);
TLSLIFE_API tlslife_cache *tlslife_cache_up_ref(tlslife_cache *cache);
TLSLIFE_API void tlslife_cache_free(tlslife_cache *cache);

/*
 * The verbs, on the memory home alone, by a server's session id. Those of handshakes are the same.
 * get and take give a reference; take leaves nothing behind. A session that is expired or not
 * resumable is never given.
 */
/* false: not kept (no id, too big, capacity 0, not resumable) */
TLSLIFE_API bool tlslife_cache_put(tlslife_cache *cache, tlslife_session *session);
TLSLIFE_API tlslife_session *tlslife_cache_get(tlslife_cache *cache, const unsigned char *id, size_t id_len);
TLSLIFE_API tlslife_session *tlslife_cache_take(tlslife_cache *cache, const unsigned char *id, size_t id_len);
/* From every home; also a client's session, by its own id. false: memory had none. */
TLSLIFE_API bool tlslife_cache_remove(tlslife_cache *cache, const unsigned char *id, size_t id_len);
/* Drops what has expired from memory (all: everything). How many went. */
TLSLIFE_API size_t tlslife_cache_flush(tlslife_cache *cache, bool all);

typedef struct tlslife_cache_stats {
    size_t entries, bytes;   /* in memory now; bytes only where capacity_bytes is set */
    uint64_t puts, hits, misses;
    uint64_t store_hits;       /* those of the hits that came from the store */
    uint64_t expired;        /* found too old, or dropped for it */
    uint64_t evicted;        /* had to go for another */
    uint64_t bad;            /* removed because their connection was not closed, or failed */
    uint64_t too_big;
    uint64_t store_errors;   /* the store failed, was late, or gave bytes that are no session of that key */
    uint64_t not_opened;     /* sealed bytes that did not open */
} tlslife_cache_stats;
TLSLIFE_API void tlslife_cache_get_stats(const tlslife_cache *cache, tlslife_cache_stats *out);

/* What may be known of a session without its secret. */
typedef struct tlslife_cache_entry {
    unsigned char id[32];
    size_t id_len;
    bool client;
    char protocol[8]; /* "TLSv1.3" */
    char peer[256];   /* client: "host:port", or "" */
    int64_t time;     /* seconds since 1970 */
    int64_t expires;  /* seconds since 1970 */
} tlslife_cache_entry;
/*
 * Metadata of what is in memory: at most entries_len of them, from *cursor on (0 at first; moved
 * on). How many; 0 is the end. Entries that come and go meanwhile may be missed, never seen twice.
 */
TLSLIFE_API size_t tlslife_cache_entries(const tlslife_cache *cache, uint64_t *cursor,
    tlslife_cache_entry *entries, size_t entries_len);

/*
 * A client's sessions in memory as sealed bytes, for a program that restarts;
 * with_client_certificates: also those made with a client certificate. *out is freed with
 * tlslife_session_bytes_free. import adds to what is there; INPUT where the bytes do not open or
 * are damaged, and then nothing is added. Sessions enter under the policy that they were made
 * under; *out_sessions (may be NULL): how many.
 */
TLSLIFE_API tlslife_status tlslife_cache_export(tlslife_cache *cache, tlslife_keyring *keyring,
    bool with_client_certificates, unsigned char **out, size_t *out_len, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_cache_import(tlslife_cache *cache, tlslife_keyring *keyring,
    const unsigned char *bytes, size_t bytes_len, size_t *out_sessions, tlslife_error *err);

/* ---------------------------------------------------------------------------------------- store */

/*
 * One slab for worker processes and across restarts: "shm:name" is the POSIX shared memory object
 * "/tlslife-name", anything else a file (on no network file system). bytes: its whole size, 64
 * KiB..64 GiB; an existing slab must have been made with the same. Mode 0600, out of core dumps.
 * One entry has 64 KiB at most, and half of a shard: 26 KiB in the smallest slab. A foreign or
 * damaged file, or one of another version or size, is refused (INPUT), or wiped if wipe is true.
 * The death of a process at any instruction costs at most one shard's content; a reboot costs all
 * of it.
 */
TLSLIFE_API tlslife_store *tlslife_store_shared(const char *path, size_t bytes, bool wipe,
    tlslife_error *err);

typedef struct tlslife_redis_options {
    /* NULL: 127.0.0.1. A name is resolved at each connect, by a thread of the library. */
    const char *host;
    const char *service;      /* NULL: "6379" */
    const char *unix_path;    /* instead of host and service */
    tlslife_context *tls;     /* a client's context without a cache: TLS with host as its name; NULL: none */
    const char *username, *password; /* AUTH, or NULL */
    unsigned database;        /* SELECT */
    const char *prefix;       /* of keys; NULL: "tlslife:" */
    int timeout_ms;           /* of one lookup, 1..60000; 0: 250 */
    int connect_timeout_ms;   /* 0: 1000 */
    size_t pending_max;       /* commands under way at most; 0: 1024; more are misses at once */
} tlslife_redis_options;
/*
 * Redis or Valkey (hiredis does the protocol). Connects when first needed, never waits, reconnects
 * with backoff; after 5 failures in a row nothing is asked for a while that doubles up to 30 s (a
 * circuit breaker). Whatever it does, it costs a full handshake at most. A child of fork() has a
 * connection of its own (docs/embedding.md). ERROR with USAGE where this build has no hiredis.
 */
TLSLIFE_API tlslife_store *tlslife_store_redis(const tlslife_redis_options *options, tlslife_error *err);

/*
 * The program itself: lookups come out as TLSLIFE_WANT_SESSION with tlslife_conn_lookup, puts and
 * removes by tlslife_store_next.
 */
TLSLIFE_API tlslife_store *tlslife_store_program(tlslife_error *err);
typedef struct tlslife_store_event {
    bool put;               /* else: remove */
    tlslife_bytes key;      /* 32 bytes */
    tlslife_bytes sealed;   /* put: what to keep */
    long lifetime_seconds;  /* put */
} tlslife_store_event;
/*
 * The oldest event of a program's store, lent until the next call by any thread; false: none. At
 * most 4096 wait; the oldest go, and are store errors.
 */
TLSLIFE_API bool tlslife_store_next(tlslife_store *store, tlslife_store_event *out);

TLSLIFE_API tlslife_store *tlslife_store_up_ref(tlslife_store *store);
TLSLIFE_API void tlslife_store_free(tlslife_store *store);
/*
 * What a loop must watch for the store: a descriptor (or -1), and whether for writing too. Call
 * tlslife_store_pump when it is ready or the timeout (ms, -1: none) is over.
 */
TLSLIFE_API int tlslife_store_fd(tlslife_store *store, bool *out_writing, int *out_timeout_ms);
TLSLIFE_API void tlslife_store_pump(tlslife_store *store); /* moves what can be moved; never waits */

/* ----------------------------------------------------------------------------------- connection */

/*
 * A connection of this context, without a transport; freezes the context. Source: SSL_new(3). NULL:
 * err, which is INPUT for a certificate without its private key, and for a server that could serve
 * no client: it has neither certificate nor PSK, and no server name, question or anonymous cipher
 * in their place.
 */
TLSLIFE_API tlslife_conn *tlslife_conn_new(tlslife_context *context, tlslife_error *err);

/*
 * Before the handshake: a new connection with the settings that SSL_dup(3) lists, and those that
 * libssl forgets: server name, ALPN, groups, quiet shutdown, number of tickets, tickets' data,
 * deadline, blocking, cork, questions. Never the transport, never unsent data. Once the handshake
 * has begun: the same connection, one reference more. The caller frees either.
 */
TLSLIFE_API tlslife_conn *tlslife_conn_dup(tlslife_conn *conn, tlslife_error *err);
TLSLIFE_API tlslife_conn *tlslife_conn_up_ref(tlslife_conn *conn); /* SSL_up_ref(3); returns its argument */
/*
 * The last reference frees: no I/O, no close_notify, an owned descriptor is closed. Source:
 * SSL_free(3).
 */
TLSLIFE_API void tlslife_conn_free(tlslife_conn *conn);
/*
 * Back to before the handshake; settings, host name, transport and (where it is good) the session
 * are kept, and the session is offered again: with a cache the one of set_session, or what the
 * cache has. A session still open becomes bad. Bytes held back by cork are dropped. Fails while a
 * renegotiation is pending. Source: SSL_clear(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_clear(tlslife_conn *conn);

/* the one in force: a server name may have chosen it */
TLSLIFE_API tlslife_context *tlslife_conn_get0_context(const tlslife_conn *conn);
/*
 * The last failure; kind is TLSLIFE_ERR_NONE where there was none. Lent until the next call on
 * conn.
 */
TLSLIFE_API const tlslife_error *tlslife_conn_error(const tlslife_conn *conn);

/* -- settings of one connection */

/*
 * Client: the server's name, or its IP address (a port behind it is taken and left aside). A name
 * is sent (SNI), and either is what the certificate must bear. tlslife_conn_dial sets it unless the
 * program did. USAGE once the handshake has begun, and for what is neither. Source:
 * SSL_set_tlsext_host_name(3), SSL_set1_host(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_set_hostname(tlslife_conn *conn, const char *hostname);
TLSLIFE_API const char *tlslife_conn_hostname(const tlslife_conn *conn); /* as set, in lower case, or NULL */
/* As tlslife_context_set_alpn, for one client connection. */
TLSLIFE_API tlslife_status tlslife_conn_set_alpn(tlslife_conn *conn, const char *const *protocols,
    size_t protocols_len);
/* As tlslife_context_set_groups, for one connection. */
TLSLIFE_API tlslife_status tlslife_conn_set_groups(tlslife_conn *conn, const char *list);
/* As tlslife_context_set_num_tickets, for one connection. */
TLSLIFE_API tlslife_status tlslife_conn_set_num_tickets(tlslife_conn *conn, size_t num_tickets);
/*
 * true (the default): a call waits for the transport until it is done or the deadline passes.
 * false: it returns WANT_READ, WANT_WRITE, as it always does in memory, where there is nothing to
 * wait for.
 */
TLSLIFE_API void tlslife_conn_set_blocking(tlslife_conn *conn, bool blocking);
TLSLIFE_API bool tlslife_conn_blocking(const tlslife_conn *conn);
/* The deadline of each blocking call, and of a dial, as a whole, on the monotonic clock; -1: none. One that is under way
 * has as much from now on. */
TLSLIFE_API void tlslife_conn_set_timeout_ms(tlslife_conn *conn, int timeout_ms);
TLSLIFE_API int tlslife_conn_timeout_ms(const tlslife_conn *conn);

/* -- transport. Each of these replaces the one before, which is closed if it was owned. */

/*
 * A TCP connection to host and service ("https" or "443"; NULL: host names it, as in "[::1]:443"),
 * every address in turn, TCP_NODELAY, close-on-exec. Owned. An address that does not answer has its
 * share of the time that is left; without a deadline 2 s, while there are others.
 *
 * Non-blocking: WANT_READ while the name is resolved (by a thread of the library, which getaddrinfo
 * keeps; at most 16 at once, the others queue), then WANT_WRITE until it stands: call again with
 * the same host and service, as tlslife_conn_wait_fd says. The deadline counts from the first call,
 * and ends in TIMEOUT: the next call begins anew. Another host, another transport, close_transport
 * or free let go of what was begun. Blocking: the name is resolved by the calling thread, and the
 * deadline does not interrupt it. Errors: USAGE (what can be no host or service), RESOLVE (there is
 * none of this name), SYSTEM (the last address's).
 */
TLSLIFE_API tlslife_status tlslife_conn_dial(tlslife_conn *conn, const char *host, const char *service);
/*
 * A descriptor that stays the caller's: its flags are not changed, and it is not closed. Sockets,
 * pipes, terminals.
 */
TLSLIFE_API tlslife_status tlslife_conn_set_fd(tlslife_conn *conn, int fd);
/* Two descriptors, one to read and one to write. */
TLSLIFE_API tlslife_status tlslife_conn_set_fds(tlslife_conn *conn, int read_fd, int write_fd);
/* A descriptor that becomes the connection's, also when this fails. */
TLSLIFE_API tlslife_status tlslife_conn_take_fd(tlslife_conn *conn, int fd);
/*
 * Two connections joined in memory, capacity bytes each way (0: 64 KiB). What one end wrote can be
 * read after the other is gone. Both ends belong to one thread.
 */
TLSLIFE_API tlslife_status tlslife_conn_pair(tlslife_conn *a, tlslife_conn *b, size_t capacity);
/*
 * Plain bytes in and out, capacity bytes each way (0: 64 KiB): tlslife_conn_feed and
 * tlslife_conn_drain move them.
 */
TLSLIFE_API tlslife_status tlslife_conn_set_memory(tlslife_conn *conn, size_t capacity);
/*
 * Gives bytes that came from the peer; *out_fed is how many were taken (fewer when full: OK with 0
 * is lawful).
 */
TLSLIFE_API tlslife_status tlslife_conn_feed(tlslife_conn *conn, const void *bytes, size_t bytes_len,
    size_t *out_fed);
/* Says that the peer's stream has ended. */
TLSLIFE_API tlslife_status tlslife_conn_feed_eof(tlslife_conn *conn);
/*
 * Takes bytes meant for the peer; *out_drained may be 0. What was written before close or
 * close_transport, with the close_notify, can be drained after it, until there is another
 * transport.
 */
TLSLIFE_API tlslife_status tlslife_conn_drain(tlslife_conn *conn, void *buffer, size_t buffer_len,
    size_t *out_drained);
TLSLIFE_API int tlslife_conn_fd(const tlslife_conn *conn); /* the one to read from, or -1 */
/*
 * For event loops, after a call that returned want: the descriptor to watch (-1: there is none:
 * memory, or a store that is the program itself), for writing if *out_writing (of a store: for
 * writing too), and in how many milliseconds to call again though nothing came (-1: never; 0: now).
 * want is WANT_READ, WANT_WRITE or WANT_SESSION. It may differ from call to call while a dial goes
 * on, whose deadline is counted in.
 */
TLSLIFE_API int tlslife_conn_wait_fd(const tlslife_conn *conn, tlslife_status want, bool *out_writing,
    int *out_timeout_ms);
/*
 * Nothing was read since the handshake or the last write, nothing waits to be read or to be sent:
 * in a protocol of requests and answers the peer has no request under way, and a server that stops
 * may close. Bytes held back by cork are not sent; early data that was read is a request. false
 * before the handshake is done.
 */
TLSLIFE_API bool tlslife_conn_idle(const tlslife_conn *conn);
/*
 * The peer's address ("127.0.0.1:8443", "[::1]:8443", "[fe80::1%eth0]:8443"), or false where the
 * transport has none. Each call that takes a host takes this, too.
 */
TLSLIFE_API bool tlslife_conn_peer_address(const tlslife_conn *conn, char *out, size_t out_len);
/*
 * Lets go of the transport: an owned descriptor is closed, a memory peer reads end of stream. The
 * SSL stays.
 */
TLSLIFE_API void tlslife_conn_close_transport(tlslife_conn *conn);

/*
 * -- handshake. All may return OK, ERROR, WANT_READ, WANT_WRITE, the questions, CLOSED, TRUNCATED,
 * TIMEOUT; after any but OK and ERROR call again.
 */

/*
 * USAGE on a server's connection, without a transport, or without a host name where the policy
 * verifies it. Source: SSL_connect(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_connect(tlslife_conn *conn);
/*
 * SSL_accept(3). The tickets of TLS 1.3 go into an owned socket with MSG_MORE: they travel with
 * what is written next, or when a read finds nothing or tlslife_conn_wait_fd is asked, at most 200
 * ms later.
 */
TLSLIFE_API tlslife_status tlslife_conn_accept(tlslife_conn *conn);
/*
 * SSL_do_handshake(3): the role's own, or what key_update, renegotiate, request_client_certificate
 * began
 */
TLSLIFE_API tlslife_status tlslife_conn_handshake(tlslife_conn *conn);
/* done, and every question answered */
TLSLIFE_API bool tlslife_conn_handshake_done(const tlslife_conn *conn);

/* -- questions */

/*
 * What a ClientHello says. Lent until the question is answered. Lists are as on the wire, in the
 * client's order.
 */
typedef struct tlslife_hello {
    const char *server_name;           /* SNI, or NULL; a name with a NUL in it counts as none */
    const tlslife_bytes *alpn;         /* names of protocols */
    size_t alpn_len;                   /* their number */
    const uint16_t *versions;          /* supported_versions, or the one legacy version */
    size_t versions_len;
    const uint16_t *ciphers;           /* cipher suites, GREASE too */
    size_t ciphers_len;
    tlslife_bytes session_id;          /* TLS 1.2's id; in TLS 1.3 it is random and means nothing */
    const tlslife_bytes *psk_identities; /* extension 41: TLS 1.3 tickets or ids */
    size_t psk_identities_len;
    bool has_ticket;                   /* a TLS 1.2 ticket (extension 35, not empty) is offered */
} tlslife_hello;

/* NULL unless the last status was WANT_HELLO. */
TLSLIFE_API const tlslife_hello *tlslife_conn_hello(const tlslife_conn *conn);
/*
 * Continues under `context`, with all of its policy (takes its own reference, seals it); NULL:
 * under the one it has. A context that cannot serve (a client's, or one that cannot be sealed)
 * costs this handshake: the peer gets internal_error, and the call made again fails and says why.
 * USAGE when nothing was asked.
 */
TLSLIFE_API tlslife_status tlslife_conn_answer_hello(tlslife_conn *conn, tlslife_context *context);
/*
 * WANT_CERTIFICATE: presents the certificates, keys and chains of `context`; NULL: a server keeps
 * its context's, a client too (none where it has none).
 */
TLSLIFE_API tlslife_status tlslife_conn_answer_certificate(tlslife_conn *conn, tlslife_context *context);
/*
 * The names of the CAs in the peer's certificate request (client; RFC 2253). Number of them, and
 * one by index; NULL past the end. Lent until the next call.
 */
TLSLIFE_API size_t tlslife_conn_ca_names_len(tlslife_conn *conn);
TLSLIFE_API const char *tlslife_conn_ca_name(tlslife_conn *conn, size_t index);
/*
 * WANT_VERIFY: accepts the peer, or refuses it. A client asks in the handshake and refuses with an
 * alert, which libssl chooses. A server asks before the end of a full TLS 1.2 handshake, and in TLS
 * 1.3 after it (libssl suspends verification on the client's side alone). Nothing could be read or
 * written yet, and its TLS 1.3 tickets are held back till then. It refuses with an alert by the
 * verify result, or with tlslife_conn_refuse's; the session becomes bad and the connection ends.
 * Both sides ask also for a resumed peer, when the handshake has ended. Where libssl can send no
 * alert any more (a resumed or renegotiating TLS 1.2 client, a resumed server) nothing is said, not
 * even close_notify, so that the peer's end is not clean.
 */
TLSLIFE_API tlslife_status tlslife_conn_answer_verify(tlslife_conn *conn, bool accept);
/*
 * Any question: ends the handshake with this alert (RFC 8446 section 6; e.g. 112
 * unrecognized_name); the alert of a client is libssl's own. The pending call, made again, fails.
 */
TLSLIFE_API tlslife_status tlslife_conn_refuse(tlslife_conn *conn, int alert);

/* -- the session's home, which may be far */

/*
 * WANT_SESSION: the handshake waits until the cache's store has answered. A blocking connection
 * waits by itself, within its deadline, except for a program's store. Otherwise: watch
 * tlslife_store_fd and call again; or, for a program's store, answer.
 */
typedef struct tlslife_lookup {
    tlslife_store *store; /* lent */
    tlslife_bytes key;    /* 32 bytes */
    bool take;            /* to be removed as it is given: it must never be used twice */
} tlslife_lookup;
/* What is looked up, lent until it is answered; false: nothing. */
TLSLIFE_API bool tlslife_conn_lookup(const tlslife_conn *conn, tlslife_lookup *out);
/*
 * Whether the call that returned WANT_SESSION would not return it again for the same lookup, were
 * it made now. It looks, and moves nothing. Whoever pumps a store (tlslife_store_pump, or any call
 * that was waiting for it) takes the answers of all lookups off the wire: ask this for the others
 * that wait, and make their calls again.
 */
TLSLIFE_API bool tlslife_conn_lookup_answered(const tlslife_conn *conn);
/*
 * A program's store: the sealed bytes that were put under that key, or NULL, 0: there are none.
 * USAGE when nothing was asked. Bytes that are not what was put are a miss.
 */
TLSLIFE_API tlslife_status tlslife_conn_answer_session(tlslife_conn *conn, const unsigned char *sealed,
    size_t sealed_len);
/* The same where the program's store failed: there is no session, and a store error is counted. */
TLSLIFE_API tlslife_status tlslife_conn_fail_session(tlslife_conn *conn);

/* Whether the handshake resumed a session, and if not why not. */
typedef enum tlslife_outcome {
    TLSLIFE_OUTCOME_NONE = 0,      /* the handshake is not done */
    TLSLIFE_OUTCOME_RESUMED,
    /*
     * server: the client offered no session; client: none was set that is resumable, and there is
     * no cache
     */
    TLSLIFE_OUTCOME_NOT_OFFERED,
    TLSLIFE_OUTCOME_NOT_CACHED,    /* no home has what was offered; client: nothing for this peer */
    TLSLIFE_OUTCOME_EXPIRED,       /* there was one, too old: not offered, or not taken */
    TLSLIFE_OUTCOME_NOT_CLOSED,    /* there was one, but its connection was not closed cleanly */
    /* client: there were TLS 1.3 sessions, and other connections have taken them */
    TLSLIFE_OUTCOME_SPENT,
    TLSLIFE_OUTCOME_NOT_ACCEPTED,  /* client: the server did not take it; server: good, but for its cipher, say */
    TLSLIFE_OUTCOME_OTHER_VERSION, /* it was made in another version than this handshake's */
    TLSLIFE_OUTCOME_OTHER_CONTEXT, /* server: it was made under another policy or server name */
    TLSLIFE_OUTCOME_TICKET,        /* server: the ticket did not open */
    TLSLIFE_OUTCOME_STORE          /* the store failed or was late */
} tlslife_outcome;
TLSLIFE_API tlslife_outcome tlslife_conn_resumption(const tlslife_conn *conn);
/*
 * "resumed", "not_offered", "not_cached", "expired", "not_closed", "spent", "not_accepted",
 * "other_version", "other_context", "ticket", "store"; NULL for NONE.
 */
TLSLIFE_API const char *tlslife_outcome_name(tlslife_outcome outcome);
/*
 * Server: bytes that travel in the tickets of this connection from now on (at most 1024; they are
 * sealed with the ticket), and those of the session that it resumed, false: it resumed none, or one
 * without any. What a connection sets is not what it gets: it goes to the next one.
 * SSL_SESSION_set1_ticket_appdata(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_set_ticket_data(tlslife_conn *conn, const unsigned char *data,
    size_t data_len);
TLSLIFE_API bool tlslife_conn_ticket_data(const tlslife_conn *conn, tlslife_bytes *out);

/* -- data. USAGE before the handshake is done. */

/*
 * 1..buffer_len bytes, as they come. Source: SSL_read_ex(3). CLOSED and TRUNCATED are the two ends.
 */
TLSLIFE_API tlslife_status tlslife_conn_read(tlslife_conn *conn, void *buffer, size_t buffer_len,
    size_t *out_read);
/* SSL_peek_ex(3) */
TLSLIFE_API tlslife_status tlslife_conn_peek(tlslife_conn *conn, void *buffer, size_t buffer_len,
    size_t *out_read);
/*
 * decrypted bytes that a read has at once: SSL_pending(3). 0 while a server asks about a certificate
 * that came after the handshake.
 */
TLSLIFE_API size_t tlslife_conn_pending(const tlslife_conn *conn);
/* bytes of any kind inside: SSL_has_pending(3). false while a server asks in the same way. */
TLSLIFE_API bool tlslife_conn_has_pending(const tlslife_conn *conn);
/*
 * All that had come was read, and the descriptor gave less than was asked for: a read would most
 * likely find nothing, so a loop that watches as poll(2) does may wait before it reads. false where
 * that is not known.
 */
TLSLIFE_API bool tlslife_conn_drained(const tlslife_conn *conn);
/*
 * Writes all, in records of 16 KiB; *out_written is always set: how many bytes went out, also with
 * a status other than OK. Continue with the same bytes from there. Source: SSL_write_ex(3),
 * SSL_MODE_ENABLE_PARTIAL_WRITE.
 */
TLSLIFE_API tlslife_status tlslife_conn_write(tlslife_conn *conn, const void *bytes, size_t bytes_len,
    size_t *out_written);
/*
 * The same over pieces that are coalesced into full records. *out_written counts over all pieces.
 */
TLSLIFE_API tlslife_status tlslife_conn_writev(tlslife_conn *conn, const tlslife_bytes *pieces,
    size_t pieces_len, size_t *out_written);
/*
 * true: writes are held back until 16 KiB are there or flush is called. false: no longer; what is
 * held stays until flush or the next write.
 */
TLSLIFE_API tlslife_status tlslife_conn_cork(tlslife_conn *conn, bool cork);
TLSLIFE_API tlslife_status tlslife_conn_flush(tlslife_conn *conn);

/* -- early data (RFC 8446 section 2.3: it can be replayed) */

/*
 * Client, before connect, with a session that allows it; server, between read_early and accept,
 * where its policy verifies no client (who has proved nothing yet). 1 byte or more.
 * SSL_write_early_data(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_write_early(tlslife_conn *conn, const void *bytes, size_t bytes_len,
    size_t *out_written);
/*
 * Server, before accept: OK with bytes; OK with *out_read 0 when there are no more: go on with
 * accept. SSL_read_early_data(3). Questions may come out of it.
 */
TLSLIFE_API tlslife_status tlslife_conn_read_early(tlslife_conn *conn, void *buffer, size_t buffer_len,
    size_t *out_read);
typedef enum tlslife_early {
    TLSLIFE_EARLY_NOT_SENT = 0,
    TLSLIFE_EARLY_REJECTED,
    TLSLIFE_EARLY_ACCEPTED
} tlslife_early;
/* SSL_get_early_data_status(3) */
TLSLIFE_API tlslife_early tlslife_conn_early_data_status(const tlslife_conn *conn);

/* -- the end */

/* as SSL_SENT_SHUTDOWN, SSL_RECEIVED_SHUTDOWN */
enum { TLSLIFE_SENT_SHUTDOWN = 1, TLSLIFE_RECEIVED_SHUTDOWN = 2 };

/*
 * One SSL_shutdown(3): SENT (its 0: ours is out, the peer's has not come), OK (its 1: both),
 * WANT_READ, WANT_WRITE, the questions, TIMEOUT, CLOSED, ERROR. Corked bytes are flushed first, and
 * what is under way after the handshake is finished: half a ticket, a key update, a renegotiation
 * (libssl refuses instead). CLOSED: the peer's close_notify came in the middle of that, and ours
 * can no longer go out. Tickets that come while it waits are kept. USAGE before the handshake is
 * done, and while a write waits; unread data of the peer makes the second call an error, as in
 * libssl: read to the end first, or use tlslife_conn_close.
 */
TLSLIFE_API tlslife_status tlslife_conn_shutdown(tlslife_conn *conn);
/*
 * The graceful end of connection and transport: close_notify once, then (timeout_ms > 0) reads and
 * drops what comes until the peer's, then lets the transport go whatever happened, except on
 * WANT_READ and WANT_WRITE (non-blocking, or in memory, and timeout_ms is not 0) and on a question:
 * call it again with the time that is left, as often as it takes, and at last with 0. 0 does not
 * wait, and always lets go; -1 waits without end. What it returns is what passed, whatever the
 * shutdown mode says, also in later calls:
 *
 * OK         both close_notify SENT       ours UNSENT     not ours: the handshake is not done, the
 * transport was let go before, the shutdown is quiet, or the
 *            peer's came in the middle of a renegotiation
 * TIMEOUT    not both in that time: the peer's did not come, or ours could not go out (no room, a
 * write waits) TRUNCATED  ERROR: how the connection ended before, or ends now
 *
 * A non-blocking call reads 256 KiB at most, then it is others' turn: tlslife_conn_wait_fd says 0
 * ms.
 */
TLSLIFE_API tlslife_status tlslife_conn_close(tlslife_conn *conn, int timeout_ms);
/* SSL_set_shutdown(3); USAGE unless 0..3 */
TLSLIFE_API tlslife_status tlslife_conn_set_shutdown(tlslife_conn *conn, int mode);
TLSLIFE_API int tlslife_conn_get_shutdown(const tlslife_conn *conn);                /* SSL_get_shutdown(3) */
/* SSL_set_quiet_shutdown(3) */
TLSLIFE_API void tlslife_conn_set_quiet_shutdown(tlslife_conn *conn, bool quiet);
TLSLIFE_API bool tlslife_conn_quiet_shutdown(const tlslife_conn *conn);

/* -- session */

/*
 * Offers this session (takes its own reference), or none; the one before, if open, becomes bad.
 * USAGE once the handshake has begun, on a server, for a session of another context (import its
 * bytes), or made for another host name (said at connect). NULL is lawful also later: it takes the
 * session away, as libssl judges it, and ends the connection, also within a hook: every later call
 * but clear and free fails (ERR_TLS), and nothing is known of the peer any more. Source:
 * SSL_set_session(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_set_session(tlslife_conn *conn, tlslife_session *session);
/* SSL_get0_session(3); NULL: none */
TLSLIFE_API tlslife_session *tlslife_conn_get0_session(const tlslife_conn *conn);
TLSLIFE_API tlslife_session *tlslife_conn_get1_session(tlslife_conn *conn);
/*
 * Client: the oldest session that arrived and was not taken yet, one per TLS 1.3 ticket, or NULL.
 * The caller frees it. At most 16 wait; older ones go.
 */
TLSLIFE_API tlslife_session *tlslife_conn_take_session(tlslife_conn *conn);
TLSLIFE_API bool tlslife_conn_session_reused(const tlslife_conn *conn); /* SSL_session_reused(3) */
/* Server, TLS 1.3: one more ticket with the next write: SSL_new_session_ticket(3). */
TLSLIFE_API tlslife_status tlslife_conn_new_session_ticket(tlslife_conn *conn);

/* -- after the handshake */

/*
 * TLS 1.3: new keys with the next write (or handshake call); the peer's too if request_peer.
 * Source: SSL_key_update(3). USAGE in TLS 1.2.
 */
TLSLIFE_API tlslife_status tlslife_conn_key_update(tlslife_conn *conn, bool request_peer);
/*
 * TLS 1.2 and below: SSL_renegotiate(3), or SSL_renegotiate_abbreviated(3); then call handshake.
 * USAGE in TLS 1.3.
 */
TLSLIFE_API tlslife_status tlslife_conn_renegotiate(tlslife_conn *conn, bool abbreviated);
TLSLIFE_API bool tlslife_conn_renegotiate_pending(const tlslife_conn *conn);
/*
 * Server, TLS 1.3: asks for the client's certificate now; then call handshake, and read. Where the
 * context asks about peers, the call that finds the certificate returns WANT_VERIFY, and what the
 * client sent after it can be read when that is answered. Source:
 * SSL_verify_client_post_handshake(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_request_client_certificate(tlslife_conn *conn);

/*
 * -- what the handshake found. NULL, 0 or false before it is done, and in the midst of a
 * renegotiation; never a crash. What was found can be told also when the connection has failed or
 * was truncated, until clear or set_session. Strings are lent while conn lives, unless it is
 * cleared or renegotiates.
 */

typedef enum tlslife_state {
    TLSLIFE_STATE_BEFORE = 0, TLSLIFE_STATE_HANDSHAKE, TLSLIFE_STATE_OPEN, TLSLIFE_STATE_FAILED
} tlslife_state;
/* close_notify is get_shutdown's, apart */
TLSLIFE_API tlslife_state tlslife_conn_state(const tlslife_conn *conn);
/* "before", "handshake", "open", "failed" */
TLSLIFE_API const char *tlslife_conn_state_name(const tlslife_conn *conn);
TLSLIFE_API const char *tlslife_conn_state_text(const tlslife_conn *conn); /* SSL_state_string_long(3) */
TLSLIFE_API bool tlslife_conn_is_server(const tlslife_conn *conn);
TLSLIFE_API const char *tlslife_conn_version(const tlslife_conn *conn); /* "TLSv1.3" */
TLSLIFE_API const char *tlslife_conn_cipher(const tlslife_conn *conn);  /* OpenSSL's name */
/* "x25519"; NULL where none was used */
TLSLIFE_API const char *tlslife_conn_group(const tlslife_conn *conn);
TLSLIFE_API bool tlslife_conn_alpn(const tlslife_conn *conn, tlslife_bytes *out); /* what was agreed on */
/*
 * SNI, both sides, from the ClientHello on: SSL_get_servername(3). On a server it is the name in
 * the last ClientHello of this connection, also where a session is resumed that was made with
 * another one.
 */
TLSLIFE_API const char *tlslife_conn_server_name(const tlslife_conn *conn);
/*
 * X509_V_OK or X509_V_ERR_*; -1 before the handshake is done or WANT_VERIFY came:
 * SSL_get_verify_result(3)
 */
TLSLIFE_API long tlslife_conn_verify_result(const tlslife_conn *conn);
/*
 * The peer's chain as it sent it, leaf first (on a server too); from the question WANT_VERIFY on.
 */
TLSLIFE_API size_t tlslife_conn_peer_certificates_len(const tlslife_conn *conn);
/* the caller clears out */
TLSLIFE_API bool tlslife_conn_peer_certificate(const tlslife_conn *conn, size_t index,
    tlslife_certificate *out);
/* Finished messages (SSL_get_finished(3)); bytes copied, at most out_len; 0: none. */
TLSLIFE_API size_t tlslife_conn_finished(const tlslife_conn *conn, unsigned char *out, size_t out_len);
TLSLIFE_API size_t tlslife_conn_peer_finished(const tlslife_conn *conn, unsigned char *out, size_t out_len);
/*
 * RFC 5705, RFC 8446 7.5: context NULL means none, which in TLS 1.2 differs from empty. Source:
 * SSL_export_keying_material(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_export_keying_material(tlslife_conn *conn, unsigned char *out,
    size_t out_len, const char *label, size_t label_len, const unsigned char *context, size_t context_len);
/* client: the stapled DER */
TLSLIFE_API bool tlslife_conn_ocsp_response(const tlslife_conn *conn, tlslife_bytes *out);
/*
 * The oldest key-log line not taken yet, without newline, or NULL; the caller frees it with
 * tlslife_string_free, which wipes it.
 */
TLSLIFE_API char *tlslife_conn_take_keylog(tlslife_conn *conn);
TLSLIFE_API void tlslife_string_free(char *string);

/* -------------------------------------------------------------------------------------- session */

TLSLIFE_API tlslife_session *tlslife_session_up_ref(tlslife_session *session);
TLSLIFE_API void tlslife_session_free(tlslife_session *session);
/* SSL_SESSION_dup(3); NULL: out of memory */
TLSLIFE_API tlslife_session *tlslife_session_dup(const tlslife_session *session);
TLSLIFE_API tlslife_bytes tlslife_session_id(const tlslife_session *session); /* SSL_SESSION_get_id(3) */
TLSLIFE_API int64_t tlslife_session_time(const tlslife_session *session);     /* seconds since 1970 */
TLSLIFE_API long tlslife_session_timeout(const tlslife_session *session);     /* seconds from time */
/*
 * Changes a session that no other thread uses: SSL_SESSION_set_timeout(3), 0..604800 seconds.
 * false: out of range.
 */
TLSLIFE_API bool tlslife_session_set_timeout(tlslife_session *session, long timeout_seconds);
TLSLIFE_API tlslife_bytes tlslife_session_ticket(const tlslife_session *session); /* len 0: none */
/* the server's hint, seconds */
TLSLIFE_API unsigned long tlslife_session_ticket_lifetime(const tlslife_session *session);
TLSLIFE_API const char *tlslife_session_protocol(const tlslife_session *session); /* "TLSv1.3" */
TLSLIFE_API const char *tlslife_session_cipher(const tlslife_session *session);   /* NULL: not known */
TLSLIFE_API const char *tlslife_session_hostname(const tlslife_session *session); /* SNI, or NULL */
TLSLIFE_API tlslife_bytes tlslife_session_alpn(const tlslife_session *session);
TLSLIFE_API uint32_t tlslife_session_max_early_data(const tlslife_session *session);
/* Whether libssl would offer it: SSL_SESSION_is_resumable(3). It does not look at the clock. */
TLSLIFE_API bool tlslife_session_is_resumable(const tlslife_session *session);
TLSLIFE_API bool tlslife_session_peer_certificate(const tlslife_session *session, tlslife_certificate *out);
/* The same object, or one with the same content (their DER is equal; compared in constant time). */
TLSLIFE_API bool tlslife_session_equal(const tlslife_session *a, const tlslife_session *b);
/*
 * The session's bytes, which hold its secret: *out is freed with tlslife_session_bytes_free, which
 * wipes. ERROR: out of memory. i2d_SSL_SESSION(3), PEM_write_bio_SSL_SESSION.
 */
TLSLIFE_API tlslife_status tlslife_session_export_der(const tlslife_session *session, unsigned char **out,
    size_t *out_len, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_session_export_pem(const tlslife_session *session, unsigned char **out,
    size_t *out_len, tlslife_error *err);
TLSLIFE_API void tlslife_session_bytes_free(unsigned char *bytes, size_t bytes_len);

/* ------------------------------------------------------------------------------------- listener */

/*
 * Takes an address apart: "host", "host:service", ":service", "[::1]", "[::1]:service", "::1".
 * out_host has the host without brackets (256 bytes are enough), "" where it is every address;
 * out_service (64) is "" where none is named. Only the syntax is judged: USAGE.
 */
TLSLIFE_API tlslife_status tlslife_split_address(const char *text, char *out_host, size_t host_len,
    char *out_service, size_t service_len, tlslife_error *err);
/*
 * A listening TCP socket: host NULL is every address (IPv6 with IPv4 where there is IPv6); service
 * "0" picks a free port; NULL: host names it, as in ":443". backlog 0 is 511. reuse_port: several
 * processes share the port (SO_REUSEPORT). A name is resolved by the calling thread, which waits.
 * Errors: USAGE (what can be no host or service), RESOLVE, SYSTEM.
 */
TLSLIFE_API tlslife_listener *tlslife_listen(const char *host, const char *service, int backlog,
    bool reuse_port, tlslife_error *err);
/*
 * A listening TCP socket that was handed to the program (by a parent, by systemd): becomes the
 * listener's, unless this fails. Errors: USAGE (not a listening stream socket), MEMORY.
 */
TLSLIFE_API tlslife_listener *tlslife_listen_fd(int fd, tlslife_error *err);
TLSLIFE_API void tlslife_listener_free(tlslife_listener *listener); /* closes the socket */
TLSLIFE_API int tlslife_listener_fd(const tlslife_listener *listener);
TLSLIFE_API int tlslife_listener_port(const tlslife_listener *listener);
/*
 * One TCP connection, as a conn of context (no handshake yet), TCP_NODELAY, close-on-exec.
 * timeout_ms as in poll(2): -1 waits, 0 returns WANT_READ at once. OK, WANT_READ, TIMEOUT, ERROR
 * (SYSTEM: EMFILE and the like; the listener stays usable). The caller frees *out_conn.
 */
TLSLIFE_API tlslife_status tlslife_listener_accept(tlslife_listener *listener, tlslife_context *context,
    int timeout_ms, tlslife_conn **out_conn, tlslife_error *err);

#ifdef __cplusplus
}
#endif
#endif
