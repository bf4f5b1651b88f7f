/*
 * binding.h: what the files of the Lua binding share. Nothing here is public.
 *
 * The binding uses libtlslife through tlslife.h alone, as a C program does. It adds four things:
 * handles (one userdata for each C object in a Lua state, identity.c), results (statuses as Lua
 * values, lerror.c), calls of the Lua functions that answer the handshake's questions, which may
 * yield (lquestion.c, lprogram.c), and waits that yield to a loop (lwait.c).
 *
 * A hostile script may call a method on a freed handle or on another object, from a finalizer, from
 * a hook or from two coroutines at once, and may pass numbers out of range. Each of these calls
 * raises or returns "busy". None reaches the core.
 *
 * Making a string, a table or a userdata may run a finalizer, and a finalizer may free any handle,
 * self included. Therefore a method first makes what it needs, and then looks at self (again). What
 * an object lends is copied before anything is made, or while the collector is stopped
 * (tlb_copy_without_gc).
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

/* Pushes one value, which is a copy of what the core has lent. */
typedef void (*tlb_copier)(lua_State *L, void *lent);

/* One for each Lua state. It outlives every handle of the state. */
typedef struct tlb_state {
    uintptr_t tag;
    int identities; /* reference (luaL_ref) of the table from objects to their userdata */
    int owed_kib;   /* KiB of C memory that were taken since the collector was last told */
    int loops;      /* number of loops */
    unsigned run;   /* number of verbs since one last waited in a loop */
    tlb_copier copy; /* the function that tlb_copy_without_gc calls now */
    void *lent;      /* its argument */
} tlb_state;

/* The head of every userdata except a buffer's; most consist of nothing else. */
typedef struct tlb_handle {
    uintptr_t tag; /* tlb_tag of its type, or one of the two tags that are derived from it */
    void *object;  /* NULL after the handle has given its object up */
    void *address; /* the object's address, also after it was given up */
    size_t refs;   /* references that the script was given; the core counts one for all of them */
    tlb_state *state;
} tlb_handle;

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
    bool asking;              /* a hook of this connection runs or is suspended */
    bool looped;              /* the current try must not block; its want is a question to a loop */
    bool first;               /* this is the first try of its call */
    bool watched;             /* a loop has waited for its descriptor, and may still watch it */
    bool looks_up;            /* a coroutine waits for the store and has not been woken yet */
    /* The last read found only a part of a record, which is still pending. */
    bool incomplete;
    bool taken;               /* bytes were read since the last rest() */
    size_t out;               /* bytes that earlier tries of the same write have sent */
    /* The waits in reading verbs and in writing verbs. A verb that is both uses both. */
    tlb_waiter waiters[2];
    /* Its cache's store is functions of this state, which get the puts and removes. */
    bool tells;
    char want;                /* what the last WANT_ waits for, 'r' or 'w'; 0 before the first */
    tlslife_status question;  /* the question that the last try left open (TLB_ASKED) */
    /* Counts clear and free, since a late answer of a hook must not reach the next handshake. */
    unsigned generation;
} tlb_conn;

/*
 * User values. A state's are the functions of its loops, the connections whose coroutines wait for
 * a store (lloop.c), and the path of a key log or nil.
 */
enum {
    TLB_STATE_LOOPS = 1,
    TLB_STATE_LOOKUPS,
    TLB_STATE_KEYLOG,
    TLB_STATE_VALUES = TLB_STATE_KEYLOG
};
/* A connection's. TLB_CONN_STORE is set if the connection's cache has a store. */
enum {
    TLB_CONN_CONTEXT = 1,
    TLB_CONN_TRANSPORT,
    TLB_CONN_CHOSEN,
    TLB_CONN_STORE,
    TLB_CONN_READER, /* READER and WRITER are threads (tlb_waiter) */
    TLB_CONN_WRITER,
    TLB_CONN_VALUES = TLB_CONN_WRITER
};
/*
 * A context's are its hooks, the contexts that its server names lead to (a table by address), and
 * its cache.
 */
