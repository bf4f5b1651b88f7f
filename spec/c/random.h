/*
 * random.h: gives tests that try many cases their random numbers, which are the same for the same
 * seed.
 */
#ifndef TLSLIFE_SPEC_RANDOM_H
#define TLSLIFE_SPEC_RANDOM_H

#include <stdint.h>

/* The next 31 bits of the sequence that *state is at. */
static inline uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

#endif
