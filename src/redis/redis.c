/*
 * redis.c: an external store in Redis or Valkey, for many machines.
 *
 * hiredis speaks the protocol (redisFormatCommandArgv, redisReader). The bytes go through a channel
 * of ours that never waits, over TCP, a Unix socket or TLS. The commands of all threads go down one
 * connection in order, and the replies come back in that order. So pipelining needs no more than a
 * queue of requests that wait for a reply.
 *
 *   ask, put, remove --> out --> channel --> reader --> first of the queue --> its asker's next ask
 *
 * Any thread that moves bytes takes off the connection the replies to all requests, but it writes
 * into requests only. An inquiry belongs to the thread that asks, which reads it without our lock.
 *
 * A server that is slow, hung, full, dead or hostile can cost a full handshake, and no more. Each
 * lookup has a deadline. A connection whose oldest reply is long overdue is given up, with all
 * requests that wait for it. After FAILURES_MAX failures in a row the circuit is open: lookups fail
 * at once, until a pause is over, which doubles up to 30 s. Values are sealed, so that an attacker
 * who can write to Redis can cause misses and nothing else. What the server sends is bounded before
 * it is kept.
 *
 * remove is called by SSL_free, perhaps in a finalizer. It only appends to `out`, and the next pump
 * sends that.
 *
 * A child of fork() has a copy of all this. The connection, and what was queued for it, remain its
 * parent's. If both used one connection, each would take replies to the other's commands, and TLS
 * records would be sealed twice under one nonce. The first verb in the child sees that the process
 * is another one, and begins anew.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "base/error.h"
#include "tlslife.h"

#ifdef TLSLIFE_HIREDIS

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/process.h"
#include "cache/store/store.h"
#include "net/address.h"
#include "net/tcp.h"
#include "redis/channel.h"

#define FAILURES_MAX 5
#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 30000
#define OUT_MAX ((size_t)8 * 1024 * 1024) /* bytes that wait to be sent; more are refused */
#define REPLY_MAX (TLSL_STORE_BYTES_MAX + 1024)
#define READS_MAX 64 /* reads of 16 KiB under one lock; the next pump reads the rest */
/*
 * Another thread may take the reply to a request off the connection. So a thread that waits looks
 * again after a while. The interval is shorter if others are known to wait, and grows with their
 * number.
 */
#define ALONE_WAIT_MS 10
#define SHARED_WAIT_MS 2
#define SHARED_MORE 16 /* requests that wait for each further ms */

/* A command that was written and not answered, or answered and not fetched. */
typedef struct request {
    struct request *next;
    bool awaited; /* by an inquiry; false for put, remove and setup, and once it is given up */
    bool queued;  /* its reply is to come; a request that is neither is freed */
    bool setup;   /* AUTH or SELECT, without which nothing works */
    int expects;  /* the type of its reply; is_reply_to allows errors, and nil for a string */
    int64_t deadline_ms;
    tlsl_found found; /* PENDING, or what the next ask of the inquiry returns */
    unsigned char *bytes;
    size_t bytes_len;
} request;

typedef struct redis {
    tlslife_store store;
    pthread_mutex_t lock;
    uint64_t process; /* the process that the connection and the queue belong to */
    char *host, *service, *unix_path, *username, *password, *prefix;
    tlslife_context *tls;
    unsigned database;
    int timeout_ms, connect_timeout_ms;
    size_t pending_max;
    tlsl_channel *channel; /* NULL if not connected */
    bool up;
    int64_t connect_by_ms;
    int64_t up_at_ms; /* requests made before then were sent then */
    redisReader *reader;
    redisReplyObjectFunctions reply_functions;
    char *out;
    size_t out_len, out_sent, out_size;
    request *first, **end;
    size_t pending, waiting, answered; /* queued; awaited; awaited and no longer PENDING */
    unsigned failures;                 /* in a row */
    int64_t retry_at_ms, pause_ms;
} redis;

/* ------------------------------------------------------------------------------------ the queue */

static void settle(redis *self, request *done, tlsl_found found) {
    if (done->awaited && done->found == TLSL_FOUND_PENDING) {
        done->found = found;
        self->answered++;
    }
}

static void free_if_done(request *done) {
    if (!done->awaited && !done->queued) {
        free(done->bytes);
        free(done);
    }
}

static void drop_first(redis *self, tlsl_found found) {
    request *done = self->first;
    self->first = done->next;
    self->pending--;
    if (self->first == NULL) {
        self->end = &self->first;
    }
    settle(self, done, found);
    done->queued = false;
    free_if_done(done);
}

