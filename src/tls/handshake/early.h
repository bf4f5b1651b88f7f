/*
 * early.h: how a connection whose early data are read like any others is read, written and ended.
 * early.c.
 */
#ifndef TLSLIFE_EARLY_H
#define TLSLIFE_EARLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/state/conn.h"
#include "tlslife.h"

/*
 * Server, for accept_early: reads the first early data. OK means that there are some
 * (tlslife_conn_early), or that there are none and the handshake goes on.
 */
tlslife_status tlsl_early_begin(tlslife_conn *conn, int64_t *deadline, const char *verb);
/*
 * Reads early data of a connection with conn->data.early. OK without bytes means that they are
 * over. The rest of the handshake may be to be made then, and tlsl_early_free to be called.
 */
tlslife_status tlsl_early_read(tlslife_conn *conn, void *buffer, size_t buffer_len,
                               size_t *out_read, bool peek, int64_t *deadline, const char *verb);
/* How many bytes such a read has at once. */
size_t tlsl_early_pending(const tlslife_conn *conn);
/*
 * Whether data can be written now, before the client's Finished. They go through the buffer of
 * cork, so that whatever call comes next can send on a record that was sent in part.
 */
bool tlsl_early_writable(const tlslife_conn *conn);
/* Before the rest of the handshake: reads all early data that are left. */
tlslife_status tlsl_early_end(tlslife_conn *conn, int64_t *deadline, const char *verb);
void tlsl_early_free(tlslife_conn *conn);

#endif
