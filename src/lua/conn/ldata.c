/*
 * ldata.c: implements a connection's handshake, reads, writes and early data, and the calls for
 * what comes after a handshake (key update, renegotiation, a request for a client's certificate).
 *
 * Each verb is a function that makes one try (an attempt). tlb_perform runs it, and runs it again
 * after a question of the handshake was answered. This path is taken for every read and write, so
 * it makes no table and allocates nothing but its result. A string is written from where Lua keeps
 * it, and is read through one buffer on the C stack.
 *
 * As with POSIX's write, the result is the number of bytes that were sent, whatever happened after
 * them. The next call reports that.
 *
 * In a loop's coroutine a write may take many tries. While it waits, another coroutine may read,
 * and may change the table or buffer that is being written. libssl is offered the remaining bytes
 * again, so a script that changes them may get an error, or send bytes that it did not mean to
 * send. It never sends memory that is not its own, because the lengths are checked in each try.
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
#include "lua/conn/ldata.h"
#include "lua/values/lbuffer.h"
#include "lua/verb/lverb.h"
#include "tlslife.h"

#define RECORD 16384 /* the most bytes that a record, and so one SSL_read_ex, can give */

/* ------------------------------------------------------------------------------------ handshake */

static int connect_attempt(lua_State *L, tlb_conn *self) {
    return tlb_true(L, self, TLB_TRY(self, tlslife_conn_connect(tlb_conn_object(self))));
}

static int conn_connect(lua_State *L) {
    static const tlb_verb verb = {connect_attempt, 1, TLB_BOTH};
    return tlb_perform(L, &verb);
}

static int accept_attempt(lua_State *L, tlb_conn *self) {
    return tlb_true(L, self, TLB_TRY(self, tlslife_conn_accept(tlb_conn_object(self))));
}

static int conn_accept(lua_State *L) {
    static const tlb_verb verb = {accept_attempt, 1, TLB_BOTH};
    return tlb_perform(L, &verb);
}

static int accept_early_attempt(lua_State *L, tlb_conn *self) {
    return tlb_true(L, self, TLB_TRY(self, tlslife_conn_accept_early(tlb_conn_object(self))));
}

static int conn_accept_early(lua_State *L) {
    static const tlb_verb verb = {accept_early_attempt, 1, TLB_BOTH};
    return tlb_perform(L, &verb);
}

static int handshake_attempt(lua_State *L, tlb_conn *self) {
    return tlb_true(L, self, TLB_TRY(self, tlslife_conn_handshake(tlb_conn_object(self))));
}

static int conn_handshake(lua_State *L) {
    static const tlb_verb verb = {handshake_attempt, 1, TLB_BOTH};
    return tlb_perform(L, &verb);
}

static int conn_key_update(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    return tlb_told(L, self,
                    tlslife_conn_key_update(tlb_conn_object(self), tlb_optional_boolean(L, 2)));
}

static int conn_renegotiate(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    return tlb_told(L, self,
                    tlslife_conn_renegotiate(tlb_conn_object(self), tlb_optional_boolean(L, 2)));
}

static int conn_renegotiate_pending(lua_State *L) {
    lua_pushboolean(L, tlslife_conn_renegotiate_pending(tlb_getter(L)));
    return 1;
}

static int conn_request_client_certificate(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    return tlb_told(L, self, tlslife_conn_request_client_certificate(tlb_conn_object(self)));
}

/* -------------------------------------------------------------------------------------- reading */

typedef tlslife_status (*reader)(tlslife_conn *conn, void *buffer, size_t buffer_len,
                                 size_t *out_read);

/*
 * Whether to wait before the first try. A server reads its next request before the request has
 * arrived, so a first try in a loop would most likely be a system call in vain.
 */
static inline bool waits_first(const tlb_conn *self, const tlslife_conn *conn) {
    return self->first && tlslife_conn_drained(conn) && tlslife_conn_timeout_ms(conn) != 0;
}

/* Notes that bytes were read, also for the connections that carry this one. */
static inline void note_taken(lua_State *L, tlb_conn *self) {
    self->incomplete = false;
    self->taken = true;
    const tlslife_conn *conn = tlslife_conn_get0_outer(tlb_conn_object(self));
    for (; conn; conn = tlslife_conn_get0_outer(conn)) {
        tlb_handle *outer = tlb_known(L, &tlb_conn_type, conn);
        if (outer) {
            ((tlb_conn *)outer)->taken = true;
            lua_pop(L, 1);
        }
    }
}

typedef struct record {
    _Alignas(64) unsigned char before[TLB_BYTES_AT];
    unsigned char bytes[RECORD];
} record;

/*
 * Reads at most one record, since a read never gives more. So the buffer is no larger, whatever n
 * is.
 */
