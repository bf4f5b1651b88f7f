/*
 * psk_question.h: declares how a handshake asks the program for a PSK. psk_question.c.
 */
#ifndef TLSLIFE_PSK_QUESTION_H
#define TLSLIFE_PSK_QUESTION_H

#include <stdbool.h>

#include "tls/context/psk.h"
#include "tlslife.h"

/* Client of TLS 1.3: asks which PSK the ClientHello offers. WANT_PSK, or OK to go on. */
tlslife_status tlsl_psk_begin(tlslife_conn *conn);
/* Whether the record that comes next may have to do with a PSK, and must not be read by libssl. */
bool tlsl_psk_held(const tlslife_conn *conn);
/* Whether a read of the transport is one of tlsl_psk_ask. */
bool tlsl_psk_is_reading(const tlslife_conn *conn);
/*
 * Reads that record, and what of a flight follows it, and puts it back. WANT_PSK where the program
 * is to answer, OK where libssl may go on, WANT_READ where bytes are missing.
 */
tlslife_status tlsl_psk_ask(tlslife_conn *conn);
/* Whether the program has not answered yet. */
bool tlsl_psk_waits(const tlslife_conn *conn);
/* The program's answer is that this peer is refused. */
void tlsl_psk_refuse(tlslife_conn *conn);
bool tlsl_psk_is_refused(const tlslife_conn *conn);
void tlsl_psk_asked_free(tlsl_psk_asked *asked);

#endif
