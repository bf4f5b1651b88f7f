/*
 * question.h: declares how a handshake asks the program about its peer. question.c.
 */
#ifndef TLSLIFE_QUESTION_H
#define TLSLIFE_QUESTION_H

#include "tlslife.h"

/* Asks about the peer: WANT_VERIFY, OK where it was accepted, or ERROR where it was refused. */
tlslife_status tlsl_handshake_question(tlslife_conn *conn);
/*
 * Before libssl is called: ERROR where the program has refused, and the alert that it has chosen
 * can be sent without libssl; the connection has ended then. verb is for the message.
 */
tlslife_status tlsl_handshake_refusal(tlslife_conn *conn, const char *verb);

#endif
