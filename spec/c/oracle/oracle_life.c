/*
 * oracle_life.c: runs the oracle's cases about SSL_clear and SSL_dup at each stage and what they
 * keep, about references, and about the end of a context.
 */
#include "oracle.h"

/*
 * Groups of which the first is not the default's first. P-256 is the certificate's, and TLS 1.2
 * needs it in the list. The text is not const, because a macro of OpenSSL's casts that away.
 */
static char groups[] = "P-384:P-256";

/* ---------------------------------------------------------------------------------------- clear */

static void say_cleared(const struct scene *scene) {
    SSL *ssl = subject(scene);
    say_clear(ssl);
    say("before=%d s.mask=%d reused=%d session=%d", SSL_in_before(ssl), SSL_get_shutdown(ssl),
        SSL_session_reused(ssl), SSL_get0_session(ssl) != NULL);
}

static void clear_before(struct scene *scene) {
    prepare(scene, MEMORY);
    say_cleared(scene);
    finish(scene);
}

/*
 * Clears in the middle of a handshake that offers a session, and then makes a whole handshake with
 * a new peer.
 */
static void clear_during(struct scene *scene) {
    begin_resuming(scene);
    say_cleared(scene);
    say_resumable(scene);
    replace_peer(scene);
    if (finish(scene)) {
        say_reused("again", client_of(scene), server_of(scene));
    }
}

static void clear_twice(struct scene *scene) {
    meet(scene, MEMORY);
    say_shutdown(scene, subject(scene));
    say_cleared(scene);
    say_cleared(scene);
    say_resumable(scene);
}

/* Sets one connection, and says what SSL_clear leaves of the settings. */
static void clear_keeps(struct scene *scene) {
    meet(scene, MEMORY);
    SSL_set_quiet_shutdown(subject(scene), 1);
    say_shutdown(scene, subject(scene));
    say_cleared(scene);
    say("quiet=%d", SSL_get_quiet_shutdown(subject(scene)));
    if (scene->role == CLIENT) {
        say("name=%d", SSL_get_servername(subject(scene), TLSEXT_NAMETYPE_host_name) != NULL);
    }
}

static void clear_renegotiating(struct scene *scene) {
    meet(scene, MEMORY);
    say("renegotiate=%d", SSL_renegotiate(subject(scene)));
    say_clear(subject(scene));
    say_resumable(scene);
}

/* ------------------------------------------------------------------------------------------ dup */

/* Sets an SSL that already has a transport, and puts its SSL_dup in the place of the subject. */
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
    must(SSL_set_alpn_protos(ssl, alpn, sizeof alpn - 1) == 0 &&
             SSL_set1_groups_list(ssl, groups) == 1,
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
    if (!finish(scene)) {
        return;
    }
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
    if (finish(scene)) {
        say_reused("again", client_of(scene), server_of(scene));
    }
}

/* SSL_dup of an SSL that has begun is the same SSL, with one more reference. */
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

/* ------------------------------------------------------------------------- references, contexts */

/* The first SSL_free does not judge the session, and the last one does. */
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

/* A context that is freed takes the sessions of its own cache with it. */
static void context_freed(struct scene *scene) {
    meet(scene, MEMORY);
    settle_all(scene);
    say_resumable(scene);
    SSL_CTX_free(scene->contexts[scene->role]);
    scene->contexts[scene->role] = NULL;
    say_resumable(scene);
}

/* ------------------------------------------------------------------------------------ the table */

const struct sequence LIFE_SEQUENCES[] = {
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
    {0},
};
