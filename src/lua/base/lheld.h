/*
 * lheld.h: C memory that is about to become a Lua value. lheld.c.
 */
#ifndef TLSLIFE_LUA_LHELD_H
#define TLSLIFE_LUA_LHELD_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

#include "lua/base/lstate.h"
#include "tlslife.h"

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
tlb_held *tlb_hold(lua_State *L); /* pushes its userdata */
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

#endif
