/*
 * plain.c: the measure. A plain C program on libssl, as a Lua module so that it runs in the same process, on the
 * same library, in turns with the Lua side. There is no tlslife in it.
 *
 * What is fair: the same certificates, versions, verification, modes and kinds of session as the contexts that
 * bench/rows.lua makes; the same calls in the same order over BIO_new_bio_pair(3); results checked, nothing
 * printed; the error queue emptied before each call that may want to be asked about, as SSL_get_error(3) demands of
 * every program. One that forgets it is a little faster, and some day reads another connection's error:
 * peers{careless=true} is that program.
 *
 * The Lua side of this module is crossed once for thousands of operations; it does not show in the figures.
 */
#include <lauxlib.h>
#include <lua.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "identity.h"

#define PEERS "bench.plain.peers"
#define RECORD 16384

/* A client's and a server's context, and what stands between them now. */
typedef struct peers {
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server; /* NULL when no connection stands */
    SSL_SESSION *session; /* the newest that the client was given */
    bool careless;        /* leaves the error queue as it is */
    unsigned char buffer[RECORD];
} peers;

__attribute__((visibility("default"))) int luaopen_plain(lua_State *L);

/* Raises with the first cause in OpenSSL's queue. */
static int fail(lua_State *L, const char *what) {
    char reason[256] = "no reason given";
    unsigned long code = ERR_get_error();
    if (code != 0) {
        ERR_error_string_n(code, reason, sizeof reason);
    }
    ERR_clear_error();
    return luaL_error(L, "plain C: %s: %s", what, reason);
}

/* -------------------------------------------------------------------------------------------- contexts */

/* Called by libssl with each session that the client may use again: the newest is kept. */
static int keep_session(SSL *ssl, SSL_SESSION *session) {
    peers *p = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(p->session);
    p->session = session;
    return 1;
}

static SSL_CTX *new_ctx(const SSL_METHOD *method, int version, peers *p) {
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL) {
        return NULL;
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_app_data(ctx, p);
    if (SSL_CTX_set_min_proto_version(ctx, version) == 1 &&
        SSL_CTX_set_max_proto_version(ctx, version) == 1) {
        return ctx;
    }
    SSL_CTX_free(ctx);
    return NULL;
}

static X509 *parse_certificate(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return certificate;
}

static EVP_PKEY *parse_key(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key;
}

static bool trust(SSL_CTX *ctx, const char *ca_pem) {
    X509 *ca = parse_certificate(ca_pem);
    bool ok = ca != NULL && X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) == 1;
    X509_free(ca);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ok;
}

static bool present(SSL_CTX *ctx, const char *certificate_pem, const char *key_pem) {
    X509 *certificate = parse_certificate(certificate_pem);
    EVP_PKEY *key = parse_key(key_pem);
    bool ok = certificate != NULL && key != NULL && SSL_CTX_use_certificate(ctx, certificate) == 1 &&
              SSL_CTX_use_PrivateKey(ctx, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return ok;
}

static void set_client_sessions(SSL_CTX *ctx) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
}

