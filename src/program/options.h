/*
 * options.h: what the command line asks for, which main.c reads.
 */
#ifndef TLSLIFE_PROGRAM_OPTIONS_H
#define TLSLIFE_PROGRAM_OPTIONS_H

#include <lua.h>
#include <stdbool.h>

/* A command of the program, such as `tlslife trace`. */
typedef struct program_command {
    const char *name, *words, *purpose; /* words: what follows the name, for the usage */
} program_command;

/*
 * What the command line asks for. It outlives main(), since threads read it while the process ends.
 */
typedef struct program_options program_options;
struct program_options {
    int argc;
    char **argv;
    int script; /* index in argv of the script or the command; argc if there is none */
    const program_command *command; /* or NULL */
    bool bad;         /* argv[script] is an unknown option, or one that lacks its argument */
    bool help;        /* --help */
    bool interactive; /* -i */
    bool version;     /* -v */
    bool no_env;      /* -E */
    bool executes;    /* -e */
    /*
     * Preloads tlslife.host in a state that program_open prepares. A thread prepares such a state,
     * and tlslife.host starts threads. So script.c has this pointer from main.c.
     */
    void (*preload_threads)(lua_State *L, const program_options *given);
};

#endif
