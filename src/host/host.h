/*
 * host.h: what the files of the program know of each other. Nothing here is public; the program is
 * a user of the public headers as any other is.
 */
#ifndef TLSLIFE_HOST_H
#define TLSLIFE_HOST_H

#include <lauxlib.h>
#include <lua.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "tlslife.h"

/*
 * AddressSanitizer knows malloc's blocks alone: in its build nothing is kept for the next who wants
 * it.
 */
#if defined(__SANITIZE_ADDRESS__)
#define HOST_BY_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOST_BY_MALLOC 1
#endif
#endif

/* What the command line asks for. It outlives main(): threads read it while the process ends. */
typedef struct host_options {
    int argc;
    char **argv;
    int script;       /* index in argv of the script; argc: there is none */
    bool bad;         /* argv[script] is an option that we do not know, or that lacks its argument */
    bool help;        /* --help */
    bool interactive; /* -i */
    bool version;     /* -v */
    bool no_env;      /* -E */
    bool executes;    /* -e */
} host_options;

/* -- call.c. Each takes the program's name for messages from where host_name_set put it. */

void host_set_name(const char *name);      /* what messages begin with; NULL: nothing */
void host_complain(const char *message);   /* a line to stderr */
int host_report(lua_State *L, int status); /* says and pops the error if status is one; returns status */
void host_take_interrupts(void);           /* the calling thread is the one that Ctrl-C is for */
/*
 * lua_pcall with a traceback and, in the thread that takes interrupts, Ctrl-C raising an error in
 * what runs.
 */
int host_call(lua_State *L, int arguments, int results);
void host_handle_sigpipe(void);

/* -- embedded.c */

void host_preload(lua_State *L); /* the module and its Lua files, in package.preload */

/* -- prompt.c */

void host_prompt(lua_State *L); /* reads, runs and prints lines until the end of stdin */

/* -- script.c */

bool host_has_script(const host_options *given);              /* a file: not stdin, not nothing */
void host_open(lua_State *L, const host_options *given);      /* libraries, module, arg, collector */
bool host_run_words(lua_State *L, const host_options *given); /* LUA_INIT, options, script: all went well? */
int host_run_input(lua_State *L);                             /* runs stdin as a file; LUA_OK or not */

/* -- state.c */

lua_State *host_state_new(void); /* NULL: out of memory */
void host_state_close(lua_State *L);

/* -- worker.c */

/* What a thread is given, and what becomes of it. */
typedef struct host_worker {
    const host_options *given;
    lua_Integer index;
    int control;
    struct stat socket; /* what control is */
    int *listeners;     /* descriptors; -1: the state's by now */
    size_t listeners_len;
    tlslife_cache *cache;             /* or NULL; counted */
    tlslife_ticket_keys *ticket_keys; /* or NULL; counted */
    int status;                       /* as a process's */

    tlslife_listener *pushing; /* on its way into the state */
    bool ending;               /* the state is being closed, which is done once */
    jmp_buf end;
} host_worker;

void host_work(host_worker *self);         /* runs the script, sets status, closes all that was given */
void host_worker_clear(host_worker *self); /* gives up what it was given, but for control */

/* -- threads.c */

void host_preload_threads(lua_State *L, const host_options *given); /* tlslife.host, in package.preload */

#endif
