/*
 * oracle_sequence.c: lives that the matrix does not have: shutting down early, twice, or with something unread;
 * SSL_clear and SSL_dup at each stage; sessions set, replaced, refused, abandoned; tickets used one by one.
 *
 * A case is KIND/ROLE/NAME, or KIND/ROLE/NAME_ARGUMENT where one sequence has several.
 */
#include <stdio.h>
#include <string.h>

#include "oracle.h"

/* Groups that are not the default's first; P-256 is the certificate's, which TLS 1.2 wants there. Not const: a
 * macro of OpenSSL's casts it. */
static char groups[] = "P-384:P-256";

static SSL *client_of(const struct scene *scene) {
    return scene->ends[CLIENT];
}

static SSL *server_of(const struct scene *scene) {
    return scene->ends[SERVER];
}

/* Lets both ends go in good order and makes two new ones. */
static void prepare_again(struct scene *scene) {
    settle_all(scene);
    prepare(scene, MEMORY);
}

/* The rest of the handshake of both ends. */
static bool finish(const struct scene *scene) {
    bool done = handshake(client_of(scene), server_of(scene));
    say("done=%d", done);
    return done;
}

/* A second connection whose client offers the held session, or a copy where the subject serves. */
static void prepare_resuming(struct scene *scene) {
    meet(scene, MEMORY);
    prepare_again(scene);
    SSL_SESSION *session = offered(scene, scene->offer);
    must(session && SSL_set_session(client_of(scene), session) == 1, "set_session");
    SSL_SESSION_free(session);
}

static void begin_resuming(struct scene *scene) {
    prepare_resuming(scene);
    begin(scene);
}

/* ------------------------------------------------------------------------------------ shutdown and masks */

static void shutdown_before(struct scene *scene) {
    prepare(scene, MEMORY);
    say_shutdown(scene, subject(scene));
    say_masks(scene);
    finish(scene);
}

static void shutdown_during(struct scene *scene) {
    prepare(scene, MEMORY);
    begin(scene);
    say_shutdown(scene, subject(scene));
    say_masks(scene);
    finish(scene);
}

/* Each mask set and read, before the handshake (0) or after it (1). */
static void masks(struct scene *scene) {
    static const int order[] = {1, 0, 2, 3, 1, 2, 0};
    (scene->argument ? meet : prepare)(scene, MEMORY);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        SSL_set_shutdown(subject(scene), order[i]);
        say("set%d=%d", order[i], SSL_get_shutdown(subject(scene)));
    }
}

static void set_then_shutdown(struct scene *scene) {
    meet(scene, MEMORY);
    SSL_set_shutdown(subject(scene), scene->argument);
    say_shutdown(scene, subject(scene));
    say_read(scene, peer(scene));
    say_masks(scene);
}

/* The mask is put back to 0: does another close_notify go out, and what does the peer make of it? */
static void shutdown_zero_shutdown(struct scene *scene) {
    meet(scene, MEMORY);
    say_shutdown(scene, subject(scene));
    SSL_set_shutdown(subject(scene), 0);
    say_shutdown(scene, subject(scene));
    say_read(scene, peer(scene));
    say_read(scene, peer(scene));
    SSL_set_shutdown(peer(scene), 0);
    say_read(scene, peer(scene));
    say_read(scene, peer(scene));
    say_masks(scene);
}

static void shutdown_thrice(struct scene *scene) {
    meet(scene, MEMORY);
    say_shutdown(scene, subject(scene));
    say_shutdown(scene, peer(scene));
    say_shutdown(scene, peer(scene));
    say_shutdown(scene, subject(scene));
    say_shutdown(scene, subject(scene));
    say_masks(scene);
}

/* The second call waits for a close_notify that has not come. */
static void shutdown_waits(struct scene *scene) {
    meet(scene, MEMORY);
    say_shutdown(scene, subject(scene));
    say_shutdown(scene, subject(scene));
    say_masks(scene);
    say_resumable(scene);
}

