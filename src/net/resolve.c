/*
 * resolve.c: finds the addresses of a name, in a thread so that the caller need not wait.
 *
 * getaddrinfo waits, and no other function asks all that the system asks (files, DNS, mDNS, what
 * nsswitch.conf says). So a thread of ours calls it, and a byte in a pipe tells a loop that it has
 * ended. Text that is an address needs no thread.
 *
 * A resolution belongs to the caller that began it, until the caller drops it. If a thread is in
 * the middle of it then, the thread owns it from then on, since nothing can stop getaddrinfo, and
 * frees it when getaddrinfo returns. Threads are detached, have every signal blocked, use no
 * OpenSSL, and touch nothing but their own resolution and the queue, so a program may end, and a
 * Lua state close, while they run. Their code must stay in memory. So the libraries are linked with
 * -z nodelete (cmake/Exports.cmake), and dlclose leaves them; OpenSSL's own are pinned likewise.
 *
 * An attacker would give names whose servers never answer. At most THREADS_MAX are asked for at
 * once. The others are queued, their callers' deadlines hold, and what is dropped leaves the queue.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "net/resolve.h"
#include "tlslife.h"

#define THREADS_MAX 16

typedef enum progress { QUEUED = 0, RUNNING, ENDED } progress;

struct tlsl_resolution {
    tlsl_resolution *next; /* in the queue */
    progress progress;
    bool dropped;    /* while RUNNING: the thread frees it at the end */
    unsigned family; /* the number of forks before it was queued; see in_child */
    int ended_fd;    /* readable when it has ended */
    int tell_fd;
    struct addrinfo *addresses;
    int result;  /* the result of getaddrinfo */
    int failure; /* and its errno */
    char *service;
    char host[];
};

/*
 * Protects the queue, and the fields of resolutions that are not written once at their beginning.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    tlsl_resolution *first, **end;
    unsigned threads;
    unsigned family;
} queue = {.end = &queue.first};

/* ---------------------------------------------------------------------------------- getaddrinfo */

static int look_up(const char *host, const char *service, int flags, struct addrinfo **out) {
    const struct addrinfo hints = {.ai_flags = flags,
                                   .ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_protocol = IPPROTO_TCP};
    return getaddrinfo(host, service, &hints, out);
}

static tlslife_status failed(tlslife_error *err, const char *host, const char *service, int result,
                             int failure) {
    const char *shown = host != NULL ? host : "every address";
    if (result == EAI_SYSTEM) {
        return tlsl_fail_system(err, failure, "cannot resolve %s, service %s", shown, service);
    }
    if (result == EAI_SERVICE) {
        return tlsl_fail(err, TLSLIFE_ERR_RESOLVE,
                         "\"%s\" is neither a port nor a TCP service that this machine knows",
                         service);
    }
    return tlsl_fail(err, result == EAI_MEMORY ? TLSLIFE_ERR_MEMORY : TLSLIFE_ERR_RESOLVE,
                     "cannot resolve %s, service %s: %s", shown, service, gai_strerror(result));
}

tlslife_status tlsl_resolve(const char *host, const char *service, int flags, struct addrinfo **out,
                            tlslife_error *err) {
    int result = look_up(host, service, flags, out);
    return result == 0 ? TLSLIFE_OK : failed(err, host, service, result, errno);
}

/* --------------------------------------------------------------------------------------- a fork */

static void before_fork(void) {
    pthread_mutex_lock(&lock);
}

static void in_parent(void) {
    pthread_mutex_unlock(&lock);
}

/*
 * A child has none of the parent's threads. The resolutions that they had, or would have had, to do
 * count as failed.
 */
static void in_child(void) {
    queue.first = NULL;
    queue.end = &queue.first;
    queue.threads = 0;
    queue.family++;
    pthread_mutex_unlock(&lock);
}

static void watch_forks(void) {
    /* If memory is short, a resolution in a child may never end. */
    (void)pthread_atfork(before_fork, in_parent, in_child);
}

/* ------------------------------------------------------------------------------------ the queue */

static void append(tlsl_resolution *one) {
    one->family = queue.family;
    *queue.end = one;
    queue.end = &one->next;
}

static void leave(const tlsl_resolution *one) {
    tlsl_resolution **at = &queue.first;
    while (*at != NULL && *at != one) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = one->next;
        queue.end = one->next == NULL ? at : queue.end;
    }
}

static void resolution_free(tlsl_resolution *one) {
    if (one->progress == ENDED && one->addresses != NULL) {
        freeaddrinfo(one->addresses);
    }
    if (one->ended_fd >= 0) {
        (void)close(one->ended_fd);
    }
    if (one->tell_fd >= 0) {
        (void)close(one->tell_fd);
    }
    free(one->service);
    free(one);
}