static inline int read_by(lua_State *L, tlb_conn *self, reader read) {
    record buffer;
    size_t n = tlb_size(L, 2, 1, TLB_SIZE_MAX, RECORD), got = 0;
    tlslife_conn *conn = tlb_conn_object(self);
    if (waits_first(self, conn)) {
        return tlb_status(L, self, TLSLIFE_WANT_READ);
    }
    tlslife_status status = TLB_TRY(self, read(conn, buffer.bytes, n < RECORD ? n : RECORD, &got));
    if (status != TLSLIFE_OK) {
        return tlb_status(L, self, status);
    }
    if (read == tlslife_conn_peek) {
        self->incomplete = false;
    } else {
        note_taken(L, self);
    }
    lua_pushlstring(L, (const char *)buffer.bytes, got);
    return 1;
}

static int read_attempt(lua_State *L, tlb_conn *self) {
    return read_by(L, self, tlslife_conn_read);
}

static int conn_read(lua_State *L) {
    static const tlb_verb verb = {read_attempt, 2, TLB_READS};
    return tlb_perform(L, &verb);
}

static int peek_attempt(lua_State *L, tlb_conn *self) {
    return read_by(L, self, tlslife_conn_peek);
}

static int conn_peek(lua_State *L) {
    static const tlb_verb verb = {peek_attempt, 2, TLB_READS};
    return tlb_perform(L, &verb);
}

static int read_early_attempt(lua_State *L, tlb_conn *self) {
    return read_by(L, self, tlslife_conn_read_early);
}

static int conn_read_early(lua_State *L) {
    static const tlb_verb verb = {read_early_attempt, 2, TLB_READS};
    return tlb_perform(L, &verb);
}

static int plain_read_attempt(lua_State *L, tlb_conn *self) {
    return read_by(L, self, tlslife_conn_plain_read);
}

static int conn_plain_read(lua_State *L) {
    static const tlb_verb verb = {plain_read_attempt, 2, TLB_READS};
    return tlb_perform(L, &verb);
}

static int conn_unread(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    size_t len;
    const char *bytes = tlb_bytes(L, 2, &len);
    return tlb_must(L, self, tlslife_conn_unread(tlb_conn_object(self), bytes, len));
}

static tlb_buffer *check_buffer(lua_State *L, int idx, const char *expected) {
    tlb_buffer *buffer = tlb_test_buffer(L, idx);
    if (!buffer) {
        luaL_typeerror(L, idx, expected);
    }
    return buffer;
}

static int read_into_attempt(lua_State *L, tlb_conn *self) {
    tlb_buffer *buffer = check_buffer(L, 2, tlb_buffer_type.name);
    size_t got = 0;
    tlslife_conn *conn = tlb_conn_object(self);
    if (waits_first(self, conn)) {
        return tlb_status(L, self, TLSLIFE_WANT_READ);
    }
    tlslife_status status =
        TLB_TRY(self, tlslife_conn_read(conn, buffer->data, buffer->capacity, &got));
    if (status != TLSLIFE_OK) {
        return tlb_status(L, self, status);
    }
    note_taken(L, self);
    buffer->len = got;
    lua_pushinteger(L, (lua_Integer)got);
    return 1;
}

static int conn_read_into(lua_State *L) {
    static const tlb_verb verb = {read_into_attempt, 2, TLB_READS};
    return tlb_perform(L, &verb);
}

static int conn_pending(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)tlslife_conn_pending(tlb_getter(L)));
    return 1;
}

static int conn_has_pending(lua_State *L) {
    lua_pushboolean(L, tlslife_conn_has_pending(tlb_getter(L)));
    return 1;
}

/* -------------------------------------------------------------------------------------- writing */

/*
 * The result of a write that has sent len bytes in this try. In a loop the call goes on as a
 * blocking one does, and the number of bytes that were sent so far is stored.
 */
static inline int written(lua_State *L, tlb_conn *self, tlslife_status status, size_t len) {
    bool wants = tlb_wants(status);
    len += self->out;
    if (self->looped) {
        self->out = len;
    }
    if (status != TLSLIFE_OK && (len == 0 || (wants && self->looped))) {
        return tlb_status(L, self, status);
    }
    if (wants) {
        self->want = status == TLSLIFE_WANT_WRITE ? 'w' : 'r';
    }
    lua_pushinteger(L, (lua_Integer)len);
    return 1;
}

/* For a table or buffer that another coroutine made shorter while this one waited. */
static void shortened(lua_State *L) {
    luaL_error(L, "write: the table or buffer was made shorter while it was being written");
}

/*
 * Lists the strings of the table at index 2 as pieces, from byte i (at index 3) on, without the
 * bytes that were sent. The strings stay in the table.
 */
static size_t gather(lua_State *L, tlslife_bytes *pieces, size_t len, size_t out) {
    size_t n = 0, skip = tlb_offset(L, 3, SIZE_MAX / 2) + out;
    for (size_t i = 1; i <= len; i++) {
        size_t piece_len;
        if (lua_rawgeti(L, 2, (lua_Integer)i) != LUA_TSTRING) {
            luaL_error(L, "write: element %I is a %s, not a string", (LUAI_UACINT)i,
                       luaL_typename(L, -1));
        }
        const char *piece = lua_tolstring(L, -1, &piece_len);
        lua_pop(L, 1);
        if (skip >= piece_len) {
            skip -= piece_len;
        } else {
            pieces[n++] = (tlslife_bytes){(const unsigned char *)piece + skip, piece_len - skip};
            skip = 0;
        }
    }
    if (skip > 0 && out > 0) {
        shortened(L);
    }
    luaL_argcheck(L, skip == 0, 3, "out of range: bytes are 1 to the length of all strings");
    return n;
}

