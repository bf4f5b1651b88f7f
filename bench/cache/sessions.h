/*
 * sessions.h: sessions as a server has them, and their ids.
 */
#ifndef TLSLIFE_BENCH_SESSIONS_H
#define TLSLIFE_BENCH_SESSIONS_H

#include <openssl/ssl.h>
#include <stdint.h>

#define LIVES 7200 /* seconds */

/* Before the first session, and after the last. */
void sessions_begin(void);
void sessions_end(void);

int newest_version(void); /* of TLS, that libssl has */
void nth_id(uint32_t n, unsigned char id[32]);
SSL_SESSION *make_session(uint32_t n, int version, long timeout);

#endif
