/*
 * fuzz_wire: joins a client and a server by an attacker that changes what they send, in each state
 * of the two. The input is a program. Its first byte chooses the version, resumption, early data
 * (of TLS 1.2: a PSK that both ends ask for), certificates of the client, questions, an OCSP
 * response and a TLSA record whose bytes follow, and a trace of the client. Each step has one end
 * call a verb, or moves what one end has sent to the other: as it is, with a byte changed, cut,
 * sent twice, or with other bytes before it. The attacker may also have the keys of an end. Then it
 * seals records of any type, as a hostile peer does that has finished its handshake
 * (fuzz_wire_seal.c).
 *
 * One end always reads what the other wrote, in order, unless the attacker has the keys. CLOSED
 * needs a close_notify, and TRUNCATED is never returned after one. A failure has a reason.
 *
 * Keys are random, so an input that was found may break things in some runs only.
 *
 * Seeds: connections from their first byte to their end, and records between them.
 *
 * floor: src/tls/handshake/handshake.c 27
 * floor: src/tls/handshake/ssl_result.c 20
 * floor: src/tls/conn/data.c 11
 * floor: src/tls/conn/shutdown.c 30
 * floor: src/tls/handshake/callbacks.c 22
 * floor: src/tls/settings/verify.c 20
 * floor: src/tls/handshake/question.c 14
 * floor: src/tls/handshake/psk_question.c 18
 * floor: src/tls/handshake/tracing.c 27
 * floor: src/tls/context/psk_flight.c 25
 * floor: src/tls/settings/staple.c 18
 * floor: src/tls/session/session.c 10
 */
#include "fuzz.h"
#include "fuzz_wire_seal.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

#include <openssl/ssl.h>

enum {
    TLS12 = 1,
    RESUMED = 2,
    BOTH_SHOW = 4,
    ASKING = 8,
    EARLY = 16,
    STAPLED = 32,
    TLSA = 64,
    TRACED = 128,
    CONFIGS = 256
};
enum { PSK = TLS12 | ASKING | EARLY }; /* TLS 1.2 has no early data, so this means a PSK there */
enum { CLIENT, SERVER };

#define ROOM 65536

typedef struct end {
    tlslife_conn *conn;
    unsigned wrote, read; /* bytes; the nth byte of the stream is n */
    wire_keys keys;       /* of what it says */
    uint64_t said;        /* records that it has sealed since the keys are in use */
    bool forged;          /* what it reads is not only what the other end wrote */
    bool done;            /* its handshake was seen to be done */
    bool pretended;       /* its shutdown mode was set by hand */
} end;

typedef struct scene {
    unsigned config;
    end ends[2];
} scene;

static tlslife_trace *trace;

/* ------------------------------------------------------------------------------------- contexts */