enum {
    TLB_CONTEXT_HELLO = 1,
    TLB_CONTEXT_CERTIFICATE,
    TLB_CONTEXT_VERIFY,
    TLB_CONTEXT_PSK,
    TLB_CONTEXT_TARGETS,
    TLB_CONTEXT_CACHE,
    TLB_CONTEXT_VALUES = TLB_CONTEXT_CACHE
};
/* A cache's is its store. */
enum { TLB_CACHE_STORE = 1, TLB_CACHE_VALUES = TLB_CACHE_STORE };
/* A store's, if it is Lua functions, are these functions. */
enum {
    TLB_STORE_GET = 1,
    TLB_STORE_PUT,
    TLB_STORE_REMOVE,
    TLB_STORE_TAKE,
    TLB_STORE_VALUES = TLB_STORE_TAKE
};

/* One for each kind of object. Its address is the registry's key of the metatable. */
typedef struct tlb_type {
    const char *name;          /* "tlslife.connection" */
    size_t size;               /* bytes of the userdata */
    int user_values;
    /* KiB of C memory behind one object, roughly, which the collector cannot see */
    int kib;
    void *(*up_ref)(void *object); /* NULL if the object has no reference count */
    void (*release)(void *object); /* gives up one reference */
    /* Drops what else the userdata keeps for its object. May be NULL. */
    void (*given_up)(lua_State *L, int idx);
    void (*describe)(lua_State *L, void *object); /* pushes what tostring says in brackets */
    const luaL_Reg *metamethods;
    const luaL_Reg *methods[6]; /* NULL after the last */
} tlb_type;

extern const tlb_type tlb_context_type, tlb_conn_type, tlb_session_type, tlb_listener_type,
    tlb_buffer_type, tlb_cache_type, tlb_store_type, tlb_keyring_type, tlb_ticket_keys_type,
    tlb_poller_type, tlb_trace_type;
/* All handle types, with NULL after the last. A buffer is not a handle. */
extern const tlb_type *const tlb_handle_types[];

/*
 * The type of the running method. Every method is a closure over its type's number; raises if a
 * script has changed that upvalue.
 */
const tlb_type *tlb_own_type(lua_State *L);

void tlb_open_state(lua_State *L); /* before anything else */
tlb_state *tlb_push_state(lua_State *L);
tlb_state *tlb_state_of(lua_State *L);
void tlb_open_types(lua_State *L); /* makes the metatables, once for each state */
const char *tlb_short_name(const tlb_type *type);   /* "connection" */
/* Pushes the table that the registry has at that address. Raises if a script has replaced it. */
void tlb_push_registered(lua_State *L, const void *key);
/*
 * Pushes a userdata for the binding's own use. It is zeroed except for the tag at its head. Its
 * metatable is the registry's at that key, if there is one.
 */
void *tlb_new_private(lua_State *L, const void *key, size_t size, int user_values);
/* The userdata at idx if tlb_new_private made it with that key, otherwise NULL. */
void *tlb_private(lua_State *L, int idx, const void *key, size_t size);
/* The userdata at idx if it is of this type, freed or not; otherwise NULL. */
void *tlb_test(lua_State *L, int idx, const tlb_type *type);
/*
 * As tlb_test, but raises if it is of another type or was freed. what names the argument in the
 * message ("option 'x'"). If it is NULL, the message has the argument's number.
 */
tlb_handle *tlb_check(lua_State *L, int idx, const tlb_type *type, const char *what);
/* Metamethods and methods that the counted types share. */
int tlb_handle_gc(lua_State *L);
int tlb_handle_close(lua_State *L);
int tlb_handle_tostring(lua_State *L);
int tlb_handle_up_ref(lua_State *L);
int tlb_handle_free(lua_State *L);
extern const luaL_Reg tlb_handle_metamethods[]; /* for a type without metamethods of its own */
/* Counts one more reference of the script. Returns 1. */
int tlb_handle_counted(tlb_handle *handle);
/*
 * Raises for a self that was freed or is something else: "connection:read(): the connection was
 * freed".
 */
