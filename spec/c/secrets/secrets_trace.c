/*
 * secrets_trace.c: records the key log in traces that were made for secrets, and lets go of its
 * events in each way in which an event can go, for secrets.c.
 */
#include "secrets.h"
#include "secrets_pair.h"
#include "secrets_told.h"
#include "tlslife.h"

#include <openssl/crypto.h>
#include <string.h>

enum { BYTES = 1 << 20, LEAST = 4096 };

/*
 * A connection whose client records in a trace. Its secrets are told from events of another trace,
 * which is the server's, since both ends have the same; so the first trace has all its events.
 */
static pair traced_pair(tlslife_trace *trace, tlslife_trace *told) {
    pair self = new_pair(TLSLIFE_TLS1_3, false);
    OK(tlslife_context_set_trace(self.client_context, trace, &err));
    OK(tlslife_context_set_trace(self.server_context, told, &err));
    begin(&self);
    return self;
}

/* Takes the events of a trace, and tells what is in its lines of the key log. */
static unsigned take_events(tlslife_trace *trace) {
    unsigned lines = 0;
    tlslife_trace_event *event;
    while ((event = tlslife_trace_next(trace)) != NULL) {
        if (event->kind == TLSLIFE_TRACE_KEYLOG) {
            char line[512];
            expect_that(event->data_len < sizeof line, "a line of the key log");
            memcpy(line, event->data, event->data_len);
            line[event->data_len] = '\0';
            tell_keylog_line(line);
            OPENSSL_cleanse(line, sizeof line);
            lines++;
        }
        tlslife_trace_event_free(event);
    }
    return lines;
}

/* A handshake after which the trace alone has the secrets of the connection. */
static void record(tlslife_trace *trace) {
    tlslife_trace *told = tlslife_trace_new(BYTES, true, &err);
    pair self = traced_pair(trace, told);
    for (int i = 0; i < 8; i++) {
        (void)tlslife_conn_connect(self.client);
        (void)tlslife_conn_accept(self.server);
    }
    expect_that(tlslife_conn_handshake_done(self.client), "a handshake");
    expect_that(take_events(told) > 0, "lines of the key log");
    end_connections(&self);
    end_contexts(&self);
    tlslife_trace_free(told);
}

static void taken(void) {
    tlslife_trace *trace = tlslife_trace_new(BYTES, true, &err);
    record(trace);
    expect_held("CLIENT_TRAFFIC_SECRET_0,EXPORTER_SECRET");
    expect_that(take_events(trace) > 0, "lines of the key log");
    expect_gone();
    tlslife_trace_free(trace);
}

/* The program has one event when the trace is freed. */
static void not_taken(void) {
    tlslife_trace *trace = tlslife_trace_new(BYTES, true, &err);
    record(trace);
    tlslife_trace_event *event = tlslife_trace_next(trace);
    while (event != NULL && event->kind != TLSLIFE_TRACE_KEYLOG) {
        tlslife_trace_event_free(event);
        event = tlslife_trace_next(trace);
    }
    tlslife_trace_free(tlslife_trace_up_ref(trace));
    expect_held("CLIENT_TRAFFIC_SECRET_0,EXPORTER_SECRET");
    tlslife_trace_free(trace);
    expect_held("SERVER_HANDSHAKE_TRAFFIC_SECRET"); /* the first line */
    tlslife_trace_event_free(event);
    expect_gone();
}

/* A trace is too small for a second handshake beside the first one's lines. */
static void overwritten(void) {
    tlslife_trace *trace = tlslife_trace_new(LEAST, true, &err);
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, &err);
    record(trace);
    expect_held("EXPORTER_SECRET");
    OK(tlslife_context_set_trace(context, trace, &err));
    for (int i = 0; i < LEAST / 32; i++) {
        tlslife_conn_free(tlslife_conn_new(context, &err));
    }
    expect_that(tlslife_trace_lost(trace) > LEAST / 64, "events that were lost");
    expect_gone();
    tlslife_context_free(context);
    tlslife_trace_free(trace);
}

static void without_secrets(void) {
    tlslife_trace *trace = tlslife_trace_new(BYTES, false, &err);
    record(trace);
    expect_gone();
    tlslife_trace_free(trace);
}

/* Lines of the key log that no call has taken, on connections that end in each way. */
static void lines_dropped(bool clears) {
    tlslife_trace *told = tlslife_trace_new(BYTES, true, &err);
    pair self = traced_pair(NULL, told);
    for (int i = 0; i < 8; i++) {
        (void)tlslife_conn_connect(self.client);
        (void)tlslife_conn_accept(self.server);
    }
    expect_that(take_events(told) > 0, "lines of the key log");
    tlslife_trace_free(told);
    expect_held("CLIENT_TRAFFIC_SECRET_0,EXPORTER_SECRET,CLIENT_HANDSHAKE_TRAFFIC_SECRET");
    if (clears) {
        OK(tlslife_conn_clear(self.client));
        OK(tlslife_conn_clear(self.server));
        expect_held("CLIENT_TRAFFIC_SECRET_0"); /* the program may still take the lines */
    }
    end_connections(&self);
    end_contexts(&self);
    expect_gone();
}

static void lines_freed(void) {
    lines_dropped(false);
}

static void lines_cleared(void) {
    lines_dropped(true);
}

const life trace_lives[] = {
    {"trace", "events taken", taken},
    {"trace", "free, events not taken", not_taken},
    {"trace", "events overwritten", overwritten},
    {"trace", "without secrets", without_secrets},
    {"key log", "free, lines not taken", lines_freed},
    {"key log", "free after clear, lines not taken", lines_cleared},
    {NULL, NULL, NULL},
};
