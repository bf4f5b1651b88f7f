/*
 * oracle_say.c: makes a call of libssl for the oracle, and prints it as a token.
 *
 * The error queue is emptied before each call, so that a reason is always that call's own.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "oracle.h"

void say(const char *format, ...) {
    va_list arguments;
    putchar(' ');
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
}

/* The reason of the first error in the queue, as one word. */
static const char *reason(void) {
    static char word[128];
    const char *text = ERR_reason_error_string(ERR_peek_error());
    snprintf(word, sizeof word, "%s", text ? text : "none");
    for (char *c = word; *c; c++) {
        if (isspace((unsigned char)*c)) {
            *c = '_';
        }
    }
    return word;
}

/* SSL_get_error's answer as a word. */
static const char *error_word(const SSL *ssl, int result) {
    static char word[160];
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ: return "want_read";
    case SSL_ERROR_WANT_WRITE: return "want_write";
    case SSL_ERROR_ZERO_RETURN: return "zero_return";
    case SSL_ERROR_SYSCALL: return "syscall";
    case SSL_ERROR_SSL: snprintf(word, sizeof word, "ssl:%s", reason()); return word;
    default: return "other";
    }
}

/*
 * Whether the call failed. Then SSL_get_error may be called, which it may not after SSL_shutdown's
 * 0.
 */
static void say_call(const struct scene *scene, SSL *ssl, const char *name, int result,
                     bool failed) {
    const char *who = ssl == peer(scene) ? "p" : "s";
    if (failed) {
        say("%s.%s=%d/%s", who, name, result, error_word(ssl, result));
    } else {
        say("%s.%s=%d", who, name, result);
    }
    ERR_clear_error();
}

void say_shutdown(const struct scene *scene, SSL *ssl) {
    ERR_clear_error();
    int result = SSL_shutdown(ssl);
    say_call(scene, ssl, "shutdown", result, result < 0);
}

static void say_data(const struct scene *scene, SSL *ssl, const char *verb,
                     int (*call)(SSL *, void *, size_t, size_t *), int least) {
    static char buffer[SSL3_RT_MAX_PLAIN_LENGTH];
    size_t len;
    ERR_clear_error();
    int result = call(ssl, buffer, sizeof buffer, &len);
    say_call(scene, ssl, verb, result, result < least);
}

void say_read(const struct scene *scene, SSL *ssl) {
    say_data(scene, ssl, "read", SSL_read_ex, 1);
}

void say_peek(const struct scene *scene, SSL *ssl) {
    say_data(scene, ssl, "peek", SSL_peek_ex, 1);
}

void say_read_early(const struct scene *scene, SSL *ssl) {
    say_data(scene, ssl, "read_early", SSL_read_early_data, SSL_READ_EARLY_DATA_SUCCESS);
}

void say_write_early(const struct scene *scene, SSL *ssl) {
    size_t written;
    ERR_clear_error();
    int result = SSL_write_early_data(ssl, "early", 5, &written);
    say_call(scene, ssl, "write_early", result, result <= 0);
}

void say_write(const struct scene *scene, SSL *ssl, size_t len) {
    static const char zeros[SSL3_RT_MAX_PLAIN_LENGTH];
    size_t written;
    ERR_clear_error();
    int result = SSL_write_ex(ssl, zeros, len, &written);
    say_call(scene, ssl, "write", result, result <= 0);
}

void say_handshake(const struct scene *scene, SSL *ssl) {
    ERR_clear_error();
    int result = SSL_do_handshake(ssl);
    say_call(scene, ssl, "handshake", result, result <= 0);
}

bool finish(const struct scene *scene) {
    bool done = handshake(client_of(scene), server_of(scene));
    say("done=%d", done);
    return done;
}

void say_clear(SSL *ssl) {
    ERR_clear_error();
    int result = SSL_clear(ssl);
    if (result > 0) {
        say("clear=%d", result);
    } else {
        say("clear=%d/ssl:%s", result, reason());
    }
    ERR_clear_error();
}

void say_masks(const struct scene *scene) {
    say("s.mask=%d", SSL_get_shutdown(subject(scene)));
    say("p.mask=%d", SSL_get_shutdown(peer(scene)));
}

void say_resumable(const struct scene *scene) {
    say("resumable=%d", SSL_SESSION_is_resumable(scene->held));
}

void say_reused(const char *name, SSL *client, SSL *server) {
    say("%s=%d/%d", name, SSL_session_reused(client), SSL_session_reused(server));
}

void say_fresh(struct scene *scene, const char *name, SSL_SESSION *session) {
    SSL *client = connection(scene, CLIENT), *server = connection(scene, SERVER);
    join(client, server);
    must(SSL_set_session(client, session) == 1, "set_session");
    if (handshake(client, server)) {
        say_reused(name, client, server);
    } else {
        say("%s=failed", name);
    }
    settle(&client);
    settle(&server);
}

void say_final_status(struct scene *scene) {
    say_resumable(scene);
    say_fresh(scene, "fresh", scene->offer);
    if (is_tls13(scene->kind)) {
        say_fresh(scene, "first", scene->first);
    }
}
