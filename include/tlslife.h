/*
 * tlslife.h: the whole C API of libtlslife, which owns the life of OpenSSL's SSL and SSL_SESSION
 * objects. OpenSSL does the TLS. A call does what the manual page of OpenSSL named beside it says.
 * Where libssl lets a program ruin something, the call fails with an error that says so.
 *
 * Index (search for the number in brackets)
 *   [1]   Results                        tlslife_status
 *   [2]   Errors                         tlslife_error, alerts, versions
 *   [3]   Certificates                   tlslife_certificate
 *   [4]   Contexts                       tlslife_context_new, _up_ref, _free
 *   [4.1]   our certificate              tlslife_context_set_certificate_, _set_private_key_
 *   [4.2]   verification of the peer     tlslife_context_add_ca_, _set_client_ca_, _set_verify
 *   [4.3]   protocol                     tlslife_context_set_versions, ciphers, groups, ALPN, PSK
 *   [4.4]   sessions                     tlslife_context_set_resumption, _set_cache
 *   [4.5]   other settings               OCSP, key log, trace, options, early data, questions
 *   [5]   Key rings                      tlslife_keyring_
 *   [6]   Ticket keys                    tlslife_ticket_keys_
 *   [7]   Caches                         tlslife_cache_
 *   [8]   Stores                         tlslife_store_: shared memory, Redis, the calling program
 *   [9]   Connections                    tlslife_conn_new, _dup, _clear, _free, _error
 *   [9.1]   settings                     tlslife_conn_set_hostname, _set_blocking, _set_timeout_ms
 *   [9.2]   transport                    tlslife_conn_dial, _set_fd, _set_memory, _wait_fd
 *   [9.3]   handshake                    tlslife_conn_connect, _accept, _handshake
 *   [9.4]   questions                    tlslife_conn_hello, _answer_, _refuse
 *   [9.5]   lookup of a session          tlslife_conn_lookup, _answer_session, _resumption
 *   [9.6]   data                         tlslife_conn_read, _write, _cork
 *   [9.7]   early data                   tlslife_conn_write_early, _read_early, _accept_early
 *   [9.8]   the end                      tlslife_conn_shutdown, _close
 *   [9.9]   its session                  tlslife_conn_set_session, _take_session
 *   [9.10]  after the handshake          tlslife_conn_key_update, _renegotiate
 *   [9.11]  what the handshake found     tlslife_conn_state, _version, _cipher, _peer_certificate
 *   [10]  Sessions                       tlslife_session_
 *   [11]  Listeners                      tlslife_listen, tlslife_listener_
 *   [12]  Traces                         tlslife_trace_
 *   [13]  Metrics                        tlslife_metrics_
 *
 * Conventions
 *   The words new, dup, up_ref, free, get0, get1, set1 and take mean what they mean in OpenSSL.
 *   get0 lends. get1 and take give a reference that the caller frees. set1 takes a reference of
 *   its own. A free function does nothing when it is given NULL.
 *   A call that can fail returns a tlslife_status, or an object that is NULL on failure. An output
 *   is a parameter named out_ or out. It is written on success only, unless the declaration says
 *   otherwise. A length counts bytes and ends in _len; where it counts something else, the
 *   declaration says so. A time ends in _seconds or _ms.
 *   A string is UTF-8 or ASCII and ends in NUL, unless a length stands beside it.
 *
 * Errors
 *   Threads share contexts and sessions, so their calls give an error to the caller: the last
 *   parameter err may be NULL, and is written only when the call fails. A connection belongs to one
 *   thread at a time and keeps its own error (tlslife_conn_error). The kinds of errors are called
 *   USAGE, INPUT and so on below (tlslife_error_kind), and the statuses OK, WANT_READ and so on.
 *
 * Threads
 *   Reference counts are atomic. One thread configures a context. Its first connection freezes it.
 *   From then on any number of threads may use the context, and every session, at once. A
 *   connection and a listener belong to one thread at a time, and may move to another. So does the
 *   session that a handshake is still making.
 *
 * Suspension
 *   The library never calls the program back. A question of the handshake ends the pending call
 *   with a status (TLSLIFE_WANT_HELLO, _CERTIFICATE or _VERIFY). The program answers it, at any
 *   time later, and makes the same call again.
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

typedef struct tlslife_context tlslife_context; /* an SSL_CTX, frozen by its first connection */
typedef struct tlslife_conn tlslife_conn;       /* an SSL and its transport */
/* An SSL_SESSION. A function that returns one for a session that exists never returns NULL. */
typedef struct tlslife_session tlslife_session;
typedef struct tlslife_listener tlslife_listener; /* one or more listening sockets */
typedef struct tlslife_cache tlslife_cache; /* sessions, for contexts, Lua states and threads */
typedef struct tlslife_store tlslife_store; /* a cache's external store of sealed bytes */
typedef struct tlslife_keyring tlslife_keyring; /* keys that seal what leaves the process */
typedef struct tlslife_ticket_keys tlslife_ticket_keys; /* keys of stateless tickets */
typedef struct tlslife_trace tlslife_trace; /* what connections did, in a bounded queue */

typedef struct tlslife_bytes { const unsigned char *data; size_t len; } tlslife_bytes; /* lent */

/* ---------------------------------------------------------------------------------- [1] Results */

typedef enum tlslife_status {
    TLSLIFE_OK = 0,
    TLSLIFE_ERROR,            /* it failed, and the error says why */
    TLSLIFE_WANT_READ,        /* call again when the transport is readable, or was fed */
    TLSLIFE_WANT_WRITE,       /* call again when the transport is writable, or was drained */
    TLSLIFE_WANT_HELLO,       /* a ClientHello waits for tlslife_conn_answer_hello */
    TLSLIFE_WANT_CERTIFICATE, /* the handshake waits for tlslife_conn_answer_certificate */
    TLSLIFE_WANT_VERIFY,      /* the peer waits for tlslife_conn_answer_verify */
    TLSLIFE_WANT_SESSION,     /* the handshake waits for the cache's store: see tlslife_lookup */
    /* shutdown: our close_notify was sent, the peer's has not come (SSL_shutdown's 0) */
    TLSLIFE_SENT,
    TLSLIFE_CLOSED,           /* the peer's close_notify has come, which is a clean end */
    TLSLIFE_TRUNCATED,        /* the stream ended without close_notify; it may have been cut */
    /* The deadline passed. The connection is as it was, and the call may be made again. */
    TLSLIFE_TIMEOUT,
    TLSLIFE_UNSENT,           /* close: the transport is gone, and our close_notify was not sent */
    TLSLIFE_WANT_PSK          /* waits for tlslife_conn_answer_psk, or a client's _psk_client */
} tlslife_status;

/* The stable word for a status: "ok", "error", "want_read" and so on. Never NULL. */
TLSLIFE_API const char *tlslife_status_name(tlslife_status status);

/* ----------------------------------------------------------------------------------- [2] Errors */

typedef enum tlslife_error_kind {
    TLSLIFE_ERR_NONE = 0,
    /* a mistake of the program: the call is not lawful now, or not with this argument */
    TLSLIFE_ERR_USAGE,
    TLSLIFE_ERR_INPUT,   /* a file, PEM, DER or name given by the program cannot be used */
    /* libssl refused or failed (the error's queue says why), or the peer's PROXY header is wrong */
    TLSLIFE_ERR_TLS,
    TLSLIFE_ERR_ALERT,   /* the peer sent a fatal alert */
    TLSLIFE_ERR_VERIFY,  /* the peer's certificate was not accepted */
    TLSLIFE_ERR_SYSTEM,  /* a system call failed; system_errno says why */
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
    char message[512];        /* one line: what happened, to what, and what to do */
    unsigned long code;       /* OpenSSL's packed code of the first cause, or 0 */
    char library[32];         /* OpenSSL's library of the first cause, or "" */
    char reason[96];          /* OpenSSL's reason of the first cause, or "" */
    int alert;                /* 0..255 (RFC 8446 section 6), or -1 if there was none */
    bool alert_received;      /* true: the peer sent the alert; false: we did */
    long verify_result;       /* X509_V_ERR_*, or 0 if verification is not what failed */
    int verify_depth;         /* 0 is the peer's own certificate, -1 means none */
    char verify_subject[256]; /* subject of the certificate that failed (RFC 2253), or "" */
    int system_errno;         /* errno, or 0 */
    size_t queue_len;         /* number of entries in queue */
    /* OpenSSL's error queue, first cause first */
    tlslife_error_entry queue[TLSLIFE_ERROR_QUEUE_MAX];
} tlslife_error;

/*
 * The stable word for a kind: "usage", "input", "tls", "alert", "verify", "system", "resolve" or
 * "memory".
 */
TLSLIFE_API const char *tlslife_error_kind_name(tlslife_error_kind kind);

/* The name of an alert as RFC 8446 writes it ("handshake_failure"), or "unknown_alert". */
TLSLIFE_API const char *tlslife_alert_name(int alert);

/* The number of the alert with this name, or -1 if there is none. */
TLSLIFE_API int tlslife_alert_number(const char *name);

/* The sentence for an X509_V_ERR_* code. Source: X509_verify_cert_error_string(3). */
TLSLIFE_API const char *tlslife_verify_result_text(long verify_result);

/* The version of the OpenSSL in use ("OpenSSL 3.0.19 27 Jan 2026"). */
TLSLIFE_API const char *tlslife_openssl_version(void);

/*
 * Keeps the memory that OpenSSL frees in this process for its next allocation of the same size, at
 * most 512 KiB in each thread. A full handshake then costs some five per cent less than with
 * glibc's malloc alone, a resumed one four to ten. A thread's memory is freed when the thread ends.
 * What OpenSSL frees is wiped, except for buffers of records. Without this call keys of connections
 * and private keys stay in freed memory, as OpenSSL leaves them.
 *
 * The call is for a program, which makes it once, in its first thread, before any other call of
 * this library or of OpenSSL. A library should not make it, and neither should a build with
 * AddressSanitizer, which would see less. The program tlslife makes it. Returns false, and changes
 * nothing, when OpenSSL has allocated memory already. Source: CRYPTO_set_mem_functions(3).
 */
TLSLIFE_API bool tlslife_keep_memory(void);

/* ----------------------------------------------------------------------------- [3] Certificates */

/* The values of an X.509 certificate that people and policies ask for. The struct owns them. */
typedef struct tlslife_certificate {
    unsigned char *der; /* the certificate, DER */
    size_t der_len;
    char *pem;            /* the certificate, PEM */
    char *subject;        /* RFC 2253: "CN=example.org,O=Example" */
    char *issuer;         /* RFC 2253 */
    char *serial;         /* hexadecimal, upper case, no prefix */
    int64_t not_before;   /* seconds since 1970, UTC */
    int64_t not_after;    /* seconds since 1970, UTC */
    char *names;          /* subjectAltName: "DNS:a.example,IP:127.0.0.1", or "" */
    char fingerprint[65]; /* SHA-256 of the DER, lower-case hexadecimal */
    char key_type[32];    /* of the public key, OpenSSL's name: "RSA", "EC", "ED25519"; or "" */
    int key_bits;         /* its size (EVP_PKEY_get_bits(3)), or 0 where OpenSSL cannot read it */
    char key_group[32];   /* the curve of an EC key, "prime256v1"; else "" */
} tlslife_certificate;

/* Frees what the struct holds and zeroes it. Safe on a zeroed struct. */
TLSLIFE_API void tlslife_certificate_clear(tlslife_certificate *certificate);

/* A part of a subject or issuer, or an alternative name. A value may hold any byte. */
typedef struct tlslife_name_entry {
    /* "2.5.4.3". Of an alternative name: the type of an otherName, or NULL for the other kinds */
    char *oid;
    /* "commonName", or the OID where OpenSSL has no name for it. Of an alternative name that is no
       otherName: "dNSName", "rfc822Name", "uniformResourceIdentifier" or "iPAddress" */
    char *name;
    unsigned char *value; /* as in the certificate, an address as text; NULL: it is no string */
    size_t value_len;
    unsigned char *utf8; /* the same in UTF-8; NULL where it cannot be */
    size_t utf8_len;
} tlslife_name_entry;

/* All names of a certificate, and its key. The struct owns what it points to. */
typedef struct tlslife_certificate_details {
    tlslife_certificate certificate;
    tlslife_name_entry *subject, *issuer, *names; /* names: subjectAltName */
    size_t subject_len, issuer_len, names_len;    /* entries */
    char *public_key;            /* PEM; NULL for a key that OpenSSL cannot read */
    const char *public_key_kind; /* "RSA", "EC", "DSA", "DH" or "Unknown"; NULL without a key */
    int public_key_bits;
    char *signature_name; /* OpenSSL's short name of the algorithm: "RSA-SHA256" */
} tlslife_certificate_details;

/*
 * Reads the first certificate in bytes, PEM or DER. The caller clears *out with
 * tlslife_certificate_details_clear. Errors: INPUT (no certificate, or more than a megabyte).
 * Source: PEM_read_bio_X509(3), X509_NAME_get_entry(3), X509_get_ext_d2i(3).
 */
TLSLIFE_API tlslife_status tlslife_certificate_details_read(const void *bytes, size_t bytes_len,
    tlslife_certificate_details *out, tlslife_error *err);
/* Frees what the struct holds and zeroes it. Safe on a zeroed struct. */
TLSLIFE_API void tlslife_certificate_details_clear(tlslife_certificate_details *details);

/*
 * Writes the digest of the first certificate in bytes, PEM or DER, to out. algorithm is one that
 * EVP_MD_fetch(3) knows ("sha1", "sha512"). Returns its length, at most 64; 0 on failure. Errors:
 * INPUT. Source: X509_digest(3).
 */
TLSLIFE_API size_t tlslife_certificate_fingerprint(const void *bytes, size_t bytes_len,
    const char *algorithm, unsigned char out[64], tlslife_error *err);

/*
 * Whether the first certificate of chain was issued by the issuer, by way of the other ones, and is
 * valid now. All are PEM or DER, and the issuer is trusted for this call. chain_len counts
 * certificates. Errors: VERIFY (it was not; verify_result says why), INPUT.
 * Source: X509_verify_cert(3).
 */