tlb_handle *tlb_bad_self(lua_State *L);

/*
 * Raises unless the value at index 1 is still this userdata. For use after functions of the script
 * were called.
 */
void tlb_check_same(lua_State *L, const tlb_type *type, const void *self);
/*
 * Pushes a closed userdata, which has no metatable yet. The userdata is made before its object, so
 * nothing leaks if Lua runs out of memory.
 */
tlb_handle *tlb_new(lua_State *L, const tlb_type *type);
/*
 * Fills the closed userdata at the top with an object, takes over one reference, and registers it.
 */
void tlb_fill(lua_State *L, const tlb_type *type, void *object);
/* Whether the userdata at idx is a closed one of this type. */
bool tlb_is_closed(lua_State *L, int idx, const tlb_type *type);
/*
 * Pushes the userdata that this state has for an object. If there is none, pushes nothing and
 * returns NULL.
 */
tlb_handle *tlb_known(lua_State *L, const tlb_type *type, const void *object);
/* Pushes the object's userdata, or a new one that takes a reference of its own; nil for NULL. */
void tlb_push(lua_State *L, const tlb_type *type, void *object);
/*
 * As tlb_push, but uses the closed userdata at the top. For objects that another object lends:
 * making a userdata may run a finalizer, which could free the lender.
 */
void tlb_share(lua_State *L, const tlb_type *type, void *object);
/*
 * As tlb_fill if this state does not know the object. Otherwise the object's userdata replaces the
 * closed one at the top, and counts the reference that was taken over.
 */
void tlb_settle(lua_State *L, const tlb_type *type, void *object);
/*
 * Fills the handle at idx again, which had given its object up. The object must be known to live.
 * Takes a reference.
 */
void tlb_refill(lua_State *L, int idx, const tlb_type *type);
/* Gives up the object of the handle at idx, whatever the script's count is. */
void tlb_release(lua_State *L, int idx, const tlb_type *type);
/*
 * Sets, and reads, whether a hook of this connection runs in a thread. The table of these threads
 * is weak, so a coroutine that was dropped does not block the connection.
 */
void tlb_set_asking(lua_State *L, tlb_conn *self, bool asking);
bool tlb_is_asking(lua_State *L, tlb_conn *self);

extern uintptr_t tlb_secret;

/* The tag of a type, or of a key of tlb_new_private. */
static inline uintptr_t tlb_tag(const void *type) {
    return tlb_secret ^ (uintptr_t)type;
}

/* The handle at idx if it is of this type and has an object; otherwise NULL. */
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

/* Set a field of the table at the top. A NULL string sets nil. */
static inline void tlb_set_string(lua_State *L, const char *field, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, field);
}

