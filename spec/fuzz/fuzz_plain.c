/*
 * fuzz_plain: moves bytes before TLS. The input is a list of calls on a server's connection in
 * memory and the bytes that they move: feed, plain_read, unread, plain_write, drain, accept, clear.
 *
 * The bytes that plain_read gives must be those that came, in their order, with what was given back
 * in front: a queue of this file's own says which. Once the handshake has begun no call moves plain
 * bytes any more. Nothing that was plain is ever read as data of TLS.
 *
 * floor: src/tls/conn/plain.c 36
 * floor: src/net/front.c 34
 * floor: src/net/memory.c 21
 */
#include "fuzz.h"
#include "tlslife.h"

#define QUEUE_MAX ((size_t)1 << 18)
#define CALLS_MAX 200

/* What the connection is to read next, from at on. */
typedef struct queue {
    unsigned char bytes[QUEUE_MAX];
    size_t at, end; /* it begins in the middle, so that bytes can be put in front */
} queue;

static queue expected, sent;

static void clear(queue *self) {
    self->at = self->end = QUEUE_MAX / 2;
}

static bool append(queue *self, const unsigned char *bytes, size_t len) {
    if (len > QUEUE_MAX - self->end) {
        return false;
    }
    memcpy(self->bytes + self->end, bytes, len);
    self->end += len;
    return true;
}

static void take(queue *self, const unsigned char *bytes, size_t len) {
    must(len <= self->end - self->at && memcmp(self->bytes + self->at, bytes, len) == 0);
    self->at += len;
}

typedef struct life {
    tlslife_conn *conn;
    bool begun, over, ended; /* the handshake; feed_eof */
    unsigned char last[512]; /* what plain_read gave last */
    size_t last_len;
} life;

static void check_failure(const life *self, tlslife_status status, bool lawful) {
    must(status != TLSLIFE_ERROR || tlslife_conn_error(self->conn)->message[0] != '\0');
    must(lawful || status != TLSLIFE_OK);
    if (status == TLSLIFE_ERROR && lawful) {
        must(tlslife_conn_error(self->conn)->kind != TLSLIFE_ERR_USAGE);
    }
}

static void feed(life *self, const fuzz_input *bytes) {
    size_t fed = 0;
    if (!self->ended && expected.end + bytes->left <= QUEUE_MAX &&
        tlslife_conn_feed(self->conn, bytes->at, bytes->left, &fed) == TLSLIFE_OK) {
        must(fed <= bytes->left && append(&expected, bytes->at, fed));
    }
}

static void plain_read(life *self, size_t len) {
    size_t got = 0;
    unsigned char *bytes = malloc(len > 0 ? len : 1);
    must(bytes != NULL);
    tlslife_status status = tlslife_conn_plain_read(self->conn, bytes, len, &got);
    check_failure(self, status, !self->begun && len > 0);
    if (status == TLSLIFE_OK) {
        must(got > 0 && got <= len && got <= sizeof self->last);
        take(&expected, bytes, got);
        memcpy(self->last, bytes, got);
        self->last_len = got;
    } else if (!self->begun && len > 0) {
        must(expected.at == expected.end);
        must(status == (self->ended ? TLSLIFE_CLOSED : TLSLIFE_WANT_READ));
    }
    free(bytes);
}

/* Gives back the end of what was read last, or bytes that never came. */
static void unread(life *self, const fuzz_input *bytes, size_t len) {
    const unsigned char *from = bytes->at;
    if (bytes->left == 0) {
        len = len < self->last_len ? len : self->last_len;
        from = self->last + self->last_len - len;
        self->last_len -= len;
    } else {
        len = bytes->left;
    }
    if (len > expected.at) {
        return;
    }
    tlslife_status status = tlslife_conn_unread(self->conn, from, len);
    check_failure(self, status, !self->begun);
    if (status == TLSLIFE_OK) {
        expected.at -= len;
        memcpy(expected.bytes + expected.at, from, len);
    }
}

static void plain_write(life *self, const fuzz_input *bytes) {
    size_t written = 0;
    tlslife_status status = tlslife_conn_plain_write(self->conn, bytes->at, bytes->left, &written);
    check_failure(self, status, !self->begun);
    must(written <= bytes->left && (!self->begun || written == 0));
    must(append(&sent, bytes->at, written));
}

/* Before the handshake only what was written comes out. */
static void drain(life *self) {
    unsigned char bytes[300];
    size_t len = 0;
    if (tlslife_conn_drain(self->conn, bytes, sizeof bytes, &len) == TLSLIFE_OK && !self->begun) {
        take(&sent, bytes, len);
    }
}

static void shake(life *self) {
    unsigned char bytes[16];
    size_t len = 0;
    tlslife_status status = tlslife_conn_accept(self->conn);
    self->begun = true;
    must(status != TLSLIFE_OK); /* no client's Finished is among these bytes */
    must(tlslife_conn_read(self->conn, bytes, sizeof bytes, &len) != TLSLIFE_OK);
}

static void restart(life *self) {
    if (tlslife_conn_clear(self->conn) == TLSLIFE_OK) {
        must(tlslife_conn_set_memory(self->conn, 0) == TLSLIFE_OK);
        self->begun = self->ended = false;
        self->last_len = 0;
        clear(&expected);
        clear(&sent);
    }
}

static void call(life *self, unsigned what, const fuzz_input *bytes, size_t len) {
    switch (what % 9) {
    case 0:
    case 1: feed(self, bytes); break;
    case 2:
    case 3: plain_read(self, len); break;
    case 4: unread(self, bytes, len); break;
    case 5: plain_write(self, bytes); break;
    case 6: drain(self); break;
    case 7: self->ended = tlslife_conn_feed_eof(self->conn) == TLSLIFE_OK || self->ended; break;
    default: ((len & 7) == 0 ? restart : shake)(self); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    static tlslife_context *context;
    fuzz_input input = {bytes, len};
    context = context != NULL ? context : fuzz_server_context();
    life self = {.conn = tlslife_conn_new(context, NULL)};
    must(self.conn != NULL && tlslife_conn_set_memory(self.conn, 0) == TLSLIFE_OK);
    tlslife_conn_set_blocking(self.conn, false);
    clear(&expected);
    clear(&sent);
    for (int i = 0; i < CALLS_MAX && input.left > 0; i++) {
        unsigned what = take_byte(&input), size = take_byte(&input);
        fuzz_input piece = {input.at, 0};
        if (what % 9 < 2 || what % 9 == 5 || (what % 9 == 4 && (what & 0x80) != 0)) {
            piece = take_bytes(&input, size);
        }
        call(&self, what, &piece, size);
    }
    tlslife_conn_free(self.conn);
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

static void make_seeds(void) {
    static const char starttls[] = "\0\12STARTTLS\r\n\2\5\4\3\2\377\5\4"
                                   "220 \6\0\0\10\26\3\1\0\100abc\10\1";
    static const char given_back[] = "\0\5hello\2\3\204\3abc\4\2\2\2\3\377\7\0\2\1";
    static const char again[] = "\0\2ab\10\1\2\1\4\1\5\1x\10\0\0\2cd\2\1\3\1\7\0\3\1";
    write_seed("starttls", starttls, sizeof starttls - 1);
    write_seed("given-back", given_back, sizeof given_back - 1);
    write_seed("again", again, sizeof again - 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    return 0;
}
