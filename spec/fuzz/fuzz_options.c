/*
 * fuzz_options: makes the tables that a script hands to tls.context, tls.cache, tls.shared,
 * tls.redis, tls.ticket_keys, tls.keyring and tls.trace. spec/project/annotations_spec.lua checks
 * that it knows each option of lua/tlslife/types.lua. The input is a table, written down byte by
 * byte: any keys, and under them values of any type, nested too.
 *
 * Each call makes an object, or raises a text, or returns nil, a message and an error table. What
 * was made describes itself, and is collected.
 *
 * A string cannot lead out of an empty directory of this program's own, where the calls run: "/" in
 * it becomes "_". Of shared memory there is one name.
 *
 * Seeds: tables with each option of each call.
 *
 * floor: src/lua/base/loptions.c 32
 * floor: src/lua/context/lsettings.c 16
 * floor: src/lua/cache/lcache.c 16
 * floor: src/lua/cache/lstore.c 19
 * floor: src/lua/values/lkeys.c 28
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "fuzz.h"
#include "tlslife.h"
#include "tlslife_lua.h"

#include <dirent.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 3
#define FILE_MAX ((rlim_t)1 << 20) /* a slab of 64 GiB would fill the disk */

static const char *const calls[] = {"context",     "cache",   "shared", "redis",
                                    "ticket_keys", "keyring", "trace"};
enum { CALLS = sizeof calls / sizeof calls[0] };

static const char *const names[] = {
    "role",          "min_version",  "max_version",    "ciphers",
    "ciphersuites",  "groups",       "options",        "modes",
    "verify",        "verify_depth", "verify_host",    "ca",
    "client_ca",     "certificate",  "private_key",    "passphrase",
    "psk",           "alpn",         "resumption",     "num_tickets",
    "cache",         "ticket_keys",  "max_early_data", "session_id_context",
    "ocsp_response", "ocsp_request", "keylog",         "post_handshake_auth",
    "timeout",       "on_hello",     "quiet_shutdown", "on_certificate",
    "on_verify",     "verify_all",   "server_names",   "signature_algorithms",
    "capacity",      "store",        "capacity_bytes", "sessions_per_peer",
    "keyring",       "in_memory",    "path",           "size",
    "wipe",          "host",         "port",           "tls",
    "username",      "password",     "database",       "prefix",
    "pending",       "secret",       "epoch",          "connect_timeout",
    "older",         "keys",         "identity",       "key",
    "get",           "put",          "remove",         "session_timeout",
    "take",          "crl",          "crl_check",      "partial_chain",
    "max_cert_list", "purpose",      "dane",           "dh_auto",
    "dh_params",     "trace",        "ocsp_verify",    "max_send_fragment",
    "on_psk",        "bytes",        "secrets",        "psk_identity_hint"};
enum { NAMES = sizeof names / sizeof names[0] };

static int home, scratch; /* directories */
static char shm_name[32];

/* ------------------------------------------------------------------------------------ the table */

enum {
    MADE_CACHE = 1,
    MADE_KEYRING,
    MADE_TICKET_KEYS,
    MADE_CLIENT,
    MADE_SERVER,
    MADE_TRACE,
    MADE_FUNCTION,
    MADE_LAST = MADE_FUNCTION
};

static void push_string(lua_State *L, fuzz_input bytes) {
    char *text = text_of(bytes.at, bytes.left);
    if (strncmp(text, "shm:", 4) == 0) {
        lua_pushstring(L, shm_name);
    } else if (strcmp(text, "certificate") == 0 || strcmp(text, "key") == 0) {
        lua_pushstring(L, text[0] == 'c' ? fuzz_certificate : fuzz_key);
    } else {
        for (size_t i = 0; i < bytes.left; i++) {
            text[i] = text[i] == '/' ? '_' : text[i];
        }
        lua_pushlstring(L, text, bytes.left);
    }
    free(text);
}

static void push_number(lua_State *L, fuzz_input *input, bool whole) {
    lua_Integer number = 0;
    double real = 0;
    fuzz_input bytes = take_bytes(input, sizeof number);
    memcpy(&number, bytes.at, bytes.left);
    memcpy(&real, &number, sizeof real);
    if (whole) {
        lua_pushinteger(L, number);
    } else {
        lua_pushnumber(L, real);
    }
}

