/*
 * trace.h: declares what adds events to a trace, for the core's own files. trace.c.
 */
#ifndef TLSLIFE_TRACE_H
#define TLSLIFE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "tlslife.h"

/* Nanoseconds since the trace was made, by a clock that never jumps. */
uint64_t tlsl_trace_now(const tlslife_trace *trace);
/* Whether the trace was made for secrets, too. */
bool tlsl_trace_secrets(const tlslife_trace *trace);
/* A number for one more connection, from 1. */
uint64_t tlsl_trace_number(tlslife_trace *trace);
/*
 * Adds a copy of event, and of its data, which may be secret. name is kept by its address. at_ns
 * and lost are set here. Where memory is short, or the event is larger than the trace, it counts as
 * lost. Any thread may call it, also under a callback of OpenSSL's: it does no I/O and never waits
 * longer than another thread takes to add or take an event.
 */
void tlsl_trace_add(tlslife_trace *trace, const tlslife_trace_event *event);

/*
 * A number for a ticket or a session id, by which a reader of the trace knows it again. The bytes
 * cannot be had from it. 0: there are none.
 */
uint64_t tlsl_trace_tag(const unsigned char *bytes, size_t len);

#endif
