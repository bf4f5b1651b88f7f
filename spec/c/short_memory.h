/*
 * short_memory.h: lets an allocation of OpenSSL's fail. short_memory_begin comes before the first
 * call of OpenSSL; from then on the allocation number which after arm fails, and with and_on all
 * that follow it, too, until disarm.
 */
#ifndef TLSLIFE_SPEC_SHORT_MEMORY_H
#define TLSLIFE_SPEC_SHORT_MEMORY_H

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>

static long short_count, short_nth; /* 0: none fails */
static bool short_on;

static bool short_due(void) {
    return short_nth != 0 && (++short_count == short_nth || (short_on && short_count > short_nth));
}

static void *short_get(size_t size, const char *file, int line) {
    (void)file, (void)line;
    return size == 0 || short_due() ? NULL : malloc(size);
}

static void *short_resize(void *block, size_t size, const char *file, int line) {
    (void)file, (void)line;
    return short_due() ? NULL : realloc(block, size);
}

static void short_give(void *block, const char *file, int line) {
    (void)file, (void)line;
    free(block);
}

static bool short_memory_begin(void) {
    return CRYPTO_set_mem_functions(short_get, short_resize, short_give) == 1;
}

static void arm(long which, bool and_on) {
    short_count = 0;
    short_nth = which;
    short_on = and_on;
}

/* Whether the allocation that was to fail was reached. */
static bool disarm(void) {
    bool met = short_count >= short_nth;
    short_nth = 0;
    return met;
}

#endif
