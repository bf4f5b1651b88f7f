/*
 * local.c: takes the names of Unix sockets apart, and listens on one.
 *
 * A name begins with "unix:/" or "unix:@", which no host name does, so that it fits in every place
 * where a host can stand. A relative path is refused, because it would mean another file after
 * chdir.
 *
 * A server that is killed leaves its socket's file behind, and bind(2) refuses a path that is
 * there. A connect finds out whether a server listens. Only a socket that refuses is
 * removed. A file of any other kind stays, and so does a socket whose server answers or has a full
 * backlog. Two servers that begin at the same time on a file that was left may both find it so; the
 * one that binds last has the name.
 *
 * An attacker on this machine would connect in the moment between bind and chmod. On Linux the mode
 * of the socket's own inode, set before bind, limits the mode that the file is made with, so the
 * file never has more bits than it was given. The attacker would also put another file in the place
 * of ours. At the end the name is removed only if it still leads to the file that was made.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "net/local.h"
#include "tlslife.h"

#define PREFIX_LEN 5 /* of "unix:" */

bool tlsl_is_local(const char *text) {
    return text != NULL && (strncmp(text, "unix:/", 6) == 0 || strncmp(text, "unix:@", 6) == 0);
}

/* An abstract name has a NUL in the place of the '@', and no NUL behind it (unix(7)). */
tlslife_status tlsl_local_address(const char *text, struct sockaddr_un *out, socklen_t *out_len,
                                  tlslife_error *err) {
    const char *name = text + PREFIX_LEN;
    size_t len = strlen(name);
    bool abstract = name[0] == '@';
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    if (len < 2) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "\"%s\" names no Unix socket: unix:/path or unix:@name", text);
    }
    if (len >= sizeof out->sun_path) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "\"%s\" has %zu bytes after \"unix:\", and a Unix socket's name has at "
                         "most %zu",
                         text, len, sizeof out->sun_path - 1);
    }
    memcpy(out->sun_path, name, len);
    if (abstract) {
        out->sun_path[0] = '\0';
    }
    *out_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (abstract ? 0 : 1));
    return TLSLIFE_OK;
}

bool tlsl_local_text(const struct sockaddr_un *address, socklen_t address_len, char *out,
                     size_t out_len) {
    size_t begin = offsetof(struct sockaddr_un, sun_path);
    if ((size_t)address_len <= begin) {
        return false; /* it has no name */
    }
    const char *name = address->sun_path;
    bool abstract = name[0] == '\0';
    size_t len = (size_t)address_len - begin - (abstract ? 1 : 0);
    len = abstract ? len : strnlen(name, len);
    int needed = snprintf(out, out_len, "unix:%s%.*s", abstract ? "@" : "", (int)len,
                          name + (abstract ? 1 : 0));
    return needed > 0 && (size_t)needed < out_len;
}

/* Whether the path is a socket on which no server listens any more. */
static bool is_left_behind(const struct sockaddr_un *address, socklen_t len) {
    struct stat found;
    if (lstat(address->sun_path, &found) != 0 || !S_ISSOCK(found.st_mode)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    bool refused = connect(fd, (const struct sockaddr *)address, len) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return refused;
}

/* Binds, a second time where the file was left behind. Returns false with errno. */
static bool bind_anew(int fd, const struct sockaddr_un *address, socklen_t len) {
    if (bind(fd, (const struct sockaddr *)address, len) == 0) {
        return true;
    }
    if (errno != EADDRINUSE || address->sun_path[0] == '\0') {
        return false;
    }
    if (!is_left_behind(address, len) || unlink(address->sun_path) != 0) {
        errno = EADDRINUSE;
        return false;
    }
    return bind(fd, (const struct sockaddr *)address, len) == 0;
}

/* umask may have taken bits away that the mode has. They are added when the file is there. */
static bool note_file(const struct sockaddr_un *address, int mode, tlsl_local_file *out) {
    struct stat found;
    if (address->sun_path[0] == '\0') {
        return true;
    }
    if ((mode >= 0 && chmod(address->sun_path, (mode_t)mode) != 0) ||
        lstat(address->sun_path, &found) != 0) {
        return false;
    }
    memcpy(out->path, address->sun_path, sizeof out->path);
    out->device = found.st_dev;
    out->inode = found.st_ino;
    return true;
}

static bool open_at(int fd, const struct sockaddr_un *address, socklen_t len, int mode, int backlog,
                    tlsl_local_file *out_file) {
    if ((mode >= 0 && fchmod(fd, (mode_t)mode) != 0) || !bind_anew(fd, address, len)) {
        return false;
    }
    if (note_file(address, mode, out_file) && listen(fd, backlog) == 0) {
        return true;
    }
    int kept = errno;
    tlsl_local_remove(out_file);
    errno = kept;
    return false;
}

int tlsl_local_listen(const char *text, int mode, int backlog, tlsl_local_file *out_file,
                      tlslife_error *err) {
    struct sockaddr_un address;
    socklen_t len = 0;
    *out_file = (tlsl_local_file){.path = ""};
    if (tlsl_local_address(text, &address, &len, err) != TLSLIFE_OK) {
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && open_at(fd, &address, len, mode, backlog, out_file)) {
        return fd;
    }
    (void)tlsl_fail_system(err, errno, "cannot listen on %s", text);
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

void tlsl_local_remove(const tlsl_local_file *file) {
    struct stat found;
    if (file->path[0] != '\0' && lstat(file->path, &found) == 0 && found.st_dev == file->device &&
        found.st_ino == file->inode) {
        (void)unlink(file->path);
    }
}