static tlslife_context *new_context(unsigned config, bool server) {
    tlslife_context *context = server ? fuzz_server_context() : fuzz_client_context();
    int version = (config & TLS12) != 0 ? TLSLIFE_TLS1_2 : TLSLIFE_TLS1_3;
    must(tlslife_context_set_versions(context, version, version, NULL) == TLSLIFE_OK);
    bool psk = (config & PSK) == PSK;
    const char *ciphers = psk ? "PSK-AES128-GCM-SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256";
    must(tlslife_context_set_cipher_list(context, ciphers, NULL) == TLSLIFE_OK);
    must(tlslife_context_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256", NULL) == TLSLIFE_OK);
    must(tlslife_context_set_keylog(context, NULL, NULL) == TLSLIFE_OK);
    if ((config & ASKING) != 0) {
        /* A server that sees no certificate has no peer to ask about. */
        bool verifies = !server || (config & BOTH_SHOW) != 0;
        unsigned questions = TLSLIFE_ASK_CERTIFICATE;
        questions |= server ? TLSLIFE_ASK_HELLO : 0;
        questions |= server || psk ? TLSLIFE_ASK_PSK : 0;
        questions |= verifies ? TLSLIFE_ASK_VERIFY_ALL : 0;
        must(tlslife_context_set_questions(context, questions, NULL) == TLSLIFE_OK);
    }
    if ((config & (EARLY | TLS12)) == EARLY) {
        must(tlslife_context_set_max_early_data(context, 1000, NULL) == TLSLIFE_OK);
        must(tlslife_context_set_option(context, "NO_ANTI_REPLAY", true, NULL) == TLSLIFE_OK);
    }
    if ((config & STAPLED) != 0 && !server) {
        must(tlslife_context_set_ocsp_verify(context, TLSLIFE_VERIFY_OPTIONAL, NULL) == TLSLIFE_OK);
    }
    if ((config & TLSA) != 0 && !server) {
        must(tlslife_context_set_dane(context, false, NULL) == TLSLIFE_OK);
    }
    return context;
}

static void show_certificates(unsigned config, tlslife_context *client, tlslife_context *server) {
    must(tlslife_context_set_certificate_pem(client, fuzz_certificate, strlen(fuzz_certificate),
                                             NULL) == TLSLIFE_OK);
    must(tlslife_context_set_private_key_pem(client, fuzz_key, strlen(fuzz_key), NULL, NULL) ==
         TLSLIFE_OK);
    must((config & TLS12) != 0 ||
         tlslife_context_set_post_handshake_auth(client, true, NULL) == TLSLIFE_OK);
    must(tlslife_context_add_ca_pem(server, fuzz_certificate, strlen(fuzz_certificate), NULL) ==
         TLSLIFE_OK);
    must(tlslife_context_set_verify(server, TLSLIFE_VERIFY_OPTIONAL, NULL) == TLSLIFE_OK);
}

/* Both of a configuration, made once. */
static tlslife_context **contexts_of(unsigned config) {
    static tlslife_context *all[CONFIGS][2];
    tlslife_context **two = all[config];
    if (two[CLIENT] == NULL) {
        two[CLIENT] = new_context(config, false);
        two[SERVER] = new_context(config, true);
        if ((config & BOTH_SHOW) != 0) {
            show_certificates(config, two[CLIENT], two[SERVER]);
        }
    }
    return two;
}

/* A server whose response is these bytes in a SEQUENCE, for one scene. */
static tlslife_context *stapling(unsigned config, const fuzz_input *bytes) {
    unsigned char response[2 + 127] = {0x30, (unsigned char)bytes->left};
    tlslife_context *server = new_context(config, true), *client = new_context(config, false);
    memcpy(response + 2, bytes->at, bytes->left);
    (void)tlslife_context_set_ocsp_response(server, response, 2 + bytes->left, NULL);
    if ((config & BOTH_SHOW) != 0) {
        show_certificates(config, client, server);
    }
    tlslife_context_free(client);
    return server;
}

/* The record is taken, or a reason is given. */
static void add_record(tlslife_conn *client, fuzz_input *input) {
    unsigned how = take_byte(input);
    fuzz_input bytes = take_bytes(input, take_byte(input) % 128);
    must(tlslife_conn_set_dane(client, "localhost") == TLSLIFE_OK);
    tlslife_status status =
        tlslife_conn_add_tlsa(client, how & 3, how >> 2 & 1, how >> 3 & 3, bytes.at, bytes.left);
    must(status == TLSLIFE_OK || tlslife_conn_error(client)->message[0] != '\0');
}

/* Every event of the trace can be read. */
static void read_trace(void) {
    unsigned sum = 0;
    for (tlslife_trace_event *event; (event = tlslife_trace_next(trace)) != NULL;) {
        for (size_t i = 0; i < event->data_len; i++) {
            sum += event->data[i];
        }
        tlslife_trace_event_free(event);
    }
    must(sum < UINT32_MAX);
}

/* ----------------------------------------------------------------------------------------- keys */

static bool take_hex(const char **at, unsigned char *out, size_t len) {
    for (size_t i = 0; i < len; i++, *at += 2) {
        unsigned byte = 0;
        if (sscanf(*at, "%2x", &byte) != 1) {
            return false;
        }
        out[i] = (unsigned char)byte;
    }
    *at += **at == ' ' ? 1 : 0;
    return true;
}

static void learn_12(scene *s, const unsigned char *client_random, const unsigned char *master) {
    unsigned char server_random[WIRE_RANDOM];
    SSL *ssl = tlslife_conn_ssl(s->ends[CLIENT].conn);
    if (SSL_get_server_random(ssl, server_random, sizeof server_random) == WIRE_RANDOM) {
        (void)wire_keys_12(master, client_random, server_random, true, &s->ends[CLIENT].keys);
        (void)wire_keys_12(master, client_random, server_random, false, &s->ends[SERVER].keys);
    }
}

/* A line is a label, the client's random and the secret. */
static void learn_from(scene *s, const char *line) {
    unsigned char random[WIRE_RANDOM], secret[WIRE_SECRET_MAX];
    const char *at = strchr(line, ' ');
    bool tls12 = strncmp(line, "CLIENT_RANDOM ", 14) == 0;
    if (at == NULL || (at++, !take_hex(&at, random, sizeof random)) ||
        !take_hex(&at, secret, tls12 ? 48 : 32)) {
        return;
    }
    if (tls12) {
        learn_12(s, random, secret);
    } else if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0", 23) == 0) {
        (void)wire_keys_13(secret, &s->ends[CLIENT].keys);
    } else if (strncmp(line, "SERVER_TRAFFIC_SECRET_0", 23) == 0) {
        (void)wire_keys_13(secret, &s->ends[SERVER].keys);
    }
}