static void shutdown_unread(struct scene *scene) {
    meet(scene, MEMORY);
    say_write(scene, peer(scene), 1);
    say_shutdown(scene, subject(scene));
    say_shutdown(scene, subject(scene));
    say_masks(scene);
    say_resumable(scene);
}

static void shutdown_unread_then_read(struct scene *scene) {
    meet(scene, MEMORY);
    say_write(scene, peer(scene), 1);
    say_shutdown(scene, peer(scene));
    say_shutdown(scene, subject(scene));
    say_read(scene, subject(scene));
    say_read(scene, subject(scene));
    say_shutdown(scene, subject(scene));
    say_masks(scene);
}

/* The tickets are still on their way when the client begins to wait for close_notify. */
static void shutdown_tickets(struct scene *scene) {
    prepare(scene, MEMORY);
    finish(scene);
    say_shutdown(scene, subject(scene));
    say("kept=%zu", scene->kept_len);
    say_read(scene, peer(scene));
    say_shutdown(scene, peer(scene));
    say_shutdown(scene, subject(scene));
    say("kept=%zu", scene->kept_len);
    for (size_t i = 0; i < scene->kept_len; i++)
        say_fresh(scene, "fresh", scene->kept[i]);
}

static void shutdown_full_retry(struct scene *scene) {
    meet(scene, MEMORY);
    end_full(scene);
    say_shutdown(scene, subject(scene));
    say_read(scene, peer(scene));
    say_shutdown(scene, subject(scene));
    say_read(scene, peer(scene));
    say_masks(scene);
}

/* A write waits in the middle of a record; shut down thrice while the peer makes room, then written again. */
static void shutdown_write_waits(struct scene *scene) {
    meet(scene, MEMORY);
    say_write(scene, subject(scene), SSL3_RT_MAX_PLAIN_LENGTH);
    for (int i = 0; i < 3; i++) {
        say_shutdown(scene, subject(scene));
        say_read(scene, peer(scene));
    }
    for (int i = 0; i < 2; i++) {
        say_write(scene, subject(scene), SSL3_RT_MAX_PLAIN_LENGTH);
        say_read(scene, peer(scene));
    }
    say_masks(scene);
}

typedef void (*ending)(struct scene *);

static void shutdown_after(struct scene *scene, ending end) {
    meet(scene, MEMORY);
    end(scene);
    say_shutdown(scene, subject(scene));
    say_read(scene, subject(scene));
    say_write(scene, subject(scene), 1);
    say_masks(scene);
}

static void shutdown_after_eof(struct scene *scene) {
    shutdown_after(scene, end_eof);
}

static void shutdown_after_alert_sent(struct scene *scene) {
    shutdown_after(scene, end_alert_sent);
}

static void shutdown_after_alert_received(struct scene *scene) {
    shutdown_after(scene, end_alert_received);
}

static void context_quiet(struct scene *scene) {
    SSL_CTX_set_quiet_shutdown(scene->contexts[scene->role], 1);
    meet(scene, MEMORY);
    say("quiet=%d", SSL_get_quiet_shutdown(subject(scene)));
    say_shutdown(scene, subject(scene));
    say_read(scene, peer(scene));
    say_masks(scene);
}

static void half_closed(struct scene *scene) {
    meet(scene, MEMORY);
    say_shutdown(scene, subject(scene));
    say_write(scene, subject(scene), 1);
    say_write(scene, peer(scene), 1);
    say_read(scene, subject(scene));
    say_read(scene, peer(scene));
    say_write(scene, peer(scene), 1);
    say_read(scene, subject(scene));
    say_masks(scene);
}