static void push_table(lua_State *L, fuzz_input *input, int depth);

static void push_value(lua_State *L, fuzz_input *input, int depth) {
    unsigned type = take_byte(input);
    switch (type % 8) {
    case 0: lua_pushboolean(L, type & 8); break;
    case 1: lua_pushinteger(L, (lua_Integer)take_byte(input)); break;
    case 2: push_number(L, input, (type & 8) != 0); break;
    case 3:
    case 4: push_string(L, take_bytes(input, take_byte(input))); break;
    case 5: push_table(L, input, depth); break;
    case 6: lua_pushstring(L, names[take_byte(input) % NAMES]); break;
    default: lua_pushvalue(L, 1 + (int)(type >> 3) % MADE_LAST); break;
    }
}

/* A key is one of the names, a place in a list, or any value that can be a key. */
static void push_key(lua_State *L, fuzz_input *input) {
    unsigned which = take_byte(input);
    if (which < NAMES) {
        lua_pushstring(L, names[which]);
    } else if (which < 128) {
        lua_pushinteger(L, which - NAMES);
    } else {
        push_value(L, input, DEPTH_MAX);
    }
    if (lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) != lua_tonumber(L, -1)) {
        lua_pop(L, 1);
        lua_pushliteral(L, "not a number");
    }
}

static void push_table(lua_State *L, fuzz_input *input, int depth) {
    unsigned len = depth >= DEPTH_MAX ? 0 : take_byte(input) % 17;
    lua_newtable(L);
    for (unsigned i = 0; i < len && input->left > 0; i++) {
        push_key(L, input);
        push_value(L, input, depth + 1);
        lua_rawset(L, -3);
    }
}

/* ------------------------------------------------------------------------------------- the call */

/* What a call may leave behind: files in the directory, and the shared memory. */
static void clean_up(void) {
    DIR *directory = opendir(".");
    must(directory != NULL);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2) {
            (void)unlink(entry->d_name);
        }
    }
    must(closedir(directory) == 0);
    char object[40];
    (void)snprintf(object, sizeof object, "/tlslife-%s", shm_name + 4);
    (void)shm_unlink(object);
}

/* Values 1 to MADE_LAST are the prepared objects; then tlslife.core. */
static void prepare(lua_State *L) {
    static const char script[] =
        "local tls = ...\n"
        "local cache = tls.cache {}\n"
        "return cache, tls.keyring {('k'):rep(32)}, tls.ticket_keys {},\n"
        "    tls.context { role = 'client', verify = 'none' }, tls.context { role = 'server' },\n"
        "    tls.trace {}, function() end, tls\n";
    must(luaL_loadstring(L, script) == LUA_OK);
    luaopen_tlslife_core(L);
    must(lua_pcall(L, 1, MADE_LAST + 1, 0) == LUA_OK);
}

static void judge(lua_State *L, int base, int status) {
    if (status != LUA_OK) {
        must(lua_isstring(L, -1) && lua_rawlen(L, -1) > 0);
    } else if (lua_isnil(L, base + 1)) {
        must(lua_isstring(L, base + 2) && lua_istable(L, base + 3));
    } else {
        must(lua_isuserdata(L, base + 1));
        must(luaL_tolstring(L, base + 1, NULL) != NULL);
    }
}

static void call(lua_State *L, fuzz_input *input) {
    int base = lua_gettop(L);
    lua_getfield(L, base, calls[take_byte(input) % CALLS]);
    push_table(L, input, 0);
    judge(L, base, lua_pcall(L, 1, LUA_MULTRET, 0));
    lua_settop(L, base);
}

