/*
 * data.h: declares what other calls use to send the bytes that cork holds back. data.c.
 */
#ifndef TLSLIFE_DATA_H
#define TLSLIFE_DATA_H

#include <stdint.h>

#include "tlslife.h"

/* tlslife_conn_flush, for a call that has a deadline already. */
tlslife_status tlsl_flush(tlslife_conn *conn, int64_t *deadline);

#endif
