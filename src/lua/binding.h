/*
 * binding.h: what the files of the Lua binding know of each other. Nothing here is public.
 *
 * The binding is a user of tlslife.h: what it needs, C programs get too. It adds four things only:
 * handles (one userdata for each C object and state, identity.c), results (statuses as Lua values,
 * lerror.c), the functions that answer the handshake's questions, which may yield (lquestion.c,
 * lprogram.c), and waits that yield to a loop (lwait.c).
 *
 * What a script may try: a method on a freed handle, on another's self, out of a finalizer, out of
 * a hook, from two coroutines at once, with numbers out of range. Each of these raises or returns
 * "busy"; none reaches the core.
 *
 * Whatever makes a string, a table or a userdata may run a finalizer, and that may free any handle,
 * self too. So a method makes what it needs first, and looks at self (again) after that; what an
 * object lends is copied first, or while the collector rests (tlb_copy_resting).
 */
#ifndef TLSLIFE_BINDING_H
#define TLSLIFE_BINDING_H

#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlslife.h"

/* ----------------------------------------------------------------------------------- identity.c */

/* Pushes one value: a copy of what the core has lent. */
typedef void (*tlb_copier)(lua_State *L, void *lent);

/* One for each Lua state, and outlives every handle of it. */
typedef struct tlb_state {
    uintptr_t tag;
    int identities; /* luaL_ref of the table from objects to their userdata */
    int owed_kib;   /* C memory that was taken, and the collector has not been told of */
    int loops;      /* how many there are */
    unsigned run;   /* verbs since one waited in a loop */
    tlb_copier copy; /* what tlb_copy_resting does now, */
    void *lent;      /* and with what */
} tlb_state;

/* What every userdata but a buffer's begins with, and is. */
typedef struct tlb_handle {
    uintptr_t tag; /* tlb_tag of its type, or one of the two that are derived from it */
    void *object;  /* NULL: given up */
    void *address; /* the object's, also after it was given up */
    size_t refs;   /* how many references the script was given; the core knows of one */
    tlb_state *state;
} tlb_handle;

/* A coroutine that waits in a loop, or waited: it is a user value of what it waits for. */
typedef struct tlb_waiter {
    bool waiting;
    unsigned char loop; /* its number, from 1 */
    unsigned turn;      /* of the wait; one further when the wait is over or canceled */
} tlb_waiter;

/* A connection's userdata. */
typedef struct tlb_conn {
    tlb_handle handle;
    bool asking;              /* a hook of this connection runs or is suspended */
    bool looped;              /* the try does not wait: its want is a question to a loop */
    bool first;               /* and it is the first of its call */
    bool watched;             /* a loop has waited for its descriptor, and may still know it */
    bool looks_up;            /* a coroutine waits for the store, and nobody has told it yet of an answer */
    bool dry;                 /* the last read found too little: what is pending is part of a record */
    size_t out;               /* of what is written: how much earlier tries of the same call have sent */
    tlb_waiter waiters[2];    /* in reading verbs, in writing verbs; in verbs that are both: twice the same */
    bool tells;               /* functions of this state are its cache's store, and are told of puts and removes */
    char want;                /* 'r' or 'w': what the last WANT_ waits for; 0: none yet */
    tlslife_status question;  /* what attempt left to be answered: see TLB_ASKED */
    unsigned generation;      /* counts clear and free: a hook's answer must not reach another handshake */
} tlb_conn;

/*
 * User values of a state's: the functions of its loops, the connections whose coroutines wait for a
 * store (lwait.c);
 */
