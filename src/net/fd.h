/*
 * fd.h: a transport over descriptors. fd.c.
 */
#ifndef TLSLIFE_FD_H
#define TLSLIFE_FD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * A BIO over descriptors that does not block (MSG_DONTWAIT) until it is told to, never raises
 * SIGPIPE and leaves their flags alone; closes them when freed if owned. After a failed read or
 * write errno is the system's. ssl is the one that it is for: its tickets wait a moment, where a
 * socket is owned; or NULL. NULL: out of memory.
 */
BIO *tlsl_fd_bio(const SSL *ssl, int read_fd, int write_fd, bool owned);
/* Whether a call may wait, without end, where the descriptor does: EAGAIN stays possible. */
void tlsl_fd_set_waits(BIO *bio, bool waits);
int tlsl_fd_read(BIO *bio);  /* its descriptors */
int tlsl_fd_write(BIO *bio);
bool tlsl_fd_drained(BIO *bio); /* its last read took all that was there */
void tlsl_fd_part(BIO *bio);    /* its SSL may go before it does: somebody else may hold it, too */
void tlsl_fd_push(BIO *bio);    /* somebody is about to wait for it: what waits for more goes out */

/*
 * As writev(2) to what is no socket, but SIGPIPE and SIGXFSZ never reach the process: EPIPE and
 * EFBIG alone say it. EINTR does not end it.
 */
ssize_t tlsl_write_quietly(int fd, const struct iovec *parts, int parts_len);

#endif