static bool set_server_sessions(SSL_CTX *ctx, bool stateful) {
    static const unsigned char id_context[] = "bench";
    SSL_CTX_set_session_cache_mode(ctx, stateful ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
    if (stateful) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    return SSL_CTX_set_session_id_context(ctx, id_context, sizeof id_context - 1) == 1;
}

static const char *string_field(lua_State *L, const char *name) {
    luaL_argexpected(L, lua_getfield(L, 1, name) == LUA_TSTRING, 1, name);
    return lua_tostring(L, -1); /* stays alive in the caller's table */
}

/* peers{ca=, certificate=, private_key=, version="TLSv1.2"|"TLSv1.3", resumption="stateful"|"tickets", careless=} */
static int new_peers(lua_State *L) {
    static const char *const versions[] = {"TLSv1.2", "TLSv1.3", NULL};
    static const char *const resumptions[] = {"tickets", "stateful", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *ca = string_field(L, "ca");
    const char *certificate = string_field(L, "certificate");
    const char *key = string_field(L, "private_key");
    lua_getfield(L, 1, "version");
    int version = luaL_checkoption(L, -1, NULL, versions) == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    lua_getfield(L, 1, "resumption");
    bool stateful = luaL_checkoption(L, -1, NULL, resumptions) == 1;
    lua_getfield(L, 1, "careless");
    bool careless = lua_toboolean(L, -1);
    peers *p = lua_newuserdatauv(L, sizeof *p, 0);
    memset(p, 0, sizeof *p);
    p->careless = careless;
    luaL_setmetatable(L, PEERS);
    p->client_ctx = new_ctx(TLS_client_method(), version, p);
    p->server_ctx = new_ctx(TLS_server_method(), version, p);
    if (p->client_ctx == NULL || p->server_ctx == NULL || !trust(p->client_ctx, ca) ||
        !present(p->server_ctx, certificate, key) || !set_server_sessions(p->server_ctx, stateful)) {
        return fail(L, "cannot make the contexts");
    }
    set_client_sessions(p->client_ctx);
    return 1;
}

/* ------------------------------------------------------------------------------------------ handshakes */

/* capacity 0 is OpenSSL's own choice, a little more than a record: a pair takes all of its memory at once, and so a large
 * one is slow to make. */
static bool join(SSL *client, SSL *server, size_t capacity) {
    BIO *a = NULL, *b = NULL;
    if (BIO_new_bio_pair(&a, capacity, &b, capacity) != 1) {
        return false;
    }
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
    return true;
}

static void clear_errors(const peers *p) {
    if (!p->careless) {
        ERR_clear_error();
    }
}

static bool is_waiting(SSL *ssl, int result) {
    int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static bool step(const peers *p, SSL *ssl, int (*call)(SSL *), int *result) {
    if (*result == 1) {
        return true;
    }
    clear_errors(p);
    *result = call(ssl);
    return *result == 1 || is_waiting(ssl, *result);
}

/* Each end in its turn until both are done. */
static bool shake_hands(const peers *p) {
    int client = 0, server = 0;
    while (client != 1 || server != 1) {
        if (!step(p, p->client, SSL_connect, &client) || !step(p, p->server, SSL_accept, &server)) {
            return false;
        }
    }
    return true;
}

static bool name_server(SSL *client) {
    static char host[] = "localhost"; /* not const: OpenSSL's macro casts that away */
    return SSL_set_tlsext_host_name(client, host) == 1 && SSL_set1_host(client, host) == 1;
}

/* What SSL_new made is in p even when this fails. */
static bool open_connection(peers *p, bool offer, size_t capacity) {
    p->client = SSL_new(p->client_ctx);
    p->server = SSL_new(p->server_ctx);
    return p->client != NULL && p->server != NULL && name_server(p->client) &&
           join(p->client, p->server, capacity) && (!offer || SSL_set_session(p->client, p->session) == 1) &&
           shake_hands(p) && (SSL_session_reused(p->client) == 1) == offer;
}

static int shut_down(const peers *p, SSL *ssl) {
    clear_errors(p);
    return SSL_shutdown(ssl);
}

/* close_notify from each end, then each reads the other's; a client finds TLS 1.3's tickets on the way. */
static bool close_connection(const peers *p) {
    return shut_down(p, p->client) == 0 && shut_down(p, p->server) == 0 && shut_down(p, p->server) == 1 &&
           shut_down(p, p->client) == 1;
}

static void free_connection(peers *p) {
    SSL_free(p->client);
    SSL_free(p->server);
    p->client = p->server = NULL;
}

/* peers:handshakes(n, resumed): n connections opened, closed both ways and freed. */
static int handshakes(lua_State *L) {
    peers *p = luaL_checkudata(L, 1, PEERS);
    lua_Integer n = luaL_checkinteger(L, 2);
    bool resumed = lua_toboolean(L, 3);
    bool ok = true;
    while (ok && n-- > 0) {
        ok = open_connection(p, resumed, 0) && close_connection(p) && p->session != NULL;
        free_connection(p);
    }
    return ok ? 0 : fail(L, resumed ? "a resumed handshake failed" : "a full handshake failed");
}

/* -------------------------------------------------------------------------------------------- data */

/* peers:open(capacity): a connection that stays, for what follows. */
static int open_peers(lua_State *L) {
    peers *p = luaL_checkudata(L, 1, PEERS);
    lua_Integer capacity = luaL_optinteger(L, 2, 0);
    free_connection(p);
    return open_connection(p, false, (size_t)capacity) ? 0 : fail(L, "cannot open a connection");
}

static bool write_all(const peers *p, const unsigned char *bytes, size_t len) {
    for (size_t written = 0; len > 0; bytes += written, len -= written) {
        clear_errors(p);
        if (SSL_write_ex(p->client, bytes, len, &written) != 1) {
            return false;
        }
    }
    return true;
}

/* len bytes that arrive, in as many reads as it takes, kept where they belong in the buffer. */
static bool read_all(peers *p, size_t len) {
    unsigned char *at = p->buffer;
    for (size_t got = 0; len > 0; at += got, len -= got) {
        clear_errors(p);
        if (SSL_read_ex(p->server, at, len, &got) != 1) {
            return false;
        }
    }
    return true;
}

/* peers:exchange(bytes, n): n times written by the client and read by the server; the last is compared. */
static int exchange(lua_State *L) {
    peers *p = luaL_checkudata(L, 1, PEERS);
    size_t len;
    const unsigned char *bytes = (const unsigned char *)luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, p->client != NULL, 1, "not open");
    luaL_argcheck(L, len <= RECORD, 2, "too long");
    memset(p->buffer, 0, len);
    bool ok = true;
    for (lua_Integer n = luaL_checkinteger(L, 3); ok && n > 0; n--) {
        ok = write_all(p, bytes, len) && read_all(p, len);
    }
    return ok && memcmp(bytes, p->buffer, len) == 0 ? 0 : fail(L, "an exchange failed");
}

static bool write_each(const peers *p, const unsigned char *bytes, size_t len, size_t piece_len) {
    for (; len > 0; bytes += piece_len, len -= piece_len) {
        if (!write_all(p, bytes, piece_len)) {
            return false;
        }
    }
    return true;
}

/* peers:pieces(bytes, piece_len, n): the same, but written in pieces, each with a call of its own. */
static int pieces(lua_State *L) {
    peers *p = luaL_checkudata(L, 1, PEERS);
    size_t len;
    const unsigned char *bytes = (const unsigned char *)luaL_checklstring(L, 2, &len);
    size_t piece_len = (size_t)luaL_checkinteger(L, 3);
    luaL_argcheck(L, p->client != NULL, 1, "not open");
    luaL_argcheck(L, len <= RECORD && piece_len > 0 && len % piece_len == 0, 3, "pieces do not fit");
    memset(p->buffer, 0, len);
    bool ok = true;
    for (lua_Integer n = luaL_checkinteger(L, 4); ok && n > 0; n--) {
        ok = write_each(p, bytes, len, piece_len) && read_all(p, len);
    }
    return ok && memcmp(bytes, p->buffer, len) == 0 ? 0 : fail(L, "an exchange of pieces failed");
}

/* peers:getter(n): how often SSL_is_init_finished(3) said yes in n calls. */
static int getter(lua_State *L) {
    peers *p = luaL_checkudata(L, 1, PEERS);
    luaL_argcheck(L, p->client != NULL, 1, "not open");
    lua_Integer yes = 0;
    for (lua_Integer n = luaL_checkinteger(L, 2); n > 0; n--) {
        yes += SSL_is_init_finished(p->client);
    }
    lua_pushinteger(L, yes);
    return 1;
}

/* ---------------------------------------------------------------------------------------------- module */

static int free_peers(lua_State *L) {
    peers *p = luaL_checkudata(L, 1, PEERS);
    free_connection(p);
    SSL_SESSION_free(p->session);
    p->session = NULL;
    SSL_CTX_free(p->client_ctx);
    SSL_CTX_free(p->server_ctx);
    p->client_ctx = p->server_ctx = NULL;
    return 0;
}

/* identity(): {ca=, certificate=, private_key=}, PEM. */
static int make_identity(lua_State *L) {
    identity made = {NULL, NULL, NULL};
    if (!identity_make(&made)) {
        identity_clear(&made);
        return fail(L, "cannot make certificates");
    }
    lua_createtable(L, 0, 3);
    lua_pushstring(L, made.ca);
    lua_setfield(L, -2, "ca");
    lua_pushstring(L, made.certificate);
    lua_setfield(L, -2, "certificate");
    lua_pushstring(L, made.private_key);
    lua_setfield(L, -2, "private_key");
    identity_clear(&made);
    return 1;
}

/* cpu(): seconds of processor time that this process has used; another process's turn does not count. */
static int cpu(lua_State *L) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
    return 1;
}

/*
 * Where the heap happens to end, glibc gives its top back to the system at every connection's end and takes it again for
 * the next, eleven page faults each time: a third of a resumed handshake, for whichever side is unlucky. Here it keeps
 * what it has, for both.
 */
static void steady_heap(void) {
    mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024);
    mallopt(M_TOP_PAD, 1024 * 1024);
}

/*
 * shift(): the next blocks of memory begin elsewhere in their pages. How two blocks lie to each other decides how fast
 * glibc 2.36 copies from one to the other on some processors, up to four times; so that neither side is lucky for a whole
 * run, each round has another layout.
 */
static int shift(lua_State *L) {
    static void *block;
    (void)L;
    free(block);
    block = malloc(1 + (size_t)rand() % 16384); /* any number will do: this is no secret */
    return 0;
}

int luaopen_plain(lua_State *L) {
    static const luaL_Reg methods[] = {{"handshakes", handshakes},
                                       {"open", open_peers},
                                       {"exchange", exchange},
                                       {"pieces", pieces},
                                       {"getter", getter},
                                       {"__gc", free_peers},
                                       {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"peers", new_peers}, {"identity", make_identity}, {"cpu", cpu}, {"shift", shift}, {NULL, NULL}};
    steady_heap();
    luaL_newmetatable(L, PEERS);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    luaL_newlib(L, functions);
    lua_pushstring(L, OpenSSL_version(OPENSSL_VERSION));
    lua_setfield(L, -2, "openssl_version");
    return 1;
}
