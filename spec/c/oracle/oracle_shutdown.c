/*
 * oracle_shutdown.c: runs the oracle's cases about the end of a connection that oracle_matrix.c
 * does not have.
 *
 * They shut down too early, twice, with something unread or unwritten, and after a failure. They
 * set the flags of the shutdown by hand, and they read and write before there is a connection.
 */
#include "oracle.h"

/* --------------------------------------------------------------------------- shutdown and masks */

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

/* Sets and reads each combination of the flags, before the handshake (0) or after it (1). */
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

/*
 * Sets the flags back to 0, and says whether another close_notify is sent and what the peer makes
 * of it.
 */
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
    for (size_t i = 0; i < scene->kept_len; i++) {
        say_fresh(scene, "fresh", scene->kept[i]);
    }
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

/*
 * A write waits in the middle of a record. SSL_shutdown is called three times while the peer makes
 * room, and then the write is made again.
 */
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

/* Sets RECEIVED by hand although there is something to read. */
static void received_unread(struct scene *scene) {
    meet(scene, MEMORY);
    say_write(scene, peer(scene), 1);
    SSL_set_shutdown(subject(scene), RECEIVED);
    say_read(scene, subject(scene));
    SSL_set_shutdown(subject(scene), 0);
    say_read(scene, subject(scene));
    say_masks(scene);
}

/* Sets SENT by hand. Nothing can be written until it is cleared. */
static void sent_write(struct scene *scene) {
    meet(scene, MEMORY);
    SSL_set_shutdown(subject(scene), SENT);
    say_write(scene, subject(scene), 1);
    SSL_set_shutdown(subject(scene), 0);
    say_write(scene, subject(scene), 1);
    say_read(scene, peer(scene));
    say_masks(scene);
}

/* ------------------------------------------------------------------------- before the handshake */

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

/* ------------------------------------------------------------------------------------ the table */

const struct sequence SHUTDOWN_SEQUENCES[] = {
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
    {0},
};
