/*
 * failing_life.c: plays a scene of scenes.lua in a Lua state of its own.
 *
 * make() makes what lives long, use() uses it. Both are called while the plan's call fails. Then
 * nothing fails any more, and what was made must still be good: use() is called again, and must
 * succeed. When the state is closed nothing may be left: blocks, descriptors, mappings and threads
 * are counted. What is left once may be kept for good reason, so only what grows is a leak.
 */
#include "life.h"

#include "../c/identity.h"
#include "../c/state_with.h"
#include "tlslife.h"
#include "tlslife_lua.h"

#include <dirent.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static test_identity identity, other_identity;

bool life_prepare(void) {
    return identity_make(&identity) && identity_make(&other_identity);
}

void life_finding(life_report *report, const char *format, ...) {
    if (report->findings < LIFE_FINDINGS) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(report->finding[report->findings], LIFE_TEXT, format, args);
        va_end(args);
        report->findings++;
    }
}

/* ------------------------------------------------------------------------------- one Lua state */

static int pause_faults(lua_State *L) {
    lua_pushboolean(L, fault_is_armed());
    fault_disarm();
    return 1;
}

static int take_a_nap(lua_State *L) {
    (void)L;
    (void)usleep(300);
    return 0;
}

/* Calls the function at 1 in a process of its own, in which nothing fails; its id. */
static int start_peer(lua_State *L) {
    pid_t pid = fork();
    if (pid == 0) {
        fault_disarm();
        (void)signal(SIGALRM, SIG_DFL);
        (void)alarm(20);
        lua_settop(L, 1);
        _exit(lua_pcall(L, 0, 0, 0) == LUA_OK ? 0 : 1);
    }
    lua_pushinteger(L, pid);
    return 1;
}

static int stop_peer(lua_State *L) {
    pid_t pid = (pid_t)lua_tointeger(L, 1);
    if (pid > 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    return 0;
}

static int is_failing(lua_State *L) {
    lua_pushboolean(L, fault_is_armed());
    return 1;
}

/* -- descriptors of two pipes, which end with the object */

#define PIPES "tlslife.failing.pipes"

static int close_pipes(lua_State *L) {
    int *fds = luaL_checkudata(L, 1, PIPES);
    for (int i = 0; i < 4; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
            fds[i] = -1;
        }
    }
    return 0;
}

/* pipes(): the object, and what to read and to write at one end and at the other. */
static int new_pipes(lua_State *L) {
    int *fds = lua_newuserdatauv(L, 4 * sizeof *fds, 0);
    for (int i = 0; i < 4; i++) {
        fds[i] = -1;
    }
    luaL_setmetatable(L, PIPES);
    if (pipe(fds) != 0 || pipe(fds + 2) != 0) {
        return luaL_error(L, "WRONG: no pipes");
    }
    static const int order[] = {0, 3, 2, 1};
    for (int i = 0; i < 4; i++) {
        lua_pushinteger(L, fds[order[i]]);
    }
    return 5;
}

static void register_pipes(lua_State *L) {
    luaL_newmetatable(L, PIPES);
    lua_pushcfunction(L, close_pipes);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, close_pipes);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
}

static void set_text(lua_State *L, const char *name, const char *text) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void open_module(lua_State *L) {
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_tlslife_core);
    lua_setfield(L, -2, "tlslife.core");
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    lua_pushfstring(L, "lua/?.lua;lua/?/init.lua;%s", lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_settop(L, 1);
}

/* ------------------------------------------------------------------------------------- a thread */

typedef struct threaded {
    const char *source;
    tlslife_cache *cache;
    tlslife_ticket_keys *ticket_keys;
    size_t len; /* of the result; 0: none */
    char bytes[8192], message[LIFE_TEXT], code[16];
} threaded;

