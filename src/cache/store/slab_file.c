/*
 * slab_file.c: opens the file of a slab, checks it, makes it if necessary, and maps it.
 *
 * "shm:name" is the POSIX shared memory object "/tlslife-name" (on Linux the file
 * /dev/shm/tlslife-name), so a store cannot wipe what another program keeps there. Anything else is
 * a path. Network file systems are not supported, since processes of different machines would not
 * see each other's writes.
 *
 * The first process makes the file. It writes a header with the state MAKING, allocates all of the
 * file's blocks (a store must not find the disk full later, which is a SIGBUS), and then writes the
 * header with the state READY. Making and checking happen under flock(2), which ends with the
 * process. So MAKING, seen under the lock, was left by a process that died.
 *
 * A file that is half made, belongs to an earlier boot of the machine, or is to be wiped, is
 * unlinked and made anew under the same name. It is never truncated or zeroed, because another
 * process may have mapped it and continues to use the unlinked file. The file would outlive a
 * restart of the machine, but its content is not used after one (boot_id). If the power failed, the
 * disk may still contain a ticket that was taken, and taking it is what prevents replays.
 *
 * An attacker may put a file of their own there first, but it must be a regular file of this user,
 * with mode 0600 and without a symbolic link. They may try to read this one, but its mode is 0600
 * whatever the umask is, and core dumps leave it out. They may truncate it while it is mapped,
 * which kills every process that uses it. That takes the same user or root, who can kill these
 * processes anyway. The file's size is checked when it is opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/private.h"
#include "cache/store/slab.h"
#include "tlslife.h"

#define VERSION 1
#define BYTE_ORDER_MARK 0x01020304u
#define TRIES 20
#define LOCK_WAIT_MS 10000
#define LOCK_NAP_MS 5

static const unsigned char magic[8] = {'t', 'l', 's', 'l', 's', 'l', 'a', 'b'};

_Static_assert(sizeof(tlsl_slab_header) == 112, "no padding: every byte of it is summed");
_Static_assert(sizeof(tlsl_slab_header) <= TLSL_SLAB_START, "it lies before the first shard");

typedef struct slab_name {
    const char *given; /* as the caller gave it, for messages */
    bool in_memory;
    char object[NAME_MAX + 16]; /* name for shm_open */
} slab_name;

typedef enum slab_result { SLAB_FAILED, SLAB_AGAIN, SLAB_USABLE } slab_result;

/* ----------------------------------------------------------------------------------------- name */

static bool name_of(const char *path, slab_name *out, tlslife_error *err) {
    const char *object = path + 4;
    *out = (slab_name){.given = path, .in_memory = strncmp(path, "shm:", 4) == 0};
    if (!out->in_memory) {
        return true;
    }
    if (object[0] == '\0' || strchr(object, '/') != NULL || strlen(object) > NAME_MAX - 16) {
        tlsl_fail(err, TLSLIFE_ERR_USAGE,
                  "%s: after \"shm:\" comes a name of 1 to %d characters, without /", path,
                  NAME_MAX - 16);
        return false;
    }
    (void)snprintf(out->object, sizeof out->object, "/tlslife-%s", object);
    return true;
}

static int name_open(const slab_name *name, int flags) {
    return name->in_memory ? shm_open(name->object, flags, S_IRUSR | S_IWUSR)
                           : tlsl_private_open(name->given, flags);
}

static bool name_unlink(const slab_name *name) {
    return (name->in_memory ? shm_unlink(name->object) : unlink(name->given)) == 0 ||
           errno == ENOENT;
}

/*
 * Whether the name still leads to the file that was opened. Another process may have replaced it
 * meanwhile.
 */
static bool name_leads_to(const slab_name *name, const struct stat *opened) {
    struct stat about;
    int fd = name_open(name, O_RDWR);
    bool same = fd >= 0 && fstat(fd, &about) == 0 && about.st_dev == opened->st_dev &&
                about.st_ino == opened->st_ino;
    if (fd >= 0) {
        (void)close(fd);
    }
    return same;
}

static slab_result failed(const slab_name *name, int system_errno, const char *what,
                          tlslife_error *err) {
    tlsl_fail_system(err, system_errno, "%s: cannot %s the shared store", name->given, what);
    return SLAB_FAILED;
}

static slab_result unusable(const slab_name *name, const char *why, tlslife_error *err) {
    tlsl_fail(err, TLSLIFE_ERR_INPUT, "%s: %s", name->given, why);
    return SLAB_FAILED;
}

/* --------------------------------------------------------------------------------------- header */

uint64_t tlsl_slab_header_sum(const tlsl_slab_header *header) {
    return tlsl_slab_sum(header, offsetof(tlsl_slab_header, sum), 0);
}

