/*
 * secrets.h: declares what the files of secrets.c share.
 *
 * A life (secrets_lives.c and the others) runs in a process of its own. The process that scans it
 * gives it the secrets that it needs, and is told those that it derives. A life keeps no copy of
 * its own. It wipes what it was given once the library has it, and it wipes what it has told.
 */
#ifndef TLSLIFE_SPEC_SECRETS_H
#define TLSLIFE_SPEC_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct life {
    const char *name, *end; /* "private key", "free" */
    void (*live)(void);
} life;

/* Each until name NULL. */
extern const life plain_lives[], key_lives[], psk_lives[], c_lives[], trace_lives[], writer_lives[],
    lua_lives[], luasec_lives[], core_lives[];

enum { SECRET_MAX = 4096 };

/* -- what a life asks of the process that scans it */

/*
 * A secret of that name, and of len bytes, in memory that ungive wipes and frees; a NUL follows.
 * given_text gives one of the texts of secrets_texts.c (*out_len bytes).
 */
char *given(const char *name, size_t len);
char *given_text(const char *name, size_t *out_len);
void ungive(char *secret, size_t len);

/* Tells the scanning process a secret that this life has derived, and wipes it. */
void tell(const char *name, void *secret, size_t len);

/* Scans now: `held` must be found (names joined by ","), everything else need not be. */
void expect_held(const char *held);

/* Scans now: no secret may be found. Or none but those that are still in use. */
void expect_gone(void);
void expect_gone_but(const char *held);

/*
 * The life ends now, with a core dump in the folder in which it runs: `held` must be in it, and
 * nothing else.
 */
void expect_core(const char *held);

/* The life failed before its scan, because what it was to show did not happen. */
void expect_that(bool good, const char *what);

#endif