/* One state for all inputs: to open one costs more than a call. What was made is collected. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    static lua_State *L;
    fuzz_input input = {bytes, len};
    must(fchdir(scratch) == 0);
    if (L == NULL) {
        L = luaL_newstate();
        must(L != NULL);
        luaL_openlibs(L);
        prepare(L);
    }
    for (int i = 0; i < 3 && input.left > 0; i++) {
        call(L, &input);
    }
    lua_gc(L, LUA_GCCOLLECT);
    clean_up();
    must(fchdir(home) == 0);
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

typedef struct seed {
    unsigned char bytes[4096];
    size_t len;
} seed;

static void add(seed *to, unsigned byte) {
    must(to->len < sizeof to->bytes);
    to->bytes[to->len++] = (unsigned char)byte;
}

static void add_name(seed *to, const char *name) {
    for (unsigned i = 0; i < NAMES; i++) {
        if (strcmp(names[i], name) == 0) {
            add(to, i);
            return;
        }
    }
    must(false);
}

static void add_string(seed *to, const char *text) {
    add(to, 3);
    add(to, (unsigned)strlen(text));
    for (; *text != '\0'; text++) {
        add(to, (unsigned char)*text);
    }
}

/* A table in Lua's own words: name and value in turn. "{" begins a table, which has len pairs. */
typedef struct pair {
    const char *name; /* NULL: the next place in the list */
    char type;        /* s b i o { */
    const char *text;
    unsigned number;
} pair;

static void add_pairs(seed *to, const pair *pairs, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (pairs[i].name != NULL) {
            add_name(to, pairs[i].name);
        } else {
            add(to, NAMES + 1);
        }
        switch (pairs[i].type) {
        case 's': add_string(to, pairs[i].text); break;
        case 'b': add(to, pairs[i].number == 0 ? 0 : 8); break;
        case 'i':
            add(to, 1);
            add(to, pairs[i].number);
            break;
        case 'o': add(to, 7 | (pairs[i].number - 1) << 3); break;
        default:
            add(to, 5);
            add(to, pairs[i].number);
            break;
        }
    }
}

static void write_call(unsigned which, const char *name, unsigned len, const pair *pairs,
                       size_t pairs_len) {
    seed made = {.len = 0};
    add(&made, which);
    add(&made, len);
    add_pairs(&made, pairs, pairs_len);
    write_seed(name, made.bytes, made.len);
}

#define WRITE(which, name, len, ...)                                         \
    do {                                                                     \
        const pair pairs[] = {__VA_ARGS__};                                  \
        write_call(which, name, len, pairs, sizeof pairs / sizeof pairs[0]); \
    } while (0)

static void make_context_seeds(void) {
    WRITE(0, "server", 13, {"role", 's', "server", 0}, {"certificate", 's', "certificate", 0},
          {"private_key", 's', "key", 0}, {"min_version", 's', "TLSv1.2", 0},
          {"max_version", 's', "TLSv1.3", 0}, {"ciphers", 's', "HIGH", 0},
          {"ciphersuites", 's', "TLS_AES_128_GCM_SHA256", 0}, {"verify", 's', "optional", 0},
          {"client_ca", 's', "certificate", 0}, {"num_tickets", 'i', NULL, 3},
          {"session_timeout", 'i', NULL, 100}, {"max_early_data", 'i', NULL, 200},
          {"session_id_context", 's', "id", 0});
    WRITE(0, "server-hooks", 9, {"role", 's', "server", 0}, {"on_hello", 'o', NULL, MADE_FUNCTION},
          {"on_certificate", 'o', NULL, MADE_FUNCTION}, {"on_verify", 'o', NULL, MADE_FUNCTION},
          {"verify_all", 'b', NULL, 1}, {"cache", 'o', NULL, MADE_CACHE},
          {"ticket_keys", 'o', NULL, MADE_TICKET_KEYS}, {"resumption", 's', "both", 0},
          {"server_names", '{', NULL, 1}, {"host", 'o', NULL, MADE_SERVER});
    WRITE(0, "server-tables", 7, {"role", 's', "server", 0}, {"alpn", '{', NULL, 1},
          {NULL, 's', "h2", 0}, {"psk", '{', NULL, 1}, {NULL, '{', NULL, 2},
          {"identity", 's', "me", 0}, {"key", 's', "0123456789abcdef", 0},
          {"options", '{', NULL, 1}, {NULL, 's', "NO_TICKET", 0}, {"modes", '{', NULL, 1},
          {NULL, 's', "AUTO_RETRY", 0}, {"certificate", '{', NULL, 1}, {NULL, '{', NULL, 2},
          {"certificate", 's', "certificate", 0}, {"private_key", 's', "key", 0},
          {"ocsp_response", 's', "file", 0});
    WRITE(0, "client", 14, {"role", 's', "client", 0}, {"verify", 's', "required", 0},
          {"verify_depth", 'i', NULL, 3}, {"verify_host", 'b', NULL, 0},
          {"ca", 's', "certificate", 0}, {"groups", 's', "X25519", 0},
          {"signature_algorithms", 's', "ed25519", 0}, {"ocsp_request", 'b', NULL, 1},
          {"keylog", 'b', NULL, 1}, {"quiet_shutdown", 'b', NULL, 1}, {"timeout", 'i', NULL, 9},
          {"post_handshake_auth", 'b', NULL, 1}, {"passphrase", 's', "word", 0},
          {"resumption", 's', "tickets", 0});
}