/* Notes that the inquiry no longer waits for the request: it has its answer, or was cancelled. */
static void let_go(redis *self, request *asked) {
    self->waiting--;
    self->answered -= asked->found == TLSL_FOUND_PENDING ? 0 : 1;
    asked->awaited = false;
    free_if_done(asked);
}

static void fetch(redis *self, tlsl_inquiry *inquiry) {
    request *asked = inquiry->pending;
    if (asked == NULL || asked->found == TLSL_FOUND_PENDING) {
        return;
    }
    inquiry->pending = NULL;
    inquiry->found = asked->found;
    inquiry->bytes = asked->bytes;
    inquiry->bytes_len = asked->bytes_len;
    asked->bytes = NULL;
    let_go(self, asked);
}

static bool reserve(redis *self, size_t more) {
    if (self->out_len + more > OUT_MAX) {
        return false;
    }
    if (self->out_len + more > self->out_size) {
        size_t size = (self->out_len + more) * 2;
        char *grown = malloc(size); /* not realloc, which could leave the password behind */
        if (grown == NULL) {
            return false;
        }
        if (self->out_len > 0) {
            memcpy(grown, self->out, self->out_len);
        }
        tlsl_wipe_free(self->out, self->out_size);
        self->out = grown;
        self->out_size = size;
    }
    return true;
}

/* AUTH has the password in it. */
static void free_command(char *command, long long len) {
    if (len > 0) {
        explicit_bzero(command, (size_t)len);
    }
    redisFreeCommand(command);
}

/*
 * Appends a command to `out` and a request to the queue. NULL if memory is short or `out` is full.
 * The callers check pending_max.
 */
static request *append(redis *self, int argc, const char **argv, const size_t *lens) {
    char *command = NULL;
    long long len = redisFormatCommandArgv(&command, argc, argv, lens);
    request *added = len > 0 ? calloc(1, sizeof *added) : NULL;
    if (added == NULL || !reserve(self, (size_t)len)) {
        free(added);
        free_command(command, len);
        return NULL;
    }
    memcpy(self->out + self->out_len, command, (size_t)len);
    self->out_len += (size_t)len;
    free_command(command, len);
    added->deadline_ms = tlsl_now_ms() + self->timeout_ms;
    added->found = TLSL_FOUND_PENDING;
    added->expects = REDIS_REPLY_STATUS;
    added->queued = true;
    *self->end = added;
    self->end = &added->next;
    self->pending++;
    return added;
}

/* Appends a command on a key, with up to three arguments behind it. */
static request *append_on_key(redis *self, const char *verb, const unsigned char *key,
                              const char *extra_1, size_t extra_1_len, const char *option,
                              const char *extra_2) {
    size_t prefix_len = strlen(self->prefix);
    char *name = self->pending >= self->pending_max ? NULL : malloc(prefix_len + TLSL_STORE_KEY);
    if (name == NULL) {
        return NULL;
    }
    memcpy(name, self->prefix, prefix_len);
    memcpy(name + prefix_len, key, TLSL_STORE_KEY);
    const char *argv[] = {verb, name, extra_1, option, extra_2};
    size_t lens[] = {strlen(verb), prefix_len + TLSL_STORE_KEY, extra_1_len,
                     option == NULL ? 0 : strlen(option), extra_2 == NULL ? 0 : strlen(extra_2)};
    request *added = append(self, extra_1 == NULL ? 2 : 5, argv, lens);
    free(name);
    if (added != NULL && extra_1 == NULL) {
        added->expects = verb[0] == 'D' ? REDIS_REPLY_INTEGER : REDIS_REPLY_STRING;
    }
    return added;
}

/* Redis compares and removes in one step only in a script (EVAL, since 2.6). */
static bool append_remove_if(redis *self, const unsigned char *key, const unsigned char *head) {
    static const char script[] = "if redis.call('GETRANGE',KEYS[1],0,#ARGV[1]-1)==ARGV[1] then "
                                 "return redis.call('DEL',KEYS[1]) end return 0";
    size_t prefix_len = strlen(self->prefix);
    char *name = self->pending >= self->pending_max ? NULL : malloc(prefix_len + TLSL_STORE_KEY);
    if (name == NULL) {
        return false;
    }
    memcpy(name, self->prefix, prefix_len);
    memcpy(name + prefix_len, key, TLSL_STORE_KEY);
    const char *argv[] = {"EVAL", script, "1", name, (const char *)head};
    size_t lens[] = {4, sizeof script - 1, 1, prefix_len + TLSL_STORE_KEY, TLSL_STORE_HEAD};
    request *added = append(self, 5, argv, lens);
    free(name);
    if (added != NULL) {
        added->expects = REDIS_REPLY_INTEGER;
    }
    return added != NULL;
}