static void learn(scene *s) {
    for (char *line; (line = tlslife_conn_take_keylog(s->ends[CLIENT].conn)) != NULL;) {
        learn_from(s, line);
        tlslife_string_free(line);
    }
}

/* ---------------------------------------------------------------------------------------- verbs */

/* Answers what was asked. false: nothing was. */
static bool answered(tlslife_conn *conn, tlslife_status status, unsigned how) {
    if (status != TLSLIFE_WANT_HELLO && status != TLSLIFE_WANT_CERTIFICATE &&
        status != TLSLIFE_WANT_VERIFY && status != TLSLIFE_WANT_PSK) {
        return false;
    }
    if (how % 8 == 7) {
        must(tlslife_conn_refuse(conn, 40) == TLSLIFE_OK);
    } else if (status == TLSLIFE_WANT_HELLO) {
        must(tlslife_conn_hello(conn) != NULL);
        must(tlslife_conn_answer_hello(conn, NULL) == TLSLIFE_OK);
    } else if (status == TLSLIFE_WANT_PSK) {
        const unsigned char *key = (const unsigned char *)"key";
        must((tlslife_conn_is_server(conn)
                  ? tlslife_conn_answer_psk(conn, key, 3)
                  : tlslife_conn_answer_psk_client(conn, "me", key, 3)) == TLSLIFE_OK);
    } else if (status == TLSLIFE_WANT_CERTIFICATE) {
        must(tlslife_conn_answer_certificate(conn, NULL) == TLSLIFE_OK);
    } else {
        must(tlslife_conn_answer_verify(conn, how % 8 != 6) == TLSLIFE_OK);
    }
    return true;
}

static void judge(const end *one, tlslife_status status) {
    bool told = (tlslife_conn_get_shutdown(one->conn) & TLSLIFE_RECEIVED_SHUTDOWN) != 0;
    must(one->pretended || status != TLSLIFE_CLOSED || told);
    must(one->pretended || status != TLSLIFE_TRUNCATED || !told);
    must(status != TLSLIFE_TIMEOUT && status != TLSLIFE_WANT_SESSION);
    if (status == TLSLIFE_ERROR) {
        const tlslife_error *err = tlslife_conn_error(one->conn);
        must(err->kind != TLSLIFE_ERR_NONE && err->message[0] != '\0');
    }
}

static tlslife_status read_some(end *one) {
    unsigned char bytes[512];
    size_t len = 0;
    tlslife_status status = tlslife_conn_read(one->conn, bytes, sizeof bytes, &len);
    for (size_t i = 0; status == TLSLIFE_OK && i < len; i++) {
        must(one->forged || bytes[i] == (unsigned char)one->read++);
    }
    return status;
}

/* The handshake, or a read when it is done. */
static void drive(scene *s, unsigned which, unsigned how) {
    end *one = &s->ends[which];
    for (int i = 0; i < 8; i++) { /* no handshake asks more */
        tlslife_status status = !tlslife_conn_handshake_done(one->conn)
                                    ? tlslife_conn_handshake(one->conn)
                                    : read_some(one);
        judge(one, status);
        if (!answered(one->conn, status, how) && status != TLSLIFE_OK) {
            break;
        }
    }
    learn(s);
    if (!one->done && tlslife_conn_handshake_done(one->conn)) {
        one->done = true;
        s->ends[1 - which].said = (s->config & TLS12) != 0 ? 1 : 0; /* of 1.2, Finished */
    }
}

