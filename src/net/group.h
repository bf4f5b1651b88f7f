/*
 * group.h: one descriptor that tells of several. group.c.
 */
#ifndef TLSLIFE_GROUP_H
#define TLSLIFE_GROUP_H

#include <stdbool.h>

/* A descriptor that is readable while one of its members is ready or has failed; -1: errno. */
int tlsl_group_new(void);
/*
 * Adds a member, which is ready when it can be read, or else written. It leaves the group when its
 * last descriptor is closed. false: errno.
 */
bool tlsl_group_add(int group, int fd, bool reading);
void tlsl_group_remove(int group, int fd);

#endif
