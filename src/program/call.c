/*
 * call.c: calls Lua from the program tlslife, with a traceback for errors, and with Ctrl-C as an
 * error in the script.
 *
 * A signal's handler may not touch Lua, except to set a hook. The handler of SIGINT sets one, which
 * raises "interrupted!" at the next instruction. A call that waits in C (a read, a handshake) ends
 * first. A second Ctrl-C ends the process, because the first one restores the default action.
 *
 * A peer that closes its connection must not kill a server. libtlslife raises no SIGPIPE, but a
 * script also writes through other modules, so the program tlslife handles the signal. It does not
 * ignore it: child processes would inherit that, and `tlslife script | head` would run on without a
 * reader. So if stdout has lost its reader, the process dies of the signal, as lua does.
 *
 * The threads of threads.c get no signals except those that they cause themselves, such as SIGPIPE.
 * Ctrl-C interrupts the main thread.
 */
#include <lauxlib.h>
#include <lua.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "program/call.h"

/* Atomic, since the prompt sets it to NULL while threads may use it. */
static const char *_Atomic program_name;
static _Thread_local bool interruptible;
static lua_State *running; /* the state that Ctrl-C interrupts */

void program_set_name(const char *name) {
    program_name = name;
}

/* The line is written by one call, since other threads may write messages, too. */
void program_complain(const char *message) {
    const char *name = program_name;
    fflush(stdout);
    fprintf(stderr, "%s%s%s\n", name != NULL ? name : "", name != NULL ? ": " : "", message);
    fflush(stderr);
}

int program_report(lua_State *L, int status) {
    if (status != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        program_complain(message != NULL ? message : "(error message not a string)");
        lua_pop(L, 1);
    }
    return status;
}

static void handle(int signal_number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

static void interrupt(lua_State *L, lua_Debug *activation) {
    (void)activation;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

static void on_sigint(int signal_number) {
    handle(signal_number, SIG_DFL);
    lua_sethook(running, interrupt, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void on_sigpipe(int signal_number) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0) {
        handle(signal_number, SIG_DFL);
        raise(signal_number);
    }
}

void program_take_interrupts(void) {
    interruptible = true;
}

void program_handle_sigpipe(void) {
    handle(SIGPIPE, on_sigpipe);
}

/*
 * Turns the error into a text. That is the message with a traceback, or what __tostring returns if
 * the error is not a string.
 */
static int add_traceback(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    if (message == NULL) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) {
            return 1;
        }
        message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    }
    luaL_traceback(L, L, message, 1);
    return 1;
}

static int interruptible_call(lua_State *L, int arguments, int results, int handler) {
    running = L;
    handle(SIGINT, on_sigint);
    int status = lua_pcall(L, arguments, results, handler);
    handle(SIGINT, SIG_DFL);
    return status;
}

int program_call(lua_State *L, int arguments, int results) {
    int handler = lua_gettop(L) - arguments;
    lua_pushcfunction(L, add_traceback);
    lua_insert(L, handler);
    int status = interruptible ? interruptible_call(L, arguments, results, handler)
                               : lua_pcall(L, arguments, results, handler);
    lua_remove(L, handler);
    return status;
}
