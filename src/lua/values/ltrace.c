/*
 * ltrace.c: implements tls.trace{} and the methods of a trace, which give its events as tables.
 *
 * An event is taken from the trace when there is a userdata that holds it, so that it is not lost
 * where memory is short for its table. The bytes in it are of any length up to the trace's own, and
 * may be what a hostile peer has sent: they become a string, and nothing here looks into them.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "lua/base/identity.h"
#include "lua/base/lerror.h"
#include "lua/base/lheld.h"
#include "lua/base/loptions.h"
#include "lua/values/ltrace.h"
#include "tlslife.h"

#define BYTES_DEFAULT (1 << 20)

typedef struct trace_options {
    size_t bytes;
    bool secrets;
} trace_options;

static tlslife_status set_bytes(tlb_setting *s) {
    ((trace_options *)s->into)->bytes = tlb_option_size(s, 4096, 1 << 30);
    return TLSLIFE_OK;
}

static tlslife_status set_secrets(tlb_setting *s) {
    ((trace_options *)s->into)->secrets = tlb_option_truth(s);
    return TLSLIFE_OK;
}

static const tlb_option rows[] = {
    {"bytes", TLB_INTEGER, set_bytes, false},
    {"secrets", TLB_BOOLEAN, set_secrets, false},
    {NULL, 0, NULL, NULL, false},
};

int tlb_trace_new(lua_State *L) {
    trace_options options = {.bytes = BYTES_DEFAULT};
    tlb_setting s = {.L = L, .into = &options};
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    tlb_read_options(L, rows);
    tlb_new(L, &tlb_trace_type);
    tlb_set_options(&s, rows);
    tlslife_trace *trace = tlslife_trace_new(options.bytes, options.secrets, &s.err);
    if (!trace) {
        return tlb_fail(L, &s.err, NULL);
    }
    tlb_fill(L, &tlb_trace_type, trace);
    return 1;
}

static tlslife_trace *self_trace(lua_State *L) {
    return tlb_self(L, &tlb_trace_type)->object;
}

/* What the code of an event means, as the word that the rest of the module has for it. */
static void set_code(lua_State *L, const tlslife_trace_event *event) {
    switch (event->kind) {
    case TLSLIFE_TRACE_CALL:
        tlb_set_string(L, "status", tlslife_status_name((tlslife_status)event->code));
        break;
    case TLSLIFE_TRACE_WAIT: tlb_set_string(L, "status", event->code ? "over" : "begins"); break;
    case TLSLIFE_TRACE_ALERT: tlb_set_string(L, "name", tlslife_alert_name(event->code)); break;
    case TLSLIFE_TRACE_HANDSHAKE:
    case TLSLIFE_TRACE_SESSION:
        tlb_set_string(L, "outcome", tlslife_outcome_name((tlslife_outcome)event->code));
        break;
    default: break;
    }
    tlb_set_integer(L, "code", event->code);
}

static void set_flag(lua_State *L, const char *field, bool value) {
    lua_pushboolean(L, value);
    lua_setfield(L, -2, field);
}

static void push_event(lua_State *L, const tlslife_trace_event *event) {
    static const char *const sessions[] = {NULL, "good", "bad", "new"};
    lua_createtable(L, 0, 16);
    tlb_set_string(L, "kind", tlslife_trace_kind_name(event->kind));
    tlb_set_integer(L, "conn", (lua_Integer)event->conn);
    tlb_set_integer(L, "at", (lua_Integer)event->at_ns);
    if (event->since_ns != 0) {
        tlb_set_integer(L, "since", (lua_Integer)event->since_ns);
    }
    tlb_set_integer(L, "value", (lua_Integer)event->value);
    tlb_set_integer(L, "lost", (lua_Integer)event->lost);
    tlb_set_integer(L, "shutdown", event->shutdown);
    tlb_set_string(L, "session", event->session < 4 ? sessions[event->session] : NULL);
    tlb_set_string(L, "side", event->server ? "server" : "client");
    set_flag(L, "sent", event->sent);
    tlb_set_string(L, "name", event->name[0] ? event->name : NULL);
    lua_pushlstring(L, (const char *)event->data, event->data_len);
    lua_setfield(L, -2, "data");
    if (event->kind == TLSLIFE_TRACE_SESSION && event->age_s >= 0) {
        tlb_set_integer(L, "age", (lua_Integer)event->age_s);
    }
    set_code(L, event);
}

static int trace_next(lua_State *L) {
    self_trace(L);
    tlb_held *held = tlb_hold(L);
    held->event = tlslife_trace_next(self_trace(L));
    if (!held->event) {
        lua_pushnil(L);
        return 1;
    }
    push_event(L, held->event);
    tlb_held_clear(held);
    return 1;
}

static int trace_lost(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)tlslife_trace_lost(self_trace(L)));
    return 1;
}

static int trace_epoch(lua_State *L) {
    lua_pushinteger(L, tlslife_trace_epoch_ns(self_trace(L)));
    return 1;
}

static const luaL_Reg methods[] = {
    {"next", trace_next},          {"lost", trace_lost},      {"epoch", trace_epoch},
    {"up_ref", tlb_handle_up_ref}, {"free", tlb_handle_free}, {NULL, NULL},
};

static void *up_ref(void *object) {
    return tlslife_trace_up_ref(object);
}

static void release(void *object) {
    tlslife_trace_free(object);
}

static void describe(lua_State *L, void *object) {
    lua_pushfstring(L, "%I lost", (LUAI_UACINT)tlslife_trace_lost(object));
}

const tlb_type tlb_trace_type = {
    .name = "tlslife.trace",
    .size = sizeof(tlb_handle),
    .kib = 64,
    .up_ref = up_ref,
    .release = release,
    .describe = describe,
    .metamethods = tlb_handle_metamethods,
    .methods = {methods},
};
