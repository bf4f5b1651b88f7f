/*
 * foreign.c: tells ThreadSanitizer what it must know of libraries that are not instrumented, linked
 * into those programs of the tsan build that cannot say it themselves (CMakeLists.txt).
 *
 * ThreadSanitizer does not see OpenSSL's atomics. The last reference to a session frees it, after
 * all others have read it. That would look like a race, because the reference count that orders the
 * two is such an atomic. So the memory that OpenSSL frees is not watched. The same programs show
 * under AddressSanitizer that nothing reads it afterwards.
 *
 * libuv closes descriptors by bare system calls: a number that comes again looks like the old one.
 * What it calls is not looked at; for that it must stay loaded, which it does not by itself when a
 * Lua state is closed.
 */
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <stdlib.h>

/* Asked for by the sanitizer's library. */
#define SHOWN __attribute__((visibility("default")))
SHOWN const char *__tsan_default_options(void);
SHOWN const char *__tsan_default_suppressions(void);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

const char *__tsan_default_options(void) {
    return "ignore_noninstrumented_modules=1:detect_deadlocks=1:second_deadlock_stack=1";
}

const char *__tsan_default_suppressions(void) {
    return "called_from_lib:libuv.so\n";
}

static void *get_memory(size_t len, const char *file, int line) {
    (void)file, (void)line;
    return malloc(len);
}

static void *resize_memory(void *memory, size_t len, const char *file, int line) {
    (void)file, (void)line;
    return realloc(memory, len);
}

static void free_memory(void *memory, const char *file, int line) {
    AnnotateIgnoreWritesBegin(file, line);
    free(memory);
    AnnotateIgnoreWritesEnd(file, line);
}

/* Before OpenSSL's first allocation. */
__attribute__((constructor)) static void prepare(void) {
    (void)dlopen("libuv.so.1", RTLD_NOW | RTLD_NODELETE); /* not there: there is no luv either */
    if (CRYPTO_set_mem_functions(get_memory, resize_memory, free_memory) != 1) {
        abort();
    }
}
