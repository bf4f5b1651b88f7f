/*
 * blocks.c: counts a process's blocks of memory by their size. bench/idle.lua preloads it.
 *
 * At SIGUSR2 it writes to standard error how many more blocks of each size are in use than at the
 * last SIGUSR2, as lines of size and count, and then "end". The size is what the program asked for,
 * and is kept in front of the block. Blocks with a special alignment, or larger than SIZES, are not
 * counted.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZES = 65536 };
#define MARK ((size_t)0x5ca1ab1e5ca1ab1e)

typedef struct header {
    size_t size;
    size_t mark; /* glibc has a size here before a block that is not ours */
} header;

void *__libc_malloc(size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

static atomic_long in_use[SIZES], before[SIZES];

static void count(size_t size, long by) {
    if (size < SIZES) {
        atomic_fetch_add(&in_use[size], by);
    }
}

static header *header_of(void *block) {
    header *self = (header *)block - 1;
    return block != NULL && self->mark == MARK ? self : NULL;
}

static void *take(size_t size) {
    header *self = size > SIZE_MAX - sizeof *self ? NULL : __libc_malloc(sizeof *self + size);
    if (self == NULL) {
        return NULL;
    }
    *self = (header){size, MARK};
    count(size, 1);
    return self + 1;
}

void *malloc(size_t size) {
    return take(size);
}

void free(void *ptr) {
    header *self = header_of(ptr);
    if (self == NULL) {
        __libc_free(ptr);
        return;
    }
    count(self->size, -1);
    self->mark = 0;
    __libc_free(self);
}

void *calloc(size_t nmemb, size_t size) {
    void *block = size > 0 && nmemb > SIZE_MAX / size ? NULL : take(nmemb * size);
    return block == NULL ? NULL : memset(block, 0, nmemb * size);
}

void *realloc(void *ptr, size_t size) {
    header *self = header_of(ptr);
    if (ptr != NULL && self == NULL) {
        return __libc_realloc(ptr, size);
    }
    void *copy = take(size);
    if (self != NULL && copy != NULL) {
        memcpy(copy, ptr, self->size < size ? self->size : size);
        free(ptr);
    }
    return copy;
}

/*
 * Writes the number before end, and returns where it begins. A signal's handler may not call
 * printf.
 */
static char *put_number(char *end, long number) {
    unsigned long left = number < 0 ? -(unsigned long)number : (unsigned long)number;
    do {
        *--end = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0) {
        *--end = '-';
    }
    return end;
}

static void tell(int number) {
    char line[64], *end = line + sizeof line;
    (void)number;
    for (long size = 0; size < SIZES; size++) {
        long now = atomic_load(&in_use[size]), more = now - atomic_exchange(&before[size], now);
        if (more != 0) {
            end[-1] = '\n';
            char *start = put_number(end - 1, more);
            *--start = ' ';
            start = put_number(start, size);
            (void)!write(STDERR_FILENO, start, (size_t)(end - start));
        }
    }
    (void)!write(STDERR_FILENO, "end\n", 4);
}

__attribute__((constructor)) static void begin(void) {
    (void)signal(SIGUSR2, tell);
}