static inline void tlb_set_integer(lua_State *L, const char *field, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

void tlb_open_errors(lua_State *L);
void tlb_push_error(lua_State *L, const tlslife_error *err); /* pushes the table */
/* Pushes nil, the message and err, and returns 3. */
int tlb_push_failure(lua_State *L, const tlslife_error *err);
/*
 * Raises if err is a mistake of the calling program (USAGE). Otherwise as tlb_push_failure. prefix
 * goes before a message that is raised; NULL means none.
 */
int tlb_fail(lua_State *L, const tlslife_error *err, const char *prefix);
/* Raises for every kind of error. For calls that only a mistake can make fail. */
int tlb_raise(lua_State *L, const tlslife_error *err, const char *prefix);
static inline bool tlb_wants(tlslife_status status) {
    return status == TLSLIFE_WANT_READ || status == TLSLIFE_WANT_WRITE;
}

/*
 * For a call on a connection that did not end with OK. Pushes nil and the status's word, or does
 * what tlb_fail does. Stores what a WANT_ waits for. A question gives TLB_ASKED.
 */
int tlb_status(lua_State *L, tlb_conn *self, tlslife_status status);
/* Pushes true, or does what tlb_status does. */
int tlb_true(lua_State *L, tlb_conn *self, tlslife_status status);
/* Pushes true, or raises. */
int tlb_must(lua_State *L, tlb_conn *self, tlslife_status status);
/* Push a string, or nil for a NULL string or for no bytes. Return 1. */
int tlb_optional_string(lua_State *L, const char *string);
int tlb_optional_bytes(lua_State *L, tlslife_bytes bytes);
int tlb_busy(lua_State *L); /* the results of a call that another one, or a hook, excludes */

/* --------------------------------------------------------------------------------------- larg.c */

#define TLB_SIZE_MAX (1 << 30)

/*
 * The integer at idx, which must be in min..max. If it is absent, the result is fallback; a
 * fallback below min makes the argument mandatory.
 */
size_t tlb_size(lua_State *L, int idx, lua_Integer min, lua_Integer max, lua_Integer fallback);
bool tlb_boolean(lua_State *L, int idx);
bool tlb_optional_boolean(lua_State *L, int idx); /* false if it is absent */
/*
 * The seconds at idx as milliseconds, rounded up; -1 for nil. what names the argument in an error.
 * If it is NULL, the error has the argument's number.
 */
int tlb_milliseconds(lua_State *L, int idx, const char *what);
/* A string. Numbers are not accepted. */
const char *tlb_bytes(lua_State *L, int idx, size_t *out_len);
/* A string that contains no NUL. */
const char *tlb_text(lua_State *L, int idx);
/* A port, which is an integer 0..65535 (it becomes a string on the stack), or a service's name. */
const char *tlb_service(lua_State *L, int idx);
/*
 * The offset of byte i of len bytes. i is the integer at idx, by default 1. The result is 0..len;
 * len is for an i one past the end.
 */
size_t tlb_offset(lua_State *L, int idx, size_t len);
/*
 * The length of the list at idx. Raises if it is above TLB_LIST_MAX. The border of a table with
 * holes may be any power of two, and no real list is as long.
 */
#define TLB_LIST_MAX (1 << 24)
size_t tlb_list_len(lua_State *L, int idx, const char *what);
/*
 * Pushes a userdata with room for len elements of that size. Raises if memory cannot hold so many.
 */
void *tlb_array(lua_State *L, size_t len, size_t size);
/*
 * The list of strings at idx as C strings, in a userdata that is pushed. They are valid while the
 * list and the userdata are.
 */
const char *const *tlb_string_list(lua_State *L, int idx, const char *what, size_t *out_len);
/*
 * The keys of the table at idx, sorted, in a userdata that is pushed, above a table that keeps
 * them. Raises for keys that are not strings.
 */
const char *const *tlb_sorted_keys(lua_State *L, int idx, const char *what, size_t *out_len);
/* Raises "option 'x': string expected, got nil". */
int tlb_type_error(lua_State *L, int idx, const char *what, const char *expected);

/* -------------------------------------------------------------------------------------- lheld.c */

/*
 * C memory that is about to become a Lua value. A userdata holds it, so it is freed even if Lua
 * raises.
 */
typedef struct tlb_held {
    uintptr_t tag;
    tlslife_certificate certificate;
    tlslife_certificate_details details;
    unsigned char *bytes; /* of tlslife_session_export_ */
    size_t bytes_len;
    char *string; /* for tlslife_string_free */
    tlslife_trace_event *event;
} tlb_held;

void tlb_open_held(lua_State *L);
tlb_held *tlb_hold(lua_State *L);   /* pushes its userdata */
void tlb_held_clear(tlb_held *held);
/* Pushes a tlslife.Certificate. */
void tlb_push_certificate(lua_State *L, const tlslife_certificate *certificate);
/*
 * A tlb_copier for a tlslife_conn. Pushes the peer's chain as a list, which is empty if there is
 * none.
 */
void tlb_peer_certificates(lua_State *L, void *lent);
/* The same of our own certificates. */
void tlb_local_certificates(lua_State *L, void *lent);

/*
 * Pushes what copy pushes of lent. The collector is stopped meanwhile, since a finalizer could free
 * or clear what the core lends.
 */
void tlb_copy_without_gc(lua_State *L, tlb_copier copy, void *lent);

/* ------------------------------------------------------------------------------------ lmemory.c */

/*
 * Counts kib KiB of C memory that were taken behind a userdata. Tells the collector when the sum is
 * large, which may run finalizers.
 */
void tlb_memory_taken(lua_State *L, tlb_state *state, int kib);
/* Subtracts kib KiB that the script itself has freed. */
void tlb_memory_returned(tlb_state *state, int kib);

/* -------------------------------------------------------------------------------------- lverb.c */

/*
 * One try of a verb. Returns the number of its results, or TLB_ASKED if self->question waits for an
 * answer.
 */
typedef int (*tlb_attempt)(lua_State *L, tlb_conn *self);
#define TLB_ASKED (-1)

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
    bool looped;      /* may wait in a loop */
    bool first;       /* has not been tried in a loop yet */
    bool pauses;       /* waits a moment so that other coroutines run */
    bool pumps;       /* the next try reads the store's answers, also those for other connections */
    lua_Integer deadline; /* 0 before the first wait */
    size_t out;       /* bytes that were sent so far */
} tlb_call;

