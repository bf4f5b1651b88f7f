/*
 * fuzz_metrics: counts in memory that other processes can write to, and joins what is not such
 * memory. The input is a list of steps. A step writes bytes into the shared blocks, counts or ends
 * a worker, makes the memory larger, or joins a descriptor of another file, of any size.
 *
 * The text of the metrics is whole, whatever the blocks hold: lines with a name and a number, and
 * in OpenMetrics the line EOF at its end. No other file is joined, and each refusal has a reason.
 *
 * A process joins once, so a join that succeeds is left to spec/serve/metrics_spec.lua.
 *
 * floor: src/metrics/counters.c 28
 * floor: src/metrics/exposition.c 25
 * floor: src/tls/conn/metrics.c 16
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "fuzz.h"
#include "tlslife.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int shared = -1;
static tlslife_context *server;

static void write_block(fuzz_input *input) {
    struct stat about;
    size_t at = take_byte(input) << 8 | take_byte(input);
    fuzz_input bytes = take_bytes(input, take_byte(input));
    if (bytes.left > 0) {
        must(fstat(shared, &about) == 0);
        at = at * 8 % (size_t)about.st_size;
        size_t most = (size_t)about.st_size - at;
        size_t len = bytes.left < most ? bytes.left : most;
        must(pwrite(shared, bytes.at, len, (off_t)at) == (ssize_t)len);
    }
}

static void share(unsigned workers) {
    tlslife_error err;
    if (tlslife_metrics_share(workers, &shared, &err) != TLSLIFE_OK) {
        must(err.message[0] != '\0');
    }
}

/* A file of any size but that of a block's multiple, or a worker that the memory has not. */
static void join(fuzz_input *input) {
    tlslife_error err = {.message = ""};
    unsigned how = take_byte(input), size = take_byte(input) << 8 | take_byte(input);
    int other = memfd_create("foreign", MFD_CLOEXEC);
    must(other >= 0 && ftruncate(other, (off_t)(size * 8 + 1)) == 0);
    int fd = how % 4 == 0 ? -1 : how % 4 == 1 ? shared : other;
    unsigned worker = fd == shared ? 5000U + size : size;
    must(tlslife_metrics_join(fd, worker, &err) == TLSLIFE_ERROR && err.message[0] != '\0');
    (void)close(other);
}

static void check_text(tlslife_metrics_format format) {
    char *text = tlslife_metrics_text(format, server);
    must(text != NULL);
    const char *line = text, *last = text;
    for (const char *stop; (stop = strchr(line, '\n')) != NULL; line = stop + 1) {
        last = line;
        const char *space = memrchr(line, ' ', (size_t)(stop - line));
        must(line[0] == '#' || (space != NULL && strchr("0123456789-+N", space[1]) != NULL));
    }
    must(line[0] == '\0');
    must(format != TLSLIFE_METRICS_OPENMETRICS || strcmp(last, "# EOF\n") == 0);
    tlslife_string_free(text);
}

static void step(fuzz_input *input) {
    unsigned what = take_byte(input);
    switch (what % 8) {
    case 0: tlslife_metrics_count((tlslife_metrics_event)(what >> 3)); break;
    case 1: tlslife_metrics_leave(take_byte(input)); break;
    case 2: share(what >> 3); break;
    case 3: join(input); break;
    case 4: check_text(TLSLIFE_METRICS_OPENMETRICS); break;
    case 5: check_text(TLSLIFE_METRICS_PROMETHEUS); break;
    default: write_block(input); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    fuzz_input input = {bytes, len};
    if (server == NULL) {
        server = fuzz_server_context();
        share(2);
        must(shared >= 0);
    }
    for (int i = 0; i < 40 && input.left > 0; i++) {
        step(&input);
    }
    check_text(TLSLIFE_METRICS_OPENMETRICS);
    return 0;
}

static void make_seeds(void) {
    static const char numbers[] = "\6\0\0\20\377\377\377\377\377\377\377\377\1\2\3\4\5\6\7\10\4\5";
    static const char workers[] = "\0\10\1\1\2\42\1\377\4";
    static const char foreign[] = "\3\0\0\1\3\1\0\1\3\2\1\0\3\3\0\0\52";
    write_seed("numbers", numbers, sizeof numbers - 1);
    write_seed("workers", workers, sizeof workers - 1);
    write_seed("foreign", foreign, sizeof foreign - 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    return 0;
}
