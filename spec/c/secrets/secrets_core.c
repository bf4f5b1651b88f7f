/*
 * secrets_core.c: dies with a core dump that holds secrets in use, and no others, for secrets.c.
 *
 * Whatever a core dump could hold is to be in this one (core(5), coredump_filter). So a slab is not
 * in it for one reason alone, which is MADV_DONTDUMP.
 */
#include "secrets.h"
#include "secrets_pair.h"
#include "tlslife.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SLAB = 65536, LEN = 32 };

/* Everything goes into the core dump, which goes into the folder in which the life runs. */
static void prepare(void) {
    struct rlimit limit;
    expect_that(getrlimit(RLIMIT_CORE, &limit) == 0, "a limit of core dumps");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_CORE, &limit);
    (void)prctl(PR_SET_DUMPABLE, 1);
    int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    expect_that(fd >= 0 && write(fd, "0x7f", 4) == 4, "coredump_filter");
    (void)close(fd);
}

/* Bytes that no memory has but the slab, at its end, where nothing else is. */
static void write_to_slab(const char *path) {
    char *bytes = given("bytes in the slab", LEN);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t end = lseek(fd, 0, SEEK_END);
    expect_that(end >= SLAB && pwrite(fd, bytes, LEN, end - LEN) == LEN, "a slab");
    (void)close(fd);
    ungive(bytes, LEN);
}

static tlslife_context *with_psk(const char *name) {
    tlslife_context *context = with_certificate();
    char *psk = given(name, LEN);
    OK(tlslife_context_add_psk(context, "someone", (const unsigned char *)psk, LEN, &err));
    ungive(psk, LEN);
    return context;
}

static void dumped(void) {
    static const char slab[] = "slab";
    prepare();
    tlslife_context *held = with_psk("PSK"), *gone = with_psk("freed PSK");
    OK(set_key(gone, "PEM encrypted key", true));
    tlslife_context_free(gone);
    tlslife_store *store = tlslife_store_shared(slab, SLAB, false, &err);
    expect_that(store != NULL, "a slab");
    write_to_slab(slab);
    expect_core("PSK");
    (void)signal(SIGABRT, SIG_DFL);
    (void)raise(SIGABRT);
    tlslife_store_free(store);
    tlslife_context_free(held);
}

const life core_lives[] = {
    {"core dump", "abort", dumped},
    {NULL, NULL, NULL},
};