/* In the thread's state: what the source returns. */
static int play_source(lua_State *L) {
    const threaded *work = lua_touserdata(L, 1);
    open_module(L);
    if (luaL_loadstring(L, work->source) != LUA_OK) {
        return lua_error(L);
    }
    lua_newtable(L);
    set_text(L, "certificate", identity.certificate);
    set_text(L, "key", identity.key);
    tlslife_lua_push_cache(L, work->cache);
    tlslife_lua_push_ticket_keys(L, work->ticket_keys);
    lua_call(L, 3, 1);
    return 1;
}

static void copy_text(lua_State *L, const char *field, char *out, size_t out_len) {
    lua_getfield(L, -1, field);
    (void)snprintf(out, out_len, "%s", lua_isstring(L, -1) ? lua_tostring(L, -1) : "");
    lua_pop(L, 1);
}

static void *play_thread(void *argument) {
    threaded *work = argument;
    lua_State *L = state_with(memory_of_lua, NULL);
    (void)snprintf(work->message, sizeof work->message, "not enough memory");
    (void)snprintf(work->code, sizeof work->code, "memory");
    if (L == NULL) {
        return NULL;
    }
    lua_pushcfunction(L, play_source);
    lua_pushlightuserdata(L, work);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
        const char *bytes = lua_tolstring(L, -1, &work->len);
        work->len = work->len < sizeof work->bytes ? work->len : 0;
        memcpy(work->bytes, bytes == NULL ? "" : bytes, work->len);
        work->message[0] = '\0';
    } else if (lua_istable(L, -1)) {
        copy_text(L, "message", work->message, sizeof work->message);
        copy_text(L, "code", work->code, sizeof work->code);
    } else if (lua_isstring(L, -1)) {
        (void)snprintf(work->message, sizeof work->message, "%s", lua_tostring(L, -1));
    }
    lua_close(L);
    return NULL;
}

/*
 * in_thread(source, cache, ticket_keys): plays it in a thread, and waits for its end. Its result;
 * or nil, message, code.
 */
static int in_thread(lua_State *L) {
    threaded *work = lua_newuserdatauv(L, sizeof *work, 0);
    pthread_t thread;
    memset(work, 0, sizeof *work);
    work->source = luaL_checkstring(L, 1);
    work->cache = tlslife_lua_check_cache(L, 2);
    work->ticket_keys = tlslife_lua_check_ticket_keys(L, 3);
    int problem = pthread_create(&thread, NULL, play_thread, work);
    if (problem != 0) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(problem));
        lua_pushliteral(L, "system");
        return 3;
    }
    (void)pthread_join(thread, NULL);
    if (work->message[0] != '\0') {
        lua_pushnil(L);
        lua_pushstring(L, work->message);
        lua_pushstring(L, work->code[0] == '\0' ? NULL : work->code);
        return 3;
    }
    if (work->len == 0) {
        lua_pushnil(L);
    } else {
        lua_pushlstring(L, work->bytes, work->len);
    }
    return 1;
}

/* ------------------------------------------------------------------------------ a scene's state */

static const luaL_Reg host_functions[] = {
    {"pause", pause_faults},    {"nap", take_a_nap},
    {"start_peer", start_peer}, {"stop_peer", stop_peer},
    {"failing", is_failing},    {"in_thread", in_thread},
    {"pipes", new_pipes},       {NULL, NULL},
};

static int open_state(lua_State *L) {
    const life_scene *scene = lua_touserdata(L, 1);
    open_module(L);
    register_pipes(L);
    if (luaL_loadfile(L, scene->file) != LUA_OK) {
        return lua_error(L);
    }
    lua_newtable(L);
    set_text(L, "name", scene->name);
    set_text(L, "certificate", identity.certificate);
    set_text(L, "key", identity.key);
    set_text(L, "other_certificate", other_identity.certificate);
    set_text(L, "other_key", other_identity.key);
    set_text(L, "directory", scene->directory);
    set_text(L, "redis", scene->redis);
    luaL_setfuncs(L, host_functions, 0);
    lua_call(L, 1, 1);
    if (lua_getfield(L, -1, scene->name) != LUA_TTABLE) {
        return luaL_error(L, "there is no scene %s", scene->name);
    }
    return 1;
}

