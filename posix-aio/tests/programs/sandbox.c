/* A filter that is put on by the program, late or early, and how: it may forbid whatever the C
   library's functions do not call. */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/prctl.h>

#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define IF_NUMBER(number, verdict)                       \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, (verdict))
#define FILTER(...)                                      \
    do {                                                 \
        struct sock_filter program_[] = {__VA_ARGS__};   \
        struct sock_fprog filter_ = {                    \
            sizeof program_ / sizeof *program_, program_}; \
        put_on(&filter_);                                \
    } while (0)

static const char *how;

static void put_on(struct sock_fprog *filter) {
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    /* Whoever asks whether filters can be had puts none on. */
    FAILS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0), EFAULT);
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL), EFAULT);
    if (strcmp(how, "prctl") == 0) {
        CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0) == 0);
    } else if (strcmp(how, "syscall") == 0) {
        CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, filter) == 0);
    } else {
        CHECK(instruction(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, (long)filter) == 0);
    }
}

static int file, append, ends[2], told;

static void function(union sigval v) {
    (void)v;
    __atomic_add_fetch(&told, 1, __ATOMIC_SEQ_CST);
}

static void handler(int signo) {
    (void)signo;
    __atomic_add_fetch(&told, 1, __ATOMIC_SEQ_CST);
}

/* Polls: the C library's functions and these. */
static int outcome(struct aiocb *cb) {
    while (aio_error(cb) == EINPROGRESS) {}
    return aio_error(cb);
}

static void use_it(void) {
    static char blocks[16][512], back[16][512];
    static struct aiocb cbs[16], cb;
    for (int i = 0; i < 16; i++) {
        memset(blocks[i], i + 1, 512);
        prepare(&cbs[i], i % 2 ? append : file, blocks[i], 512, i * 512);
        CHECK(aio_write(&cbs[i]) == 0);
    }
    for (int i = 0; i < 16; i++) CHECK(outcome(&cbs[i]) == 0 && aio_return(&cbs[i]) == 512);
    for (int i = 0; i < 16; i++) {
        prepare(&cbs[i], file, back[i], 512, i * 512);
        CHECK(aio_read(&cbs[i]) == 0);
    }
    for (int i = 0; i < 16; i++) CHECK(outcome(&cbs[i]) == 0 && (i % 2 || back[i][7] == i + 1));
    /* Reads on a stream are in order, and one that waits is told of. */
    for (int i = 0; i < 16; i++) {
        prepare(&cbs[i], ends[0], back[i], 1, 0);
        CHECK(aio_read(&cbs[i]) == 0);
    }
    for (int i = 0; i < 16; i++) {
        prepare(&cb, ends[1], &blocks[i][0], 1, 0);
        cb.aio_sigevent.sigev_notify = i % 2 ? SIGEV_SIGNAL : SIGEV_THREAD;
        cb.aio_sigevent.sigev_signo = SIGUSR1;
        cb.aio_sigevent.sigev_notify_function = function;
        int before = __atomic_load_n(&told, __ATOMIC_SEQ_CST);
        CHECK(aio_write(&cb) == 0 && outcome(&cb) == 0);
        while (__atomic_load_n(&told, __ATOMIC_SEQ_CST) == before) {}
    }
    for (int i = 0; i < 16; i++) CHECK(outcome(&cbs[i]) == 0 && back[i][0] == i + 1);
    prepare(&cb, -1, back, 1, 0);
    if (aio_read(&cb) == 0) CHECK(outcome(&cb) == EBADF);
    if (aio_write(&cb) == 0) CHECK(outcome(&cb) == EBADF);
    prepare(&cb, ends[1], back, 1, 0);
    CHECK(aio_read(&cb) == 0 && outcome(&cb) == EBADF);
    /* Where these cannot be looked at, there are none. */
    if (fcntl(file, F_GETFL) < 0) return;
    FAILS(aio_cancel(-1, NULL), EBADF);
    prepare(&cb, file, NULL, 0, 0);
    CHECK(aio_fsync(O_DSYNC, &cb) == 0 && outcome(&cb) == 0);
}

/* What threads, their memory and the C library's functions call. */
#define ALLOW(name) IF_NUMBER(SYS_##name, SECCOMP_RET_ALLOW)
static void strict(void) {
    FILTER(LOAD_NUMBER, ALLOW(read), ALLOW(write), ALLOW(pread64), ALLOW(pwrite64), ALLOW(fsync),
           ALLOW(fdatasync), ALLOW(fcntl), ALLOW(close), ALLOW(futex), ALLOW(mmap), ALLOW(munmap),
           ALLOW(mprotect), ALLOW(madvise), ALLOW(brk), ALLOW(clone), ALLOW(clone3),
           ALLOW(set_robust_list), ALLOW(rseq), ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn),
           ALLOW(rt_sigqueueinfo), ALLOW(getpid), ALLOW(getuid), ALLOW(gettid),
           ALLOW(clock_gettime), ALLOW(prlimit64), ALLOW(sched_getaffinity), ALLOW(sched_getparam),
           ALLOW(sched_getscheduler), ALLOW(getrandom), ALLOW(rt_sigaction),
           ALLOW(exit),
           ALLOW(exit_group), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
}

/* Refused is what the library may try where it does not know better. */
#define REFUSE(name) IF_NUMBER(SYS_##name, SECCOMP_RET_ERRNO | error)
static void refusing(int error) {
    FILTER(LOAD_NUMBER,
#ifdef SYS_newfstatat
           REFUSE(newfstatat),
#endif
           REFUSE(fstat), REFUSE(statx), REFUSE(lseek), REFUSE(preadv2), REFUSE(pwritev2),
           REFUSE(fcntl), REFUSE(prlimit64), REFUSE(sched_yield), REFUSE(openat), REFUSE(prctl),
           BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

int main(int count, char **arguments) {
    check_library();
    CHECK(count >= 3);
    const char *what = arguments[1];
    how = arguments[2];
    /* Or else the C library looks in /sys how many of them are worth while. */
    CHECK(mallopt(M_ARENA_MAX, 2) == 1);
    file = scratch();
    append = scratch_flags(O_RDWR | O_APPEND);
    CHECK(pipe(ends) == 0 && signal(SIGUSR1, handler) != SIG_ERR);
    if (strcmp(what, "inherited") == 0) use_it();
    if (strcmp(what, "open") == 0)
        FILTER(LOAD_NUMBER, IF_NUMBER(SYS_openat, SECCOMP_RET_KILL_PROCESS),
               BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    if (strcmp(what, "late") == 0 || strcmp(what, "early") == 0 || strcmp(what, "exec") == 0) {
        if (what[0] == 'l') use_it();
        FILTER(LOAD_NUMBER, IF_NUMBER(SYS_preadv2, SECCOMP_RET_KILL_PROCESS),
               IF_NUMBER(SYS_pwritev2, SECCOMP_RET_KILL_PROCESS),
               BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    if (strcmp(what, "exec") == 0) {
        execl("/proc/self/exe", arguments[0], "inherited", how, NULL);
        CHECK(0);
    }
    if (strcmp(what, "strict") == 0) strict();
    if (strcmp(what, "EPERM") == 0) refusing(EPERM);
    if (strcmp(what, "EACCES") == 0) refusing(EACCES);
    if (strcmp(what, "ENOSYS") == 0) refusing(ENOSYS);
    use_it();
    _exit(0);
}
