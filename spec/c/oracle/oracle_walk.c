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

static void do_peek(struct scene *scene, SSL *ssl) {
    say_peek(scene, ssl);
}

static void do_write(struct scene *scene, SSL *ssl) {
    say_write(scene, ssl, 1);
}

/* Puts a part of a record into the transport. */
static void do_fill(struct scene *scene, SSL *ssl) {
    say_write(scene, ssl, CAPACITY + 1000);
}

static void do_read_early(struct scene *scene, SSL *ssl) {
    (void)ssl;
    say_read_early(scene, server_of(scene));
}

/* libssl crashes in a client without a session. */
static void do_write_early(struct scene *scene, SSL *ssl) {
    if (SSL_is_server(ssl) || SSL_get_session(ssl) != NULL) {
        say_write_early(scene, ssl);
    }
}

static void do_shutdown(struct scene *scene, SSL *ssl) {
    say_shutdown(scene, ssl);
}

static void do_handshake(struct scene *scene, SSL *ssl) {
    say_handshake(scene, ssl);
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

static void do_mark_both(struct scene *scene, SSL *ssl) {
    (void)scene;
    SSL_set_shutdown(ssl, SENT | RECEIVED);
}

static void do_unmark(struct scene *scene, SSL *ssl) {
    (void)scene;
    SSL_set_shutdown(ssl, 0);
}

static void do_clear(struct scene *scene, SSL *ssl) {
    (void)scene;
    say_clear(ssl);
}

/* ----------------------------------------------------------------------------------- transports */

enum { STREAM_MAX = 1 << 20, HEADER_LEN = 5 };

/* The bytes under way to an end while the walk delivers them, and how many it has. */
struct stream {
    BIO *far; /* where its bytes come from and go to; NULL: nothing is delivered by hand */
    unsigned char bytes[STREAM_MAX];
    size_t len, fed;
};

static struct stream streams[ROLES];

static void deliver_no_more(void) {
    for (int role = 0; role < ROLES; role++) {
        BIO_free(streams[role].far);
        streams[role].far = NULL;
        streams[role].len = streams[role].fed = 0;
    }
}

/* Both ends go on over a new transport. */
static void do_rejoin(struct scene *scene, SSL *ssl) {
    (void)ssl;
    join(client_of(scene), server_of(scene));
    deliver_no_more();
}

static void do_leave(struct scene *scene, SSL *ssl) {
    (void)scene;
    if (streams[CLIENT].far == NULL) {
        leave(ssl);
    }
}

/* Both ends begin anew. */
static void do_renew(struct scene *scene, SSL *ssl) {
    say_clear(client_of(scene));
    say_clear(server_of(scene));
    do_rejoin(scene, ssl);
}

/* Both ends go on over a transport on which the walk delivers. */
static void do_by_hand(struct scene *scene, SSL *ssl) {
    (void)ssl;
    deliver_no_more();
    for (int role = 0; role < ROLES; role++) {
        BIO *near;
        must(BIO_new_bio_pair(&near, CAPACITY, &streams[role].far, CAPACITY) == 1, "transport");
        SSL_set_bio(scene->ends[role], near, near);
    }
}

/* As many calls as a full handshake takes. */
static void do_finish(struct scene *scene, SSL *ssl) {
    (void)ssl;
    for (int i = 0; i < 3 && streams[CLIENT].far == NULL; i++) {
        say_handshake(scene, client_of(scene));
        say_handshake(scene, server_of(scene));
    }
}

static size_t end_of_record(const struct stream *stream) {
    size_t at = 0;
    while (at <= stream->fed && at + HEADER_LEN <= stream->len) {
        at += HEADER_LEN + (size_t)(stream->bytes[at + 3] << 8 | stream->bytes[at + 4]);
    }
    return at <= stream->fed || at > stream->len ? stream->len : at;
}

static size_t end_of_all(const struct stream *stream) {
    return stream->len;
}

static size_t end_of_byte(const struct stream *stream) {
    return stream->fed < stream->len ? stream->fed + 1 : stream->len;
}

static size_t end_but_one(const struct stream *stream) {
    return stream->fed < stream->len ? stream->len - 1 : stream->len;
}

static void say_result(const struct scene *scene, const SSL *ssl, const char *name, int result);

/* Takes what the other end has sent, and delivers the bytes up to there. */
static void deliver(struct scene *scene, SSL *ssl, size_t (*end)(const struct stream *)) {
    enum role role = ssl == client_of(scene) ? CLIENT : SERVER;
    struct stream *to = &streams[role];
    BIO *from = streams[role == CLIENT ? SERVER : CLIENT].far;
    int n;
    if (to->far == NULL) {
        return;
    }
    while ((n = BIO_read(from, to->bytes + to->len, (int)(STREAM_MAX - to->len))) > 0) {
        to->len += (size_t)n;
    }
    must(to->len < STREAM_MAX, "a walk of fewer bytes");
    n = BIO_write(to->far, to->bytes + to->fed, (int)(end(to) - to->fed));
    to->fed += n > 0 ? (size_t)n : 0;
    say_result(scene, ssl, "fed", n > 0);
}

static void do_feed(struct scene *scene, SSL *ssl) {
    deliver(scene, ssl, end_of_all);
}

static void do_feed_byte(struct scene *scene, SSL *ssl) {
    deliver(scene, ssl, end_of_byte);
}

static void do_feed_record(struct scene *scene, SSL *ssl) {
    deliver(scene, ssl, end_of_record);
}

static void do_feed_but_one(struct scene *scene, SSL *ssl) {
    deliver(scene, ssl, end_but_one);
}

/* ---------------------------------------------------------------------- calls for later records */

static void say_result(const struct scene *scene, const SSL *ssl, const char *name, int result) {
    say("%s.%s=%d", ssl == peer(scene) ? "p" : "s", name, result);
    ERR_clear_error();
}

static void do_update(struct scene *scene, SSL *ssl) {
    say_result(scene, ssl, "update", SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED));
}

