/*
 * tcp.c: uses libtlslife without Lua, over TCP. The server keeps its sessions in a cache. The
 * client has a cache of its own; it connects twice, and resumes the second time. Every call waits,
 * but no longer than its deadline.
 *
 * Usage: tcp serve cert.pem key.pem port [connections]     (port 0 picks one; connections: how
 * many, then it ends)
 *        tcp visit cert.pem port                           (the certificate is for "localhost")
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tlslife.h>

enum { DEADLINE_MS = 5000 };

static void die(const char *what, const tlslife_error *err) {
    fprintf(stderr, "tcp: %s: %s\n", what, err->message);
    exit(EXIT_FAILURE);
}

/* A call for a context writes its error to the caller's tlslife_error. */
static tlslife_context *new_context(tlslife_role role) {
    tlslife_error err;
    tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *cache = tlslife_cache_new(&options, &err);
    tlslife_context *context = cache != NULL ? tlslife_context_new(role, &err) : NULL;
    if (context == NULL || tlslife_context_set_cache(context, cache, &err) != TLSLIFE_OK) {
        die("context", &err);
    }
    tlslife_cache_free(cache); /* the context has a reference of its own */
    tlslife_context_set_timeout_ms(context, DEADLINE_MS);
    return context;
}

/* Prints why a call has not succeeded: the connection's error, or the name of another status. */
static bool succeeds(tlslife_conn *conn, tlslife_status status, const char *what) {
    if (status == TLSLIFE_OK) {
        return true;
    }
    const char *why = tlslife_status_name(status);
    fprintf(stderr, "tcp: %s: %s\n", what,
            status == TLSLIFE_ERROR ? tlslife_conn_error(conn)->message : why);
    return false;
}

/* ----------------------------------------------------------------------------------- the server */

/*
 * Echoes until the peer's close_notify. TRUNCATED is an end without it, which an attacker may have
 * made, so it is not treated as the same.
 */
static void echo(tlslife_conn *conn) {
    char bytes[4096];
    size_t len = 0;
    if (!succeeds(conn, tlslife_conn_accept(conn), "accept")) {
        return;
    }
    tlslife_status status = tlslife_conn_read(conn, bytes, sizeof bytes, &len);
    while (status == TLSLIFE_OK &&
           succeeds(conn, tlslife_conn_write(conn, bytes, len, &len), "write")) {
        status = tlslife_conn_read(conn, bytes, sizeof bytes, &len);
    }
    tlslife_conn_close(conn,
                       DEADLINE_MS); /* our close_notify; by the peer's the session stays good */
    printf("server: %s, %s\n", tlslife_outcome_name(tlslife_conn_resumption(conn)),
           tlslife_status_name(status));
}

static tlslife_context *server_context(const char *certificate, const char *key) {
    tlslife_error err;
    tlslife_context *context = new_context(TLSLIFE_SERVER);
    if (tlslife_context_set_certificate_file(context, certificate, &err) != TLSLIFE_OK ||
        tlslife_context_set_private_key_file(context, key, NULL, &err) != TLSLIFE_OK) {
        die("certificate", &err);
    }
    return context;
}

static int serve(tlslife_context *context, const char *port, long connections) {
    tlslife_error err;
    tlslife_listener *listener = tlslife_listen("127.0.0.1", port, 0, false, &err);
    if (listener == NULL) {
        die("listen", &err);
    }
    printf("listening on port %d\n", tlslife_listener_port(listener));
    fflush(stdout);
    for (long i = 0; i < connections; i++) {
        tlslife_conn *conn;
        if (tlslife_listener_accept(listener, context, -1, &conn, &err) != TLSLIFE_OK) {
            die("accept", &err);
        }
        echo(conn);
        tlslife_conn_free(conn);
    }
    tlslife_listener_free(listener);
    return EXIT_SUCCESS;
}

/* ----------------------------------------------------------------------------------- the client */

static tlslife_context *client_context(const char *ca) {
    tlslife_error err;
    tlslife_context *context = new_context(TLSLIFE_CLIENT);
    if (tlslife_context_add_ca_file(context, ca, &err) != TLSLIFE_OK) {
        die("ca", &err);
    }
    return context;
}

/* The cache provides the session to offer, and keeps the new one. */
static bool visit(tlslife_context *context, const char *port) {
    tlslife_error err;
    char answer[16];
    size_t len = 0;
    tlslife_conn *conn = tlslife_conn_new(context, &err);
    if (conn == NULL) {
        die("connection", &err);
    }
    bool ok = succeeds(conn, tlslife_conn_dial(conn, "localhost", port), "dial") &&
              succeeds(conn, tlslife_conn_connect(conn), "connect") &&
              succeeds(conn, tlslife_conn_write(conn, "hello", 5, &len), "write") &&
              succeeds(conn, tlslife_conn_read(conn, answer, sizeof answer, &len), "read") &&
              succeeds(conn, tlslife_conn_close(conn, DEADLINE_MS), "close");
    if (ok) {
        printf("client: %s, %.*s\n", tlslife_outcome_name(tlslife_conn_resumption(conn)), (int)len,
               answer);
    }
    tlslife_conn_free(conn);
    return ok;
}

static int usage(void) {
    fprintf(stderr, "usage: tcp serve cert.pem key.pem port [connections]\n"
                    "       tcp visit cert.pem port\n");
    return 2;
}

int main(int argc, char **argv) {
    tlslife_context *context;
    int result;
    if (argc >= 5 && strcmp(argv[1], "serve") == 0) {
        context = server_context(argv[2], argv[3]);
        result = serve(context, argv[4], argc > 5 ? strtol(argv[5], NULL, 10) : 1000000);
    } else if (argc == 4 && strcmp(argv[1], "visit") == 0) {
        context = client_context(argv[2]);
        result = visit(context, argv[3]) && visit(context, argv[3]) ? EXIT_SUCCESS : EXIT_FAILURE;
    } else {
        return usage();
    }
    tlslife_context_free(context);
    return result;
}