enum { TLB_STATE_LOOPS = 1, TLB_STATE_LOOKUPS, TLB_STATE_VALUES = TLB_STATE_LOOKUPS };
/* of a connection's userdata, the last where it tells; */
enum {
    TLB_CONN_CONTEXT = 1,
    TLB_CONN_TRANSPORT,
    TLB_CONN_CHOSEN,
    TLB_CONN_STORE,
    TLB_CONN_READER, /* threads: see tlb_waiter */
    TLB_CONN_WRITER,
    TLB_CONN_VALUES = TLB_CONN_WRITER
};
/* of a context's: its hooks, the contexts that its server names lead to, by address, its cache; */
enum {
    TLB_CONTEXT_HELLO = 1,
    TLB_CONTEXT_CERTIFICATE,
    TLB_CONTEXT_VERIFY,
    TLB_CONTEXT_TARGETS,
    TLB_CONTEXT_CACHE,
    TLB_CONTEXT_VALUES = TLB_CONTEXT_CACHE
};
/* of a cache's: its store; */
enum { TLB_CACHE_STORE = 1, TLB_CACHE_VALUES = TLB_CACHE_STORE };
/* and of a store's, where it is functions: these. */
enum {
    TLB_STORE_GET = 1,
    TLB_STORE_PUT,
    TLB_STORE_REMOVE,
    TLB_STORE_TAKE,
    TLB_STORE_VALUES = TLB_STORE_TAKE
};

/* One for each kind of object; its address is the registry's key to the metatable. */
typedef struct tlb_type {
    const char *name;          /* "tlslife.connection" */
    size_t size;               /* of the userdata */
    int user_values;
    int kib;                   /* C memory behind one, roughly, that the collector cannot see */
    void *(*up_ref)(void *object); /* NULL: not counted */
    void (*release)(void *object); /* gives up one reference */
    void (*given_up)(lua_State *L, int idx); /* what else the userdata lets go of with its object, or NULL */
    void (*describe)(lua_State *L, void *object); /* pushes what tostring says in brackets */
    const luaL_Reg *metamethods;
    const luaL_Reg *methods[6]; /* NULL after the last */
} tlb_type;

extern const tlb_type tlb_context_type, tlb_conn_type, tlb_session_type, tlb_listener_type, tlb_buffer_type,
    tlb_cache_type, tlb_store_type, tlb_keyring_type, tlb_ticket_keys_type, tlb_poller_type;
extern const tlb_type *const tlb_handle_types[]; /* all but the buffer's, which is no handle; NULL after the last */

/*
 * Every method is a closure over its type's number; raises where a script has put something else
 * there.
 */
const tlb_type *tlb_own_type(lua_State *L);

void tlb_open_state(lua_State *L); /* before all else */
tlb_state *tlb_push_state(lua_State *L);
tlb_state *tlb_state_of(lua_State *L);
void tlb_open_types(lua_State *L); /* makes the metatables, once a state */
const char *tlb_short_name(const tlb_type *type);   /* "connection" */
/*
 * Pushes the table that the registry has at that address; raises where a script has put something
 * else there.
 */
void tlb_push_registered(lua_State *L, const void *key);
/* Pushes a userdata of the binding's own, all 0 but for the tag that it begins with, with the registry's metatable of
 * that key if there is one. */
void *tlb_new_private(lua_State *L, const void *key, size_t size, int user_values);
/* The userdata at idx if it is one of those; NULL otherwise. */
void *tlb_private(lua_State *L, int idx, const void *key, size_t size);
/* The userdata at idx if it is of this type, freed or not; NULL otherwise. */
void *tlb_test(lua_State *L, int idx, const tlb_type *type);
/*
 * The same; raises when it is not, or was freed. what names the argument ("option 'x'"), or NULL:
 * by its number.
 */
tlb_handle *tlb_check(lua_State *L, int idx, const tlb_type *type, const char *what);
/* Metamethods and methods that counted objects share. */
int tlb_handle_gc(lua_State *L);
int tlb_handle_close(lua_State *L);
int tlb_handle_tostring(lua_State *L);
int tlb_handle_up_ref(lua_State *L);
int tlb_handle_free(lua_State *L);
extern const luaL_Reg tlb_handle_metamethods[]; /* for a type that has no others */
/* The script is given one reference more. Returns 1. */
int tlb_handle_counted(tlb_handle *handle);
/* Raises for a self that is freed or something else: "connection:read(): connection was freed". */
tlb_handle *tlb_bad_self(lua_State *L);

/*
 * Raises unless the value at index 1 is still this userdata: functions of the script were called
 * since it was looked at.
 */
void tlb_check_same(lua_State *L, const tlb_type *type, const void *self);
/* Pushes a closed userdata, still without a metatable: first the userdata, then the object, so that nothing leaks when
 * Lua's memory ends. */
