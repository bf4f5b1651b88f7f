/*
 * exposition.c: writes metrics as text: OpenMetrics 1.0, or the older format of Prometheus.
 *
 * The two differ in the name of a counter's family, which has no "_total" in OpenMetrics, in the
 * line of a unit and in the last line. Bounds of buckets are written as OpenMetrics demands in both
 * formats ("1.0"), so that a change of the format makes no other series.
 *
 * An attacker who can choose the value of a label would write lines of his own. So values are
 * escaped. No value that reaches this file is a peer's; the names of servers are the program's.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/counters.h"
#include "metrics/exposition.h"
#include "tlslife.h"

#define MICRO 1000000u
#define SIZE_FIRST ((size_t)16 * 1024)
#define LINE_MAX_LEN 512 /* bytes of what is written at once: names, and texts of this library */

/* ----------------------------------------------------------------------------------------- text */

/* Makes room for len bytes, at most LINE_MAX_LEN, and a NUL. false: out of memory. */
static bool reserve(tlsl_exposition *to, size_t len) {
    if (to->failed || to->len + len < to->size) {
        return !to->failed;
    }
    size_t size = to->size == 0 ? SIZE_FIRST : to->size * 2;
    char *text = realloc(to->text, size);
    to->failed = text == NULL;
    if (text != NULL) {
        to->text = text;
        to->size = size;
    }
    return text != NULL;
}

static void add(tlsl_exposition *to, const char *text, size_t len) {
    if (reserve(to, len)) {
        memcpy(to->text + to->len, text, len);
        to->len += len;
    }
}

static void say(tlsl_exposition *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(tlsl_exposition *to, const char *format, ...) {
    char line[LINE_MAX_LEN];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof line) {
        to->failed = true;
    } else {
        add(to, line, (size_t)len);
    }
}

static void add_escaped(tlsl_exposition *to, const char *value) {
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            add(to, "\\n", 2);
        } else {
            if (*value == '"' || *value == '\\') {
                add(to, "\\", 1);
            }
            add(to, value, 1);
        }
    }
}

/* ------------------------------------------------------------------------------------- families */

static bool ends_in(const char *name, const char *end) {
    size_t len = strlen(name), end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

void tlsl_exposition_family(tlsl_exposition *to, tlsl_metric_kind kind, const char *name,
                            const char *help) {
    static const char *const kinds[] = {"gauge", "counter", "histogram"};
    bool open = to->format == TLSLIFE_METRICS_OPENMETRICS;
    to->name = name;
    to->suffix = kind == TLSL_COUNTER ? "_total" : "";
    const char *end = open ? "" : to->suffix;
    say(to, "# TYPE %s%s %s\n", name, end, kinds[kind]);
    if (open && ends_in(name, "_seconds")) {
        say(to, "# UNIT %s seconds\n", name);
    }
    say(to, "# HELP %s%s %s\n", name, end, help);
}

/* Writes what precedes a sample's value: its name, and its labels with that of a bucket. */
static void begin(tlsl_exposition *to, const char *suffix, const tlsl_label *labels,
                  const char *le) {
    char before = '{';
    say(to, "%s%s", to->name, suffix);
    for (size_t i = 0; i < TLSL_LABELS_MAX && labels[i].name != NULL; i++) {
        say(to, "%c%s=\"", before, labels[i].name);
        add_escaped(to, labels[i].value);
        add(to, "\"", 1);
        before = ',';
    }
    if (le != NULL) {
        say(to, "%cle=\"%s\"", before, le);
        before = ',';
    }
    if (before == ',') {
        add(to, "}", 1);
    }
    add(to, " ", 1);
}

void tlsl_exposition_sample(tlsl_exposition *to, const tlsl_label *labels, int64_t value) {
    begin(to, to->suffix, labels, NULL);
    say(to, "%" PRId64 "\n", value);
}

/* "0.0005", "1.0", "+Inf" */
static void write_bound(unsigned bucket, char out[16]) {
    uint32_t us = tlsl_count_bound(bucket);
    if (us == 0) {
        (void)snprintf(out, 16, "+Inf");
        return;
    }
    int len = snprintf(out, 16, "%u.%06u", (unsigned)(us / MICRO), (unsigned)(us % MICRO));
    while (len > 2 && out[len - 1] == '0' && out[len - 2] != '.') {
        out[--len] = '\0';
    }
}

void tlsl_exposition_times(tlsl_exposition *to, const tlsl_label *labels, const uint64_t *numbers) {
    uint64_t count = 0, sum_us = numbers[TLSL_BUCKETS];
    for (unsigned i = 0; i < TLSL_BUCKETS; i++) {
        char bound[16];
        count += numbers[i];
        write_bound(i, bound);
        begin(to, "_bucket", labels, bound);
        say(to, "%" PRIu64 "\n", count);
    }
    begin(to, "_count", labels, NULL);
    say(to, "%" PRIu64 "\n", count);
    begin(to, "_sum", labels, NULL);
    say(to, "%" PRIu64 ".%06u\n", sum_us / MICRO, (unsigned)(sum_us % MICRO));
}

char *tlsl_exposition_end(tlsl_exposition *to) {
    add(to, "# EOF\n", to->format == TLSLIFE_METRICS_OPENMETRICS ? 6 : 0);
    if (reserve(to, 0)) {
        to->text[to->len] = '\0';
        return to->text;
    }
    free(to->text);
    return NULL;
}