static int write_table(lua_State *L, tlb_conn *self) {
    enum { FEW = 64 };
    tlslife_bytes few[FEW], *pieces = few;
    size_t len = tlb_list_len(L, 2, "write"), out = 0;
    lua_settop(L, 3); /* keeps i at index 3 */
    if (len > FEW) {
        pieces = tlb_array(L, len, sizeof *pieces);
    }
    tlslife_conn *conn = tlb_getter(L);
    len = gather(L, pieces, len, self->out);
    tlslife_status status = TLB_TRY(self, tlslife_conn_writev(conn, pieces, len, &out));
    return written(L, self, status, out);
}

typedef tlslife_status (*writer)(tlslife_conn *conn, const void *bytes, size_t bytes_len,
                                 size_t *out_written);

static inline int write_by(lua_State *L, tlb_conn *self, writer write, const char *bytes,
                           size_t len) {
    size_t from = tlb_offset(L, 3, len) + self->out, out = 0;
    tlslife_conn *conn = tlb_conn_object(self);
    if (from > len) {
        shortened(L);
    }
    tlslife_status status = TLB_TRY(self, write(conn, bytes + from, len - from, &out));
    return written(L, self, status, out);
}

static int write_attempt(lua_State *L, tlb_conn *self) {
    size_t len;
    int type = lua_type(L, 2);
    if (type == LUA_TSTRING) {
        const char *bytes = lua_tolstring(L, 2, &len);
        return write_by(L, self, tlslife_conn_write, bytes, len);
    }
    if (type == LUA_TTABLE) {
        return write_table(L, self);
    }
    tlb_buffer *buffer = check_buffer(L, 2, "string, tlslife.buffer or table of strings");
    return write_by(L, self, tlslife_conn_write, (const char *)buffer->data, buffer->len);
}

static int conn_write(lua_State *L) {
    static const tlb_verb verb = {write_attempt, 3, TLB_WRITES};
    return tlb_perform(L, &verb);
}

static int write_early_attempt(lua_State *L, tlb_conn *self) {
    size_t len;
    const char *bytes = tlb_bytes(L, 2, &len);
    return write_by(L, self, tlslife_conn_write_early, bytes, len);
}

static int conn_write_early(lua_State *L) {
    static const tlb_verb verb = {write_early_attempt, 3, TLB_WRITES};
    return tlb_perform(L, &verb);
}

static int plain_write_attempt(lua_State *L, tlb_conn *self) {
    size_t len;
    const char *bytes = tlb_bytes(L, 2, &len);
    return write_by(L, self, tlslife_conn_plain_write, bytes, len);
}

static int conn_plain_write(lua_State *L) {
    static const tlb_verb verb = {plain_write_attempt, 3, TLB_WRITES};
    return tlb_perform(L, &verb);
}

static int conn_early_data_status(lua_State *L) {
    static const char *const words[] = {"not_sent", "rejected", "accepted"};
    lua_pushstring(L, words[tlslife_conn_early_data_status(tlb_getter(L))]);
    return 1;
}

static int conn_early(lua_State *L) {
    lua_pushboolean(L, tlslife_conn_early(tlb_getter(L)));
    return 1;
}

static int conn_cork(lua_State *L) {
    tlb_conn *self = tlb_self_conn(L);
    tlb_must(L, self, tlslife_conn_cork(tlb_conn_object(self), tlb_boolean(L, 2)));
    return 0;
}

static int flush_attempt(lua_State *L, tlb_conn *self) {
    return tlb_true(L, self, TLB_TRY(self, tlslife_conn_flush(tlb_conn_object(self))));
}

static int conn_flush(lua_State *L) {
    static const tlb_verb verb = {flush_attempt, 1, TLB_WRITES};
    return tlb_perform(L, &verb);
}

const luaL_Reg tlb_conn_data[] = {
    {"connect", conn_connect},
    {"accept", conn_accept},
    {"accept_early", conn_accept_early},
    {"handshake", conn_handshake},
    {"key_update", conn_key_update},
    {"renegotiate", conn_renegotiate},
    {"renegotiate_pending", conn_renegotiate_pending},
    {"request_client_certificate", conn_request_client_certificate},
    {"read", conn_read},
    {"peek", conn_peek},
    {"read_early", conn_read_early},
    {"plain_read", conn_plain_read},
    {"plain_write", conn_plain_write},
    {"unread", conn_unread},
    {"read_into", conn_read_into},
    {"pending", conn_pending},
    {"has_pending", conn_has_pending},
    {"write", conn_write},
    {"write_early", conn_write_early},
    {"early_data_status", conn_early_data_status},
    {"early", conn_early},
    {"cork", conn_cork},
    {"flush", conn_flush},
    {NULL, NULL},
};