/* A state without anything in it, and on its stack what opens it. */
static lua_State *closed_state(const life_scene *scene) {
    lua_State *L = state_with(memory_of_lua, NULL);
    lua_pushcfunction(L, open_state);
    lua_pushlightuserdata(L, (void *)(size_t)scene);
    return L;
}

/* Opens the module and the file of scenes. Whether that went well. The scene's table is at 1. */
static bool open_scene(lua_State *L) {
    return lua_pcall(L, 1, 1, 0) == LUA_OK;
}

static lua_State *new_state(const life_scene *scene) {
    lua_State *L = closed_state(scene);
    if (!open_scene(L)) {
        (void)fprintf(stderr, "%s\n", lua_tostring(L, -1));
        _exit(99);
    }
    return L;
}

/* Calls make, if nothing is at 2, and use. Whether both went well; the error's value is on top. */
static bool play(lua_State *L) {
    if (lua_gettop(L) == 1) {
        lua_getfield(L, 1, "make");
        if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
            return false;
        }
    }
    lua_getfield(L, 1, "use");
    lua_pushvalue(L, 2);
    return lua_pcall(L, 1, 0, 0) == LUA_OK;
}

/* ------------------------------------------------------------------------------ what was said */

static const char *const words[] = {"want_read", "want_write", "want_session", "closed",  "busy",
                                    "truncated", "timeout",    "unsent",       "canceled"};

