/*
 * heap.c: allocates the memory of a Lua state, apart from OpenSSL's.
 *
 * A connection costs OpenSSL thousands of blocks, which come and go together, while an object of
 * Lua's stays until the collector finds it. In one heap Lua's blocks lie between OpenSSL's: freed
 * blocks do not join, malloc searches longer, and the memory that it finds is in no cache of the
 * processor. That costs one to two per cent of a handshake. So the small blocks of a state lie in
 * pages of its own, and each page holds blocks of one size:
 *
 *   page   [ header | block | block | ... ]
 *
 * A page begins at a multiple of its size, so that a block's address tells its page.
 *
 * Larger blocks are malloc's, but those that the collector gave back last are kept for the next of
 * the same size: bytes that are read into strings then go into memory that is warm. Lua tells a
 * block's size whenever it gives it back, so that none needs a header.
 *
 * A heap belongs to one state, and so to one thread at a time: there are no locks.
 *
 * An attacker would make a state grow, and keep it large. Pages and blocks that are not used are
 * kept up to a bound, and go back to malloc beyond it. In a build with AddressSanitizer malloc does
 * it all (state.c).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "program/heap.h"

#define GRAIN 16 /* sizes of small blocks are multiples of this, as malloc's are */
#define SMALL_MAX 512
#define CLASSES (SMALL_MAX / GRAIN)
#define PAGE 16384
#define SPARE_MAX 16 /* pages without a block that a heap keeps */

#define LARGE_GRAIN 64
#define LARGE_MAX 65536 /* what is larger is malloc's */
#define SLOTS 64
#define LINE 64 /* of a cache */
#define BULK \
    8192        /* from this size on a block is likely to be a string, and copied: see large_new */
#define LEAD 48 /* where it begins in a line */
#define KEPT_MAX ((size_t)4 << 20) /* bytes in blocks that a heap keeps */

typedef struct block { /* which is free */
    struct block *next;
} block;

typedef struct page {
    struct page *next,
        *before;    /* in the list of its class, while it has room; or among the spare ones */
    block *free;    /* that were in use before */
    unsigned fresh; /* where those that never were begin */
    unsigned size;  /* of its blocks */
    unsigned used;  /* blocks */
} page;

typedef struct slot { /* blocks that were given back, all of one size */
    size_t size;
    block *first;
} slot;

struct program_heap {
    page *roomy[CLASSES];
    page *spare;
    unsigned spare_len;
    slot slots[SLOTS];
    size_t kept; /* bytes in them */
};

/* ---------------------------------------------------------------------------------------- small */

static page *page_of(const void *small) {
    return (page *)((uintptr_t)small &
                    ~(uintptr_t)(PAGE - 1)); /* NOLINT(performance-no-int-to-ptr) */
}

static page **roomy(program_heap *heap, size_t size) {
    return &heap->roomy[size / GRAIN - 1];
}

static bool has_room(const page *self) {
    return self->free != NULL || self->fresh + self->size <= PAGE;
}

static void link_page(program_heap *heap, page *self) {
    page **first = roomy(heap, self->size);
    self->before = NULL;
    self->next = *first;
    if (*first != NULL) {
        (*first)->before = self;
    }
    *first = self;
}

static void unlink_page(program_heap *heap, page *self) {
    if (self->before != NULL) {
        self->before->next = self->next;
    } else {
        *roomy(heap, self->size) = self->next;
    }
    if (self->next != NULL) {
        self->next->before = self->before;
    }
}

static page *open_page(program_heap *heap, size_t size) {
    page *self = heap->spare;
    if (self != NULL) {
        heap->spare = self->next;
        heap->spare_len--;
    } else {
        self = aligned_alloc(PAGE, PAGE);
        if (self == NULL) {
            return NULL;
        }
    }
    unsigned header = (sizeof *self + GRAIN - 1) / GRAIN * GRAIN;
    *self = (page){.fresh = header, .size = (unsigned)size};
    link_page(heap, self);
    return self;
}

static void close_page(program_heap *heap, page *self) {
    unlink_page(heap, self);
    if (heap->spare_len == SPARE_MAX) {
        free(self);
        return;
    }
    self->next = heap->spare;
    heap->spare = self;
    heap->spare_len++;
}

static void *take_small(program_heap *heap, size_t size) {
    page *self = *roomy(heap, size);
    if (self == NULL) {
        self = open_page(heap, size);
        if (self == NULL) {
            return NULL;
        }
    }
    void *taken = self->free;
    if (taken != NULL) {
        self->free = self->free->next;
    } else {
        taken = (char *)self + self->fresh;
        self->fresh += self->size;
    }
    self->used++;
    if (!has_room(self)) {
        unlink_page(heap, self);
    }
    return taken;
}

