/*
 * short_memory_test.c: tests that a client's session, a new connection and a cleared one are whole
 * or are not there at all, whichever allocation of OpenSSL's fails while they are made, and that a
 * server's connection whose context is chosen or left again never has half of another one.
 *
 * The n-th allocation fails, for one n after another, until the call does without any more. Then
 * memory is to be had again, and what was made is used. From 3.2 on libssl frees and makes the
 * object that reads and writes records in SSL_clear, SSL_set_connect_state and SSL_dup, and crashes
 * where it is missing.
 */
#include "check.h"
#include "identity.h"
#include "short_memory.h"
#include "tlslife.h"

/* -------------------------------------------------------------------------------- what is used */

typedef struct ends {
    tlslife_conn *client, *server;
} ends;

static tlslife_context *contexts[2]; /* client, server */

static bool join(ends *both) {
    tlslife_conn_set_blocking(both->client, false);
    tlslife_conn_set_blocking(both->server, false);
    return tlslife_conn_set_hostname(both->client, "localhost") == TLSLIFE_OK &&
           tlslife_conn_pair(both->client, both->server, 0) == TLSLIFE_OK;
}

static ends new_ends(void) {
    ends both = {tlslife_conn_new(contexts[0], NULL), tlslife_conn_new(contexts[1], NULL)};
    if (!join(&both)) {
        abort();
    }
    return both;
}

static bool shake(const ends *both) {
    tlslife_status c = TLSLIFE_WANT_READ, s = TLSLIFE_WANT_READ;
    for (int i = 0; i < 20 && (c == TLSLIFE_WANT_READ || s == TLSLIFE_WANT_READ); i++) {
        c = c == TLSLIFE_OK ? c : tlslife_conn_connect(both->client);
        s = s == TLSLIFE_OK ? s : tlslife_conn_accept(both->server);
    }
    return c == TLSLIFE_OK && s == TLSLIFE_OK;
}

static void drop(const ends *both) {
    tlslife_conn_free(both->client);
    tlslife_conn_free(both->server);
}

/* ------------------------------------------------------------------------------------- tickets */

/* Reads the tickets, in read or while the end of the stream is awaited. */
static void read_tickets(const ends *both, bool closing) {
    char byte;
    size_t len;
    if (closing) {
        (void)tlslife_conn_shutdown(both->client);
    } else {
        (void)tlslife_conn_read(both->client, &byte, 1, &len);
    }
}

/* A session that counts as resumable resumes, or at least costs a full handshake and no failure. */
static bool resumes(tlslife_session *session) {
    ends both = new_ends();
    CHECK(tlslife_conn_set_session(both.client, session) == TLSLIFE_OK);
    bool good = shake(&both);
    drop(&both);
    return good;
}

static bool ticket_fails(long which, bool closing) {
    ends both = new_ends();
    CHECK(shake(&both));
    if (closing) {
        CHECK(tlslife_conn_shutdown(both.client) == TLSLIFE_SENT);
    }
    arm(which, false);
    read_tickets(&both, closing);
    bool met = disarm();
    tlslife_session *session = tlslife_conn_get1_session(both.client);
    if (session != NULL && tlslife_session_is_resumable(session)) {
        CHECK(resumes(session));
    }
    tlslife_session_free(session);
    drop(&both);
    return met;
}

static void test_tickets(void) {
    for (int closing = 0; closing < 2; closing++) {
        long n = 1;
        while (n < 400 && ticket_fails(n, closing == 1)) {
            n++;
        }
        CHECK(n > 20 && n < 400);
    }
}

/* --------------------------------------------------------------------------------- connections */

/* Whatever a program may call when something has failed. */
static void look_at(tlslife_conn *conn) {
    bool writing;
    int timeout_ms;
    (void)tlslife_conn_pending(conn);
    (void)tlslife_conn_has_pending(conn);
    (void)tlslife_conn_idle(conn);
    (void)tlslife_conn_wait_fd(conn, TLSLIFE_WANT_READ, &writing, &timeout_ms);
    (void)tlslife_conn_state_name(conn);
    (void)tlslife_conn_peer_address(conn, (char[80]){0}, 80);
}

