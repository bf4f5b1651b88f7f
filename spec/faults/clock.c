/*
 * clock.c: makes a clock that jumps, or stands still. Preloaded into a server, it adds to the time
 * of day the seconds that the file named in TLSLIFE_CLOCK_FILE holds, eight bytes in the machine's
 * order, which spec/faults changes while the server runs. Eight more bytes, if they are not 0, are
 * the time at which it stands still (spec/random/clock.lua). The monotonic clock stays as it is, as
 * it does where an operator or NTP sets the time.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef struct setting {
    _Atomic(int64_t) offset;
    _Atomic(int64_t) stopped_at;
} setting;

static setting none;
static setting *set = &none;

__attribute__((constructor)) static void map_offset(void) {
    const char *path = getenv("TLSLIFE_CLOCK_FILE");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (map != MAP_FAILED) {
        set = map;
    }
    if (fd >= 0) {
        close(fd);
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t stopped_at = set->stopped_at;
        time->tv_sec = stopped_at != 0 ? (time_t)stopped_at : time->tv_sec + (time_t)set->offset;
        time->tv_nsec = stopped_at != 0 ? 0 : time->tv_nsec;
    }
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return -1;
    }
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return (time_t)-1;
    }
    if (result != NULL) {
        *result = now.tv_sec;
    }
    return now.tv_sec;
}