/* RECEIVED is set by hand although there is something to read. */
static void received_unread(struct scene *scene) {
    meet(scene, MEMORY);
    say_write(scene, peer(scene), 1);
    SSL_set_shutdown(subject(scene), RECEIVED);
    say_read(scene, subject(scene));
    SSL_set_shutdown(subject(scene), 0);
    say_read(scene, subject(scene));
    say_masks(scene);
}

/* SENT is set by hand: nothing can be written until it is taken back. */
static void sent_write(struct scene *scene) {
    meet(scene, MEMORY);
    SSL_set_shutdown(subject(scene), SENT);
    say_write(scene, subject(scene), 1);
    SSL_set_shutdown(subject(scene), 0);
    say_write(scene, subject(scene), 1);
    say_read(scene, peer(scene));
    say_masks(scene);
}

/* -------------------------------------------------------------------------------- before the handshake */

static void read_before(struct scene *scene) {
    prepare(scene, MEMORY);
    say_read(scene, subject(scene));
    say("begun=%d", !SSL_in_before(subject(scene)));
}

static void write_before(struct scene *scene) {
    prepare(scene, MEMORY);
    say_write(scene, subject(scene), 1);
    say("begun=%d", !SSL_in_before(subject(scene)));
}

/* ------------------------------------------------------------------------------------------------- clear */

static void say_cleared(const struct scene *scene) {
    SSL *ssl = subject(scene);
    say_clear(ssl);
    say("before=%d s.mask=%d reused=%d session=%d", SSL_in_before(ssl), SSL_get_shutdown(ssl),
        SSL_session_reused(ssl), SSL_get0_session(ssl) != NULL);
}

static void replace_peer(struct scene *scene) {
    enum role other = scene->role == CLIENT ? SERVER : CLIENT;
    settle(&scene->ends[other]);
    scene->ends[other] = connection(scene, other);
    join(client_of(scene), server_of(scene));
}

static void clear_before(struct scene *scene) {
    prepare(scene, MEMORY);
    say_cleared(scene);
    finish(scene);
}

/* In the middle of a handshake that offers a session; then the whole again, with a new peer. */
static void clear_during(struct scene *scene) {
    begin_resuming(scene);
    say_cleared(scene);
    say_resumable(scene);
    replace_peer(scene);
    if (finish(scene))
        say_reused("again", client_of(scene), server_of(scene));
}

static void clear_twice(struct scene *scene) {
    meet(scene, MEMORY);
    say_shutdown(scene, subject(scene));
    say_cleared(scene);
    say_cleared(scene);
    say_resumable(scene);
}

/* What is set on one connection, and what SSL_clear leaves of it. */
static void clear_keeps(struct scene *scene) {
    meet(scene, MEMORY);
    SSL_set_quiet_shutdown(subject(scene), 1);
    say_shutdown(scene, subject(scene));
    say_cleared(scene);
    say("quiet=%d", SSL_get_quiet_shutdown(subject(scene)));
    if (scene->role == CLIENT)
        say("name=%d", SSL_get_servername(subject(scene), TLSEXT_NAMETYPE_host_name) != NULL);
}

static void clear_renegotiating(struct scene *scene) {
    meet(scene, MEMORY);
    say("renegotiate=%d", SSL_renegotiate(subject(scene)));
    say_clear(subject(scene));
    say_resumable(scene);
}

/* --------------------------------------------------------------------------------------------------- dup */

/* Settings of one connection on an SSL that already has a transport; returns its dup, subject in its place. */
static void dup_in_place(struct scene *scene) {
    SSL *from = subject(scene), *dup = SSL_dup(from);
    must(dup != NULL, "dup");
    say("same=%d transport=%d quiet=%d s.mask=%d", dup == from, SSL_get_rbio(dup) != NULL,
        SSL_get_quiet_shutdown(dup), SSL_get_shutdown(dup));
    settle(&from);
    scene->ends[scene->role] = dup;
}

