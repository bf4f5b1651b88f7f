/*
 * main.c: is the main function of the program tlslife, which is lua with the module inside. Its
 * options, the table arg, LUA_INIT, exit codes and messages are those of lua 5.4, so any script for
 * lua runs unchanged. What it has beyond lua's are commands (command.c).
 */
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program/call.h"
#include "program/command.h"
#include "program/heap.h"
#include "program/keylog.h"
#include "program/options.h"
#include "program/prompt.h"
#include "program/script.h"
#include "program/state.h"
#include "program/threads.h"
#include "tlslife.h"

static void print_help(FILE *out, const char *name) {
    fprintf(out,
            "usage: %s [options] [script [args]]\n"
            "Options, as lua's:\n"
            "  -e stat   run the string 'stat'\n"
            "  -l mod    require 'mod' into global 'mod'\n"
            "  -l g=mod  require 'mod' into global 'g'\n"
            "  -i        after that, and the script, ask for more (with the module as 'tls')\n"
            "  -v        show the versions of tlslife, OpenSSL and Lua\n"
            "  -E        ignore the environment (LUA_INIT, LUA_PATH, LUA_CPATH)\n"
            "  -W        turn warnings on\n"
            "  --help    show this\n"
            "  --        end of options\n"
            "  -         end of options, run stdin\n"
            "Commands, each with a --help of its own:\n",
            name);
    program_print_commands(out, name);
}

static void print_usage(const char *name, const char *bad_option) {
    bool lacks = bad_option[1] == 'e' || bad_option[1] == 'l';
    fprintf(stderr, lacks ? "%s: '%s' needs argument\n" : "%s: unrecognized option '%s'\n", name,
            bad_option);
    print_help(stderr, name);
}

static void print_version(void) {
    printf("tlslife %s, %s, %s\n", TLSLIFE_VERSION, tlslife_openssl_version(), LUA_COPYRIGHT);
    fflush(stdout);
}

/*
 * Reads one option, and returns false if it is bad. *i advances if the option's argument is a word
 * of its own.
 */
static bool parse_option(program_options *out, char **argv, int *i) {
    const char *option = argv[*i];
    if (option[1] == 'e' || option[1] == 'l') {
        out->executes |= option[1] == 'e';
        if (option[2] != '\0') {
            return true;
        }
        const char *argument = argv[*i + 1];
        if (argument == NULL || argument[0] == '-') {
            return false;
        }
        (*i)++;
        return true;
    }
    switch (option[1]) {
    case 'i': out->interactive = out->version = true; break;
    case 'v': out->version = true; break;
    case 'E': out->no_env = true; break;
    case 'W': break;
    default: return false;
    }
    return option[2] == '\0';
}

static program_options parse_options(int argc, char **argv) {
    program_options found = {
        .argc = argc, .argv = argv, .preload_threads = program_preload_threads};
    int i = 1;
    found.command = argc > 1 ? program_command_named(argv[1]) : NULL;
    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (strcmp(argv[i], "--help") == 0) {
            found.help = true;
            break;
        }
        int at = i;
        if (!parse_option(&found, argv, &i)) {
            found.bad = true;
            i = at;
            break;
        }
    }
    found.script = i < argc ? i : argc;
    return found;
}

static void run_stdin(lua_State *L) {
    if (isatty(STDIN_FILENO)) {
        print_version();
        program_prompt(L);
    } else {
        program_run_input(L);
    }
}

/* The protected part of main. Its argument is the options, its result whether all went well. */
static int run(lua_State *L) {
    const program_options *given = lua_touserdata(L, 1);
    if (given->bad) {
        print_usage(given->argv[0], given->argv[given->script]);
        return 0;
    }
    if (given->help) {
        print_help(stdout, given->argv[0]);
        lua_pushboolean(L, 1);
        return 1;
    }
    if (given->version) {
        print_version();
    }
    program_find_keylog(given);
    program_open(L, given);
    if (!program_run_words(L, given)) {
        return 0;
    }
    if (given->interactive) {
        program_prompt(L);
    } else if (given->script == given->argc && !given->executes && !given->version) {
        run_stdin(L);
    }
    lua_pushboolean(L, 1);
    return 1;
}

int main(int argc, char **argv) {
    static program_options given; /* static, since threads read it until the process ends */
    given = parse_options(argc, argv);
#ifndef PROGRAM_BY_MALLOC
    (void)tlslife_keep_memory(); /* refused: then malloc's */
#endif
    program_set_name(argc > 0 ? argv[0] : "tlslife");
    program_take_interrupts();
    program_handle_sigpipe();
    lua_State *L = program_state_new(false);
    if (L == NULL) {
        program_complain("cannot create state: not enough memory");
        return EXIT_FAILURE;
    }
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &given);
    int status = lua_pcall(L, 1, 1, 0);
    bool good = program_report(L, status) == LUA_OK && lua_toboolean(L, -1);
    program_state_close(L);
    program_close_keylog();
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