typedef void (*act)(ends *both);

static void make_new(ends *both) {
    tlslife_conn *made = tlslife_conn_new(contexts[0], NULL);
    if (made != NULL) {
        tlslife_conn_free(both->client);
        both->client = made;
    }
}

static void make_copy(ends *both) {
    tlslife_conn *made = tlslife_conn_dup(both->client, NULL);
    if (made != NULL) {
        tlslife_conn_free(both->client);
        both->client = made;
    }
}

static void begin(ends *both) {
    (void)tlslife_conn_connect(both->client);
    look_at(both->client);
}

static void clear(ends *both) {
    (void)tlslife_conn_clear(both->client);
    look_at(both->client);
}

static void clear_and_close(ends *both) {
    clear(both);
    (void)tlslife_conn_close(both->client, 0);
    look_at(both->client);
}

static void begin_and_close(ends *both) {
    begin(both);
    tlslife_conn_close_transport(both->client);
    look_at(both->client);
}

/* After the failure a connection can be cleared and used, or freed. */
static bool call_fails(act call, bool open, long which, bool and_on) {
    ends both = new_ends();
    CHECK(!open || shake(&both));
    arm(which, and_on);
    call(&both);
    bool met = disarm();
    look_at(both.client);
    if (which % 2 == 0) {
        CHECK(tlslife_conn_clear(both.client) == TLSLIFE_OK);
        CHECK(tlslife_conn_clear(both.server) == TLSLIFE_OK);
        CHECK(join(&both));
        CHECK(shake(&both));
    }
    drop(&both);
    return met;
}

static void test_connections(void) {
    static const struct {
        act call;
        bool open; /* on a connection that is */
    } calls[] = {{make_new, false},       {make_copy, false},      {begin, false},
                 {clear, false},          {clear, true},           {clear_and_close, false},
                 {clear_and_close, true}, {begin_and_close, false}};
    long failed = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        for (int and_on = 0; and_on < 2; and_on++) {
            long n = 1;
            while (n < 120 && call_fails(calls[i].call, calls[i].open, n, and_on == 1)) {
                n++;
            }
            failed += n - 1;
        }
    }
    CHECK(failed > 200);
}

/* ----------------------------------------------------------------------------- chosen contexts */

static test_identity identity;
static tlslife_context *strict, *host;   /* of the server */
static tlslife_context *visitor, *guest; /* of clients */

static tlslife_context *new_identity(tlslife_role role) {
    tlslife_context *context = tlslife_context_new(role, NULL);
    const char *certificate = identity.certificate, *key = identity.key;
    CHECK(tlslife_context_set_certificate_pem(context, certificate, strlen(certificate), NULL) ==
          TLSLIFE_OK);
    CHECK(tlslife_context_set_private_key_pem(context, key, strlen(key), NULL, NULL) == TLSLIFE_OK);
    return context;
}