/*
 * Continues after a try with these results. While there are none, it answers the question by
 * functions of the script, or waits, and tries again. Then it tells the store.
 */
int tlb_questions(lua_State *L, tlb_conn *self, tlb_call *call, int results);
/* Runs a verb if there are loops, or a hook of the connection runs. */
int tlb_perform_slowly(lua_State *L, tlb_conn *self, const tlb_verb *verb);

/* ---------------------------------------------------------------------------------- lquestion.c */

void tlb_open_questions(lua_State *L);
/*
 * Calls the function of this state that answers the question, with that continuation. Returns false
 * if there is none.
 */
bool tlb_ask(lua_State *L, tlb_conn *self, const tlb_call *call, lua_KFunction returned);
/* For the continuation: answers with the function's results. Returns the call to go on with. */
tlb_call tlb_take_answer(lua_State *L, tlb_conn *self, const tlb_verb *verb, bool failed);
/*
 * Answers as tlslife.h says for a host without hooks, since this state has none. A peer that the
 * built-in verification refused is not accepted.
 */
void tlb_answer_default(lua_State *L, tlb_conn *self);
/* A tlb_copier for a tlslife_conn. Pushes the names of CAs that the peer has sent, as a list. */
void tlb_ca_names(lua_State *L, void *lent);

/* Pushes the userdata of the context in force, or nil. The handle may have given its object up. */
tlb_handle *tlb_context_in_force(lua_State *L, int conn_idx, tlb_conn *self);
/* -------------------------------------------------------------------------------------- lloop.c */

void tlb_open_loops(lua_State *L);
int tlb_loop(lua_State *L); /* tls.loop */
/*
 * Pushes the wait function of the loop that runs this coroutine and returns the loop's number. If
 * there is none, it pushes nothing and returns 0.
 */
int tlb_push_loop(lua_State *L);
/* Pushes the wait function of that loop. false: there is none, and nothing is pushed. */
bool tlb_push_wait(lua_State *L, int loop);
/*
 * Marks this coroutine as waiting for the userdata at idx, whose user value stores it. Returns the
 * turn.
 */
