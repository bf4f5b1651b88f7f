/*
 * lverb.c: runs a verb of a connection (connect, read, ...) until it has results.
 *
 * A verb is tried, and a question may end the try: one of the handshake, which a hook answers
 * (lquestion.c), or in a loop's coroutine, when the transport or the store is ready (lwait.c). Then
 * the same try is made again. That is a loop and not a recursion, since a peer that renegotiates at
 * will must not exhaust the C stack. Hooks and waits may yield, so both are called with a
 * continuation of this file, which goes on with the loop.
 *
 * An attacker may send without a pause, so that the coroutine that reads never waits and no other
 * runs. After RUN_MAX verbs without a wait in this state, the next one waits a moment
 * (ask_for_pause).
 */
#include <lua.h>
#include <stdbool.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/lerror.h"
#include "lua/cache/lprogram.h"
#include "lua/loop/lloop.h"
#include "lua/verb/lquestion.h"
#include "lua/verb/lverb.h"
#include "lua/verb/lwait.h"
#include "tlslife.h"

#define RUN_MAX 64

/* Makes one try of the verb. */
static int try_once(lua_State *L, tlb_conn *self, tlb_call *call) {
    bool pumps = call->pumps;
    self->looped = call->looped;
    self->first = call->first;
    self->out = call->out;
    call->pumps = call->first = false;
    int results = call->verb->attempt(L, self);
    call->out = self->out;
    self->out = 0;
    self->looped = self->first = false;
    if (pumps) {
        tlb_wake_answered(L);
    }
    return results;
}

/* ------------------------------------------------------------------------------------ questions */

static int hook_returned(lua_State *L, int status, lua_KContext context) {
    const tlb_verb *verb = (const tlb_verb *)context;
    tlb_conn *self = tlb_test(L, 1, &tlb_conn_type);
    tlb_call call = tlb_take_answer(L, self, verb, status != LUA_OK && status != LUA_YIELD);
    return tlb_questions(L, self, &call, try_once(L, self, &call));
}

static int wait_returned(lua_State *L, int status, lua_KContext context) {
    tlb_conn *self = tlb_test(L, 1, &tlb_conn_type);
    tlb_call call = tlb_waiting_call(L, (const tlb_verb *)context);
    int results = tlb_waited(L, self, &call, status != LUA_YIELD);
    return tlb_questions(L, self, &call, results == TLB_ASKED ? try_once(L, self, &call) : results);
}

/* Answers the question, or waits if it is a want. TLB_ASKED tells the caller to try again. */
static int answer_question(lua_State *L, tlb_conn *self, tlb_call *call) {
    lua_settop(L, call->verb->args);
    if (tlb_wants(self->question)) {
        return tlb_wait(L, self, call, wait_returned);
    }
    if (tlb_ask(L, self, call, hook_returned)) {
        return TLB_ASKED;
    }
    if (self->question != TLSLIFE_WANT_SESSION) {
        tlb_answer_default(L, self);
        return TLB_ASKED;
    }
    if (tlb_miss_lookup(self)) {
        return TLB_ASKED;
    }
    if (call->looped) {
        return tlb_wait(L, self, call, wait_returned);
    }
    lua_pushnil(L);
    lua_pushstring(L, tlslife_status_name(TLSLIFE_WANT_SESSION));
    return 2;
}

int tlb_questions(lua_State *L, tlb_conn *self, tlb_call *call, int results) {
    while (results == TLB_ASKED) {
        results = answer_question(L, self, call);
        if (results == TLB_ASKED) {
            results = try_once(L, self, call);
        }
    }
    return self->tells ? tlb_conn_tell(L, results) : results;
}

/* ------------------------------------------------------------------------------------ in a loop */

/*
 * Asks for a wait although the connection's next bytes may be there, because no verb has waited for
 * a long time.
 */
static int ask_for_pause(tlb_conn *self, tlb_call *call) {
    self->handle.state->run = 0;
    self->question = call->verb->what & TLB_READS ? TLSLIFE_WANT_READ : TLSLIFE_WANT_WRITE;
    call->pauses = true;
    return TLB_ASKED;
}

static bool needs_pause(const tlb_conn *self, const tlb_call *call) {
    const tlslife_conn *conn = tlb_conn_object(self);
    return call->looped && (call->verb->what & TLB_BOTH) != TLB_BOTH &&
           ++self->handle.state->run > RUN_MAX && tlslife_conn_handshake_done(conn) &&
           tlslife_conn_fd(conn) >= 0 && tlslife_conn_timeout_ms(conn) != 0;
}

int tlb_perform_slowly(lua_State *L, tlb_conn *self, const tlb_verb *verb) {
    unsigned what = verb->what;
    if ((self->asking && tlb_is_asking(L, self)) ||
        (what & TLB_READS && tlb_waits(L, 1, &self->waiters[0], TLB_CONN_READER)) ||
        (what & TLB_WRITES && tlb_waits(L, 1, &self->waiters[1], TLB_CONN_WRITER))) {
        return tlb_busy(L);
    }
    bool looped = self->handle.state->loops > 0 && lua_isyieldable(L) &&
                  tlslife_conn_blocking(tlb_conn_object(self));
    tlb_call call = {.verb = verb, .looped = looped, .first = looped};
    int results = needs_pause(self, &call) ? ask_for_pause(self, &call) : try_once(L, self, &call);
    return results == TLB_ASKED || self->tells ? tlb_questions(L, self, &call, results) : results;
}
