/*
 * oracle_walk.c: runs walks, which are sequences of calls. The oracle reads them from its standard
 * input, a line "KIND ROLE START VERB..." for each.
 * It prints what each gave before it reads the next one, so that a program may ask it in turns.
 *
 * A verb is "s.read" if the subject makes the call, and "p.read" if its peer does.
 * spec/random/walk.lua makes the walks.
 */
#include <stdio.h>
#include <string.h>

#include "oracle.h"

enum { LINE_MAX_LEN = 2048 };

/* ---------------------------------------------------------------------------------------- verbs */

static void do_read(struct scene *scene, SSL *ssl) {
    say_read(scene, ssl);
}

static void do_write(struct scene *scene, SSL *ssl) {
    say_write(scene, ssl, 1);
}

/* Puts a part of a record into the transport. */
static void do_fill(struct scene *scene, SSL *ssl) {
    say_write(scene, ssl, CAPACITY + 1000);
}

static void do_shutdown(struct scene *scene, SSL *ssl) {
    say_shutdown(scene, ssl);
}

static void do_handshake(struct scene *scene, SSL *ssl) {
    say_handshake(scene, ssl);
}

static void do_leave(struct scene *scene, SSL *ssl) {
    (void)scene;
    leave(ssl);
}

static void do_quiet(struct scene *scene, SSL *ssl) {
    (void)scene;
    SSL_set_quiet_shutdown(ssl, 1);
}

static void do_loud(struct scene *scene, SSL *ssl) {
    (void)scene;
    SSL_set_quiet_shutdown(ssl, 0);
}

static void do_mark(struct scene *scene, SSL *ssl) {
    (void)scene;
    SSL_set_shutdown(ssl, SENT);
}

static void do_mark_received(struct scene *scene, SSL *ssl) {
    (void)scene;
    SSL_set_shutdown(ssl, RECEIVED);
}

static void do_unmark(struct scene *scene, SSL *ssl) {
    (void)scene;
    SSL_set_shutdown(ssl, 0);
}

static void do_clear(struct scene *scene, SSL *ssl) {
    (void)scene;
    say_clear(ssl);
}

/* Both ends go on over a new transport. */
static void do_rejoin(struct scene *scene, SSL *ssl) {
    (void)ssl;
    join(client_of(scene), server_of(scene));
}

static void say_result(const struct scene *scene, const SSL *ssl, const char *name, int result) {
    say("%s.%s=%d", ssl == peer(scene) ? "p" : "s", name, result);
    ERR_clear_error();
}

static void do_update(struct scene *scene, SSL *ssl) {
    say_result(scene, ssl, "update", SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED));
}

static void do_renegotiate(struct scene *scene, SSL *ssl) {
    say_result(scene, ssl, "renegotiate", SSL_renegotiate(ssl));
}

static void do_ticket(struct scene *scene, SSL *ssl) {
    say_result(scene, ssl, "ticket", SSL_new_session_ticket(ssl));
}

static void do_facts(struct scene *scene, SSL *ssl) {
    say_result(scene, ssl, "mask", SSL_get_shutdown(ssl));
    say_result(scene, ssl, "reused", SSL_session_reused(ssl));
    say_result(scene, ssl, "pending", SSL_pending(ssl));
}

static const struct verb {
    const char *name;
    void (*call)(struct scene *scene, SSL *ssl);
} verbs[] = {
    {"read", do_read},
    {"write", do_write},
    {"fill", do_fill},
    {"shutdown", do_shutdown},
    {"handshake", do_handshake},
    {"leave", do_leave},
    {"quiet", do_quiet},
    {"loud", do_loud},
    {"mark", do_mark},
    {"mark_received", do_mark_received},
    {"unmark", do_unmark},
    {"clear", do_clear},
    {"rejoin", do_rejoin},
    {"update", do_update},
    {"renegotiate", do_renegotiate},
    {"ticket", do_ticket},
    {"facts", do_facts},
};

static void call_verb(struct scene *scene, const char *word) {
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(word + 2, verbs[i].name) == 0) {
            verbs[i].call(scene, word[0] == 'p' ? peer(scene) : subject(scene));
            return;
        }
    }
    must(false, word);
}

/* ---------------------------------------------------------------------------------------- walks */

/* Frees the subject, and closes its peer. Prints what is left of the session. */
static void end_walk(struct scene *scene) {
    SSL_free(subject(scene));
    scene->ends[scene->role] = NULL;
    settle_all(scene);
    if (scene->held != NULL) {
        say_final_status(scene);
    }
}

static void start_walk(struct scene *scene, const char *start) {
    if (strcmp(start, "open") == 0) {
        meet(scene, MEMORY);
    } else if (strcmp(start, "resuming") == 0) {
        prepare_resuming(scene);
    } else {
        prepare(scene, MEMORY);
    }
}

static int find_name(const char *word, int count, const char *(*name)(int)) {
    for (int i = 0; i < count; i++) {
        if (strcmp(word, name(i)) == 0) {
            return i;
        }
    }
    must(false, word);
    return 0;
}

static const char *kind_at(int i) {
    return kind_name((enum kind)i);
}

static const char *role_at(int i) {
    return role_name((enum role)i);
}

void read_walks(void) {
    static char line[LINE_MAX_LEN];
    while (fgets(line, sizeof line, stdin) != NULL) {
        struct scene scene;
        char *rest = NULL, *kind = strtok_r(line, " \n", &rest),
             *role = strtok_r(NULL, " \n", &rest), *start = strtok_r(NULL, " \n", &rest);
        must(kind != NULL && role != NULL && start != NULL, "a walk is KIND ROLE START VERB...");
        scene_open_shared(&scene, (enum kind)find_name(kind, KINDS, kind_at),
                          (enum role)find_name(role, ROLES, role_at));
        start_walk(&scene, start);
        for (char *word; (word = strtok_r(NULL, " \n", &rest)) != NULL;) {
            call_verb(&scene, word);
        }
        end_walk(&scene);
        scene_close(&scene);
        case_ends();
        must(fflush(stdout) == 0, "standard output");
    }
}
