/*
 * end_test.c: tests what comes after the handshake in pieces, while a connection ends or goes on.
 *
 * The peer is libssl itself, or code of this test that writes records which libssl never splits in
 * this way. Each record is handed over by itself. After each one the call is made again, as its
 * status says, and must go on.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "tlslife_openssl.h"
#include "tlslife.h"

#include "check.h"
#include "identity.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAGMENT 512 /* the least that libssl writes */
#define SECRET_LEN 32

static test_identity identity;
static tlslife_context *contexts[2]; /* by role: the subject's */
static SSL_CTX *peers[2];            /* by the subject's role */
static unsigned char secrets[2]
                            [SECRET_LEN]; /* of TLS 1.3 application data, by the role that writes */

struct scene {
    tlslife_role role; /* the subject's */
    tlslife_conn *subject;
    SSL *peer;
    unsigned char bytes[1 << 17]; /* of the peer's, on their way */
    size_t at, len;
    uint64_t written; /* of the peer's records, since the handshake was done */
};

/* ---------------------------------------------------------------------------------------- scene */

static size_t hex_digit(char c) {
    return (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* "CLIENT_TRAFFIC_SECRET_0 <random> <secret>" */
static void keep_secret(const SSL *ssl, const char *line) {
    (void)ssl;
    const char *text = strrchr(line, ' ') + 1;
    bool of_server = strncmp(line, "SERVER_TRAFFIC_SECRET_0", 23) == 0;
    if (!of_server && strncmp(line, "CLIENT_TRAFFIC_SECRET_0", 23) != 0) {
        return;
    }
    unsigned char *secret = secrets[of_server ? TLSLIFE_SERVER : TLSLIFE_CLIENT];
    for (size_t i = 0; i < SECRET_LEN; i++) {
        secret[i] = (unsigned char)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    }
}

/* Takes along what the subject has written. */
static void hear(struct scene *scene) {
    unsigned char bytes[16384];
    size_t len = 0;
    while (tlslife_conn_drain(scene->subject, bytes, sizeof bytes, &len) == TLSLIFE_OK && len > 0) {
        CHECK(BIO_write(SSL_get_rbio(scene->peer), bytes, (int)len) == (int)len);
    }
}

static void collect(struct scene *scene) {
    int len = BIO_read(SSL_get_wbio(scene->peer), scene->bytes + scene->len,
                       (int)(sizeof scene->bytes - scene->len));
    scene->len += len > 0 ? (size_t)len : 0;
}

static bool waits(const struct scene *scene) {
    return scene->at < scene->len;
}

/* Hands over the next record. */
static void deliver(struct scene *scene) {
    const unsigned char *record = scene->bytes + scene->at;
    size_t len = 5 + ((size_t)record[3] << 8 | record[4]), fed = 0;
    CHECK(tlslife_conn_feed(scene->subject, record, len, &fed) == TLSLIFE_OK && fed == len);
    scene->written += tlslife_conn_handshake_done(scene->subject);
    scene->at += len;
    if (!waits(scene)) {
        scene->at = scene->len = 0;
    }
}

static void deliver_all(struct scene *scene) {
    collect(scene);
    while (waits(scene)) {
        deliver(scene);
    }
}

static tlslife_status step(struct scene *scene) {
    tlslife_status status = tlslife_conn_handshake(scene->subject);
    if (status == TLSLIFE_WANT_VERIFY) {
        CHECK(tlslife_conn_answer_verify(scene->subject, true) == TLSLIFE_OK);
        status = tlslife_conn_handshake(scene->subject);
    }
    hear(scene);
    return status;
}

static void open_scene(struct scene *scene, tlslife_role role, int version) {
    *scene = (struct scene){.role = role, .subject = tlslife_conn_new(contexts[role], NULL)};
    scene->peer = SSL_new(peers[role]);
    SSL_set_bio(scene->peer, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(scene->peer), -1);
    role == TLSLIFE_CLIENT ? SSL_set_accept_state(scene->peer) : SSL_set_connect_state(scene->peer);
    CHECK(SSL_set_max_proto_version(scene->peer, version) == 1);
    CHECK(SSL_set_max_send_fragment(scene->peer, FRAGMENT) == 1);
    tlslife_conn_set_blocking(scene->subject, false);
    CHECK(tlslife_conn_set_memory(scene->subject, 0) == TLSLIFE_OK);
    if (role == TLSLIFE_CLIENT) {
        CHECK(tlslife_conn_set_hostname(scene->subject, "localhost") == TLSLIFE_OK);
    }
}

static tlslife_status do_read(struct scene *scene) {
    char byte;
    size_t len;
    return tlslife_conn_read(scene->subject, &byte, 1, &len);
}

/* A peer that serves sends one ticket. */
static void meet(struct scene *scene, tlslife_role role, int version) {
    tlslife_status ours = TLSLIFE_WANT_READ;
    int theirs = 0;
    open_scene(scene, role, version);
    (void)SSL_set_num_tickets(scene->peer, 1);
    for (int i = 0; i < 20 && (ours != TLSLIFE_OK || theirs != 1); i++) {
        ours = step(scene);
        theirs = SSL_do_handshake(scene->peer);
        deliver_all(scene);
    }
    CHECK(ours == TLSLIFE_OK && theirs == 1);
    CHECK(do_read(scene) == TLSLIFE_WANT_READ);
}

static void close_scene(struct scene *scene) {
    tlslife_conn_free(scene->subject);
    SSL_free(scene->peer);
}

/* Whether the subject's close_notify has come; the peer answers it. */
static bool peer_hears_the_end(struct scene *scene) {
    char byte;
    hear(scene);
    int ret = SSL_read(scene->peer, &byte, 1);
    bool heard = ret == 0 && SSL_get_error(scene->peer, ret) == SSL_ERROR_ZERO_RETURN;
    ERR_clear_error();
    return heard;
}

/* ------------------------------------------------------------------- records of this test's own */

struct writer {
    unsigned char secret[SECRET_LEN];
    unsigned char key[16], iv[12];
    uint64_t number;
};

static bool expand(const unsigned char *secret, const char *label, unsigned char *out,
                   size_t out_len) {
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    char digest[] = "SHA256", prefix[] = "tls13 ";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int("mode", &mode),
        OSSL_PARAM_construct_utf8_string("digest", digest, 0),
        OSSL_PARAM_construct_octet_string("key", (void *)(uintptr_t)secret, SECRET_LEN),
        OSSL_PARAM_construct_octet_string("prefix", prefix, 6),
        OSSL_PARAM_construct_octet_string("label", (void *)(uintptr_t)label, strlen(label)),
        OSSL_PARAM_construct_end(),
    };
    bool ok = EVP_KDF_derive(ctx, out, out_len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

static void new_keys(struct writer *writer) {
    CHECK(expand(writer->secret, "key", writer->key, sizeof writer->key));
    CHECK(expand(writer->secret, "iv", writer->iv, sizeof writer->iv));
    writer->number = 0;
}

/* Sets the sequence number to go on with, after libssl's peer has written that many records. */
static struct writer writer_of(tlslife_role role, uint64_t written) {
    struct writer writer;
    memcpy(writer.secret, secrets[role], SECRET_LEN);
    new_keys(&writer);
    writer.number = written;
    return writer;
}

static void update_keys(struct writer *writer) {
    unsigned char next[SECRET_LEN];
    CHECK(expand(writer->secret, "traffic upd", next, sizeof next));
    memcpy(writer->secret, next, sizeof next);
    new_keys(writer);
}

/* Sends one record of that type (RFC 8446 section 5.2), after those that are on their way. */
static void put_record(struct scene *scene, struct writer *writer, unsigned char type,
                       const void *content, size_t len) {
    unsigned char nonce[12], inner[64];
    unsigned char *record = scene->bytes + scene->len;
    const size_t sealed = len + 1 + 16;
    int now = 0;
    memcpy(nonce, writer->iv, sizeof nonce);
    for (size_t i = 0; i < 8; i++) {
        nonce[4 + i] ^= (unsigned char)(writer->number >> (56 - 8 * i));
    }
    memcpy(inner, content, len);
    inner[len] = type;
    memcpy(record, (unsigned char[]){23, 3, 3, 0, (unsigned char)sealed}, 5);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    CHECK(EVP_EncryptInit_ex2(ctx, EVP_aes_128_gcm(), writer->key, nonce, NULL) == 1 &&
          EVP_EncryptUpdate(ctx, NULL, &now, record, 5) == 1 &&
          EVP_EncryptUpdate(ctx, record + 5, &now, inner, (int)len + 1) == 1 &&
          EVP_EncryptFinal_ex(ctx, record + 5 + now, &now) == 1 &&
          EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, record + 5 + len + 1) == 1);
    EVP_CIPHER_CTX_free(ctx);
    writer->number++;
    scene->len += 5 + sealed;
}

static void put_close_notify(struct scene *scene, struct writer *writer) {
    put_record(scene, writer, SSL3_RT_ALERT, "\1\0", 2);
}

/* --------------------------------------------------------------- the messages, as they are sent */

/* What the peer sends, in two records or more, and its close_notify after it. */
struct message {
    const char *name;
    tlslife_role role; /* of the subject */
    int version;
    void (*send)(struct scene *scene);
    void (*end)(struct scene *scene); /* the peer's close_notify */
};

static void end_by_libssl(struct scene *scene) {
    CHECK(SSL_shutdown(scene->peer) >= 0);
    collect(scene);
}

static void send_ticket(struct scene *scene) {
    CHECK(SSL_new_session_ticket(scene->peer) == 1 && SSL_do_handshake(scene->peer) == 1);
    collect(scene);
}

/* With a list of CAs. */
static void send_certificate_request(struct scene *scene) {
    SSL_set_verify(scene->peer, SSL_VERIFY_PEER | SSL_VERIFY_POST_HANDSHAKE, NULL);
    CHECK(SSL_verify_client_post_handshake(scene->peer) == 1 && SSL_do_handshake(scene->peer) == 1);
    collect(scene);
}

/* The subject asks for the peer's certificate. */
static void send_certificate(struct scene *scene) {
    char byte;
    CHECK(tlslife_conn_request_client_certificate(scene->subject) == TLSLIFE_OK);
    CHECK(tlslife_conn_handshake(scene->subject) == TLSLIFE_OK);
    hear(scene);
    CHECK(SSL_read(scene->peer, &byte, 1) == -1);
    collect(scene);
}

static struct writer by_hand;

/*
 * KeyUpdate with update_not_requested or update_requested. No library splits its five bytes, but
 * each accepts them when they are split.
 */
static void send_split_update(struct scene *scene, char requested) {
    const char update[] = {SSL3_MT_KEY_UPDATE, 0, 0, 1, requested};
    by_hand =
        writer_of(scene->role == TLSLIFE_CLIENT ? TLSLIFE_SERVER : TLSLIFE_CLIENT, scene->written);
    put_record(scene, &by_hand, SSL3_RT_HANDSHAKE, update, 4);
    put_record(scene, &by_hand, SSL3_RT_HANDSHAKE, update + 4, 1);
    update_keys(&by_hand);
}

static void send_update(struct scene *scene) {
    send_split_update(scene, SSL_KEY_UPDATE_NOT_REQUESTED);
}

static void send_update_request(struct scene *scene) {
    send_split_update(scene, SSL_KEY_UPDATE_REQUESTED);
}

static void end_by_hand(struct scene *scene) {
    put_close_notify(scene, &by_hand);
}

static const struct message MESSAGES[] = {
    {"ticket", TLSLIFE_CLIENT, TLS1_3_VERSION, send_ticket, end_by_libssl},
    {"certificate request", TLSLIFE_CLIENT, TLS1_3_VERSION, send_certificate_request,
     end_by_libssl},
    {"certificate", TLSLIFE_SERVER, TLS1_3_VERSION, send_certificate, end_by_libssl},
    {"key update to a client", TLSLIFE_CLIENT, TLS1_3_VERSION, send_update, end_by_hand},
    {"key update to a server", TLSLIFE_SERVER, TLS1_3_VERSION, send_update, end_by_hand},
    {"key update asked of a client", TLSLIFE_CLIENT, TLS1_3_VERSION, send_update_request,
     end_by_hand},
    {"key update asked of a server", TLSLIFE_SERVER, TLS1_3_VERSION, send_update_request,
     end_by_hand},
};
#define MESSAGES_LEN (sizeof MESSAGES / sizeof MESSAGES[0])

/* ---------------------------------------------------------------------------------------- verbs */

static tlslife_status do_shutdown(struct scene *scene) {
    return tlslife_conn_shutdown(scene->subject);
}

static tlslife_status do_close(struct scene *scene) {
    return tlslife_conn_close(scene->subject, 1000);
}

static tlslife_status do_peek(struct scene *scene) {
    char byte;
    size_t len;
    return tlslife_conn_peek(scene->subject, &byte, 1, &len);
}

static tlslife_status do_write(struct scene *scene) {
    size_t len;
    return tlslife_conn_write(scene->subject, "x", 1, &len);
}

static tlslife_status do_handshake(struct scene *scene) {
    return tlslife_conn_handshake(scene->subject);
}

struct verb {
    const char *name;
    tlslife_status (*call)(struct scene *scene);
    tlslife_status last; /* when the message is whole */
};

static const struct verb VERBS[] = {
    {"shutdown", do_shutdown, TLSLIFE_SENT}, {"close", do_close, TLSLIFE_WANT_READ},
    {"read", do_read, TLSLIFE_WANT_READ},    {"peek", do_peek, TLSLIFE_WANT_READ},
    {"write", do_write, TLSLIFE_OK},         {"handshake", do_handshake, TLSLIFE_OK},
};
#define VERBS_LEN (sizeof VERBS / sizeof VERBS[0])

/* Calls, and answers the question about the peer. */
static tlslife_status call(struct scene *scene, const struct verb *verb) {
    tlslife_status status = verb->call(scene);
    if (status == TLSLIFE_WANT_VERIFY) {
        CHECK(tlslife_conn_answer_verify(scene->subject, true) == TLSLIFE_OK);
        status = verb->call(scene);
    }
    return status;
}

static void note(const struct message *message, const struct verb *verb, const char *what,
                 int failed_before) {
    if (checks_failed > failed_before) {
        fprintf(stderr, "  that was: %s, %s, %s\n", message->name, verb->name, what);
    }
}

static bool is_good(struct scene *scene) {
    tlslife_session *session = tlslife_conn_get1_session(scene->subject);
    bool good = session != NULL && tlslife_session_is_resumable(session);
    tlslife_session_free(session);
    return good;
}

/* Exchanges what is left of both close_notify. */
static void end_well(struct scene *scene, const struct message *message) {
    tlslife_status status = tlslife_conn_shutdown(scene->subject);
    CHECK(status == TLSLIFE_SENT || status == TLSLIFE_WANT_READ);
    CHECK(peer_hears_the_end(scene));
    message->end(scene);
    while (waits(scene)) {
        CHECK(status == TLSLIFE_SENT || status == TLSLIFE_WANT_READ);
        deliver(scene);
        status = tlslife_conn_shutdown(scene->subject);
    }
    CHECK(status == TLSLIFE_OK);
}

/*
 * The message comes in pieces. The subject reads after the first piece, and makes the call after
 * each of the others.
 */
static void test_verb(const struct message *message, const struct verb *verb) {
    struct scene scene;
    const int before = checks_failed;
    bool closes = verb->call == do_close;
    meet(&scene, message->role, message->version);
    message->send(&scene);
    deliver(&scene);
    CHECK(waits(&scene));
    CHECK(do_read(&scene) == TLSLIFE_WANT_READ);
    while (waits(&scene)) {
        CHECK(call(&scene, verb) == TLSLIFE_WANT_READ);
        deliver(&scene);
    }
    CHECK(call(&scene, verb) == verb->last);
    if (verb->call == do_write) {
        hear(&scene);
        char byte;
        CHECK(SSL_read(scene.peer, &byte, 1) == 1 && byte == 'x');
    }
    if (closes) {
        CHECK(peer_hears_the_end(&scene));
        message->end(&scene);
        deliver_all(&scene);
        CHECK(call(&scene, verb) == TLSLIFE_OK);
    } else {
        end_well(&scene, message);
    }
    CHECK(is_good(&scene));
    close_scene(&scene);
    note(message, verb, "after half a message", before);
}

/*
 * The pieces come after our close_notify was sent, and the peer's close_notify comes behind them.
 */
static void test_waiting_verb(const struct message *message, const struct verb *verb) {
    struct scene scene;
    const int before = checks_failed;
    meet(&scene, message->role, message->version);
    message->send(&scene);
    CHECK(tlslife_conn_shutdown(scene.subject) == TLSLIFE_SENT);
    CHECK(peer_hears_the_end(&scene));
    message->end(&scene);
    while (waits(&scene)) {
        CHECK(call(&scene, verb) == TLSLIFE_WANT_READ);
        deliver(&scene);
    }
    CHECK(call(&scene, verb) == (verb->call == do_read ? TLSLIFE_CLOSED : TLSLIFE_OK));
    CHECK(tlslife_conn_get_shutdown(scene.subject) == 3);
    CHECK(is_good(&scene));
    close_scene(&scene);
    note(message, verb, "while the end waits", before);
}

static void test_messages(void) {
    for (size_t i = 0; i < MESSAGES_LEN; i++) {
        for (size_t j = 0; j < VERBS_LEN; j++) {
            test_verb(&MESSAGES[i], &VERBS[j]);
        }
        for (size_t j = 0; j < 3; j++) {
            test_waiting_verb(&MESSAGES[i], &VERBS[j]);
        }
    }
}

/*
 * A ticket, a key update or a request waits to be sent. libssl does not judge the session then, and
 * a shutdown sends it.
 */
static void test_pending(tlslife_status (*ask)(tlslife_conn *conn), bool ends) {
    struct scene scene;
    meet(&scene, TLSLIFE_SERVER, TLS1_3_VERSION);
    tlslife_session *session = tlslife_conn_get1_session(scene.subject);
    CHECK(ask(scene.subject) == TLSLIFE_OK);
    if (ends) {
        CHECK(tlslife_conn_shutdown(scene.subject) == TLSLIFE_SENT);
        CHECK(peer_hears_the_end(&scene));
    }
    CHECK(tlslife_conn_get_shutdown(scene.subject) == (ends ? TLSLIFE_SENT_SHUTDOWN : 0));
    close_scene(&scene);
    CHECK(tlslife_session_is_resumable(session));
    tlslife_session_free(session);
}

static tlslife_status ask_update(tlslife_conn *conn) {
    return tlslife_conn_key_update(conn, true);
}

static void test_all_pending(void) {
    for (int ends = 0; ends < 2; ends++) {
        test_pending(tlslife_conn_new_session_ticket, ends == 1);
        test_pending(tlslife_conn_request_client_certificate, ends == 1);
        test_pending(ask_update, ends == 1);
    }
}

/* -------------------------------------------------------------------------------- renegotiation */

static void begin_renegotiation(struct scene *scene) {
    char byte;
    if (scene->role == TLSLIFE_CLIENT) {
        CHECK(SSL_renegotiate(scene->peer) == 1 && SSL_do_handshake(scene->peer) == 1);
    } else {
        CHECK(tlslife_conn_renegotiate(scene->subject, false) == TLSLIFE_OK);
        CHECK(tlslife_conn_handshake(scene->subject) == TLSLIFE_OK);
        hear(scene);
        CHECK(SSL_read(scene->peer, &byte, 1) == -1);
    }
    deliver_all(scene);
    CHECK(do_read(scene) == TLSLIFE_WANT_READ);
}

/* A call goes on with a handshake that is under way, even if the peer alone has asked for it. */
static void test_renegotiation(tlslife_role role, const struct verb *verb) {
    struct scene scene;
    char byte;
    tlslife_status status = TLSLIFE_WANT_READ;
    int calls = 0;
    meet(&scene, role, TLS1_2_VERSION);
    begin_renegotiation(&scene);
    while (status == TLSLIFE_WANT_READ && ++calls < 10 &&
           !tlslife_conn_get_shutdown(scene.subject)) {
        status = call(&scene, verb);
        hear(&scene);
        if (SSL_read(scene.peer, &byte, 1) <= 0) {
            ERR_clear_error();
        }
        deliver_all(&scene);
    }
    CHECK(calls > 1 && calls < 10);
    CHECK(status == verb->last);
    CHECK(tlslife_conn_get_shutdown(scene.subject) == TLSLIFE_SENT_SHUTDOWN);
    CHECK(SSL_get_shutdown(scene.peer) == SSL_RECEIVED_SHUTDOWN);
    CHECK(is_good(&scene));
    close_scene(&scene);
}

/*
 * A close that does not wait cannot finish the handshake. The peer is told nothing, and the session
 * stays as it was.
 */
static void test_close_at_once(const struct message *message) {
    struct scene scene;
    meet(&scene, message->role, message->version);
    message->send(&scene);
    deliver(&scene);
    CHECK(do_read(&scene) == TLSLIFE_WANT_READ);
    tlslife_session *session = tlslife_conn_get1_session(scene.subject);
    bool good = tlslife_session_is_resumable(session);
    CHECK(tlslife_conn_close(scene.subject, 0) == TLSLIFE_TIMEOUT);
    CHECK(tlslife_conn_close(scene.subject, 0) == TLSLIFE_UNSENT);
    CHECK(!peer_hears_the_end(&scene));
    close_scene(&scene);
    CHECK(tlslife_session_is_resumable(session) == good);
    tlslife_session_free(session);
}

/* --------------------------------------------------------------------- over a socket that waits */

struct sender {
    struct scene *scene;
    int fd;
    useconds_t pause;
};

/* Record by record, with a pause before each. */
static void *send_slowly(void *argument) {
    const struct sender *sender = argument;
    struct scene *scene = sender->scene;
    while (waits(scene)) {
        const unsigned char *record = scene->bytes + scene->at;
        size_t len = 5 + ((size_t)record[3] << 8 | record[4]);
        (void)usleep(sender->pause);
        CHECK(send(sender->fd, record, len, MSG_NOSIGNAL) == (ssize_t)len);
        scene->at += len;
    }
    return NULL;
}

/* Makes the call again after each deadline that passes while it waits. */
static tlslife_status call_in_time(struct scene *scene, const struct verb *verb) {
    tlslife_status status = TLSLIFE_TIMEOUT;
    for (int i = 0; i < 100 && status == TLSLIFE_TIMEOUT; i++) {
        status = call(scene, verb);
    }
    return status;
}

static void test_blocking(const struct message *message, const struct verb *verb, int timeout_ms) {
    struct scene scene;
    const int before = checks_failed;
    int fds[2] = {-1, -1};
    pthread_t thread;
    meet(&scene, message->role, message->version);
    message->send(&scene);
    message->end(&scene);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(tlslife_conn_take_fd(scene.subject, fds[0]) == TLSLIFE_OK);
    tlslife_conn_set_blocking(scene.subject, true);
    tlslife_conn_set_timeout_ms(scene.subject, timeout_ms);
    CHECK(tlslife_conn_shutdown(scene.subject) == TLSLIFE_SENT);
    struct sender sender = {&scene, fds[1], 15000};
    CHECK(pthread_create(&thread, NULL, send_slowly, &sender) == 0);
    CHECK(call_in_time(&scene, verb) == (verb->call == do_read ? TLSLIFE_CLOSED : TLSLIFE_OK));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(is_good(&scene));
    close_scene(&scene);
    (void)close(fds[1]);
    note(message, verb, "over a socket", before);
}

static void test_sockets(void) {
    static const int timeouts_ms[] = {-1, 5000, 4};
    for (size_t i = 0; i < MESSAGES_LEN; i++) {
        for (size_t j = 0; j < 3; j++) {
            for (size_t k = 0; k < sizeof timeouts_ms / sizeof timeouts_ms[0]; k++) {
                test_blocking(&MESSAGES[i], &VERBS[j], timeouts_ms[k]);
            }
        }
    }
}

/* ------------------------------------------------------------------------- errors of other code */

/* Makes a call after other code has left an error in the thread's queue. */
#define AFTER_ERROR(call) (ERR_raise(ERR_LIB_SSL, SSL_R_BAD_EXTENSION), (call))

/* One step of each side's handshake. A step that has nothing to read must say so. */
static bool shake(tlslife_conn *client, tlslife_conn *server) {
    tlslife_status near = AFTER_ERROR(tlslife_conn_connect(client));
    tlslife_status far = AFTER_ERROR(tlslife_conn_accept(server));
    CHECK(near == TLSLIFE_OK || near == TLSLIFE_WANT_READ);
    CHECK(far == TLSLIFE_OK || far == TLSLIFE_WANT_READ || far == TLSLIFE_WANT_VERIFY);
    if (far == TLSLIFE_WANT_VERIFY) {
        CHECK(AFTER_ERROR(tlslife_conn_answer_verify(server, true)) == TLSLIFE_OK);
    }
    return near == TLSLIFE_OK && far == TLSLIFE_OK;
}

static void test_left_errors(void) {
    tlslife_conn *client = AFTER_ERROR(tlslife_conn_new(contexts[TLSLIFE_CLIENT], NULL));
    tlslife_conn *server = AFTER_ERROR(tlslife_conn_new(contexts[TLSLIFE_SERVER], NULL));
    char byte = 'x';
    size_t len = 0;
    bool shaken = false;
    tlslife_conn_set_blocking(client, false);
    tlslife_conn_set_blocking(server, false);
    CHECK(AFTER_ERROR(tlslife_conn_set_hostname(client, "localhost")) == TLSLIFE_OK);
    CHECK(AFTER_ERROR(tlslife_conn_pair(client, server, 0)) == TLSLIFE_OK);
    for (int i = 0; i < 10 && !shaken; i++) {
        shaken = shake(client, server);
    }
    CHECK(shaken);
    CHECK(AFTER_ERROR(tlslife_conn_read(server, &byte, 1, &len)) == TLSLIFE_WANT_READ);
    CHECK(AFTER_ERROR(tlslife_conn_write(client, &byte, 1, &len)) == TLSLIFE_OK);
    CHECK(AFTER_ERROR(tlslife_conn_read(server, &byte, 1, &len)) == TLSLIFE_OK);
    CHECK(AFTER_ERROR(tlslife_conn_shutdown(server)) == TLSLIFE_SENT);
    CHECK(AFTER_ERROR(tlslife_conn_shutdown(server)) == TLSLIFE_WANT_READ);
    CHECK(AFTER_ERROR(tlslife_conn_shutdown(client)) == TLSLIFE_SENT);
    CHECK(AFTER_ERROR(tlslife_conn_shutdown(client)) == TLSLIFE_OK);
    CHECK(AFTER_ERROR(tlslife_conn_shutdown(server)) == TLSLIFE_OK);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    ERR_clear_error();
}

/* ----------------------------------------------------------------------------------------- main */

static void use_identity(SSL_CTX *ctx) {
    BIO *certificate = BIO_new_mem_buf(identity.certificate, -1),
        *key = BIO_new_mem_buf(identity.key, -1);
    X509 *x509 = PEM_read_bio_X509(certificate, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    CHECK(SSL_CTX_use_certificate(ctx, x509) == 1 && SSL_CTX_use_PrivateKey(ctx, pkey) == 1);
    CHECK(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x509) == 1);
    for (int i = 0; i < 20;
         i++) { /* so many that a request for a certificate takes more than one record */
        CHECK(SSL_CTX_add_client_CA(ctx, x509) == 1);
    }
    X509_free(x509);
    EVP_PKEY_free(pkey);
    BIO_free(certificate);
    BIO_free(key);
}

/* Makes a server's tickets long, by a client certificate, which they contain. */
static SSL_CTX *new_peer(const SSL_METHOD *method) {
    SSL_CTX *ctx = SSL_CTX_new(method);
    use_identity(ctx);
    CHECK(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") == 1);
    SSL_CTX_set_keylog_callback(ctx, keep_secret);
    SSL_CTX_set_post_handshake_auth(ctx, 1);
    (void)SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"end", 3);
    return ctx;
}

static tlslife_context *new_context(tlslife_role role) {
    tlslife_context *context = tlslife_context_new(role, NULL);
    const char *certificate = identity.certificate, *key = identity.key;
    CHECK(tlslife_context_add_ca_pem(context, certificate, strlen(certificate), NULL) ==
          TLSLIFE_OK);
    CHECK(tlslife_context_set_certificate_pem(context, certificate, strlen(certificate), NULL) ==
          TLSLIFE_OK);
    CHECK(tlslife_context_set_private_key_pem(context, key, strlen(key), NULL, NULL) == TLSLIFE_OK);
    if (role == TLSLIFE_CLIENT) {
        CHECK(tlslife_context_set_post_handshake_auth(context, true, NULL) == TLSLIFE_OK);
    } else {
        CHECK(tlslife_context_set_verify(context, TLSLIFE_VERIFY_OPTIONAL, NULL) == TLSLIFE_OK);
        CHECK(tlslife_context_set_questions(context, TLSLIFE_ASK_VERIFY, NULL) == TLSLIFE_OK);
    }
    return context;
}

int main(void) {
    CHECK(identity_make(&identity));
    contexts[TLSLIFE_CLIENT] = new_context(TLSLIFE_CLIENT);
    contexts[TLSLIFE_SERVER] = new_context(TLSLIFE_SERVER);
    peers[TLSLIFE_CLIENT] = new_peer(TLS_server_method());
    peers[TLSLIFE_SERVER] = new_peer(TLS_client_method());
    SSL_CTX_set_verify(peers[TLSLIFE_CLIENT], SSL_VERIFY_PEER, NULL);
    test_messages();
    test_all_pending();
    for (size_t i = 0; i < MESSAGES_LEN; i++) {
        test_close_at_once(&MESSAGES[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        test_renegotiation(TLSLIFE_CLIENT, &VERBS[i]);
        test_renegotiation(TLSLIFE_SERVER, &VERBS[i]);
    }
    test_sockets();
    test_left_errors();
    for (int role = 0; role < 2; role++) {
        SSL_CTX_free(peers[role]);
        tlslife_context_free(contexts[role]);
    }
    return checks_end();
}
