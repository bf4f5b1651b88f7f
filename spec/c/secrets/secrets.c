/*
 * secrets.c: looks for secrets in the memory of a process that no longer needs them.
 *
 * Each life (secrets_lives.c, secrets_lua.c, secrets_plain.c) is a process that is given secrets,
 * uses them, and gives them up in one of the ways there are: it frees them, fails in the middle, or
 * replaces them. This process scans all of its memory that can be read and written, which is what a
 * core dump holds. The first scan comes while the library has the secrets. It must find them, or
 * the scan would prove nothing. The second scan comes after the last reference has gone, and must
 * find none. Each life is run twice: with glibc's malloc, and with the memory that
 * tlslife_keep_memory() keeps, as in the program tlslife.
 *
 * OpenSSL leaves some secrets in memory that it gives back to malloc, where this library cannot
 * reach them. The lives in secrets_plain.c use OpenSSL alone, and show which ones. With glibc's
 * malloc those are counted apart. With kept memory nothing may be left.
 *
 * One life ends with a core dump (secrets_core.c), which is looked through as well.
 *
 * Bytes are also looked for in reverse, as a bignum has them; as hexadecimal, as a key log has
 * them; in UTF-16, as PKCS#12 has a passphrase; and in base64, as PEM has keys and sessions.
 *
 *     secrets [NAME]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "secrets.h"
#include "secrets_texts.h"
#include "tlslife.h"
#include "tlslife_lua.h"

#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { SECRETS_MAX = 64, NAME_MAX_LEN = 64, FORMS = 7, LINE = 48, PIECE = 16, STACK = 1 << 18 };

#define SHADOW ((unsigned long)1 << 40) /* AddressSanitizer's is larger, and holds no bytes */

typedef struct known_secret {
    char name[NAME_MAX_LEN];
    unsigned char bytes[FORMS][2 * SECRET_MAX];
    size_t len[FORMS]; /* 0: there is no such form */
    bool derived;      /* told by the life */
} known_secret;

typedef struct message { /* of a life; `len` bytes follow those that have them */
    char kind;
    char name[NAME_MAX_LEN * 4]; /* cut off where it is longer */
    size_t len;
} message;

static known_secret known[SECRETS_MAX];
static size_t known_len;
static char left_by_plain[SECRETS_MAX][NAME_MAX_LEN];
static size_t left_by_plain_len;
static unsigned secrets_seen, scans, findings, left;

/* ------------------------------------------------------------------------------------- messages */

static int to_scanner = -1;

/*
 * A life talks to this process on a stack of its own. So the other stack stays as the library's
 * calls have left it.
 */
static ucontext_t asking, living;
static struct {
    char kind;
    const char *name;
    const void *bytes;
    size_t len;
} saying;

static void must(bool good) {
    if (!good) {
        _exit(3); /* the other side is gone, and says why */
    }
}

static void send_all(int fd, const void *bytes, size_t len) {
    for (const char *at = bytes; len > 0;) {
        ssize_t put = write(fd, at, len);
        must(put > 0);
        at += put;
        len -= (size_t)put;
    }
}

static bool receive_all(int fd, void *bytes, size_t len) {
    for (char *at = bytes; len > 0;) {
        ssize_t got = read(fd, at, len);
        if (got <= 0) {
            return false;
        }
        at += got;
        len -= (size_t)got;
    }
    return true;
}

/* A, B, C and F wait until this process has been scanned. */
static void say_here(void) {
    char done;
    message said = {.kind = saying.kind, .len = saying.len};
    (void)snprintf(said.name, sizeof said.name, "%s", saying.name);
    send_all(to_scanner, &said, sizeof said);
    send_all(to_scanner, saying.bytes, saying.bytes == NULL ? 0 : saying.len);
    must(strchr("ABCF", saying.kind) == NULL || receive_all(to_scanner, &done, 1));
}

static void say(char kind, const char *name, const void *bytes, size_t len) {
    static char stack[STACK];
    saying.kind = kind;
    saying.name = name;
    saying.bytes = bytes;
    saying.len = len;
    must(getcontext(&asking) == 0);
    asking.uc_stack.ss_sp = stack;
    asking.uc_stack.ss_size = sizeof stack;
    asking.uc_link = &living;
    makecontext(&asking, say_here, 0);
    must(swapcontext(&living, &asking) == 0);
}

