/*
 * process.c: computes a number that this process keeps and none of its children has.
 *
 * A child of fork() inherits everything in its parent's memory, connections too, and must not go on
 * with them. Asking the kernel for the process id costs as much as the rest of a lookup in a slab,
 * so the number is kept on a page that the kernel clears in every child. pthread_atfork would miss
 * the children that _Fork and clone make. The process id alone would not do, since a child in a new
 * pid namespace may have its parent's.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"

static pthread_once_t page_once = PTHREAD_ONCE_INIT;
/*
 * Holds the number, 0 until it is first asked for. NULL with a kernel before 4.14, which is asked
 * each time.
 */
static _Atomic uint64_t *page;
/* Inherited by children, so a child's numbers are higher than its parent's. */
static _Atomic uint32_t last_number;

static void map_page(void) {
    size_t len = (size_t)sysconf(_SC_PAGESIZE);
    void *mapped = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped != MAP_FAILED && madvise(mapped, len, MADV_WIPEONFORK) == 0) {
        page = mapped;
    } else if (mapped != MAP_FAILED) {
        (void)munmap(mapped, len);
    }
}

/* The low 32 bits: the namespace and the id of this process. */
static uint32_t namespace_and_id(void) {
    struct stat about;
    uint32_t space = stat("/proc/self/ns/pid", &about) == 0 ? (uint32_t)about.st_ino : 0;
    return space << TLSL_PROCESS_ID_BITS |
           ((uint32_t)getpid() & ((1u << TLSL_PROCESS_ID_BITS) - 1));
}

/* If several threads ask at once, the number of the first is kept. */
static uint64_t ask(void) {
    uint64_t before = 0;
    if (page == NULL) {
        return namespace_and_id();
    }
    uint64_t asked = (uint64_t)(atomic_fetch_add(&last_number, 1) + 1) << 32 | namespace_and_id();
    return atomic_compare_exchange_strong(page, &before, asked) ? asked : before;
}

uint64_t tlsl_process(void) {
    (void)pthread_once(&page_once, map_page);
    uint64_t known = page == NULL ? 0 : atomic_load_explicit(page, memory_order_relaxed);
    return known != 0 ? known : ask();
}
