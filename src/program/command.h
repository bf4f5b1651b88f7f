/*
 * command.h: the commands of the program. command.c.
 */
#ifndef TLSLIFE_PROGRAM_COMMAND_H
#define TLSLIFE_PROGRAM_COMMAND_H

#include <lua.h>
#include <stdbool.h>
#include <stdio.h>

#include "program/options.h"

const program_command *program_command_named(const char *name); /* NULL: there is none */
void program_print_commands(FILE *out, const char *name);       /* their part of the usage */
/* Runs given->command and returns whether it went well. */
bool program_run_command(lua_State *L, const program_options *given);

#endif
