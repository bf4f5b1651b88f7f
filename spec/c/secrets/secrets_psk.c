/*
 * secrets_psk.c: answers the question for a PSK, as a server, as a client, and not at all, and lets
 * go of the key, for secrets.c.
 */
#include "secrets.h"
#include "secrets_pair.h"
#include "tlslife.h"

#include <openssl/crypto.h>
#include <string.h>

enum { KEY = 48 };

/* Both ends ask. A server of TLS 1.3 is asked for a context that has the key. */
static pair asking_pair(int version, bool client_asks) {
    pair self = new_pair(version, false);
    unsigned server = version == TLSLIFE_TLS1_3 ? TLSLIFE_ASK_HELLO : TLSLIFE_ASK_PSK;
    OK(tlslife_context_set_questions(self.server_context, server, &err));
    if (version == TLSLIFE_TLS1_2) {
        OK(tlslife_context_set_cipher_list(self.client_context, "PSK-AES128-GCM-SHA256", &err));
        OK(tlslife_context_set_cipher_list(self.server_context, "PSK-AES128-GCM-SHA256", &err));
    }
    if (client_asks) {
        OK(tlslife_context_set_questions(self.client_context, TLSLIFE_ASK_PSK, &err));
    }
    begin(&self);
    return self;
}

static unsigned char key[KEY];

/* Runs the handshake until that end asks. */
static tlslife_status until_asked(pair *self, tlslife_conn *asked) {
    tlslife_status client = TLSLIFE_OK, server = TLSLIFE_OK;
    for (int i = 0; i < 8; i++) {
        client = tlslife_conn_connect(self->client);
        if (asked == self->client && client == TLSLIFE_WANT_PSK) {
            return client;
        }
        server = tlslife_conn_accept(self->server);
    }
    return asked == self->client ? client : server;
}

/* The key is the life's own until both ends have answered. */
static void make_key(void) {
    char *made = given("PSK", KEY);
    memcpy(key, made, KEY);
    ungive(made, KEY);
}

static void answer_client(pair *self) {
    expect_that(until_asked(self, self->client) == TLSLIFE_WANT_PSK, "a client's question");
    OK(tlslife_conn_answer_psk_client(self->client, "someone", key, KEY));
}

static void answer_server(pair *self, int version) {
    tlslife_status asked = until_asked(self, self->server);
    if (version == TLSLIFE_TLS1_2) {
        expect_that(asked == TLSLIFE_WANT_PSK, "a server's question");
        OK(tlslife_conn_answer_psk(self->server, key, KEY));
        return;
    }
    expect_that(asked == TLSLIFE_WANT_HELLO, "a ClientHello");
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    OK(tlslife_context_add_psk(context, "someone", key, KEY, &err));
    OK(tlslife_context_set_keylog(context, NULL, &err));
    OK(tlslife_conn_answer_hello(self->server, context));
    tlslife_context_free(context);
}

static void end(pair *self) {
    end_connections(self);
    end_contexts(self);
    expect_gone();
}

static void answered(int version) {
    make_key();
    pair self = asking_pair(version, true);
    answer_client(&self);
    answer_server(&self, version);
    OPENSSL_cleanse(key, KEY);
    expect_held("PSK");
    expect_that(shake_hands(&self), "a handshake");
    expect_that(version == TLSLIFE_TLS1_3 ? tlslife_conn_session_reused(self.client)
                                          : tlslife_conn_psk_identity(self.client) != NULL,
                "a PSK");
    end(&self);
}

static void answered_12(void) {
    answered(TLSLIFE_TLS1_2);
}

static void answered_13(void) {
    answered(TLSLIFE_TLS1_3);
}

/* One end alone has the key, and the connections end before the other has answered. */
static void given_up(bool client) {
    make_key();
    pair self = asking_pair(TLSLIFE_TLS1_2, true);
    answer_client(&self);
    if (!client) {
        answer_server(&self, TLSLIFE_TLS1_2);
        tlslife_conn_free(self.client);
        self.client = NULL;
    }
    OPENSSL_cleanse(key, KEY);
    expect_held("PSK");
    tlslife_conn_free(self.client);
    tlslife_conn_free(self.server);
    end_contexts(&self);
    expect_gone();
}

static void given_up_by_client(void) {
    given_up(true);
}

static void given_up_by_server(void) {
    given_up(false);
}

static void cleared(void) {
    make_key();
    pair self = asking_pair(TLSLIFE_TLS1_2, true);
    answer_client(&self);
    answer_server(&self, TLSLIFE_TLS1_2);
    OPENSSL_cleanse(key, KEY);
    expect_held("PSK");
    OK(tlslife_conn_clear(self.client));
    OK(tlslife_conn_clear(self.server));
    expect_gone_but("private key");
    end(&self);
}

/* A client of either version answers twice: the second key takes the place of the first one. */
static void replaced(void) {
    unsigned char second[KEY] = {1};
    make_key();
    pair self = new_pair(TLSLIFE_TLS1_2, false);
    tlslife_context_free(self.client_context);
    self.client_context = tlslife_context_new(TLSLIFE_CLIENT, &err);
    OK(tlslife_context_set_questions(self.client_context, TLSLIFE_ASK_PSK, &err));
    OK(tlslife_context_set_questions(self.server_context, TLSLIFE_ASK_PSK, &err));
    OK(tlslife_context_set_cipher_list(self.server_context, "PSK-AES128-GCM-SHA256", &err));
    begin(&self);
    answer_client(&self);
    OPENSSL_cleanse(key, KEY);
    expect_held("PSK");
    expect_that(until_asked(&self, self.client) == TLSLIFE_WANT_PSK, "a second question");
    OK(tlslife_conn_answer_psk_client(self.client, "someone", second, KEY));
    (void)tlslife_conn_connect(self.client);
    end(&self);
}

static void refused(void) {
    char identity[300];
    unsigned char *longer = (unsigned char *)given("PSK that is too long", 300);
    memset(identity, 'x', sizeof identity - 1);
    identity[sizeof identity - 1] = '\0';
    make_key();
    pair self = asking_pair(TLSLIFE_TLS1_2, true);
    expect_that(until_asked(&self, self.client) == TLSLIFE_WANT_PSK, "a client's question");
    REFUSED(tlslife_conn_answer_psk_client(self.client, identity, key, KEY));
    REFUSED(tlslife_conn_answer_psk_client(self.client, NULL, key, KEY));
    REFUSED(tlslife_conn_answer_psk_client(self.client, "someone", longer, 300));
    REFUSED(tlslife_conn_answer_psk(self.client, key, KEY));
    OK(tlslife_conn_answer_psk_client(self.client, "someone", (const unsigned char *)"other", 5));
    expect_that(until_asked(&self, self.server) == TLSLIFE_WANT_PSK, "a server's question");
    REFUSED(tlslife_conn_answer_psk(self.server, longer, 300));
    REFUSED(tlslife_conn_answer_psk_client(self.server, "someone", key, KEY));
    OPENSSL_cleanse(key, KEY);
    ungive((char *)longer, 300);
    expect_gone_but("private key");
    end(&self);
}

const life psk_lives[] = {
    {"answered PSK", "free, TLS 1.2", answered_12},
    {"answered PSK", "free, TLS 1.3", answered_13},
    {"answered PSK", "free, before the server's answer", given_up_by_client},
    {"answered PSK", "free, before the handshake goes on", given_up_by_server},
    {"answered PSK", "clear", cleared},
    {"answered PSK", "another answer", replaced},
    {"answered PSK", "refused", refused},
    {NULL, NULL, NULL},
};
