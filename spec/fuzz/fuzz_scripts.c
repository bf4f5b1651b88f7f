/*
 * fuzz_scripts: reads what others send to those parts of the module that are written in Lua, and
 * what a user passes to them. The first byte chooses one of the readers of readers.lua, the rest is
 * its. A reader raises where something does not hold.
 *
 * libFuzzer sees no Lua, so each line that is executed counts as a place that is reached, by a hook
 * and libFuzzer's extra counters. The floors below are those of lines: N % of the lines of a file
 * that hold more than a comment.
 *
 * It runs in the root of the tree, because the files of Lua are read from there.
 *
 * floor: lua/tlslife/trace/hello.lua 58
 * floor: lua/tlslife/trace/text.lua 21
 * floor: lua/tlslife/json.lua 54
 * floor: lua/tlslife/requests.lua 63
 * floor: lua/tlslife/testserver/files.lua 46
 * floor: lua/tlslife/testserver/options.lua 34
 * floor: lua/tlslife/probe/talk.lua 33
 * floor: lua/tlslife/probe/targets.lua 52
 * floor: lua/tlslife/probe/options.lua 29
 * floor: lua/tlslife/command/options.lua 41
 * floor: lua/tlslife/luasec/x509.lua 47
 * floor: lua/tlslife/luasec/context.lua 39
 * floor: lua/tlslife/luasec/newcontext.lua 54
 * floor: lua/tlslife/setup.lua 15
 * floor: lua/tlslife/socket.lua 21
 * floor: lua/tlslife/metrics.lua 28
 * floor: lua/tlslife/testserver/answers.lua 56
 * floor: lua/tlslife/luasec/https.lua 22
 * floor: lua/tlslife/probe/visit.lua 66
 * floor: src/lua/values/lclass.c 46
 * floor: src/values/certificate_details.c 18
 */
#include "fuzz.h"
#include "tlslife.h"
#include "tlslife_lua.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lualib.h>
#include <unistd.h>

/* ------------------------------------------------------------------- the lines that are reached */

enum { COUNTERS = 1 << 15, FILES = 64, LINES = 2048 };

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

static struct {
    char name[64];
    bool reached[LINES];
} files[FILES];
static int files_len;

static int file_of(const char *name) {
    for (int i = 0; i < files_len; i++) {
        if (strcmp(files[i].name, name) == 0) {
            return i;
        }
    }
    must(files_len < FILES);
    (void)snprintf(files[files_len].name, sizeof files[0].name, "%s", name);
    return files_len++;
}

/* The step from the line before to this one is what counts, as an edge of C does. */
static void on_line(lua_State *L, lua_Debug *at) {
    static unsigned before;
    static const char *source;
    static int file;
    (void)lua_getinfo(L, "S", at);
    if (at->source != source) { /* a string of Lua's, which lives as long as its function */
        source = at->source;
        file = file_of(at->source[0] == '@' ? at->source + 1 : "?");
    }
    int line = at->currentline;
    if (line >= 0 && line < LINES) {
        files[file].reached[line] = true;
    }
    unsigned here = (unsigned)file * 2654435761U ^ (unsigned)line * 40503U;
    counters[(here ^ before >> 1) % COUNTERS]++;
    before = here;
}

static bool has_code(const char *line) {
    line += strspn(line, " \t\n");
    return line[0] != '\0' && strncmp(line, "--", 2) != 0;
}

/* For coverage.awk. */
static void print_lines(void) {
    char line[512];
    for (int i = 0; i < files_len; i++) {
        FILE *file = fopen(files[i].name, "r");
        int reached = 0, there = 0;
        for (int n = 1; file != NULL && fgets(line, sizeof line, file) != NULL && n < LINES; n++) {
            there += has_code(line);
            reached += files[i].reached[n];
        }
        if (file != NULL && strncmp(files[i].name, "lua/", 4) == 0) {
            (void)fprintf(stderr, "COVERED_LINES: %s %d %d\n", files[i].name, reached, there);
        }
        if (file != NULL) {
            (void)fclose(file);
        }
    }
}

/* ---------------------------------------------------------------------------------- the readers */

static lua_State *new_state(void) {
    lua_State *L = luaL_newstate();
    must(L != NULL);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_tlslife_core);
    lua_setfield(L, -2, "tlslife.core");
    lua_settop(L, 0);
    if (luaL_loadfile(L, "spec/fuzz/readers.lua") != LUA_OK) {
        (void)fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    lua_pushstring(L, fuzz_certificate);
    lua_pushstring(L, fuzz_key);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
        (void)fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    return L; /* the table of readers.lua is at 1 */
}

static int with_trace(lua_State *L) {
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* One state for all inputs. What was made is collected now and then. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    static lua_State *L;
    static unsigned played;
    if (L == NULL) {
        L = new_state();
        lua_sethook(L, on_line, LUA_MASKLINE, 0);
        must(atexit(print_lines) == 0);
    }
    lua_pushcfunction(L, with_trace);
    lua_getfield(L, 1, "read");
    lua_pushlstring(L, (const char *)bytes, len);
    if (lua_pcall(L, 1, 0, 2) != LUA_OK) {
        (void)fprintf(stderr, "a reader raises: %s\n", lua_tostring(L, -1));
        abort();
    }
    lua_settop(L, 1);
    if (++played % 64 == 0) {
        lua_gc(L, LUA_GCCOLLECT);
    }
    return 0;
}

static void make_seeds(void) {
    lua_State *L = new_state();
    lua_getfield(L, 1, "seeds");
    for (lua_Integer i = 1; lua_geti(L, -1, i) == LUA_TSTRING; i++) {
        size_t len;
        char name[24];
        const char *bytes = lua_tolstring(L, -1, &len);
        (void)snprintf(name, sizeof name, "%d", (int)i);
        write_seed(name, bytes, len);
        lua_pop(L, 1);
    }
    lua_close(L);
}

/*
 * A script that reads keeps something in Lua's state. libFuzzer would take that for a leak, and
 * search for it for longer than the input takes. So leaks are looked for at the end alone.
 */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static char no_leaks[] = "-detect_leaks=0";
    static char *words[64];
    seeds_if_asked(make_seeds);
    must(*argc < 62);
    words[0] = (*argv)[0];
    words[1] = no_leaks;
    memcpy(words + 2, *argv + 1, (size_t)*argc * sizeof *words);
    *argv = words;
    *argc += 1;
    return 0;
}
