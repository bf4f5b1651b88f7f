/*
 * failing_memory.c: has the allocators of OpenSSL, of hiredis, of Lua, and of our own code, whose
 * calls of malloc and its kin the linker has turned into those below (--wrap). Each block that is
 * alive is known, but for Lua's, which lua_close(3) gives back whatever happens.
 */
#include "fault.h"

#include <errno.h>
#include <execinfo.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef FAILING_HIREDIS
#include <hiredis/hiredis.h>
#endif

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
void __wrap_free(void *block);

/* ------------------------------------------------------------------------------- what is alive */

#define BUCKETS 65536
#define BLOCKS 262144

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int buckets[BUCKETS]; /* 1 + a block's index; 0: none */
static fault_block blocks[BLOCKS];
static int free_block; /* 1 + the first of those that were used */
static int fresh_block;
static atomic_long alive[FAULT_CALLS];
static atomic_long mappings;
static unsigned round_now;
static bool traced_now;

static int *bucket_of(const void *at) {
    return &buckets[((uintptr_t)at >> 4) * 2654435761U % BUCKETS];
}

/* Too many blocks end the program: a count that is wrong proves nothing. */
static fault_block *new_block(void) {
    int index = free_block;
    if (index != 0) {
        free_block = blocks[index - 1].next;
    } else if (fresh_block == BLOCKS) {
        abort();
    } else {
        index = ++fresh_block;
    }
    return &blocks[index - 1];
}

static void *add(void *at, size_t size, int kind, const char *file, int line) {
    if (at == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&lock);
    fault_block *block = new_block();
    int *bucket = bucket_of(at);
    block->at = at;
    block->size = size;
    block->kind = kind;
    block->file = file;
    block->line = line;
    block->round = round_now;
    block->stack.len = traced_now ? backtrace(block->stack.frames, FAULT_DEPTH) : 0;
    block->next = *bucket;
    *bucket = (int)(block - blocks) + 1;
    alive[kind]++;
    pthread_mutex_unlock(&lock);
    return at;
}

/* What is not known was made by the C library for us. */
static void forget(const void *at) {
    pthread_mutex_lock(&lock);
    for (int *link = bucket_of(at); at != NULL && *link != 0; link = &blocks[*link - 1].next) {
        fault_block *block = &blocks[*link - 1];
        if (block->at == at) {
            int index = *link;
            *link = block->next;
            block->next = free_block;
            block->at = NULL;
            free_block = index;
            alive[block->kind]--;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

long memory_alive(int kind) {
    return alive[kind];
}

long memory_mappings(void) {
    return mappings;
}

void memory_mapped(int by) {
    mappings += by;
}

void memory_begin_round(bool traced) {
    round_now++;
    traced_now = traced;
}

void memory_visit(void (*visit)(const fault_block *block, void *context), void *context) {
    for (int i = 0; i < fresh_block; i++) {
        if (blocks[i].at != NULL && blocks[i].round == round_now) {
            visit(&blocks[i], context);
        }
    }
}

/* --------------------------------------------------------------------------- whose memory it is */

/* As malloc(3) fails. */
static bool fails(int kind, const char *file, int line) {
    bool due = fault_due(kind, file, line);
    if (due) {
        errno = ENOMEM;
    }
    return due;
}

static void *take(int kind, size_t size, const char *file, int line) {
    if (fails(kind, file, line)) {
        return NULL;
    }
    return add(__real_malloc(size), size, kind, file, line);
}

static void give(void *block) {
    forget(block);
    __real_free(block);
}

/* A block that moves is forgotten first: its address may be another's at once. */
static void *resize(int kind, void *block, size_t size, const char *file, int line) {
    if (fails(kind, file, line)) {
        return NULL;
    }
    void *fresh = add(__real_malloc(size), size, kind, file, line);
    if (block != NULL && fresh != NULL) {
        pthread_mutex_lock(&lock);
        size_t had = 0;
        for (int i = *bucket_of(block); i != 0; i = blocks[i - 1].next) {
            had = blocks[i - 1].at == block ? blocks[i - 1].size : had;
        }
        pthread_mutex_unlock(&lock);
        memcpy(fresh, block, had < size ? had : size);
        give(block);
    }
    return fresh;
}

static void *openssl_take(size_t size, const char *file, int line) {
    return size == 0 ? NULL : take(FAULT_OPENSSL, size, file, line);
}

static void openssl_give(void *block, const char *file, int line) {
    (void)file, (void)line;
    give(block);
}

static void *openssl_resize(void *block, size_t size, const char *file, int line) {
    if (size == 0) {
        give(block);
        return NULL;
    }
    return resize(FAULT_OPENSSL, block, size, file, line);
}

#if defined(FAILING_HIREDIS) && HIREDIS_MAJOR >= 1 /* before, it aborts */
static void *hiredis_take(size_t size) {
    return take(FAULT_HIREDIS, size, NULL, 0);
}

static void *hiredis_take_zeroed(size_t n, size_t size) {
    void *block = take(FAULT_HIREDIS, n * size, NULL, 0);
    return block == NULL ? NULL : memset(block, 0, n * size);
}

static void *hiredis_resize(void *block, size_t size) {
    return resize(FAULT_HIREDIS, block, size, NULL, 0);
}

static char *hiredis_copy(const char *text) {
    char *copy = take(FAULT_HIREDIS, strlen(text) + 1, NULL, 0);
    return copy == NULL ? NULL : strcpy(copy, text);
}
#endif

bool memory_take_over(void) {
#if defined(FAILING_HIREDIS) && HIREDIS_MAJOR >= 1
    hiredisAllocFuncs functions = {hiredis_take, hiredis_take_zeroed, hiredis_resize, hiredis_copy,
                                   give};
    (void)hiredisSetAllocators(&functions);
#endif
    return CRYPTO_set_mem_functions(openssl_take, openssl_resize, openssl_give) == 1;
}

void *memory_of_lua(void *ud, void *block, size_t old_size, size_t new_size) {
    (void)ud;
    if (new_size == 0) {
        __real_free(block);
        return NULL;
    }
    if ((block == NULL || new_size > old_size) && fails(FAULT_LUA, NULL, 0)) {
        return NULL;
    }
    return __real_realloc(block, new_size);
}

/* ------------------------------------------------------------------------------------ our own */

void *__wrap_malloc(size_t size) {
    return take(FAULT_OURS, size, NULL, 0);
}

void *__wrap_calloc(size_t n, size_t size) {
    if (fails(FAULT_OURS, NULL, 0)) {
        return NULL;
    }
    return add(__real_calloc(n, size), n * size, FAULT_OURS, NULL, 0);
}

void *__wrap_realloc(void *block, size_t size) {
    return resize(FAULT_OURS, block, size, NULL, 0);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    if (fails(FAULT_OURS, NULL, 0)) {
        return NULL;
    }
    return add(__real_aligned_alloc(alignment, size), size, FAULT_OURS, NULL, 0);
}

char *__wrap_strdup(const char *text) {
    if (fails(FAULT_OURS, NULL, 0)) {
        return NULL;
    }
    return add(__real_strdup(text), strlen(text) + 1, FAULT_OURS, NULL, 0);
}

char *__wrap_strndup(const char *text, size_t len) {
    if (fails(FAULT_OURS, NULL, 0)) {
        return NULL;
    }
    return add(__real_strndup(text, len), strnlen(text, len) + 1, FAULT_OURS, NULL, 0);
}

void __wrap_free(void *block) {
    give(block);
}
