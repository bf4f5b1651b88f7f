/*
 * channel.c: connects a store to a server, over TCP, a Unix socket, or TLS with a connection of our
 * own.
 *
 * Nothing here waits, not even for a name. The store's lock is held meanwhile, and the handshake of
 * any thread may want it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/dial.h"
#include "net/tcp.h"
#include "redis/channel.h"
#include "tlslife.h"

struct tlsl_channel {
    tlsl_dial *dial; /* while it connects over TCP */
    /*
     * The descriptor without TLS, which the channel owns. -1 if conn has it, or if there is none
     * yet.
     */
    int fd;
    tlslife_conn *conn; /* TLS */
    tlslife_context *tls;
    char *host;
    bool stands;
    bool writing; /* the TLS connection waits to write */
};

static int unix_socket(const char *path, char *message, size_t message_len) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
    } else {
        memcpy(address.sun_path, path, strlen(path) + 1);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
            return fd;
        }
    }
    (void)snprintf(message, message_len, "cannot connect to %s: %s", path, strerror(errno));
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

static bool begin(tlsl_channel *channel, const tlsl_target *target, char *message,
                  size_t message_len) {
    tlslife_error err;
    if (target->unix_path != NULL) {
        channel->fd = unix_socket(target->unix_path, message, message_len);
        return channel->fd >= 0;
    }
    channel->dial = tlsl_dial_new(target->host, target->service, false,
                                  tlsl_deadline(target->timeout_ms), &err);
    if (channel->dial == NULL) {
        (void)snprintf(message, message_len, "%s", err.message);
        return false;
    }
    channel->host = strdup(target->host);
    channel->tls = target->tls == NULL ? NULL : tlslife_context_up_ref(target->tls);
    return channel->host != NULL;
}

tlsl_channel *tlsl_channel_open(const tlsl_target *target, char *message, size_t message_len) {
    tlsl_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL) {
        (void)snprintf(message, message_len, "out of memory");
        return NULL;
    }
    channel->fd = -1;
    if (!begin(channel, target, message, message_len)) {
        tlsl_channel_close(channel);
        return NULL;
    }
    return channel;
}

void tlsl_channel_close(tlsl_channel *channel) {
    if (channel != NULL && channel->conn != NULL) {
        (void)tlslife_conn_close(channel->conn, 0);
    }
    tlsl_channel_abandon(channel);
}

void tlsl_channel_abandon(tlsl_channel *channel) {
    if (channel == NULL) {
        return;
    }
    tlslife_conn_free(channel->conn);
    if (channel->fd >= 0) {
        close(channel->fd);
    }
    tlsl_dial_free(channel->dial);
    tlslife_context_free(channel->tls);
    free(channel->host);
    free(channel);
}

/* ----------------------------------------------------------------------------------- connecting */

static bool begin_tls(tlsl_channel *channel) {
    int fd = channel->fd;
    channel->conn = tlslife_conn_new(channel->tls, NULL);
    if (channel->conn == NULL) {
        return false;
    }
    channel->fd = -1;
    tlslife_conn_set_blocking(channel->conn, false);
    return tlslife_conn_take_fd(channel->conn, fd) == TLSLIFE_OK &&
           tlslife_conn_set_hostname(channel->conn, channel->host) == TLSLIFE_OK;
}

/* Notes what the TLS connection waits for. Returns 1, 0 or -1 for its status. */
static int moved(tlsl_channel *channel, tlslife_status status) {
    channel->writing = status == TLSLIFE_WANT_WRITE;
    bool waits = status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE;
    return status == TLSLIFE_OK ? 1 : waits ? 0 : -1;
}

int tlsl_channel_ready(tlsl_channel *channel) {
    if (channel->dial != NULL) {
        tlslife_status status = tlsl_dial_step(channel->dial, &channel->fd, NULL);
        if (status != TLSLIFE_OK) {
            return status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE ? 0 : -1;
        }
        tlsl_dial_free(channel->dial);
        channel->dial = NULL;
        if (channel->tls != NULL && !begin_tls(channel)) {
            return -1;
        }
    }
    if (channel->stands || channel->conn == NULL) {
        channel->stands = true;
        return 1;
    }
    int result = moved(channel, tlslife_conn_connect(channel->conn));
    channel->stands = result == 1;
    return result;
}

int tlsl_channel_fd(const tlsl_channel *channel, bool *out_writing, int *out_timeout_ms) {
    if (channel->dial != NULL) {
        *out_timeout_ms = tlsl_left_ms(tlsl_dial_until(channel->dial));
        return tlsl_dial_fd(channel->dial, out_writing);
    }
    *out_writing = channel->writing;
    *out_timeout_ms = -1;
    return channel->conn != NULL ? tlslife_conn_fd(channel->conn) : channel->fd;
}

/* ---------------------------------------------------------------------------------------- bytes */

static long plain(ssize_t moved_bytes) {
    if (moved_bytes < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    return moved_bytes == 0 ? -1 : moved_bytes;
}

long tlsl_channel_read(tlsl_channel *channel, void *buffer, size_t buffer_len) {
    size_t got = 0;
    if (channel->conn == NULL) {
        return plain(recv(channel->fd, buffer, buffer_len, MSG_DONTWAIT));
    }
    int result = moved(channel, tlslife_conn_read(channel->conn, buffer, buffer_len, &got));
    return result == 1 ? (long)got : result;
}

long tlsl_channel_write(tlsl_channel *channel, const void *bytes, size_t bytes_len) {
    size_t put = 0;
    if (channel->conn == NULL) {
        return plain(send(channel->fd, bytes, bytes_len, MSG_DONTWAIT | MSG_NOSIGNAL));
    }
    int result = moved(channel, tlslife_conn_write(channel->conn, bytes, bytes_len, &put));
    return put > 0 ? (long)put : result;
}