/* The front demands a client's certificate, and the host "localhost" behind it does not. */
static void make_hosts(void) {
    const char *certificate = identity.certificate;
    strict = new_identity(TLSLIFE_SERVER);
    host = new_identity(TLSLIFE_SERVER);
    visitor = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    guest = new_identity(TLSLIFE_CLIENT);
    CHECK(tlslife_context_set_verify(visitor, TLSLIFE_VERIFY_NONE, NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_verify(guest, TLSLIFE_VERIFY_NONE, NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_add_ca_pem(strict, certificate, strlen(certificate), NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_verify(strict, TLSLIFE_VERIFY_REQUIRED, NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_add_server_name(strict, "localhost", host, NULL) == TLSLIFE_OK);
}

static void free_hosts(void) {
    tlslife_context_free(strict);
    tlslife_context_free(host);
    tlslife_context_free(visitor);
    tlslife_context_free(guest);
}

static bool has_own_group(const ends *both) {
    const char *group = tlslife_conn_group(both->server);
    return group != NULL && strcmp(group, "secp384r1") == 0;
}

/* Whether a client that names no host, and so meets the front, is served. */
static bool is_served(ends *both, tlslife_context *client) {
    tlslife_conn_free(both->client);
    both->client = tlslife_conn_new(client, NULL);
    tlslife_conn_set_blocking(both->client, false);
    CHECK(tlslife_conn_pair(both->client, both->server, 0) == TLSLIFE_OK);
    return shake(both);
}

/* After whatever has failed the server's connection can be cleared, and is the front's. */
static void check_front(ends *both) {
    if (tlslife_conn_clear(both->server) != TLSLIFE_OK) {
        CHECK(tlslife_conn_clear(both->server) == TLSLIFE_OK);
    }
    CHECK(!is_served(both, visitor));
    CHECK(tlslife_conn_clear(both->server) == TLSLIFE_OK);
    CHECK(is_served(both, guest));
    CHECK(has_own_group(both));
}

static ends new_visit(void) {
    ends both = {tlslife_conn_new(visitor, NULL), tlslife_conn_new(strict, NULL)};
    CHECK(join(&both));
    CHECK(tlslife_conn_set_groups(both.server, "P-384") == TLSLIFE_OK);
    return both;
}

static bool choice_fails(long which, bool and_on) {
    ends both = new_visit();
    (void)tlslife_conn_connect(both.client);
    arm(which, and_on);
    (void)tlslife_conn_accept(both.server);
    bool met = disarm();
    CHECK(!shake(&both) || has_own_group(&both));
    check_front(&both);
    drop(&both);
    return met;
}

static bool return_fails(long which, bool and_on) {
    ends both = new_visit();
    CHECK(shake(&both));
    CHECK(has_own_group(&both));
    arm(which, and_on);
    tlslife_status cleared = tlslife_conn_clear(both.server);
    bool met = disarm();
    CHECK(cleared != TLSLIFE_OK || (is_served(&both, guest) && has_own_group(&both)));
    CHECK(tlslife_conn_clear(both.server) == TLSLIFE_OK);
    check_front(&both);
    drop(&both);
    return met;
}

static void test_hosts(void) {
    make_hosts();
    for (int and_on = 0; and_on < 2; and_on++) {
        long n = 1;
        while (n < 120 && choice_fails(n, and_on == 1)) {
            n++;
        }
        CHECK(n > 20);
        n = 1;
        while (n < 120 && return_fails(n, and_on == 1)) {
            n++;
        }
        CHECK(n > 5 && n < 120);
    }
    free_hosts();
}

int main(void) {
    if (!short_memory_begin() || !identity_make(&identity)) {
        return 2;
    }
    contexts[0] = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    contexts[1] = tlslife_context_new(TLSLIFE_SERVER, NULL);
    const char *certificate = identity.certificate, *key = identity.key;
    CHECK(tlslife_context_set_certificate_pem(contexts[1], certificate, strlen(certificate),
                                              NULL) == TLSLIFE_OK);
    CHECK(tlslife_context_set_private_key_pem(contexts[1], key, strlen(key), NULL, NULL) ==
          TLSLIFE_OK);
    CHECK(tlslife_context_add_ca_pem(contexts[0], certificate, strlen(certificate), NULL) ==
          TLSLIFE_OK);
    ends both = new_ends(); /* what OpenSSL makes at its first use may fail for ever: known.c */
    CHECK(shake(&both));
    read_tickets(&both, false);
    drop(&both);
    test_tickets();
    test_connections();
    test_hosts();
    tlslife_context_free(contexts[0]);
    tlslife_context_free(contexts[1]);
    return checks_end();
}
