/*
 * slab_lease.c: implements the lock of a shard, a word in the mapping that names its holder.
 *
 * A robust pthread mutex does not fit. While it is held it is a member of a list whose links are
 * addresses of the holder's process, lie in the mapping, and are written through when it is
 * unlocked. A slab holds offsets and never pointers, because a process that writes garbage into it
 * must not make another process write to any address. Garbage in a mutex's type can also make the C
 * library wait for ever or abort. And a robust mutex helps only against a dead holder. One that is
 * stopped (SIGSTOP, a debugger, a frozen container) would make every other process wait, each time,
 * as long as it is stopped.
 *
 * A free lease is 0. The process that replaces that by its own word holds the lease. A critical
 * section takes about a microsecond. A process that finds the lease taken spins, then sleeps in
 * short steps, and checks:
 *
 *   whether the holder's process has ended   Then the lease is broken at once. The process is known
 *                                            by its number if it is of the same pid namespace. A
 *                                            killed process that its parent has not waited for
 *                                            counts as ended.
 *   whether WAIT_MS have passed              Then the call gives up. The holder's word is noted as
 *                                            stuck, and until it changes other processes do not
 *                                            wait at all.
 *   whether it was stuck for STALE_MS        Then the lease is broken, too. The holder is stopped,
 *                                            or its number belongs to another process now.
 *
 * The process that breaks a lease drops the shard's content. If the previous holder was only
 * stopped, it continues in the middle of its work. It may damage some entries (the checksum finds
 * them). It does not release the lease, which is not its own any more. It writes to this shard
 * only, since it has never trusted an offset that it read there.
 *
 * An attacker, who must be the same user, could write words that look like a living holder, again
 * and again. That costs the entries of that shard, which become misses without a wait.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/process.h"
#include "cache/store/slab.h"

#define SPINS 200
#define YIELDS 8
#define NAP_NS 50000
#define WAIT_MS 20
#define ROUNDS_MAX 1000 /* more than the number of naps in WAIT_MS */
#define STALE_MS 1000

#define PID_MASK ((1u << TLSL_PROCESS_ID_BITS) - 1)

static uint32_t self(void) {
    return (uint32_t)tlsl_process();
}

/* -------------------------------------------------------------------- whether the holder lives */

/* Whether a process has ended. One that was not waited for yet still has its number. */
static bool has_ended(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        return errno == ESRCH;
    }
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    bool yes = poll(&ended, 1, 0) == 1;
    (void)close(fd);
    return yes;
}

/* Whether the holder's process has ended. Returns false if it lives or this process cannot know. */
static bool is_gone(uint64_t holder) {
    uint32_t who = (uint32_t)(holder >> 32);
    pid_t pid = (pid_t)(who & PID_MASK);
    if ((who & ~PID_MASK) != (self() & ~PID_MASK) || who == self()) {
        return false;
    }
    return pid == 0 || (kill(pid, 0) != 0 && errno == ESRCH) || has_ended(pid);
}

static uint64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool is_stuck(tlsl_lease *lease, uint64_t holder) {
    return atomic_load(&lease->stuck) == holder;
}

static void note_stuck(tlsl_lease *lease, uint64_t holder) {
    if (!is_stuck(lease, holder)) {
        atomic_store(&lease->stuck_since_ms, now_ms());
        atomic_store(&lease->stuck, holder);
    }
}

/*
 * Whether the holder was stuck for too long. A time in the future was not written by this library.
 */
static bool is_stale(tlsl_lease *lease, uint64_t holder) {
    uint64_t since = atomic_load(&lease->stuck_since_ms);
    uint64_t now = now_ms();
    return is_stuck(lease, holder) && (since > now || now - since > STALE_MS);
}

/* ---------------------------------------------------------------------------------------- lease */

/* Replaces the holder's word by this process's. Returns false if the word has changed meanwhile. */
static bool replace(tlsl_lease *lease, uint64_t before, uint32_t who, uint64_t *out_holding) {
    uint32_t turn = (uint32_t)atomic_load_explicit(&lease->turn, memory_order_relaxed) + 1;
    *out_holding = (uint64_t)who << 32 | turn;
    if (!atomic_compare_exchange_strong_explicit(&lease->holder, &before, *out_holding,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return false;
    }
    atomic_store_explicit(&lease->turn, turn, memory_order_relaxed);
    return true;
}

static void pause_briefly(unsigned round) {
    if (round < YIELDS) {
        (void)sched_yield();
    } else {
        struct timespec nap = {0, NAP_NS};
        (void)nanosleep(&nap, NULL);
    }
}

/*
 * Waits for a lease that was taken. Each round reads the holder again, since other processes may
 * have taken and released the lease meanwhile.
 */
static tlsl_leased wait_for(tlsl_lease *lease, uint64_t *out_holding) {
    uint64_t deadline = now_ms() + WAIT_MS;
    uint64_t holder = atomic_load_explicit(&lease->holder, memory_order_relaxed);
    for (unsigned round = is_stuck(lease, holder) ? YIELDS : 0; round < ROUNDS_MAX; round++) {
        holder = atomic_load_explicit(&lease->holder, memory_order_relaxed);
        if (holder == 0) {
            if (replace(lease, 0, self(), out_holding)) {
                return TLSL_LEASED;
            }
        } else if (round >= YIELDS && (is_gone(holder) || is_stale(lease, holder))) {
            if (replace(lease, holder, self(), out_holding)) {
                return TLSL_LEASED_BROKEN;
            }
        } else if (round >= YIELDS && (is_stuck(lease, holder) || now_ms() >= deadline)) {
            note_stuck(lease, holder);
            return TLSL_LEASED_NOT;
        } else {
            pause_briefly(round);
        }
    }
    return TLSL_LEASED_NOT; /* other processes were faster each time */
}

tlsl_leased tlsl_lease_take(tlsl_lease *lease, uint64_t *out_holding) {
    uint32_t who = self();
    for (unsigned i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&lease->holder, memory_order_relaxed) == 0 &&
            replace(lease, 0, who, out_holding)) {
            return TLSL_LEASED;
        }
    }
    return wait_for(lease, out_holding);
}

bool tlsl_lease_held(const tlsl_lease *lease, uint64_t holding) {
    return atomic_load_explicit(&lease->holder, memory_order_relaxed) == holding;
}

void tlsl_lease_give(tlsl_lease *lease, uint64_t holding) {
    (void)atomic_compare_exchange_strong_explicit(&lease->holder, &holding, 0, memory_order_release,
                                                  memory_order_relaxed);
}
