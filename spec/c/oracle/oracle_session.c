/*
 * oracle_session.c: runs the oracle's cases about sessions that are set, replaced, refused or
 * abandoned, or that meet an alert, and about tickets that are used one by one.
 */
#include "oracle.h"

/* ------------------------------------------------------------------------------------- sessions */

/*
 * Prints what the client's session is before the handshake, after it, and once the tickets have
 * come.
 */
static void session_stages(struct scene *scene) {
    prepare(scene, MEMORY);
    say("session=%d", SSL_get0_session(subject(scene)) != NULL);
    finish(scene);
    say("resumable=%d kept=%zu", SSL_SESSION_is_resumable(SSL_get0_session(subject(scene))),
        scene->kept_len);
    exchange(client_of(scene), server_of(scene));
    say("resumable=%d kept=%zu", SSL_SESSION_is_resumable(SSL_get0_session(subject(scene))),
        scene->kept_len);
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
    say_final_status(scene);
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
    say_final_status(scene);
    settle_all(scene);
    scene_close(&stranger);
}

/* The subject is freed in the middle of a handshake. */
static void abandoned(struct scene *scene) {
    begin_resuming(scene);
    SSL_free(subject(scene));
    scene->ends[scene->role] = NULL;
    say_final_status(scene);
}

static void handshake_eof(struct scene *scene) {
    begin_resuming(scene);
    leave(peer(scene));
    say_handshake(scene, subject(scene));
    say_final_status(scene);
}

static void handshake_alert_sent(struct scene *scene) {
    begin_resuming(scene);
    garble(subject(scene));
    say_handshake(scene, subject(scene));
    say_handshake(scene, subject(scene));
    say_final_status(scene);
}

/*
 * The peer first receives bytes that are no TLS, and the subject meets the peer's alert in its
 * handshake.
 */
static void handshake_alert_received(struct scene *scene) {
    prepare_resuming(scene);
    garble(peer(scene));
    if (scene->role == CLIENT) {
        say_handshake(scene, subject(scene));
    }
    say_handshake(scene, peer(scene));
    say_handshake(scene, subject(scene));
    say_final_status(scene);
}

/* -------------------------------------------------------------------------------------- tickets */

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
    for (int round = 0; round < scene->argument; round++) {
        for (size_t i = 0; i < len; i++) {
            say_fresh(scene, "fresh", scene->kept[i]);
        }
    }
}

/* Resumes with the session, and reads the tickets that the resumed connection brings. */
static void use_session(struct scene *scene, SSL_SESSION *session) {
    prepare_again(scene);
    must(SSL_set_session(client_of(scene), session) == 1, "set_session");
    if (!finish(scene)) {
        return;
    }
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

/* Each connection resumes with the session that the one before was given. */
static void session_chain(struct scene *scene) {
    meet(scene, MEMORY);
    for (int i = 0; i < 3; i++) {
        use_session(scene, scene->kept[scene->kept_len - 1]);
    }
    say("kept=%zu", scene->kept_len);
}

/* ------------------------------------------------------------------------------------ the table */

const struct sequence SESSION_SEQUENCES[] = {
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
    {0},
};