static void write_some(end *one, unsigned len) {
    unsigned char bytes[256];
    size_t written = 0;
    for (unsigned i = 0; i < len % sizeof bytes; i++) {
        bytes[i] = (unsigned char)(one->wrote + i);
    }
    tlslife_status status = tlslife_conn_write(one->conn, bytes, len % sizeof bytes, &written);
    judge(one, status);
    one->wrote += (unsigned)written;
}

static void early(scene *s, unsigned which) {
    unsigned char bytes[64] = {0};
    size_t len = 0;
    end *one = &s->ends[which];
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(one->wrote + i);
    }
    if (which == CLIENT) {
        judge(one, tlslife_conn_write_early(one->conn, bytes, 16, &len));
        s->ends[SERVER].forged = true; /* rejected early data leaves a gap */
    } else {
        judge(one, tlslife_conn_read_early(one->conn, bytes, sizeof bytes, &len));
    }
}

static void end_it(end *one, unsigned how) {
    switch (how % 4) {
    case 0: judge(one, tlslife_conn_shutdown(one->conn)); break;
    case 1: (void)tlslife_conn_close(one->conn, 0); break;
    case 2: (void)tlslife_conn_close(one->conn, 1000); break;
    default: (void)tlslife_conn_feed_eof(one->conn); break;
    }
}

static void call(scene *s, unsigned which, unsigned what) {
    end *one = &s->ends[which];
    switch (what % 8) {
    case 0: write_some(one, 1 + what); break;
    case 1: end_it(one, what >> 3); break;
    case 2: judge(one, tlslife_conn_key_update(one->conn, (what & 8) != 0)); break;
    case 3: judge(one, tlslife_conn_renegotiate(one->conn, (what & 8) != 0)); break;
    case 4: judge(one, tlslife_conn_new_session_ticket(one->conn)); break;
    case 5: judge(one, tlslife_conn_request_client_certificate(one->conn)); break;
    case 6: early(s, which); break;
    default: judge(one, tlslife_conn_handshake(one->conn)); break;
    }
}

/* ----------------------------------------------------------------------------------------- wire */

static void feed(end *to, const unsigned char *bytes, size_t len) {
    size_t fed = 0;
    (void)tlslife_conn_feed(to->conn, bytes, len, &fed);
}

static size_t take_wire(scene *s, unsigned from, unsigned char *out) {
    size_t len = 0;
    end *one = &s->ends[from];
    (void)tlslife_conn_drain(one->conn, out, ROOM, &len);
    for (size_t at = 0; at + 5 <= len; at += 5 + ((size_t)out[at + 3] << 8 | out[at + 4])) {
        one->said += s->ends[1 - from].done ? 1 : 0;
    }
    return len;
}

static void move(scene *s, unsigned from) {
    static unsigned char wire[ROOM];
    size_t len = take_wire(s, from, wire);
    feed(&s->ends[1 - from], wire, len);
}

/* how: a byte changed, cut short, said twice, or other bytes before it. */
static void move_changed(scene *s, unsigned from, unsigned how, fuzz_input *input) {
    static unsigned char wire[ROOM];
    end *to = &s->ends[1 - from];
    size_t len = take_wire(s, from, wire);
    size_t at = take_byte(input);
    at = at << 8 | take_byte(input);
    unsigned by = take_byte(input);
    if (how % 4 == 0 && len > 0) {
        wire[at % len] ^= (unsigned char)by;
    } else if (how % 4 == 1 && len > 0) {
        len = at % len;
    } else if (how % 4 == 2) {
        feed(to, wire, len);
    } else {
        fuzz_input other = take_bytes(input, by);
        feed(to, other.at, other.left);
    }
    feed(to, wire, len);
}

/* A record that the other end will open. */
static void say_sealed(scene *s, unsigned from, fuzz_input *input) {
    unsigned char record[256 + WIRE_MORE];
    unsigned type = take_byte(input);
    fuzz_input bytes = take_bytes(input, take_byte(input));
    end *one = &s->ends[from], *to = &s->ends[1 - from];
    size_t len =
        to->done ? wire_seal(&one->keys, one->said, type, bytes.at, bytes.left, record) : 0;
    if (len > 0) {
        one->said++;
        to->forged = true;
        feed(to, record, len);
    }
}

