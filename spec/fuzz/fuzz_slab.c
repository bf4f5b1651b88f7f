/*
 * fuzz_slab: uses a slab into which an attacker writes. The input is a list of steps. A step puts,
 * gets, takes or removes a value, opens the file again, or writes bytes into it: anywhere, or over
 * an entry's head, the index, the lease or the header.
 *
 * Each value names its key. A key must never give another key's value, or one that is not whole,
 * and every call must return.
 *
 * Seeds: programs of a few steps of every kind.
 *
 * floor: src/cache/store/slab.c 25
 * floor: src/cache/store/slab_shard.c 23
 * floor: src/cache/store/slab_file.c 15
 * floor: src/cache/store/slab_lease.c 42
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "cache/store/slab.h"
#include "fuzz.h"
#include "tlslife.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLAB_LEN ((size_t)64 * 1024)
#define KEYS 16
#define HEAD_LEN sizeof(tlsl_slab_header)

static char path[64];
static unsigned char *map; /* of the same file, beside the store */
static unsigned char fresh_header[HEAD_LEN];
static tlslife_store *store;
static unsigned char *guard; /* behind the store's mapping, so that a read past its end is seen */

/* The kernel maps from the top, so it puts the store into the hole in front of the guard. */
static void open_store(bool wipe) {
    tlslife_error err;
    unsigned char *hole =
        mmap(NULL, 2 * SLAB_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(hole != MAP_FAILED && munmap(hole, SLAB_LEN) == 0);
    guard = hole + SLAB_LEN;
    store = tlslife_store_shared(path, SLAB_LEN, wipe, &err);
    must(store != NULL || (err.kind == TLSLIFE_ERR_INPUT && err.message[0] != '\0'));
}

static void map_beside(void) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0);
    map = mmap(NULL, SLAB_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(map != MAP_FAILED && close(fd) == 0);
    memcpy(fresh_header, map, HEAD_LEN);
}

/* --------------------------------------------------------------------------------------- values */

/* A key's bytes lead it to a shard, a bucket and a tag: some keys share a bucket and a tag. */
static void key_of(unsigned n, unsigned char key[TLSL_STORE_KEY]) {
    memset(key, 0, TLSL_STORE_KEY);
    key[8] = (unsigned char)(n % 2);      /* bucket */
    key[16] = (unsigned char)(n / 2 % 2); /* tag */
    key[31] = (unsigned char)n;
}

/* Its owner, its salt, and bytes that follow from both. */
static void make_value(unsigned n, unsigned salt, unsigned char *out, size_t len) {
    for (size_t i = 0; i < len; i++) {
        out[i] = (unsigned char)(i == 0 ? n : i == 1 ? salt : n * 7 + salt * 13 + i);
    }
}

static void check_value(unsigned n, const unsigned char *bytes, size_t len) {
    unsigned char *wanted = malloc(len + 2);
    must(wanted != NULL);
    make_value(n, len > 1 ? bytes[1] : 0, wanted, len);
    must(memcmp(wanted, bytes, len) == 0);
    free(wanted);
}

/* ---------------------------------------------------------------------------------------- steps */

static void put(unsigned n, unsigned salt, size_t len, long lifetime) {
    static unsigned char value[70000];
    unsigned char key[TLSL_STORE_KEY];
    key_of(n, key);
    make_value(n, salt, value, len);
    (void)store->verbs->put(store, key, value, len, lifetime);
}

static void look(unsigned n, bool take) {
    tlsl_inquiry inquiry = {.take = take};
    key_of(n, inquiry.key);
    store->verbs->ask(store, &inquiry);
    must(inquiry.found == TLSL_FOUND_HIT || inquiry.found == TLSL_FOUND_MISS);
    if (inquiry.found == TLSL_FOUND_HIT) {
        check_value(n, inquiry.bytes, inquiry.bytes_len);
    }
    free(inquiry.bytes);
}

static void drop(unsigned n) {
    unsigned char key[TLSL_STORE_KEY];
    key_of(n, key);
    (void)store->verbs->remove(store, key);
}

/* Where the fields begin that the store reads: 0 is the shard's head. */
static size_t place_of(unsigned kind, size_t offset) {
    const tlsl_slab_plan plan = tlsl_slab_plan_of(SLAB_LEN);
    size_t index = TLSL_SLAB_START + sizeof(tlsl_shard_head);
    size_t ring = index + plan.buckets * 128;
    const size_t starts[] = {0, TLSL_SLAB_START + sizeof(tlsl_lease), index, ring, ring};
    return (starts[kind % 5] + offset) % SLAB_LEN;
}

/*
 * Writes len bytes. A lease that is not free costs its waiter 20 ms, so it is written by a step of
 * its own only.
 */
