/*
 * oracle_state.c: runs the oracle's cases about two calls, one after the other, in each state that
 * a connection can have after its handshake.
 *
 * The calls are shutdown, read and write, in right and in wrong orders. A case says what the peer
 * hears of them, and what is left of the session. Its name is KIND/ROLE/in_STATE_VERB_VERB.
 */
#include <stdio.h>

#include "oracle.h"

/* --------------------------------------------------------------------------------------- states */

static void be_open(struct scene *scene) {
    (void)scene;
}

static void be_sent(struct scene *scene) {
    say_shutdown(scene, subject(scene));
}

static void be_received(struct scene *scene) {
    say_shutdown(scene, peer(scene));
    say_read(scene, subject(scene));
}

static void be_ended(struct scene *scene) {
    be_received(scene);
    say_shutdown(scene, subject(scene));
}

/* Both ends have sent close_notify, and neither has read the other's. */
static void be_crossed(struct scene *scene) {
    say_shutdown(scene, peer(scene));
    say_shutdown(scene, subject(scene));
}

static void be_quiet(struct scene *scene) {
    SSL_set_quiet_shutdown(subject(scene), 1);
}

static void be_marked_sent(struct scene *scene) {
    SSL_set_shutdown(subject(scene), SENT);
}

static void be_marked_received(struct scene *scene) {
    SSL_set_shutdown(subject(scene), RECEIVED);
}

static void be_marked_both(struct scene *scene) {
    SSL_set_shutdown(subject(scene), SENT | RECEIVED);
}

/* Data of the peer have come and were not read. */
static void be_unread(struct scene *scene) {
    say_write(scene, peer(scene), 1);
}

static void be_unread_and_received(struct scene *scene) {
    say_write(scene, peer(scene), 1);
    say_shutdown(scene, peer(scene));
}

static void be_updating(struct scene *scene) {
    say("key_update=%d", SSL_key_update(subject(scene), SSL_KEY_UPDATE_NOT_REQUESTED));
}

/* The peer's request for a key update was read. The answer waits for the next write. */
static void be_asked_to_update(struct scene *scene) {
    say("key_update=%d", SSL_key_update(peer(scene), SSL_KEY_UPDATE_REQUESTED));
    say_write(scene, peer(scene), 1);
    say_read(scene, subject(scene));
}

struct state {
    const char *name;
    int kinds;
    void (*reach)(struct scene *);
};

static const struct state STATES[] = {
    {"open", IDS, be_open},
    {"sent", IDS, be_sent},
    {"received", IDS, be_received},
    {"ended", IDS, be_ended},
    {"crossed", IDS, be_crossed},
    {"quiet", IDS, be_quiet},
    {"marked_sent", IDS, be_marked_sent},
    {"marked_received", IDS, be_marked_received},
    {"marked_both", IDS, be_marked_both},
    {"unread", IDS, be_unread},
    {"unread_and_received", IDS, be_unread_and_received},
    {"updating", TLS13, be_updating},
    {"asked_to_update", TLS13, be_asked_to_update},
};

/* ---------------------------------------------------------------------------------------- verbs */

struct verb {
    const char *name;
    void (*say)(const struct scene *scene, SSL *ssl);
};

static void say_write_byte(const struct scene *scene, SSL *ssl) {
    say_write(scene, ssl, 1);
}

static const struct verb VERBS[] = {
    {"shutdown", say_shutdown}, {"read", say_read}, {"write", say_write_byte}};

enum { STATES_LEN = sizeof STATES / sizeof STATES[0], VERBS_LEN = sizeof VERBS / sizeof VERBS[0] };

/* ------------------------------------------------------------------------------------ the cases */

/*
 * Prints what has come to the peer, and its answer. It reads twice, because data may come before
 * the end.
 */
static void hear(struct scene *scene) {
    say_read(scene, peer(scene));
    say_read(scene, peer(scene));
    say_masks(scene);
}

static void state_case(struct cases *cases, struct scene *scene, const struct state *state,
                       const struct verb *first, const struct verb *second) {
    char name[128];
    snprintf(name, sizeof name, "%s/%s/in_%s_%s_%s", kind_name(scene->kind), role_name(scene->role),
             state->name, first->name, second->name);
    if (!case_begins(cases, name)) {
        return;
    }
    scene_open(scene, scene->kind, scene->role);
    meet(scene, MEMORY);
    state->reach(scene);
    first->say(scene, subject(scene));
    second->say(scene, subject(scene));
    hear(scene);
    SSL_free(subject(scene));
    scene->ends[scene->role] = NULL;
    say_resumable(scene);
    scene_close(scene);
    case_ends();
}

static void of_kind_and_role(struct cases *cases, enum kind kind, enum role role) {
    for (size_t i = 0; i < STATES_LEN; i++) {
        if (!(STATES[i].kinds & IDS & 1 << kind)) {
            continue;
        }
        for (size_t j = 0; j < VERBS_LEN * VERBS_LEN; j++) {
            struct scene scene = {.kind = kind, .role = role};
            state_case(cases, &scene, &STATES[i], &VERBS[j / VERBS_LEN], &VERBS[j % VERBS_LEN]);
        }
    }
}

void state_walk(struct cases *cases) {
    for (enum kind kind = 0; kind < KINDS; kind++) {
        for (enum role role = 0; role < ROLES; role++) {
            of_kind_and_role(cases, kind, role);
        }
    }
}