unsigned tlb_begin_wait(lua_State *L, int idx, tlb_waiter *waiter, int value, int loop);
/* Whether a coroutine waits there. */
bool tlb_waits(lua_State *L, int idx, tlb_waiter *waiter, int value);
/* Cancels the wait and wakes its coroutine. Returns whether there was one. */
bool tlb_cancel_wait(lua_State *L, int idx, tlb_waiter *waiter, int value);
/*
 * Wakes the coroutines that wait in verbs of the connection at idx, or of one that it carries.
 * Returns whether there was one.
 */
bool tlb_cancel(lua_State *L, int idx);
int tlb_canceled(lua_State *L); /* the results of a verb whose wait was canceled */
/*
 * Drops the threads that have waited for the connection at idx and do so no more. They are kept
 * because a thread that waits again need not be asked for its loop, and would not be collected.
 */
void tlb_forget_waited(lua_State *L, int idx);
/* Tells every loop that fd, of the userdata at idx, will be closed. */
void tlb_forget_fd(lua_State *L, int idx, int fd);
/* Makes all loops forget the descriptors of the connection at idx, whose transport will go. */
void tlb_forget(lua_State *L, int idx);
/* tlb_cancel, then tlb_forget. */
void tlb_cancel_and_forget(lua_State *L, int idx);
/* The same before it is freed; the waits of a connection that it carries go on. */
void tlb_let_go(lua_State *L, int idx);
/* Notes whether the connection at index 1 waits for a store's answer. */
void tlb_set_lookup(lua_State *L, tlb_conn *self, bool looks_up);
/* After a store was pumped, wakes the coroutines that wait for an answer and have it now. */
void tlb_wake_answered(lua_State *L);
/* Push milliseconds as seconds, and a descriptor; nil below 0. */
void tlb_push_seconds(lua_State *L, lua_Integer ms);
void tlb_push_fd(lua_State *L, int fd);

/* ------------------------------------------------------------------------------------- lstore.c */

/*
 * A duplicate of fd, the descriptor that the store at idx has now. The userdata owns the duplicate.
 * Returns -1 if fd is closed already.
 */
int tlb_store_watch(lua_State *L, int idx, int fd);

/* -------------------------------------------------------------------------------------- lwait.c */

lua_Integer tlb_now(void); /* milliseconds, monotonic */
/* The time at which a call ends that may take so long; -1 means without limit. Never 0. */
lua_Integer tlb_deadline(int timeout_ms);
/*
 * The question is a want. Waits in the loop that runs this coroutine, with that continuation.
 * Returns the number of results, or TLB_ASKED if the verb is to be tried again.
 */
int tlb_wait(lua_State *L, tlb_conn *self, tlb_call *call, lua_KFunction returned);
/* For the continuation: the call that has waited. */
tlb_call tlb_waiting_call(lua_State *L, const tlb_verb *verb);
/*
 * For the continuation: wait has returned or raised, and its result or error is at the top. Returns
 * what tlb_wait returns.
 */
int tlb_waited(lua_State *L, tlb_conn *self, tlb_call *call, bool failed);

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

/* ----------------------------------------------------------------------------------- lprogram.c */

/* Whether the value at idx is the userdata of a store that is Lua functions of this state. */
bool tlb_is_program(lua_State *L, int idx);
/*
 * Pushes the function that answers the lookup, and its arguments. Returns the number of arguments.
 * If this state has no such function, pushes nothing and returns -1.
 */
int tlb_push_lookup(lua_State *L, tlb_conn *self);
/*
 * Answers "not found" to a lookup for which this state has no function. Returns false if the store
 * answers by itself.
 */
bool tlb_miss_lookup(tlb_conn *self);
/* Answers with the value at idx, or with a failure if the function has raised. */
tlslife_status tlb_answer_lookup(lua_State *L, tlb_conn *self, int idx, bool failed);
/* Warns of the error at the top, which that function ("a store's put") raised, and pops it. */
void tlb_warn(lua_State *L, const char *function);
/*
 * Calls the store's functions for what is to be put and removed. They may yield, so this is the
 * last thing that a C function does before it returns. The store's userdata is below the results.
 * Returns the number of results.
 */