/* ---------------------------------------------------------------------------------------- input */

static void step(scene *s, fuzz_input *input) {
    unsigned what = take_byte(input);
    unsigned which = (what >> 3) & 1, how = what >> 4;
    switch (what % 8) {
    case 0: drive(s, which, how); break;
    case 1: move(s, which); break;
    case 2: move_changed(s, which, how, input); break;
    case 3: say_sealed(s, which, input); break;
    case 4: call(s, which, take_byte(input)); break;
    case 5: /* a whole round */
        drive(s, CLIENT, how);
        move(s, CLIENT);
        drive(s, SERVER, how);
        move(s, SERVER);
        break;
    case 6: (void)tlslife_conn_close(s->ends[which].conn, 0); break;
    default:
        (void)tlslife_conn_set_shutdown(s->ends[which].conn, (int)how % 4);
        s->ends[which].pretended = true;
        break;
    }
}

/* input: NULL if nothing of an attacker is to come in. */
static void begin(scene *s, tlslife_session *session, fuzz_input *input) {
    tlslife_context **two = contexts_of(s->config);
    tlslife_context *server = tlslife_context_up_ref(two[SERVER]);
    if (input != NULL && (s->config & STAPLED) != 0) {
        fuzz_input bytes = take_bytes(input, take_byte(input) % 128);
        tlslife_context_free(server);
        server = stapling(s->config, &bytes);
    }
    for (unsigned i = 0; i < 2; i++) {
        s->ends[i].conn = tlslife_conn_new(i == SERVER ? server : two[CLIENT], NULL);
        must(s->ends[i].conn != NULL);
        must(tlslife_conn_set_memory(s->ends[i].conn, ROOM) == TLSLIFE_OK);
    }
    tlslife_context_free(server);
    must(tlslife_conn_set_hostname(s->ends[CLIENT].conn, "localhost") == TLSLIFE_OK);
    if (input != NULL && (s->config & TLSA) != 0) {
        add_record(s->ends[CLIENT].conn, input);
    }
    if ((s->config & TRACED) != 0) {
        must(tlslife_conn_set_trace(s->ends[CLIENT].conn, trace) == TLSLIFE_OK);
    }
    if (session != NULL) {
        must(tlslife_conn_set_session(s->ends[CLIENT].conn, session) == TLSLIFE_OK);
    }
}

static void ask_facts(const end *one) {
    tlslife_bytes bytes;
    tlslife_certificate certificate;
    (void)tlslife_conn_version(one->conn);
    (void)tlslife_conn_cipher(one->conn);
    (void)tlslife_conn_group(one->conn);
    (void)tlslife_conn_server_name(one->conn);
    (void)tlslife_conn_alpn(one->conn, &bytes);
    (void)tlslife_conn_ocsp_response(one->conn, &bytes);
    (void)tlslife_conn_verify_result(one->conn);
    (void)tlslife_conn_resumption(one->conn);
    (void)tlslife_conn_early_data_status(one->conn);
    if (tlslife_conn_peer_certificate(one->conn, 0, &certificate)) {
        tlslife_certificate_clear(&certificate);
    }
}

static void finish(scene *s) {
    for (unsigned i = 0; i < 2; i++) {
        ask_facts(&s->ends[i]);
        tlslife_session_free(tlslife_conn_take_session(s->ends[i].conn));
        tlslife_conn_free(s->ends[i].conn);
    }
    read_trace();
}

