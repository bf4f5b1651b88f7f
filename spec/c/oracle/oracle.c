/*
 * oracle.c: the main program of the oracle (oracle.h), which says what libssl does.
 *
 * `oracle` runs every case, `oracle list` prints their names, `oracle NAME` runs one case, and
 * `oracle walk` runs the walks that it reads (oracle_walk.c). It exits with 2 if the oracle itself
 * cannot go on, because there is no such case or no memory. Whatever libssl does is a result.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "oracle.h"

bool case_begins(struct cases *cases, const char *name) {
    if (cases->wanted && strcmp(cases->wanted, name) != 0) {
        return false;
    }
    cases->met++;
    printf(cases->list_only ? "%s\n" : "%s:", name);
    return !cases->list_only;
}

void case_ends(void) {
    putchar('\n');
}

int main(int argc, char **argv) {
    struct cases cases = {0};
    if (argc > 2) {
        fprintf(stderr, "usage: oracle [list | walk | NAME]\n");
        return 2;
    }
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        cases.list_only = true;
    } else if (argc == 2) {
        cases.wanted = argv[1];
    }
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "walk") == 0) {
        read_walks();
        return fflush(stdout) == 0 ? 0 : 2;
    }
    matrix_walk(&cases);
    sequence_walk(&cases);
    state_walk(&cases);
    must(cases.met > 0, "no such case: see `oracle list`");
    return fflush(stdout) == 0 ? 0 : 2;
}
