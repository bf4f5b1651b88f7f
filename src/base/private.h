/*
 * private.h: files that nobody but our own user may read or write, for the core and the stores
 * alike. private.c.
 */
#ifndef TLSLIFE_PRIVATE_H
#define TLSLIFE_PRIVATE_H

#include <sys/stat.h>

/*
 * As open(2), but close-on-exec, through no symbolic link (ELOOP), and without waiting for the
 * other end of a FIFO (ENXIO where nobody reads it). What O_CREAT makes has the mode 0600 at most.
 */
int tlsl_private_open(const char *path, int flags);
/*
 * Of a file that O_CREAT | O_EXCL has just made, or -1: gives it the mode 0600 whatever the umask
 * is. One that takes from the owner would shut out the next process, which is ours. Returns fd, or
 * -1 with errno and fd closed.
 */
int tlsl_private_born(int fd);
/* Why others may read or change an open file, as half a sentence; NULL: they may not. */
const char *tlsl_private_fault(const struct stat *about);

#endif
