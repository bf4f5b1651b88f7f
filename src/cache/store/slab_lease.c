/*
 * slab_lease.c: the lock of a shard: a word in the mapping, which says who holds it.
 *
 * Why not a robust pthread mutex: while it is held it is a member of a list, whose links are
 * addresses of the holder's own and lie in the mapping; unlocking writes through them. A slab holds
 * offsets and never pointers, because whoever scribbles into it must not make another process write
 * anywhere. Scribbling on a mutex's kind can also make the C library wait without end or abort. And
 * a robust mutex helps against a dead holder only: one that is stopped (SIGSTOP, a debugger, a
 * frozen container) would cost everybody the wait, each time, for as long as it likes.
 *
 * So: a free lease is 0; whoever replaces that by its own word has it. A critical section is a
 * microsecond. Who finds it taken spins, then sleeps a little and looks whether
 *
 *   the holder's process is gone   (by its number, where it is of the same pid namespace; a killed one that
 *                                  nobody has waited for yet counts as gone): the lease is broken at once
 *   WAIT_MS have passed            nobody waits longer; that word is noted as stuck, and until it changes
 *                                  others do not wait at all
 *   it has been stuck for STALE_MS a stopped holder, or a number that was given to another process: broken too
 *
 * Whoever breaks a lease drops the shard's content. A holder that was only asleep then wakes in the
 * middle of what it was doing: it may spoil some entries (the checksum finds them), it does not
 * give back what is no longer its own, and it writes nowhere but into this shard, since it has
 * never believed a place that it read there.
 *
 * What an attacker (of the same user) would try: words that look like a living holder, for ever.
 * Costs that shard's entries: misses, without a wait.
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
#define ROUNDS_MAX 1000 /* more than there are naps in WAIT_MS */
#define STALE_MS 1000

#define PID_MASK ((1u << TLSL_PROCESS_ID_BITS) - 1)

static uint32_t self(void) {
    return (uint32_t)tlsl_process();
}

/* ---------------------------------------------------------------------------- the holder's fate */

/* A process that has ended and was not waited for yet still has its number. */
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

/* false: it lives, or nobody can tell. */
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

/* A time that lies ahead was never noted by us. */
static bool is_stale(tlsl_lease *lease, uint64_t holder) {
    uint64_t since = atomic_load(&lease->stuck_since_ms);
    uint64_t now = now_ms();
    return is_stuck(lease, holder) && (since > now || now - since > STALE_MS);
}

/* ---------------------------------------------------------------------------------------- lease */

/* Ours in place of what was there; false: that is there no longer. */
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

static void pause_a_little(unsigned round) {
    if (round < YIELDS) {
        (void)sched_yield();
    } else {
        struct timespec nap = {0, NAP_NS};
        (void)nanosleep(&nap, NULL);
    }
}

/* It was taken. Each round looks afresh: the lease may have gone from hand to hand meanwhile. */
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
            pause_a_little(round);
        }
    }
    return TLSL_LEASED_NOT; /* others were faster each time */
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