static void set_client(SSL *ssl) {
    static const unsigned char alpn[] = "\5dup/1";
    must(SSL_set_alpn_protos(ssl, alpn, sizeof alpn - 1) == 0 && SSL_set1_groups_list(ssl, groups) == 1,
         "settings");
}

static void say_agreed(const struct scene *scene) {
    const unsigned char *alpn;
    unsigned alpn_len;
    SSL *server = server_of(scene);
    long group = SSL_get_negotiated_group(server);
    SSL_get0_alpn_selected(server, &alpn, &alpn_len);
    say("name=%d", SSL_get_servername(server, TLSEXT_NAMETYPE_host_name) != NULL);
    say("alpn=%d", alpn_len > 0);
    say("group=%d", group == NID_secp384r1 || group == NID_X9_62_prime256v1);
}

static void dup_before(struct scene *scene) {
    prepare(scene, SOCKETS);
    SSL_set_quiet_shutdown(subject(scene), 1);
    set_client(client_of(scene));
    must(SSL_set_num_tickets(server_of(scene), 4) == 1, "tickets");
    dup_in_place(scene);
    join(client_of(scene), server_of(scene));
    if (!finish(scene))
        return;
    say_agreed(scene);
    exchange(client_of(scene), server_of(scene));
    say("kept=%zu", scene->kept_len);
}

static void dup_masked(struct scene *scene) {
    prepare(scene, SOCKETS);
    SSL_set_shutdown(subject(scene), scene->argument);
    dup_in_place(scene);
}

static void dup_offering(struct scene *scene) {
    prepare_resuming(scene);
    dup_in_place(scene);
    say("session=%d", SSL_get0_session(subject(scene)) == scene->offer);
    join(client_of(scene), server_of(scene));
    if (finish(scene))
        say_reused("again", client_of(scene), server_of(scene));
}

/* Once begun it is the same SSL, with one reference more. */
static void dup_during(struct scene *scene) {
    prepare(scene, MEMORY);
    begin(scene);
    SSL *dup = SSL_dup(subject(scene));
    say("same=%d", dup == subject(scene));
    SSL_free(dup);
    finish(scene);
}

static void dup_open(struct scene *scene) {
    meet(scene, MEMORY);
    SSL *dup = SSL_dup(subject(scene));
    say("same=%d", dup == subject(scene));
    SSL_free(dup);
    say_resumable(scene);
    say_write(scene, subject(scene), 1);
    say_read(scene, peer(scene));
}

static void dup_cleared(struct scene *scene) {
    meet(scene, MEMORY);
    say_shutdown(scene, subject(scene));
    say_cleared(scene);
    SSL *from = subject(scene), *dup = SSL_dup(from);
    must(dup != NULL, "dup");
    say("same=%d session=%d", dup == from, SSL_get0_session(dup) != NULL);
    SSL_free(dup);
}

/* ------------------------------------------------------------------------------------ references, contexts */

/* The first free judges nothing, the last one does. */
static void references(struct scene *scene) {
    meet(scene, MEMORY);
    say("up_ref=%d", SSL_up_ref(subject(scene)));
    SSL_free(subject(scene));
    say_resumable(scene);
    say_write(scene, subject(scene), 1);
    say_read(scene, peer(scene));
    SSL_free(subject(scene));
    scene->ends[scene->role] = NULL;
    say_resumable(scene);
}

/* A context that goes takes the sessions of its own cache along. */
static void context_freed(struct scene *scene) {
    meet(scene, MEMORY);
    settle_all(scene);
    say_resumable(scene);
    SSL_CTX_free(scene->contexts[scene->role]);
    scene->contexts[scene->role] = NULL;
    say_resumable(scene);
}

/* ---------------------------------------------------------------------------------------------- sessions */

