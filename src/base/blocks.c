/*
 * blocks.c: gives OpenSSL a malloc that keeps freed blocks, in lists of each thread, for later
 * requests of their size.
 *
 * A handshake takes and gives back some 700 blocks on each side, twenty of them of 16 KiB, for
 * records and messages. glibc keeps seven blocks of a size at hand, and none that is large. The
 * others it joins, searches for and splits again, which is five per cent of a full handshake, and
 * ten of a resumed one. Each block in a list is malloc's own, so any thread may free it, and malloc
 * knows its size.
 *
 * OpenSSL leaves secrets in what it frees: the keys of a connection in its SSL, a private key where
 * its PEM was decoded, a session where its ticket was made. Blocks wait here for longer than
 * malloc's do, so they are wiped first. Buffers of records are not: they are most of the bytes, and
 * hold no keys.
 *
 * An attacker would try to make a thread take much memory at once and keep it. A thread keeps at
 * most BYTES_MAX; the rest goes back to malloc, and so does everything when the thread ends. An
 * attacker would also exploit a block that is freed twice, or written to while it is free, to make
 * a list lead elsewhere. So links are XORed with a secret of the process, and a wrong mark beside a
 * link ends the process.
 */
#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "tlslife.h"

/* glibc makes blocks of 24, 40, 56 bytes and so on. A request for 48 would take one of 56. */
#define LEAST 24
#define GRAIN 16 /* from one size of small blocks to the next */
#define SMALL_MAX 1032
/*
 * The step from one size of large blocks to the next. With it the buffers for records to be written
 * and read, 16,584 and 16,712 bytes, have the same size.
 */
#define LARGE_GRAIN 512
#define LARGE_MAX (SMALL_MAX + 62 * LARGE_GRAIN)
#define RECORD_MAX (TLSL_RECORD + 1024) /* what a buffer for a record has at most */
#define SMALL_KINDS ((SMALL_MAX - LEAST) / GRAIN + 1)
#define KINDS (SMALL_KINDS + (LARGE_MAX - SMALL_MAX) / LARGE_GRAIN)
#define BYTES_MAX ((size_t)512 << 10)

typedef struct block { /* a block that is free */
    uintptr_t next;    /* the address of the next one, XORed with the secret */
    uintptr_t mark;    /* its own address, XORed with the secret */
} block;

/* The free blocks of a thread. */
typedef struct blocks {
    block *lists[KINDS]; /* one for each size */
    size_t bytes;        /* in all lists */
    size_t bytes_max;    /* 0 before the first block is kept, and once the thread has ended */
    bool ended;
} blocks;

static _Thread_local blocks kept;
static pthread_key_t at_end;
static uintptr_t secret;

/* ---------------------------------------------------------------------------------------- sizes */

static size_t kind_of(size_t size) {
    if (size <= LEAST) {
        return 0;
    }
    return size <= SMALL_MAX ? (size - LEAST + GRAIN - 1) / GRAIN
                             : SMALL_KINDS + (size - SMALL_MAX - 1) / LARGE_GRAIN;
}

/* The largest kind that a block of size bytes (LEAST or more) can serve as. */
static size_t kind_within(size_t size) {
    return size < SMALL_MAX ? (size - LEAST) / GRAIN
                            : SMALL_KINDS - 1 + (size - SMALL_MAX) / LARGE_GRAIN;
}

static bool fits(size_t size) {
    return size >= LEAST && size < LARGE_MAX + LARGE_GRAIN;
}

/* The bytes that a block of that kind has at least. */
static size_t size_of(size_t kind) {
    return kind < SMALL_KINDS ? LEAST + kind * GRAIN
                              : SMALL_MAX + (kind - SMALL_KINDS + 1) * LARGE_GRAIN;
}

/* ---------------------------------------------------------------------------------------- lists */

static uintptr_t mark_of(const block *one) {
    return (uintptr_t)one ^ secret;
}

static block *pop(size_t kind) {
    block *one = kept.lists[kind];
    if (one->mark != mark_of(one)) {
        OPENSSL_die("memory was written to after it was freed", OPENSSL_FILE, OPENSSL_LINE);
    }
    kept.lists[kind] = (block *)(one->next ^ secret); /* NOLINT(performance-no-int-to-ptr) */
    /* The next pop finds it in the processor's cache. */
    __builtin_prefetch(kept.lists[kind], 1);
    kept.bytes -= size_of(kind);
    one->mark = 0;
    return one;
}

static void push(size_t kind, block *one) {
    one->mark = mark_of(one);
    one->next = (uintptr_t)kept.lists[kind] ^ secret;
    kept.lists[kind] = one;
    kept.bytes += size_of(kind);
}

static void give_all_back(void *unused) {
    (void)unused;
    kept.ended = true;
    kept.bytes_max = 0;
    for (size_t kind = 0; kind < KINDS; kind++) {
        while (kept.lists[kind] != NULL) {
            free(pop(kind));
        }
    }
}

/* ----------------------------------------------------------------------------- OpenSSL's malloc */

static void *take(size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    if (size == 0 || size > LARGE_MAX) {
        return size == 0 ? NULL : malloc(size);
    }
    size_t kind = kind_of(size);
    return kept.lists[kind] != NULL ? pop(kind) : tlsl_malloc(size_of(kind));
}

/* Gives back the first block of a thread, and blocks that are not kept. */
static void give_seldom(block *given, size_t size) {
    if (kept.bytes_max > 0 || kept.ended || !fits(size)) {
        free(given);
        return;
    }
    kept.bytes_max = BYTES_MAX;
    (void)pthread_setspecific(at_end, &kept);
    push(kind_within(size), given);
}

/*
 * Wipes a block that is given back, unless it is a buffer for a record. OPENSSL_cleanse writes
 * eight bytes at a time, which took a sixth of a resumed handshake.
 */
static void wipe(block *given, size_t size) {
    if (fits(size) && given->mark == mark_of(given)) {
        OPENSSL_die("memory was freed twice", OPENSSL_FILE, OPENSSL_LINE);
    }
    if (size < TLSL_RECORD || size > RECORD_MAX) {
        explicit_bzero(given, size);
    }
}

static void give(void *given, const char *file, int line) {
    (void)file;
    (void)line;
    if (given == NULL) {
        return;
    }
    size_t size = malloc_usable_size(given);
    wipe(given, size);
    if (fits(size) && kept.bytes + size <= kept.bytes_max) {
        push(kind_within(size), given);
    } else {
        give_seldom(given, size);
    }
}

static void *resize(void *old, size_t size, const char *file, int line) {
    size_t had = old == NULL ? 0 : malloc_usable_size(old);
    if (old != NULL && size > 0 && size <= had) {
        return old;
    }
    void *taken = take(size, file, line);
    if (taken != NULL && old != NULL) {
        memcpy(taken, old, had);
    }
    if (taken != NULL || size == 0) {
        give(old, file, line);
    }
    return taken;
}

bool tlslife_keep_memory(void) {
    return secret == 0 &&
           getrandom(&secret, sizeof secret, GRND_NONBLOCK) == (ssize_t)sizeof secret &&
           pthread_key_create(&at_end, give_all_back) == 0 &&
           CRYPTO_set_mem_functions(take, resize, give) == 1;
}
