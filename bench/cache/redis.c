/*
 * redis.c: Redis, one lookup at a time and many at once. The server is one of our own, by a unix
 * socket.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "benches.h"
#include "scene.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define IN_FLIGHT 64

static char redis_directory[] = "/tmp/tlslife-bench.XXXXXX";
static char redis_socket[64];

static bool redis_listens(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, redis_socket, sizeof redis_socket);
    bool listens = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return listens;
}

/* 0: it does not come up. */
static pid_t redis_start(const char *program) {
    demand(mkdtemp(redis_directory) != NULL, "no directory");
    (void)snprintf(redis_socket, sizeof redis_socket, "%s/socket", redis_directory);
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL) {
            _exit(127);
        }
        (void)execl(program, "redis-server", "--port", "0", "--unixsocket", redis_socket, "--save",
                    "", "--dir", redis_directory, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 300; i++) {
        if (redis_listens()) {
            return pid;
        }
        (void)usleep(10000);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return 0;
}

static void redis_stop(pid_t pid) {
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
    (void)unlink(redis_socket);
    (void)rmdir(redis_directory);
}

static void wait_for_store(tlslife_store *store) {
    bool writing = false;
    int timeout_ms = -1;
    int fd = tlslife_store_fd(store, &writing, &timeout_ms);
    struct pollfd one = {.fd = fd, .events = (short)(POLLIN | (writing ? POLLOUT : 0))};
    (void)poll(&one, fd >= 0 ? 1 : 0, timeout_ms >= 0 && timeout_ms < 1000 ? timeout_ms : 1000);
    tlslife_store_pump(store);
}

/* So many lookups at once, until all are answered; how many were hits. */
static size_t look_up(tlslife_store *store, size_t len, uint32_t first) {
    static tlsl_inquiry all[IN_FLIGHT];
    size_t pending = 0, hits = 0;
    double deadline = wall() + 3;
    for (size_t i = 0; i < len; i++) {
        all[i] = (tlsl_inquiry){.found = TLSL_FOUND_MISS};
        far_key((first + (uint32_t)i) % IN_FLIGHT, all[i].key);
        store->verbs->ask(store, &all[i]);
        pending += all[i].found == TLSL_FOUND_PENDING;
    }
    while (pending > 0 && wall() < deadline) {
        wait_for_store(store);
        pending = 0;
        for (size_t i = 0; i < len; i++) {
            if (all[i].found == TLSL_FOUND_PENDING) {
                store->verbs->ask(store, &all[i]);
                pending += all[i].found == TLSL_FOUND_PENDING;
            }
        }
    }
    for (size_t i = 0; i < len; i++) {
        if (all[i].found == TLSL_FOUND_PENDING) {
            store->verbs->cancel(store, &all[i]);
        }
        hits += all[i].found == TLSL_FOUND_HIT;
        free(all[i].bytes);
    }
    return hits;
}

static void measure_lookups(tlslife_store *store, size_t at_once, series *latency,
                            series *work_of) {
    enum { LOOKUPS = 16 * IN_FLIGHT };
    double before = wall(), cpu_before = cpu();
    size_t hits = 0;
    for (uint32_t i = 0; i < LOOKUPS; i += (uint32_t)at_once) {
        hits += look_up(store, at_once, i);
    }
    demand(hits == LOOKUPS, "Redis has lost something");
    add(latency, (wall() - before) * 1e9 / (double)LOOKUPS);
    add(work_of, (cpu() - cpu_before) * 1e9 / (double)LOOKUPS);
}

static bool redis_fill(far_scene *scene) {
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        unsigned char key[TLSL_STORE_KEY];
        far_key(i, key);
        demand(scene->store->verbs->put(scene->store, key, scene->sealed, scene->sealed_len, LIVES),
               "not put");
    }
    for (int i = 0; i < 5; i++) {
        if (look_up(scene->store, IN_FLIGHT, 0) == IN_FLIGHT) {
            return true;
        }
        (void)usleep(10000);
    }
    return false;
}

void bench_redis(const char *program) {
    pid_t pid = redis_start(program);
    tlslife_redis_options options = {.unix_path = redis_socket, .timeout_ms = 2000};
    tlslife_store *store = pid > 0 ? tlslife_store_redis(&options, NULL) : NULL;
    if (store == NULL) {
        printf("note\t%s\n", pid > 0 ? "this build has no Redis" : "redis-server does not start");
    } else {
        far_scene scene;
        series alone = {.len = 0}, alone_cpu = {.len = 0}, many = {.len = 0}, many_cpu = {.len = 0};
        far_init(&scene, store);
        demand(redis_fill(&scene), "Redis does not answer");
        for (int round = 0; round < ROUNDS; round++) {
            measure_lookups(store, 1, &alone, &alone_cpu);
            measure_lookups(store, IN_FLIGHT, &many, &many_cpu);
        }
        print_row("Redis, time a lookup", &many, &alone);
        print_row("Redis, our CPU a lookup", &many_cpu, &alone_cpu);
        far_clear(&scene);
    }
    if (pid > 0) {
        redis_stop(pid);
    }
}
