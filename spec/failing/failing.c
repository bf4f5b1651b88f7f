/*
 * failing: lets every n-th allocation and every n-th call of the system fail, in scenes that are
 * whole lives of connections and sessions, and looks at what comes of it.
 *
 *   failing [--runs N] [--seed N] [--jobs N] [--kind NAME] [--said] [--stacks] [--across]
 *           [--all] [--redis PATH] FILE SCENE...
 *
 * FILE is scenes.lua; the scene "plain" is a life in C on libssl alone. Each failure has a process
 * of its own, so that a crash, a hang and whatever is made once belong to it. --runs is how many
 * failures of a kind are tried at most in a scene (all by default); --seed chooses them. --stacks
 * leaves out the calls whose stack an earlier call of the scene had; --across also those with a
 * stack that has failed in an earlier scene of this run in the same way, so that the order of the
 * scenes matters. --said shows how the scenes ended. --all says that these are all scenes: what
 * none of them has called is a finding, since it could not fail. What is found is printed with the
 * options that play it again:
 *
 *   failing --kind openssl --mode once --only 217 --how 12 FILE SCENE
 */
#include "life.h"

#include "tlslife.h"
#include "tlslife_lua.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 16
#define HANG_SECONDS 120 /* of the clock, beside other jobs on two slow cores */
#define CRASHED 98
#define KIND_CALLS 1000 /* --kind calls: all of the system's */
#define SEEN_MAX 512
#define TRIED (1U << 27)

typedef struct job {
    pid_t pid; /* 0: none */
    fault_plan plan;
    life_report *report; /* shared with the process */
    char errors[96];     /* the file of its stderr */
} job;

typedef struct seen { /* findings, or what was said, that are alike */
    char text[LIFE_TEXT];
    long times;
} seen;

typedef struct totals { /* shared by all processes */
    long allocations, calls, findings, scenes, of_others;
    char plain[SEEN_MAX][200]; /* findings of plain C on libssl */
    int plain_len;
    long reached[FAULT_KINDS]; /* how many calls of each kind the scenes have made */
} totals;

static struct {
    long runs, seed, only;
    int jobs, kind, mode, how;
    bool said, stacks, across, all;
    const char *redis, *file;
    char directory[64];
} options = {.runs = 1L << 30, .jobs = 2, .kind = -1, .mode = -1};

static job jobs[JOBS_MAX];
static totals *all;
static seen said[SEEN_MAX], found[SEEN_MAX], others[SEEN_MAX];
static life_scene scene;
static unsigned (*marks)[FAULT_MARKS]; /* shared: the stacks of the calls in the clean run */
static unsigned char *tried;           /* shared: TRIED bits, one for each stack that has failed */
static life_report *own_report;        /* of the process that plays */

/* --------------------------------------------------------------------------------- where it was */

static const char *mode_name(fault_mode mode) {
    static const char *const names[] = {"once", "twice", "on"};
    return names[mode];
}

/* A frame of ours: its function by addr2line(1). Static functions have no other name. */
static void name_own(const Dl_info *in, const char *frame, char *out, size_t out_len) {
    char command[256];
    (void)snprintf(command, sizeof command, "addr2line -s -f -e '%s' %#lx", in->dli_fname,
                   (unsigned long)(frame - (const char *)in->dli_fbase - 1));
    FILE *pipe = popen(command, "r");
    char function[80] = "?", place[80] = "?";
    if (pipe != NULL) {
        (void)!fscanf(pipe, "%79s %79s", function, place);
        (void)pclose(pipe);
    }
    (void)snprintf(out, out_len, "%s(%s)", function, place);
}

