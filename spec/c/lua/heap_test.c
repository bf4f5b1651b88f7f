/*
 * heap_test.c: tests the program's heap for Lua states (src/program/heap.c), called as Lua calls a
 * lua_Alloc.
 *
 * The sizes are random, from fixed seeds, and blocks grow and shrink. Each block is filled with
 * bytes of its own, so that two blocks which overlap are noticed. AddressSanitizer sees the memory
 * that is left at the end. The last cases are the bounds of what an idle heap keeps.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"
#include "held.h"
#include "random.h"

#include "program/heap.c" /* the program's, which is no library */

#include <malloc.h>

#define BLOCKS 2000

static uint64_t state;

/*
 * Mostly small sizes, as Lua's are, sometimes ones that the heap leaves to malloc, and the sizes at
 * the limits.
 */
static size_t any_size(void) {
    static const size_t edges[] = {1,   15,  16,  17,    511,   512,  513,
                                   575, 576, 577, 65535, 65536, 65537};
    uint32_t r = next_random(&state);
    switch (r % 16) {
    case 0: return edges[r / 16 % (sizeof edges / sizeof edges[0])];
    case 1: return 1 + r / 16 % 200000;
    case 2: return 1 + r / 16 % 20000;
    default: return 1 + r / 16 % 600;
    }
}

static bool resize_one(program_heap *heap, held *one, size_t len) {
    size_t both = one->len < len ? one->len : len;
    unsigned char *bytes =
        program_heap_resize(heap, one->bytes, one->bytes == NULL ? 5 : one->len, len);
    bool good = (bytes == NULL) == (len == 0) && (uintptr_t)bytes % 16 == 0;
    one->bytes = bytes;
    one->len = len;
    good = good && is_whole(one, both);
    fill(one, (unsigned char)next_random(&state));
    return good;
}

static void test_random(uint64_t seed) {
    static held blocks[BLOCKS];
    program_heap *heap = program_heap_new();
    state = seed;
    bool good = true;
    for (int i = 0; good && i < 40000; i++) {
        held *one = &blocks[next_random(&state) % BLOCKS];
        good = resize_one(heap, one, one->len > 0 && next_random(&state) % 2 == 0 ? 0 : any_size());
    }
    for (int i = 0; good && i < BLOCKS; i++) {
        good = resize_one(heap, &blocks[i], 0);
    }
    CHECK(good);
    CHECK(heap->spare_len <= SPARE_MAX && heap->kept <= KEPT_MAX);
    program_heap_free(heap);
}

static size_t in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/*
 * Allocates and frees that many blocks of a size. The heap must keep no more than an idle heap may.
 */
static void test_burst(size_t len, size_t allowed) {
    enum { BURST = 20000 };
    static void *blocks[BURST];
    program_heap *heap = program_heap_new();
    size_t before = in_use();
    for (int i = 0; i < BURST; i++) {
        blocks[i] = program_heap_resize(heap, NULL, 0, len);
    }
    for (int i = 0; i < BURST; i++) {
        (void)program_heap_resize(heap, blocks[i], len, 0);
    }
    CHECK(in_use() < before + allowed);
    program_heap_free(heap);
}

/* Memory that is kept for one size is given up when another size needs it. */
static void test_kept(void) {
    program_heap *heap = program_heap_new();
    size_t len = 40000, count = KEPT_MAX / 40000;
    void *blocks[KEPT_MAX / 40000];
    for (size_t i = 0; i < count; i++) {
        blocks[i] = program_heap_resize(heap, NULL, 0, len);
    }
    for (size_t i = 0; i < count; i++) {
        (void)program_heap_resize(heap, blocks[i], len, 0);
    }
    CHECK(heap->kept > KEPT_MAX / 2);
    void *last = blocks[count - 1];
    CHECK(program_heap_resize(heap, NULL, 0, len) == last); /* the warmest */
    (void)program_heap_resize(heap, last, len, 0);
    void *other = program_heap_resize(heap, NULL, 0, 1000);
    CHECK(heap->kept == 0);
    (void)program_heap_resize(heap, other, 1000, 0);
    program_heap_free(heap);
}

/* The bytes of a long string begin at byte 8 of a cache line, whatever was allocated before. */
static void test_bulk(void) {
    program_heap *heap = program_heap_new();
    bool good = true;
    for (size_t len = BULK; len <= LARGE_MAX; len += 1000) {
        char *taken = program_heap_resize(heap, NULL, 0, len);
        good = good && ((uintptr_t)taken + 24) % LINE == 8;
        (void)program_heap_resize(heap, taken, len, 0);
    }
    CHECK(good);
    program_heap_free(heap);
}

int main(void) {
    for (uint64_t seed = 1; seed <= 3; seed++) {
        test_random(seed);
    }
    size_t pages = (SPARE_MAX + CLASSES) * (size_t)PAGE * 2, allowed = pages + KEPT_MAX + 65536;
    test_burst(24, allowed);
    test_burst(512, allowed);
    test_burst(16409, allowed);
    test_burst(100000, allowed);
    test_kept();
    test_bulk();
    program_heap_free(NULL);
    return checks_end();
}
