/*
 * main.c: the program `tlslife`: lua with the module inside. Its options, the table `arg`, LUA_INIT, exit codes
 * and messages are those of lua 5.4, so that a script can be moved from one to the other without a thought.
 */
#include "host.h"

#include "tlslife.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct options {
    int script;       /* index in argv of the script; argc: there is none */
    bool bad;         /* argv[script] is an option that we do not know, or that lacks its argument */
    bool interactive; /* -i */
    bool version;     /* -v */
    bool no_env;      /* -E */
    bool executes;    /* -e */
} options;

static void print_usage(const char *name, const char *bad_option) {
    bool lacks = bad_option[1] == 'e' || bad_option[1] == 'l';
    fprintf(stderr, lacks ? "%s: '%s' needs argument\n" : "%s: unrecognized option '%s'\n", name, bad_option);
    fprintf(stderr,
            "usage: %s [options] [script [args]]\n"
            "Options, as lua's:\n"
            "  -e stat   run the string 'stat'\n"
            "  -l mod    require 'mod' into global 'mod'\n"
            "  -l g=mod  require 'mod' into global 'g'\n"
            "  -i        after that, and the script, ask for more (with the module as 'tls')\n"
            "  -v        show the versions of tlslife, OpenSSL and Lua\n"
            "  -E        ignore the environment (LUA_INIT, LUA_PATH, LUA_CPATH)\n"
            "  -W        turn warnings on\n"
            "  --        end of options\n"
            "  -         end of options, run stdin\n",
            name);
}

static void print_version(void) {
    printf("tlslife %s, %s, %s\n", TLSLIFE_VERSION, tlslife_openssl_version(), LUA_COPYRIGHT);
    fflush(stdout);
}

/* One option; false: a bad one. *i goes on to its argument where that stands apart. */
static bool parse_option(options *out, char **argv, int *i) {
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

static options parse_options(int argc, char **argv) {
    options found = {0};
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
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

/* arg: the script at 0, its arguments from 1, what came before below. Without a script the program is at 0. */
static void set_arg(lua_State *L, int argc, char **argv, int script) {
    int zero = script < argc ? script : 0;
    lua_createtable(L, argc - zero, zero);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - zero);
    }
    lua_setglobal(L, "arg");
}

static int run_chunk(lua_State *L, int status) {
    if (status == LUA_OK) {
        status = host_call(L, 0, 0);
    }
    return host_report(L, status);
}

static int run_string(lua_State *L, const char *text, const char *chunk_name) {
    return run_chunk(L, luaL_loadbuffer(L, text, strlen(text), chunk_name));
}

/* LUA_INIT: a string to run, or "@" and a file. */
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

/* -l: "mod", "global=mod"; of "mod-v2" the global is "mod". */
static int run_require(lua_State *L, const char *argument) {
    const char *equals = strchr(argument, '=');
    const char *module = equals != NULL ? equals + 1 : argument;
    size_t name_len = equals != NULL ? (size_t)(equals - argument) : strcspn(argument, "-");
    lua_pushlstring(L, argument, name_len);
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    int status = host_call(L, 1, 1);
    if (status == LUA_OK) {
        lua_pushglobaltable(L);
        lua_insert(L, -3);
        lua_rawset(L, -3);
    }
    return host_report(L, status);
}

/* -e, -l and -W in the order in which they stand. */
static int run_options(lua_State *L, char **argv, int end) {
    for (int i = 1; i < end; i++) {
        char option = argv[i][1];
        if (option == 'W') {
            lua_warning(L, "@on", 0);
        } else if (option == 'e' || option == 'l') {
            const char *argument = argv[i][2] != '\0' ? argv[i] + 2 : argv[++i];
            int status =
                option == 'e' ? run_string(L, argument, "=(command line)") : run_require(L, argument);
            if (status != LUA_OK) {
                return status;
            }
        }
    }
    return LUA_OK;
}

static int push_script_arguments(lua_State *L) {
    if (lua_getglobal(L, "arg") != LUA_TTABLE) {
        luaL_error(L, "'arg' is not a table");
    }
    int n = (int)luaL_len(L, -1);
    luaL_checkstack(L, n + 3, "too many arguments to script");
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, -i, i);
    }
    lua_remove(L, -n - 1);
    return n;
}

static int run_script(lua_State *L, char **argv, int script) {
    const char *name = argv[script];
    if (strcmp(name, "-") == 0 && strcmp(argv[script - 1], "--") != 0) {
        name = NULL; /* stdin */
    }
    int status = luaL_loadfile(L, name);
    if (status == LUA_OK) {
        int arguments = push_script_arguments(L);
        status = host_call(L, arguments, LUA_MULTRET);
    }
    return host_report(L, status);
}

static void run_stdin(lua_State *L) {
    if (isatty(STDIN_FILENO)) {
        print_version();
        host_prompt(L);
    } else {
        run_chunk(L, luaL_loadfile(L, NULL));
    }
}

static void open_libraries(lua_State *L, bool no_env) {
    if (no_env) {
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    luaL_openlibs(L);
    host_preload(L);
}

/* What main does, in protected mode: argc and argv in, whether all went well out. */
static int run(lua_State *L) {
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    options given = parse_options(argc, argv);
    if (given.bad) {
        print_usage(argv[0], argv[given.script]);
        return 0;
    }
    if (given.version) {
        print_version();
    }
    luaL_checkversion(L);
    open_libraries(L, given.no_env);
    set_arg(L, argc, argv, given.script);
    lua_gc(L, LUA_GCGEN, 0, 0); /* as lua does */
    if ((!given.no_env && run_init(L) != LUA_OK) || run_options(L, argv, given.script) != LUA_OK ||
        (given.script < argc && run_script(L, argv, given.script) != LUA_OK)) {
        return 0;
    }
    if (given.interactive) {
        host_prompt(L);
    } else if (given.script == argc && !given.executes && !given.version) {
        run_stdin(L);
    }
    lua_pushboolean(L, 1);
    return 1;
}

int main(int argc, char **argv) {
    host_set_name(argc > 0 ? argv[0] : "tlslife");
    host_handle_sigpipe();
    lua_State *L = luaL_newstate();
    if (L == NULL) {
        host_complain("cannot create state: not enough memory");
        return EXIT_FAILURE;
    }
    lua_pushcfunction(L, run);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    int status = lua_pcall(L, 2, 1, 0);
    bool good = host_report(L, status) == LUA_OK && lua_toboolean(L, -1);
    lua_close(L);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
