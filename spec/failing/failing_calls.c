/*
 * failing_calls.c: makes system calls of our own code fail. The linker puts the functions below in
 * their place (--wrap). When fault_due says that this call is to fail, it sets the errno that the
 * plan of fault.h names, or moves only one byte (FAULT_SHORT). All others reach the system.
 *
 * failing_draws_spec.lua compares the list with what the built libraries call, and says of each
 * call that is not here why it need not be.
 */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    CALL_SOCKET = FAULT_CALLS,
    CALL_CONNECT,
    CALL_ACCEPT4,
    CALL_BIND,
    CALL_LISTEN,
    CALL_SEND,
    CALL_RECV,
    CALL_POLL,
    CALL_OPEN,
    CALL_SHM_OPEN,
    CALL_MMAP,
    CALL_POSIX_FALLOCATE,
    CALL_FSTAT,
    CALL_STAT,
    CALL_FLOCK,
    CALL_FCHMOD,
    CALL_FCNTL,
    CALL_READ,
    CALL_PREAD,
    CALL_WRITE,
    CALL_PWRITE,
    CALL_WRITEV,
    CALL_GETRANDOM,
    CALL_PTHREAD_CREATE,
    CALL_MUTEX_INIT,
    CALL_PIPE2,
    CALL_SETSOCKOPT,
    CALL_GETSOCKOPT,
    CALL_GETSOCKNAME,
    CALL_GETPEERNAME,
    CALL_GETADDRINFO,
    CALL_EPOLL_CREATE,
    CALL_EPOLL_CTL,
    CALL_EPOLL_WAIT,
    CALL_FTRUNCATE,
    CALL_MEMFD_CREATE,
    CALL_MADVISE,
    CALL_UNLINK,
    CALL_SHM_UNLINK,
    CALL_LSTAT,
    CALL_CHMOD,
    CALL_TIMERFD_CREATE,
    CALL_TIMERFD_SETTIME,
    CALL_GETNAMEINFO,
    CALL_ATTR_INIT,
    CALL_MUTEXATTR_INIT,
    CALL_END
};

const fault_call fault_calls[] = {
    {"socket", {EMFILE, ENOMEM}},
    {"connect", {EINTR, EAGAIN, ECONNREFUSED, ENOMEM}},
    {"accept4", {EINTR, EAGAIN, ECONNABORTED, EMFILE, ENOMEM}},
    {"bind", {EADDRINUSE, ENOMEM}},
    {"listen", {EADDRINUSE}},
    {"send", {EINTR, EAGAIN, ECONNRESET, EPIPE, ENOMEM, FAULT_SHORT}},
    {"recv", {EINTR, EAGAIN, ECONNRESET, ENOMEM, FAULT_SHORT}},
    {"poll", {EINTR, ENOMEM}},
    {"open", {EINTR, EMFILE, ENOSPC, ENOMEM}},
    {"shm_open", {EINTR, EMFILE, ENOSPC}},
    {"mmap", {ENOMEM, ENODEV}},
    {"posix_fallocate", {EINTR, ENOSPC}},
    {"fstat", {ENOMEM, EIO}},
    {"stat", {ENOMEM, EIO}},
    {"flock", {EINTR, ENOLCK}},
    {"fchmod", {EPERM}},
    {"fcntl", {EMFILE, ENOLCK}},
    {"read", {EINTR, EIO, FAULT_SHORT}},
    {"pread", {EINTR, EIO, FAULT_SHORT}},
    {"write", {EINTR, EAGAIN, ENOSPC, FAULT_SHORT}},
    {"pwrite", {EINTR, ENOSPC, FAULT_SHORT}},
    {"writev", {EINTR, EAGAIN, ENOSPC, EPIPE, FAULT_SHORT}},
    {"getrandom", {EINTR, EAGAIN, ENOSYS, FAULT_SHORT}},
    {"pthread_create", {EAGAIN}},
    {"pthread_mutex_init", {ENOMEM}},
    {"pipe2", {EMFILE}},
    {"setsockopt", {ENOMEM}},
    {"getsockopt", {ENOMEM}},
    {"getsockname", {ENOBUFS}},
    {"getpeername", {ENOTCONN, ENOBUFS}},
    {"getaddrinfo", {EAI_MEMORY, EAI_AGAIN, EAI_SYSTEM}},
    {"epoll_create1", {EMFILE, ENOMEM}},
    {"epoll_ctl", {ENOMEM, ENOSPC}},
    {"epoll_wait", {EINTR}},
    {"ftruncate", {EINTR, ENOSPC}},
    {"memfd_create", {EMFILE, ENOMEM}},
    {"madvise", {ENOMEM, EINVAL}}, /* EINVAL: an older kernel does not know the advice */
    {"unlink", {EACCES, EIO}},
    {"shm_unlink", {EACCES}},
    {"lstat", {ENOMEM, EACCES}},
    {"chmod", {EPERM, EIO}},
    {"timerfd_create", {EMFILE, ENOMEM}},
    {"timerfd_settime", {ECANCELED}},
    {"getnameinfo", {EAI_MEMORY, EAI_SYSTEM}},
    {"pthread_attr_init", {ENOMEM}},
    {"pthread_mutexattr_init", {ENOMEM}},
};