static void make_verification_seeds(void) {
    WRITE(0, "client-verification", 9, {"role", 's', "client", 0}, {"ca", 's', "certificate", 0},
          {"crl", 's', "certificate", 0}, {"crl_check", 's', "chain", 0},
          {"partial_chain", 'b', NULL, 1}, {"max_cert_list", 'i', NULL, 200},
          {"purpose", 's', "any", 0}, {"ocsp_verify", 's', "optional", 0}, {"dane", 'b', NULL, 1});
    WRITE(0, "server-keys", 8, {"role", 's', "server", 0}, {"certificate", 's', "certificate", 0},
          {"private_key", 's', "key", 0}, {"dh_auto", 'b', NULL, 1}, {"dh_params", 's', "key", 0},
          {"max_send_fragment", 'i', NULL, 255}, {"psk_identity_hint", 's', "hint", 0},
          {"on_psk", 'o', NULL, MADE_FUNCTION});
    WRITE(0, "traced", 2, {"role", 's', "client", 0}, {"trace", 'o', NULL, MADE_TRACE});
    WRITE(6, "trace", 2, {"bytes", 'i', NULL, 200}, {"secrets", 'b', NULL, 1});
}

static void make_seeds(void) {
    make_context_seeds();
    make_verification_seeds();
    WRITE(1, "cache", 7, {"capacity", 'i', NULL, 9}, {"capacity_bytes", 'i', NULL, 200},
          {"timeout", 'i', NULL, 60}, {"sessions_per_peer", 'i', NULL, 2},
          {"keyring", 'o', NULL, MADE_KEYRING}, {"in_memory", 'b', NULL, 1},
          {"store", '{', NULL, 3}, {"get", 'o', NULL, MADE_FUNCTION},
          {"put", 'o', NULL, MADE_FUNCTION}, {"remove", 'o', NULL, MADE_FUNCTION});
    WRITE(2, "shared", 3, {"path", 's', "shm:x", 0}, {"size", 'i', NULL, 99},
          {"wipe", 'b', NULL, 1});
    WRITE(3, "redis", 11, {"host", 's', "a.example", 0}, {"port", 'i', NULL, 80},
          {"tls", 'o', NULL, MADE_CLIENT}, {"username", 's', "me", 0}, {"password", 's', "word", 0},
          {"database", 'i', NULL, 1}, {"prefix", 's', "p", 0}, {"timeout", 'i', NULL, 1},
          {"connect_timeout", 'i', NULL, 1}, {"pending", 'i', NULL, 8}, {"path", 's', "socket", 0});
    WRITE(4, "derived", 3, {"secret", 's', "0123456789abcdef0123456789abcdef", 0},
          {"epoch", 'i', NULL, 60}, {"older", 'i', NULL, 2});
    WRITE(5, "keyring", 1, {NULL, 's', "0123456789abcdef0123456789abcdef", 0});
    WRITE(4, "keys", 1, {"keys", '{', NULL, 1},
          {NULL, 's',
           "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
           "abcdef",
           0});
}

static char scratch_path[] = "/tmp/fuzz_options.XXXXXX";

static void remove_scratch(void) {
    (void)rmdir(scratch_path);
}

/* A small file takes the place of the system's CAs, which would be read each time. */
static void make_scratch(void) {
    must(mkdtemp(scratch_path) != NULL && atexit(remove_scratch) == 0);
    home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scratch = open(scratch_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(home >= 0 && scratch >= 0 && setenv("SSL_CERT_FILE", "/dev/null", 1) == 0 &&
         setenv("SSL_CERT_DIR", scratch_path, 1) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    struct rlimit limit = {FILE_MAX, FILE_MAX};
    make_scratch();
    (void)snprintf(shm_name, sizeof shm_name, "shm:fuzz-%d", (int)getpid());
    must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    return 0;
}
