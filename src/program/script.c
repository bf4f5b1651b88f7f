/*
 * script.c: prepares a Lua state as lua does, and runs what the command line asks for in it. Both
 * happen in the main thread, and again in each thread that the program tlslife starts (threads.c).
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "program/call.h"
#include "program/command.h"
#include "program/embedded.h"
#include "program/keylog.h"
#include "program/options.h"
#include "program/script.h"

/*
 * Sets the global arg: the script is at 0, its arguments from 1, the words before it below 0.
 * Without a script the program's name is at 0.
 */
static void set_arg(lua_State *L, const program_options *given) {
    int zero = given->script < given->argc ? given->script : 0;
    lua_createtable(L, given->argc - zero, zero);
    for (int i = 0; i < given->argc; i++) {
        lua_pushstring(L, given->argv[i]);
        lua_rawseti(L, -2, i - zero);
    }
    lua_setglobal(L, "arg");
}

void program_open(lua_State *L, const program_options *given) {
    luaL_checkversion(L);
    if (given->no_env) {
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    luaL_openlibs(L);
    program_preload(L);
    given->preload_threads(L, given);
    program_log_keys(L);
    set_arg(L, given);
    lua_gc(L, LUA_GCGEN, 0, 0); /* as lua does */
}

static int run_chunk(lua_State *L, int status) {
    if (status == LUA_OK) {
        status = program_call(L, 0, 0);
    }
    return program_report(L, status);
}

static int run_string(lua_State *L, const char *text, const char *chunk_name) {
    return run_chunk(L, luaL_loadbuffer(L, text, strlen(text), chunk_name));
}

/* Runs LUA_INIT, which is a string to run, or "@" and a file's name. */
static int run_init(lua_State *L) {
    const char *name = "LUA_INIT" LUA_VERSUFFIX;
    const char *init = getenv(name);
    if (init == NULL) {
        name = "LUA_INIT";
        init = getenv(name);
    }
    if (init == NULL) {
        return LUA_OK;
    }
    if (init[0] == '@') {
        return run_chunk(L, luaL_loadfile(L, init + 1));
    }
    return run_string(L, init, lua_pushfstring(L, "=%s", name));
}

/* Runs -l with "mod" or "global=mod". The global of "mod-v2" is "mod". */
static int run_require(lua_State *L, const char *argument) {
    const char *equals = strchr(argument, '=');
    const char *module = equals != NULL ? equals + 1 : argument;
    size_t name_len = equals != NULL ? (size_t)(equals - argument) : strcspn(argument, "-");
    lua_pushlstring(L, argument, name_len);
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    int status = program_call(L, 1, 1);
    if (status == LUA_OK) {
        lua_pushglobaltable(L);
        lua_insert(L, -3);
        lua_rawset(L, -3);
    }
    return program_report(L, status);
}

/* Runs -e, -l and -W in the order of the command line. */
static int run_options(lua_State *L, char **argv, int end) {
    for (int i = 1; i < end; i++) {
        char option = argv[i][1];
        if (option == 'W') {
            lua_warning(L, "@on", 0);
        } else if (option == 'e' || option == 'l') {
            const char *argument = argv[i][2] != '\0' ? argv[i] + 2 : argv[++i];
            int status = option == 'e' ? run_string(L, argument, "=(command line)")
                                       : run_require(L, argument);
            if (status != LUA_OK) {
                return status;
            }
        }
    }
    return LUA_OK;
}

#define ARGUMENTS_MAX 1000000 /* more than Lua's stack holds */

static int push_script_arguments(lua_State *L) {
    if (lua_getglobal(L, "arg") != LUA_TTABLE) {
        luaL_error(L, "'arg' is not a table");
    }
    lua_Integer len = luaL_len(L, -1);
    if (len < 0 || len > ARGUMENTS_MAX) {
        luaL_error(L, "too many arguments to script: the length of 'arg' is %I", (LUAI_UACINT)len);
    }
    int n = (int)len;
    luaL_checkstack(L, n + 3, "too many arguments to script");
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, -i, i);
    }
    lua_remove(L, -n - 1);
    return n;
}

/* The script's file; NULL for stdin. */
static const char *script_file(const program_options *given) {
    const char *name = given->argv[given->script];
    bool input = strcmp(name, "-") == 0 && strcmp(given->argv[given->script - 1], "--") != 0;
    return input ? NULL : name;
}

bool program_has_script(const program_options *given) {
    return given->command != NULL || (given->script < given->argc && script_file(given) != NULL);
}

static int run_script(lua_State *L, const program_options *given) {
    int status = luaL_loadfile(L, script_file(given));
    if (status == LUA_OK) {
        int arguments = push_script_arguments(L);
        status = program_call(L, arguments, LUA_MULTRET);
    }
    return program_report(L, status);
}

bool program_run_words(lua_State *L, const program_options *given) {
    return (given->no_env || run_init(L) == LUA_OK) &&
           run_options(L, given->argv, given->script) == LUA_OK &&
           (given->command != NULL
                ? program_run_command(L, given)
                : given->script == given->argc || run_script(L, given) == LUA_OK);
}

int program_run_input(lua_State *L) {
    return run_chunk(L, luaL_loadfile(L, NULL));
}
