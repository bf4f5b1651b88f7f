/*
 * resumption.h: which ways of resuming a context has, and a handshake under it. resumption.c.
 */
#ifndef TLSLIFE_RESUMPTION_H
#define TLSLIFE_RESUMPTION_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/conn.h"
#include "tlslife.h"

/* Makes of context's SSL_CTX what its settings say. */
void tlsl_resumption_settle(tlslife_context *context);
/* Whether a hello may be served by another context. */
bool tlsl_context_leads_on(const tlslife_context *context);
/*
 * The program has set these options (a mask of SSL_OP_*), to these values. Not a setter: agree.c is
 * asked after it.
 */
void tlsl_resumption_note_options(tlslife_context *context, uint64_t options, uint64_t values);
void tlsl_set_option(SSL_CTX *ctx, uint64_t option, bool on);
tlslife_status tlsl_check_num_tickets(size_t num_tickets, tlslife_error *err);

/*
 * Where the sessions of the connections made of context are kept by id; NULL: nowhere, or nowhere
 * yet. make: a server has a place of its own from then on; NULL: out of memory.
 */
tlslife_cache *tlsl_context_session_cache(tlslife_context *context, bool make);

/*
 * Server: whether a session of this version is kept, and found, by an id, as the context in force
 * has it.
 */
bool tlsl_conn_keeps_ids(const tlslife_conn *conn, bool tls13);
/*
 * Server: the context and, all but certainly, the version of this handshake are known: are tickets
 * opened and made?
 */
void tlsl_conn_choose_tickets(tlslife_conn *conn, bool tls13);

#endif
