/*
 * command.c: lists and runs the commands of the program tlslife, such as `tlslife trace`.
 *
 * A command is a Lua file, lua/tlslife/command/NAME.lua, which is inside the program and returns a
 * function. The function gets the words after the command's name. It returns true, or false after
 * it has said on stderr what went wrong; it calls os.exit for another exit code.
 *
 * Only the first word of the command line names a command. So a script with the name of a command
 * is run by its path (`tlslife ./trace`) or after an option (`tlslife -- trace`), and lua's other
 * command lines mean what they mean to lua.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "program/call.h"
#include "program/command.h"
#include "program/options.h"

static const program_command commands[] = {
    {"probe", "[options] HOST[:PORT]...", "say whether sessions resume at every address of a name"},
    {"serve", "[options] [DIR]", "serve files or an echo over TLS, to test clients against"},
    {"trace", "[options] script [args]", "run a script, and show the life of its connections"},
    {NULL, NULL, NULL},
};

const program_command *program_command_named(const char *name) {
    for (const program_command *one = commands; one->name != NULL; one++) {
        if (strcmp(one->name, name) == 0) {
            return one;
        }
    }
    return NULL;
}

void program_print_commands(FILE *out, const char *name) {
    for (const program_command *one = commands; one->name != NULL; one++) {
        fprintf(out, "       %s %s %s\n                 %s\n", name, one->name, one->words,
                one->purpose);
    }
}

bool program_run_command(lua_State *L, const program_options *given) {
    int words = given->argc - given->script - 1;
    lua_getglobal(L, "require");
    lua_pushfstring(L, "tlslife.command.%s", given->command->name);
    if (program_report(L, program_call(L, 1, 1)) != LUA_OK) {
        return false;
    }
    luaL_checkstack(L, words + 1, "too many arguments to a command");
    for (int i = 1; i <= words; i++) {
        lua_pushstring(L, given->argv[given->script + i]);
    }
    if (program_report(L, program_call(L, words, 1)) != LUA_OK) {
        return false;
    }
    bool good = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return good;
}
