/*
 * oracle_sequence.c: runs the oracle's cases that are sequences of calls. The sequences are in
 * oracle_life.c, oracle_session.c and oracle_shutdown.c.
 *
 * A case is KIND/ROLE/NAME.
 */
#include <stdio.h>

#include "oracle.h"

static void sequence_case(struct cases *cases, enum kind kind, enum role role,
                          const struct sequence *sequence) {
    char name[128];
    struct scene scene;
    snprintf(name, sizeof name, "%s/%s/%s", kind_name(kind), role_name(role), sequence->name);
    if (!case_begins(cases, name)) {
        return;
    }
    scene_open(&scene, kind, role);
    scene.argument = sequence->argument;
    sequence->run(&scene);
    scene_close(&scene);
    case_ends();
}

static void walk(struct cases *cases, const struct sequence *sequence) {
    for (; sequence->name; sequence++) {
        for (enum kind kind = 0; kind < KINDS; kind++) {
            for (enum role role = 0; role < ROLES; role++) {
                if (sequence->kinds & 1 << kind && sequence->roles & 1 << role) {
                    sequence_case(cases, kind, role, sequence);
                }
            }
        }
    }
}

void sequence_walk(struct cases *cases) {
    walk(cases, SHUTDOWN_SEQUENCES);
    walk(cases, LIFE_SEQUENCES);
    walk(cases, SESSION_SEQUENCES);
}
