/*
 * source.c: reads the files that hold certificates, keys and the like.
 *
 * A file is read once and whole, so all that is made of it, and the policy's hash, is made of the
 * same bytes.
 *
 * An attacker who can write such a file would try to exhaust the process with a huge file, a device
 * or a FIFO that never ends. Only regular files of limited size are read. One who reads logs would
 * look for secrets in messages, such as a key that was given in place of the name of its file, or a
 * URI with a PIN or a password. Messages leave them out.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "tlslife.h"
#include "values/source.h"

#define PIN "pin-value="

/* Whether a text is no name: it has lines, or is the base64 of a SEQUENCE, as keys are. */
static bool looks_like_key(const char *text) {
    size_t len = strlen(text);
    size_t base64 =
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
    return strpbrk(text, "\r\n") != NULL || (len >= 40 && base64 == len && text[0] == 'M');
}

/*
 * Copies a URI to out without its password (RFC 3986), and without anything from a PIN on (RFC
 * 7512), because a malformed URI may have a part of the PIN elsewhere. Returns whether the URI had
 * a password or a PIN.
 */
static bool copy_without_secrets(const char *uri, char *out, size_t out_len) {
    const char *pin = strcasestr(uri, PIN), *slashes = strstr(uri, "://");
    const char *end = pin == NULL ? uri + strlen(uri) : pin + sizeof PIN - 1;
    const char *at = slashes == NULL ? NULL : strrchr(slashes, '@');
    const char *colon = at == NULL ? NULL : memchr(slashes + 3, ':', (size_t)(at - slashes) - 3);
    const char *dots = pin == NULL ? "" : "...";
    if (colon == NULL || colon >= end) {
        (void)snprintf(out, out_len, "%.*s%s", (int)(end - uri), uri, dots);
    } else {
        at = at < end ? at : end;
        (void)snprintf(out, out_len, "%.*s...%.*s%s", (int)(colon + 1 - uri), uri, (int)(end - at),
                       at, dots);
    }
    return colon != NULL || pin != NULL;
}

/* The name of the source in messages. */
static void set_name(tlsl_source *source, const char *name) {
    if (looks_like_key(name)) {
        source->is_secret = true;
        (void)snprintf(source->name, sizeof source->name,
                       "a text of %zu bytes that is neither PEM nor the name of a file",
                       strlen(name));
    } else {
        source->is_secret = copy_without_secrets(name, source->name, sizeof source->name);
    }
}

tlsl_source tlsl_source_of(const void *bytes, size_t len, const char *name) {
    tlsl_source source = {.bytes = (char *)(uintptr_t)bytes, .len = len};
    (void)snprintf(source.name, sizeof source.name, "%s", name);
    return source;
}

/* What was found in place of a regular file, for messages. */
static tlslife_status fail_unfit(const struct stat *about, const tlsl_source *source,
                                 tlslife_error *err) {
    char size[48];
    (void)snprintf(size, sizeof size, "has %lld bytes", (long long)about->st_size);
    const char *what = S_ISREG(about->st_mode)    ? size
                       : S_ISDIR(about->st_mode)  ? "is a directory"
                       : S_ISFIFO(about->st_mode) ? "is a FIFO"
                                                  : "is a device";
    return tlsl_fail(err, TLSLIFE_ERR_INPUT,
                     "%s %s, and a regular file of at most 16 MiB was expected", source->name,
                     what);
}

static tlslife_status read_all(int fd, tlsl_source *source, tlslife_error *err) {
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return tlsl_fail_system(err, errno, "cannot read %s", source->name);
    }
    if (!S_ISREG(status.st_mode) || (size_t)status.st_size > TLSL_SOURCE_MAX) {
        return fail_unfit(&status, source, err);
    }
    source->owned = true;
    source->bytes = malloc((size_t)status.st_size + 1);
    if (source->bytes == NULL) {
        return tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for %s", source->name);
    }
    for (ssize_t got = 1; got > 0 && source->len < (size_t)status.st_size;) {
        got = read(fd, source->bytes + source->len, (size_t)status.st_size - source->len);
        if (got < 0) {
            return tlsl_fail_system(err, errno, "cannot read %s", source->name);
        }
        source->len += (size_t)got;
    }
    return TLSLIFE_OK;
}

/* RFC 3986 section 3.1: a letter, then letters, digits, "+", "-" and ".", then ":". */
static bool has_scheme(const char *name) {
    size_t len = 0;
    while (isalnum((unsigned char)name[len]) ||
           (len > 0 && strchr("+-.", name[len]) != NULL && name[len] != '\0')) {
        len++;
    }
    return isalpha((unsigned char)name[0]) && name[len] == ':';
}

/* The path of a "file:" URI (RFC 8089) on this machine; any other name as it is. */
static const char *path_of(const char *name) {
    if (strncasecmp(name, "file:", 5) != 0) {
        return name;
    }
    if (strncmp(name + 5, "//", 2) != 0) {
        return name + 5;
    }
    const char *path = strchr(name + 7, '/');
    size_t host = path == NULL ? 0 : (size_t)(path - (name + 7));
    bool here = host == 0 || (host == 9 && strncasecmp(name + 7, "localhost", 9) == 0);
    return path != NULL && here ? path : name;
}

tlslife_status tlsl_source_open(const char *path, tlsl_source *out, tlslife_error *err) {
    *out = (tlsl_source){.uri = path};
    set_name(out, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT && has_scheme(path)) {
        const char *other = path_of(path);
        if (other == path && strncasecmp(path, "file:", 5) != 0) {
            return TLSLIFE_OK;
        }
        fd = open(other, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    }
    tlslife_status status =
        fd < 0 ? tlsl_fail_system(err, errno, "cannot open %s", out->name) : read_all(fd, out, err);
    if (fd >= 0) {
        close(fd);
    }
    if (status != TLSLIFE_OK) {
        tlsl_source_close(out);
        if (err != NULL && err->kind == TLSLIFE_ERR_SYSTEM) { /* the program has named the file */
            err->kind = TLSLIFE_ERR_INPUT;
        }
    }
    return status;
}

void tlsl_source_close(tlsl_source *source) {
    if (source->owned) {
        tlsl_wipe_free(source->bytes, source->len);
    }
    source->bytes = NULL;
}
