/*
 * program.h: declares what the files of the program tlslife share. Nothing here is public. The
 * program uses the public headers alone, as any other program does.
 */
#ifndef TLSLIFE_PROGRAM_H
#define TLSLIFE_PROGRAM_H

#include <lauxlib.h>
#include <lua.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tlslife.h"

/*
 * AddressSanitizer knows malloc's blocks alone. So in its build every block is malloc's, and none
 * is kept for a later allocation.
 */
#if defined(__SANITIZE_ADDRESS__)
#define PROGRAM_BY_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PROGRAM_BY_MALLOC 1
#endif
#endif

/* A command of the program, such as `tlslife trace`: command.c. */
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
    int script;       /* index in argv of the script or the command; argc if there is none */
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

/* -- call.c. Messages begin with the name that program_set_name was given. */

void program_set_name(const char *name);    /* with which messages begin; NULL for none */
void program_complain(const char *message); /* writes a line to stderr */
/* If status is an error, prints and pops it. Returns status. */
int program_report(lua_State *L, int status);
void program_take_interrupts(void); /* makes SIGINT interrupt the calling thread */
/*
 * lua_pcall with a traceback. In the thread that takes interrupts, Ctrl-C raises an error in the
 * code that runs.
 */
int program_call(lua_State *L, int arguments, int results);
void program_handle_sigpipe(void);

/* -- command.c */

const program_command *program_command_named(const char *name); /* NULL: there is none */
void program_print_commands(FILE *out, const char *name);    /* their part of the usage */
/* Runs given->command and returns whether it went well. */
bool program_run_command(lua_State *L, const program_options *given);

/* -- embedded.c */

void program_preload(lua_State *L); /* puts the module and its Lua files into package.preload */

/* -- keylog.c */

/* Looks at SSLKEYLOGFILE, once, in the first thread. */
void program_find_keylog(const program_options *given);
void program_close_keylog(void); /* when the main state is closed */
/* Has the contexts of this state log their keys, if SSLKEYLOGFILE asks for it. May raise. */
void program_log_keys(lua_State *L);

/* -- prompt.c */

void program_prompt(lua_State *L); /* reads, runs and prints lines until the end of stdin */

/* -- script.c */

/* Whether there is a command, or a script that is a file. */
bool program_has_script(const program_options *given);
/* Opens the libraries and the module, and sets arg and the collector. */
void program_open(lua_State *L, const program_options *given);
/*
 * Runs LUA_INIT, the options and the script or the command. Returns whether all of them went well.
 */
bool program_run_words(lua_State *L, const program_options *given);
/* Runs stdin as a file and returns a Lua status. */
int program_run_input(lua_State *L);

/* -- state.c */

lua_State *program_state_new(void); /* NULL: out of memory */
void program_state_close(lua_State *L);

/* -- worker.c */

/* What a thread is given, and its exit status. */
typedef struct program_worker {
    const program_options *given;
    lua_Integer index;
    int control;
    struct stat socket; /* the file that control refers to */
    int *listeners;     /* descriptors; -1 after the state has taken one over */
    size_t listeners_len;
    tlslife_cache *cache;             /* or NULL; a reference */
    tlslife_ticket_keys *ticket_keys; /* or NULL; a reference */
    int status;                       /* exit status, as a process's */

    tlslife_listener *pushing; /* the listener that is being pushed into the state */
    bool ending;               /* the state is being closed, which is done only once */
    jmp_buf end;
} program_worker;

/* Runs the script, sets status and closes everything that the thread was given. */
void program_work(program_worker *self);
void program_worker_clear(program_worker *self); /* frees what it was given, except control */

/* -- writer.c */

/* Adds trace_writer to the module "tlslife.host", which is at the top. */
void program_add_writer(lua_State *L);
/* Has every writer of this process write what is left. For the end of the process. */
void program_end_writers(void);

/* -- threads.c */

/* Puts tlslife.host into package.preload. */
void program_preload_threads(lua_State *L, const program_options *options);

#endif
