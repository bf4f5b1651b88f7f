/*
 * secrets_pair.c: makes contexts and pairs of connections for the lives of secrets.c.
 */
#include "secrets_pair.h"
#include "secrets.h"
#include "secrets_told.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

#include <stddef.h>

tlslife_error err;

tlslife_context *with_certificate(void) {
    size_t len = 0;
    char *certificate = given_text("PEM certificate", &len);
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    OK(tlslife_context_set_certificate_pem(context, certificate, len, &err));
    ungive(certificate, len);
    return context;
}

tlslife_status set_key(tlslife_context *context, const char *name, bool passphrase) {
    size_t len = 0, passphrase_len = 0;
    char *pem = given_text(name, &len);
    char *word = passphrase ? given_text("passphrase", &passphrase_len) : NULL;
    tlslife_status status = tlslife_context_set_private_key_pem(context, pem, len, word, &err);
    ungive(pem, len);
    if (word != NULL) {
        ungive(word, passphrase_len);
    }
    return status;
}

static tlslife_context *new_context(const pair *self, tlslife_role role, int version) {
    size_t len = 0;
    char *certificate = given_text("PEM certificate", &len);
    tlslife_context *context =
        role == TLSLIFE_SERVER ? with_certificate() : tlslife_context_new(role, &err);
    if (role == TLSLIFE_SERVER) {
        OK(set_key(context, "PEM key", false));
    } else if (!self->distrusts) {
        OK(tlslife_context_add_ca_pem(context, certificate, len, &err));
    }
    OK(tlslife_context_set_versions(context, version, version, &err));
    OK(tlslife_context_set_keylog(context, NULL, &err));
    ungive(certificate, len);
    return context;
}

static void tell_keylog(tlslife_conn *conn) {
    char *line;
    while ((line = tlslife_conn_take_keylog(conn)) != NULL) {
        tell_keylog_line(line);
        tlslife_string_free(line);
    }
}

void begin(pair *self) {
    self->client = tlslife_conn_new(self->client_context, &err);
    self->server = tlslife_conn_new(self->server_context, &err);
    tlslife_conn_set_blocking(self->client, false);
    tlslife_conn_set_blocking(self->server, false);
    (void)tlslife_conn_set_hostname(self->client, "localhost");
    OK(tlslife_conn_pair(self->client, self->server, 0));
}

bool shake_hands(pair *self) {
    char bytes[16];
    size_t len = 0;
    for (int i = 0; i < 8; i++) {
        (void)tlslife_conn_connect(self->client);
        (void)tlslife_conn_accept(self->server);
    }
    tell_keylog(self->client);
    tell_keylog(self->server);
    return tlslife_conn_handshake_done(self->client) &&
           tlslife_conn_write(self->server, "x", 1, &len) == TLSLIFE_OK &&
           tlslife_conn_read(self->client, bytes, sizeof bytes, &len) == TLSLIFE_OK;
}

void tell_session(tlslife_session *session) {
    unsigned char key[48];
    size_t len = SSL_SESSION_get_master_key(tlslife_session_ssl_session(session), key, sizeof key);
    tell("session's key", key, len);
}

void end_connections(pair *self) {
    (void)tlslife_conn_close(self->client, 0);
    (void)tlslife_conn_close(self->server, 0);
    tlslife_conn_free(self->client);
    tlslife_conn_free(self->server);
}

void end_contexts(pair *self) {
    tlslife_context_free(self->client_context);
    tlslife_context_free(self->server_context);
}

pair new_pair(int version, bool distrusts) {
    pair self = {.distrusts = distrusts};
    self.client_context = new_context(&self, TLSLIFE_CLIENT, version);
    self.server_context = new_context(&self, TLSLIFE_SERVER, version);
    return self;
}
