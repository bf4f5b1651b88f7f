/*
 * private.h: opens files that only this process's user may read or write. private.c.
 */
#ifndef TLSLIFE_PRIVATE_H
#define TLSLIFE_PRIVATE_H

#include <sys/stat.h>

/*
 * As open(2), but close-on-exec, without following a symbolic link (ELOOP), and without waiting for
 * the other end of a FIFO (ENXIO if no process reads it). A file that O_CREAT makes has the mode
 * 0600, less the umask.
 */
int tlsl_private_open(const char *path, int flags);
/*
 * Gives a file that O_CREAT | O_EXCL has just made the mode 0600 whatever the umask is. A umask
 * that takes rights from the owner would keep our own next process out. Returns fd, or -1 with
 * errno set and fd closed. An fd of -1 is returned as it is.
 */
int tlsl_private_created(int fd);
/* Why other users may read or change an open file, as half a sentence; NULL if they may not. */
const char *tlsl_private_fault(const struct stat *about);

#endif
