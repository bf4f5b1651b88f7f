/*
 * state.c: a Lua state as lua itself has it (panic, warnings), with a heap of its own.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/call.h"
#include "program/heap.h"
#include "program/state.h"

typedef struct program_state {
    program_heap *heap; /* NULL: malloc's */
    bool wipes;         /* what Lua frees */
    bool warns;         /* since "@on" */
    bool within;        /* a warning that comes in pieces */
} program_state;

static void *resize_kept(program_state *self, void *old, size_t before, size_t after) {
    if (self->heap != NULL) {
        return program_heap_resize(self->heap, old, before, after);
    }
    if (after == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, after);
}

/* lua_Alloc. What is wiped never grows in its place, since realloc could leave it elsewhere. */
static void *resize(void *ud, void *old, size_t before, size_t after) {
    program_state *self = ud;
    if (old == NULL || !self->wipes) {
        return resize_kept(self, old, before, after);
    }
    void *taken = after == 0 ? NULL : resize_kept(self, NULL, 0, after);
    if (after > 0 && taken == NULL) {
        return NULL;
    }
    if (taken != NULL) {
        memcpy(taken, old, before < after ? before : after);
    }
    explicit_bzero(old, before);
    (void)resize_kept(self, old, before, 0);
    return taken;
}

/* A state without pcall around it: lua ends here, too. */
static int panic(lua_State *L) {
    const char *message = lua_tostring(L, -1);
    program_complain("an error that nothing catches:");
    program_complain(message != NULL ? message : "it has no text");
    return 0;
}

/* lua_WarnFunction, as the manual's `warn` describes it. */
static void warn(void *ud, const char *message, int continues) {
    program_state *self = ud;
    if (!self->within && !continues && message[0] == '@') {
        self->warns = strcmp(message, "@on") == 0 || (self->warns && strcmp(message, "@off") != 0);
        return;
    }
    if (self->warns) {
        fprintf(stderr, "%s%s%s", self->within ? "" : "Lua warning: ", message,
                continues ? "" : "\n");
    }
    self->within = continues != 0;
}

static void state_free(program_state *self) {
    program_heap_free(self->heap);
    free(self);
}

lua_State *program_state_new(bool wipes) {
    program_state *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->wipes = wipes;
#ifndef PROGRAM_BY_MALLOC
    self->heap = program_heap_new(); /* NULL: then without */
#endif
#if LUA_VERSION_NUM >= 505
    lua_State *L = lua_newstate(resize, self, luaL_makeseed(NULL));
#else
    lua_State *L = lua_newstate(resize, self);
#endif
    if (L == NULL) {
        state_free(self);
        return NULL;
    }
    lua_atpanic(L, panic);
    lua_setwarnf(L, warn, self);
    return L;
}

void program_state_close(lua_State *L) {
    void *self;
    lua_getallocf(L, &self);
    lua_close(L);
    state_free(self);
}
