/*
 * local.h: names of Unix sockets as text, and listening on one. local.c.
 */
#ifndef TLSLIFE_LOCAL_H
#define TLSLIFE_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "tlslife.h"

/* Whether text names a Unix socket: "unix:/path", or "unix:@name" for an abstract one. */
bool tlsl_is_local(const char *text);
/* The address of such a name. USAGE if the name is empty or too long. */
tlslife_status tlsl_local_address(const char *text, struct sockaddr_un *out, socklen_t *out_len,
                                  tlslife_error *err);

/* Writes such an address as its name. false if it has none, or out is too small. */
bool tlsl_local_text(const struct sockaddr_un *address, socklen_t address_len, char *out,
                     size_t out_len);

/* The file of a listening Unix socket, by which it is known again. */
typedef struct tlsl_local_file {
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path]; /* "" if it has no file */
    dev_t device;
    ino_t inode;
} tlsl_local_file;

/*
 * Listens on such a name, without waiting. The file gets the mode (0 to 0777), or for -1 what
 * umask(2) leaves. A file that a server left which has ended is replaced. Returns the descriptor,
 * or -1: USAGE or SYSTEM.
 */
int tlsl_local_listen(const char *text, int mode, int backlog, tlsl_local_file *out_file,
                      tlslife_error *err);
/* Removes the file, unless another one has its name by now. */
void tlsl_local_remove(const tlsl_local_file *file);

#endif
