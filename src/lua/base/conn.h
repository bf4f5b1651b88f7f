/*
 * conn.h: declares the userdata of a connection, which several rooms use. The loops cancel its
 * waits, a context makes it, and verbs try its calls.
 */
#ifndef TLSLIFE_LUA_CONN_H
#define TLSLIFE_LUA_CONN_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "lua/base/identity.h"
#include "tlslife.h"

/*
 * A coroutine that waits in a loop, or has waited. It is a user value of the userdata that it waits
 * for.
 */
typedef struct tlb_waiter {
    bool waiting;
    unsigned char loop; /* the loop's number, from 1 */
    unsigned turn;      /* the wait's number; it increases when the wait ends or is canceled */
} tlb_waiter;

/* A connection's userdata. */
typedef struct tlb_conn {
    tlb_handle handle;
    bool asking;   /* a hook of this connection runs or is suspended */
    bool looped;   /* the current try must not block; its want is a question to a loop */
    bool first;    /* this is the first try of its call */
    bool watched;  /* a loop has waited for its descriptor, and may still watch it */
    bool looks_up; /* a coroutine waits for the store and has not been woken yet */
    /* The last read found only a part of a record, which is still pending. */
    bool incomplete;
    bool taken; /* bytes were read since the last rest() */
    size_t out; /* bytes that earlier tries of the same write have sent */
    /* The waits in reading verbs and in writing verbs. A verb that is both uses both. */
    tlb_waiter waiters[2];
    /* Its cache's store is functions of this state, which get the puts and removes. */
    bool tells;
    char want;               /* what the last WANT_ waits for, 'r' or 'w'; 0 before the first */
    tlslife_status question; /* the question that the last try left open (TLB_ASKED) */
    /* Counts clear and free, since a late answer of a hook must not reach the next handshake. */
    unsigned generation;
} tlb_conn;

/* User values of a connection. TLB_CONN_STORE is set if the connection's cache has a store. */
enum {
    TLB_CONN_CONTEXT = 1,
    TLB_CONN_TRANSPORT,
    TLB_CONN_CHOSEN,
    TLB_CONN_STORE,
    TLB_CONN_READER, /* READER and WRITER are threads (tlb_waiter) */
    TLB_CONN_WRITER,
    TLB_CONN_VALUES = TLB_CONN_WRITER
};

static inline tlslife_conn *tlb_getter(lua_State *L) {
    return tlb_self(L, &tlb_conn_type)->object;
}

static inline tlb_conn *tlb_self_conn(lua_State *L) {
    return (tlb_conn *)tlb_self(L, &tlb_conn_type);
}

static inline tlslife_conn *tlb_conn_object(const tlb_conn *self) {
    return self->handle.object;
}

/* What a try of a call returns instead of a number of results if tlb_conn.question is open. */
#define TLB_ASKED (-1)

#endif
