/*
 * lconn.c: implements the methods of a connection that concern its life from creation to end: dup,
 * references, clear, settings, shutdown, its session.
 *
 * The handshake's verbs and the data's are in ldata.c, the transports in ltransport.c, and what the
 * handshake found in lfacts.c.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lua/base/conn.h"
#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/base/lstate.h"
#include "lua/cache/lprogram.h"
#include "lua/conn/ldata.h"
#include "lua/conn/lfacts.h"
#include "lua/conn/ltransport.h"
#include "lua/loop/lloop.h"
#include "lua/verb/lquestion.h"
#include "lua/verb/lverb.h"
#include "tlslife.h"

static tlslife_conn *self_conn(lua_State *L) {
    return tlb_self(L, &tlb_conn_type)->object;
}

/* ---------------------------------------------------------------- creation, references, context */

static void copy_user_value(lua_State *L, int value) {
    lua_getiuservalue(L, 1, value);
    lua_setiuservalue(L, -2, value);
}

static int conn_dup(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    tlslife_error err;
    lua_settop(L, 1);
    tlb_conn *copy = (tlb_conn *)tlb_new(L, &tlb_conn_type);
    tlb_handle *self = tlb_self(L, &tlb_conn_type);
    copy->tells = ((tlb_conn *)self)->tells;
    copy_user_value(L, TLB_CONN_CONTEXT);
    copy_user_value(L, TLB_CONN_CHOSEN);
    copy_user_value(L, TLB_CONN_STORE);
    tlslife_conn *conn = tlslife_conn_dup(self->object, &err);
    if (!conn) {
        return tlb_fail(L, &err, NULL);
    }
    if (conn == self->object) {
        tlslife_conn_free(conn); /* the userdata has a reference already */
        tlb_handle_counted(self);
        lua_settop(L, 1);
    } else {
        tlb_fill(L, &tlb_conn_type, conn);
    }
    return 1;
}

/* Makes sure that no hook of the handshake so far can answer, and that none is waited for. */
static void end_generation(lua_State *L, tlb_conn *self) {
    self->generation++;
    self->want = 0;
    self->incomplete = false;
    if (self->asking) {
        tlb_set_asking(L, self, false);
    }
}

static int conn_clear(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    tlb_cancel(L, 1);
    tlb_conn *self = tlb_self_conn(L); /* a loop's functions may have freed it */
    tlslife_status status = tlslife_conn_clear(tlb_conn_object(self));
    if (status == TLSLIFE_OK) {
        end_generation(L, self);
    }
    int results = tlb_told(L, self, status);
    return self->tells ? tlb_conn_tell(L, results) : results;
}

static int conn_context(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    tlb_handle *context = tlb_context_in_force(L, 1, self);
    if (context && context->object) {
        return tlb_handle_counted(context);
    }
    if (context && context->tag == tlb_tag(&tlb_context_type)) {
        tlb_refill(L, lua_gettop(L), &tlb_context_type);
    } else {
        tlb_new(L, &tlb_context_type);
        tlb_share(L, &tlb_context_type, tlslife_conn_get0_context(tlb_getter(L)));
    }
    return 1;
}