static char *ask_for(const char *name, size_t len, size_t *out_len) {
    say('G', name, NULL, len);
    must(receive_all(to_scanner, out_len, sizeof *out_len));
    char *secret = calloc(1, *out_len + 1);
    must(secret != NULL && receive_all(to_scanner, secret, *out_len));
    return secret;
}

char *given(const char *name, size_t len) {
    return ask_for(name, len, &len);
}

char *given_text(const char *name, size_t *out_len) {
    return ask_for(name, 0, out_len);
}

void ungive(char *secret, size_t len) {
    OPENSSL_cleanse(secret, len);
    free(secret);
}

void tell(const char *name, void *secret, size_t len) {
    say('T', name, secret, len);
    OPENSSL_cleanse(secret, len);
}

void expect_held(const char *held) {
    say('B', held, NULL, 0);
}

void expect_gone(void) {
    say('A', "", NULL, 0);
}

void expect_gone_but(const char *held) {
    say('A', held, NULL, 0);
}

void expect_core(const char *held) {
    say('C', held, NULL, 0);
}

void expect_that(bool good, const char *what) {
    if (!good) {
        say('F', what, NULL, 0);
    }
}

/* -------------------------------------------------------------------------------------- secrets */

/* The base64 of the secret from that byte on, without a last group that has less than 3 bytes. */
static void add_base64(known_secret *one, size_t form, size_t from) {
    size_t whole = (one->len[0] - from) / 3 * 3;
    one->len[form] = whole / 3 * 4;
    (void)EVP_EncodeBlock(one->bytes[form], one->bytes[0] + from, (int)whole);
}

static void add_forms(known_secret *one) {
    static const char digits[] = "0123456789abcdef";
    size_t len = one->len[0];
    for (size_t i = 0; i < len; i++) {
        one->bytes[1][len - 1 - i] = one->bytes[0][i];
        one->bytes[2][2 * i] = (unsigned char)digits[one->bytes[0][i] >> 4];
        one->bytes[2][2 * i + 1] = (unsigned char)digits[one->bytes[0][i] & 15];
    }
    one->len[1] = len;
    one->len[2] = 2 * len;
    for (size_t i = 0; i < len; i++) {
        one->bytes[3][2 * i + 1] = one->bytes[0][i];
    }
    one->len[3] = 2 * len;
    for (size_t from = 0; from < 3; from++) { /* the bytes before it are not known */
        add_base64(one, 4 + from, from);
    }
}

static void know(const char *name, const void *bytes, size_t len, bool derived) {
    if (known_len == SECRETS_MAX || len < 8 || len > SECRET_MAX) {
        fprintf(stderr, "secrets: %s: %zu bytes are not looked for\n", name, len);
        findings++;
        return;
    }
    known_secret *one = &known[known_len++];
    memset(one, 0, sizeof *one);
    (void)snprintf(one->name, sizeof one->name, "%s", name);
    memcpy(one->bytes[0], bytes, len);
    one->len[0] = len;
    one->derived = derived;
    add_forms(one);
    secrets_seen++;
}

/* A line in the middle of a PEM text, which names no structure, and the key's number. */
static void know_pem(const char *text) {
    const char *line = strchr(strstr(text, "-----\n") + 6, '\n') + 1;
    BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "no");
    BIGNUM *number = NULL;
    unsigned char bytes[32];
    know("PEM line", line, LINE, false);
    if (key != NULL && EVP_PKEY_get_bn_param(key, "priv", &number) == 1 &&
        BN_bn2binpad(number, bytes, sizeof bytes) == sizeof bytes) {
        know("private key", bytes, sizeof bytes, false);
    }
    BN_clear_free(number);
    EVP_PKEY_free(key);
    BIO_free(bio);
}

static void give(int fd, const message *asked) {
    unsigned char bytes[SECRET_MAX];
    const test_text *text = texts_find(asked->name);
    if (text != NULL) {
        if (text->key != NULL) {
            know_pem(text->key);
        }
        if (text->secret) {
            know(asked->name, text->bytes, text->len, false);
        }
        send_all(fd, &text->len, sizeof text->len);
        send_all(fd, text->bytes, text->len);
        return;
    }
    /* Some secrets are text for the library, so no byte is NUL. */
    (void)RAND_bytes(bytes, (int)asked->len);
    for (size_t i = 0; i < asked->len; i++) {
        bytes[i] |= 1;
    }
    know(asked->name, bytes, asked->len, false);
    send_all(fd, &asked->len, sizeof asked->len);
    send_all(fd, bytes, asked->len);
}

