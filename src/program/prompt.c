/*
 * prompt.c: runs the interactive mode.
 *
 * A line is first tried as an expression, whose values are printed, and then as a statement. If
 * that is incomplete, the prompt asks for more lines. The module is there as the globals `tls` and
 * `tlslife`, since a user comes to the prompt to try it.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/call.h"
#include "program/prompt.h"

static void show_prompt(lua_State *L, bool first) {
    if (lua_getglobal(L, first ? "_PROMPT" : "_PROMPT2") == LUA_TNIL) {
        fputs(first ? "> " : ">> ", stdout);
    } else {
        fputs(luaL_tolstring(L, -1, NULL), stdout);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    fflush(stdout);
}

/*
 * Pushes a line of stdin without its newline. Returns false at the end of stdin. A first line "=x"
 * means "return x".
 */
static bool push_line(lua_State *L, bool first) {
    show_prompt(L, first);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t got = getline(&line, &capacity, stdin);
    if (got < 0) {
        free(line);
        return false;
    }
    size_t len = (size_t)got;
    if (len > 0 && line[len - 1] == '\n') {
        len--;
    }
    /* Lua 5.4 has "=x" of Lua 5.0, and Lua 5.5 no longer. */
    if (LUA_VERSION_NUM < 505 && first && len > 0 && line[0] == '=') {
        lua_pushliteral(L, "return ");
        lua_pushlstring(L, line + 1, len - 1);
        lua_concat(L, 2);
    } else {
        lua_pushlstring(L, line, len);
    }
    free(line);
    return true;
}

static int load_text(lua_State *L, int index) {
    size_t len;
    const char *text = lua_tolstring(L, index, &len);
    return luaL_loadbuffer(L, text, len, "=stdin");
}

/*
 * Loads the line at the top as an expression. Pushes the chunk if the result is LUA_OK, and nothing
 * otherwise.
 */
static int load_expression(lua_State *L) {
    lua_pushfstring(L, "return %s", lua_tostring(L, -1));
    int status = load_text(L, -1);
    lua_remove(L, -2);
    if (status != LUA_OK) {
        lua_pop(L, 1);
    }
    return status;
}

/* Whether loading failed only because the text ended too early. */
static bool is_incomplete(lua_State *L, int status) {
    static const char mark[] = "<eof>";
    size_t len;
    const char *message = lua_tolstring(L, -1, &len);
    return status == LUA_ERRSYNTAX && len >= sizeof mark - 1 &&
           strcmp(message + len - (sizeof mark - 1), mark) == 0;
}

/*
 * Loads the lines that make a statement, of which the first is at the top. Pushes the chunk or the
 * error.
 */
static int load_statement(lua_State *L) {
    for (;;) {
        int status = load_text(L, 1);
        if (!is_incomplete(L, status) || !push_line(L, false)) {
            return status;
        }
        lua_remove(L, -2); /* the error */
        lua_pushliteral(L, "\n");
        lua_insert(L, -2);
        lua_concat(L, 3);
    }
}

/* Loads what the user types next, on an empty stack. Returns -1 at the end of stdin. */
static int load_input(lua_State *L) {
    lua_settop(L, 0);
    if (!push_line(L, true)) {
        return -1;
    }
    int status = load_expression(L);
    if (status != LUA_OK) {
        status = load_statement(L);
    }
    lua_remove(L, 1); /* the text */
    return status;
}

static void print_results(lua_State *L) {
    int n = lua_gettop(L);
    if (n == 0) {
        return;
    }
    luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
    lua_getglobal(L, "print");
    lua_insert(L, 1);
    if (lua_pcall(L, n, 0, 0) != LUA_OK) {
        program_complain(lua_pushfstring(L, "error calling 'print' (%s)", lua_tostring(L, -1)));
    }
}

static int set_globals(lua_State *L) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "tlslife");
    lua_call(L, 1, 1);
    lua_pushvalue(L, -1);
    lua_setglobal(L, "tlslife");
    lua_setglobal(L, "tls");
    return 0;
}

void program_prompt(lua_State *L) {
    lua_settop(L, 0);
    lua_pushcfunction(L, set_globals);
    program_report(L, program_call(L, 0, 0));
    program_set_name(NULL);
    int status;
    while ((status = load_input(L)) != -1) {
        if (status == LUA_OK) {
            status = program_call(L, 0, LUA_MULTRET);
        }
        if (program_report(L, status) == LUA_OK) {
            print_results(L);
        }
    }
    lua_settop(L, 0);
    fputs("\n", stdout);
    fflush(stdout);
}
