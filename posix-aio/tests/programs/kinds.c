/* Says what becomes of reads, writes and syncs on whatever a descriptor can be: the same with the
   library as without. */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static void say(const char *name, const char *what, struct aiocb *cb, int made) {
    if (made != 0) {
        printf("%s: %s: refused: %s\n", name, what, strerror(errno));
        return;
    }
    /* What waits longer waits for ever. */
    double limit = seconds() + 0.3;
    while (aio_error(cb) == EINPROGRESS && seconds() < limit) sleep_ms(1);
    int error = aio_error(cb);
    if (error == EINPROGRESS) printf("%s: %s: waits\n", name, what);
    else printf("%s: %s: %s, %zd\n", name, what, error ? strerror(error) : "done", aio_return(cb));
}

/* Each in a process of its own: what waits is left behind. */
static void try(const char *name, int fd, size_t size, off_t offset) {
    if (fd < 0) {
        printf("%s: %s\n", name, strerror(errno));
        return;
    }
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        static char buffer[4096];
        struct aiocb out, in, sync;
        signal(SIGPIPE, SIG_IGN);
        strcpy(buffer, "0\n");
        prepare(&out, fd, buffer, size, offset);
        say(name, "write", &out, aio_write(&out));
        prepare(&in, fd, buffer, size, offset);
        say(name, "read", &in, aio_read(&in));
        /* The C library's waits for the read as well. */
        prepare(&sync, fd, NULL, 0, 0);
        if (aio_error(&in) != EINPROGRESS) say(name, "sync", &sync, aio_fsync(O_SYNC, &sync));
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    close(fd);
}

static void try_path(const char *path, size_t size, off_t offset) {
    static const struct {
        const char *name;
        int flags;
    } ways[] = {
        {"", O_RDWR}, {" (to read)", O_RDONLY}, {" (to write)", O_WRONLY}, {" (to append)", O_RDWR | O_APPEND},
        {" (direct)", O_RDWR | O_DIRECT}, {" (path)", O_PATH}, {" (synchronous)", O_RDWR | O_DSYNC},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char name[200];
        snprintf(name, sizeof name, "%s%s", path, ways[i].name);
        try(name, open(path, ways[i].flags), size, offset);
    }
}

int main(int count, char **arguments) {
    check_library();
    if (count > 1 && strcmp(arguments[1], "filtered") == 0) {
        /* One that forbids nothing. */
        struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
        struct sock_fprog filter = {1, program};
        CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0);
    }
    int ends[2];
    try_path("/dev/null", 100, 0);
    try_path("/dev/zero", 100, 0);
    try_path("/dev/full", 100, 7);
    try_path("/dev/urandom", 100, 0);
    try_path("/proc/self/comm", 2, 0);
    try_path("/proc/self/oom_score_adj", 2, 0);
    try_path("/proc/self/coredump_filter", 2, 0);
    try_path("/proc/self/timerslack_ns", 2, 0);
    try_path("/proc/self/clear_refs", 2, 0);
    try_path("/proc/self/mem", 2, 0);
    try_path("/proc/self/status", 7, 5);
    try_path("/proc/self/environ", 7, 0);
    try_path("/proc/sys/kernel/ostype", 5, 0);
    try_path("/proc/version", 5, 2);
    try_path("/sys/kernel/mm/transparent_hugepage/enabled", 5, 0);
    try_path("/", 5, 0);
    try_path("/proc/self/fd", 5, 0);

    for (int i = 0; i < 4; i++) {
        int file = scratch();
        CHECK(write(file, "0123456789", 10) == 10);
        static const off_t offsets[] = {0, 5, 10, -1};
        try("file", file, 4, offsets[i]);
        file = scratch();
        try("empty file", file, 4, offsets[i]);
    }
    try("nothing of a file", scratch(), 0, 0);
    try("the end of what a file can be", scratch(), 4, LLONG_MAX);
    try("almost the end", scratch(), 4, LLONG_MAX - 3);
    int sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
    CHECK(sealed < 0 || (write(sealed, "sealed", 6) == 6 && fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW) == 0));
    try("sealed memory", sealed, 4, 0);
    try("memory", memfd_create("memory", 0), 4, 0);

    CHECK(pipe(ends) == 0 && write(ends[1], "pipe", 4) == 4);
    try("pipe to read", ends[0], 4, 0);
    try("pipe to write", ends[1], 4, 0);
    CHECK(pipe(ends) == 0);
    close(ends[0]);
    try("broken pipe", ends[1], 4, 0);
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    try("pipe that does not wait", dup(ends[0]), 4, 0);
    fill(ends[1]);
    try("full pipe that does not wait", ends[1], 4, 0);
    for (int type = 0; type < 3; type++) {
        int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
        CHECK(socketpair(AF_UNIX, types[type], 0, ends) == 0 && write(ends[1], "socket", 6) == 6);
        try("socket", dup(ends[0]), 4, 0);
        close(ends[0]);
        try("socket that nobody is at", ends[1], 4, 0);
    }
    try("unconnected socket", socket(AF_INET, SOCK_STREAM, 0), 4, 0);
    try("eventfd", eventfd(1, 0), 8, 0);
    try("eventfd of no events", eventfd(0, EFD_NONBLOCK), 8, 0);
    try("half an eventfd", eventfd(1, 0), 4, 0);
    struct itimerspec soon = {{0, 0}, {0, 1000000}};
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    CHECK(timerfd_settime(timer, 0, &soon, NULL) == 0);
    sleep_ms(5);
    try("timer", timer, 8, 0);
    try("timer that is not set", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 8, 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    try("signals", signalfd(-1, &set, SFD_NONBLOCK), 128, 0);
    try("inotify", inotify_init1(IN_NONBLOCK), 128, 0);
    try("epoll", epoll_create1(0), 128, 0);
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    try("terminal", terminal, 4, 0);
    return 0;
}