TLSLIFE_API tlslife_status tlslife_certificate_issued(tlslife_bytes issuer,
    const tlslife_bytes *chain, size_t chain_len, tlslife_error *err);

/* --------------------------------------------------------------------------------- [4] Contexts */

typedef enum tlslife_role { TLSLIFE_CLIENT = 0, TLSLIFE_SERVER = 1 } tlslife_role;

typedef enum tlslife_verify {
    TLSLIFE_VERIFY_NONE = 0, /* SSL_VERIFY_NONE: a server asks for no certificate */
    /* server only, SSL_VERIFY_PEER: asks, accepts no certificate, refuses a bad one */
    TLSLIFE_VERIFY_OPTIONAL,
    TLSLIFE_VERIFY_REQUIRED /* SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT */
} tlslife_verify;

typedef enum tlslife_resumption {
    /* tickets, and session ids for those clients of TLS 1.2 that take no ticket */
    TLSLIFE_RESUMPTION_BOTH = 0,
    /* stateless tickets (RFC 5077, RFC 8446 section 4.6.1); the server keeps nothing */
    TLSLIFE_RESUMPTION_TICKETS,
    /* session ids; in TLS 1.3 tickets that hold an id only (SSL_OP_NO_TICKET) */
    TLSLIFE_RESUMPTION_STATEFUL,
    TLSLIFE_RESUMPTION_OFF /* no session is offered or accepted */
} tlslife_resumption;

typedef enum tlslife_crl_check {
    TLSLIFE_CRL_CHECK_NONE,
    TLSLIFE_CRL_CHECK_LEAF,
    TLSLIFE_CRL_CHECK_CHAIN
} tlslife_crl_check;

enum { /* the questions of a handshake, a mask for tlslife_context_set_questions */
    TLSLIFE_ASK_HELLO = 1,       /* server: which context serves this ClientHello? */
    TLSLIFE_ASK_CERTIFICATE = 2, /* which certificate shall we present? */
    TLSLIFE_ASK_VERIFY = 4,      /* is a peer acceptable that the built-in verification accepted? */
    TLSLIFE_ASK_VERIFY_ALL = 8,  /* is a peer acceptable, accepted or not? The answer decides. */
    /*
     * On a server: which key belongs to the identity that the client of TLS 1.2 has named? On a
     * client: which PSK does it offer, given the server's hint?
     */
    TLSLIFE_ASK_PSK = 16
};

enum { /* protocol versions, as on the wire */
    TLSLIFE_TLS1_0 = 0x0301,
    TLSLIFE_TLS1_1 = 0x0302,
    TLSLIFE_TLS1_2 = 0x0303,
    TLSLIFE_TLS1_3 = 0x0304
};

/*
 * A context with safe defaults. A client verifies peer and host name, against the system's CAs
 * unless others are given. The least version is TLS 1.2. Sessions resume by tickets, and by ids for
 * clients that take no tickets. SSL_MODE_RELEASE_BUFFERS is set. The session id context is derived
 * from the policy. Returns NULL and fills err when memory is short or OpenSSL cannot start.
 * Source: SSL_CTX_new(3).
 *
 * Every tlslife_context_set_ and _add_ below that has a parameter err fails with USAGE once the
 * context is frozen, because a running handshake reads its settings. To change one, make another
 * context for the connections to come. Of two settings that contradict each other, the later one
 * fails with USAGE: tickets and the option NO_TICKET; resumption OFF and a cache, ticket keys,
 * tickets or early data; versions that an option excludes; early data without TLS 1.3; verify_host
 * or ocsp_verify where no peer is verified; ocsp_verify without a request. So does a setting marked
 * "Client:" or "Server:" in a context of the other role. A call that fails so changes nothing.
 */
TLSLIFE_API tlslife_context *tlslife_context_new(tlslife_role role, tlslife_error *err);

/* One reference more. Returns its argument. */
TLSLIFE_API tlslife_context *tlslife_context_up_ref(tlslife_context *context);

TLSLIFE_API void tlslife_context_free(tlslife_context *context);

TLSLIFE_API tlslife_role tlslife_context_role(const tlslife_context *context);

/* ---- [4.1] Contexts: our certificate */

/*
 * The functions below that take certificates, keys or CRLs read PEM, DER, PKCS#12 and PKCS#7. A
 * function whose name ends in _file takes the name of a file or a URI: file:, or another scheme,
 * such as pkcs11:, that a provider of OpenSSL's knows. A function whose name ends in _pem takes the
 * bytes themselves, in any of these formats. PEM may have a byte order mark, indented lines and
 * text between its blocks. A file must be a regular one of at most 16 MiB. passphrase may be NULL;
 * the terminal is never asked. Each function takes the objects of its kind, and no others. Errors:
 * INPUT. The message says what was found and what was expected. Causes are: there is no such file;
 * it holds no object of the kind; one is damaged; one is encrypted, and there is no passphrase or a
 * wrong one. Source: OSSL_STORE_load(3), ossl_store-file(7).
 *
 * Set our certificate, leaf first, then its chain. After it, set the private key that belongs to
 * it. Call the two again for a key of another type (RSA beside ECDSA). Errors: INPUT, also for the
 * key of another certificate. Source: SSL_CTX_use_certificate(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_certificate_file(tlslife_context *context,
    const char *path, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_certificate_pem(tlslife_context *context,
    const char *pem, size_t pem_len, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_private_key_file(tlslife_context *context,
    const char *path, const char *passphrase, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_private_key_pem(tlslife_context *context,
    const char *pem, size_t pem_len, const char *passphrase, tlslife_error *err);
/*
 * Set a certificate, its chain and its private key, which are together in one source, as a PKCS#12
 * has them. The leaf is the certificate that the key belongs to. Errors: INPUT.
 */
