/*
 * fuzz_redis: plays a Redis server that answers anything. The input is a list of steps. A step is a
 * lookup, a put or a remove of the store, or bytes from the server, whole or in pieces. The server
 * is this process, at the other end of a Unix socket, so that nothing waits.
 *
 * Every lookup ends. What it gives was in the server's bytes, and is no longer than a value may be.
 * What the store sends is what hiredis, which did not write it, reads as commands.
 *
 * Seeds: conversations with a server that answers as it should, and with one that does not.
 *
 * floor: src/redis/redis.c 20
 * floor: src/redis/channel.c 12
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "cache/store/store.h"
#include "fuzz.h"
#include "tlslife.h"

#include <hiredis/hiredis.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INQUIRIES 8
#define SAID_MAX 65536

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listening;

typedef struct scene {
    tlslife_store *store;
    int peer; /* the server's end; -1 until the store has connected */
    tlsl_inquiry inquiries[INQUIRIES];
    unsigned char said[SAID_MAX]; /* by the server */
    size_t said_len;
    redisReader *commands;
} scene;

/* -------------------------------------------------------------------------------------- the end */

/* Takes what the store has sent, and reads it as commands. */
static void hear(scene *s) {
    char bytes[16384];
    void *command = NULL;
    if (s->peer < 0) {
        s->peer = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        redisReaderFree(s->commands);
        s->commands = redisReaderCreate();
    }
    for (ssize_t got = 1; s->peer >= 0 && got > 0;) {
        got = recv(s->peer, bytes, sizeof bytes, 0);
        must(got <= 0 || redisReaderFeed(s->commands, bytes, (size_t)got) == REDIS_OK);
        while (got > 0) {
            must(redisReaderGetReply(s->commands, &command) == REDIS_OK);
            if (command == NULL) {
                break;
            }
            must(((redisReply *)command)->type == REDIS_REPLY_ARRAY);
            freeReplyObject(command);
        }
    }
}

static void say(scene *s, fuzz_input bytes) {
    hear(s);
    if (s->peer >= 0 && bytes.left > 0 && s->said_len + bytes.left <= SAID_MAX &&
        send(s->peer, bytes.at, bytes.left, MSG_NOSIGNAL) == (ssize_t)bytes.left) {
        memcpy(s->said + s->said_len, bytes.at, bytes.left);
        s->said_len += bytes.left;
    }
}

static void hang_up(scene *s) {
    hear(s);
    if (s->peer >= 0) {
        must(close(s->peer) == 0);
    }
    s->peer = -1;
}

/* ---------------------------------------------------------------------------------- the lookups */

/* An inquiry that has ended makes room for the next. */
static void judge(scene *s, tlsl_inquiry *inquiry) {
    if (inquiry->found == TLSL_FOUND_PENDING) {
        must(inquiry->pending != NULL);
        return;
    }
    must(inquiry->pending == NULL);
    if (inquiry->found == TLSL_FOUND_HIT) {
        must(inquiry->bytes_len > 0 && inquiry->bytes_len <= TLSL_STORE_BYTES_MAX);
        must(memmem(s->said, s->said_len, inquiry->bytes, inquiry->bytes_len) != NULL);
    }
    free(inquiry->bytes);
    memset(inquiry, 0, sizeof *inquiry);
}

static void ask(scene *s, unsigned n, bool take) {
    tlsl_inquiry *inquiry = &s->inquiries[n % INQUIRIES];
    if (inquiry->pending == NULL) {
        inquiry->take = take;
        inquiry->key[0] = (unsigned char)n;
    }
    s->store->verbs->ask(s->store, inquiry);
    judge(s, inquiry);
}

static void ask_all_again(scene *s) {
    for (unsigned n = 0; n < INQUIRIES; n++) {
        tlsl_inquiry *inquiry = &s->inquiries[n];
        if (inquiry->pending != NULL) {
            bool known = s->store->verbs->answered(s->store, inquiry);
            s->store->verbs->ask(s->store, inquiry);
            must(!known || inquiry->found != TLSL_FOUND_PENDING);
            judge(s, inquiry);
        }
    }
}

static void cancel(scene *s, tlsl_inquiry *inquiry) {
    if (inquiry->pending != NULL) {
        s->store->verbs->cancel(s->store, inquiry);
        must(inquiry->pending == NULL);
        memset(inquiry, 0, sizeof *inquiry);
    }
}