/* What the client's session is before the handshake, after it, and once the tickets have come. */
static void session_stages(struct scene *scene) {
    prepare(scene, MEMORY);
    say("session=%d", SSL_get0_session(subject(scene)) != NULL);
    finish(scene);
    say("resumable=%d kept=%zu", SSL_SESSION_is_resumable(SSL_get0_session(subject(scene))), scene->kept_len);
    exchange(client_of(scene), server_of(scene));
    say("resumable=%d kept=%zu", SSL_SESSION_is_resumable(SSL_get0_session(subject(scene))), scene->kept_len);
    say("reused=%d", SSL_session_reused(subject(scene)));
}

static void session_replaced(struct scene *scene) {
    meet(scene, MEMORY);
    prepare_again(scene);
    SSL_SESSION *copy = SSL_SESSION_dup(scene->held);
    say("set=%d", SSL_set_session(subject(scene), scene->held));
    say("set=%d", SSL_set_session(subject(scene), copy));
    say("got=%d", SSL_get0_session(subject(scene)) == copy);
    say("unset=%d", SSL_set_session(subject(scene), NULL));
    say("got=%d", SSL_get0_session(subject(scene)) != NULL);
    say("copy=%d", SSL_SESSION_is_resumable(copy));
    SSL_SESSION_free(copy);
    say_verdict(scene);
}

static void session_set_live(struct scene *scene) {
    meet(scene, MEMORY);
    SSL_SESSION *copy = SSL_SESSION_dup(scene->held);
    say("set=%d", SSL_set_session(subject(scene), copy));
    SSL_SESSION_free(copy);
    say_resumable(scene);
    say_write(scene, peer(scene), 1);
    say_read(scene, subject(scene));
    say_write(scene, subject(scene), 1);
    say_read(scene, peer(scene));
}

static void session_set_during(struct scene *scene) {
    meet(scene, MEMORY);
    prepare_again(scene);
    begin(scene);
    say("set=%d", SSL_set_session(subject(scene), scene->held));
    finish(scene);
    say_resumable(scene);
}

static void session_set_server(struct scene *scene) {
    meet(scene, MEMORY);
    prepare_again(scene);
    say("set=%d", SSL_set_session(subject(scene), scene->held));
    say_resumable(scene);
}

/* Offered to a server that never made it. */
static void session_refused(struct scene *scene) {
    struct scene stranger;
    meet(scene, MEMORY);
    settle_all(scene);
    scene_open(&stranger, scene->kind, SERVER);
    scene->ends[CLIENT] = connection(scene, CLIENT);
    scene->ends[SERVER] = connection(&stranger, SERVER);
    join(client_of(scene), server_of(scene));
    must(SSL_set_session(client_of(scene), scene->held) == 1, "set_session");
    if (finish(scene)) {
        say_reused("reused", client_of(scene), server_of(scene));
        exchange(client_of(scene), server_of(scene));
        say("same=%d", SSL_get0_session(client_of(scene)) == scene->held);
    }
    say_verdict(scene);
    settle_all(scene);
    scene_close(&stranger);
}

/* The subject goes in the middle of a handshake. */
static void abandoned(struct scene *scene) {
    begin_resuming(scene);
    SSL_free(subject(scene));
    scene->ends[scene->role] = NULL;
    say_verdict(scene);
}

static void handshake_eof(struct scene *scene) {
    begin_resuming(scene);
    leave(peer(scene));
    say_handshake(scene, subject(scene));
    say_verdict(scene);
}

static void handshake_alert_sent(struct scene *scene) {
    begin_resuming(scene);
    garble(subject(scene));
    say_handshake(scene, subject(scene));
    say_handshake(scene, subject(scene));
    say_verdict(scene);
}

/* What is no TLS comes to the peer first of all, whose alert the subject then meets in its handshake. */
static void handshake_alert_received(struct scene *scene) {
    prepare_resuming(scene);
    garble(peer(scene));
    if (scene->role == CLIENT)
        say_handshake(scene, subject(scene));
    say_handshake(scene, peer(scene));
    say_handshake(scene, subject(scene));
    say_verdict(scene);
}