static bool is_of_machine(const char *name) {
    static const char *const ours[] = {"failing_", "handler", "?(", "failing.c"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strstr(name, ours[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void print_stack(const char *title, const fault_stack *stack) {
    printf("        %s:", title);
    int shown = 0;
    for (int i = 0; i < stack->len && shown < 9; i++) {
        Dl_info in;
        char name[200];
        const char *frame = stack->frames[i];
        if (dladdr(frame, &in) == 0) {
            continue;
        }
        const char *base = strrchr(in.dli_fname, '/');
        if (strstr(in.dli_fname, ".so") == NULL) {
            name_own(&in, frame, name, sizeof name);
        } else if (in.dli_sname != NULL) {
            (void)snprintf(name, sizeof name, "%s", in.dli_sname);
        } else {
            (void)snprintf(name, sizeof name, "%s+%#lx", base == NULL ? in.dli_fname : base + 1,
                           (unsigned long)(frame - (const char *)in.dli_fbase));
        }
        if (!is_of_machine(name)) {
            printf("%s %s", shown++ > 0 ? " <" : "", name);
        }
    }
    printf("\n");
}

/* -------------------------------------------------------------------------- a failure's process */

/* Ends a process that has crashed; the parent looks at the stack, whose addresses are its own. */
static void on_crash(int number) {
    own_report->stacks[0].len = backtrace(own_report->stacks[0].frames, FAULT_DEPTH);
    own_report->stacks_len = 1;
    own_report->site_stack = *fault_site_stack();
    int line;
    const char *file = fault_site(&line);
    if (file != NULL) {
        (void)snprintf(own_report->site, sizeof own_report->site, "%s:%d", file, line);
    }
    own_report->delivered = fault_delivered();
    if (number == SIGALRM) {
        life_finding(own_report, "hang: %d s", HANG_SECONDS);
    } else {
        life_finding(own_report, "crash: signal %d", number);
    }
    _exit(CRASHED);
}

static void play_in_process(job *one) {
    own_report = one->report;
    int errors = open(one->errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    (void)dup2(errors, STDERR_FILENO);
    (void)close(errors);
    (void)signal(SIGALRM, on_crash);
    (void)signal(SIGSEGV, on_crash);
    (void)signal(SIGABRT, on_crash);
    (void)signal(SIGBUS, on_crash);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)alarm(HANG_SECONDS);
    fault_mark(one->plan.nth == 0 && options.stacks ? marks : NULL);
    life_examine(&scene, &one->plan, one->report);
    one->report->ended = true;
    _exit(0);
}

static void start(job *one, const fault_plan *plan) {
    one->plan = *plan;
    memset(one->report, 0, sizeof *one->report);
    (void)fflush(stdout);
    one->pid = fork();
    if (one->pid == 0) {
        play_in_process(one);
    }
}

/* -------------------------------------------------------------------------------- what is found */

/* Counts a text; whether it is new. */
static bool note(seen *list, const char *text) {
    for (int i = 0; i < SEEN_MAX; i++) {
        if (list[i].times == 0) { /* the place is all zeros */
            memcpy(list[i].text, text, strnlen(text, LIFE_TEXT - 1));
        }
        if (strncmp(list[i].text, text, LIFE_TEXT - 1) == 0) {
            return list[i].times++ == 0;
        }
    }
    return true;
}

/* What is the same fault of libssl wherever it is seen. */
static void signature_of(const life_report *report, const char *finding, char *out, size_t len) {
    const char *blocks = strncmp(finding, "leak", 4) == 0 ? strstr(finding, " OpenSSL") : NULL;
    (void)snprintf(out, len, "%.5s %s%s", finding, report->site, blocks == NULL ? "" : blocks);
}

static bool is_of_libssl(const job *one, const char *finding) {
    char signature[200];
    signature_of(one->report, finding, signature, sizeof signature);
    if (scene.file == NULL && all->plain_len < SEEN_MAX) {
        (void)snprintf(all->plain[all->plain_len++], 200, "%s", signature);
    }
    for (int i = 0; i < all->plain_len; i++) {
        if (strcmp(all->plain[i], signature) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_in_stack(const char *function, const fault_stack *stack) {
    bool is_in = function == NULL;
    for (int i = 0; i < stack->len && !is_in; i++) {
        Dl_info in;
        is_in = dladdr(stack->frames[i], &in) != 0 && in.dli_sname != NULL &&
                strcmp(in.dli_sname, function) == 0;
    }
    return is_in;
}

/* Why it is no fault of ours: one of failing_known.c, or plain C on libssl has it. Or NULL. */
static const char *reason_of(const job *one, const char *finding) {
    for (const known_fault *fault = known_faults; fault->reason != NULL; fault++) {
        if (fault->kind == one->plan.kind && strstr(finding, fault->finding) != NULL &&
            strstr(one->report->site, fault->site) != NULL &&
            is_in_stack(fault->function, &one->report->site_stack)) {
            return fault->reason;
        }
    }
    return is_of_libssl(one, finding) ? "plain C on libssl has it, too" : NULL;
}

static void print_finding(const job *one, const char *finding) {
    const life_report *report = one->report;
    const char *reason = reason_of(one, finding);
    char text[LIFE_TEXT];
    if (reason != NULL) {
        all->of_others++;
        (void)snprintf(text, sizeof text, "%.8s... %s", finding, reason);
        (void)note(others, text);
        return;
    }
    (void)snprintf(text, sizeof text, "%.420s; failed: %.150s", finding,
                   report->site[0] != '\0' ? report->site : fault_kind_name(one->plan.kind));
    all->findings++;
    if (!note(found, text)) {
        return;
    }
    printf("%s: %s\n", scene.name, text);
    printf("        --kind %s --mode %s --only %ld --how %d\n", fault_kind_name(one->plan.kind),
           mode_name(one->plan.mode), one->plan.nth, one->plan.how);
    print_stack("failed in", &report->site_stack);
    for (int i = 0; i < report->stacks_len; i++) {
        print_stack(strncmp(finding, "leak", 4) == 0 ? "made in" : "stood in", &report->stacks[i]);
    }
}

/* What a sanitizer says, or what there is. */
static void first_of_errors(const job *one, char *out, size_t out_len) {
    FILE *file = fopen(one->errors, "r");
    char line[400];
    out[0] = '\0';
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (out[0] == '\0' || strncmp(line, "SUMMARY", 7) == 0) {
            (void)snprintf(out, out_len, "%s", line);
            out[strcspn(out, "\n")] = '\0';
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void look_at(job *one, int status) {
    life_report *report = one->report;
    if (!report->ended) {
        char errors[400];
        first_of_errors(one, errors, sizeof errors);
        if (report->findings == 0 || errors[0] != '\0') {
            life_finding(report, "crash: status %#x: %s", (unsigned)status, errors);
        }
    }
    if (one->plan.nth > 0 && (report->delivered > 0 || !report->ended)) {
        *(one->plan.kind < FAULT_CALLS ? &all->allocations : &all->calls) += 1;
    }
    for (int i = 0; i < report->findings; i++) {
        print_finding(one, report->finding[i]);
    }
    char text[LIFE_TEXT + 40];
    (void)snprintf(text, sizeof text, "%s: %.500s", fault_kind_name(one->plan.kind), report->said);
    (void)note(said, text);
    one->pid = 0;
}

static void wait_for_one(void) {
    int status;
    pid_t pid = wait(&status);
    for (int i = 0; i < options.jobs; i++) {
        if (pid > 0 && jobs[i].pid == pid) {
            look_at(&jobs[i], status);
        }
    }
}

static job *free_job(void) {
    for (;;) {
        for (int i = 0; i < options.jobs; i++) {
            if (jobs[i].pid == 0) {
                return &jobs[i];
            }
        }
        wait_for_one();
    }
}

static void wait_for_all(void) {
    for (int i = 0; i < options.jobs; i++) {
        while (jobs[i].pid != 0) {
            wait_for_one();
        }
    }
}

/* --------------------------------------------------------------------------------- all failures */

/* How many calls of each kind there are when nothing fails; what is found then ends the scene. */
static bool count_calls(long *out_counts) {
    fault_plan none = {0};
    start(free_job(), &none);
    job *one = &jobs[0];
    while (one->pid == 0) {
        one++;
    }
    life_report *report = one->report;
    wait_for_all();
    memcpy(out_counts, report->counts, sizeof report->counts);
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        all->reached[kind] += report->counts[kind];
    }
    if (strcmp(report->said, "success") != 0 || report->findings > 0) {
        printf("%s: fails by itself: %s\n", scene.name, report->said);
        all->findings++;
        return false;
    }
    return true;
}

/* Whether an earlier call had the same stack. */
static bool is_repeated(int kind, long n) {
    static unsigned char known[1 << 20];
    static int of_kind = -1;
    if (kind != of_kind || n == 1) {
        memset(known, 0, sizeof known);
        of_kind = kind;
    }
    unsigned hash = n < FAULT_MARKS ? marks[kind][n] : 0;
    unsigned place = (hash >> 4) % sizeof known;
    unsigned char bit = (unsigned char)(1 << (hash >> 1) % 8);
    bool repeated = hash != 0 && (known[place] & bit) != 0;
    known[place] |= bit;
    return repeated;
}

static unsigned place_of(const fault_plan *plan, long n) {
    unsigned way = (unsigned)(plan->kind * 256 + (plan->how & 127) * 2 + (plan->mode == FAULT_ON));
    return (marks[plan->kind][n] ^ way * 2654435761U) * 2246822519U % TRIED;
}

/* Whether a call with this stack has failed in an earlier scene, in the same way. */
static bool was_tried(const fault_plan *plan, long n) {
    unsigned place = place_of(plan, n);
    return options.across && (tried[place / 8] & 1U << place % 8) != 0;
}

static void note_tried(const fault_plan *plan) {
    unsigned place = place_of(plan, plan->nth);
    tried[place / 8] |= (unsigned char)(1U << place % 8);
}

/* The calls that are to fail, evenly among all, or among those whose stacks differ. */
static void fail_each(fault_plan plan, long calls) {
    static long chosen[FAULT_MARKS];
    long len = 0;
    for (long n = 1; n <= calls && n < FAULT_MARKS; n++) {
        if ((!options.stacks || !is_repeated(plan.kind, n)) && !was_tried(&plan, n) &&
            (options.only == 0 || options.only == n)) {
            chosen[len++] = n;
        }
    }
    long step = len <= options.runs ? 1 : (len + options.runs - 1) / options.runs;
    for (long i = options.seed % step; i < len; i += step) {
        plan.nth = chosen[i];
        note_tried(&plan);
        start(free_job(), &plan);
    }
}

static bool wants_kind(int kind) {
    return options.kind < 0 || options.kind == kind ||
           (options.kind == KIND_CALLS && kind >= FAULT_CALLS);
}

static bool wants_mode(fault_mode mode) {
    return options.mode < 0 || options.mode == (int)mode;
}

static void fail_allocations(int kind, long calls) {
    fault_mode second = kind == FAULT_LUA ? FAULT_TWICE : FAULT_ONCE;
    if (wants_mode(second)) {
        fail_each((fault_plan){kind, 0, second, ENOMEM, false}, calls);
    }
    if (wants_mode(FAULT_ON)) {
        fail_each((fault_plan){kind, 0, FAULT_ON, ENOMEM, false}, calls);
    }
}

/* What is no fault but a wait or a signal does not come for ever. */
static bool is_passing(int how) {
    return how == EINTR || how == EAGAIN || how == ECONNABORTED || how == FAULT_SHORT;
}

/* What moves bytes goes on after a signal or a short count. */
static bool is_to_pass(int kind, int how) {
    static const char *const movers[] = {"send",  "recv",   "poll",   "read",   "pread",
                                         "write", "pwrite", "writev", "accept4"};
    bool moves = false;
    for (size_t i = 0; i < sizeof movers / sizeof *movers; i++) {
        moves = moves || strcmp(fault_kind_name(kind), movers[i]) == 0;
    }
    return moves && (how == FAULT_SHORT || how == EINTR);
}

static void fail_calls(int kind, long calls) {
    for (const int *how = fault_calls[kind - FAULT_CALLS].hows; *how != 0; how++) {
        if (options.how != 0 && options.how != *how) {
            continue;
        }
        if (wants_mode(FAULT_ONCE)) {
            fail_each((fault_plan){kind, 0, FAULT_ONCE, *how, is_to_pass(kind, *how)}, calls);
        }
        if (wants_mode(FAULT_ON) && !is_passing(*how)) {
            fail_each((fault_plan){kind, 0, FAULT_ON, *how, false}, calls);
        }
    }
}

static void fail_all(void) {
    long counts[FAULT_KINDS];
    if (!count_calls(counts)) {
        return;
    }
    printf("%s%s:", scene.name, scene.cold ? ", first use" : "");
    for (int kind = 0; kind < FAULT_CALLS + fault_calls_len(); kind++) {
        if (counts[kind] > 0) {
            printf(" %s %ld", fault_kind_name(kind), counts[kind]);
        }
    }
    printf("\n");
    for (int kind = 0; kind < FAULT_CALLS + fault_calls_len(); kind++) {
        if (!wants_kind(kind)) {
            continue;
        }
        if (kind < FAULT_CALLS) {
            fail_allocations(kind, counts[kind]);
        } else {
            fail_calls(kind, counts[kind]);
        }
    }
    wait_for_all();
}

static void print_seen(const char *title, const seen *list) {
    for (int i = 0; i < SEEN_MAX && list[i].times > 0; i++) {
        printf("    %s %6ld: %s\n", title, list[i].times, list[i].text);
    }
}

static void play_scene(void) {
    static life_report warming;
    static const fault_plan none;
    for (int i = 0; i < options.jobs; i++) {
        (void)snprintf(jobs[i].errors, sizeof jobs[i].errors, "%s/errors.%d", options.directory, i);
    }
    for (int i = 0; i < 2 && !scene.cold; i++) {
        life_round(&scene, &none, &warming);
    }
    fail_all();
    if (options.said) {
        print_seen("said", said);
    }
    print_seen("found", found);
    print_seen("not ours", others);
    (void)fflush(stdout);
    _exit(0);
}

static void play_in_its_process(void) {
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        play_scene();
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        printf("%s: the scene's process ended with status %#x\n", scene.name, (unsigned)status);
        all->findings++;
    }
}

/*
 * First with a library that has been used, in which leaks can be told, then with one that has not.
 */
static void run_scene(const char *name) {
    long allocations = all->allocations, calls = all->calls;
    for (int cold = 0; cold < 2; cold++) {
        scene = (life_scene){.name = name,
                             .file = strcmp(name, "plain") == 0 ? NULL : options.file,
                             .directory = options.directory,
                             .redis = options.redis,
                             .cold = cold == 1};
        play_in_its_process();
    }
    all->scenes++;
    printf("    %s: %ld allocations and %ld system calls failed\n", name,
           all->allocations - allocations, all->calls - calls);
}

/* ----------------------------------------------------------------------------------------- main */

static void *shared(size_t size) {
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static int kind_of(const char *name) {
    for (int kind = 0; kind < FAULT_CALLS + fault_calls_len(); kind++) {
        if (strcmp(fault_kind_name(kind), name) == 0) {
            return kind;
        }
    }
    if (strcmp(name, "calls") != 0) {
        (void)fprintf(stderr, "failing: nothing is named %s\n", name);
        exit(2);
    }
    return KIND_CALLS;
}

static int mode_of(const char *name) {
    int mode = FAULT_ON;
    while (mode > 0 && strcmp(mode_name((fault_mode)mode), name) != 0) {
        mode--;
    }
    return mode;
}

static bool is_flag(const char *name) {
    return strcmp(name, "said") == 0 || strcmp(name, "stacks") == 0 ||
           strcmp(name, "across") == 0 || strcmp(name, "all") == 0;
}

static int parse(int argc, char **argv) {
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *name = argv[i] + 2, *value = argv[i + 1];
        long number = atol(value);
        options.said |= strcmp(name, "said") == 0;
        options.stacks |= strcmp(name, "stacks") == 0;
        options.across |= strcmp(name, "across") == 0;
        options.all |= strcmp(name, "all") == 0;
        options.runs = strcmp(name, "runs") == 0 ? number : options.runs;
        options.seed = strcmp(name, "seed") == 0 ? number : options.seed;
        options.only = strcmp(name, "only") == 0 ? number : options.only;
        options.how = strcmp(name, "how") == 0 ? (int)number : options.how;
        options.jobs = strcmp(name, "jobs") == 0 ? (int)number : options.jobs;
        options.kind = strcmp(name, "kind") == 0 ? kind_of(value) : options.kind;
        options.mode = strcmp(name, "mode") == 0 ? mode_of(value) : options.mode;
        options.redis = strcmp(name, "redis") == 0 ? value : options.redis;
        i += !is_flag(name);
    }
    return i;
}

/* What no scene calls could not fail. hiredis before 1.0 has no allocator that can be replaced. */
static void find_unreached(void) {
    for (int kind = 0; options.all && kind < FAULT_CALLS + fault_calls_len(); kind++) {
        if (all->reached[kind] == 0 && kind != FAULT_HIREDIS) {
            printf("%s: no scene calls it\n", fault_kind_name(kind));
            all->findings++;
        }
    }
}

int main(int argc, char **argv) {
    int at = parse(argc, argv);
    all = shared(sizeof *all);
    marks = shared(FAULT_KINDS * sizeof *marks);
    tried = shared(TRIED / 8);
    for (int i = 0; i < JOBS_MAX; i++) {
        jobs[i].report = shared(sizeof(life_report));
    }
    (void)strcpy(options.directory, "/tmp/failing.XXXXXX");
    void *warm_up[4];
    (void)backtrace(warm_up, 4);
    if (at + 1 >= argc || options.jobs < 1 || options.jobs > JOBS_MAX ||
        mkdtemp(options.directory) == NULL || !memory_take_over() || !life_prepare()) {
        (void)fprintf(stderr, "usage: failing [options] FILE SCENE...\n");
        return 2;
    }
    options.file = argv[at];
    static life_report warming;
    static const fault_plan none;
    for (int i = 0; i < 2; i++) { /* libcrypto's own first use is no matter of ours */
        life_round(&(life_scene){.name = "plain"}, &none, &warming);
    }
    for (int i = at + 1; i < argc; i++) {
        run_scene(argv[i]);
    }
    find_unreached();
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", options.directory);
    (void)!system(command);
    printf("%ld faults of the libraries below were met\n", all->of_others);
    printf(
        "proved failing: %ld allocations and %ld system calls failed in %ld scenes; %ld findings\n",
        all->allocations, all->calls, all->scenes, all->findings);
    return all->findings == 0 ? 0 : 1;
}
