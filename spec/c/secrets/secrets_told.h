/*
 * secrets_told.h: tells the scanning process the secret in a line of a key log, for the lives of
 * spec/c/secrets/secrets.c.
 */
#ifndef TLSLIFE_SPEC_SECRETS_TOLD_H
#define TLSLIFE_SPEC_SECRETS_TOLD_H

#include "secrets.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

/* "LABEL random secret", both in hexadecimal. */
static inline void tell_keylog_line(const char *line) {
    char label[64];
    unsigned char bytes[64];
    size_t len = 0;
    const char *at = strrchr(line, ' ');
    (void)snprintf(label, sizeof label, "%.*s", (int)strcspn(line, " "), line);
    for (at++; len < sizeof bytes && at[0] != '\0' && at[1] != '\0'; at += 2) {
        unsigned high = (unsigned)(at[0] <= '9' ? at[0] - '0' : at[0] - 'a' + 10);
        unsigned low = (unsigned)(at[1] <= '9' ? at[1] - '0' : at[1] - 'a' + 10);
        bytes[len++] = (unsigned char)(high << 4 | low);
    }
    tell(label, bytes, len);
}

#endif