static void scribble(fuzz_input *input, bool on_lease) {
    unsigned kind = take_byte(input);
    size_t offset = take_byte(input);
    offset = offset << 8 | take_byte(input);
    fuzz_input bytes = take_bytes(input, take_byte(input) % 65);
    size_t at = on_lease ? TLSL_SLAB_START + offset % sizeof(tlsl_lease) : place_of(kind, offset);
    tlsl_lease lease;
    memcpy(&lease, map + TLSL_SLAB_START, sizeof lease);
    for (size_t i = 0; i < bytes.left; i++) {
        map[(at + i) % SLAB_LEN] ^= bytes.at[i];
    }
    if (!on_lease) {
        memcpy(map + TLSL_SLAB_START, &lease, sizeof lease);
    }
}

/* Somebody else's header, perhaps with a sum that is right. */
static void open_again(unsigned how) {
    tlsl_slab_header header;
    memcpy(&header, map, sizeof header);
    if ((how & 1) != 0) {
        header.sum = tlsl_slab_header_sum(&header);
        memcpy(map, &header, sizeof header);
    }
    tlslife_store *before = store;
    unsigned char *guard_before = guard;
    open_store(false);
    if (store == NULL) {
        must(munmap(guard, SLAB_LEN) == 0);
        memcpy(map, fresh_header, HEAD_LEN);
        open_store(false);
    }
    must(store != NULL && munmap(guard_before, SLAB_LEN) == 0);
    tlslife_store_free(before);
    must(munmap(map, SLAB_LEN) == 0); /* a header that says "half made" has given a new file */
    map_beside();
}

static void step(fuzz_input *input) {
    unsigned what = take_byte(input), n = take_byte(input) % KEYS;
    size_t len = take_byte(input);
    switch (what % 8) {
    case 0: put(n, what, len, 1 + (long)what); break;
    case 1: put(n, what, len << 6, 7200); break;
    case 2: put(n, what, len << 8, (long)what - 100); break;
    case 3: look(n, false); break;
    case 4: look(n, true); break;
    case 5: drop(n); break;
    case 6: scribble(input, what == 6); break;
    default: open_again(what >> 3); break;
    }
}

static void make_empty(void) {
    memcpy(map, fresh_header, HEAD_LEN);
    memset(map + TLSL_SLAB_START, 0, SLAB_LEN - TLSL_SLAB_START);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    fuzz_input input = {bytes, len};
    make_empty();
    for (int i = 0; i < 64 && input.left > 0; i++) {
        step(&input);
    }
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

static void make_seeds(void) {
    static const unsigned char plain[] = {0, 1, 50, 0, 3, 60, 8, 1, 9, 3, 1, 0, 3, 3, 0, 4,  1,
                                          0, 3, 1,  0, 5, 3,  0, 3, 3, 0, 2, 5, 9, 2, 5, 255};
    static const unsigned char round[] = {1, 1,  255, 1,   3, 255, 3,   1, 0, 1, 5,   255, 3,   1,
                                          0, 1,  7,   255, 1, 9,   255, 3, 1, 0, 1,   1,   255, 1,
                                          3, 99, 3,   1,   0, 3,   9,   0, 1, 2, 200, 3,   7,   0};
    static const unsigned char scribbled[] = {
        0, 1, 50, 14, 0, 0, 2, 0, 4,  3, 1, 2, 3, 3, 1, 0, 14, 0, 0, 3, 0, 9, 2, 1, 1, 3,
        1, 0, 0,  1,  9, 3, 1, 0, 14, 0, 0, 1, 0, 0, 8, 1, 1,  1, 1, 1, 1, 1, 1, 3, 1, 0};
    static const unsigned char reopened[] = {0, 1, 50, 15, 0, 0, 3, 1, 0, 14, 0, 0, 0, 0, 40,
                                             1, 1, 15, 0,  0, 3, 1, 0, 7, 0,  0, 3, 1, 0};
    static const unsigned char leased[] = {0, 1, 50, 6, 0, 0, 0, 0, 4, 1, 255, 3, 1, 0, 3, 1, 0};
    /* The ring is nearly full, and its last entry says that it goes on beyond the end. */
    static const unsigned char overrun[] = {1,   1,    255, 1,  2, 255, 1, 3,  255, 1, 4,
                                            75,  1,    5,   6,  3, 5,   0, 14, 0,   0, 3,
                                            211, 0x15, 1,   64, 3, 5,   0, 5,  5,   0};
    write_seed("overrun", overrun, sizeof overrun);
    write_seed("plain", plain, sizeof plain);
    write_seed("round", round, sizeof round);
    write_seed("scribbled", scribbled, sizeof scribbled);
    write_seed("reopened", reopened, sizeof reopened);
    write_seed("leased", leased, sizeof leased);
}

static void remove_file(void) {
    (void)unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    (void)snprintf(path, sizeof path, "/dev/shm/fuzz_slab-%d", (int)getpid());
    must(atexit(remove_file) == 0);
    open_store(true);
    must(store != NULL);
    map_beside();
    return 0;
}