static void do_update_both(struct scene *scene, SSL *ssl) {
    say_result(scene, ssl, "update_both", SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED));
}

static void do_renegotiate(struct scene *scene, SSL *ssl) {
    say_result(scene, ssl, "renegotiate", SSL_renegotiate(ssl));
}

static void do_renegotiate_short(struct scene *scene, SSL *ssl) {
    say_result(scene, ssl, "renegotiate_short", SSL_renegotiate_abbreviated(ssl));
}

static void do_ticket(struct scene *scene, SSL *ssl) {
    say_result(scene, ssl, "ticket", SSL_new_session_ticket(ssl));
}

/* Asks for a certificate as tlslife does: it must come, and be verified. */
static void do_ask(struct scene *scene, SSL *ssl) {
    if (SSL_is_server(ssl) && SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE) {
        SSL_set_verify(
            ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT | SSL_VERIFY_POST_HANDSHAKE,
            NULL);
    }
    say_result(scene, ssl, "ask", SSL_verify_client_post_handshake(ssl));
}

static void do_no_tickets(struct scene *scene, SSL *ssl) {
    (void)ssl;
    must(SSL_set_num_tickets(server_of(scene), 0), "number of tickets");
}

static void do_four_tickets(struct scene *scene, SSL *ssl) {
    (void)ssl;
    must(SSL_set_num_tickets(server_of(scene), 4), "number of tickets");
}

static void do_facts(struct scene *scene, SSL *ssl) {
    say_result(scene, ssl, "mask", SSL_get_shutdown(ssl));
    say_result(scene, ssl, "reused", SSL_session_reused(ssl));
    say_result(scene, ssl, "pending", SSL_pending(ssl));
    say_result(scene, ssl, "session", SSL_get_session(ssl) != NULL);
    say_result(scene, ssl, "kept", (int)scene->kept_len);
}

/* ---------------------------------------------------------------------- sessions and references */

static void offer(struct scene *scene, SSL *ssl, SSL_SESSION *session) {
    if (session != NULL) {
        say_result(scene, ssl, "offer", SSL_set_session(ssl, session));
    }
}

static void do_offer(struct scene *scene, SSL *ssl) {
    offer(scene, ssl, scene->offer);
}