static bool is_word(const char *text) {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* An error that a call has returned: {message, code} of scenes.lua's must. */
static void judge_returned(lua_State *L, const fault_plan *plan, life_report *report) {
    lua_getfield(L, -1, "message");
    lua_getfield(L, -2, "code");
    const char *message = lua_tostring(L, -2), *code = lua_tostring(L, -1);
    (void)snprintf(report->said, LIFE_TEXT, "%s: %s", code == NULL ? "word" : code,
                   message == NULL ? "" : message);
    if (plan->passes) {
        life_finding(report, "raised: what passes is taken for a failure: %.400s", report->said);
    } else if (message == NULL || message[0] == '\0') {
        life_finding(report, "unclear: an error without a message");
    } else if (code == NULL && !is_word(message)) {
        life_finding(report, "unclear: \"%s\" without an error", message);
    }
    /* What is passed to a call is the same as where nothing fails. */
    bool blames = code != NULL && (strcmp(code, "input") == 0 || strcmp(code, "usage") == 0);
    if (plan->kind == FAULT_OPENSSL && blames) {
        life_finding(report, "unclear: memory is missing, and what was passed is blamed: %s",
                     report->said);
    }
    /* The peer of an end that has failed is told so, or sees its end. */
    bool sees_end = message != NULL && strstr(message, "Connection reset by peer") != NULL;
    if (plan->kind == FAULT_OURS && code != NULL && strcmp(code, "memory") != 0 &&
        strcmp(code, "alert") != 0 && !sees_end) {
        life_finding(report, "unclear: memory is missing, and the error is %s", report->said);
    }
    lua_pop(L, 2);
}

/* What is raised where no result could be returned. */
static bool is_about_memory(const char *text) {
    return strstr(text, "not enough memory") != NULL || strstr(text, "out of memory") != NULL ||
           strstr(text, "malloc failure") != NULL;
}

static void judge(lua_State *L, const fault_plan *plan, life_report *report) {
    if (lua_istable(L, -1)) {
        judge_returned(L, plan, report);
        return;
    }
    const char *text = luaL_tolstring(L, -1, NULL);
    (void)snprintf(report->said, LIFE_TEXT, "raised: %s", text);
    if (plan->kind >= FAULT_CALLS || !is_about_memory(text)) {
        life_finding(report, "%s: %s", strstr(text, "WRONG") ? "wrong" : "raised", text);
    }
    lua_pop(L, 1);
}

static void describe_site(life_report *report) {
    int line;
    const char *file = fault_site(&line);
    if (file != NULL) {
        (void)snprintf(report->site, sizeof report->site, "%s:%d", file, line);
    }
    report->site_stack = *fault_site_stack();
}

/*
 * What is armed: the scene (or its opening), and the end of all that it has dropped. Lua loses a
 * finalizer that it has no memory to call, so its collector waits where its own memory fails.
 */
static bool play_armed(lua_State *L, bool (*act)(lua_State *), const fault_plan *plan,
                       life_report *report) {
    if (plan->kind == FAULT_LUA) {
        lua_gc(L, LUA_GCSTOP);
    }
    fault_arm(plan);
    bool well = act(L);
    if (plan->kind != FAULT_LUA) {
        lua_gc(L, LUA_GCCOLLECT);
    }
    fault_disarm();
    lua_gc(L, LUA_GCRESTART);
    report->delivered = fault_delivered();
    for (int i = 0; i < FAULT_KINDS; i++) {
        report->counts[i] = fault_count(i);
    }
    if (report->delivered > 0) {
        describe_site(report);
    }
    return well;
}

static void play_again(lua_State *L, int made, life_report *report) {
    lua_settop(L, made);
    if (!play(L)) {
        lua_getfield(L, 1, "text");
        const char *text = luaL_tolstring(L, -2, NULL);
        if (lua_istable(L, -3)) {
            lua_getfield(L, -3, "message");
            text = lua_tostring(L, -1);
        }
        life_finding(report, "again: after a failure %s",
                     text == NULL ? "an error without a message" : text);
    }
}

/* Of a scene with a table kinds only what that names is counted, and so fails. */
static void leave_out(lua_State *L, life_report *report) {
    if (lua_getfield(L, 1, "kinds") == LUA_TTABLE) {
        for (int kind = 0; kind < FAULT_CALLS + fault_calls_len(); kind++) {
            (void)lua_getfield(L, -1, fault_kind_name(kind));
            report->counts[kind] = lua_toboolean(L, -1) ? report->counts[kind] : 0;
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

static void finish(lua_State *L, life_report *report) {
    if (lua_gettop(L) >= 2 && lua_getfield(L, 1, "finish") == LUA_TFUNCTION) {
        lua_pushvalue(L, 2);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
            life_finding(report, "finish: %s", luaL_tolstring(L, -1, NULL));
        }
    }
}

static void lua_round(const life_scene *scene, const fault_plan *plan, life_report *report) {
    lua_State *L = new_state(scene);
    bool well = play_armed(L, play, plan, report);
    leave_out(L, report);
    (void)snprintf(report->said, LIFE_TEXT, "success");
    int made = lua_gettop(L) > 2 || well ? 2 : 1; /* an error of make is no thing made */
    if (!well) {
        judge(L, plan, report);
        if (report->delivered == 0) {
            life_finding(report, "fails although nothing has failed: %.400s", report->said);
        }
    }
    play_again(L, made, report);
    lua_settop(L, 2);
    finish(L, report);
    lua_close(L);
}

/* What fails is the module's opening. Where it has failed, another state opens it. */
static void opening_round(const life_scene *scene, const fault_plan *plan, life_report *report) {
    lua_State *L = closed_state(scene);
    bool well = play_armed(L, open_scene, plan, report);
    (void)snprintf(report->said, LIFE_TEXT, "success");
    if (!well) {
        judge(L, plan, report);
        lua_close(L);
        L = new_state(scene);
    }
    play_again(L, 1, report);
    lua_close(L);
}

static void plain_round(const fault_plan *plan, life_report *report) {
    fault_arm(plan);
    const char *said = plain_life(identity.certificate, identity.key);
    fault_disarm();
    report->delivered = fault_delivered();
    report->counts[FAULT_OPENSSL] = fault_count(FAULT_OPENSSL);
    if (report->delivered > 0) {
        describe_site(report);
    }
    (void)snprintf(report->said, LIFE_TEXT, "%s", said == NULL ? "success" : said);
    said = plain_life(identity.certificate, identity.key);
    if (said != NULL) {
        life_finding(report, "again: after a failure %s", said);
    }
}

static void any_round(const life_scene *scene, const fault_plan *plan, life_report *report) {
    if (scene->file == NULL) {
        plain_round(plan, report);
    } else if (strcmp(scene->name, "opening") == 0) {
        opening_round(scene, plan, report);
    } else {
        lua_round(scene, plan, report);
    }
}

void life_round(const life_scene *scene, const fault_plan *plan, life_report *report) {
    memory_begin_round(false);
    any_round(scene, plan, report);
}

/* ------------------------------------------------------------------------------- what is left */

typedef struct left {
    long ours, openssl, hiredis, mappings, descriptors, threads;
} left;

static long entries(const char *path) {
    DIR *directory = opendir(path);
    long n = 0;
    while (directory != NULL && readdir(directory) != NULL) {
        n++;
    }
    (void)closedir(directory);
    return n;
}

static left look(void) {
    return (left){memory_alive(FAULT_OURS),    memory_alive(FAULT_OPENSSL),
                  memory_alive(FAULT_HIREDIS), memory_mappings(),
                  entries("/proc/self/fd"),    entries("/proc/self/task")};
}

static bool is_more(const left *now, const left *before) {
    return now->ours > before->ours || now->openssl > before->openssl ||
           now->hiredis > before->hiredis || now->mappings > before->mappings ||
           now->descriptors > before->descriptors || now->threads > before->threads;
}

/* Threads end by themselves, a little later. */
static left settled(const left *before) {
    left now = look();
    for (int i = 0; i < 100 && is_more(&now, before); i++) {
        (void)usleep(i < 50 ? 200 : 5000);
        now = look();
    }
    return now;
}

typedef struct leaked {
    life_report *report;
    char text[LIFE_TEXT];
} leaked;

static void note_block(const fault_block *block, void *context) {
    leaked *into = context;
    size_t len = strlen(into->text);
    static const char *const names[] = {"ours", "OpenSSL", "Lua", "hiredis"};
    char where[120];
    (void)snprintf(where, sizeof where, " %s %zu", names[block->kind], block->size);
    if (block->file != NULL) {
        (void)snprintf(where, sizeof where, " %s:%d", block->file, block->line);
    }
    if (strstr(into->text, where) == NULL) {
        (void)snprintf(into->text + len, sizeof into->text - len, "%s", where);
    }
    if (into->report->stacks_len < LIFE_STACKS) {
        into->report->stacks[into->report->stacks_len++] = block->stack;
    }
}

/* Runs one more round, in which each block remembers the stack that made it. */
static void find_leak(const life_scene *scene, const fault_plan *plan, life_report *report,
                      const left *before) {
    static life_report unused;
    memset(&unused, 0, sizeof unused);
    memory_begin_round(true);
    any_round(scene, plan, &unused);
    left after = settled(before);
    if (!is_more(&after, before)) {
        return;
    }
    leaked found = {.report = report};
    memory_visit(note_block, &found);
    life_finding(report,
                 "leak: %ld of ours, %ld of OpenSSL, %ld of hiredis, %ld mappings, "
                 "%ld descriptors, %ld threads:%s",
                 after.ours - before->ours, after.openssl - before->openssl,
                 after.hiredis - before->hiredis, after.mappings - before->mappings,
                 after.descriptors - before->descriptors, after.threads - before->threads,
                 found.text);
}

void life_examine(const life_scene *scene, const fault_plan *plan, life_report *report) {
    left before = look();
    life_round(scene, plan, report);
    if (scene->cold) {
        return;
    }
    left after = settled(&before);
    if (!is_more(&after, &before)) {
        return;
    }
    static life_report unused;
    memset(&unused, 0, sizeof unused);
    before = after;
    life_round(scene, plan, &unused);
    after = settled(&before);
    if (is_more(&after, &before)) {
        find_leak(scene, plan, report, &after);
    }
}