/* Gives zeros if the boot id cannot be read. Then a restart of the machine is not noticed. */
static void read_boot(unsigned char out[TLSL_SLAB_BOOT]) {
    memset(out, 0, TLSL_SLAB_BOOT);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, out, TLSL_SLAB_BOOT - 1) < 0) {
            memset(out, 0, TLSL_SLAB_BOOT);
        }
        (void)close(fd);
    }
}

static tlsl_slab_header header_of(const tlsl_slab_plan *plan, uint32_t state) {
    tlsl_slab_header header = {
        .order = BYTE_ORDER_MARK,
        .version = VERSION,
        .word_len = sizeof(size_t),
        .state = state,
        .bytes = plan->bytes,
        .shards = plan->shards,
        .shard_len = plan->shard_len,
        .buckets = plan->buckets,
        .ring_len = plan->ring_len,
    };
    memcpy(header.magic, magic, sizeof magic);
    read_boot(header.boot);
    header.sum = tlsl_slab_header_sum(&header);
    return header;
}

/* An unknown boot id counts as the same. */
static bool same_boot(const tlsl_slab_header *a, const tlsl_slab_header *b) {
    return a->boot[0] == 0 || b->boot[0] == 0 || memcmp(a->boot, b->boot, sizeof a->boot) == 0;
}

static bool same_plan(const tlsl_slab_header *a, const tlsl_slab_header *b) {
    return a->state == b->state && a->bytes == b->bytes && a->shards == b->shards &&
           a->shard_len == b->shard_len && a->buckets == b->buckets && a->ring_len == b->ring_len;
}

#define REMEDY "; remove it, or open it with wipe"

/*
 * The reason why a file cannot be used, or NULL. *out_stale means that it is a slab that was left
 * half made, or that belongs to an earlier boot of the machine.
 */
static const char *fault_of(const tlsl_slab_header *found, off_t file_len,
                            const tlsl_slab_plan *plan, bool *out_stale) {
    tlsl_slab_header wanted = header_of(plan, TLSL_SLAB_READY);
    *out_stale = false;
    if (memcmp(found->magic, magic, sizeof magic) != 0) {
        return "this is not a shared store, but something else" REMEDY;
    }
    if (found->order != wanted.order || found->word_len != wanted.word_len ||
        found->version != VERSION) {
        return "this shared store was made by another version of tlslife, or on another kind of "
               "machine" REMEDY;
    }
    if (found->sum != tlsl_slab_header_sum(found)) {
        return "this shared store is damaged" REMEDY;
    }
    if (found->state == TLSL_SLAB_MAKING || !same_boot(found, &wanted)) {
        *out_stale = true;
        return NULL;
    }
    if (found->bytes != wanted.bytes) {
        return "this shared store was made with another size; use the same, remove it, or open "
               "it with wipe";
    }
    if (!same_plan(found, &wanted) || (uint64_t)file_len != wanted.bytes) {
        return "this shared store is damaged, or was cut" REMEDY;
    }
    return NULL;
}

/*
 * After the end of a short file the header is zeros. A read that a signal has stopped, or that gave
 * less, is no end: a good slab would be taken for a damaged one.
 */
