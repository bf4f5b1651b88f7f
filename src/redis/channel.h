/*
 * channel.h: how a store speaks to another machine, over TCP, a Unix socket or TLS. channel.c.
 */
#ifndef TLSLIFE_CHANNEL_H
#define TLSLIFE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "tlslife.h"

typedef struct tlsl_channel tlsl_channel;
typedef struct tlsl_target {
    const char *host, *service, *unix_path;
    tlslife_context *tls; /* NULL: none */
    int timeout_ms;       /* for TCP to stand: every address of the host gets its share */
} tlsl_target;

/* Begins to connect, without waiting. NULL: message (of message_len bytes) says why. */
tlsl_channel *tlsl_channel_open(const tlsl_target *target, char *message, size_t message_len);
/* NULL: nothing. close_notify is tried once, nothing waits. */
void tlsl_channel_close(tlsl_channel *channel);
/*
 * The same without a word to the other end: for a child of fork(), whose parent goes on with the
 * connection.
 */
void tlsl_channel_abandon(tlsl_channel *channel);
/* Goes on connecting. 1: it stands; 0: not yet; -1: it failed. */
int tlsl_channel_ready(tlsl_channel *channel);
/* Bytes moved; 0: would have to wait; -1: ended or failed. */
long tlsl_channel_read(tlsl_channel *channel, void *buffer, size_t buffer_len);
long tlsl_channel_write(tlsl_channel *channel, const void *bytes, size_t bytes_len);
/* What it waits for, and in how many ms to go on though nothing came (-1: never). */
int tlsl_channel_fd(const tlsl_channel *channel, bool *out_writing, int *out_timeout_ms);

#endif