static void do_offer_last(struct scene *scene, SSL *ssl) {
    offer(scene, ssl, scene->kept_len > 0 ? scene->kept[scene->kept_len - 1] : NULL);
}

/* Only before the handshake: libssl crashes in it. */
static void do_offer_none(struct scene *scene, SSL *ssl) {
    if (SSL_in_before(ssl)) {
        say_result(scene, ssl, "offer_none", SSL_set_session(ssl, NULL));
    }
}

/* Puts a copy of its bytes in the place of the session that is offered. */
static void do_import(struct scene *scene, SSL *ssl) {
    unsigned char *bytes = NULL;
    int len = scene->offer != NULL ? i2d_SSL_SESSION(scene->offer, &bytes) : 0;
    (void)ssl;
    if (len > 0) {
        const unsigned char *at = bytes;
        SSL_SESSION_free(scene->offer);
        scene->offer = d2i_SSL_SESSION(NULL, &at, len);
        must(scene->offer != NULL, "d2i_SSL_SESSION");
        say("imported=%d", SSL_SESSION_is_resumable(scene->offer));
    }
    OPENSSL_free(bytes);
}

enum { REFERENCES_MAX = 64 };
static SSL *references[REFERENCES_MAX]; /* more than the scene's own, of one walk */
static size_t references_len;

static void do_ref(struct scene *scene, SSL *ssl) {
    (void)scene;
    must(references_len < REFERENCES_MAX && SSL_up_ref(ssl), "SSL_up_ref");
    references[references_len++] = ssl;
}

static void do_unref(struct scene *scene, SSL *ssl) {
    (void)scene;
    for (size_t i = references_len; i > 0; i--) {
        if (references[i - 1] == ssl) {
            SSL_free(ssl);
            references[i - 1] = references[--references_len];
            return;
        }
    }
}

static void do_dup(struct scene *scene, SSL *ssl) {
    bool copied = put_copy(scene, ssl == client_of(scene) ? CLIENT : SERVER);
    say("copied=%d", copied);
    if (copied) {
        deliver_no_more();
    }
}

static const struct verb {
    const char *name;
    void (*call)(struct scene *scene, SSL *ssl);
} verbs[] = {
    {"read", do_read},
    {"peek", do_peek},
    {"write", do_write},
    {"fill", do_fill},
    {"read_early", do_read_early},
    {"write_early", do_write_early},
    {"shutdown", do_shutdown},
    {"handshake", do_handshake},
    {"leave", do_leave},
    {"quiet", do_quiet},
    {"loud", do_loud},
    {"mark", do_mark},
    {"mark_received", do_mark_received},
    {"mark_both", do_mark_both},
    {"unmark", do_unmark},
    {"clear", do_clear},
    {"rejoin", do_rejoin},
    {"renew", do_renew},
    {"finish", do_finish},
    {"by_hand", do_by_hand},
    {"feed", do_feed},
    {"feed_byte", do_feed_byte},
    {"feed_record", do_feed_record},
    {"feed_but_one", do_feed_but_one},
    {"update", do_update},
    {"update_both", do_update_both},
    {"renegotiate", do_renegotiate},
    {"renegotiate_short", do_renegotiate_short},
    {"ticket", do_ticket},
    {"ask", do_ask},
    {"no_tickets", do_no_tickets},
    {"four_tickets", do_four_tickets},
    {"facts", do_facts},
    {"offer", do_offer},
    {"offer_last", do_offer_last},
    {"offer_none", do_offer_none},
    {"import", do_import},
    {"ref", do_ref},
    {"unref", do_unref},
    {"dup", do_dup},
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
    while (references_len > 0) {
        SSL_free(references[--references_len]);
    }
    deliver_no_more();
}

static void start_walk(struct scene *scene, const char *start) {
    if (strcmp(start, "open") == 0) {
        meet(scene, MEMORY);
    } else if (strcmp(start, "resuming") == 0 || strcmp(start, "early") == 0) {
        prepare_resuming(scene);
    } else {
        prepare(scene, MEMORY);
    }
    if (strcmp(start, "by_hand") == 0) {
        do_by_hand(scene, NULL);
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
                          (enum role)find_name(role, ROLES, role_at), strcmp(start, "early") == 0);
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