/* A session of the configuration, from a handshake that nobody disturbs. It is used again. */
static tlslife_session *session_of(unsigned config) {
    static tlslife_session *all[CONFIGS];
    if ((config & RESUMED) != 0 && all[config] == NULL) {
        scene s = {.config = config};
        begin(&s, NULL, NULL);
        for (int i = 0; i < 4; i++) {
            fuzz_input round = {(const uint8_t *)"\005", 1};
            step(&s, &round);
        }
        all[config] = tlslife_conn_take_session(s.ends[CLIENT].conn);
        must(all[config] != NULL);
        (void)tlslife_conn_close(s.ends[CLIENT].conn, 0);
        (void)tlslife_conn_close(s.ends[SERVER].conn, 0);
        finish(&s);
    }
    return all[config] == NULL ? NULL : tlslife_session_dup(all[config]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    fuzz_input input = {bytes, len};
    scene s = {.config = take_byte(&input) % CONFIGS};
    if ((s.config & PSK) == PSK) { /* no certificate is shown */
        s.config &= ~(unsigned)STAPLED;
    }
    if ((s.config & (RESUMED | EARLY)) != 0) { /* which a context with DANE has not */
        s.config &= ~(unsigned)TLSA;
    }
    tlslife_session *session = session_of(s.config);
    begin(&s, session, &input);
    tlslife_session_free(session);
    for (int i = 0; i < 40 && input.left > 0; i++) {
        step(&s, &input);
    }
    finish(&s);
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

#define HANDSHAKE "\005\005\005"
#define HANDSHAKE_LEN 3

static void write_life(unsigned config, const char *name, const char *steps, size_t len) {
    char seed[256] = {(char)config}, path[64];
    memcpy(seed + 1, HANDSHAKE, HANDSHAKE_LEN);
    memcpy(seed + 1 + HANDSHAKE_LEN, steps, len);
    (void)snprintf(path, sizeof path, "%u-%s", config, name);
    write_seed(path, seed, 1 + HANDSHAKE_LEN + len);
}

#define LIFE(config, name, steps) write_life(config, name, steps, sizeof steps - 1)

/* A response or a record, in front of the steps. */
static void write_checked(unsigned config, const char *name, const char *bytes, size_t len) {
    char seed[256] = {(char)config}, path[64];
    memcpy(seed + 1, bytes, len);
    memcpy(seed + 1 + len, HANDSHAKE "\004\030\005\005", HANDSHAKE_LEN + 4);
    (void)snprintf(path, sizeof path, "%u-%s", config, name);
    write_seed(path, seed, 1 + len + HANDSHAKE_LEN + 4);
}

#define CHECKED(config, name, bytes) write_checked(config, name, bytes, sizeof bytes - 1)

static void make_seeds(void) {
    for (unsigned config = 0; config <= TLS12; config++) {
        CHECKED(config | STAPLED | TRACED, "stapled", "\003\012\001\006");
        CHECKED(config | STAPLED, "malformed", "\005hello");
        CHECKED(config | TLSA, "digest", "\013\040the digest of another certificate");
        CHECKED(config | TLSA | TRACED, "short", "\017\003abc");
        CHECKED(config | TLSA | STAPLED, "both", "\003\012\001\000\003\004\060\002\005\000");
    }
    for (unsigned config = 0; config < STAPLED; config++) {
        LIFE(config | TRACED, "traced", "\004\030\014\050\005\005");
        LIFE(config, "data", "\004\030\014\050\005\005\004\001\005\014\001\005\004\001");
    }
    for (unsigned config = 0; config <= TLS12; config++) {
        LIFE(config, "alert", "\003\025\002\001\000\005\013\025\002\002\050\005");
        LIFE(config, "update",
             "\004\012\004\000\005\014\002\014\000\005\003\026\005\030\000\000\001\001\005");
        LIFE(config, "ticket",
             "\014\004\014\000\005\013\026\015\004\000\000\011\000\000\000\000\000\000\001t\005");
        LIFE(config, "again", "\004\003\004\007\005\005\013\026\004\000\000\000\000\005\005");
        LIFE(config, "data-sealed", "\003\027\003abc\010\013\027\000\000\005\003\011\001x\005");
        LIFE(config, "changed", "\004\030\002\000\010\001\005\014\030\012\000\005\005");
        LIFE(config, "twice", "\004\030\042\000\000\000\005\022\000\003\000\005\004\031\005");
        LIFE(config | BOTH_SHOW | ASKING, "certificate",
             "\014\005\014\007\014\000\005\005\005\004\001\005");
        LIFE(config | BOTH_SHOW | ASKING, "eof", "\004\011\004\031\005\014\021\005");
    }
    write_seed("early", "\022\004\006\001\014\006\005\005\014\006\005\005", 12);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    trace = tlslife_trace_new((size_t)1 << 20, true, NULL);
    must(trace != NULL);
    seeds_if_asked(make_seeds);
    return 0;
}