/* ----------------------------------------------------------------------------------------------- tickets */

static void meet_for_tickets(struct scene *scene) {
    prepare(scene, MEMORY);
    must(SSL_set_num_tickets(server_of(scene), 4) == 1, "tickets");
    finish(scene);
    exchange(client_of(scene), server_of(scene));
    say("kept=%zu", scene->kept_len);
    settle_all(scene);
}

static void tickets_each(struct scene *scene) {
    meet_for_tickets(scene);
    size_t len = scene->kept_len;
    for (int round = 0; round < scene->argument; round++)
        for (size_t i = 0; i < len; i++)
            say_fresh(scene, "fresh", scene->kept[i]);
}

/* Resumes with the session, and lets it see the tickets that the resumed connection brings. */
static void use_session(struct scene *scene, SSL_SESSION *session) {
    prepare_again(scene);
    must(SSL_set_session(client_of(scene), session) == 1, "set_session");
    if (!finish(scene))
        return;
    say_reused("used", client_of(scene), server_of(scene));
    exchange(client_of(scene), server_of(scene));
    settle_all(scene);
}

static void session_twice(struct scene *scene) {
    meet(scene, MEMORY);
    for (int i = 0; i < 3; i++) {
        use_session(scene, scene->held);
        say_resumable(scene);
    }
    say("kept=%zu", scene->kept_len);
}

/* Each connection resumes by what the one before was given. */
static void session_chain(struct scene *scene) {
    meet(scene, MEMORY);
    for (int i = 0; i < 3; i++)
        use_session(scene, scene->kept[scene->kept_len - 1]);
    say("kept=%zu", scene->kept_len);
}

/* --------------------------------------------------------------------------------------------- the table */

enum {
    IDS = 1 << TLS12_ID | 1 << TLS13_STATEFUL,
    TLS12 = 1 << TLS12_ID | 1 << TLS12_TICKET,
    TLS13 = 1 << TLS13_STATEFUL | 1 << TLS13_STATELESS,
    EVERY = TLS12 | TLS13,
    OF_CLIENT = 1 << CLIENT,
    OF_SERVER = 1 << SERVER,
    OF_BOTH = OF_CLIENT | OF_SERVER
};

struct sequence {
    const char *name;
    int kinds;
    int roles;
    void (*run)(struct scene *);
    int argument;
};

