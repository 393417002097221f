/* What the test programs have in common. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <aio.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            int error_ = errno;                                                          \
            fprintf(stderr, "%s:%d: not so: %s (errno %d, %s)\n", __FILE__, __LINE__,    \
                    #condition, error_, strerror(error_));                               \
            _exit(1);                                                                    \
        }                                                                                \
    } while (0)

#define FAILS(call, error) CHECK((errno = 0, (call)) == -1 && errno == (error))

/* Not where the C library's answer is looked at, beside ours. */
static inline void check_library(void) {
    Dl_info info;
    if (getenv("BESIDE") != NULL) return;
    CHECK(dladdr((void *)aio_read, &info) != 0);
    CHECK(strstr(info.dli_fname, "threadlet_aio") != NULL);
}

static inline double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static inline void sleep_ms(int ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&time, &time) == -1 && errno == EINTR) {}
}

static inline void prepare(struct aiocb *cb, int fd, void *buffer, size_t size, off_t offset) {
    /* Garbage where the C library keeps its own, as on a stack. */
    memset(cb, 0xa5, sizeof *cb);
    cb->aio_fildes = fd;
    cb->aio_lio_opcode = LIO_NOP;
    cb->aio_reqprio = 0;
    cb->aio_buf = buffer;
    cb->aio_nbytes = size;
    cb->aio_offset = offset;
    cb->aio_sigevent.sigev_notify = SIGEV_NONE;
    cb->aio_sigevent.sigev_notify_attributes = NULL;
}

/* A system call by the machine's instruction: nobody else sees it. */
static inline long instruction(long number, long a, long b, long c) {
#if defined(__x86_64__)
    long answer;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return answer;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#else
#error "how is a system call made there?"
#endif
}

/* Waits for a request; its error number. */
static inline int wait_for(struct aiocb *cb) {
    const struct aiocb *list[1] = {cb};
    double limit = seconds() + 20;
    while (aio_error(cb) == EINPROGRESS) {
        struct timespec time = {1, 0};
        CHECK(seconds() < limit);
        CHECK(aio_suspend(list, 1, &time) == 0 || errno == EAGAIN || errno == EINTR);
    }
    return aio_error(cb);
}

static inline int scratch_flags(int flags) {
    char path[PATH_MAX];
    const char *directory = getenv("SCRATCH");
    snprintf(path, sizeof path, "%s/aio-XXXXXX", directory ? directory : ".");
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    if (flags != O_RDWR) {
        close(fd);
        fd = open(path, flags);
        if (fd < 0) {
            int error = errno;
            unlink(path);
            errno = error;
            return -1;
        }
    }
    unlink(path);
    return fd;
}

static inline int scratch(void) { return scratch_flags(O_RDWR); }

static inline int threads(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* Whether this file answers an ask; said if not. */
static inline int can_ask(int fd) {
    char byte;
    struct iovec iov = {&byte, 1};
    if (preadv2(fd, &iov, 1, 0, RWF_NOWAIT) == 1) return 1;
    printf("SKIPPED: ask (the file system of SCRATCH refuses it: %s)\n", strerror(errno));
    return 0;
}

/* Writes until a pipe or socket is full. */
static inline void fill(int fd) {
    static char zeros[4096];
    int flags = fcntl(fd, F_GETFL);
    CHECK(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    while (write(fd, zeros, sizeof zeros) > 0) {}
    while (write(fd, zeros, 1) > 0) {}
    CHECK(errno == EAGAIN);
    CHECK(fcntl(fd, F_SETFL, flags) == 0);
}

static inline void drain(int fd) {
    static char sink[65536];
    int flags = fcntl(fd, F_GETFL);
    CHECK(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    while (read(fd, sink, sizeof sink) > 0) {}
    CHECK(fcntl(fd, F_SETFL, flags) == 0);
}