static int conn_error(lua_State *L) {
    const tlslife_error *err = tlslife_conn_error(tlb_getter(L));
    if (err && err->kind != TLSLIFE_ERR_NONE) {
        tlb_push_error(L, err);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/* ------------------------------------------------------------------------------------- settings */

static int conn_set_hostname(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    return tlb_must(L, self, tlslife_conn_set_hostname(tlb_conn_object(self), tlb_text(L, 2)));
}

static int conn_hostname(lua_State *L) {
    return tlb_optional_string(L, tlslife_conn_hostname(tlb_getter(L)));
}

static int conn_set_alpn(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    size_t len;
    lua_settop(L, 2);
    const char *const *protocols = tlb_string_list(L, 2, "set_alpn", &len);
    tlb_conn *self = tlb_self_conn(L);
    return tlb_must(L, self, tlslife_conn_set_alpn(tlb_conn_object(self), protocols, len));
}

static int conn_set_groups(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    return tlb_must(L, self, tlslife_conn_set_groups(tlb_conn_object(self), tlb_text(L, 2)));
}

static int conn_set_dane(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    return tlb_must(L, self, tlslife_conn_set_dane(tlb_conn_object(self), tlb_text(L, 2)));
}

static int conn_add_tlsa(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    size_t len;
    uint8_t usage = (uint8_t)tlb_size(L, 2, 0, 255, -1);
    uint8_t selector = (uint8_t)tlb_size(L, 3, 0, 255, -1);
    uint8_t matching_type = (uint8_t)tlb_size(L, 4, 0, 255, -1);
    const char *data = tlb_bytes(L, 5, &len);
    return tlb_told(L, self,
                    tlslife_conn_add_tlsa(tlb_conn_object(self), usage, selector, matching_type,
                                          (const unsigned char *)data, len));
}

static int conn_set_num_tickets(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    return tlb_must(L, self,
                    tlslife_conn_set_num_tickets(tlb_conn_object(self), tlb_size(L, 2, 0, 16, -1)));
}

static int conn_set_blocking(lua_State *L) {
    tlslife_conn *conn = self_conn(L);
    tlslife_conn_set_blocking(conn, tlb_boolean(L, 2));
    return 0;
}

static int conn_blocking(lua_State *L) {
    lua_pushboolean(L, tlslife_conn_blocking(tlb_getter(L)));
    return 1;
}

static int conn_set_timeout(lua_State *L) {
    tlslife_conn *conn = self_conn(L);
    tlslife_conn_set_timeout_ms(conn, tlb_milliseconds(L, 2, NULL));
    return 0;
}

static int conn_get_timeout(lua_State *L) {
    tlb_push_seconds(L, tlslife_conn_timeout_ms(tlb_getter(L)));
    return 1;
}

static int conn_idle(lua_State *L) {
    lua_pushboolean(L, tlslife_conn_idle(tlb_getter(L)));
    return 1;
}

static int conn_cancel(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    lua_pushboolean(L, tlb_cancel(L, 1));
    return 1;
}

static int conn_rest(lua_State *L) {
    tlb_self(L, &tlb_conn_type);
    tlb_forget_waited(L, 1);
    tlb_conn *self = lua_touserdata(L, 1);
    lua_pushboolean(L, self->taken);
    self->taken = false;
    return 1;
}

/*
 * Gives up a reference, and tells the store of a session that has become bad thereby: there may be
 * no later call of a connection that would do it.
 */
static int give_up_and_tell(lua_State *L, lua_CFunction give_up) {
    bool tells = ((const tlb_conn *)lua_touserdata(L, 1))->tells;
    lua_getiuservalue(L, 1, TLB_CONN_STORE);
    (void)give_up(L);
    return tells ? tlb_tell(L, 0) : 0;
}

/*
 * free() with the last reference, and the end of that reference's scope, end the waits in this
 * connection and let its transport go.
 */
static int conn_free(lua_State *L) {
    if (tlb_self(L, &tlb_conn_type)->refs == 1) {
        tlb_let_go(L, 1);
    }
    return give_up_and_tell(L, tlb_handle_free);
}

static int conn_scope_end(lua_State *L) {
    const tlb_handle *self = tlb_live(L, 1, &tlb_conn_type);
    if (self && self->refs == 1) {
        tlb_let_go(L, 1);
    }
    return self ? give_up_and_tell(L, tlb_handle_close) : tlb_handle_close(L);
}

/* --------------------------------------------------------------------------- shutdown and close */

static int ending(lua_State *L, tlb_conn *self, tlslife_status status) {
    if (status != TLSLIFE_OK && status != TLSLIFE_SENT) {
        return tlb_status(L, self, status);
    }
    lua_pushstring(L, status == TLSLIFE_OK ? "done" : "sent");
    return 1;
}

static int shutdown_attempt(lua_State *L, tlb_conn *self) {
    return ending(L, self, TLB_TRY(self, tlslife_conn_shutdown(tlb_conn_object(self))));
}

static int conn_shutdown(lua_State *L) {
    static const tlb_verb verb = {shutdown_attempt, 1, TLB_WRITES};
    return tlb_perform(L, &verb);
}

static int close_attempt(lua_State *L, tlb_conn *self) {
    int timeout_ms = lua_isnoneornil(L, 2) ? 0 : tlb_milliseconds(L, 2, NULL);
    if (self->watched) { /* this try may be the last */
        tlb_forget(L, 1);
        self = tlb_self_conn(L); /* a loop's functions may have freed it */
    }
    tlslife_conn *conn = tlb_conn_object(self);
    tlslife_status status = TLB_TRY(self, tlslife_conn_close(conn, timeout_ms));
    /* Otherwise the call still waits, and is made again. */
    if (tlslife_conn_fd(conn) < 0 && !tlslife_conn_get0_outer(conn)) {
        lua_pushnil(L);
        lua_setiuservalue(L, 1, TLB_CONN_TRANSPORT);
    }
    return ending(L, self, status);
}

static int conn_close(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    if (!self->asking || !tlb_is_asking(L, self)) {
        tlb_cancel(L, 1);
    }
    static const tlb_verb verb = {close_attempt, 2, TLB_BOTH | TLB_CLOSES};
    return tlb_perform(L, &verb);
}

static int conn_set_shutdown(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    return tlb_must(
        L, self, tlslife_conn_set_shutdown(tlb_conn_object(self), (int)tlb_size(L, 2, 0, 3, -1)));
}

static int conn_get_shutdown(lua_State *L) {
    lua_pushinteger(L, tlslife_conn_get_shutdown(tlb_getter(L)));
    return 1;
}

static int conn_set_quiet_shutdown(lua_State *L) {
    tlslife_conn *conn = self_conn(L);
    tlslife_conn_set_quiet_shutdown(conn, tlb_boolean(L, 2));
    return 0;
}

static int conn_quiet_shutdown(lua_State *L) {
    lua_pushboolean(L, tlslife_conn_quiet_shutdown(tlb_getter(L)));
    return 1;
}

static int conn_trace(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    tlslife_trace *trace = NULL;
    if (!lua_isnil(L, 2)) {
        trace = tlb_check(L, 2, &tlb_trace_type, NULL)->object;
    }
    return tlb_must(L, self, tlslife_conn_set_trace(tlb_conn_object(self), trace));
}

/* -------------------------------------------------------------------------------------- session */

static int conn_set_session(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    tlslife_session *session = NULL;
    if (!lua_isnoneornil(L, 2)) {
        session = tlb_check(L, 2, &tlb_session_type, NULL)->object;
    }
    int results = tlb_must(L, self, tlslife_conn_set_session(tlb_conn_object(self), session));
    return self->tells ? tlb_conn_tell(L, results) : results;
}

static int conn_session(lua_State *L) {
    tlslife_session *session = tlslife_conn_get0_session(tlb_getter(L));
    if (!session) {
        lua_pushnil(L);
        return 1;
    }
    tlb_handle *known = tlb_known(L, &tlb_session_type, session);
    if (known) { /* a resumed one nearly always is */
        return tlb_handle_counted(known);
    }
    tlb_new(L, &tlb_session_type);
    tlb_share(L, &tlb_session_type, tlslife_conn_get0_session(tlb_getter(L)));
    return 1;
}

static int conn_take_session(lua_State *L) {
    self_conn(L);
    tlb_new(L, &tlb_session_type);
    tlslife_session *session = tlslife_conn_take_session(self_conn(L));
    if (session) {
        tlb_settle(L, &tlb_session_type, session);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int conn_session_reused(lua_State *L) {
    lua_pushboolean(L, tlslife_conn_session_reused(tlb_getter(L)));
    return 1;
}

static int conn_set_ticket_data(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    size_t len;
    const unsigned char *data = (const unsigned char *)tlb_bytes(L, 2, &len);
    return tlb_must(L, self, tlslife_conn_set_ticket_data(tlb_conn_object(self), data, len));
}

static int conn_ticket_data(lua_State *L) {
    tlslife_bytes data;
    if (tlslife_conn_ticket_data(tlb_getter(L), &data)) {
        lua_pushlstring(L, (const char *)data.data, data.len);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int conn_new_session_ticket(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    return tlb_told(L, self, tlslife_conn_new_session_ticket(tlb_conn_object(self)));
}

/* ----------------------------------------------------------------------------------------- type */

static const luaL_Reg conn_life[] = {
    {"dup", conn_dup},
    {"up_ref", tlb_handle_up_ref},
    {"free", conn_free},
    {"cancel", conn_cancel},
    {"rest", conn_rest},
    {"clear", conn_clear},
    {"context", conn_context},
    {"error", conn_error},
    {"set_hostname", conn_set_hostname},
    {"hostname", conn_hostname},
    {"set_alpn", conn_set_alpn},
    {"set_groups", conn_set_groups},
    {"set_dane", conn_set_dane},
    {"add_tlsa", conn_add_tlsa},
    {"set_num_tickets", conn_set_num_tickets},
    {"set_blocking", conn_set_blocking},
    {"blocking", conn_blocking},
    {"set_timeout", conn_set_timeout},
    {"get_timeout", conn_get_timeout},
    {"idle", conn_idle},
    {"shutdown", conn_shutdown},
    {"close", conn_close},
    {"set_shutdown", conn_set_shutdown},
    {"get_shutdown", conn_get_shutdown},
    {"set_quiet_shutdown", conn_set_quiet_shutdown},
    {"trace", conn_trace},
    {"quiet_shutdown", conn_quiet_shutdown},
    {"set_session", conn_set_session},
    {"session", conn_session},
    {"take_session", conn_take_session},
    {"session_reused", conn_session_reused},
    {"new_session_ticket", conn_new_session_ticket},
    {"set_ticket_data", conn_set_ticket_data},
    {"ticket_data", conn_ticket_data},
    {NULL, NULL},
};

static void *up_ref(void *object) {
    return tlslife_conn_up_ref(object);
}

static void release(void *object) {
    tlslife_conn_free(object);
}

/*
 * This runs in the collector, too, and wakes no coroutine. A coroutine that waits for a connection
 * keeps it from being collected.
 */
static void given_up(lua_State *L, int idx) {
    tlb_conn *self = lua_touserdata(L, idx);
    end_generation(L, self);
    self->watched = self->waiters[0].waiting = self->waiters[1].waiting = false;
    lua_pushnil(L);
    lua_setiuservalue(L, idx, TLB_CONN_TRANSPORT);
}

/* "client, open, TLSv1.3" */
static void describe(lua_State *L, void *object) {
    const char *version = tlslife_conn_version(object);
    lua_pushfstring(L, "%s, %s%s%s", tlslife_conn_is_server(object) ? "server" : "client",
                    tlslife_conn_state_name(object), version ? ", " : "", version ? version : "");
}

static const luaL_Reg metamethods[] = {
    {"__gc", tlb_handle_gc},
    {"__close", conn_scope_end},
    {"__tostring", tlb_handle_tostring},
    {NULL, NULL},
};

const tlb_type tlb_conn_type = {
    .name = "tlslife.connection",
    .size = sizeof(tlb_conn),
    .user_values = TLB_CONN_VALUES,
    .kib = 32,
    .up_ref = up_ref,
    .release = release,
    .given_up = given_up,
    .describe = describe,
    .metamethods = metamethods,
    .methods = {conn_life, tlb_conn_transport, tlb_conn_data, tlb_conn_facts},
};