static const struct sequence SEQUENCES[] = {
    {"shutdown_before", IDS, OF_BOTH, shutdown_before, 0},
    {"shutdown_during", IDS, OF_BOTH, shutdown_during, 0},
    {"masks_before", IDS, OF_BOTH, masks, 0},
    {"masks_open", IDS, OF_BOTH, masks, 1},
    {"set_then_shutdown_1", IDS, OF_BOTH, set_then_shutdown, SENT},
    {"set_then_shutdown_2", IDS, OF_BOTH, set_then_shutdown, RECEIVED},
    {"set_then_shutdown_3", IDS, OF_BOTH, set_then_shutdown, SENT | RECEIVED},
    {"shutdown_zero_shutdown", IDS, OF_BOTH, shutdown_zero_shutdown, 0},
    {"shutdown_thrice", IDS, OF_BOTH, shutdown_thrice, 0},
    {"shutdown_waits", IDS, OF_BOTH, shutdown_waits, 0},
    {"shutdown_unread", IDS, OF_BOTH, shutdown_unread, 0},
    {"shutdown_unread_then_read", IDS, OF_BOTH, shutdown_unread_then_read, 0},
    {"shutdown_tickets", TLS13, OF_CLIENT, shutdown_tickets, 0},
    {"shutdown_full_retry", IDS, OF_BOTH, shutdown_full_retry, 0},
    {"shutdown_write_waits", IDS, OF_BOTH, shutdown_write_waits, 0},
    {"shutdown_after_eof", IDS, OF_BOTH, shutdown_after_eof, 0},
    {"shutdown_after_alert_sent", IDS, OF_BOTH, shutdown_after_alert_sent, 0},
    {"shutdown_after_alert_received", IDS, OF_BOTH, shutdown_after_alert_received, 0},
    {"context_quiet", IDS, OF_BOTH, context_quiet, 0},
    {"half_closed", IDS, OF_BOTH, half_closed, 0},
    {"received_unread", IDS, OF_BOTH, received_unread, 0},
    {"sent_write", IDS, OF_BOTH, sent_write, 0},
    {"read_before", IDS, OF_BOTH, read_before, 0},
    {"write_before", IDS, OF_BOTH, write_before, 0},
    {"clear_before", IDS, OF_BOTH, clear_before, 0},
    {"clear_during", EVERY, OF_BOTH, clear_during, 0},
    {"clear_twice", EVERY, OF_BOTH, clear_twice, 0},
    {"clear_keeps", IDS, OF_BOTH, clear_keeps, 0},
    {"clear_renegotiating", TLS12, OF_BOTH, clear_renegotiating, 0},
    {"dup_before", IDS, OF_BOTH, dup_before, 0},
    {"dup_masked_1", IDS, OF_BOTH, dup_masked, SENT},
    {"dup_masked_3", IDS, OF_BOTH, dup_masked, SENT | RECEIVED},
    {"dup_offering", EVERY, OF_CLIENT, dup_offering, 0},
    {"dup_during", IDS, OF_BOTH, dup_during, 0},
    {"dup_open", IDS, OF_BOTH, dup_open, 0},
    {"dup_cleared", EVERY, OF_BOTH, dup_cleared, 0},
    {"references", EVERY, OF_BOTH, references, 0},
    {"context_freed", EVERY, OF_BOTH, context_freed, 0},
    {"session_stages", EVERY, OF_BOTH, session_stages, 0},
    {"session_replaced", EVERY, OF_CLIENT, session_replaced, 0},
    {"session_set_live", EVERY, OF_BOTH, session_set_live, 0},
    {"session_set_during", EVERY, OF_CLIENT, session_set_during, 0},
    {"session_set_server", EVERY, OF_SERVER, session_set_server, 0},
    {"session_refused", EVERY, OF_CLIENT, session_refused, 0},
    {"session_twice", EVERY, OF_CLIENT, session_twice, 0},
    {"session_chain", EVERY, OF_CLIENT, session_chain, 0},
    {"abandoned", EVERY, OF_BOTH, abandoned, 0},
    {"handshake_eof", EVERY, OF_BOTH, handshake_eof, 0},
    {"handshake_alert_sent", EVERY, OF_BOTH, handshake_alert_sent, 0},
    {"handshake_alert_received", EVERY, OF_BOTH, handshake_alert_received, 0},
    {"tickets_each", TLS13, OF_CLIENT, tickets_each, 1},
    {"tickets_each_twice", TLS13, OF_CLIENT, tickets_each, 2},
};

static void sequence_case(struct cases *cases, enum kind kind, enum role role,
                          const struct sequence *sequence) {
    char name[128];
    struct scene scene;
    snprintf(name, sizeof name, "%s/%s/%s", kind_name(kind), role_name(role), sequence->name);
    if (!case_begins(cases, name))
        return;
    scene_open(&scene, kind, role);
    scene.argument = sequence->argument;
    sequence->run(&scene);
    scene_close(&scene);
    case_ends();
}

void sequence_walk(struct cases *cases) {
    for (size_t i = 0; i < sizeof SEQUENCES / sizeof SEQUENCES[0]; i++)
        for (enum kind kind = 0; kind < KINDS; kind++)
            for (enum role role = 0; role < ROLES; role++)
                if (SEQUENCES[i].kinds & 1 << kind && SEQUENCES[i].roles & 1 << role)
                    sequence_case(cases, kind, role, &SEQUENCES[i]);
}
