/*
 * memory.c: uses libtlslife without Lua. A client and a server in one process are joined in memory.
 * They make a handshake, exchange five bytes, and send close_notify both ways.
 * Usage: memory cert.pem key.pem (the certificate is for "localhost")
 */
#include <stdio.h>
#include <stdlib.h>
#include <tlslife.h>

static void check(tlslife_status status, const char *what, const tlslife_error *err) {
    if (status == TLSLIFE_ERROR) {
        fprintf(stderr, "%s: %s\n", what, err->message);
        exit(1);
    }
    printf("%-16s %s\n", what, tlslife_status_name(status));
}

static tlslife_conn *connection(tlslife_context *context) {
    tlslife_error err;
    tlslife_conn *conn = tlslife_conn_new(context, &err);
    if (conn == NULL) {
        check(TLSLIFE_ERROR, "conn_new", &err);
    }
    /* A call that waited for the other end would wait for ever: that end is ours, too. */
    tlslife_conn_set_blocking(conn, false);
    tlslife_context_free(context); /* the connection has a reference of its own */
    return conn;
}

static tlslife_conn *make_server(const char *certificate, const char *key) {
    tlslife_error err = {0};
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, &err);
    check(tlslife_context_set_certificate_file(context, certificate, &err), "certificate", &err);
    check(tlslife_context_set_private_key_file(context, key, NULL, &err), "private key", &err);
    return connection(context);
}

static tlslife_conn *make_client(const char *ca) {
    tlslife_error err = {0};
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, &err);
    check(tlslife_context_add_ca_file(context, ca, &err), "ca", &err);
    tlslife_conn *conn = connection(context);
    check(tlslife_conn_set_hostname(conn, "localhost"), "hostname", tlslife_conn_error(conn));
    return conn;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: memory cert.pem key.pem\n");
        return 2;
    }
    tlslife_conn *server = make_server(argv[1], argv[2]), *client = make_client(argv[1]);
    char text[64];
    size_t len = 0;

    check(tlslife_conn_pair(client, server, 0), "pair", tlslife_conn_error(client));
    while (!tlslife_conn_handshake_done(client) || !tlslife_conn_handshake_done(server)) {
        check(tlslife_conn_connect(client), "connect", tlslife_conn_error(client));
        check(tlslife_conn_accept(server), "accept", tlslife_conn_error(server));
    }
    check(tlslife_conn_write(client, "hello", 5, &len), "write", tlslife_conn_error(client));
    check(tlslife_conn_read(server, text, sizeof text, &len), "read", tlslife_conn_error(server));
    printf("%.*s, over %s\n", (int)len, text, tlslife_conn_version(server));
    check(tlslife_conn_shutdown(client), "client shutdown", tlslife_conn_error(client));
    check(tlslife_conn_read(server, text, sizeof text, &len), "server read",
          tlslife_conn_error(server));
    check(tlslife_conn_shutdown(server), "server shutdown", tlslife_conn_error(server));
    check(tlslife_conn_shutdown(client), "client shutdown", tlslife_conn_error(client));
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    return 0;
}
