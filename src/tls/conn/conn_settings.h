/*
 * conn_settings.h: declares what the rest of this folder sets of a connection. conn_settings.c.
 */
#ifndef TLSLIFE_CONN_SETTINGS_H
#define TLSLIFE_CONN_SETTINGS_H

#include "tls/state/conn.h"
#include "tlslife.h"

/* tlslife_conn_set_hostname, for a host that tlsl_address_of has found, before the handshake. */
tlslife_status tlsl_conn_name_peer(tlslife_conn *conn, const char *host);

#endif