/* ----------------------------------------------------------------------------------- connection */

static void disconnect(redis *self) {
    tlsl_channel_close(self->channel);
    self->channel = NULL;
    self->up = false;
    self->out_len = self->out_sent = 0;
    while (self->first != NULL) {
        drop_first(self, TLSL_FOUND_FAILED);
    }
    if (self->reader != NULL) {
        redisReaderFree(self->reader);
        self->reader = NULL;
    }
}

/*
 * In a child of fork(), begins anew without a byte on the parent's connection. What was asked
 * before the fork has failed here.
 */
static void begin_anew_in_child(redis *self) {
    if (self->process != tlsl_process()) {
        self->process = tlsl_process();
        tlsl_channel_abandon(self->channel);
        self->channel = NULL;
        disconnect(self);
        self->failures = 0;
        self->retry_at_ms = self->pause_ms = 0;
    }
}

static redis *enter(tlslife_store *store) {
    redis *self = (redis *)store;
    pthread_mutex_lock(&self->lock);
    begin_anew_in_child(self);
    return self;
}

static void leave(redis *self) {
    pthread_mutex_unlock(&self->lock);
}

/*
 * Gives the connection up: requests that wait have failed, and the next attempt comes after a pause
 * that grows.
 */
static void fail(redis *self) {
    disconnect(self);
    self->failures++;
    self->pause_ms = self->pause_ms == 0 ? PAUSE_FIRST_MS : self->pause_ms * 2;
    if (self->pause_ms > PAUSE_MAX_MS) {
        self->pause_ms = PAUSE_MAX_MS;
    }
    self->retry_at_ms =
        tlsl_now_ms() + (self->failures < FAILURES_MAX ? PAUSE_FIRST_MS / 2 : self->pause_ms);
}

static bool circuit_open(const redis *self) {
    return self->channel == NULL && tlsl_now_ms() < self->retry_at_ms;
}

static bool append_setup(redis *self) {
    char database[16];
    (void)snprintf(database, sizeof database, "%u", self->database);
    const char *auth[] = {"AUTH", self->username, self->password};
    const char *auth_old[] = {"AUTH", self->password};
    const char *select[] = {"SELECT", database};
    request *added = NULL;
    if (self->password != NULL) {
        added =
            self->username != NULL ? append(self, 3, auth, NULL) : append(self, 2, auth_old, NULL);
        if (added == NULL) {
            return false;
        }
        added->setup = true;
    }
    added = self->database == 0 ? NULL : append(self, 2, select, NULL);
    if (added != NULL) {
        added->setup = true;
    }
    return self->database == 0 || added != NULL;
}

/* Puts the setup in front of what was queued while there was no connection. */
static bool put_setup_first(redis *self) {
    request *queued = self->first, **queued_end = self->end;
    char *bytes = self->out;
    size_t len = self->out_len, size = self->out_size;
    self->first = NULL;
    self->end = &self->first;
    self->out = NULL;
    self->out_len = self->out_size = 0;
    bool ok = append_setup(self) && reserve(self, len);
    if (ok && len > 0) {
        memcpy(self->out + self->out_len, bytes, len);
        self->out_len += len;
    }
    tlsl_wipe_free(bytes, size); /* an earlier connection's AUTH may be in it */
    *self->end = queued;
    self->end = queued == NULL ? self->end : queued_end;
    return ok;
}

#if HIREDIS_MAJOR >= 1
typedef size_t array_len;
#else
typedef int array_len;
#endif

/*
 * None of our commands is answered by an array. hiredis frees nested arrays by recursion, however
 * deep they are.
 */
static void *refuse_array(const redisReadTask *task, array_len elements) {
    (void)task;
    (void)elements;
    return NULL;
}

static bool new_reader(redis *self) {
    self->reader = redisReaderCreate();
    if (self->reader == NULL) {
        return false;
    }
    self->reply_functions = *self->reader->fn;
    self->reply_functions.createArray = refuse_array;
    self->reader->fn = &self->reply_functions;
    return true;
}

