/*
 * keylog.c: opens and writes the file for a context's key-log lines, and hands the lines of a
 * connection to the program.
 *
 * The file is a regular one, or a FIFO that another process reads, such as a program that decrypts
 * a capture while it runs. A reader of the lines can decrypt the traffic. So the file must satisfy
 * the same conditions as a shared store's file: it belongs to this user, has the mode 0600, and is
 * not reached through a symbolic link.
 *
 * A connection does not wait for its key log, and does not fail because of it. Lines are lost when
 * the disk or the FIFO is full, or when the FIFO's reader has gone. A line is one write, so that
 * threads and processes may share a file. A disk that becomes full in the middle of a line leaves a
 * part of it; the next line then begins with a newline, and is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/private.h"
#include "net/fd.h"
#include "tls/context/context.h"
#include "tls/settings/keylog.h"
#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tls/state/traced.h"
#include "tlslife.h"

#define TRIES 20
#define KEYLOG_LINES_MAX 64 /* that no call has taken; lines beyond them are dropped */

/*
 * Returns the descriptor, or -1 with errno. It tries several times, because another process may
 * create or remove the file at the same moment.
 */
static int open_or_create(const char *path) {
    int fd = -1;
    errno = ENOENT;
    for (int i = 0; i < TRIES && fd < 0 && (errno == ENOENT || errno == EEXIST); i++) {
        int flags = O_WRONLY | O_APPEND;
        fd = i % 2 == 0 ? tlsl_private_open(path, flags)
                        : tlsl_private_created(tlsl_private_open(path, flags | O_CREAT | O_EXCL));
    }
    return fd;
}

static const char *fault_of(const struct stat *about) {
    return S_ISREG(about->st_mode) || S_ISFIFO(about->st_mode)
               ? tlsl_private_fault(about)
               : "a key log is a regular file or a FIFO, not a directory, device or socket";
}

/* The reason why the file was not opened, where errno's text would not help; else NULL. */
static const char *refusal(const char *path, int failure) {
    struct stat about;
    if (failure == ELOOP) {
        return "a key log is not opened through a symbolic link";
    }
    if (failure == ENXIO && stat(path, &about) == 0) {
        return S_ISFIFO(about.st_mode) ? "no process reads from this FIFO; start its reader first"
                                       : fault_of(&about);
    }
    return NULL;
}

/* Writes the error. Its kind is INPUT, because the program has named the file. */
static void refuse(const char *path, int failure, const char *fault, tlslife_error *err) {
    if (fault != NULL) {
        tlsl_fail(err, TLSLIFE_ERR_INPUT, "%s: %s", path, fault);
        return;
    }
    tlsl_fail_system(err, failure, "cannot open the key log %s", path);
    if (err != NULL && err->kind == TLSLIFE_ERR_SYSTEM) {
        err->kind = TLSLIFE_ERR_INPUT;
    }
}

static int open_log(const char *path, tlslife_error *err) {
    struct stat about;
    int fd = open_or_create(path);
    bool opened = fd >= 0 && fstat(fd, &about) == 0;
    int failure = errno;
    const char *fault = opened ? fault_of(&about) : refusal(path, failure);
    if (opened && fault == NULL) {
        return fd;
    }
    refuse(path, failure, fault, err);
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

static struct iovec part(const char *text) {
    return (struct iovec){(char *)(uintptr_t)text, strlen(text)};
}

void tlsl_keylog_write(tlslife_context *context, const char *line) {
    bool torn = atomic_load_explicit(&context->keylog_torn, memory_order_relaxed);
    const struct iovec parts[] = {part(torn ? "\n" : ""), part(line), part("\n")};
    ssize_t whole = (ssize_t)(parts[0].iov_len + parts[1].iov_len + parts[2].iov_len);
    ssize_t put = tlsl_write_quietly(context->keylog_fd, parts, 3);
    if (put > 0 && (torn || put != whole)) {
        atomic_store_explicit(&context->keylog_torn, put != whole, memory_order_relaxed);
    }
}

/* ----------------------------------------------------------------------- lines of a connection */

static void on_keylog(const SSL *ssl, const char *text) {
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn == NULL) {
        return;
    }
    if (tlsl_traced(conn)) {
        tlsl_traced_keylog(conn, text);
    }
    size_t size = strlen(text) + 1;
    tlsl_line *line = malloc(sizeof *line + size);
    tlsl_line **end = &conn->keylog;
    for (int n = 0; *end != NULL && n < KEYLOG_LINES_MAX; n++) {
        end = &(*end)->next;
    }
    if (line == NULL || *end != NULL) {
        free(line);
        return;
    }
    line->next = NULL;
    memcpy(line->text, text, size);
    *end = line;
    conn->facts = true;
}

char *tlslife_conn_take_keylog(tlslife_conn *conn) {
    tlsl_line *line = conn->keylog;
    if (line == NULL) {
        return NULL;
    }
    char *text = strdup(line->text);
    conn->keylog = line->next;
    OPENSSL_cleanse(line->text, strlen(line->text));
    free(line);
    return text;
}

void tlsl_keylog_drop(tlslife_conn *conn) {
    while (conn->keylog != NULL) {
        tlsl_line *line = conn->keylog;
        conn->keylog = line->next;
        OPENSSL_cleanse(line->text, strlen(line->text));
        free(line);
    }
}

/* ---------------------------------------------------------------------------------- the setting */

void tlsl_keylog_install(tlslife_context *context) {
    SSL_CTX_set_keylog_callback(context->ctx, on_keylog);
}

tlslife_status tlslife_context_set_keylog(tlslife_context *context, const char *path,
                                          tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (path != NULL) {
        int fd = open_log(path, err);
        if (fd < 0) {
            return TLSLIFE_ERROR;
        }
        if (context->keylog_fd >= 0) {
            close(context->keylog_fd);
        }
        context->keylog_fd = fd;
    }
    context->keylog_keep = path == NULL;
    tlsl_keylog_install(context);
    return TLSLIFE_OK;
}
