/*
 * channel.h: a connection of a store to another machine, over TCP, a Unix socket or TLS. channel.c.
 */
#ifndef TLSLIFE_CHANNEL_H
#define TLSLIFE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "tlslife.h"

typedef struct tlsl_channel tlsl_channel;
typedef struct tlsl_target {
    const char *host, *service, *unix_path;
    tlslife_context *tls; /* NULL without TLS */
    int timeout_ms;       /* to connect over TCP, shared by the host's addresses */
} tlsl_target;

/* Begins to connect, without waiting. NULL: message, of message_len bytes, says why. */
tlsl_channel *tlsl_channel_open(const tlsl_target *target, char *message, size_t message_len);
/* Frees channel (NULL is allowed). Tries to send close_notify once, and does not wait. */
void tlsl_channel_close(tlsl_channel *channel);
/*
 * The same, but sends nothing. It is for a child of fork(), whose parent goes on with the
 * connection.
 */
void tlsl_channel_abandon(tlsl_channel *channel);
/* Continues to connect. 1: connected; 0: not yet; -1: failed. */
int tlsl_channel_ready(tlsl_channel *channel);
/*
 * Returns how many bytes were moved; 0 if the call would have to wait; -1 if the connection has
 * ended or failed.
 */
long tlsl_channel_read(tlsl_channel *channel, void *buffer, size_t buffer_len);
long tlsl_channel_write(tlsl_channel *channel, const void *bytes, size_t bytes_len);
/*
 * The descriptor to wait for, whether to be writable, and after how many ms to go on even if it is
 * not ready (-1: no limit).
 */
int tlsl_channel_fd(const tlsl_channel *channel, bool *out_writing, int *out_timeout_ms);

#endif