TLSLIFE_API tlslife_status tlslife_context_set_identity_file(tlslife_context *context,
    const char *path, const char *passphrase, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_identity_pem(tlslife_context *context,
    const char *pem, size_t pem_len, const char *passphrase, tlslife_error *err);

/* ---- [4.2] Contexts: verification of the peer */

/*
 * Add CAs that we trust, or the system's. CRLs in the same source are added, too. Each call adds to
 * those before. When verification is on and no CA was added, the system's are used. Errors: INPUT.
 * Source: SSL_CTX_load_verify_locations(3).
 */
TLSLIFE_API tlslife_status tlslife_context_add_ca_file(tlslife_context *context, const char *path,
    tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_add_ca_directory(tlslife_context *context,
    const char *path, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_add_ca_pem(tlslife_context *context, const char *pem,
    size_t pem_len, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_use_system_ca(tlslife_context *context,
    tlslife_error *err);

/*
 * Add CRLs. The issuer of the peer's certificate must then have a CRL here, and the certificate
 * must not be in it. A session resumes only under the CRLs that it was made under. Errors: INPUT.
 * Source: X509_STORE_add_crl(3).
 */
TLSLIFE_API tlslife_status tlslife_context_add_crl_file(tlslife_context *context, const char *path,
    tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_add_crl_pem(tlslife_context *context, const char *pem,
    size_t pem_len, tlslife_error *err);

/*
 * Sets which certificates of a chain must have a CRL and not be in it: none (the default until a
 * CRL is added), the peer's own, or all. CRLs may also stand beside the CAs.
 * Source: X509_VERIFY_PARAM_set_flags(3), X509_V_FLAG_CRL_CHECK and _CRL_CHECK_ALL.
 */
TLSLIFE_API tlslife_status tlslife_context_set_crl_check(tlslife_context *context,
    tlslife_crl_check check, tlslife_error *err);

/*
 * Sets what a peer's certificate must be good for by its extensions: "client", "server" or "any".
 * The default is the other end's role. Source: SSL_CTX_set_purpose(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_purpose(tlslife_context *context,
    const char *purpose, tlslife_error *err);

/*
 * Client: lets connections verify their peer by TLSA records (RFC 6698), which
 * tlslife_conn_set_dane and tlslife_conn_add_tlsa give. no_ee_namechecks: a record of usage 3
 * stands for the name, too (RFC 7671 section 5.1). No session is kept or offered, because a resumed
 * handshake does not look at the records. Source: SSL_CTX_dane_enable(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_dane(tlslife_context *context,
    bool no_ee_namechecks, tlslife_error *err);

/*
 * Sets whether a chain may end at a trusted certificate that is not self-signed, such as an
 * intermediate CA or the peer's own (default false).
 * Source: X509_VERIFY_PARAM_set_flags(3), X509_V_FLAG_PARTIAL_CHAIN.
 */
TLSLIFE_API tlslife_status tlslife_context_set_partial_chain(tlslife_context *context,
    bool partial_chain, tlslife_error *err);

/*
 * Sets how many bytes the peer's certificates may have, 1..16 MiB (OpenSSL's default: 100 KiB). A
 * handshake with more fails. Source: SSL_CTX_set_max_cert_list(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_max_cert_list(tlslife_context *context,
    size_t max_cert_list, tlslife_error *err);

/*
 * Server: adds CAs whose names are sent with a certificate request. Each call adds to those before.
 * Errors: INPUT. Source: SSL_CTX_add_client_CA(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_client_ca_file(tlslife_context *context,
    const char *path, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_client_ca_pem(tlslife_context *context,
    const char *pem, size_t pem_len, tlslife_error *err);

/*
 * Sets whether the peer is verified. The default is REQUIRED for a client, NONE for a server.
 * OPTIONAL fails with USAGE on a client. Source: SSL_CTX_set_verify(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_verify(tlslife_context *context,
    tlslife_verify verify, tlslife_error *err);

/* Sets how many intermediate CAs a chain may have, 0..100. Source: SSL_CTX_set_verify_depth(3). */
TLSLIFE_API tlslife_status tlslife_context_set_verify_depth(tlslife_context *context, int depth,
    tlslife_error *err);

/*
 * Client: sets whether the certificate must bear the host name (default true).
 * Source: X509_VERIFY_PARAM_set1_host(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_verify_host(tlslife_context *context,
    bool verify_host, tlslife_error *err);

/* ---- [4.3] Contexts: protocol */

/*
 * Sets the least and the greatest version, TLSLIFE_TLS1_*. 0 is the default: TLS 1.2, and the
 * newest that OpenSSL has. Source: SSL_CTX_set_min_proto_version(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_versions(tlslife_context *context, int min_version,
    int max_version, tlslife_error *err);

/*
 * Sets the cipher suites of TLS 1.2 and below, in OpenSSL's syntax, which includes "@SECLEVEL=n".
 * Source: SSL_CTX_set_cipher_list(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_cipher_list(tlslife_context *context,
    const char *list, tlslife_error *err);

/* Sets the cipher suites of TLS 1.3, joined by ":". Source: SSL_CTX_set_ciphersuites(3). */
TLSLIFE_API tlslife_status tlslife_context_set_ciphersuites(tlslife_context *context,
    const char *list, tlslife_error *err);

/*
 * Server: sets whether DHE suites of TLS 1.2 are offered, with parameters as strong as the
 * certificate's key (default false: ECDHE serves all clients that are not very old, and DHE lets a
 * client make the server work hard). Source: SSL_CTX_set_dh_auto(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_dh_auto(tlslife_context *context, bool dh_auto,
    tlslife_error *err);

/*
 * Server: sets the parameters of DHE suites of TLS 1.2, PEM ("-----BEGIN DH PARAMETERS-----").
 * dh_auto chooses better ones. Errors: INPUT (no such parameters, or weaker than the security level
 * allows). Source: SSL_CTX_set0_tmp_dh_pkey(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_dh_params_pem(tlslife_context *context,
    const char *pem, size_t pem_len, tlslife_error *err);

/*
 * Sets how many bytes of plain text a record that we send has at most, 512..16384 (the default).
 * Source: SSL_CTX_set_max_send_fragment(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_max_send_fragment(tlslife_context *context,
    size_t max_send_fragment, tlslife_error *err);

/* Sets the key exchange groups, joined by ":". Source: SSL_CTX_set1_groups_list(3). */
TLSLIFE_API tlslife_status tlslife_context_set_groups(tlslife_context *context, const char *list,
    tlslife_error *err);

/* Sets the signature algorithms, joined by ":". Source: SSL_CTX_set1_sigalgs_list(3). */
TLSLIFE_API tlslife_status tlslife_context_set_signature_algorithms(tlslife_context *context,
    const char *list, tlslife_error *err);

/*
 * Sets the protocols for ALPN (RFC 7301), names of 1..255 bytes. protocols_len is their number. A
 * client offers them in this order. A server takes the first of its own that the client offers. A
 * client that offers only others gets the alert no_application_protocol.
 * Source: SSL_CTX_set_alpn_select_cb(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_alpn(tlslife_context *context,
    const char *const *protocols, size_t protocols_len, tlslife_error *err);

/*
 * Server: a connection whose ClientHello names a server that matches pattern continues under
 * target, with all of its policy. pattern is a name ("a.example") or has a wildcard for one label
 * ("*.example"). Names win over wildcards. Where nothing matches, this context stays in force.
 * Takes a reference to target and freezes it.
 * Source: SSL_CTX_set_client_hello_cb(3), RFC 6066 section 3.
 */
TLSLIFE_API tlslife_status tlslife_context_add_server_name(tlslife_context *context,
    const char *pattern, tlslife_context *target, tlslife_error *err);

/*
 * Adds a pre-shared key for TLS 1.2 and 1.3 (SHA-256 suites). A client offers the first that was
 * added, and does not ask for one as well (ASK_PSK). A server looks the client's identity up.
 * identity has 0..256 bytes (a client's: 0..255; TLS 1.3 offers no empty one) without a NUL, since
 * libssl passes on only what comes before one.
 * key has 1..256 bytes. Both are copied, and the key is wiped when the context is freed.
 * Source: SSL_CTX_set_psk_client_callback(3).
 */
TLSLIFE_API tlslife_status tlslife_context_add_psk(tlslife_context *context, const char *identity,
    const unsigned char *key, size_t key_len, tlslife_error *err);

/*
 * Server: sets the hint that TLS 1.2 sends to clients that use a PSK, 0..256 bytes.
 * tlslife_conn_psk_identity_hint gives it. Source: SSL_CTX_use_psk_identity_hint(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_psk_identity_hint(tlslife_context *context,
    const char *hint, tlslife_error *err);

/* ---- [4.4] Contexts: sessions */

/*
 * Sets how sessions resume. The default is BOTH, or STATEFUL with a cache or the option NO_TICKET.
 * The contexts that one listener leads to may differ: each ClientHello gets what the context in
 * force allows, from the cache and by the ticket keys of the listener's context. A client with OFF
 * neither asks for tickets nor keeps sessions.
 */
TLSLIFE_API tlslife_status tlslife_context_set_resumption(tlslife_context *context,
    tlslife_resumption resumption, tlslife_error *err);

/*
 * Server: sets how many tickets follow a full TLS 1.3 handshake, 0..16. The default is 2.
 * Source: SSL_CTX_set_num_tickets(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_num_tickets(tlslife_context *context,
    size_t num_tickets, tlslife_error *err);

/*
 * Sets the lifetime of a session, 1..604800 seconds (seven days at most, RFC 8446 section 4.6.1).
 * The default is 7200. Source: SSL_CTX_set_timeout(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_session_timeout(tlslife_context *context,
    long timeout_seconds, tlslife_error *err);

/*
 * Server: replaces the derived session id context, 1..32 bytes. A client's is always derived. It
 * holds a number of its own, by which a session knows the context that it belongs to.
 * Source: SSL_CTX_set_session_id_context(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_session_id_context(tlslife_context *context,
    const unsigned char *id, size_t id_len, tlslife_error *err);

/*
 * Writes the session id context in force, at most 32 bytes, to out, and returns its length. Freezes
 * the context.
 */
TLSLIFE_API size_t tlslife_context_session_id_context(tlslife_context *context,
    unsigned char out[32]);

/*
 * Keeps the context's sessions in this cache. Takes a reference. One cache serves any number of
 * contexts.
 * A server's sessions are kept by session id. The resumption becomes STATEFUL unless it was set.
 * With BOTH the cache keeps only sessions that have no ticket. With BOTH and TICKETS it also has
 * what makes early data single-use (tlslife_context_set_max_early_data). Without a cache, the
 * server's context makes one of its own.
 * A client's sessions are kept by peer (host, port, server name, ALPN, policy). A connection for
 * which set_session was not called offers what the cache has, and tlslife_conn_take_session gives
 * NULL. Without a cache, a client's new sessions wait for tlslife_conn_take_session.
 */
TLSLIFE_API tlslife_status tlslife_context_set_cache(tlslife_context *context, tlslife_cache *cache,
    tlslife_error *err);

/* The cache, lent, or NULL if none was set. */
TLSLIFE_API tlslife_cache *tlslife_context_get0_cache(const tlslife_context *context);

/*
 * Server: sets the keys of stateless tickets. Takes a reference. Any number of contexts may share
 * them. Without this call OpenSSL makes random keys that never change.
 * Source: RFC 5077, SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_ticket_keys(tlslife_context *context,
    tlslife_ticket_keys *keys, tlslife_error *err);

/*
 * Makes a session of this context from bytes, DER or PEM. This is how a session comes from another
 * context, process or machine. The caller frees it. Errors: INPUT (not a session, or more than 64
 * KiB); USAGE (a client made it under another policy, so this context demands other things of its
 * peer, or presents another certificate or PSK). Source: d2i_SSL_SESSION(3).
 */
TLSLIFE_API tlslife_session *tlslife_context_import_session(tlslife_context *context,
    const unsigned char *bytes, size_t bytes_len, tlslife_error *err);

/* ---- [4.5] Contexts: other settings */

/*
 * Sets the OCSP response that a server staples, in DER. Errors: INPUT, also if the response cannot
 * be read, or names its certificate by a digest that OpenSSL does not have. From OpenSSL 3.6 on,
 * what is about another certificate is not stapled. Source: SSL_CTX_set_tlsext_status_cb(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_ocsp_response(tlslife_context *context,
    const unsigned char *der, size_t der_len, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_context_set_ocsp_response_file(tlslife_context *context,
    const char *path, tlslife_error *err);

/*
 * Client: sets whether to ask for an OCSP response (default false). tlslife_conn_ocsp_response
 * gives it; tlslife_context_set_ocsp_verify has it verified.
 */
TLSLIFE_API tlslife_status tlslife_context_set_ocsp_request(tlslife_context *context, bool request,
    tlslife_error *err);

/*
 * Client: sets whether the OCSP response that the server staples to its certificate is verified,
 * and asks for it. NONE is the default. OPTIONAL refuses a response that is not good, and none only
 * where the certificate demands one (RFC 7633, must-staple). REQUIRED refuses none, too. A response
 * is good if it is signed by the certificate's issuer, or by a certificate for OCSP that this
 * issuer has signed, says of this certificate that it is good, and is of this time: within its two
 * dates, give or take 5 minutes, or not older than 7 days where it has only the first.
 *
 * The response is verified after tlslife_conn_answer_verify, whose answer does not override it. The
 * server gets the alert bad_certificate_status_response, and the error is VERIFY with
 * X509_V_ERR_CERT_REVOKED or X509_V_ERR_OCSP_*. A server that resumes sends no response, so a
 * session, which resumes only where the same is demanded, may outlive a revocation by its timeout.
 * Intermediate CAs are not asked about. USAGE where the peer is not verified, or no response is
 * asked for. Source: OCSP_basic_verify(3), SSL_CTX_set_tlsext_status_cb(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_ocsp_verify(tlslife_context *context,
    tlslife_verify verify, tlslife_error *err);

/*
 * Appends key-log lines (the NSS format) to a file, one write(2) a line, after the call that made
 * the line. With path NULL the lines wait for tlslife_conn_take_keylog. The lines decrypt the
 * traffic, so the file must be ours alone: it is made with mode 0600, or must have that mode, be
 * owned by this user and be no symbolic link (INPUT otherwise). A FIFO must have its reader. A key
 * log never makes a call wait and never raises a signal: a line that a full disk, a full FIFO or a
 * FIFO without a reader does not take is lost. Source: SSL_CTX_set_keylog_callback(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_keylog(tlslife_context *context, const char *path,
    tlslife_error *err);

/*
 * Connections of this context record in the trace what they do. Takes a reference. A trace for
 * secrets gets the key-log lines, too, of connections whose contexts all have a trace for secrets
 * or a key log. NULL: they record nothing, which is the default and costs nothing.
 */
TLSLIFE_API tlslife_status tlslife_context_set_trace(tlslife_context *context, tlslife_trace *trace,
    tlslife_error *err);

/*
 * Sets or clears one of OpenSSL's options, by its name without "SSL_OP_", in any case
 * ("NO_TICKET"). Source: SSL_CTX_set_options(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_option(tlslife_context *context, const char *name,
    bool on, tlslife_error *err);

/*
 * Sets or clears one of OpenSSL's modes, by its name without "SSL_MODE_" ("AUTO_RETRY"). Fails with
 * USAGE for ASYNC, and for clearing the two that write needs (ENABLE_PARTIAL_WRITE,
 * ACCEPT_MOVING_WRITE_BUFFER). Source: SSL_CTX_set_mode(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_mode(tlslife_context *context, const char *name,
    bool on, tlslife_error *err);

/*
 * Makes any other setting that SSL_CONF_cmd(3) knows for configuration files, such as
 * ("MinProtocol", "TLSv1.2"). Sessions are kept apart by what the setting changes of verification,
 * CAs, names of certificates and security level, and by nothing else.
 */
TLSLIFE_API tlslife_status tlslife_context_conf(tlslife_context *context, const char *command,
    const char *value, tlslife_error *err);

/* Sets the quiet shutdown (default false). Source: SSL_CTX_set_quiet_shutdown(3). */
TLSLIFE_API tlslife_status tlslife_context_set_quiet_shutdown(tlslife_context *context, bool quiet,
    tlslife_error *err);

/*
 * Sets how many bytes of early data a server accepts, or a client may send (RFC 8446 section 2.3).
 * The default 0 means none.
 *
 * A server accepts the early data of a session once, in whichever thread, process or machine that
 * shares the cache. Under the context's ticket keys each ticket has a permit in the cache, an entry
 * that its early data take. Without it (it was taken or evicted, or the store has failed) they are
 * rejected, and the session resumes without. With STATEFUL, and without ticket keys of ours, the
 * session itself is in the cache, and found once. The option NO_ANTI_REPLAY turns this off.
 * Source: SSL_CTX_set_max_early_data(3), SSL_CTX_set_allow_early_data_cb(3), RFC 8446 section 8.
 */
TLSLIFE_API tlslife_status tlslife_context_set_max_early_data(tlslife_context *context,
    uint32_t max_early_data, tlslife_error *err);

/*
 * Client: sets whether to offer post-handshake authentication (TLS 1.3).
 * Source: SSL_CTX_set_post_handshake_auth(3).
 */
TLSLIFE_API tlslife_status tlslife_context_set_post_handshake_auth(tlslife_context *context,
    bool on, tlslife_error *err);

/*
 * Sets the deadline of each blocking call of connections made from now on, in milliseconds; -1, the
 * default, means none. Allowed at any time.
 */
TLSLIFE_API void tlslife_context_set_timeout_ms(tlslife_context *context, int timeout_ms);

/*
 * Sets which questions suspend the handshake, a mask of TLSLIFE_ASK_*. The default is 0. HELLO is
 * for servers only.
 */
TLSLIFE_API tlslife_status tlslife_context_set_questions(tlslife_context *context,
    unsigned questions, tlslife_error *err);

/* -------------------------------------------------------------------------------- [5] Key rings */

/*
 * A key ring: keys for AES-256-GCM, derived by HKDF-SHA-256 from secrets of 32 bytes or more (fewer
 * is USAGE). The first key seals and opens, those added later open only. Sealed bytes are bound to
 * their key in the store and to the context's policy, so that bytes that were moved or swapped do
 * not open. A key ring is thread-safe. Its secrets are wiped when it is freed.
 */
TLSLIFE_API tlslife_keyring *tlslife_keyring_new(const unsigned char *secret, size_t secret_len,
    tlslife_error *err);
TLSLIFE_API tlslife_keyring *tlslife_keyring_up_ref(tlslife_keyring *keyring);
TLSLIFE_API void tlslife_keyring_free(tlslife_keyring *keyring);

/* Adds a key that opens. There are at most 8 in all; one more is USAGE. */
TLSLIFE_API tlslife_status tlslife_keyring_add(tlslife_keyring *keyring,
    const unsigned char *secret, size_t secret_len, tlslife_error *err);

/*
 * Adds a new first key, at run time. The others still open. If there are 8 already, the oldest is
 * dropped.
 */
TLSLIFE_API tlslife_status tlslife_keyring_rotate(tlslife_keyring *keyring,
    const unsigned char *secret, size_t secret_len, tlslife_error *err);

/* ------------------------------------------------------------------------------ [6] Ticket keys */

/*
 * Keys that any number of machines derive, by HKDF-SHA-256, from one secret (32 bytes or more) and
 * the number of the epoch, without exchanging a message. A ticket is made under the key of the
 * current epoch. Tickets of the older_epochs before it (1..16), and of the one after it (another
 * machine's clock may be ahead), also open and are renewed. epoch_seconds is 60..604800.
 */
TLSLIFE_API tlslife_ticket_keys *tlslife_ticket_keys_derived(const unsigned char *secret,
    size_t secret_len, long epoch_seconds, unsigned older_epochs, tlslife_error *err);

/* Random keys of this process, a new one every epoch_seconds. */
TLSLIFE_API tlslife_ticket_keys *tlslife_ticket_keys_random(long epoch_seconds,
    unsigned older_epochs, tlslife_error *err);

/*
 * The program's own keys: 1..16 keys of 80 bytes, the first for new tickets. A key is 16 bytes of
 * name, 32 of HMAC-SHA-256 key and 32 of AES-256-CBC key, which is nginx's order. keys_len is the
 * length of all keys together.
 */
TLSLIFE_API tlslife_ticket_keys *tlslife_ticket_keys_new(const unsigned char *keys, size_t keys_len,
    tlslife_error *err);

/*
 * Replaces the program's own keys, at run time, for all contexts that have them. Fails with USAGE
 * for derived and random keys.
 */
TLSLIFE_API tlslife_status tlslife_ticket_keys_replace(tlslife_ticket_keys *ticket_keys,
    const unsigned char *keys, size_t keys_len, tlslife_error *err);
TLSLIFE_API tlslife_ticket_keys *tlslife_ticket_keys_up_ref(tlslife_ticket_keys *keys);
TLSLIFE_API void tlslife_ticket_keys_free(tlslife_ticket_keys *keys);

/* ----------------------------------------------------------------------------------- [7] Caches */

typedef struct tlslife_cache_options {
    size_t capacity;          /* sessions in the memory tier at most; 0 keeps none */
    size_t capacity_bytes;    /* bytes of their DER at most; 0: not counted */
    long timeout_seconds;     /* no session lives longer, in memory or store; 0: its own timeout */
    size_t sessions_per_peer; /* client: TLS 1.3 sessions kept for one peer, 1..16 */
    tlslife_store *store;     /* external store, or NULL; the cache takes a reference */
    tlslife_keyring *keyring; /* seals the store's bytes, required with one; takes a reference */
    bool in_memory;           /* with a store: also a memory tier; without one there always is */
} tlslife_cache_options;

/* The defaults: {.capacity = 20480, .sessions_per_peer = 4, .in_memory = true}, the rest 0. */
TLSLIFE_API tlslife_cache_options tlslife_cache_defaults(void);

/* A cache. Errors: USAGE (a number out of range, a store without a key ring), MEMORY. */
TLSLIFE_API tlslife_cache *tlslife_cache_new(const tlslife_cache_options *options,
    tlslife_error *err);
TLSLIFE_API tlslife_cache *tlslife_cache_up_ref(tlslife_cache *cache);
TLSLIFE_API void tlslife_cache_free(tlslife_cache *cache);

/*
 * Keeps a server's session in the memory tier, by its id. Returns false when it is not kept: it
 * has no id, is too big or is not resumable, or the capacity is 0.
 */
TLSLIFE_API bool tlslife_cache_put(tlslife_cache *cache, tlslife_session *session);

/*
 * The session of this id in the memory tier, one reference more, or NULL. Never one that has
 * expired or is not resumable.
 */
TLSLIFE_API tlslife_session *tlslife_cache_get(tlslife_cache *cache, const unsigned char *id,
    size_t id_len);

/* The same, and removes the session from the memory tier. */
TLSLIFE_API tlslife_session *tlslife_cache_take(tlslife_cache *cache, const unsigned char *id,
    size_t id_len);

/*
 * Removes a session from the memory tier and the store, by a server's id or by the own id of a
 * client's session. Returns false when the memory tier had none.
 */
TLSLIFE_API bool tlslife_cache_remove(tlslife_cache *cache, const unsigned char *id, size_t id_len);

/* Drops expired sessions from the memory tier, or all of them. Returns how many were dropped. */
TLSLIFE_API size_t tlslife_cache_flush(tlslife_cache *cache, bool all);

typedef struct tlslife_cache_stats {
    size_t entries, bytes; /* in memory now; bytes are counted only if capacity_bytes is set */
    uint64_t puts, hits, misses;
    uint64_t store_hits;   /* the hits that came from the store */
    uint64_t expired;      /* sessions found too old, or dropped because they were */
    uint64_t evicted;      /* sessions dropped to make room for others */
    uint64_t bad;          /* removed because their connection was not closed, or failed */
    uint64_t too_big;
    uint64_t store_errors; /* the store failed, was late, or gave bytes that are no such session */
    uint64_t not_opened;   /* sealed bytes that did not open */
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
 * Writes what may be known of the next sessions in the memory tier to entries, which has room for
 * entries_len of them. Returns how many were written; 0 is the end. *cursor is 0 at first, and the
 * call moves it on. A session that is added or removed meanwhile may be missed, but none is listed
 * twice.
 */
TLSLIFE_API size_t tlslife_cache_entries(const tlslife_cache *cache, uint64_t *cursor,
    tlslife_cache_entry *entries, size_t entries_len);

/*
 * Exports a client's sessions in the memory tier as sealed bytes, for a program that restarts.
 * Sessions that were made with a client certificate are left out unless with_client_certificates is
 * true. The cache keeps its sessions. The caller frees *out with tlslife_session_bytes_free.
 */
TLSLIFE_API tlslife_status tlslife_cache_export(tlslife_cache *cache, tlslife_keyring *keyring,
    bool with_client_certificates, unsigned char **out, size_t *out_len, tlslife_error *err);

/*
 * Adds exported sessions to the cache, under the policy that they were made under. *out_sessions is
 * how many there were; out_sessions may be NULL. Fails with INPUT, and adds nothing, when the bytes
 * do not open or are damaged.
 */
TLSLIFE_API tlslife_status tlslife_cache_import(tlslife_cache *cache, tlslife_keyring *keyring,
    const unsigned char *bytes, size_t bytes_len, size_t *out_sessions, tlslife_error *err);

/* ----------------------------------------------------------------------------------- [8] Stores */

/*
 * A slab of shared memory or a file, for worker processes and across restarts. "shm:name" is the
 * POSIX shared memory object "/tlslife-name". Any other path is a file, which must not be on a
 * network file system. bytes is the whole size, 64 KiB..64 GiB; an existing slab must have been
 * made with the same. The slab has mode 0600 and is kept out of core dumps. An entry has at most
 * 64 KiB, and at most half a shard (26 KiB in the smallest slab).
 * A foreign or damaged file, or one of another version or size, is refused with INPUT, or wiped if
 * wipe is true. A process that dies at any instruction costs at most the content of one shard; a
 * reboot costs all of it.
 */
TLSLIFE_API tlslife_store *tlslife_store_shared(const char *path, size_t bytes, bool wipe,
    tlslife_error *err);

typedef struct tlslife_redis_options {
    /* NULL: 127.0.0.1. A thread of the library resolves a name, at each connect. */
    const char *host;
    const char *service;   /* NULL: "6379" */
    const char *unix_path; /* instead of host and service */
    /* TLS by this client's context, which has no cache; host is the server's name. NULL: no TLS. */
    tlslife_context *tls;
    const char *username, *password; /* AUTH, or NULL */
    unsigned database;               /* SELECT */
    const char *prefix;              /* of keys; NULL: "tlslife:" */
    int timeout_ms;                  /* of one lookup, 1..60000; 0: 250 */
    int connect_timeout_ms;          /* 0: 1000 */
    size_t pending_max; /* commands under way at most; 0: 1024; a lookup beyond is a miss at once */
} tlslife_redis_options;

/*
 * A Redis or Valkey server (hiredis does the protocol). The store connects when it is first needed,
 * never waits, and reconnects with growing pauses. After 5 failures in a row it asks nothing for a
 * pause that doubles up to 30 s (a circuit breaker). A failure costs a full handshake at most. A
 * child of fork() has a connection of its own (docs/embedding.md). Fails with USAGE when this
 * library was built without hiredis.
 */
TLSLIFE_API tlslife_store *tlslife_store_redis(const tlslife_redis_options *options,
    tlslife_error *err);

/*
 * A store that is the calling program itself. A lookup ends the handshake call with WANT_SESSION,
 * and tlslife_conn_lookup says what is asked. tlslife_store_next gives what to put and to remove.
 */
TLSLIFE_API tlslife_store *tlslife_store_program(tlslife_error *err);

typedef struct tlslife_store_event {
    bool put;              /* true: put; false: remove */
    tlslife_bytes key;     /* 32 bytes */
    /* What is to be kept. If a removal has bytes here, it is of what begins with them alone. */
    tlslife_bytes sealed;
    long lifetime_seconds; /* put: how long to keep them */
} tlslife_store_event;

/*
 * The oldest event of a program's store, lent until the next call by any thread. Returns false when
 * there is none. At most 4096 events wait; beyond, the oldest are dropped and counted as store
 * errors.
 */
TLSLIFE_API bool tlslife_store_next(tlslife_store *store, tlslife_store_event *out);

TLSLIFE_API tlslife_store *tlslife_store_up_ref(tlslife_store *store);
TLSLIFE_API void tlslife_store_free(tlslife_store *store);

/*
 * What an event loop watches for the store. Returns its descriptor, or -1 if it has none.
 * *out_writing says whether to watch for writing, besides reading. Call tlslife_store_pump when the
 * descriptor is ready, or *out_timeout_ms milliseconds have passed (-1: never).
 */
TLSLIFE_API int tlslife_store_fd(tlslife_store *store, bool *out_writing, int *out_timeout_ms);

/* Sends and receives what can be moved without waiting. */
TLSLIFE_API void tlslife_store_pump(tlslife_store *store);

/* ------------------------------------------------------------------------------ [9] Connections */

/*
 * A connection of this context, without a transport. Freezes the context. Returns NULL and fills
 * err on failure: INPUT for a certificate without its private key, and for a server that could
 * serve no client, because it has neither certificate nor PSK, and no server name, question or
 * anonymous cipher in their place. Source: SSL_new(3).
 */
TLSLIFE_API tlslife_conn *tlslife_conn_new(tlslife_context *context, tlslife_error *err);

/*
 * Before the handshake has begun: another connection with the settings that SSL_dup(3) lists and
 * those that libssl forgets (server name, ALPN, groups, quiet shutdown, number of tickets, ticket
 * data, deadline, blocking, cork, questions), without the transport and without unsent data.
 * Afterwards: the same connection, one reference more. The caller frees either.
 */
TLSLIFE_API tlslife_conn *tlslife_conn_dup(tlslife_conn *conn, tlslife_error *err);

/* One reference more. Returns its argument. Source: SSL_up_ref(3). */
TLSLIFE_API tlslife_conn *tlslife_conn_up_ref(tlslife_conn *conn);

/*
 * Gives up a reference. The last one frees the connection, without I/O or close_notify, and closes
 * an owned descriptor. Source: SSL_free(3).
 */
TLSLIFE_API void tlslife_conn_free(tlslife_conn *conn);

/*
 * Takes the connection back to before the handshake. Settings, host name and transport are kept. So
 * is a good session, which is offered again; with a cache, the one of set_session is offered, or
 * what the cache has. The session of a connection that is still open becomes bad. Bytes held back
 * by cork are dropped. A pending renegotiation is taken back, unlike by SSL_clear, which fails
 * then; only on a connection of tlslife_conn_from_ssl it fails here too. Source: SSL_clear(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_clear(tlslife_conn *conn);

/* The context in force, lent, which a server name or the question HELLO may have chosen. */
TLSLIFE_API tlslife_context *tlslife_conn_get0_context(const tlslife_conn *conn);

/* The last failure, lent until the next call on conn. Its kind is NONE if there was none. */
TLSLIFE_API const tlslife_error *tlslife_conn_error(const tlslife_conn *conn);

/* ---- [9.1] Connections: settings */

/*
 * Client: sets the server's name, or its IP address; a port behind it is ignored. A name is sent
 * (SNI), and the certificate must bear the name or the address. tlslife_conn_dial sets it unless
 * the program did. USAGE once the handshake has begun, and for what is neither a name nor an
 * address. Source: SSL_set_tlsext_host_name(3), SSL_set1_host(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_set_hostname(tlslife_conn *conn, const char *hostname);

/* The host name as it was set, in lower case, or NULL. */
TLSLIFE_API const char *tlslife_conn_hostname(const tlslife_conn *conn);

/*
 * Does what tlslife_context_set_alpn does, for one connection. protocols_len 0: a client offers no
 * protocol, and a server chooses none, also where its context would. A client sets it before the
 * handshake. A server may set it until it chooses, while WANT_HELLO waits at the latest; clear does
 * not keep what is set there.
 */
TLSLIFE_API tlslife_status tlslife_conn_set_alpn(tlslife_conn *conn, const char *const *protocols,
    size_t protocols_len);

/* Does what tlslife_context_set_groups does, for one connection. */
TLSLIFE_API tlslife_status tlslife_conn_set_groups(tlslife_conn *conn, const char *list);

/*
 * Client: begins the use of DANE on this connection, of a context with DANE, and sets the host name
 * (tlslife_conn_set_hostname). Errors: USAGE. Source: SSL_dane_enable(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_set_dane(tlslife_conn *conn, const char *name);
/*
 * Client: adds a TLSA record. With at least one that can be used, the peer is verified by them.
 * Errors: USAGE; INPUT (a record that cannot be used, which may be ignored).
 * Source: SSL_dane_tlsa_add(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_add_tlsa(tlslife_conn *conn, uint8_t usage,
    uint8_t selector, uint8_t matching_type, const unsigned char *data, size_t data_len);

/* Does what tlslife_context_set_num_tickets does, for one connection. */
TLSLIFE_API tlslife_status tlslife_conn_set_num_tickets(tlslife_conn *conn, size_t num_tickets);

/*
 * true (the default): a call waits for the transport until it is done or the deadline passes.
 * false: it returns WANT_READ or WANT_WRITE instead. Over a memory transport, where there is
 * nothing to wait for, a call always does that.
 */
TLSLIFE_API void tlslife_conn_set_blocking(tlslife_conn *conn, bool blocking);
TLSLIFE_API bool tlslife_conn_blocking(const tlslife_conn *conn);

/*
 * Sets the deadline of each blocking call, and of a dial, as a whole, on the monotonic clock; -1
 * means none. For a dial that is under way the time counts anew from this call on.
 */
TLSLIFE_API void tlslife_conn_set_timeout_ms(tlslife_conn *conn, int timeout_ms);
TLSLIFE_API int tlslife_conn_timeout_ms(const tlslife_conn *conn);

/*
 * From now on this connection records in the trace what it does, or in none (NULL), in place of its
 * context's. Takes a reference. USAGE for a connection of the program's own SSL_CTX.
 */
TLSLIFE_API tlslife_status tlslife_conn_set_trace(tlslife_conn *conn, tlslife_trace *trace);

/* ---- [9.2] Connections: transport. A new one replaces the one before, and closes it if owned. */

/*
 * Makes a TCP connection to host and service ("https" or "443"; NULL: host names it, as in
 * "[::1]:443"), or one to a Unix socket ("unix:/path" or "unix:@name" without a service; it sets no
 * host name). The socket is owned, and has TCP_NODELAY and close-on-exec. Where a name has several
 * addresses, IPv6 and IPv4 take turns. The next attempt begins 250 ms after the one before, or
 * earlier where the deadline is near, and at once when one fails. The first that is connected is
 * the connection, and the others are closed (RFC 8305). At most 8 are under way.
 *
 * Non-blocking: returns WANT_READ while the name is resolved, a Unix socket's backlog is full or
 * several attempts are under way, and WANT_WRITE while one is. Call again with the same host and
 * service when tlslife_conn_wait_fd says so. A thread of the library resolves the name and is in
 * getaddrinfo meanwhile. At most 16 names are resolved at once; the others queue. The deadline
 * counts from the first call and ends in TIMEOUT; the next call begins anew. Another host, another
 * transport, close_transport and free abandon the dial.
 *
 * Blocking: the calling thread resolves the name, and the deadline does not interrupt that.
 *
 * Errors: USAGE (what can be no host or service), RESOLVE (the name has no address), SYSTEM (of
 * the last address).
 */
TLSLIFE_API tlslife_status tlslife_conn_dial(tlslife_conn *conn, const char *host,
    const char *service);

/*
 * Uses a descriptor that stays the caller's. Its flags are not changed, and it is not closed. It
 * may be a socket, a pipe or a terminal. Here, and in the next two: USAGE if another connection
 * owns it and speaks TLS over it (tlslife_conn_set_connection is for TLS in TLS).
 */
TLSLIFE_API tlslife_status tlslife_conn_set_fd(tlslife_conn *conn, int fd);

/* Uses two such descriptors, one to read from and one to write to. */
TLSLIFE_API tlslife_status tlslife_conn_set_fds(tlslife_conn *conn, int read_fd, int write_fd);

/* Uses a descriptor that becomes the connection's, also when this call fails. */
TLSLIFE_API tlslife_status tlslife_conn_take_fd(tlslife_conn *conn, int fd);

/*
 * Joins two connections in memory, capacity bytes each way (0: 64 KiB). What one end wrote can be
 * read after the other has been freed. Both ends belong to one thread.
 */
TLSLIFE_API tlslife_status tlslife_conn_pair(tlslife_conn *a, tlslife_conn *b, size_t capacity);

/*
 * Takes plain bytes in and out, capacity bytes each way (0: 64 KiB). tlslife_conn_feed and
 * tlslife_conn_drain move them.
 */
TLSLIFE_API tlslife_status tlslife_conn_set_memory(tlslife_conn *conn, size_t capacity);

/*
 * TLS in TLS: the bytes of conn travel as application data of outer, whose handshake is done. outer
 * may be a client's or a server's connection, over any transport, and may travel within another:
 * at most 8 layers. conn keeps a reference to outer until it gets another transport, closes it, or
 * is freed.
 *
 * Meanwhile the data verbs of outer (read, peek, write, writev, cork) fail with USAGE. conn has the
 * deadline and the blocking mode; tlslife_conn_wait_fd is outer's, and a want may be of the other
 * kind than the call, as outer may have to write before it can read. The end of outer is a bare end
 * for conn (TRUNCATED), and an error of outer is one of conn, whose message says so. Where outer
 * asks a question (after a renegotiation, say), a call of conn fails (ERR_TLS) and may be made
 * again after tlslife_conn_handshake of outer. tlslife_conn_close of conn sends close_notify
 * within outer, which stays open, and is closed after it.
 *
 * All of them belong to one thread at a time. Errors: USAGE (outer is not open, is corked, carries
 * another connection, or is, or travels in, conn; or conn carries another), MEMORY.
 */
TLSLIFE_API tlslife_status tlslife_conn_set_connection(tlslife_conn *conn, tlslife_conn *outer);

/* The connection that carries this one, or the one that this one carries; lent, or NULL. */
TLSLIFE_API tlslife_conn *tlslife_conn_get0_outer(const tlslife_conn *conn);
TLSLIFE_API tlslife_conn *tlslife_conn_get0_inner(const tlslife_conn *conn);

/*
 * Gives bytes that came from the peer. *out_fed is how many were taken. It is fewer than bytes_len
 * when there is no room, and 0 with OK is lawful.
 */
TLSLIFE_API tlslife_status tlslife_conn_feed(tlslife_conn *conn, const void *bytes,
    size_t bytes_len, size_t *out_fed);

/* Says that the peer's stream has ended. */
TLSLIFE_API tlslife_status tlslife_conn_feed_eof(tlslife_conn *conn);

/*
 * Takes bytes meant for the peer. *out_drained may be 0. What was written before close or
 * close_transport, and the close_notify, can be drained afterwards too, until the connection gets
 * another transport.
 */
TLSLIFE_API tlslife_status tlslife_conn_drain(tlslife_conn *conn, void *buffer, size_t buffer_len,
    size_t *out_drained);

/* The descriptor to read from, or -1. Within another connection it is the outermost one's. */
TLSLIFE_API int tlslife_conn_fd(const tlslife_conn *conn);

/*
 * What an event loop watches after a call that returned want (WANT_READ, WANT_WRITE or
 * WANT_SESSION). Returns the descriptor, or -1 if there is none (a memory transport, or a store
 * that is the calling program). *out_writing says whether to watch for writing; for a store, for
 * writing besides reading. *out_timeout_ms is after how many milliseconds to call again though
 * nothing came (-1: never, 0: now). A dial's deadline is counted in. The descriptor may differ from
 * call to call while a dial is under way.
 */
TLSLIFE_API int tlslife_conn_wait_fd(const tlslife_conn *conn, tlslife_status want,
    bool *out_writing, int *out_timeout_ms);

/*
 * Whether nothing was read since the handshake or the last write, and nothing waits to be read or
 * sent. In a protocol of requests and answers the peer has no request under way then, and a server
 * that stops may close. Bytes held back by cork do not count as waiting. Early data that was read
 * is a request. false before the handshake is done.
 */
TLSLIFE_API bool tlslife_conn_idle(const tlslife_conn *conn);

/*
 * Writes the peer's address ("127.0.0.1:8443", "[::1]:8443", "[fe80::1%eth0]:8443"). Returns false
 * when the transport has none; over a Unix socket it has none. Each call that takes a host takes
 * such an address, too.
 */
TLSLIFE_API bool tlslife_conn_peer_address(const tlslife_conn *conn, char *out, size_t out_len);

/*
 * The same for the proxy that has sent a header of the PROXY protocol; then
 * tlslife_conn_peer_address is the client's as the header has it. Returns false until a header was
 * read, where none is expected, and over a Unix socket.
 */
TLSLIFE_API bool tlslife_conn_proxy_address(const tlslife_conn *conn, char *out, size_t out_len);

/* Types of the fields of a PROXY header of version 2, and of those within its field SSL. */
enum {
    TLSLIFE_PROXY_ALPN = 0x01,
    TLSLIFE_PROXY_AUTHORITY = 0x02, /* the server name (SNI) that the client sent to the proxy */
    TLSLIFE_PROXY_CRC32C = 0x03,
    TLSLIFE_PROXY_NOOP = 0x04,
    TLSLIFE_PROXY_UNIQUE_ID = 0x05,
    TLSLIFE_PROXY_SSL = 0x20,
    TLSLIFE_PROXY_SSL_VERSION = 0x21,
    TLSLIFE_PROXY_SSL_CN = 0x22,
    TLSLIFE_PROXY_SSL_CIPHER = 0x23,
    TLSLIFE_PROXY_SSL_SIG_ALG = 0x24,
    TLSLIFE_PROXY_SSL_KEY_ALG = 0x25,
    TLSLIFE_PROXY_NETNS = 0x30
};

/*
 * The value of such a field, as the proxy has sent it; lent while the connection has its transport.
 * Any type, 0 to 255. Returns false where the header has none, and until it was read.
 *
 * The field SSL begins with a byte of flags: 1 if the client speaks TLS, 2 if it showed a
 * certificate on this connection, and 4 if it showed one in this session. Four bytes follow, most
 * significant first, which are the result of verification. SSL_CN can be trusted only if that
 * result is 0 and the flag 2 or 4 is set. HAProxy says 0 where it has verified nothing, too.
 */
TLSLIFE_API bool tlslife_conn_proxy_tlv(const tlslife_conn *conn, unsigned type,
    tlslife_bytes *out);

/*
 * Closes an owned descriptor, or ends a memory stream, and detaches the transport. The peer of a
 * memory transport reads the end of the stream. The SSL stays.
 */
TLSLIFE_API void tlslife_conn_close_transport(tlslife_conn *conn);

/*
 * Before TLS, for STARTTLS and its kind: reads or writes bytes of the transport as they are. The
 * calls wait as tlslife_conn_read and tlslife_conn_write do. *out_read is 1 or more with OK. CLOSED
 * means that the stream has ended, which in plain bytes anyone in the network can bring about.
 * *out_written counts also when the call fails. Nothing of this is protected, so what was agreed on
 * in plain bytes must be asked again within TLS. Errors: USAGE (no transport, or the handshake has
 * begun), SYSTEM.
 */
TLSLIFE_API tlslife_status tlslife_conn_plain_read(tlslife_conn *conn, void *buffer,
    size_t buffer_len, size_t *out_read);
TLSLIFE_API tlslife_status tlslife_conn_plain_write(tlslife_conn *conn, const void *bytes,
    size_t bytes_len, size_t *out_written);

/*
 * Before TLS: gives back bytes of the peer that were read too early, by plain_read or by code that
 * had the descriptor before. The next reads, and the handshake, find them first. At most 1 MiB may
 * be there. They are dropped with the transport. Errors: USAGE (as above, or the BIO is the
 * program's), MEMORY.
 */
TLSLIFE_API tlslife_status tlslife_conn_unread(tlslife_conn *conn, const void *bytes,
    size_t bytes_len);

/*
 * ---- [9.3] Connections: handshake. Each call may return OK, ERROR, WANT_READ, WANT_WRITE, a
 * question, WANT_SESSION, CLOSED, TRUNCATED or TIMEOUT. After any WANT_, and after TIMEOUT, make
 * the same call again.
 */

/*
 * Makes a client's handshake. USAGE on a server's connection, without a transport, and without a
 * host name where the policy verifies it. Source: SSL_connect(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_connect(tlslife_conn *conn);

/*
 * Makes a server's handshake. The tickets of TLS 1.3 are sent into an owned socket with MSG_MORE.
 * They travel with what is written next, or when a read finds nothing or tlslife_conn_wait_fd is
 * called, at most 200 ms later. Source: SSL_accept(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_accept(tlslife_conn *conn);

/*
 * Makes the handshake of the connection's role, or what key_update, renegotiate or
 * request_client_certificate began. Source: SSL_do_handshake(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_handshake(tlslife_conn *conn);

/* Whether the handshake is done and every question is answered. */
TLSLIFE_API bool tlslife_conn_handshake_done(const tlslife_conn *conn);

/* ---- [9.4] Connections: questions */

/*
 * What a ClientHello says, lent until the question is answered. Lists are in the client's order, as
 * on the wire. Lengths of lists count their elements.
 */
typedef struct tlslife_hello {
    const char *server_name;   /* SNI, or NULL; a name with a NUL in it counts as none */
    const tlslife_bytes *alpn; /* names of protocols */
    size_t alpn_len;
    const uint16_t *versions;  /* supported_versions, or the one legacy version */
    size_t versions_len;
    const uint16_t *ciphers;   /* cipher suites, GREASE too */
    size_t ciphers_len;
    tlslife_bytes session_id;  /* TLS 1.2's id; in TLS 1.3 it is random and means nothing */
    const tlslife_bytes *psk_identities; /* extension 41: TLS 1.3 tickets or ids */
    size_t psk_identities_len;
    bool has_ticket;           /* a TLS 1.2 ticket (extension 35, not empty) is offered */
} tlslife_hello;

/* The ClientHello that waits, or NULL unless the last status was WANT_HELLO. */
TLSLIFE_API const tlslife_hello *tlslife_conn_hello(const tlslife_conn *conn);

/*
 * Answers WANT_HELLO: the handshake continues under context, with all of its policy. Takes a
 * reference and freezes the context. NULL keeps the context in force. With a context that cannot
 * serve (a client's, or one that cannot be frozen) the handshake fails: the peer gets the alert
 * internal_error, and the call made again says why. USAGE when nothing was asked.
 */
TLSLIFE_API tlslife_status tlslife_conn_answer_hello(tlslife_conn *conn, tlslife_context *context);

/*
 * Answers WANT_CERTIFICATE: presents the certificates, keys and chains of context. NULL keeps those
 * of the connection's context, which on a client may have none.
 */
TLSLIFE_API tlslife_status tlslife_conn_answer_certificate(tlslife_conn *conn,
    tlslife_context *context);

/*
 * How many CA names the peer has sent: a server in its certificate request, a client of TLS 1.3 in
 * its ClientHello (most clients send none). They are known while WANT_CERTIFICATE waits, and when
 * the handshake is done. Source: SSL_get0_peer_CA_list(3).
 */
TLSLIFE_API size_t tlslife_conn_ca_names_len(tlslife_conn *conn);

/* One of these names (RFC 2253), lent until the next call, or NULL past the end. */
TLSLIFE_API const char *tlslife_conn_ca_name(tlslife_conn *conn, size_t index);

/*
 * The identity of a PSK: on a server the one that the client has named while WANT_PSK waits, and
 * the one that was used when the handshake is done. A session of TLS 1.3 that resumes has none.
 * Lent until the next call, or NULL.
 * Source: SSL_get_psk_identity(3).
 */
TLSLIFE_API const char *tlslife_conn_psk_identity(const tlslife_conn *conn);

/*
 * Server: answers WANT_PSK with the key of the identity, 1..256 bytes. The key is copied, and wiped
 * with the connection. NULL means that there is none: the client gets the alert
 * unknown_psk_identity. The question is asked in a first handshake of TLS 1.2 or older, about an
 * identity that the context does not know. In TLS 1.3 the identities are in the ClientHello, so
 * answer WANT_HELLO with a context that has the key. Over a BIO of the program's own nothing is
 * asked, and such an identity is refused.
 */
TLSLIFE_API tlslife_status tlslife_conn_answer_psk(tlslife_conn *conn, const unsigned char *key,
    size_t key_len);

/*
 * Client: answers WANT_PSK, by the PSK that fits the hint (tlslife_conn_psk_identity_hint, or
 * NULL). Sizes are those of tlslife_context_add_psk. Both are copied; the key is wiped with the
 * connection. NULL for both: there is none.
 *
 * A client that may speak TLS 1.3 is asked before its ClientHello, without a hint, for the PSK that
 * the ClientHello offers. If the server then chooses TLS 1.2 and a cipher with a PSK, the client is
 * asked (again), with the server's hint; without a PSK that handshake fails. A TLS 1.2 session that
 * resumes asks nothing. Over a BIO of the program's own it is asked before the ClientHello only.
 * Source: SSL_CTX_set_psk_client_callback(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_answer_psk_client(tlslife_conn *conn, const char *identity,
    const unsigned char *key, size_t key_len);

/*
 * Answers WANT_VERIFY: accepts or refuses the peer.
 *
 * A client is asked in the handshake. When it refuses, libssl chooses the alert that fits the
 * result of the verification, unless tlslife_conn_refuse names one.
 *
 * A server is asked before the end of a full TLS 1.2 handshake, and in TLS 1.3 after it, because
 * libssl suspends verification on the client's side only. Nothing can be read or written until the
 * answer, and TLS 1.3 tickets are held back. A refusal sends the alert that fits the verify result,
 * or that of tlslife_conn_refuse. The session becomes bad, and the connection ends.
 *
 * Both sides are asked about a resumed peer too, when the handshake has ended. Where libssl can no
 * longer send an alert (a resumed or renegotiating TLS 1.2 client, a resumed server), a refusal
 * sends nothing, not even close_notify, so that the peer sees no clean end.
 */
TLSLIFE_API tlslife_status tlslife_conn_answer_verify(tlslife_conn *conn, bool accept);

/*
 * Answers any question: ends the handshake with this alert (RFC 8446 section 6; for example 112,
 * unrecognized_name). The pending call, made again, fails. In a renegotiation, and for a
 * certificate that is asked for after the handshake, libssl sends the alert: a client's refusal of
 * the server gets the nearest that it has for a certificate, or handshake_failure, and a
 * certificate that is not presented internal_error.
 */
TLSLIFE_API tlslife_status tlslife_conn_refuse(tlslife_conn *conn, int alert);

/* ---- [9.5] Connections: lookup of a session */

/*
 * What the handshake has asked the cache's store for, when a call returned WANT_SESSION. A blocking
 * connection waits for the answer by itself, within its deadline, except for a program's store.
 * Otherwise watch tlslife_store_fd and make the call again, or answer for a program's store.
 */
typedef struct tlslife_lookup {
    tlslife_store *store; /* lent */
    tlslife_bytes key;    /* 32 bytes */
    bool take;            /* remove the session as it is given: it must never be used twice */
} tlslife_lookup;

/* The pending lookup, lent until it is answered. Returns false when there is none. */
TLSLIFE_API bool tlslife_conn_lookup(const tlslife_conn *conn, tlslife_lookup *out);

/*
 * Whether the store has answered, so that the call that returned WANT_SESSION would not return it
 * again for this lookup. The call moves no bytes. tlslife_store_pump, and any call that waits for
 * the store, receives the answers of all lookups; the others that wait are asked by this function,
 * and their calls made again.
 */
TLSLIFE_API bool tlslife_conn_lookup_answered(const tlslife_conn *conn);

/*
 * Answers for a program's store: the sealed bytes that were put under the key, or NULL and 0 when
 * there are none. Bytes that are not what was put are a miss. USAGE when nothing was asked.
 */
TLSLIFE_API tlslife_status tlslife_conn_answer_session(tlslife_conn *conn,
    const unsigned char *sealed, size_t sealed_len);

/* Answers that the program's store failed: there is no session, and a store error is counted. */
TLSLIFE_API tlslife_status tlslife_conn_fail_session(tlslife_conn *conn);

/* Whether the handshake resumed a session, and if not, why not. */
typedef enum tlslife_outcome {
    TLSLIFE_OUTCOME_NONE = 0, /* the handshake is not done */
    TLSLIFE_OUTCOME_RESUMED,
    /*
     * server: the client offered none; client: no resumable one was set, and there is no cache, or
     * its cipher is not one that is offered
     */
    TLSLIFE_OUTCOME_NOT_OFFERED,
    TLSLIFE_OUTCOME_NOT_CACHED, /* server: cache and store have none; client: none for this peer */
    TLSLIFE_OUTCOME_EXPIRED,    /* there was one, too old to be offered or taken */
    TLSLIFE_OUTCOME_NOT_CLOSED, /* there was one, but its connection was not closed cleanly */
    TLSLIFE_OUTCOME_SPENT, /* client: other connections have taken all TLS 1.3 sessions */
    /* client: the server did not take it; server: not taken though good (for example its cipher) */
    TLSLIFE_OUTCOME_NOT_ACCEPTED,
    TLSLIFE_OUTCOME_OTHER_VERSION, /* it was made in another version than this handshake's */
    TLSLIFE_OUTCOME_OTHER_CONTEXT, /* server: it was made under another policy or server name */
    TLSLIFE_OUTCOME_TICKET,        /* server: the ticket did not open */
    TLSLIFE_OUTCOME_STORE          /* the store failed or was late */
} tlslife_outcome;
TLSLIFE_API tlslife_outcome tlslife_conn_resumption(const tlslife_conn *conn);

/*
 * The word for an outcome: "resumed", "not_offered", "not_cached", "expired", "not_closed",
 * "spent", "not_accepted", "other_version", "other_context", "ticket" or "store"; NULL for NONE.
 */
TLSLIFE_API const char *tlslife_outcome_name(tlslife_outcome outcome);

/*
 * Server: sets bytes that travel in the tickets of this connection from now on, sealed with the
 * ticket, at most 1024. The connection that resumes such a ticket gets them.
 * Source: SSL_SESSION_set1_ticket_appdata(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_set_ticket_data(tlslife_conn *conn,
    const unsigned char *data, size_t data_len);

/*
 * Server: the bytes in the session that this connection resumed, lent. Returns false when it
 * resumed none, or one without such bytes.
 */
TLSLIFE_API bool tlslife_conn_ticket_data(const tlslife_conn *conn, tlslife_bytes *out);

/* ---- [9.6] Connections: data. The verbs fail with USAGE before the handshake is done. */

/*
 * Reads 1..buffer_len bytes, as they come. CLOSED and TRUNCATED are the two ends of the stream.
 * Source: SSL_read_ex(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_read(tlslife_conn *conn, void *buffer, size_t buffer_len,
    size_t *out_read);

/* Does the same and leaves the bytes to be read again. Source: SSL_peek_ex(3). */
TLSLIFE_API tlslife_status tlslife_conn_peek(tlslife_conn *conn, void *buffer, size_t buffer_len,
    size_t *out_read);

/*
 * How many decrypted bytes a read has at once. 0 while a server asks about a certificate that came
 * after the handshake. Source: SSL_pending(3).
 */
TLSLIFE_API size_t tlslife_conn_pending(const tlslife_conn *conn);

/*
 * Whether there are bytes of any kind inside, decrypted or not. false while a server asks in the
 * same way. Source: SSL_has_pending(3).
 */
TLSLIFE_API bool tlslife_conn_has_pending(const tlslife_conn *conn);

/*
 * Whether all that had come was read, and the descriptor gave less than was asked for. A read would
 * most likely find nothing, so that a loop that watches as poll(2) does may wait before it reads.
 * false where that is not known.
 */
TLSLIFE_API bool tlslife_conn_drained(const tlslife_conn *conn);

/*
 * Writes all bytes, in records of 16 KiB. *out_written is always set to how many were sent, also
 * with a status other than OK. Continue with the same bytes from there.
 * Source: SSL_write_ex(3), SSL_MODE_ENABLE_PARTIAL_WRITE.
 */
TLSLIFE_API tlslife_status tlslife_conn_write(tlslife_conn *conn, const void *bytes,
    size_t bytes_len, size_t *out_written);

/*
 * Does the same for pieces, which are coalesced into full records. *out_written counts bytes over
 * all pieces; pieces_len is the number of pieces.
 */
TLSLIFE_API tlslife_status tlslife_conn_writev(tlslife_conn *conn, const tlslife_bytes *pieces,
    size_t pieces_len, size_t *out_written);

/*
 * true: writes are held back until there are 16 KiB, or flush is called. false: they no longer are;
 * what is held back stays until flush or the next write.
 */
TLSLIFE_API tlslife_status tlslife_conn_cork(tlslife_conn *conn, bool cork);
TLSLIFE_API tlslife_status tlslife_conn_flush(tlslife_conn *conn);

/* ---- [9.7] Connections: early data, which can be replayed (RFC 8446 section 2.3) */

/*
 * Writes early data, 1 byte or more. A client calls it before connect, with a session that allows
 * it, which is its cache's if none was set. It writes as much as that allows. OK with 0 bytes means
 * that there is none, or that it is too old, and that connect is next. A server calls it between
 * read_early and accept, if its policy verifies no client, because the client has proved nothing
 * yet. A call that waits is made again, with the same bytes, before any other call, because libssl
 * holds its record. Source: SSL_write_early_data(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_write_early(tlslife_conn *conn, const void *bytes,
    size_t bytes_len, size_t *out_written);

/*
 * Server, before accept: reads early data. OK with *out_read 0 means that there is no more, and
 * accept is next. The call may return the handshake's questions. Source: SSL_read_early_data(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_read_early(tlslife_conn *conn, void *buffer,
    size_t buffer_len, size_t *out_read);

/*
 * Server: makes the handshake as tlslife_conn_accept does, but returns OK as soon as early data
 * have come. Then tlslife_conn_read gives early data first, and makes the rest of the handshake
 * before it gives what follows. tlslife_conn_write sends at once, before the client's Finished;
 * where the policy verifies clients, or the early data are over, it makes the handshake first. So
 * do tlslife_conn_handshake, which keeps early data to be read, tlslife_conn_shutdown and _close.
 * Early data are rejected where the context asks WANT_VERIFY, since the program is asked before it
 * reads. Source: SSL_read_early_data(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_accept_early(tlslife_conn *conn);

/*
 * Whether the bytes that were read since accept_early may be a replay: they were early data, and
 * the handshake is not done. A server should do nothing for them that must not be done twice; it
 * may refuse (HTTP: 425, RFC 8470), or call tlslife_conn_handshake, after which they are no replay.
 */
TLSLIFE_API bool tlslife_conn_early(const tlslife_conn *conn);

typedef enum tlslife_early {
    TLSLIFE_EARLY_NOT_SENT = 0,
    TLSLIFE_EARLY_REJECTED,
    TLSLIFE_EARLY_ACCEPTED
} tlslife_early;

/* Source: SSL_get_early_data_status(3). */
TLSLIFE_API tlslife_early tlslife_conn_early_data_status(const tlslife_conn *conn);

/* ---- [9.8] Connections: the end */

/* The bits of SSL_SENT_SHUTDOWN and SSL_RECEIVED_SHUTDOWN. */
enum { TLSLIFE_SENT_SHUTDOWN = 1, TLSLIFE_RECEIVED_SHUTDOWN = 2 };

/*
 * Calls SSL_shutdown(3) once. Returns SENT (its 0: ours was sent, the peer's has not come), OK (its
 * 1: both), WANT_READ, WANT_WRITE, a question, TIMEOUT, CLOSED or ERROR.
 *
 * Bytes held back by cork are flushed first. A message after the handshake that is half read or
 * half written (a ticket, a key update, a renegotiation) is finished first, where libssl would
 * refuse. Tickets that come while the call waits are kept. CLOSED means that the peer's
 * close_notify came in the middle of that, and ours can no longer be sent.
 *
 * USAGE before the handshake is done and while a write waits. As in libssl, the second call fails
 * if the peer has sent data that is not read: read to the end first, or use tlslife_conn_close.
 */
TLSLIFE_API tlslife_status tlslife_conn_shutdown(tlslife_conn *conn);

/*
 * Ends connection and transport. Sends close_notify once. If timeout_ms is not 0, reads and drops
 * data until the peer's close_notify, for at most that time (-1: without limit). Then detaches the
 * transport, whatever happened. The exceptions are a question, and WANT_READ or WANT_WRITE
 * (non-blocking, or in memory, with a timeout_ms that is not 0): the transport stays, and the call
 * is made again with the time that is left, and at last with 0, which never waits.
 *
 * The result, of this call and of later ones, says what passed, whatever the shutdown mode says:
 *
 *   OK         both close_notify were sent
 *   SENT       ours was
 *   UNSENT     ours was not: the handshake is not done, the transport was detached before, the
 *              shutdown is quiet, or the peer's came in the middle of a renegotiation
 *   TIMEOUT    not both in that time: the peer's did not come, or ours could not be sent (there
 *              is no room, or a write waits)
 *   TRUNCATED  \ how the connection ended before, or ends now
 *   ERROR      /
 *
 * A non-blocking call reads at most 256 KiB, so that other connections have their turn;
 * tlslife_conn_wait_fd then says 0 ms.
 */
TLSLIFE_API tlslife_status tlslife_conn_close(tlslife_conn *conn, int timeout_ms);

/* Sets the shutdown mode, 0..3, else USAGE. Source: SSL_set_shutdown(3). */
TLSLIFE_API tlslife_status tlslife_conn_set_shutdown(tlslife_conn *conn, int mode);

/* Source: SSL_get_shutdown(3). */
TLSLIFE_API int tlslife_conn_get_shutdown(const tlslife_conn *conn);

/* Source: SSL_set_quiet_shutdown(3). */
TLSLIFE_API void tlslife_conn_set_quiet_shutdown(tlslife_conn *conn, bool quiet);
TLSLIFE_API bool tlslife_conn_quiet_shutdown(const tlslife_conn *conn);

/* ---- [9.9] Connections: its session */

/*
 * Offers this session, or none (NULL). Takes a reference. The session that was set before becomes
 * bad if it is in use by an open connection. Fails with USAGE once the handshake has begun, on a
 * server, where resumption is OFF, and for a session of another context (import its bytes). A
 * session that was made for another host name fails with USAGE at connect.
 * NULL is lawful later, too, also while a question waits. As libssl does, it takes the session away
 * and ends the connection: every later call but clear and free fails (ERR_TLS), and nothing is
 * known of the peer any more. Source: SSL_set_session(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_set_session(tlslife_conn *conn, tlslife_session *session);

/* The session in use, lent, or NULL. Source: SSL_get0_session(3). */
TLSLIFE_API tlslife_session *tlslife_conn_get0_session(const tlslife_conn *conn);

/* The same, one reference more. Source: SSL_get1_session(3). */
TLSLIFE_API tlslife_session *tlslife_conn_get1_session(tlslife_conn *conn);

/*
 * Client: the oldest session that has arrived and was not taken, one for each TLS 1.3 ticket, or
 * NULL. The caller frees it. At most 16 wait; beyond, the oldest are dropped.
 */
TLSLIFE_API tlslife_session *tlslife_conn_take_session(tlslife_conn *conn);

/*
 * Also true where TLS 1.3 has used a PSK, for which tlslife_conn_resumption is NOT_OFFERED.
 * Source: SSL_session_reused(3).
 */
TLSLIFE_API bool tlslife_conn_session_reused(const tlslife_conn *conn);

/*
 * Server, TLS 1.3: sends one more ticket with the next write. USAGE after our close_notify.
 * Source: SSL_new_session_ticket(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_new_session_ticket(tlslife_conn *conn);

/* ---- [9.10] Connections: after the handshake */

/*
 * TLS 1.3: sends new keys with the next write or handshake call, and asks for the peer's if
 * request_peer is true. USAGE in TLS 1.2, and after our close_notify. Source: SSL_key_update(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_key_update(tlslife_conn *conn, bool request_peer);

/*
 * TLS 1.2 and below: begins a renegotiation; then call handshake. USAGE in TLS 1.3, and after our
 * close_notify; CLOSED after the peer's, since libssl would forget which of them passed.
 * Source: SSL_renegotiate(3), SSL_renegotiate_abbreviated(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_renegotiate(tlslife_conn *conn, bool abbreviated);
TLSLIFE_API bool tlslife_conn_renegotiate_pending(const tlslife_conn *conn);

/*
 * Server, TLS 1.3: asks for the client's certificate now; then call handshake, and read. Where the
 * context asks about peers, the call that finds the certificate returns WANT_VERIFY. What the
 * client sent after the certificate can be read when that is answered. USAGE after our
 * close_notify. Source: SSL_verify_client_post_handshake(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_request_client_certificate(tlslife_conn *conn);

/*
 * ---- [9.11] Connections: what the handshake found. The getters return NULL, 0 or false before the
 * handshake is done and during a renegotiation, and never crash. What was found stays known when
 * the connection fails or is truncated, until clear or set_session. A string is lent while conn
 * lives, and until it is cleared or renegotiates.
 */

typedef enum tlslife_state {
    TLSLIFE_STATE_BEFORE = 0,
    TLSLIFE_STATE_HANDSHAKE,
    TLSLIFE_STATE_OPEN,
    TLSLIFE_STATE_FAILED
} tlslife_state;

/* The state. Whether close_notify was sent or received is tlslife_conn_get_shutdown's. */
TLSLIFE_API tlslife_state tlslife_conn_state(const tlslife_conn *conn);

/* The word for the state: "before", "handshake", "open" or "failed". */
TLSLIFE_API const char *tlslife_conn_state_name(const tlslife_conn *conn);

/* Source: SSL_state_string_long(3). */
TLSLIFE_API const char *tlslife_conn_state_text(const tlslife_conn *conn);
TLSLIFE_API bool tlslife_conn_is_server(const tlslife_conn *conn);

/* "TLSv1.3". Source: SSL_get_version(3). */
TLSLIFE_API const char *tlslife_conn_version(const tlslife_conn *conn);

/* OpenSSL's name of the cipher suite. Source: SSL_get_current_cipher(3). */
TLSLIFE_API const char *tlslife_conn_cipher(const tlslife_conn *conn);

/*
 * OpenSSL's line about the cipher suite ("ECDHE-RSA-AES256-GCM-SHA384 TLSv1.2 Kx=ECDH Au=RSA
 * Enc=AESGCM(256) Mac=AEAD"), written to out if it fits with its NUL. Returns its length; 0: not
 * known yet. Source: SSL_CIPHER_description(3).
 */
TLSLIFE_API size_t tlslife_conn_cipher_description(const tlslife_conn *conn, char *out,
    size_t out_len);
/*
 * The secret bits of the cipher suite, and in *out_algorithm_bits (which may be NULL) those of its
 * algorithm. Both are 0 until the cipher suite is known. Source: SSL_CIPHER_get_bits(3).
 */
TLSLIFE_API int tlslife_conn_cipher_bits(const tlslife_conn *conn, int *out_algorithm_bits);

/* "x25519", or NULL where no group was used. */
TLSLIFE_API const char *tlslife_conn_group(const tlslife_conn *conn);

/*
 * Write the signature algorithm by which we, or the peer, proved possession of a certificate's key
 * in the last handshake that was not resumed, in the form that
 * tlslife_context_set_signature_algorithms takes: "ECDSA+SHA256", "RSA-PSS+SHA256", "ed25519". 64
 * bytes are enough. Return false where nothing was signed: in a resumed handshake, with a PSK, by a
 * client without a certificate, by a server with RSA key exchange.
 * Source: SSL_get_peer_signature_type_nid(3), SSL_get_peer_signature_nid(3).
 */
TLSLIFE_API bool tlslife_conn_signature_algorithm(const tlslife_conn *conn, char *out,
    size_t out_len);
TLSLIFE_API bool tlslife_conn_peer_signature_algorithm(const tlslife_conn *conn, char *out,
    size_t out_len);

/*
 * OpenSSL's names of the cipher suites that the client offers, in its order, joined by ":". On a
 * client they are known in every state; on a server when the handshake is done and did not resume a
 * TLS 1.2 session, without those that OpenSSL does not know. NULL when they are not known, or
 * memory is short. The caller frees it with tlslife_string_free.
 * Source: SSL_get_client_ciphers(3), SSL_get1_supported_ciphers(3).
 */
TLSLIFE_API char *tlslife_conn_offered_ciphers(const tlslife_conn *conn);

/*
 * Whether the keys depend on the whole handshake: by the extended master secret (RFC 7627), or as
 * they always do in TLS 1.3, where OpenSSL says 0. Source: SSL_get_extms_support(3).
 */
TLSLIFE_API bool tlslife_conn_extended_master_secret(const tlslife_conn *conn);

/*
 * Whether a HelloRetryRequest was sent or received (RFC 8446 section 4.1.4), which costs a round
 * trip. false on a connection of tlslife_conn_from_ssl.
 */
TLSLIFE_API bool tlslife_conn_hello_retry(const tlslife_conn *conn);

/*
 * Whether the peer knows secure renegotiation (RFC 5746). TLS 1.3 has none: false.
 * Source: SSL_get_secure_renegotiation_support(3).
 */
TLSLIFE_API bool tlslife_conn_secure_renegotiation(const tlslife_conn *conn);

/*
 * Returns how many renegotiations are done, whichever side began them. SSL_num_renegotiations
 * counts only those that this side began.
 */
TLSLIFE_API unsigned tlslife_conn_num_renegotiations(const tlslife_conn *conn);

/* The protocol that was agreed on, lent. Returns false when there is none. */
TLSLIFE_API bool tlslife_conn_alpn(const tlslife_conn *conn, tlslife_bytes *out);

/*
 * The hint by which a server of TLS 1.2 says which PSK it expects, lent, or NULL. A client has it
 * while WANT_PSK waits, too.
 * Source: SSL_get_psk_identity_hint(3).
 */
TLSLIFE_API const char *tlslife_conn_psk_identity_hint(const tlslife_conn *conn);

/*
 * The server name (SNI), on both sides, from the ClientHello on. On a server it is the name in the
 * last ClientHello of this connection, also where the resumed session was made with another.
 * Source: SSL_get_servername(3).
 */
TLSLIFE_API const char *tlslife_conn_server_name(const tlslife_conn *conn);

/*
 * X509_V_OK or X509_V_ERR_*; -1 until the handshake is done or WANT_VERIFY came.
 * Source: SSL_get_verify_result(3).
 */
TLSLIFE_API long tlslife_conn_verify_result(const tlslife_conn *conn);

/*
 * How many certificates the peer's chain has, as it was sent, leaf first, on a server too. They are
 * known from WANT_VERIFY on.
 */
TLSLIFE_API size_t tlslife_conn_peer_certificates_len(const tlslife_conn *conn);

/* One of these. The caller clears *out. Returns false past the end. */
TLSLIFE_API bool tlslife_conn_peer_certificate(const tlslife_conn *conn, size_t index,
    tlslife_certificate *out);

/*
 * Copies a Finished message, ours or the peer's, at most out_len bytes. Returns its length, 0 if
 * there is none. Source: SSL_get_finished.
 */
TLSLIFE_API size_t tlslife_conn_finished(const tlslife_conn *conn, unsigned char *out,
    size_t out_len);
TLSLIFE_API size_t tlslife_conn_peer_finished(const tlslife_conn *conn, unsigned char *out,
    size_t out_len);

/*
 * Writes out_len bytes of exported keying material (RFC 5705, RFC 8446 section 7.5). context NULL
 * means none, which in TLS 1.2 differs from an empty one.
 * Source: SSL_export_keying_material(3).
 */
TLSLIFE_API tlslife_status tlslife_conn_export_keying_material(tlslife_conn *conn,
    unsigned char *out, size_t out_len, const char *label, size_t label_len,
    const unsigned char *context, size_t context_len);

/*
 * The certificates that we present, leaf first, then the chain as it is sent. Copies one to *out,
 * which the caller clears; false past the end, before the handshake is done, and where memory is
 * short. Source: SSL_get_certificate(3), SSL_get0_chain_certs(3).
 */
TLSLIFE_API bool tlslife_conn_local_certificate(const tlslife_conn *conn, size_t index,
    tlslife_certificate *out);
TLSLIFE_API size_t tlslife_conn_local_certificates_len(const tlslife_conn *conn);

/* One thing that a verification refused. */
typedef struct tlslife_verify_error {
    int depth;   /* 0 is the peer's own certificate */
    long result; /* X509_V_ERR_* */
} tlslife_verify_error;

/*
 * Where TLSLIFE_ASK_VERIFY_ALL is asked: all that the built-in verification of this handshake
 * refused, at most 32, the first one first. Writes at most out_len, and returns how many there are.
 * None in a resumed handshake. Source: X509_STORE_CTX_set_verify_cb(3).
 */
TLSLIFE_API size_t tlslife_conn_verify_errors(const tlslife_conn *conn, tlslife_verify_error *out,
    size_t out_len);

/* Client: the stapled OCSP response, DER, lent. Returns false when there is none. */
TLSLIFE_API bool tlslife_conn_ocsp_response(const tlslife_conn *conn, tlslife_bytes *out);

/*
 * The oldest key-log line that was not taken, without newline, or NULL. The caller frees it with
 * tlslife_string_free.
 */
TLSLIFE_API char *tlslife_conn_take_keylog(tlslife_conn *conn);

/* Wipes and frees a string that a call gave. */
TLSLIFE_API void tlslife_string_free(char *string);

/* -------------------------------------------------------------------------------- [10] Sessions */

TLSLIFE_API tlslife_session *tlslife_session_up_ref(tlslife_session *session);
TLSLIFE_API void tlslife_session_free(tlslife_session *session);

/* A new session with the same content, or NULL when memory is short. Source: SSL_SESSION_dup(3). */
TLSLIFE_API tlslife_session *tlslife_session_dup(const tlslife_session *session);

/* The session id, lent. Source: SSL_SESSION_get_id(3). */
TLSLIFE_API tlslife_bytes tlslife_session_id(const tlslife_session *session);

/* When the session was made, seconds since 1970. Source: SSL_SESSION_get_time(3). */
TLSLIFE_API int64_t tlslife_session_time(const tlslife_session *session);

/* How long it lives from that time on, seconds. Source: SSL_SESSION_get_timeout(3). */
TLSLIFE_API long tlslife_session_timeout(const tlslife_session *session);

/*
 * Changes the timeout, 0..604800 seconds, of a session that no other thread uses. Returns false
 * when it is out of range. Source: SSL_SESSION_set_timeout(3).
 */
TLSLIFE_API bool tlslife_session_set_timeout(tlslife_session *session, long timeout_seconds);

/* The ticket, lent; its len is 0 when there is none. */
TLSLIFE_API tlslife_bytes tlslife_session_ticket(const tlslife_session *session);

/* The server's hint for how long the ticket is good, seconds. */
TLSLIFE_API unsigned long tlslife_session_ticket_lifetime(const tlslife_session *session);

/* "TLSv1.3". Source: SSL_SESSION_get_protocol_version(3). */
TLSLIFE_API const char *tlslife_session_protocol(const tlslife_session *session);

/* OpenSSL's name of the cipher suite, or NULL when it is not known. */
TLSLIFE_API const char *tlslife_session_cipher(const tlslife_session *session);

/* The server name (SNI), or NULL. Source: SSL_SESSION_get0_hostname(3). */
TLSLIFE_API const char *tlslife_session_hostname(const tlslife_session *session);

/* The protocol agreed on by ALPN, lent; its len is 0 when there is none. */
TLSLIFE_API tlslife_bytes tlslife_session_alpn(const tlslife_session *session);

/* How many bytes of early data the session allows. Source: SSL_SESSION_get_max_early_data(3). */
TLSLIFE_API uint32_t tlslife_session_max_early_data(const tlslife_session *session);

/*
 * Whether libssl would offer the session. Whether it has expired is not considered.
 * Source: SSL_SESSION_is_resumable(3).
 */
TLSLIFE_API bool tlslife_session_is_resumable(const tlslife_session *session);

/* The peer's certificate. The caller clears *out. Returns false when there is none. */
TLSLIFE_API bool tlslife_session_peer_certificate(const tlslife_session *session,
    tlslife_certificate *out);

/* Whether the two are one object, or have equal DER, which is compared in constant time. */
TLSLIFE_API bool tlslife_session_equal(const tlslife_session *a, const tlslife_session *b);

/*
 * Exports the session's bytes, which hold its secret. The caller frees *out with
 * tlslife_session_bytes_free. Errors: MEMORY.
 * Source: i2d_SSL_SESSION(3), PEM_write_bio_SSL_SESSION.
 */
TLSLIFE_API tlslife_status tlslife_session_export_der(const tlslife_session *session,
    unsigned char **out, size_t *out_len, tlslife_error *err);
TLSLIFE_API tlslife_status tlslife_session_export_pem(const tlslife_session *session,
    unsigned char **out, size_t *out_len, tlslife_error *err);

/* Wipes and frees the bytes that an export gave. */
TLSLIFE_API void tlslife_session_bytes_free(unsigned char *bytes, size_t bytes_len);

/* ------------------------------------------------------------------------------- [11] Listeners */

/*
 * Splits an address: "host", "host:service", ":service", "[::1]", "[::1]:service" or "::1".
 * out_host gets the host without brackets, or "" for every address; 256 bytes are enough. The whole
 * name of a Unix socket ("unix:/path", "unix:@name") is a host. out_service gets the service, or ""
 * if none is named; 64 bytes are enough. Only the syntax is checked. Errors: USAGE.
 */
TLSLIFE_API tlslife_status tlslife_split_address(const char *text, char *out_host, size_t host_len,
    char *out_service, size_t service_len, tlslife_error *err);

/*
 * A listening TCP socket. host NULL means every address (IPv6 with IPv4 where there is IPv6). A
 * name with several addresses gives a listener with a socket for each, on the same port; an address
 * that this machine does not have is left out if there is another. If one of the others fails, none
 * stays open. service "0" picks a free port, and NULL means that host names it, as in ":443".
 * backlog 0 means 511. With reuse_port several processes share the port (SO_REUSEPORT). The calling
 * thread resolves a name, and waits for that. A host of "unix:/path" or "unix:@name" means
 * tlslife_listen_unix with the mode -1. Errors: USAGE (what can be no host or service), RESOLVE,
 * SYSTEM.
 */
TLSLIFE_API tlslife_listener *tlslife_listen(const char *host, const char *service, int backlog,
    bool reuse_port, tlslife_error *err);

/*
 * A listening Unix socket: "unix:/path", or "unix:@name" for an abstract name (unix(7)). The file
 * gets the mode, 0 to 0777, or for -1 what umask(2) leaves; it never has more bits than that.
 * A socket at the path on which no process listens any more is replaced. The file is removed when
 * the listener is freed, by the process that has made it and if the path still leads to it. Errors:
 * USAGE (no such name, a path of more than 107 bytes, a mode for an abstract name), SYSTEM
 * (EADDRINUSE: another process listens there, or a file is there that is no socket).
 */
TLSLIFE_API tlslife_listener *tlslife_listen_unix(const char *name, int mode, int backlog,
    tlslife_error *err);

/*
 * A listener of a listening TCP or Unix socket that the program was given, by its parent or by
 * systemd. The descriptor becomes the listener's, unless the call fails. Errors: USAGE (not a
 * listening stream socket), MEMORY.
 */
TLSLIFE_API tlslife_listener *tlslife_listen_fd(int fd, tlslife_error *err);

/*
 * Lets listener accept from the sockets of other, too, and frees other, unless the call fails. The
 * sockets take turns. Errors: USAGE (other is listener), MEMORY, SYSTEM.
 */
TLSLIFE_API tlslife_status tlslife_listener_add(tlslife_listener *listener,
    tlslife_listener *other, tlslife_error *err);

/*
 * Takes the last of several sockets out of the listener, for a program that hands its sockets to
 * others. *out is a listener of that socket, which the caller frees and which expects no PROXY
 * header. OK with *out NULL means that the listener has only one socket. Errors: MEMORY, SYSTEM.
 */
TLSLIFE_API tlslife_status tlslife_listener_split(tlslife_listener *listener,
    tlslife_listener **out, tlslife_error *err);

/* How many sockets it has. */
TLSLIFE_API size_t tlslife_listener_sockets_len(const tlslife_listener *listener);

/*
 * Writes the address of one of them ("127.0.0.1:8443", "unix:/path"; 128 bytes are enough). Returns
 * false past the end.
 */
TLSLIFE_API bool tlslife_listener_address(const tlslife_listener *listener, size_t index,
    char *out, size_t out_len);

/* Versions of the PROXY protocol. */
enum { TLSLIFE_PROXY_V1 = 1, TLSLIFE_PROXY_V2 = 2 };

/*
 * From now on each connection that the listener accepts begins with a header of the PROXY protocol,
 * by which a proxy such as HAProxy says who its client is. versions is TLSLIFE_PROXY_V1, _V2, both,
 * or 0 for none. sources are the proxies: addresses ("10.0.0.1", "::1"), networks ("10.0.0.0/8") or
 * "unix" for every peer over a Unix socket. A connection from any other address is refused before a
 * byte is read.
 *
 * The first call that moves bytes reads the header, within its deadline. A header that is missing,
 * cut, wrong or longer than 2048 bytes ends that connection (ERR_TLS), and so does one whose fields
 * are cut or repeated, or whose checksum is wrong. Where the proxy speaks for itself (UNKNOWN,
 * LOCAL, or for a Unix socket) the peer is the proxy.
 *
 * No other thread may accept meanwhile. Errors: USAGE (no sources, or a text that is none), MEMORY.
 * Source: https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt
 */
TLSLIFE_API tlslife_status tlslife_listener_set_proxy_protocol(tlslife_listener *listener,
    unsigned versions, const char *const *sources, size_t sources_len, tlslife_error *err);

/* Closes its sockets and frees the listener. */
TLSLIFE_API void tlslife_listener_free(tlslife_listener *listener);

/*
 * What an event loop watches for reading: the socket, or for several a descriptor that tells of all
 * and can do nothing else.
 */
TLSLIFE_API int tlslife_listener_fd(const tlslife_listener *listener);

/* The port of the first socket, or -1 for a Unix socket. */
TLSLIFE_API int tlslife_listener_port(const tlslife_listener *listener);

/*
 * Accepts one connection, as a connection of context without a handshake. The socket has
 * TCP_NODELAY and close-on-exec. timeout_ms is as in poll(2): -1 waits, 0 returns WANT_READ at
 * once. The caller frees *out_conn. Returns OK, WANT_READ, TIMEOUT or ERROR (SYSTEM: EMFILE and the
 * like; the listener stays usable).
 */
TLSLIFE_API tlslife_status tlslife_listener_accept(tlslife_listener *listener,
    tlslife_context *context, int timeout_ms, tlslife_conn **out_conn, tlslife_error *err);

/* ---------------------------------------------------------------------------------- [12] Traces */

typedef enum tlslife_trace_kind {
    /*
     * name is "new", "dup", "up_ref", "free" (value: references that are left), "clear", "trace" (a
     * connection that is older than its trace), or "transport" (data: the peer's address, or
     * "memory")
     */
    TLSLIFE_TRACE_LIFE = 0,
    /*
     * A call has returned. name is its own, "connect"; code the tlslife_status; since_ns when it
     * began; value how many bytes it has moved.
     */
    TLSLIFE_TRACE_CALL,
    /*
     * A blocking call waits (code 0), or has waited (code 1, since_ns says since when), for name:
     * "read" or "write" (the transport), "store" or "dial".
     */
    TLSLIFE_TRACE_WAIT,
    TLSLIFE_TRACE_STATE, /* name is SSL_state_string_long(3) */
    /*
     * A handshake message was sent, or has come. code is its type, value its length in bytes, with
     * the header of 4. data are the message, cut off where nothing of interest follows: a
     * ClientHello, a ServerHello, EncryptedExtensions and a CertificateRequest are whole up to 8
     * KiB. Of a NewSessionTicket there are the type, the length and the lifetime, and value is the
     * tag of the ticket.
     */
    TLSLIFE_TRACE_MESSAGE,
    /* The header of a record. code is its type, or in TLS 1.3 the one inside; value its length. */
    TLSLIFE_TRACE_RECORD,
    TLSLIFE_TRACE_ALERT, /* code is the alert, value its level: 1 is a warning, 2 fatal */
    /*
     * libssl's handshake is done. name is the version, code the tlslife_outcome, data the cipher
     * suite and, after a space, the group.
     */
    TLSLIFE_TRACE_HANDSHAKE,
    /*
     * What becomes of a session. value is the tag of its ticket or id. name is "made" (by this
     * handshake, or with a ticket), "stored", "stored outside", "not stored", "offered", "found",
     * "found outside", "not found", "ticket opened", "ticket not opened" (code: the
     * tlslife_outcome), "taken", "bad", or "evicted": this connection's session has made another
     * one leave the cache's memory (code: EXPIRED, if that was too old).
     */
    TLSLIFE_TRACE_SESSION,
    TLSLIFE_TRACE_BYTES, /* for secrets: data are bytes of the transport */
    TLSLIFE_TRACE_KEYLOG /* for secrets: data are a line of the key log, without newline */
} tlslife_trace_kind;

enum { /* of a session that is in use */
    TLSLIFE_SESSION_NONE = 0,
    TLSLIFE_SESSION_GOOD, /* resumable */
    TLSLIFE_SESSION_BAD,  /* not resumable any more */
    TLSLIFE_SESSION_NEW   /* not resumable yet: it has neither id nor ticket */
};

typedef struct tlslife_trace_event {
    tlslife_trace_kind kind;
    int code;
    uint64_t at_ns;    /* since the trace was made, on the monotonic clock */
    uint64_t since_ns; /* of a call or a wait that is over: when it began; else 0 */
    uint64_t conn;     /* the connection's number in this trace, from 1 */
    uint64_t value;
    uint64_t lost; /* events that were lost between the one taken before and this one */
    int64_t age_s; /* how old a session is, in seconds; -1: there is none */
    bool server;   /* a server's connection */
    bool sent;     /* a message, a record, an alert or bytes were sent; else they came */
    uint8_t shutdown; /* SSL_get_shutdown(3) at that time */
    uint8_t session; /* TLSLIFE_SESSION_: the state of the session in use */
    const char *name; /* lives as long as the process; "" where the kind has none */
    const unsigned char *data;
    size_t data_len;
} tlslife_trace_event;

/*
 * A trace whose events take at most bytes_max bytes of memory, 4096 to 1 GiB; beyond, the oldest
 * are lost. With secrets it records the bytes of the transports and the key log, too, which decrypt
 * the traffic. Any thread may call any of these functions at any time. Errors: USAGE, MEMORY.
 */
TLSLIFE_API tlslife_trace *tlslife_trace_new(size_t bytes_max, bool secrets, tlslife_error *err);
TLSLIFE_API tlslife_trace *tlslife_trace_up_ref(tlslife_trace *trace);
TLSLIFE_API void tlslife_trace_free(tlslife_trace *trace);

/* Takes the oldest event, or NULL. The caller frees it. Its data are wiped then. */
TLSLIFE_API tlslife_trace_event *tlslife_trace_next(tlslife_trace *trace);
TLSLIFE_API void tlslife_trace_event_free(tlslife_trace_event *event);

/* How many events were lost since the trace was made. */
TLSLIFE_API uint64_t tlslife_trace_lost(tlslife_trace *trace);

/* When the trace was made, in nanoseconds since 1970: what at_ns counts from. */
TLSLIFE_API int64_t tlslife_trace_epoch_ns(const tlslife_trace *trace);

/* The word for a kind: "life", "call" and so on; NULL for no kind. */
TLSLIFE_API const char *tlslife_trace_kind_name(tlslife_trace_kind kind);

/* --------------------------------------------------------------------------------- [13] Metrics */

/*
 * The library always counts what the connections of this process do. That costs some 200 ns a
 * connection, and nothing for a byte that is read or written. docs/metrics.md lists the metrics.
 * Any thread may call any of these functions at any time.
 */
typedef enum tlslife_metrics_format {
    /* OpenMetrics 1.0: application/openmetrics-text; version=1.0.0; charset=utf-8 */
    TLSLIFE_METRICS_OPENMETRICS = 0,
    TLSLIFE_METRICS_PROMETHEUS /* Prometheus' own: text/plain; version=0.0.4; charset=utf-8 */
} tlslife_metrics_format;

/*
 * All metrics of this process, and of those with which it shares its counters, as text. context,
 * which may be NULL, is the one whose certificates are reported, with those of the contexts to
 * which its server names lead, if it is frozen. The caller frees the text with tlslife_string_free.
 * NULL: out of memory.
 */
TLSLIFE_API char *tlslife_metrics_text(tlslife_metrics_format format,
    const tlslife_context *context);

/* Events that only the program knows of. */
typedef enum tlslife_metrics_event {
    TLSLIFE_METRICS_HANDLER_FAILED = 0, /* the code that serves a connection has failed */
    TLSLIFE_METRICS_WORKER_ENDED        /* a worker has ended without an order, and is replaced */
} tlslife_metrics_event;
/* Counts one such event. Another value is ignored. */
TLSLIFE_API void tlslife_metrics_count(tlslife_metrics_event event);

/*
 * Shares the counters of this process with as many worker processes as workers says, which the
 * program starts later. *out_fd is a descriptor of memory (memfd_create(2)), which belongs to this
 * library and is close-on-exec. Give each worker a duplicate; it calls tlslife_metrics_join with
 * it. From then on each of these processes reports what all have done. A later call for as many
 * workers or fewer gives the same descriptor. One for more makes new memory, and the workers of the
 * old one must have ended. No other thread may use a connection meanwhile, because what that counts
 * may be lost. Errors: USAGE (none, or more than 4095 workers), SYSTEM, MEMORY.
 */
TLSLIFE_API tlslife_status tlslife_metrics_share(unsigned workers, int *out_fd,
    tlslife_error *err);

/*
 * From now on this process counts as the worker of this number, from 1, in the memory of fd, which
 * may be closed afterwards. What it has counted so far is added there, unless it is a child of
 * fork() whose parent shares its counters. A process that had this number before leaves its counts
 * there. No other thread may use a connection meanwhile. Errors: USAGE (no such worker, or the
 * process is one already), INPUT (no such memory), SYSTEM, MEMORY.
 */
TLSLIFE_API tlslife_status tlslife_metrics_join(int fd, unsigned worker, tlslife_error *err);

/*
 * Publishes to the other processes what the caches of this one have counted. All else they see at
 * once. tlslife_metrics_text calls it, too.
 */
TLSLIFE_API void tlslife_metrics_publish(void);

/*
 * Says that the process of this worker has ended, in whatever way. Its open connections and its
 * sessions in memory are no longer reported; its counters stay. Does nothing for a number that no
 * worker has.
 */
TLSLIFE_API void tlslife_metrics_leave(unsigned worker);

#ifdef __cplusplus
}
#endif
#endif