const char *fault_kind_name(int kind) {
    static const char *const names[] = {"ours", "openssl", "lua", "hiredis"};
    return kind < FAULT_CALLS ? names[kind] : fault_calls[kind - FAULT_CALLS].name;
}

int fault_calls_len(void) {
    return (int)(sizeof fault_calls / sizeof *fault_calls);
}

_Static_assert(sizeof fault_calls / sizeof *fault_calls == CALL_END - FAULT_CALLS, "one each");
_Static_assert(CALL_END <= FAULT_KINDS, "counters for all");

/* Whether this call is to fail. If so, errno is set. */
static bool fails(int kind) {
    if (!fault_due(kind, NULL, 0) || fault_how() == FAULT_SHORT) {
        return false;
    }
    errno = fault_how();
    return true;
}

/* Returns -1, with errno set, if the call is to fail. Sets *len to 1 if it is to be short. */
static ssize_t shorten(int kind, size_t *len) {
    if (!fault_due(kind, NULL, 0)) {
        return 0;
    }
    if (fault_how() == FAULT_SHORT) {
        *len = *len > 1 ? 1 : *len;
        return 0;
    }
    errno = fault_how();
    return -1;
}

#define WRAPPED(type, name, ...)     \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

/* ------------------------------------------------------------------------------------- sockets */

WRAPPED(int, socket, int domain, int type, int protocol) {
    return fails(CALL_SOCKET) ? -1 : __real_socket(domain, type, protocol);
}

/* The system goes on to connect after EINTR, so the real call is made, too. */
WRAPPED(int, connect, int fd, const struct sockaddr *address, socklen_t len) {
    if (!fails(CALL_CONNECT)) {
        return __real_connect(fd, address, len);
    }
    int failure = errno;
    if (failure == EINTR) {
        (void)__real_connect(fd, address, len);
    }
    errno = failure;
    return -1;
}

WRAPPED(int, accept4, int fd, struct sockaddr *address, socklen_t *len, int flags) {
    return fails(CALL_ACCEPT4) ? -1 : __real_accept4(fd, address, len, flags);
}

WRAPPED(int, bind, int fd, const struct sockaddr *address, socklen_t len) {
    return fails(CALL_BIND) ? -1 : __real_bind(fd, address, len);
}

WRAPPED(int, listen, int fd, int backlog) {
    return fails(CALL_LISTEN) ? -1 : __real_listen(fd, backlog);
}

WRAPPED(ssize_t, send, int fd, const void *bytes, size_t len, int flags) {
    return shorten(CALL_SEND, &len) < 0 ? -1 : __real_send(fd, bytes, len, flags);
}

WRAPPED(ssize_t, recv, int fd, void *bytes, size_t len, int flags) {
    return shorten(CALL_RECV, &len) < 0 ? -1 : __real_recv(fd, bytes, len, flags);
}

WRAPPED(int, poll, struct pollfd *fds, nfds_t len, int timeout) {
    return fails(CALL_POLL) ? -1 : __real_poll(fds, len, timeout);
}

