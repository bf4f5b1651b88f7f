/*
 * store.c: implements what all stores share, which is their memory, the reference count and the
 * public functions that call a store's verbs.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/error.h"
#include "cache/store/store.h"
#include "tlslife.h"

tlslife_store *tlsl_store_new(const tlsl_store_verbs *verbs, size_t size, tlslife_error *err) {
    tlslife_store *store = calloc(1, size);
    if (store == NULL) {
        (void)tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for a store");
        return NULL;
    }
    store->verbs = verbs;
    atomic_init(&store->refs, 1);
    return store;
}

tlslife_store *tlslife_store_up_ref(tlslife_store *store) {
    atomic_fetch_add_explicit(&store->refs, 1, memory_order_relaxed);
    return store;
}

void tlslife_store_free(tlslife_store *store) {
    if (store != NULL && atomic_fetch_sub_explicit(&store->refs, 1, memory_order_acq_rel) == 1) {
        store->verbs->destroy(store);
    }
}

int tlslife_store_fd(tlslife_store *store, bool *out_writing, int *out_timeout_ms) {
    *out_writing = false;
    *out_timeout_ms = -1;
    return store->verbs->fd == NULL ? -1 : store->verbs->fd(store, out_writing, out_timeout_ms);
}

void tlslife_store_pump(tlslife_store *store) {
    if (store->verbs->pump != NULL) {
        store->verbs->pump(store);
    }
}