/* --------------------------------------------------------------------------------------- a scan */

typedef struct region {
    uintptr_t from, to;
    char what[128];
} region;

static bool seen[SECRETS_MAX], in_shared[SECRETS_MAX];
static char where[SECRETS_MAX][160];

/*
 * What is looked for: the first bytes of each form of a secret, and its last ones, because malloc
 * writes its links into the first 16 bytes of a freed block. All are looked for in one pass, by a
 * table of their first four bytes.
 */
typedef struct needle {
    const unsigned char *bytes;
    size_t len, secret, form;
    uint32_t next; /* with the same place in the table, plus 1 */
} needle;

enum { PLACES = 1 << 16 };
static needle needles[SECRETS_MAX * FORMS * 2];
static uint32_t needles_len, places[PLACES];

static uint32_t place_of(const unsigned char *bytes) {
    uint32_t head;
    memcpy(&head, bytes, sizeof head);
    return head * 2654435761u >> 16;
}

static void add_needle(const unsigned char *bytes, size_t len, size_t secret, size_t form) {
    if (len >= sizeof(uint32_t)) {
        uint32_t *place = &places[place_of(bytes)];
        needles[needles_len] = (needle){bytes, len, secret, form, *place};
        *place = ++needles_len;
    }
}

static void make_needles(void) {
    memset(places, 0, sizeof places);
    needles_len = 0;
    for (size_t i = 0; i < known_len; i++) {
        for (size_t form = 0; form < FORMS; form++) {
            const unsigned char *secret = known[i].bytes[form];
            size_t len = known[i].len[form], piece = len < PIECE ? len : PIECE;
            add_needle(secret, piece, i, form);
            add_needle(secret + len - piece, piece, i, form);
        }
    }
}

static void found(const region *one, const needle *what, size_t at) {
    seen[what->secret] = true;
    in_shared[what->secret] = in_shared[what->secret] || strstr(one->what, " rw-s ") != NULL;
    (void)snprintf(where[what->secret], sizeof where[0], "form %zu, %s +%#zx", what->form,
                   one->what, at);
}

/* Most memory is zero, and no piece of a secret begins with as many zeros. */
static void look_at(const region *one, const unsigned char *bytes, size_t len, size_t at) {
    static const unsigned char zeros[64];
    for (size_t i = 0; i + sizeof(uint32_t) <= len; i++) {
        while (i + sizeof zeros <= len && bytes[i] == 0 &&
               memcmp(bytes + i, zeros, sizeof zeros) == 0) {
            i += sizeof zeros - sizeof(uint32_t);
        }
        for (uint32_t n = places[place_of(bytes + i)]; n != 0; n = needles[n - 1].next) {
            const needle *what = &needles[n - 1];
            if (what->len <= len - i && memcmp(bytes + i, what->bytes, what->len) == 0) {
                found(one, what, at + i);
            }
        }
    }
}

static void scan_region(pid_t pid, const region *one) {
    enum { CHUNK = 1 << 20 };
    static unsigned char bytes[CHUNK + 2 * SECRET_MAX];
    for (uintptr_t at = one->from; at < one->to; at += CHUNK) {
        size_t len = one->to - at < sizeof bytes ? one->to - at : sizeof bytes;
        struct iovec to = {bytes, len}, from = {(void *)at, len}; /* NOLINT */
        ssize_t got = process_vm_readv(pid, &to, 1, &from, 1, 0);
        if (got > 0) {
            look_at(one, bytes, (size_t)got, at - one->from);
        }
    }
}

static void scan(pid_t pid) {
    char path[64], line[512];
    (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "r");
    make_needles();
    memset(seen, 0, sizeof seen);
    memset(in_shared, 0, sizeof in_shared);
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        region one = {0};
        unsigned long from = 0, to = 0;
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && strstr(line, " rw") != NULL &&
            to - from < SHADOW) {
            one.from = from;
            one.to = to;
            (void)snprintf(one.what, sizeof one.what, "%.*s", (int)strcspn(line, "\n"), line);
            scan_region(pid, &one);
        }
    }
    if (maps == NULL || fclose(maps) != 0) {
        fprintf(stderr, "secrets: %s cannot be read\n", path);
        findings++;
    }
    scans++;
}

/* ---------------------------------------------------------------------------- what it must show */