static void begin_connect(redis *self) {
    char message[256];
    const tlsl_target target = {self->host, self->service, self->unix_path, self->tls,
                                self->connect_timeout_ms};
    self->channel = tlsl_channel_open(&target, message, sizeof message);
    self->connect_by_ms = tlsl_now_ms() + self->connect_timeout_ms;
    if (self->channel == NULL || !new_reader(self) || !put_setup_first(self)) {
        fail(self);
    }
}

/* -------------------------------------------------------------------------------------- replies */

static bool keep_value(request *asked, const redisReply *reply) {
    if (reply->len == 0 || reply->len > TLSL_STORE_BYTES_MAX) {
        return false;
    }
    asked->bytes = malloc(reply->len);
    if (asked->bytes == NULL) {
        return false;
    }
    memcpy(asked->bytes, reply->str, reply->len);
    asked->bytes_len = reply->len;
    return true;
}

/*
 * Whether reply is of a type that the command has. Another type means that a reply was left out,
 * and each further one would be taken for the reply to the command before.
 */
static bool is_reply_to(const request *asked, const redisReply *reply) {
    return reply->type == asked->expects || reply->type == REDIS_REPLY_ERROR ||
           (reply->type == REDIS_REPLY_NIL && asked->expects == REDIS_REPLY_STRING);
}

/* Takes a reply to the first request. false: the connection cannot be used any more. */
static bool take_reply(redis *self, const redisReply *reply) {
    request *asked = self->first;
    if (asked == NULL || !is_reply_to(asked, reply) ||
        (asked->setup && reply->type == REDIS_REPLY_ERROR)) {
        return false; /* a reply that no command waits for, or "wrong password" */
    }
    tlsl_found found = reply->type == REDIS_REPLY_NIL ? TLSL_FOUND_MISS : TLSL_FOUND_FAILED;
    bool wanted = asked->awaited && asked->found == TLSL_FOUND_PENDING;
    if (reply->type == REDIS_REPLY_STRING && wanted && keep_value(asked, reply)) {
        found = TLSL_FOUND_HIT;
    }
    /* A server that takes the password and then hangs has failed all the same. */
    if (!asked->setup) {
        self->failures = 0;
        self->pause_ms = 0;
    }
    drop_first(self, found);
    return true;
}

static bool take_replies(redis *self) {
    void *reply = NULL;
    bool ok = true;
    while (ok && redisReaderGetReply(self->reader, &reply) == REDIS_OK && reply != NULL) {
        ok = take_reply(self, reply);
        freeReplyObject(reply);
        reply = NULL;
    }
    return ok && self->reader->err == 0;
}

/* --------------------------------------------------------------------------------------- moving */

static bool send_out(redis *self) {
    while (self->out_sent < self->out_len) {
        long put = tlsl_channel_write(self->channel, self->out + self->out_sent,
                                      self->out_len - self->out_sent);
        if (put <= 0) {
            return put == 0;
        }
        self->out_sent += (size_t)put;
    }
    self->out_len = self->out_sent = 0;
    return true;
}

static bool read_in(redis *self) {
    char bytes[16384];
    for (int reads = 0; reads < READS_MAX; reads++) {
        long got = tlsl_channel_read(self->channel, bytes, sizeof bytes);
        if (got <= 0) {
            return got == 0;
        }
        /*
         * The reader would gather a value that claims to be huge, so its buffer is limited to what
         * one of our values can need.
         */
        if (self->reader->len - self->reader->pos > REPLY_MAX + sizeof bytes ||
            redisReaderFeed(self->reader, bytes, (size_t)got) != REDIS_OK || !take_replies(self)) {
            return false;
        }
    }
    return true;
}

/*
 * When the connection is given up: it has not been made by then, or the server owes its oldest
 * reply for twice the timeout.
 */
static int64_t give_up_at_ms(const redis *self) {
    int64_t due = self->up_at_ms + self->timeout_ms;
    due = self->first->deadline_ms > due ? self->first->deadline_ms : due;
    return self->up ? due + self->timeout_ms : self->connect_by_ms;
}

/* Fails the requests whose deadline has passed. false: it is time to give the connection up. */
static bool keep_time(redis *self) {
    int64_t now = tlsl_now_ms();
    for (request *late = self->first; late != NULL; late = late->next) {
        if (late->deadline_ms <= now) {
            settle(self, late, TLSL_FOUND_FAILED);
        }
    }
    return self->first == NULL ? self->up || now < self->connect_by_ms : now < give_up_at_ms(self);
}