static void give_small(program_heap *heap, void *given) {
    page *self = page_of(given);
    if (!has_room(self)) {
        link_page(heap, self);
    }
    block *one = given;
    one->next = self->free;
    self->free = one;
    self->used--;
    if (self->used == 0 &&
        (self->next != NULL || self->before != NULL)) { /* the last of a class stays open */
        close_page(heap, self);
    }
}

/* ---------------------------------------------------------------------------------------- large */

/*
 * The bytes of a string begin 24 after its block, and those of libssl's records at 8 in a line
 * (src/base/blocks.c): where both lie alike 16 KiB are copied in two thirds of the time.
 */
static void *large_new(size_t size) {
    if (size < BULK) {
        return malloc(size);
    }
    char *start = aligned_alloc(LINE, (LEAD + size + LINE - 1) / LINE * LINE);
    return start == NULL ? NULL : start + LEAD;
}

static void large_free(void *large, size_t size) {
    free(size < BULK ? large : (char *)large - LEAD);
}

static slot *slot_of(program_heap *heap, size_t size) {
    return &heap->slots[size / LARGE_GRAIN % SLOTS];
}

static void empty_slot(program_heap *heap, slot *self) {
    while (self->first != NULL) {
        block *one = self->first;
        self->first = one->next;
        heap->kept -= self->size;
        large_free(one, self->size);
    }
}

static void empty_slots(program_heap *heap) {
    for (int i = 0; i < SLOTS; i++) {
        empty_slot(heap, &heap->slots[i]);
    }
}

static void *take_large(program_heap *heap, size_t size) {
    slot *self = slot_of(heap, size);
    block *one = self->first;
    if (one == NULL || self->size != size) {
        if (heap->kept > KEPT_MAX / 2) { /* of sizes that were wanted once */
            empty_slots(heap);
        }
        return large_new(size);
    }
    self->first = one->next;
    heap->kept -= size;
    return one;
}

/* A slot is for the size that was given back last. */
static void give_large(program_heap *heap, void *given, size_t size) {
    slot *self = slot_of(heap, size);
    if (heap->kept + size > KEPT_MAX) {
        large_free(given, size);
        return;
    }
    if (self->size != size) {
        empty_slot(heap, self);
        self->size = size;
    }
    block *one = given;
    one->next = self->first;
    self->first = one;
    heap->kept += size;
}

/* ----------------------------------------------------------------------------------------- both */

/* What a block of so many bytes really has. */
static size_t rounded(size_t size) {
    size_t grain = size <= SMALL_MAX ? GRAIN : size <= LARGE_MAX ? LARGE_GRAIN : 1;
    return (size + grain - 1) / grain * grain;
}

/* Pages without blocks, and blocks that are kept, go. */
static void give_back(program_heap *heap) {
    empty_slots(heap);
    while (heap->spare != NULL) {
        page *one = heap->spare;
        heap->spare = one->next;
        free(one);
    }
    heap->spare_len = 0;
}

static void *take_once(program_heap *heap, size_t size) {
    if (size > LARGE_MAX) {
        return malloc(size);
    }
    return size <= SMALL_MAX ? take_small(heap, size) : take_large(heap, size);
}

static void *take(program_heap *heap, size_t size) {
    void *taken = take_once(heap, size);
    if (taken == NULL) {
        give_back(heap);
        taken = take_once(heap, size);
    }
    return taken;
}

static void give(program_heap *heap, void *given, size_t size) {
    if (size <= SMALL_MAX) {
        give_small(heap, given);
    } else if (size <= LARGE_MAX) {
        give_large(heap, given, size);
    } else {
        free(given);
    }
}

void *program_heap_resize(void *ud, void *old, size_t before, size_t after) {
    program_heap *heap = ud;
    size_t from = old == NULL ? 0 : rounded(before), to = rounded(after);
    if (from == to) { /* nothing to nothing, too */
        return old;
    }
    if (from > LARGE_MAX && to > LARGE_MAX) {
        return realloc(old, to);
    }
    void *taken = to == 0 ? NULL : take(heap, to);
    if (to > 0 && taken == NULL) {
        return NULL;
    }
    if (from > 0 && to > 0) {
        memcpy(taken, old, before < after ? before : after);
    }
    if (from > 0) {
        give(heap, old, from);
    }
    return taken;
}

program_heap *program_heap_new(void) {
    return calloc(1, sizeof(program_heap));
}

void program_heap_free(program_heap *heap) {
    if (heap == NULL) {
        return;
    }
    for (int i = 0; i < CLASSES; i++) {
        free(heap->roomy[i]); /* the last of its class, without a block */
    }
    give_back(heap);
    free(heap);
}
