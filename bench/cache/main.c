/*
 * main.c: the homes of sessions, measured. Memory beside OpenSSL's own cache, in one process and in
 * turns; then the shared slab with and without its seal; then Redis, one lookup at a time and many
 * at once. bench/cache.lua runs this and judges; what it prints is a line a row, in columns that a
 * tab parts:
 *
 *   name, ours (median, least, most), theirs (the same, or nothing)
 *
 *     cache [full] [redis-server's path]
 */
#include "benches.h"
#include "sessions.h"

#include <malloc.h>
#include <string.h>

int main(int argc, char **argv) {
    bool full = argc > 1 && strcmp(argv[1], "full") == 0;
    const char *redis = argc > 1 + full ? argv[1 + full] : NULL;
    /*
     * The heap's top stays: else one side's sessions are new pages each round, because they lie
     * there.
     */
    (void)mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024);
    (void)mallopt(M_TOP_PAD, 1024 * 1024);
    sessions_begin();
    bench_memory(full);
    bench_threads();
    bench_shared();
    if (redis != NULL) {
        bench_redis(redis);
    }
    sessions_end();
    return 0;
}
