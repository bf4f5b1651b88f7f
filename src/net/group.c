/*
 * group.c: makes one descriptor out of several, for a caller that can watch one alone.
 *
 * This is the only use of epoll(7) in the library. Nothing is dispatched here. The caller that
 * waits for the group looks at its members.
 */
#include <stddef.h>
#include <sys/epoll.h>

#include "net/group.h"

int tlsl_group_new(void) {
    return epoll_create1(EPOLL_CLOEXEC);
}

bool tlsl_group_add(int group, int fd, bool reading) {
    struct epoll_event event = {.events = reading ? EPOLLIN : EPOLLOUT, .data.fd = fd};
    return epoll_ctl(group, EPOLL_CTL_ADD, fd, &event) == 0;
}

void tlsl_group_remove(int group, int fd) {
    (void)epoll_ctl(group, EPOLL_CTL_DEL, fd, NULL);
}