static bool header_read(int fd, tlsl_slab_header *out) {
    size_t got = 0;
    ssize_t n = 1;
    memset(out, 0, sizeof *out);
    while (n != 0 && got < sizeof *out) {
        n = pread(fd, (char *)out + got, sizeof *out - got, (off_t)got);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool header_write(int fd, const tlsl_slab_plan *plan, uint32_t state) {
    tlsl_slab_header header = header_of(plan, state);
    size_t put = 0;
    while (put < sizeof header) {
        ssize_t n = pwrite(fd, (const char *)&header + put, sizeof header - put, (off_t)put);
        if (n == 0) {
            errno = ENOSPC;
        }
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
        put += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* --------------------------------------------------------------------------------------- making */

/* Checks the process's limit for a file's size. Writing beyond it would raise SIGXFSZ. */
static bool limit_allows(size_t bytes) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
           bytes <= limit.rlim_cur;
}

static int allocate_room(int fd, size_t bytes) {
    int problem = EINTR;
    for (int i = 0; problem == EINTR && i < TRIES; i++) {
        problem = posix_fallocate(fd, 0, (off_t)bytes);
    }
    return problem;
}

/* Makes a slab of an empty file. Returns a value of errno, or 0. */
static int fill(int fd, const tlsl_slab_plan *plan) {
    if (!limit_allows(plan->bytes)) {
        return EFBIG;
    }
    if (!header_write(fd, plan, TLSL_SLAB_MAKING)) {
        return errno;
    }
    int problem = allocate_room(fd, plan->bytes);
    return problem != 0 || header_write(fd, plan, TLSL_SLAB_READY) ? problem : errno;
}

/* Makes a slab, and removes the file if that fails. */
static slab_result make(const slab_name *name, int fd, const tlsl_slab_plan *plan,
                        tlslife_error *err) {
    int problem = fill(fd, plan);
    if (problem == 0) {
        return SLAB_USABLE;
    }
    (void)name_unlink(name);
    return failed(name, problem, "make", err);
}

/* -------------------------------------------------------------------------------------- judging */

static slab_result inspect(const slab_name *name, const struct stat *about, tlslife_error *err) {
    if (!S_ISREG(about->st_mode)) {
        return unusable(name, "a shared store is a regular file, not a directory, pipe or device",
                        err);
    }
    const char *fault = tlsl_private_fault(about);
    return fault == NULL ? SLAB_USABLE : unusable(name, fault, err);
}

/*
 * Waits for the file's lock, which another process holds while it makes the file. That takes as
 * long as the disk needs. Returns false and sets errno if it fails or takes too long.
 */
static bool lock_file(int fd) {
    const struct timespec nap = {0, LOCK_NAP_MS * 1000000L};
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += LOCK_NAP_MS) {
        if (errno != EWOULDBLOCK || waited >= LOCK_WAIT_MS) {
            return false;
        }
        (void)nanosleep(&nap, NULL);
    }
    return true;
}

static slab_result replace(const slab_name *name, tlslife_error *err) {
    return name_unlink(name) ? SLAB_AGAIN : failed(name, errno, "remove", err);
}

/* Checks the file, and makes or removes it if necessary. The lock is held. */
static slab_result settle(const slab_name *name, int fd, const tlsl_slab_plan *plan, bool wipe,
                          tlslife_error *err) {
    struct stat about;
    tlsl_slab_header found;
    bool stale = false;
    if (fstat(fd, &about) != 0 || !header_read(fd, &found)) {
        return failed(name, errno, "read", err);
    }
    if (!name_leads_to(name, &about)) {
        return SLAB_AGAIN;
    }
    if (about.st_size == 0) {
        return make(name, fd, plan, err);
    }
    const char *fault = fault_of(&found, about.st_size, plan, &stale);
    if (stale || (fault != NULL && wipe)) {
        return replace(name, err);
    }
    return fault == NULL ? SLAB_USABLE : unusable(name, fault, err);
}

static slab_result judge(const slab_name *name, int fd, const tlsl_slab_plan *plan, bool wipe,
                         tlslife_error *err) {
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return failed(name, errno, "read", err);
    }
    slab_result result = inspect(name, &about, err);
    if (result != SLAB_USABLE) {
        return result;
    }
    return lock_file(fd) ? settle(name, fd, plan, wipe, err) : failed(name, errno, "lock", err);
}

/* -------------------------------------------------------------------------------------- opening */

/*
 * Returns the descriptor, or -1. *result tells why it is -1: FAILED, with err, or AGAIN, without,
 * if another process made or removed the file at this moment.
 */
static int open_or_create(const slab_name *name, slab_result *result, tlslife_error *err) {
    int fd = name_open(name, O_RDWR);
    if (fd < 0 && errno == ENOENT) {
        fd = tlsl_private_created(name_open(name, O_RDWR | O_CREAT | O_EXCL));
    }
    if (fd >= 0) {
        return fd;
    }
    if (errno == EEXIST) {
        *result = SLAB_AGAIN;
    } else if (errno == ELOOP) {
        *result = unusable(name, "a shared store is not opened through a symbolic link", err);
    } else {
        *result = failed(name, errno, "open", err);
    }
    return -1;
}

static unsigned char *map_file(const slab_name *name, int fd, size_t bytes, tlslife_error *err) {
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        failed(name, errno, "map", err);
        return NULL;
    }
    if (madvise(map, bytes, MADV_DONTDUMP) != 0) {
        failed(name, errno, "keep core dumps from", err);
        (void)munmap(map, bytes);
        return NULL;
    }
    return map;
}

unsigned char *tlsl_slab_map(const char *path, const tlsl_slab_plan *plan, bool wipe,
                             tlslife_error *err) {
    slab_name name;
    if (!name_of(path, &name, err)) {
        return NULL;
    }
    for (int i = 0; i < TRIES; i++) {
        slab_result result = SLAB_FAILED;
        unsigned char *map = NULL;
        int fd = open_or_create(&name, &result, err);
        if (fd >= 0) {
            result = judge(&name, fd, plan, wipe, err);
            map = result == SLAB_USABLE ? map_file(&name, fd, plan->bytes, err) : NULL;
            /* Unlocked because the mapping would keep the lock after close. */
            (void)flock(fd, LOCK_UN);
            (void)close(fd);
        }
        if (result != SLAB_AGAIN) {
            return map;
        }
    }
    failed(&name, EBUSY, "agree with other processes on", err);
    return NULL;
}