static void finding(const life *one, const char *mode, const char *what, const char *name,
                    const char *more) {
    fprintf(stderr, "secrets: %s, %s, %s: %s: %s%s\n", one->name, one->end, mode, name, what, more);
    findings++;
}

static bool is_in(const char *names, const char *name) {
    size_t len = strlen(name);
    for (const char *at = strstr(names, name); at != NULL; at = strstr(at + 1, name)) {
        if ((at == names || at[-1] == ',') && (at[len] == '\0' || at[len] == ',')) {
            return true;
        }
    }
    return false;
}

static void check_held(const life *one, const char *mode, const char *held) {
    for (size_t i = 0; i < known_len; i++) {
        if (!seen[i] && is_in(held, known[i].name)) {
            finding(one, mode, "not found while it is in use", known[i].name, "");
        }
        if (in_shared[i]) {
            finding(one, mode, "in memory that other processes see: ", known[i].name, where[i]);
        }
    }
}

static bool plain_leaves(const char *name) {
    for (size_t i = 0; i < left_by_plain_len; i++) {
        if (strcmp(left_by_plain[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_gone(const life *one, const char *mode, const char *held, bool plain) {
    for (size_t i = 0; i < known_len; i++) {
        if (!seen[i] || is_in(held, known[i].name)) {
            continue;
        }
        if (plain) {
            if (!plain_leaves(known[i].name)) {
                memcpy(left_by_plain[left_by_plain_len++], known[i].name, NAME_MAX_LEN);
                printf("left by OpenSSL alone (%s): %s\n", one->name, known[i].name);
            }
        } else if (strcmp(mode, "malloc") == 0 && plain_leaves(known[i].name)) {
            left++;
        } else {
            finding(one, mode, "found when it should be gone: ", known[i].name, where[i]);
        }
    }
}

/* ----------------------------------------------------------------------------------- core dumps */

static char folder[] = "/tmp/secrets.XXXXXX"; /* in which lives run that end with one */
static char in_core[NAME_MAX_LEN * 4];
static bool wants_core, by_gcore;
#define CORE_MAX ((rlim_t)1 << 30) /* a life's is a few megabytes */

/*
 * The kernel writes core dumps where the life runs, unless the system gives them to a program. Then
 * gdb's gcore writes one while the life waits, which leaves out what the kernel leaves out.
 */
static void begin_core(pid_t pid, const char *held) {
    char pattern[256] = "", command[128];
    struct rlimit limit = {0};
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "r");
    if (file != NULL) {
        if (fgets(pattern, sizeof pattern, file) == NULL) {
            pattern[0] = '\0';
        }
        (void)fclose(file);
    }
    (void)snprintf(in_core, sizeof in_core, "%s", held);
    wants_core = true;
    (void)getrlimit(RLIMIT_CORE, &limit);
    by_gcore = strpbrk(pattern, "|/") != NULL || limit.rlim_max < CORE_MAX;
    if (by_gcore) {
        (void)snprintf(command, sizeof command, "gcore -o %s/core %d >/dev/null 2>&1", folder,
                       (int)pid);
        if (system(command) != 0) { /* NOLINT: the words are ours */
            printf("core dump: skipped: core_pattern is %.*s, its limit %llu, and gcore fails\n",
                   (int)strcspn(pattern, "\n"), pattern, (unsigned long long)limit.rlim_max);
        }
    }
}

/* Looks through a file as through memory. */
static void scan_core(const char *path) {
    static unsigned char bytes[(1 << 20) + 2 * SECRET_MAX];
    const region one = {.what = "the core dump"};
    FILE *core = fopen(path, "rb");
    make_needles();
    memset(seen, 0, sizeof seen);
    size_t kept = 0, got, at = 0;
    while (core != NULL && (got = fread(bytes + kept, 1, sizeof bytes - kept, core)) > 0) {
        look_at(&one, bytes, kept + got, at - kept);
        at += got;
        size_t next = kept + got < 2 * SECRET_MAX ? kept + got : 2 * SECRET_MAX;
        memmove(bytes, bytes + kept + got - next, next);
        kept = next;
    }
    if (core != NULL) {
        (void)fclose(core);
        scans++;
    }
}

/* Removes what the life has left in its folder, after it has looked through the core dump. */
static void check_core(const life *one, const char *mode) {
    char name[sizeof folder + 280];
    DIR *all = opendir(folder);
    bool found_core = false;
    for (struct dirent *entry = readdir(all); entry != NULL; entry = readdir(all)) {
        (void)snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        if (strncmp(entry->d_name, "core", 4) == 0) {
            found_core = true;
            scan_core(name);
            check_held(one, mode, in_core);
            check_gone(one, mode, in_core, false);
        }
        (void)unlink(name);
    }
    (void)closedir(all);
    if (!found_core && !by_gcore) {
        finding(one, mode, "was not written", "the core dump", "");
    }
    wants_core = false;
}

/* Answers a life until it ends. */
static void serve(const life *one, const char *mode, bool plain, pid_t pid, int fd) {
    static unsigned char bytes[SECRET_MAX];
    message said;
    while (receive_all(fd, &said, sizeof said) && said.kind != 'E') {
        switch (said.kind) {
        case 'G': give(fd, &said); continue;
        case 'T':
            must(said.len <= sizeof bytes && receive_all(fd, bytes, said.len));
            know(said.name, bytes, said.len, true);
            continue;
        case 'F': finding(one, mode, "did not happen", said.name, ""); break;
        case 'C': begin_core(pid, said.name); break;
        default:
            scan(pid);
            if (said.kind == 'B') {
                check_held(one, mode, said.name);
            } else {
                check_gone(one, mode, said.name, plain);
            }
            break;
        }
        send_all(fd, "", 1);
    }
}

/* ------------------------------------------------------------------------------------ processes */

static const life *const all_lives[] = {plain_lives, key_lives,    psk_lives,
                                        c_lives,     trace_lives,  writer_lives,
                                        lua_lives,   luasec_lives, core_lives};

enum { TABLES = sizeof all_lives / sizeof all_lives[0] };

static const life *life_at(int table, int row) {
    return &all_lives[table][row];
}

static int run_life(int fd, const char *mode, int table, int row) {
    to_scanner = fd;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    must(strcmp(mode, "kept") != 0 || tlslife_keep_memory());
    life_at(table, row)->live();
    say('E', "", NULL, 0);
    return 0;
}

static void run_process(char *self, const char *mode, int table, int row) {
    const life *one = life_at(table, row);
    int ends[2], status = 0;
    char fd[16], table_text[16], row_text[16];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    (void)snprintf(fd, sizeof fd, "%d", ends[1]);
    (void)snprintf(table_text, sizeof table_text, "%d", table);
    (void)snprintf(row_text, sizeof row_text, "%d", row);
    pid_t pid = fork();
    if (pid == 0) {
        char life_flag[] = "--life";
        char *argv[] = {self, life_flag, fd, (char *)(uintptr_t)mode, table_text, row_text, NULL};
        (void)close(ends[0]);
        must(one->live != core_lives[0].live || chdir(folder) == 0);
        (void)execv("/proc/self/exe", argv);
        _exit(126);
    }
    (void)close(ends[1]);
    known_len = 0;
    serve(one, mode, table == 0, pid, ends[0]);
    (void)close(ends[0]);
    bool ended = waitpid(pid, &status, 0) == pid;
    if (wants_core && ended && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) {
        check_core(one, mode);
    } else if (!ended || status != 0) {
        finding(one, mode, "has ended with a failure", "the life", "");
    }
}

int main(int argc, char **argv) {
    static const char *const modes[] = {"malloc", "kept"};
    if (argc == 6 && strcmp(argv[1], "--life") == 0) {
        return run_life((int)strtol(argv[2], NULL, 10), argv[3], (int)strtol(argv[4], NULL, 10),
                        (int)strtol(argv[5], NULL, 10));
    }
    if (!texts_make() || mkdtemp(folder) == NULL) {
        return 2;
    }
    for (int table = 0; table < TABLES; table++) {
        for (int row = 0; life_at(table, row)->name != NULL; row++) {
            for (int mode = 0; mode < (table == 0 ? 1 : 2); mode++) {
                if (argc < 2 || table == 0 || strcmp(argv[1], life_at(table, row)->name) == 0) {
                    run_process(argv[0], modes[mode], table, row);
                }
            }
        }
    }
    (void)rmdir(folder);
    printf("%u times a secret is left where OpenSSL alone leaves it, too\n", left);
    printf("proved secrets: %u secrets, %u scans; %u findings\n", secrets_seen, scans, findings);
    return findings == 0 && scans > 0 ? 0 : 1;
}