/* ---------------------------------------------------------------------------------------- steps */

static void pump(scene *s) {
    bool writing = false;
    int timeout_ms = 0;
    int fd = s->store->verbs->fd(s->store, &writing, &timeout_ms);
    must(fd >= -1 && timeout_ms >= -1);
    s->store->verbs->pump(s->store);
}

static void step(scene *s, fuzz_input *input) {
    unsigned char key[TLSL_STORE_KEY] = {0};
    unsigned what = take_byte(input);
    switch (what % 8) {
    case 0: ask(s, what >> 3, false); break;
    case 1: ask(s, what >> 3, true); break;
    case 2:
        (void)s->store->verbs->put(s->store, key, (const unsigned char *)"value", 5, what);
        break;
    case 3: (void)s->store->verbs->remove(s->store, key); break;
    case 4: cancel(s, &s->inquiries[(what >> 3) % INQUIRIES]); break;
    case 5: pump(s); break;
    case 6:
        say(s, take_bytes(input, take_byte(input)));
        ask_all_again(s);
        break;
    default:
        if (what >> 3 == 0) {
            hang_up(s);
        } else { /* all that is left, and more of it than a value may have */
            say(s, take_bytes(input, input->left));
            pump(s);
        }
        ask_all_again(s);
        break;
    }
}

static void begin(scene *s, unsigned how) {
    tlslife_redis_options options = {.unix_path = address.sun_path};
    options.password = (how & 1) != 0 ? "password" : NULL;
    options.username = (how & 3) == 3 ? "user" : NULL;
    options.database = how & 4;
    options.pending_max = (how & 8) != 0 ? 2 : 0;
    options.timeout_ms = 60000; /* nothing is late */
    s->store = tlslife_store_redis(&options, NULL);
    must(s->store != NULL);
    s->peer = -1;
}

static void end(scene *s) {
    for (unsigned n = 0; n < INQUIRIES; n++) {
        cancel(s, &s->inquiries[n]);
    }
    hear(s);
    tlslife_store_free(s->store);
    hear(s); /* a connection that nobody has taken from the queue is none of the next store's */
    if (s->peer >= 0) {
        (void)close(s->peer);
    }
    redisReaderFree(s->commands);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    static scene s;
    fuzz_input input = {bytes, len};
    memset(&s, 0, sizeof s);
    begin(&s, take_byte(&input));
    for (int i = 0; i < 100 && input.left > 0; i++) {
        step(&s, &input);
    }
    end(&s);
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

static const struct {
    const char *name, *program;
} seeds[] = {
    {"hit", "0\010\016\013$5\r\nvalue\r\n"}, /* a get of key 1, and its answer */
    {"miss", "0\010\016\005$-1\r\n\011\016\005$-1\r\n"},
    {"login", "7\010\016\017+OK\r\n+OK\r\n$-1\r\n"},
    {"refused", "7\010\016\031-WRONGPASS no such user\r\n"},
    {"many", "0\010\020\030\016\012$1\r\na\r\n$1\016\014\r\nb\r\n$-1\r\n+OK\r\n"},
    {"put", "0\022\013\010\016\023+OK\r\n:1\r\n$1\r\nz\r\n"},
    {"array", "0\010\016\020*2\r\n$1\r\na\r\n*0\r\n"},
    {"integer", "0\010\016\004:1\r\n"},
    {"huge", "0\010\016\020$99999999999\r\nab"},
    {"long", "0\010\017$70000\r\nab"},
    {"gone", "0\010\007\010\015\013"},
    {"canceled", "8\010\020\030\014\016\012$1\r\na\r\n$1\r\n"},
    {"unasked", "0\010\016\004$-1\r\016\003\n:5\r\n"},
};

static void make_seeds(void) {
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        write_seed(seeds[i].name, seeds[i].program, strlen(seeds[i].program));
    }
}

static void remove_socket(void) {
    (void)unlink(address.sun_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/tmp/fuzz_redis-%d", (int)getpid());
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(bind(listening, (struct sockaddr *)&address, sizeof address) == 0 &&
         listen(listening, 64) == 0 && atexit(remove_socket) == 0);
    return 0;
}
