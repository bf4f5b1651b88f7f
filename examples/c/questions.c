/*
 * questions.c: answers the questions of a handshake in C. The server is asked which context serves
 * this ClientHello, and knows one name. The client is asked whether the peer is acceptable, and
 * prints its certificate. A question is a status: answer it, at once or when a database has
 * replied, and make the same call again. No callback is involved.
 *
 * Usage: questions cert.pem key.pem     (the certificate is for "localhost")
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tlslife.h>

enum { UNRECOGNIZED_NAME = 112 }; /* RFC 6066, section 3 */

static void die(const char *what, const char *why) {
    fprintf(stderr, "questions: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static tlslife_context *make_client(const char *ca) {
    tlslife_error err;
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, &err);
    if (context == NULL || tlslife_context_add_ca_file(context, ca, &err) != TLSLIFE_OK ||
        tlslife_context_set_verify_host(context, false, &err) !=
            TLSLIFE_OK || /* answer_verify looks */
        tlslife_context_set_questions(context, TLSLIFE_ASK_VERIFY, &err) != TLSLIFE_OK) {
        die("client", err.message);
    }
    return context;
}

static tlslife_context *make_server(const char *certificate, const char *key) {
    tlslife_error err;
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    if (context == NULL ||
        tlslife_context_set_certificate_file(context, certificate, &err) != TLSLIFE_OK ||
        tlslife_context_set_private_key_file(context, key, NULL, &err) != TLSLIFE_OK ||
        tlslife_context_set_questions(context, TLSLIFE_ASK_HELLO, &err) != TLSLIFE_OK) {
        die("server", err.message);
    }
    return context;
}

/*
 * NULL keeps the connection's context. With another context the handshake goes on under that one's
 * policy.
 */
static void answer_hello(tlslife_conn *server) {
    const char *name = tlslife_conn_hello(server)->server_name;
    bool known = name != NULL && strcmp(name, "localhost") == 0;
    printf("asked for %s: %s\n", name != NULL ? name : "nobody", known ? "yes" : "unknown");
    tlslife_status status = known ? tlslife_conn_answer_hello(server, NULL)
                                  : tlslife_conn_refuse(server, UNRECOGNIZED_NAME);
    if (status != TLSLIFE_OK) {
        die("hello", tlslife_conn_error(server)->message);
    }
}

/* The question is asked only about a peer that the built-in verification has accepted. */
static void answer_verify(tlslife_conn *client) {
    tlslife_certificate certificate;
    if (!tlslife_conn_peer_certificate(client, 0, &certificate)) {
        die("verify", "no certificate");
    }
    bool good = strstr(certificate.names, "DNS:localhost") != NULL;
    printf("offered %s: %s\n", certificate.subject, good ? "accepted" : "refused");
    tlslife_certificate_clear(&certificate);
    if (tlslife_conn_answer_verify(client, good) != TLSLIFE_OK) {
        die("verify", tlslife_conn_error(client)->message);
    }
}

/* Calls the handshake of one end once. If it asks a question, answers that. Returns the status. */
static tlslife_status advance(tlslife_conn *conn) {
    tlslife_status status = tlslife_conn_handshake(conn);
    if (status == TLSLIFE_WANT_HELLO) {
        answer_hello(conn);
    } else if (status == TLSLIFE_WANT_VERIFY) {
        answer_verify(conn);
    }
    return status;
}

static tlslife_conn *new_conn(tlslife_context *context) {
    tlslife_error err;
    tlslife_conn *conn = tlslife_conn_new(context, &err);
    if (conn == NULL) {
        die("connection", err.message);
    }
    tlslife_conn_set_blocking(conn, false);
    return conn;
}

static void visit(tlslife_context *client_context, tlslife_context *server_context,
                  const char *name) {
    tlslife_conn *client = new_conn(client_context), *server = new_conn(server_context);
    if (tlslife_conn_set_hostname(client, name) != TLSLIFE_OK ||
        tlslife_conn_pair(client, server, 0) != TLSLIFE_OK) {
        die(name, tlslife_conn_error(client)->message);
    }
    tlslife_status status = TLSLIFE_WANT_READ;
    while (status != TLSLIFE_OK && status != TLSLIFE_ERROR) {
        status = advance(client);
        (void)advance(server); /* what it says to an end the client hears */
    }
    printf("%s: %s\n", name,
           status == TLSLIFE_OK ? "connected" : tlslife_conn_error(client)->message);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: questions cert.pem key.pem\n");
        return 2;
    }
    tlslife_context *client = make_client(argv[1]), *server = make_server(argv[1], argv[2]);
    visit(client, server, "localhost");
    visit(client, server, "elsewhere.example");
    tlslife_context_free(client);
    tlslife_context_free(server);
    return EXIT_SUCCESS;
}
