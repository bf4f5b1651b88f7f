/*
 * data.h: what else than the verbs of data moves what they hold back. data.c.
 */
#ifndef TLSLIFE_DATA_H
#define TLSLIFE_DATA_H

#include <stdint.h>

#include "tlslife.h"

/* As tlslife_conn_flush, as a part of a call that has a deadline already. */
tlslife_status tlsl_flush(tlslife_conn *conn, int64_t *deadline);

#endif
