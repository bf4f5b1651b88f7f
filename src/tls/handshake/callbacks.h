/*
 * callbacks.h: declares the functions that install OpenSSL's callbacks in a context. callbacks.c.
 */
#ifndef TLSLIFE_CALLBACKS_H
#define TLSLIFE_CALLBACKS_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tlslife.h"

/*
 * Installs the callbacks of every context that this library makes. They record or suspend, and
 * never call the program.
 */
void tlsl_callbacks_install(tlslife_context *context);
/* For SSL_clear: the first bytes of the next peer are examined, too. */
void tlsl_callbacks_first_header(SSL *ssl);
/*
 * For tracing.c, whose callbacks take the place of these on a connection that has a trace:
 * SSL_CTX_set_info_callback(3), and what SSL_set_msg_callback(3) tells of a header.
 */
void tlsl_callbacks_info(const SSL *ssl, int where, int value);
void tlsl_callbacks_examine_message(tlslife_conn *conn, bool sent, const unsigned char *message,
                                    size_t len);
void tlsl_callbacks_examine_header(tlslife_conn *conn, bool sent, const unsigned char *header,
                                   size_t len);

#endif