int tlb_tell(lua_State *L, int results);
/* tlb_tell for the connection at index 1, whose field tells is set. */
int tlb_conn_tell(lua_State *L, int results);

/* ----------------------------------------------------------------------------------- lcontext.c */

int tlb_context_new(lua_State *L); /* tls.context */
extern const luaL_Reg tlb_context_methods[];
/* Pushes a closed userdata for a connection of the context at context_idx. */
tlb_conn *tlb_new_conn(lua_State *L, int context_idx);
/*
 * Makes the connection's userdata at the top keep that of the context at context_idx, and that of
 * the context's store.
 */
void tlb_keep_context(lua_State *L, tlb_conn *conn, int context_idx);

/* ----------------------------------------------------------------------- the connection's files */

extern const luaL_Reg tlb_conn_life[];      /* lconn.c: life, settings, shutdown */
extern const luaL_Reg tlb_conn_transport[]; /* ltransport.c */
extern const luaL_Reg tlb_conn_data[];      /* ldata.c: handshake, data */
extern const luaL_Reg tlb_conn_facts[];     /* lfacts.c: what the handshake found */
int tlb_pair(lua_State *L);                 /* tls.pair */

/* ------------------------------------------------ llistener.c, lbuffer.c, lsession.c, lpoller.c */

int tlb_listen(lua_State *L);    /* tls.listen */
int tlb_split_address(lua_State *L); /* tls.split_address */
int tlb_listen_fd(lua_State *L); /* tls.listen_fd */
int tlb_poller_new(lua_State *L);  /* tls.poller */
int tlb_class(lua_State *L);       /* tls.class */
int tlb_line(lua_State *L);        /* tls.line */
int tlb_certificate(lua_State *L); /* tls.certificate */
int tlb_fingerprint(lua_State *L); /* tls.fingerprint */
int tlb_issued(lua_State *L);      /* tls.issued */

/* ------------------------------------------------------------------ lcache.c, lstore.c, lkeys.c */

int tlb_cache_new(lua_State *L);       /* tls.cache */
int tlb_shared(lua_State *L);          /* tls.shared */
int tlb_redis(lua_State *L);           /* tls.redis */
int tlb_keyring_new(lua_State *L);     /* tls.keyring */
int tlb_ticket_keys_new(lua_State *L); /* tls.ticket_keys */

/* ------------------------------------------------------------------------------------- ltrace.c */

int tlb_trace_new(lua_State *L); /* tls.trace */

/* ----------------------------------------------------------------------------------- lmetrics.c */

/* tls.metrics, and the functions whose names begin so: tls.metrics_count and others */
int tlb_metrics(lua_State *L);
int tlb_metrics_count(lua_State *L);
int tlb_metrics_share(lua_State *L);
int tlb_metrics_join(lua_State *L);
int tlb_metrics_publish(lua_State *L);
int tlb_metrics_leave(lua_State *L);

/*
 * Where bytes begin, modulo 16, in a Lua string and in libssl's records (SSL3_ALIGN_PAYLOAD).
 * Buffers through which bytes pass begin there, too. If source and destination are aligned alike,
 * memory is copied a quarter faster. If they differ by a few bytes modulo a page, some processors
 * copy thirty times as slowly.
 */
#define TLB_BYTES_AT 8

/* A buffer is its userdata. The core knows nothing of it. */
typedef struct tlb_buffer {
    uintptr_t tag;
    size_t capacity;
    /* With these three fields data begins at TLB_BYTES_AT, since Lua aligns the userdata. */
    size_t len;
    unsigned char data[];
} tlb_buffer;

tlb_buffer *tlb_test_buffer(lua_State *L, int idx); /* NULL if it is not a buffer */

int tlb_buffer_new(lua_State *L); /* tls.buffer */

#endif
