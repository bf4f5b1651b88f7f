/*
 * lpoller.c: implements tls.poller, a set of descriptors that are watched (epoll(7)), for adapters
 * to loops. The set is itself a descriptor that a loop can watch.
 *
 * Some loops do not watch foreign descriptors well. libuv reports a connection that the peer has
 * reset as EBADF, which luv writes to standard error, so any client could fill a log. It ends the
 * program when a descriptor is closed too early, and it needs an object for each descriptor. A
 * poller passes a descriptor to the kernel at once, reports its failure to the caller as an event,
 * and loses it without an error when it is closed.
 *
 * Events are level-triggered, so an event that is not acted on is reported again, unless only what
 * comes anew was asked for (ANEW, which is edge-triggered).
 */
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/loop/lpoller.h"
#include "tlslife.h"

/* ANEW is for watch, and ENDED, of the same value, is for events. */
enum { READABLE = 1, WRITABLE = 2, ANEW = 4, ENDED = 4, EVENTS_MAX = 256 };

typedef struct poller {
    int fd;
} poller;

static poller *self_poller(lua_State *L) {
    return tlb_self(L, &tlb_poller_type)->object;
}

/* Pushes nil, the message and err, of errno. */
static int fail(lua_State *L, const char *what) {
    tlslife_error err = {.kind = errno == ENOMEM ? TLSLIFE_ERR_MEMORY : TLSLIFE_ERR_SYSTEM,
                         .alert = -1,
                         .verify_depth = -1,
                         .system_errno = errno};
    (void)snprintf(err.message, sizeof err.message, "%s: %s", what, strerror(err.system_errno));
    return tlb_push_failure(L, &err);
}

int tlb_poller_new(lua_State *L) {
    tlb_new(L, &tlb_poller_type);
    poller *made = malloc(sizeof *made);
    int fd = made ? epoll_create1(EPOLL_CLOEXEC) : -1;
    if (fd < 0) {
        int failure = errno;
        free(made);
        errno = failure;
        return fail(L, "cannot make a poller");
    }
    made->fd = fd;
    tlb_fill(L, &tlb_poller_type, made);
    return 1;
}

/*
 * Adds or changes a descriptor. Whether it was known may be wrong, since a closed descriptor drops
 * out and another file may have its number by now. So the other operation is tried, too.
 */
static int watch(int fd, int watched, bool known, struct epoll_event *event) {
    int result = epoll_ctl(fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watched, event);
    if (result != 0 && errno == (known ? ENOENT : EEXIST)) {
        result = epoll_ctl(fd, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, watched, event);
    }
    return result;
}

static int poller_watch(lua_State *L) {
    const poller *self = self_poller(L);
    int watched = (int)tlb_size(L, 2, 0, INT_MAX, -1);
    unsigned mask = (unsigned)tlb_size(L, 3, 0, READABLE | WRITABLE | ANEW, -1);
    struct epoll_event event = {.events = (mask & READABLE ? EPOLLIN | EPOLLRDHUP : 0U) |
                                          (mask & WRITABLE ? EPOLLOUT : 0U) |
                                          (mask & ANEW ? EPOLLET : 0U),
                                .data.fd = watched};
    int result = mask == 0 ? epoll_ctl(self->fd, EPOLL_CTL_DEL, watched, NULL)
                           : watch(self->fd, watched, tlb_optional_boolean(L, 4), &event);
    if (result != 0 && mask != 0) {
        return fail(L, "cannot watch the descriptor");
    }
    lua_pushboolean(L, true);
    return 1;
}

/*
 * An error or a hang-up counts as both, and the next read or write reports it. After it, and after
 * the peer's end of its stream, nothing more comes than what is there.
 */
static lua_Integer mask_of(uint32_t events) {
    const uint32_t failed = EPOLLERR | EPOLLHUP;
    return (events & (EPOLLIN | EPOLLRDHUP | failed) ? READABLE : 0) |
           (events & (EPOLLOUT | failed) ? WRITABLE : 0) |
           (events & (EPOLLRDHUP | failed) ? ENDED : 0);
}

static int poller_events(lua_State *L) {
    struct epoll_event events[EVENTS_MAX];
    luaL_checktype(L, 2, LUA_TTABLE);
    int len = epoll_wait(self_poller(L)->fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < len; i++) {
        lua_pushinteger(L, events[i].data.fd);
        lua_rawseti(L, 2, 2 * i + 1);
        lua_pushinteger(L, mask_of(events[i].events));
        lua_rawseti(L, 2, 2 * i + 2);
    }
    lua_pushinteger(L, len > 0 ? len : 0);
    return 1;
}

static int poller_fd(lua_State *L) {
    lua_pushinteger(L, self_poller(L)->fd);
    return 1;
}

static int poller_close(lua_State *L) {
    if (!tlb_test(L, 1, &tlb_poller_type)) {
        tlb_self(L, &tlb_poller_type);
    }
    return tlb_handle_close(L);
}

static const luaL_Reg methods[] = {
    {"watch", poller_watch},
    {"events", poller_events},
    {"fd", poller_fd},
    {"close", poller_close},
    {NULL, NULL},
};

static void release(void *object) {
    close(((poller *)object)->fd);
    free(object);
}

static void describe(lua_State *L, void *object) {
    lua_pushfstring(L, "descriptor %d", ((poller *)object)->fd);
}

const tlb_type tlb_poller_type = {
    .name = "tlslife.poller",
    .size = sizeof(tlb_handle),
    .kib = 1,
    .release = release,
    .describe = describe,
    .metamethods = tlb_handle_metamethods,
    .methods = {methods},
};