static void move(redis *self) {
    if (self->channel == NULL) {
        if (self->pending == 0 || circuit_open(self)) {
            return;
        }
        begin_connect(self);
    }
    if (self->channel != NULL && !self->up) {
        int ready = tlsl_channel_ready(self->channel);
        self->up = ready == 1;
        self->up_at_ms = tlsl_now_ms();
        if (ready < 0) {
            fail(self);
        }
    }
    if (self->channel != NULL && self->up && (!send_out(self) || !read_in(self))) {
        fail(self);
    }
    if (self->channel != NULL && !keep_time(self)) {
        fail(self);
    }
}

/* ---------------------------------------------------------------------------------------- verbs */

static void ask(tlslife_store *store, tlsl_inquiry *inquiry) {
    redis *self = enter(store);
    if (inquiry->pending == NULL && inquiry->found == TLSL_FOUND_MISS) {
        request *added = circuit_open(self) ? NULL
                                            : append_on_key(self, inquiry->take ? "GETDEL" : "GET",
                                                            inquiry->key, NULL, 0, NULL, NULL);
        inquiry->found = added == NULL ? TLSL_FOUND_FAILED : TLSL_FOUND_PENDING;
        inquiry->pending = added;
        if (added != NULL) {
            added->awaited = true;
            self->waiting++;
        }
    }
    move(self);
    fetch(self, inquiry);
    leave(self);
}

static bool answered(tlslife_store *store, const tlsl_inquiry *inquiry) {
    redis *self = enter(store);
    const request *asked = inquiry->pending;
    bool known =
        asked == NULL || asked->found != TLSL_FOUND_PENDING || asked->deadline_ms <= tlsl_now_ms();
    leave(self);
    return known;
}

static void cancel(tlslife_store *store, tlsl_inquiry *inquiry) {
    redis *self = enter(store);
    request *asked = inquiry->pending;
    if (asked != NULL) {
        inquiry->pending = NULL;
        let_go(self, asked);
    }
    leave(self);
}

static bool put(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY],
                const unsigned char *bytes, size_t bytes_len, long lifetime_seconds) {
    char lifetime[32];
    (void)snprintf(lifetime, sizeof lifetime, "%ld", lifetime_seconds);
    redis *self = enter(store);
    bool told =
        lifetime_seconds > 0 && !circuit_open(self) &&
        append_on_key(self, "SET", key, (const char *)bytes, bytes_len, "EX", lifetime) != NULL;
    move(self);
    leave(self);
    return told;
}

static bool remove_key(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY]) {
    redis *self = enter(store);
    bool told = !circuit_open(self) && append_on_key(self, "DEL", key, NULL, 0, NULL, NULL) != NULL;
    leave(self);
    return told;
}

static bool remove_if(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY],
                      const unsigned char head[TLSL_STORE_HEAD]) {
    redis *self = enter(store);
    bool told = !circuit_open(self) && append_remove_if(self, key, head);
    leave(self);
    return told;
}

static void sooner(int *timeout_ms, int64_t than_ms) {
    int64_t floor_ms = than_ms < 1 ? 1 : than_ms;
    *timeout_ms = *timeout_ms < 0 || floor_ms < *timeout_ms ? (int)floor_ms : *timeout_ms;
}

/* When keep_time next has something to do. The queue is in the order of its deadlines. */
static int64_t next_moment_ms(const redis *self) {
    const request *asked = self->first;
    while (asked != NULL && (!asked->awaited || asked->found != TLSL_FOUND_PENDING)) {
        asked = asked->next;
    }
    int64_t given_up = give_up_at_ms(self);
    return asked != NULL && asked->deadline_ms < given_up ? asked->deadline_ms : given_up;
}

static int fd(tlslife_store *store, bool *out_writing, int *out_timeout_ms) {
    int descriptor = -1;
    *out_timeout_ms = -1;
    redis *self = enter(store);
    if (self->channel != NULL) {
        descriptor = tlsl_channel_fd(self->channel, out_writing, out_timeout_ms);
    }
    *out_writing = *out_writing || (self->up && self->out_len > 0);
    if (self->first != NULL) {
        sooner(out_timeout_ms, next_moment_ms(self) - tlsl_now_ms());
    }
    if (self->waiting > 0) {
        sooner(out_timeout_ms, self->waiting == 1
                                   ? ALONE_WAIT_MS
                                   : SHARED_WAIT_MS + (int64_t)(self->waiting / SHARED_MORE));
    }
    if (self->answered > 0) {
        /* Another thread has taken the reply, so the descriptor will not be ready for it. */
        *out_timeout_ms = 1;
    }
    leave(self);
    return descriptor;
}

