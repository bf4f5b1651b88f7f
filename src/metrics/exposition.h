/*
 * exposition.h: metrics as the text that a monitoring system reads. exposition.c.
 */
#ifndef TLSLIFE_EXPOSITION_H
#define TLSLIFE_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlslife.h"

#define TLSL_LABELS_MAX 4

typedef struct tlsl_label {
    const char *name; /* NULL: none; of a list, the end */
    const char *value;
} tlsl_label;

typedef struct tlsl_exposition {
    tlslife_metrics_format format;
    const char *name; /* of the family that is being written */
    const char *suffix;
    char *text;
    size_t len, size;
    bool failed; /* memory is short: the text is not whole */
} tlsl_exposition;

typedef enum tlsl_metric_kind { TLSL_GAUGE, TLSL_COUNTER, TLSL_TIMES } tlsl_metric_kind;

/*
 * Begins a family of metrics. name is a literal without "_total"; that of times ends in "_seconds",
 * and so does that of a gauge that has this unit.
 */
void tlsl_exposition_family(tlsl_exposition *to, tlsl_metric_kind kind, const char *name,
                            const char *help);
/* A sample of the family, which is a gauge or a counter. labels ends at TLSL_LABELS_MAX or NULL. */
void tlsl_exposition_sample(tlsl_exposition *to, const tlsl_label *labels, int64_t value);
/* A histogram of the family, from the array of numbers that begins there (counters.h). */
void tlsl_exposition_times(tlsl_exposition *to, const tlsl_label *labels, const uint64_t *numbers);
/* Ends the text, which the caller frees. NULL: out of memory. */
char *tlsl_exposition_end(tlsl_exposition *to);

#endif