tlb_handle *tlb_new(lua_State *L, const tlb_type *type);
/*
 * Fills the closed userdata on the top with an object, taking over one reference, and makes it
 * known.
 */
void tlb_fill(lua_State *L, const tlb_type *type, void *object);
/* Whether the userdata at idx is a closed one of this type. */
bool tlb_is_closed(lua_State *L, int idx, const tlb_type *type);
/* Pushes the userdata that this state has for an object, or pushes nothing. */
tlb_handle *tlb_known(lua_State *L, const tlb_type *type, const void *object);
/* Pushes it, or a new one that takes a reference of its own. nil for NULL. */
void tlb_push(lua_State *L, const tlb_type *type, void *object);
/* The same into the closed userdata on the top: for what another object lends, which the making of a userdata, and a
 * finalizer then, could free. */
void tlb_share(lua_State *L, const tlb_type *type, void *object);
/* Fills the closed userdata on the top, unless this state knows the object already: then puts that one in its place, and
 * counts there the reference that was taken over. */
void tlb_settle(lua_State *L, const tlb_type *type, void *object);
/*
 * Brings a handle that was given up, at idx, back to life: its object is known to live. Takes a
 * reference.
 */
void tlb_revive(lua_State *L, int idx, const tlb_type *type);
/* Gives up all references of the handle at idx. */
void tlb_release(lua_State *L, int idx, const tlb_type *type);
/*
 * The thread in which a hook of this connection runs: weak, so that a dropped coroutine is no
 * hindrance.
 */
void tlb_set_asking(lua_State *L, tlb_conn *self, bool asking);
bool tlb_is_asking(lua_State *L, tlb_conn *self);

extern uintptr_t tlb_secret;

/* Of a type, or of a key to userdata of the binding's own. */
static inline uintptr_t tlb_tag(const void *type) {
    return tlb_secret ^ (uintptr_t)type;
}

/* The handle at idx if it is of this type and has an object; NULL otherwise. */
static inline tlb_handle *tlb_live(lua_State *L, int idx, const tlb_type *type) {
    tlb_handle *handle = lua_touserdata(L, idx);
    bool ours = handle && lua_rawlen(L, idx) >= sizeof *handle && handle->tag == tlb_tag(type);
    return ours && handle->object ? handle : NULL;
}

static inline tlb_handle *tlb_self(lua_State *L, const tlb_type *type) {
    tlb_handle *self = tlb_live(L, 1, type);
    return self ? self : tlb_bad_self(L);
}

static inline tlslife_conn *tlb_getter(lua_State *L) {
    return tlb_self(L, &tlb_conn_type)->object;
}

static inline tlb_conn *tlb_self_conn(lua_State *L) {
    return (tlb_conn *)tlb_self(L, &tlb_conn_type);
}

static inline tlslife_conn *tlb_conn_object(const tlb_conn *self) {
    return self->handle.object;
}

/* ------------------------------------------------------------------------------------- lerror.c */

/* Set a field of the table on the top; NULL: none. */
static inline void tlb_set_string(lua_State *L, const char *field, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, field);
}

