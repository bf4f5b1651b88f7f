/*
 * secrets_writer.c: has the program's writer of traces write a trace with secrets, in each format,
 * for secrets.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "secrets.h"
#include "secrets_script.h"
#include "tlslife_lua.h"

#include "program/heap.c" /* the program's, which is no library */
#include "program/state.c"
#include "program/writer.c"

/* In place of program/call.c. */
void program_complain(const char *message) {
    expect_that(false, message);
}

/* In place of program/embedded.c: the module's files are read. */
void program_preload(lua_State *L) {
    luaL_requiref(L, "tlslife.core", luaopen_tlslife_core, 0);
    lua_getglobal(L, "package");
    lua_pushliteral(L, "lua/?.lua;lua/?/init.lua");
    lua_setfield(L, -2, "path");
    lua_pop(L, 2);
}

#define WRITE(format)                                                                \
    "do local trace, path = tls.trace {secrets = true}, os.tmpname()\n"              \
    "    do local a, b = connect('TLSv1.3', nil, trace) a:close(0) b:close(0) end\n" \
    "    collectgarbage() collectgarbage() held 'CLIENT_TRAFFIC_SECRET_0'\n"         \
    "    local writer = assert(host.trace_writer(trace, '" format "', path))\n"      \
    "    assert(writer:stop())\n"                                                    \
    "    local file = assert(io.open(path)) file:setvbuf 'no'\n"                     \
    "    assert(file:seek 'end' > 0) file:close()\n"                                 \
    "    os.remove(path) end\n"                                                      \
    "gone()"

LIFE(as_text, WRITE("text"))
LIFE(as_json, WRITE("json"))
LIFE(as_pcapng, WRITE("pcapng"))
LIFE(as_html, WRITE("html"))

const life writer_lives[] = {
    {"trace's writer", "text", as_text},
    {"trace's writer", "JSON", as_json},
    {"trace's writer", "pcapng", as_pcapng},
    {"trace's writer", "HTML", as_html},
    {NULL, NULL, NULL},
};
