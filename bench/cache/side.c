/*
 * side.c: caches and what they are filled with.
 */
#include "side.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_LIVES 300 /* seconds */

void side_init(side *one, bool ours, size_t capacity) {
    memset(one, 0, sizeof *one);
    if (ours) {
        tlslife_cache_options options = tlslife_cache_defaults();
        options.capacity = capacity;
        one->cache = tlslife_cache_new(&options, NULL);
        demand(one->cache != NULL, "no cache");
        return;
    }
    one->ctx = SSL_CTX_new(TLS_method());
    demand(one->ctx != NULL, "no context");
    SSL_CTX_set_session_cache_mode(one->ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_cache_size(one->ctx, (long)capacity + 1); /* a cache of n holds n - 1 */
    one->ssl = SSL_new(one->ctx);
    demand(one->ssl != NULL, "no SSL");
}

long filling_lives(timeouts which, double share) {
    return which == MIXED ? SHORT_LIVES + (long)((LIVES - SHORT_LIVES) * share) : LIVES;
}

static long batch_lives(timeouts which, uint64_t *state) {
    if (which == MIXED) {
        return SHORT_LIVES + (long)(next_random(state) % (LIVES - SHORT_LIVES));
    }
    return which == SHORTENED ? SHORT_LIVES : LIVES;
}

static size_t bytes_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

size_t side_fill(side *one, size_t entries, timeouts which) {
    one->resident = malloc(entries * sizeof(SSL_SESSION *));
    demand(one->resident != NULL, "out of memory");
    for (size_t i = 0; i < entries; i++) {
        one->resident[i] = make_session(one->made++, newest_version(),
                                        filling_lives(which, (double)i / (double)entries));
    }
    size_t before = bytes_in_use();
    for (size_t i = 0; i < entries; i++) {
        put(one, one->resident[i]);
    }
    one->resident_len = entries;
    return bytes_in_use() - before;
}

void batch_make(side *one, size_t len, timeouts which) {
    uint64_t state = 7;
    for (size_t i = 0; i < len; i++) {
        one->batch[i] = make_session(one->made++, newest_version(), batch_lives(which, &state));
    }
    one->batch_len = len;
}

void batch_free(side *one) {
    for (size_t i = 0; i < one->batch_len; i++) {
        SSL_SESSION_free(one->batch[i]);
    }
    one->batch_len = 0;
}

void side_clear(side *one) {
    tlslife_cache_free(one->cache);
    SSL_free(one->ssl);
    SSL_CTX_free(one->ctx);
    for (size_t i = 0; i < one->resident_len; i++) {
        SSL_SESSION_free(one->resident[i]);
    }
    free(one->resident);
}