WRAPPED(int, setsockopt, int fd, int level, int name, const void *value, socklen_t len) {
    return fails(CALL_SETSOCKOPT) ? -1 : __real_setsockopt(fd, level, name, value, len);
}

WRAPPED(int, getsockopt, int fd, int level, int name, void *value, socklen_t *len) {
    return fails(CALL_GETSOCKOPT) ? -1 : __real_getsockopt(fd, level, name, value, len);
}

WRAPPED(int, getsockname, int fd, struct sockaddr *address, socklen_t *len) {
    return fails(CALL_GETSOCKNAME) ? -1 : __real_getsockname(fd, address, len);
}

WRAPPED(int, getpeername, int fd, struct sockaddr *address, socklen_t *len) {
    return fails(CALL_GETPEERNAME) ? -1 : __real_getpeername(fd, address, len);
}

WRAPPED(int, getaddrinfo, const char *host, const char *service, const struct addrinfo *hints,
        struct addrinfo **out) {
    if (fails(CALL_GETADDRINFO)) {
        int failure = errno;
        errno = ENOMEM; /* what EAI_SYSTEM is about */
        return failure;
    }
    return __real_getaddrinfo(host, service, hints, out);
}

WRAPPED(int, getnameinfo, const struct sockaddr *address, socklen_t len, char *host,
        socklen_t host_len, char *service, socklen_t service_len, int flags) {
    if (fails(CALL_GETNAMEINFO)) {
        int failure = errno;
        errno = ENOMEM; /* what EAI_SYSTEM is about */
        return failure;
    }
    return __real_getnameinfo(address, len, host, host_len, service, service_len, flags);
}

/* --------------------------------------------------------------------------------------- files */

WRAPPED(int, open, const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;
    va_end(args);
    return fails(CALL_OPEN) ? -1 : __real_open(path, flags, mode);
}

WRAPPED(int, shm_open, const char *name, int flags, mode_t mode) {
    return fails(CALL_SHM_OPEN) ? -1 : __real_shm_open(name, flags, mode);
}

WRAPPED(void *, mmap, void *at, size_t len, int protection, int flags, int fd, off_t offset) {
    if (fails(CALL_MMAP)) {
        return MAP_FAILED;
    }
    void *mapped = __real_mmap(at, len, protection, flags, fd, offset);
    memory_mapped(mapped != MAP_FAILED);
    return mapped;
}

WRAPPED(int, munmap, void *at, size_t len) {
    memory_mapped(-1);
    return __real_munmap(at, len);
}

WRAPPED(int, posix_fallocate, int fd, off_t offset, off_t len) {
    return fails(CALL_POSIX_FALLOCATE) ? errno : __real_posix_fallocate(fd, offset, len);
}

WRAPPED(int, fstat, int fd, struct stat *out) {
    return fails(CALL_FSTAT) ? -1 : __real_fstat(fd, out);
}

WRAPPED(int, stat, const char *path, struct stat *out) {
    return fails(CALL_STAT) ? -1 : __real_stat(path, out);
}

WRAPPED(int, flock, int fd, int operation) {
    return fails(CALL_FLOCK) ? -1 : __real_flock(fd, operation);
}

WRAPPED(int, lstat, const char *path, struct stat *out) {
    return fails(CALL_LSTAT) ? -1 : __real_lstat(path, out);
}

WRAPPED(int, ftruncate, int fd, off_t len) {
    return fails(CALL_FTRUNCATE) ? -1 : __real_ftruncate(fd, len);
}

WRAPPED(int, memfd_create, const char *name, unsigned flags) {
    return fails(CALL_MEMFD_CREATE) ? -1 : __real_memfd_create(name, flags);
}

WRAPPED(int, madvise, void *at, size_t len, int advice) {
    return fails(CALL_MADVISE) ? -1 : __real_madvise(at, len, advice);
}

WRAPPED(int, unlink, const char *path) {
    return fails(CALL_UNLINK) ? -1 : __real_unlink(path);
}

WRAPPED(int, shm_unlink, const char *name) {
    return fails(CALL_SHM_UNLINK) ? -1 : __real_shm_unlink(name);
}

WRAPPED(int, chmod, const char *path, mode_t mode) {
    return fails(CALL_CHMOD) ? -1 : __real_chmod(path, mode);
}

