/*
 * oracle_matrix.c: runs the oracle's cases for every kind and role, each way in which a connection
 * can end, and each way to free it afterwards. They say what is left of its session.
 *
 * A case is KIND/ROLE/END/DISPOSAL. The peer is brought to rest before the end is looked at. So
 * what is seen was done by the subject, or did pass between the two (an alert, the end of a
 * stream).
 */
#include <stdio.h>

#include "oracle.h"

/* ----------------------------------------------------------------------------------------- ends */

static void end_none(struct scene *scene) {
    (void)scene;
}

static void set_mask(const struct scene *scene, int mask) {
    SSL_set_shutdown(subject(scene), mask);
    say("set_shutdown=%d", mask);
}

static void end_set1(struct scene *scene) {
    set_mask(scene, SENT);
}

static void end_set2(struct scene *scene) {
    set_mask(scene, RECEIVED);
}

static void end_set3(struct scene *scene) {
    set_mask(scene, SENT | RECEIVED);
}

static void end_one(struct scene *scene) {
    say_shutdown(scene, subject(scene));
}

static void end_zeroed(struct scene *scene) {
    end_one(scene);
    set_mask(scene, 0);
}

static void end_two(struct scene *scene) {
    end_one(scene);
    say_read(scene, peer(scene));
    say_shutdown(scene, peer(scene));
    say_shutdown(scene, subject(scene));
}

static void end_quiet(struct scene *scene) {
    SSL_set_quiet_shutdown(subject(scene), 1);
    end_one(scene);
    say_read(scene, peer(scene));
}

static void end_unanswered(struct scene *scene) {
    say_shutdown(scene, peer(scene));
    say_read(scene, subject(scene));
}

static void end_answered(struct scene *scene) {
    end_unanswered(scene);
    say_shutdown(scene, subject(scene));
}

void end_eof(struct scene *scene) {
    leave(peer(scene));
    say_read(scene, subject(scene));
}

void end_alert_sent(struct scene *scene) {
    garble(subject(scene));
    say_read(scene, subject(scene));
    say_read(scene, peer(scene));
}

void end_alert_received(struct scene *scene) {
    garble(peer(scene));
    say_read(scene, peer(scene));
    say_read(scene, subject(scene));
}

/* How many bytes a record adds to what it carries, found with one byte that the peer then reads. */
static size_t record_overhead(const struct scene *scene) {
    say_write(scene, subject(scene), 1);
    size_t overhead = BIO_ctrl_pending(SSL_get_rbio(peer(scene))) - 1;
    say_read(scene, peer(scene));
    return overhead;
}

void end_full(struct scene *scene) {
    say_write(scene, subject(scene), CAPACITY - record_overhead(scene));
    say_shutdown(scene, subject(scene));
}

static void end_full_write(struct scene *scene) {
    say_write(scene, subject(scene), SSL3_RT_MAX_PLAIN_LENGTH);
    say_shutdown(scene, subject(scene));
}

/* The peer leaves with bytes unread, so its socket is reset and does not end. */
static void end_gone(struct scene *scene) {
    say_write(scene, subject(scene), 1);
    leave(peer(scene));
    say_shutdown(scene, subject(scene));
}

struct end {
    const char *name;
    enum wire wire;
    void (*run)(struct scene *);
};

static const struct end ENDS[] = {
    {"none", MEMORY, end_none},
    {"set1", MEMORY, end_set1},
    {"set2", MEMORY, end_set2},
    {"set3", MEMORY, end_set3},
    {"zeroed", MEMORY, end_zeroed},
    {"one", MEMORY, end_one},
    {"two", MEMORY, end_two},
    {"quiet", MEMORY, end_quiet},
    {"unanswered", MEMORY, end_unanswered},
    {"answered", MEMORY, end_answered},
    {"eof", MEMORY, end_eof},
    {"alert_sent", MEMORY, end_alert_sent},
    {"alert_received", MEMORY, end_alert_received},
    {"full", MEMORY, end_full},
    {"full_write", MEMORY, end_full_write},
    {"gone", SOCKETS, end_gone},
};

/* ------------------------------------------------------------------------------------ disposals */

static void settle_peer(struct scene *scene) {
    settle(&scene->ends[scene->role == CLIENT ? SERVER : CLIENT]);
}

static void dispose_free(struct scene *scene) {
    SSL_free(subject(scene));
    scene->ends[scene->role] = NULL;
    say("free");
    settle_peer(scene);
    say_final_status(scene);
}

static void clear(struct scene *scene) {
    say_clear(subject(scene));
    say("s.mask=%d", SSL_get_shutdown(subject(scene)));
    settle_peer(scene);
}

static void dispose_clear(struct scene *scene) {
    clear(scene);
    say_final_status(scene);
}

/*
 * The same SSL connects once more. A client offers what it still has, and a server is offered the
 * copy.
 */
static void dispose_again(struct scene *scene) {
    enum role other = scene->role == CLIENT ? SERVER : CLIENT;
    clear(scene);
    scene->ends[other] = connection(scene, other);
    if (other == CLIENT) {
        must(SSL_set_session(scene->ends[CLIENT], scene->offer) == 1, "set_session");
    }
    join(scene->ends[CLIENT], scene->ends[SERVER]);
    say("handshake=%d", handshake(scene->ends[CLIENT], scene->ends[SERVER]));
    say_reused("again", scene->ends[CLIENT], scene->ends[SERVER]);
    say_resumable(scene);
}

static void dispose_unset(struct scene *scene) {
    say("set_session=%d", SSL_set_session(subject(scene), NULL));
    settle_peer(scene);
    say_final_status(scene);
}

struct disposal {
    const char *name;
    void (*run)(struct scene *);
};

static const struct disposal DISPOSALS[] = {
    {"free", dispose_free},
    {"clear", dispose_clear},
    {"again", dispose_again},
    {"unset", dispose_unset},
};

/* ------------------------------------------------------------------------------------- the walk */

static void matrix_run(enum kind kind, enum role role, const struct end *end,
                       const struct disposal *disposal) {
    struct scene scene;
    scene_open(&scene, kind, role);
    meet(&scene, end->wire);
    say("before=%d", SSL_SESSION_is_resumable(scene.held));
    end->run(&scene);
    say_masks(&scene);
    disposal->run(&scene);
    scene_close(&scene);
}

static void matrix_case(struct cases *cases, enum kind kind, enum role role, const struct end *end,
                        const struct disposal *disposal) {
    char name[128];
    snprintf(name, sizeof name, "%s/%s/%s/%s", kind_name(kind), role_name(role), end->name,
             disposal->name);
    if (!case_begins(cases, name)) {
        return;
    }
    matrix_run(kind, role, end, disposal);
    case_ends();
}

void matrix_walk(struct cases *cases) {
    for (enum kind kind = 0; kind < KINDS; kind++) {
        for (enum role role = 0; role < ROLES; role++) {
            for (size_t e = 0; e < sizeof ENDS / sizeof ENDS[0]; e++) {
                for (size_t d = 0; d < sizeof DISPOSALS / sizeof DISPOSALS[0]; d++) {
                    matrix_case(cases, kind, role, &ENDS[e], &DISPOSALS[d]);
                }
            }
        }
    }
}
