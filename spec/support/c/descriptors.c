/*
 * descriptors.c: gives scripts the system calls that make descriptors. require "descriptors" gives
 * a table of
 *   pair()         returns both ends of a stream socket
 *   pipe()         returns the end to read from and the end to write to
 *   duplicate(fd)  returns another descriptor of the same file
 *   hang_up(fd)    ends both directions of a socket; returns whether that worked
 *   close(fd)      returns whether that worked
 *   sockets()      returns how many descriptors of this process are sockets
 * The first three raise on failure. The descriptors that they make have close-on-exec.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int two(lua_State *L, int failed, const int fds[2]) {
    if (failed) {
        return luaL_error(L, "descriptors: no more can be made: %s", strerror(errno));
    }
    lua_pushinteger(L, fds[0]);
    lua_pushinteger(L, fds[1]);
    return 2;
}

static int pair(lua_State *L) {
    int fds[2];
    int failed = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    return two(L, failed, fds);
}

static int make_pipe(lua_State *L) {
    int fds[2];
    int failed = pipe2(fds, O_CLOEXEC);
    return two(L, failed, fds);
}

static int duplicate(lua_State *L) {
    int fd = fcntl((int)luaL_checkinteger(L, 1), F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        return luaL_error(L, "descriptors: %d cannot be duplicated: %s",
                          (int)luaL_checkinteger(L, 1), strerror(errno));
    }
    lua_pushinteger(L, fd);
    return 1;
}

static int hang_up(lua_State *L) {
    lua_pushboolean(L, shutdown((int)luaL_checkinteger(L, 1), SHUT_RDWR) == 0);
    return 1;
}

static int close_one(lua_State *L) {
    lua_pushboolean(L, close((int)luaL_checkinteger(L, 1)) == 0);
    return 1;
}

static int sockets(lua_State *L) {
    DIR *all = opendir("/proc/self/fd");
    if (all == NULL) {
        return luaL_error(L, "descriptors: the system does not tell");
    }
    lua_Integer count = 0;
    for (struct dirent *one = readdir(all); one != NULL; one = readdir(all)) {
        struct stat what;
        if (one->d_name[0] != '.' && fstat((int)strtol(one->d_name, NULL, 10), &what) == 0 &&
            S_ISSOCK(what.st_mode)) {
            count++;
        }
    }
    (void)closedir(all);
    lua_pushinteger(L, count);
    return 1;
}

int luaopen_descriptors(lua_State *L);
__attribute__((visibility("default"))) int luaopen_descriptors(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"pair", pair},       {"pipe", make_pipe},  {"duplicate", duplicate},
        {"hang_up", hang_up}, {"close", close_one}, {"sockets", sockets},
        {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