WRAPPED(int, fchmod, int fd, mode_t mode) {
    return fails(CALL_FCHMOD) ? -1 : __real_fchmod(fd, mode);
}

WRAPPED(int, fcntl, int fd, int command, ...) {
    va_list args;
    va_start(args, command);
    void *argument = va_arg(args, void *); /* an int argument is in the same register */
    va_end(args);
    bool asks = command == F_GETFD; /* fails for what is no descriptor only */
    return !asks && fails(CALL_FCNTL) ? -1 : __real_fcntl(fd, command, argument);
}

WRAPPED(ssize_t, read, int fd, void *bytes, size_t len) {
    return shorten(CALL_READ, &len) < 0 ? -1 : __real_read(fd, bytes, len);
}

WRAPPED(ssize_t, pread, int fd, void *bytes, size_t len, off_t offset) {
    return shorten(CALL_PREAD, &len) < 0 ? -1 : __real_pread(fd, bytes, len, offset);
}

WRAPPED(ssize_t, write, int fd, const void *bytes, size_t len) {
    return shorten(CALL_WRITE, &len) < 0 ? -1 : __real_write(fd, bytes, len);
}

WRAPPED(ssize_t, pwrite, int fd, const void *bytes, size_t len, off_t offset) {
    return shorten(CALL_PWRITE, &len) < 0 ? -1 : __real_pwrite(fd, bytes, len, offset);
}

WRAPPED(ssize_t, writev, int fd, const struct iovec *parts, int parts_len) {
    struct iovec first = parts[0];
    if (!fault_due(CALL_WRITEV, NULL, 0)) {
        return __real_writev(fd, parts, parts_len);
    }
    if (fault_how() == FAULT_SHORT) {
        first.iov_len = first.iov_len > 1 ? 1 : first.iov_len;
        return __real_writev(fd, &first, 1);
    }
    errno = fault_how();
    return -1;
}

/* ---------------------------------------------------------------------------------- all others */

WRAPPED(ssize_t, getrandom, void *bytes, size_t len, unsigned flags) {
    return shorten(CALL_GETRANDOM, &len) < 0 ? -1 : __real_getrandom(bytes, len, flags);
}

WRAPPED(int, pthread_create, pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *),
        void *argument) {
    return fails(CALL_PTHREAD_CREATE) ? errno
                                      : __real_pthread_create(out, attributes, run, argument);
}

WRAPPED(int, pthread_mutex_init, pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes) {
    return fails(CALL_MUTEX_INIT) ? errno : __real_pthread_mutex_init(mutex, attributes);
}

WRAPPED(int, pthread_attr_init, pthread_attr_t *attributes) {
    return fails(CALL_ATTR_INIT) ? errno : __real_pthread_attr_init(attributes);
}

WRAPPED(int, pthread_mutexattr_init, pthread_mutexattr_t *attributes) {
    return fails(CALL_MUTEXATTR_INIT) ? errno : __real_pthread_mutexattr_init(attributes);
}

WRAPPED(int, timerfd_create, int clock, int flags) {
    return fails(CALL_TIMERFD_CREATE) ? -1 : __real_timerfd_create(clock, flags);
}

WRAPPED(int, timerfd_settime, int fd, int flags, const struct itimerspec *time,
        struct itimerspec *before) {
    return fails(CALL_TIMERFD_SETTIME) ? -1 : __real_timerfd_settime(fd, flags, time, before);
}

WRAPPED(int, pipe2, int *fds, int flags) {
    return fails(CALL_PIPE2) ? -1 : __real_pipe2(fds, flags);
}

WRAPPED(int, epoll_create1, int flags) {
    return fails(CALL_EPOLL_CREATE) ? -1 : __real_epoll_create1(flags);
}

WRAPPED(int, epoll_ctl, int set, int operation, int fd, struct epoll_event *event) {
    return fails(CALL_EPOLL_CTL) ? -1 : __real_epoll_ctl(set, operation, fd, event);
}

WRAPPED(int, epoll_wait, int set, struct epoll_event *events, int len, int timeout) {
    return fails(CALL_EPOLL_WAIT) ? -1 : __real_epoll_wait(set, events, len, timeout);
}
