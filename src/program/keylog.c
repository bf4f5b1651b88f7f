/*
 * keylog.c: the key log that the environment variable SSLKEYLOGFILE asks for, as it does of curl
 * and of browsers, so that a capture of any script's connections can be decrypted.
 *
 * The library reads no such variable, since a program that contains it may not want that. Here the
 * user who starts the program decides. The lines give away all that is sent, so the program says
 * that it writes them. The file is held to what the option keylog demands
 * (tls/settings/keylog.c). If it is unfit, the program says so and goes on without. An attacker
 * would set the variable for a program that has more rights than its user, which ignores it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "program/call.h"
#include "program/keylog.h"
#include "program/options.h"
#include "tlslife.h"
#include "tlslife_lua.h"

static const char *path; /* NULL: none; read by threads, and never changed after the beginning */
/* Keeps the file open, so that the reader of a FIFO sees no end of it between two connections. */
static tlslife_context *keeper;

static bool keep_open(const char *file, tlslife_error *err) {
    keeper = tlslife_context_new(TLSLIFE_CLIENT, err);
    return keeper != NULL && tlslife_context_set_keylog(keeper, file, err) == TLSLIFE_OK;
}

void program_find_keylog(const program_options *given) {
    const char *file = given->no_env ? NULL : secure_getenv("SSLKEYLOGFILE");
    tlslife_error err;
    char line[sizeof err.message + 64];
    if (file == NULL || file[0] == '\0') {
        return;
    }
    if (keep_open(file, &err)) {
        path = file;
        (void)snprintf(line, sizeof line, "SSLKEYLOGFILE: the keys of connections go to %.400s",
                       file);
    } else {
        (void)snprintf(line, sizeof line, "SSLKEYLOGFILE is not used: %s", err.message);
    }
    program_complain(line);
}

void program_close_keylog(void) {
    tlslife_context_free(keeper);
    keeper = NULL;
}

void program_log_keys(lua_State *L) {
    if (path != NULL) {
        tlslife_lua_set_keylog(L, path);
    }
}