static inline void tlb_set_integer(lua_State *L, const char *field, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

void tlb_open_errors(lua_State *L);
void tlb_push_error(lua_State *L, const tlslife_error *err); /* the table */
int tlb_push_failure(lua_State *L, const tlslife_error *err); /* nil, message, err: 3 */
/*
 * The program's mistake raises; all else is nil, message, err. prefix goes before a message that is
 * raised, or NULL.
 */
int tlb_fail(lua_State *L, const tlslife_error *err, const char *prefix);
/* Raises whatever it is: for calls that only a mistake can make fail. */
int tlb_raise(lua_State *L, const tlslife_error *err, const char *prefix);
static inline bool tlb_wants(tlslife_status status) {
    return status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE;
}

/* nil and the status's word, or what tlb_fail does: for calls on a connection that did not end with OK. Remembers what
 * is waited for. A question gives TLB_ASKED. */
int tlb_status(lua_State *L, tlb_conn *self, tlslife_status status);
/* true, or tlb_status. */
int tlb_true(lua_State *L, tlb_conn *self, tlslife_status status);
/* true, or raises. */
int tlb_must(lua_State *L, tlb_conn *self, tlslife_status status);
/* A string that may be NULL: nil. Returns 1. */
int tlb_optional_string(lua_State *L, const char *string);
int tlb_optional_bytes(lua_State *L, tlslife_bytes bytes); /* len 0: nil */

/* --------------------------------------------------------------------------------------- larg.c */

#define TLB_SIZE_MAX (1 << 30)

/*
 * An integer in a range at idx; fallback when it is absent (pass a fallback below min to demand
 * one).
 */
size_t tlb_size(lua_State *L, int idx, lua_Integer min, lua_Integer max, lua_Integer fallback);
bool tlb_boolean(lua_State *L, int idx);
bool tlb_optional_boolean(lua_State *L, int idx); /* absent: false */
/*
 * Seconds at idx as milliseconds, rounded up; nil: -1. what names it in the error, or NULL: by its
 * number.
 */
int tlb_milliseconds(lua_State *L, int idx, const char *what);
/* A string; numbers are none. */
const char *tlb_bytes(lua_State *L, int idx, size_t *out_len);
/* The same without NUL in it. */
const char *tlb_text(lua_State *L, int idx);
/* A port: an integer 0..65535, which becomes a string on the stack, or a service's name. */
const char *tlb_service(lua_State *L, int idx);
/*
 * Where byte i (at idx, default 1) of len bytes begins: 0..len, the latter for i one past the end.
 */
size_t tlb_offset(lua_State *L, int idx, size_t len);
/* The length of the table at idx, where its elements are 1 to that. The border of a table with holes may be any power of two:
 * raises for one that no list has. */
#define TLB_LIST_MAX (1 << 24)
size_t tlb_list_len(lua_State *L, int idx, const char *what);
/*
 * Pushes a userdata with room for so many of that size. Raises where they are more than memory can
 * hold.
 */
void *tlb_array(lua_State *L, size_t len, size_t size);
/*
 * The table of strings at idx as C strings, in a userdata that is pushed; they live while both do.
 */
const char *const *tlb_string_list(lua_State *L, int idx, const char *what, size_t *out_len);
/*
 * The string keys of the table at idx, sorted, in a userdata that is pushed. Raises for other keys.
 */
const char *const *tlb_sorted_keys(lua_State *L, int idx, const char *what, size_t *out_len);
/* Raises: "option 'x': string expected, got nil". */
int tlb_type_error(lua_State *L, int idx, const char *what, const char *expected);

/* -------------------------------------------------------------------------------------- lheld.c */

/*
 * C memory that is on its way into Lua: held by a userdata, so that it goes also when Lua raises
 * meanwhile.
 */
typedef struct tlb_held {
    uintptr_t tag;
    tlslife_certificate certificate;
    unsigned char *bytes; /* of tlslife_session_export_ */
    size_t bytes_len;
    char *string; /* of tlslife_conn_take_keylog */
} tlb_held;

void tlb_open_held(lua_State *L);
tlb_held *tlb_hold(lua_State *L);   /* pushes its userdata */
void tlb_let_go(tlb_held *held);
/* Pushes a tlslife.Certificate. */
void tlb_push_certificate(lua_State *L, const tlslife_certificate *certificate);
/* For tlb_copy_resting of a tlslife_conn: the peer's chain as a list, empty where there is none. */
void tlb_peer_certificates(lua_State *L, void *conn);

/* ------------------------------------------------------------------------------------ lmemory.c */

/*
 * So much C memory was taken behind a userdata: when it adds up, the collector is told. May run
 * finalizers.
 */
void tlb_memory_taken(lua_State *L, tlb_state *state, int kib);
/* And was given back by the program itself. */
void tlb_memory_returned(tlb_state *state, int kib);
/* Pushes what copy pushes of lent. The collector rests meanwhile: a script's finalizer could free or clear what the core
 * lends. */
void tlb_copy_resting(lua_State *L, tlb_copier copy, void *lent);

/* ---------------------------------------------------------------------------------- lquestion.c */

/*
 * One try of a verb: the number of its results, or TLB_ASKED, with self->question waiting for an
 * answer.
 */
typedef int (*tlb_attempt)(lua_State *L, tlb_conn *self);
#define TLB_ASKED (-1)

/* What a verb does. */
enum {
    TLB_READS = 1,
    TLB_WRITES = 2,
    TLB_BOTH = TLB_READS | TLB_WRITES,
    TLB_CLOSES = 4, /* its deadline is its own, and the end closes */
    TLB_DIALS = 8   /* its descriptors come and go */
};

/*
 * A verb. Its address, which tells a continuation what to go on with, is the continuation's
 * context: on the stack a script with the debug library could read and change it.
 */
typedef struct tlb_verb {
    tlb_attempt attempt;
    int args;      /* how many, at 1.. */
    unsigned what; /* TLB_READS, ... */
} tlb_verb;

/* A call of one, as it goes from try to try. */
typedef struct tlb_call {
    const tlb_verb *verb;
    bool looped;      /* may wait in a loop */
    bool first;       /* has not been tried in one yet */
    bool rests;       /* waits a moment for the others' sake */
    bool pumps;       /* the next try takes answers off the store's wire, also others' */
    lua_Integer deadline; /* 0: nothing was waited for yet */
    size_t out;       /* bytes that are written */
} tlb_call;

void tlb_open_questions(lua_State *L);
/* Goes on after a try with those results: answers, by functions of the script, waits, and tries again until there are
 * some, then tells the store. */
int tlb_questions(lua_State *L, tlb_conn *self, tlb_call *call, int results);
int tlb_busy(lua_State *L);
/* Pushes the userdata of the context in force, or nil; it may have been given up. */
tlb_handle *tlb_context_in_force(lua_State *L, int conn_idx, tlb_conn *self);

/* -------------------------------------------------------------------------------------- lwait.c */

void tlb_open_loops(lua_State *L);
int tlb_loop(lua_State *L);        /* tls.loop */
lua_Integer tlb_now(void);         /* ms, monotonic */
/* When a call ends that may take so long (-1: for ever). Never 0. */
lua_Integer tlb_deadline(int timeout_ms);
/* A verb where there are loops, or a hook runs. */
int tlb_perform_slowly(lua_State *L, tlb_conn *self, const tlb_verb *verb);
/* One try of it. */
int tlb_try(lua_State *L, tlb_conn *self, tlb_call *call);
/*
 * The question is a want: waits in the loop that runs this coroutine. The results, or TLB_ASKED:
 * try again.
 */
int tlb_wait(lua_State *L, tlb_conn *self, tlb_call *call);
/* Wakes who waits in a verb of the connection at idx; whether there was one. */
bool tlb_cancel(lua_State *L, int idx);
/* The transport of the connection at idx is about to go: no loop knows its descriptors any more. */
void tlb_forget(lua_State *L, int idx);
/* Both. */
void tlb_part(lua_State *L, int idx);
/* Somebody has pumped a store: wakes who waits for one, and has the answer now. */
void tlb_wake_answered(lua_State *L);

/* For those that wait for something else. Pushes the wait function of the loop that runs this coroutine; its number, or 0
 * and nothing. */
int tlb_push_loop(lua_State *L);
/* This coroutine waits for the userdata at idx, whose user value is its place. The turn. */
unsigned tlb_begin_wait(lua_State *L, int idx, tlb_waiter *waiter, int value, int loop);
/* Whether somebody waits there. */
bool tlb_waits(lua_State *L, int idx, tlb_waiter *waiter, int value);
/* Ends the wait, and wakes; whether there was one. */
bool tlb_cancel_wait(lua_State *L, int idx, tlb_waiter *waiter, int value);
/*
 * Of the store at idx, which has fd now: a descriptor of ours for the same file. -1: fd is closed
 * already.
 */
int tlb_store_watch(lua_State *L, int idx, int fd);
/* Tells every loop that fd, of the userdata at idx, will be closed. */
void tlb_forget_fd(lua_State *L, int idx, int fd);
int tlb_canceled(lua_State *L);
/* Milliseconds as seconds; below 0: nil. */
void tlb_push_seconds(lua_State *L, lua_Integer ms);

/* Around a call of the core in a try, which must not wait where a loop can. */
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

/* A verb: checks self, tries, and goes the long way only for a question, with a store that is functions, or with loops.
 * Its arguments stay where they are. */
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

/* ----------------------------------------------------------------------------------- lprogram.c */

/* Whether the value at idx is the userdata of a store that is functions of this state. */
bool tlb_is_program(lua_State *L, int idx);
/*
 * Pushes the function that answers the lookup, and its arguments: how many; or nothing, and -1:
 * this state has none.
 */
int tlb_push_lookup(lua_State *L, tlb_conn *self);
/*
 * Answers a lookup that no function of this state knows: there is none. false: the store answers it
 * by itself.
 */
bool tlb_miss_lookup(tlb_conn *self);
/* Answers by the value at idx, where no function has raised. */
tlslife_status tlb_answer_lookup(lua_State *L, tlb_conn *self, int idx, bool failed);
/* Warns of the error at the top, which that function ("a store's put") raised, and pops it. */
void tlb_warn(lua_State *L, const char *function);
/* Tells the store's functions what is to be put and removed: last thing before a C function returns, since they may
 * yield. The store's userdata is below the results, whose number it returns. */
int tlb_tell(lua_State *L, int results);
int tlb_conn_tell(lua_State *L, int results); /* for a connection at index 1 that tells */

/* ----------------------------------------------------------------------------------- lcontext.c */

int tlb_context_new(lua_State *L); /* tls.context */
extern const luaL_Reg tlb_context_methods[];
/* Pushes a connection's userdata of the context at context_idx: closed. */
tlb_conn *tlb_new_conn(lua_State *L, int context_idx);
/*
 * The connection's userdata at the top keeps that of the context at context_idx, and of its store.
 */
void tlb_keep_context(lua_State *L, tlb_conn *conn, int context_idx);

/* ----------------------------------------------------------------------- the connection's files */

extern const luaL_Reg tlb_conn_life[];      /* lconn.c: life, settings, shutdown */
extern const luaL_Reg tlb_conn_transport[]; /* ltransport.c */
extern const luaL_Reg tlb_conn_data[];      /* ldata.c: handshake, bytes */
extern const luaL_Reg tlb_conn_facts[];     /* lfacts.c: what the handshake found */
int tlb_pair(lua_State *L);                 /* tls.pair */

/* ------------------------------------------------ llistener.c, lbuffer.c, lsession.c, lpoller.c */

int tlb_listen(lua_State *L);    /* tls.listen */
int tlb_split_address(lua_State *L); /* tls.split_address */
int tlb_listen_fd(lua_State *L); /* tls.listen_fd */
int tlb_poller_new(lua_State *L); /* tls.poller */

/* ------------------------------------------------------------------ lcache.c, lstore.c, lkeys.c */

int tlb_cache_new(lua_State *L);       /* tls.cache */
int tlb_shared(lua_State *L);          /* tls.shared */
int tlb_redis(lua_State *L);           /* tls.redis */
int tlb_keyring_new(lua_State *L);     /* tls.keyring */
int tlb_ticket_keys_new(lua_State *L); /* tls.ticket_keys */

/*
 * Where bytes begin, modulo 16, in a Lua string and in libssl's records (SSL3_ALIGN_PAYLOAD); what
 * they pass through begins them there, too. Where source and destination lie alike memory is copied
 * a quarter faster, and never as slowly as some processors do where they differ by a few bytes
 * modulo a page (thirty times as long).
 */
#define TLB_BYTES_AT 8

/* A buffer is its userdata: nothing of it is the core's. */
typedef struct tlb_buffer {
    uintptr_t tag;
    size_t capacity;
    size_t len; /* with these three the data begin at TLB_BYTES_AT: Lua aligns the whole */
    unsigned char data[];
} tlb_buffer;

tlb_buffer *tlb_test_buffer(lua_State *L, int idx); /* NULL: it is none */

int tlb_buffer_new(lua_State *L); /* tls.buffer */

#endif