static void pump(tlslife_store *store) {
    redis *self = enter(store);
    move(self);
    leave(self);
}

static void wipe(char *secret) {
    tlsl_wipe_free(secret, secret == NULL ? 0 : strlen(secret));
}

static void destroy(tlslife_store *store) {
    redis *self = (redis *)store;
    begin_anew_in_child(self);
    if (self->channel != NULL && self->up) {
        (void)send_out(self); /* for removes that are still to be sent; nothing blocks */
    }
    disconnect(self);
    tlslife_context_free(self->tls);
    pthread_mutex_destroy(&self->lock);
    wipe(self->username);
    wipe(self->password);
    free(self->host);
    free(self->service);
    free(self->unix_path);
    free(self->prefix);
    tlsl_wipe_free(self->out, self->out_size);
    free(self);
}

static const tlsl_store_verbs verbs = {
    .ask = ask,
    .answered = answered,
    .cancel = cancel,
    .put = put,
    .remove = remove_key,
    .remove_if = remove_if,
    .fd = fd,
    .pump = pump,
    .destroy = destroy,
};

/* -------------------------------------------------------------------------------------- opening */

static bool copy(char **to, const char *from, const char *fallback) {
    const char *chosen = from != NULL ? from : fallback;
    *to = chosen == NULL ? NULL : strdup(chosen);
    return chosen == NULL || *to != NULL;
}

static tlslife_status check(const tlslife_redis_options *options, tlsl_address *out,
                            tlslife_error *err) {
    if (options->timeout_ms < 0 || options->timeout_ms > 60000 || options->connect_timeout_ms < 0 ||
        options->connect_timeout_ms > 60000) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a store's timeouts are 1 to 60000 ms (0: the default)");
    }
    if (options->username != NULL && options->password == NULL) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "a user name for Redis needs a password");
    }
    if (options->tls != NULL &&
        (options->unix_path != NULL || tlslife_context_role(options->tls) != TLSLIFE_CLIENT)) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "TLS to Redis needs a client's context, and a host");
    }
    if (options->tls != NULL && tlslife_context_get0_cache(options->tls) != NULL) {
        /* The cache might use this store, and a lookup would wait for itself. */
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "TLS to Redis needs a context without a cache");
    }
    return tlsl_address_of(options->host != NULL ? options->host : "127.0.0.1", options->service,
                           "6379", false, out, err);
}

/*
 * Makes a first connection of the context, which reads the system's CAs, 100 ms of files. Later
 * connections are made under the lock.
 */
static bool warm_up(tlslife_context *tls, tlslife_error *err) {
    tlslife_conn *first = tls == NULL ? NULL : tlslife_conn_new(tls, err);
    bool ok = tls == NULL || first != NULL;
    tlslife_conn_free(first);
    return ok;
}

tlslife_store *tlslife_store_redis(const tlslife_redis_options *options, tlslife_error *err) {
    tlsl_address address;
    if (check(options, &address, err) != TLSLIFE_OK || !warm_up(options->tls, err)) {
        return NULL;
    }
    redis *self = (redis *)tlsl_store_new(&verbs, sizeof *self, err);
    if (self == NULL) {
        return NULL;
    }
    pthread_mutex_init(&self->lock, NULL);
    self->process = tlsl_process();
    self->end = &self->first;
    self->tls = options->tls == NULL ? NULL : tlslife_context_up_ref(options->tls);
    self->database = options->database;
    self->timeout_ms = options->timeout_ms == 0 ? 250 : options->timeout_ms;
    self->connect_timeout_ms =
        options->connect_timeout_ms == 0 ? 1000 : options->connect_timeout_ms;
    self->pending_max = options->pending_max == 0 ? 1024 : options->pending_max;
    if (!copy(&self->host, address.host, NULL) || !copy(&self->service, address.service, NULL) ||
        !copy(&self->unix_path, options->unix_path, NULL) ||
        !copy(&self->username, options->username, NULL) ||
        !copy(&self->password, options->password, NULL) ||
        !copy(&self->prefix, options->prefix, "tlslife:")) {
        (void)tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for a store");
        destroy(&self->store);
        return NULL;
    }
    return &self->store;
}

#else

tlslife_store *tlslife_store_redis(const tlslife_redis_options *options, tlslife_error *err) {
    (void)options;
    (void)tlsl_fail(err, TLSLIFE_ERR_USAGE,
                    "this build of tlslife has no Redis store: install hiredis and build it again");
    return NULL;
}

#endif
