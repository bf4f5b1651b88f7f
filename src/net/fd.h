/*
 * fd.h: the BIO over descriptors, and writing without signals. fd.c.
 */
#ifndef TLSLIFE_FD_H
#define TLSLIFE_FD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * A BIO over descriptors. It does not block (MSG_DONTWAIT) until it is told to, never raises
 * SIGPIPE, and changes no flag of the descriptors. It closes them when it is freed if they are
 * owned. After a failed read or write errno is the system's. ssl, which may be NULL, is the SSL
 * that uses the BIO; on a socket that is owned its tickets wait a moment for what is written next.
 * NULL if memory is short.
 */
BIO *tlsl_fd_bio(const SSL *ssl, int read_fd, int write_fd, bool owned);
/*
 * Lets recv and send wait, without a limit. They still fail with EAGAIN if the descriptor is
 * O_NONBLOCK.
 */
void tlsl_fd_set_waits(BIO *bio, bool waits);
/* The descriptor that bio reads from, and the one that it writes to. */
int tlsl_fd_read(BIO *bio);
int tlsl_fd_write(BIO *bio);
/* Whether the last read took all that was there. */
bool tlsl_fd_drained(BIO *bio);
/*
 * Says whether TLS goes over the descriptors of bio from now on, if they are owned; and whether it
 * does over fd, of any live BIO that owns it. Not known for numbers of 65536 and more.
 */
void tlsl_fd_set_tls(BIO *bio, bool tls);
bool tlsl_fd_has_tls(int fd);
/*
 * Says which SSL uses bio from now on. It is NULL before an SSL is freed, because other code may
 * hold a reference to bio, which lives longer then. Another BIO, which the program may have given
 * the SSL, is left as it is.
 */
void tlsl_fd_set_ssl(BIO *bio, const SSL *ssl);
/* Called before a wait for the descriptor: sends tickets that still wait for more. */
void tlsl_fd_push(BIO *bio);

/*
 * As writev(2), for descriptors that are no sockets. Neither SIGPIPE nor SIGXFSZ reaches the
 * process; EPIPE and EFBIG report the same. EINTR does not end the call.
 */
ssize_t tlsl_write_quietly(int fd, const struct iovec *parts, int parts_len);

#endif
