/*
 * exposition_test.c: tests the text of metrics (src/metrics/exposition.c) with labels that no
 * metric of today has.
 *
 * The labels that come from a program are the names of servers, in which nothing needs an escape.
 * The escapes are those of OpenMetrics 1.0, and of Prometheus' older format, which has the same.
 */
#include "metrics/exposition.h"
#include "tlslife.h"

#include "check.h"

#include <stdlib.h>

/* A gauge with one sample whose one label has that value. */
static char *text_of(const char *value) {
    const tlsl_label labels[TLSL_LABELS_MAX] = {{"label", value}};
    tlsl_exposition to = {.format = TLSLIFE_METRICS_OPENMETRICS};
    tlsl_exposition_family(&to, TLSL_GAUGE, "name", "help");
    tlsl_exposition_sample(&to, labels, 1);
    return tlsl_exposition_end(&to);
}

static void check_sample(const char *value, const char *escaped) {
    static const char head[] = "# TYPE name gauge\n# HELP name help\nname{label=\"",
                      end[] = "\"} 1\n# EOF\n";
    char wanted[512];
    char *text = text_of(value);
    (void)snprintf(wanted, sizeof wanted, "%s%s%s", head, escaped, end);
    CHECK_TEXT(text, wanted);
    free(text);
}

/* A line that a label's value would add is no line of the text. */
static void values_are_escaped(void) {
    check_sample("", "");
    check_sample("a.example", "a.example");
    check_sample("\"", "\\\"");
    check_sample("\\", "\\\\");
    check_sample("\n", "\\n");
    check_sample("\"} 1\nforged 2\n# ", "\\\"} 1\\nforged 2\\n# ");
    check_sample("\\n", "\\\\n");
    check_sample("\xc3\xa9\t", "\xc3\xa9\t"); /* all else stands as it is */
}

/* Values longer than any buffer, in one piece. */
static void values_may_be_long(void) {
    for (size_t len = 16000; len < 300000; len = 2 * len + 1) {
        char *value = malloc(len + 1);
        memset(value, 'v', len);
        value[len] = '\0';
        char *text = text_of(value);
        const char *found = text == NULL ? NULL : strstr(text, value);
        CHECK(found != NULL && strcmp(found + len, "\"} 1\n# EOF\n") == 0);
        free(text);
        free(value);
    }
}

/* A name or a help that is no literal of this library's size fails; the text is never cut. */
static void names_have_a_bound(void) {
    char name[1024];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    tlsl_exposition to = {.format = TLSLIFE_METRICS_PROMETHEUS};
    tlsl_exposition_family(&to, TLSL_COUNTER, name, "help");
    CHECK(tlsl_exposition_end(&to) == NULL);
}

int main(void) {
    values_are_escaped();
    values_may_be_long();
    names_have_a_bound();
    return checks_end();
}
