/*
 * private.c: opens files that only this process's user may read or write, and checks who may access
 * an open file.
 *
 * An attacker would put a file, a FIFO or a symbolic link where ours is about to be. So a link is
 * not followed, a FIFO is not waited for, and an opened file is checked before anything is written
 * to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/private.h"

#define OWNER_ONLY (S_IRUSR | S_IWUSR)

int tlsl_private_open(const char *path, int flags) {
    return open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, OWNER_ONLY);
}

int tlsl_private_created(int fd) {
    if (fd >= 0 && fchmod(fd, OWNER_ONLY) != 0) {
        int problem = errno;
        (void)close(fd);
        errno = problem;
        return -1;
    }
    return fd;
}

const char *tlsl_private_fault(const struct stat *about) {
    if (about->st_uid != geteuid()) {
        return "this file belongs to another user, who could read and change what is in it";
    }
    if ((about->st_mode & 07777 & ~(mode_t)OWNER_ONLY) != 0) {
        return "others may read or write this file; remove it, or set its mode to 0600";
    }
    return NULL;
}