static void end(tlsl_resolution *one) {
    one->progress = ENDED;
    if (one->dropped) {
        resolution_free(one);
        return;
    }
    ssize_t told = write(one->tell_fd, "", 1); /* the pipe is empty, so it has room */
    (void)told;
}

static void *serve_queue(void *nothing) {
    pthread_mutex_lock(&lock);
    while (queue.first != NULL) {
        tlsl_resolution *one = queue.first;
        leave(one);
        one->progress = RUNNING;
        pthread_mutex_unlock(&lock);
        one->result = look_up(one->host, one->service, 0, &one->addresses);
        one->failure = errno;
        pthread_mutex_lock(&lock);
        end(one);
    }
    queue.threads--;
    pthread_mutex_unlock(&lock);
    return nothing;
}

/*
 * Starts a thread; 0, or an errno. Signals are for the program's threads, so all are blocked in
 * this one, which inherits the mask.
 */
static int start_thread(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int failure = pthread_attr_init(&attributes);
    if (failure != 0) {
        return failure;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&thread, &attributes, serve_queue, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    queue.threads += failure == 0;
    return failure;
}

/* --------------------------------------------------------------------------------- a resolution */

static tlsl_resolution *resolution_new(const char *host, const char *service) {
    size_t host_size = strlen(host) + 1;
    tlsl_resolution *one = calloc(1, sizeof *one + host_size);
    if (one == NULL) {
        return NULL;
    }
    int ends[2] = {-1, -1};
    one->service = strdup(service);
    if (one->service == NULL || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        int kept = one->service == NULL ? ENOMEM : errno;
        free(one->service);
        free(one);
        errno = kept;
        return NULL;
    }
    memcpy(one->host, host, host_size);
    one->ended_fd = ends[0];
    one->tell_fd = ends[1];
    return one;
}

/*
 * Queues a resolution; 0, or an errno. If no thread can be started, that is a failure only if none
 * is running, since those that run come to it.
 */
static int enqueue(tlsl_resolution *one) {
    pthread_mutex_lock(&lock);
    append(one);
    int failure = queue.threads < THREADS_MAX ? start_thread() : 0;
    failure = queue.threads > 0 ? 0 : failure;
    if (failure != 0) {
        leave(one);
    }
    pthread_mutex_unlock(&lock);
    return failure;
}

static tlslife_status begin(const char *host, const char *service, tlsl_resolution **out_begun,
                            tlslife_error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch_forks);
    tlsl_resolution *one = resolution_new(host, service);
    int failure = one == NULL ? errno : enqueue(one);
    if (failure == 0) {
        *out_begun = one;
        return TLSLIFE_WANT_READ;
    }
    if (one != NULL) {
        resolution_free(one);
    }
    return tlsl_fail_system(err, failure, "cannot begin to resolve %s", host);
}

tlslife_status tlsl_resolve_begin(const char *host, const char *service, struct addrinfo **out,
                                  tlsl_resolution **out_begun, tlslife_error *err) {
    int result = look_up(host, service, AI_NUMERICHOST, out);
    if (result == 0) {
        return TLSLIFE_OK;
    }
    return result == EAI_NONAME ? begin(host, service, out_begun, err)
                                : failed(err, host, service, result, errno);
}

tlslife_status tlsl_resolution_end(tlsl_resolution *resolution, struct addrinfo **out,
                                   tlslife_error *err) {
    pthread_mutex_lock(&lock);
    bool forked = resolution->family != queue.family;
    bool ended = resolution->progress == ENDED;
    pthread_mutex_unlock(&lock);
    if (!ended) {
        return forked ? failed(err, resolution->host, resolution->service, EAI_AGAIN, 0)
                      : TLSLIFE_WANT_READ;
    }
    if (resolution->result != 0) {
        return failed(err, resolution->host, resolution->service, resolution->result,
                      resolution->failure);
    }
    *out = resolution->addresses;
    resolution->addresses = NULL;
    return TLSLIFE_OK;
}

int tlsl_resolution_fd(const tlsl_resolution *resolution) {
    return resolution->ended_fd;
}

void tlsl_resolution_drop(tlsl_resolution *resolution) {
    if (resolution == NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    bool forked = resolution->family != queue.family;
    if (!forked && resolution->progress == QUEUED) {
        leave(resolution);
    }
    resolution->dropped = !forked && resolution->progress == RUNNING;
    bool kept = resolution->dropped;
    if (kept) { /* no caller waits for the pipe any more */
        (void)close(resolution->ended_fd);
        (void)close(resolution->tell_fd);
        resolution->ended_fd = resolution->tell_fd = -1;
    }
    pthread_mutex_unlock(&lock);
    if (!kept) {
        resolution_free(resolution);
    }
}
