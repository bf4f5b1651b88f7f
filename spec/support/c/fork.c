/*
 * fork.c: fork() for scripts. require "fork"() returns true in the child. In the parent it waits
 * for the child, and returns false and the status of waitpid(2). A child that lives for ten seconds
 * is killed.
 */
#include <lauxlib.h>
#include <lua.h>
#include <sys/wait.h>
#include <unistd.h>

static int fork_and_wait(lua_State *L) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(10);
    } else if (child < 0 || waitpid(child, &status, 0) != child) {
        return luaL_error(L, "fork: no child");
    }
    lua_pushboolean(L, child == 0);
    lua_pushinteger(L, status);
    return 2;
}

int luaopen_fork(lua_State *L);
__attribute__((visibility("default"))) int luaopen_fork(lua_State *L) {
    lua_pushcfunction(L, fork_and_wait);
    return 1;
}
