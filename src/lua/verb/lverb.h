/*
 * lverb.h: verbs, which are methods of a connection that may have to wait or to ask a hook.
 * lverb.c.
 */
#ifndef TLSLIFE_LUA_LVERB_H
#define TLSLIFE_LUA_LVERB_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "lua/base/conn.h"
#include "tlslife.h"

/*
 * One try of a verb. Returns the number of its results, or TLB_ASKED if self->question waits for an
 * answer.
 */
typedef int (*tlb_attempt)(lua_State *L, tlb_conn *self);

/* What a verb does. */
enum {
    TLB_READS = 1,
    TLB_WRITES = 2,
    TLB_BOTH = TLB_READS | TLB_WRITES,
    TLB_CLOSES = 4, /* has a timeout of its own, and closes the transport when that is over */
    TLB_DIALS = 8   /* opens and closes descriptors */
};

/*
 * A verb is a method that may have to wait or to ask a hook. A continuation's context is the verb's
 * address, because a script with the debug library can change what is on the stack, but not that.
 */
typedef struct tlb_verb {
    tlb_attempt attempt;
    int args;      /* number of arguments, from index 1 */
    unsigned what; /* TLB_READS, ... */
} tlb_verb;

/* A call of a verb, as it goes from try to try. */
typedef struct tlb_call {
    const tlb_verb *verb;
    bool looped; /* may wait in a loop */
    bool first;  /* has not been tried in a loop yet */
    bool pauses; /* waits a moment so that other coroutines run */
    bool pumps;  /* the next try reads the store's answers, also those for other connections */
    lua_Integer deadline; /* 0 before the first wait */
    size_t out;           /* bytes that were sent so far */
} tlb_call;

/*
 * Continues after a try with these results. While there are none, it answers the question by
 * functions of the script, or waits, and tries again. Then it tells the store.
 */
int tlb_questions(lua_State *L, tlb_conn *self, tlb_call *call, int results);
/* Runs a verb if there are loops, or a hook of the connection runs. */
int tlb_perform_slowly(lua_State *L, tlb_conn *self, const tlb_verb *verb);

/* Around a call of the core in a try. The call must not block if a loop can wait instead. */
static inline void tlb_begin_try(tlb_conn *self) {
    if (self->looped) {
        tlslife_conn_set_blocking(tlb_conn_object(self), false);
    }
}

static inline tlslife_status tlb_end_try(tlb_conn *self, tlslife_status status) {
    if (self->looped) {
        tlslife_conn_set_blocking(tlb_conn_object(self), true);
    }
    return status;
}

#define TLB_TRY(self, call) (tlb_begin_try(self), tlb_end_try(self, call))

/*
 * Checks self and tries the verb once. It continues in tlb_questions or tlb_perform_slowly only for
 * a question, for a store that is Lua functions, and if there are loops. The arguments keep their
 * places on the stack.
 */
static inline int tlb_perform(lua_State *L, const tlb_verb *verb) {
    tlb_conn *self = tlb_self_conn(L);
    if (self->asking || self->handle.state->loops > 0) {
        return tlb_perform_slowly(L, self, verb);
    }
    int results = verb->attempt(L, self);
    if (results == TLB_ASKED || self->tells) {
        tlb_call call = {.verb = verb};
        return tlb_questions(L, self, &call, results);
    }
    return results;
}

#endif
