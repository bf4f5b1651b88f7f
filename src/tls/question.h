/*
 * question.h: declares how a handshake asks the program about its peer. question.c.
 */
#ifndef TLSLIFE_QUESTION_H
#define TLSLIFE_QUESTION_H

#include "tlslife.h"

/* Asks about the peer: WANT_VERIFY, OK where it was accepted, or ERROR where it was refused. */
tlslife_status tlsl_handshake_question(tlslife_conn *conn);

#endif
