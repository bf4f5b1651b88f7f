/*
 * lmetrics.c: implements tls.metrics and the functions by which workers share what they count.
 *
 * The text is held by a userdata until it is a Lua string, so that it is not lost where memory is
 * short.
 */
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lua/base/identity.h"
#include "lua/base/larg.h"
#include "lua/base/lerror.h"
#include "lua/base/lheld.h"
#include "lua/values/lmetrics.h"
#include "tlslife.h"

/* tls.metrics(format, context) */
int tlb_metrics(lua_State *L) {
    static const char *const formats[] = {"openmetrics", "prometheus", NULL};
    tlslife_metrics_format format =
        (tlslife_metrics_format)luaL_checkoption(L, 1, "openmetrics", formats);
    const tlslife_context *context =
        lua_isnoneornil(L, 2) ? NULL : tlb_check(L, 2, &tlb_context_type, NULL)->object;
    tlb_held *held = tlb_hold(L);
    held->string = tlslife_metrics_text(format, context);
    if (!held->string) {
        return luaL_error(L, "out of memory for metrics");
    }
    lua_pushstring(L, held->string);
    tlb_held_clear(held);
    return 1;
}

/* tls.metrics_count(event) */
int tlb_metrics_count(lua_State *L) {
    static const char *const events[] = {"handler_failed", "worker_ended", NULL};
    tlslife_metrics_count((tlslife_metrics_event)luaL_checkoption(L, 1, NULL, events));
    return 0;
}

/* tls.metrics_share(workers) */
int tlb_metrics_share(lua_State *L) {
    int fd = -1;
    tlslife_error err;
    unsigned workers = (unsigned)tlb_size(L, 1, 1, UINT16_MAX, -1);
    if (tlslife_metrics_share(workers, &fd, &err) != TLSLIFE_OK) {
        return tlb_fail(L, &err, NULL);
    }
    lua_pushinteger(L, fd);
    return 1;
}

/* tls.metrics_join(fd, worker) */
int tlb_metrics_join(lua_State *L) {
    tlslife_error err;
    int fd = (int)tlb_size(L, 1, 0, INT_MAX, -1);
    unsigned worker = (unsigned)tlb_size(L, 2, 1, UINT16_MAX, -1);
    if (tlslife_metrics_join(fd, worker, &err) != TLSLIFE_OK) {
        return tlb_fail(L, &err, NULL);
    }
    lua_pushboolean(L, true);
    return 1;
}

/* tls.metrics_publish() */
int tlb_metrics_publish(lua_State *L) {
    (void)L;
    tlslife_metrics_publish();
    return 0;
}

/* tls.metrics_leave(worker) */
int tlb_metrics_leave(lua_State *L) {
    tlslife_metrics_leave((unsigned)tlb_size(L, 1, 1, UINT16_MAX, -1));
    return 0;
}
