/* Files with O_DIRECT, whose requests the kernel's own queue has where there is one. With the
   argument "queue": that no thread is needed for them then (but for one that looks after it). */
#include "check.h"
#include <linux/aio_abi.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>

enum { BLOCK = 4096, BLOCKS = 64 };

static int file;
static char *pages;

static char *page(int i) { return pages + i * BLOCK; }

static void expect(int i, int block) {
    for (int at = 0; at < BLOCK; at += 512) CHECK(page(i)[at] == (char)(block + 1));
}

static void read_block(struct aiocb *cb, int i, int block) {
    memset(page(i), 0, BLOCK);
    prepare(cb, file, page(i), BLOCK, (off_t)block * BLOCK);
    CHECK(aio_read(cb) == 0);
}

static int has_queue(void) {
    aio_context_t context = 0;
    if (syscall(SYS_io_setup, 256, &context) != 0) return 0;
    syscall(SYS_io_destroy, context);
    return 1;
}

/* The way of fio: waits for some, and looks at all. */
static void at_depth(void) {
    struct aiocb cbs[32];
    int block[32], left = 2000, flying = 0;
    for (; flying < 32; flying++) read_block(&cbs[flying], flying, block[flying] = flying);
    while (flying > 0) {
        const struct aiocb *list[8];
        int count = 0, finished = 0;
        for (int i = 0; i < 32; i++) {
            if (block[i] < 0) continue;
            if (aio_error(&cbs[i]) == EINPROGRESS) {
                if (count < 8) list[count++] = &cbs[i];
                continue;
            }
            CHECK(aio_error(&cbs[i]) == 0 && aio_return(&cbs[i]) == BLOCK);
            expect(i, block[i]);
            finished = 1;
            if (left-- > 0) {
                read_block(&cbs[i], i, block[i] = (block[i] * 7 + 13) % BLOCKS);
            } else {
                block[i] = -1;
                flying--;
            }
        }
        if (flying > 0 && !finished) CHECK(aio_suspend(list, count, NULL) == 0);
    }
}

/* Nobody waits, and nobody asks: the field is the C library's. */
static void nobody_waits(void) {
    struct aiocb cb;
    read_block(&cb, 0, 5);
    double limit = seconds() + 5;
    while (*(volatile int *)&cb.__error_code == EINPROGRESS) CHECK(seconds() < limit);
    expect(0, 5);
    CHECK(aio_error(&cb) == 0 && aio_return(&cb) == BLOCK);
}

/* What ends while its thread waits for something else does not interrupt that. (io_uring does.) */
static void disturbs_nobody(void) {
    struct aiocb cb;
    struct epoll_event event;
    struct timespec soon = {0, 5000000};
    sigset_t set;
    int epoll = epoll_create1(0);
    CHECK(epoll >= 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    for (int round = 0; round < 20; round++) {
        read_block(&cb, 0, round);
        if (round % 2) {
            CHECK(epoll_wait(epoll, &event, 1, 5) == 0);
        } else {
            FAILS(sigtimedwait(&set, NULL, &soon), EAGAIN);
        }
        CHECK(wait_for(&cb) == 0);
        expect(0, round);
    }
    close(epoll);
}

static void *reads(void *argument) {
    int i = (int)(long)argument;
    struct aiocb cb;
    for (int round = 0; round < 400; round++) {
        int block = (round * 5 + i) % BLOCKS;
        read_block(&cb, i, block);
        CHECK(wait_for(&cb) == 0 && aio_return(&cb) == BLOCK);
        expect(i, block);
    }
    return NULL;
}

/* One leads, and the others follow. */
static void several_wait(void) {
    pthread_t threads[4];
    for (long i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, reads, (void *)i) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

/* With one in the list that no queue has. */
static void a_pipe_too(void) {
    int ends[2];
    char byte = 0;
    struct aiocb cb, pipe_cb;
    const struct aiocb *list[2] = {&pipe_cb, &cb}, *last[1] = {&pipe_cb};
    CHECK(pipe(ends) == 0);
    prepare(&pipe_cb, ends[0], &byte, 1, 0);
    CHECK(aio_read(&pipe_cb) == 0);
    for (int round = 0; round < 100; round++) {
        read_block(&cb, 0, round % BLOCKS);
        while (aio_error(&cb) == EINPROGRESS) CHECK(aio_suspend(list, 2, NULL) == 0);
        expect(0, round % BLOCKS);
    }
    struct timespec soon = {0, 20000000};
    FAILS(aio_suspend(last, 1, &soon), EAGAIN);
    CHECK(write(ends[1], "x", 1) == 1 && wait_for(&pipe_cb) == 0 && byte == 'x');
    close(ends[0]);
    close(ends[1]);
}

static int called;

static void notified(union sigval value) {
    __atomic_add_fetch(&called, value.sival_int, __ATOMIC_SEQ_CST);
}

/* Those who want to be told are, though nobody looks. */
static void told(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    struct timespec limit = {5, 0};
    struct aiocb cbs[4], *list[4];
    for (int round = 0; round < 20; round++) {
        siginfo_t info;
        prepare(&cbs[0], file, page(0), BLOCK, BLOCK);
        cbs[0].aio_sigevent.sigev_notify = SIGEV_SIGNAL;
        cbs[0].aio_sigevent.sigev_signo = SIGRTMIN;
        cbs[0].aio_sigevent.sigev_value.sival_int = round;
        CHECK(aio_read(&cbs[0]) == 0);
        CHECK(sigtimedwait(&set, &info, &limit) == SIGRTMIN && info.si_value.sival_int == round);
        CHECK(aio_error(&cbs[0]) == 0);
    }
    for (int how = 0; how < 3; how++) {
        struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notified};
        event.sigev_value.sival_int = 1;
        called = 0;
        for (int i = 0; i < 4; i++) {
            prepare(list[i] = &cbs[i], file, page(i), BLOCK, i * BLOCK);
            cbs[i].aio_lio_opcode = LIO_READ;
            if (how == 0) cbs[i].aio_sigevent = event;
        }
        CHECK(lio_listio(how < 2 ? LIO_NOWAIT : LIO_WAIT, list, 4, how == 1 ? &event : NULL) == 0);
        for (double until = seconds() + 5; how < 2 && __atomic_load_n(&called, __ATOMIC_SEQ_CST) < (how ? 1 : 4);)
            CHECK(seconds() < until);
        for (int i = 0; i < 4; i++) {
            CHECK(aio_error(&cbs[i]) == 0 && aio_return(&cbs[i]) == BLOCK);
            expect(i, i);
        }
    }
}

/* What was submitted comes before the sync, and before the end of close. */
static void written(void) {
    struct aiocb cbs[16], sync;
    for (int round = 0; round < 20; round++) {
        int other = scratch_flags(O_RDWR | O_DIRECT), kept = dup(other);
        CHECK(ftruncate(other, 16 * BLOCK) == 0);
        for (int i = 0; i < 16; i++) {
            memset(page(i), 'a' + round, BLOCK);
            prepare(&cbs[i], other, page(i), BLOCK, i * BLOCK);
            CHECK(aio_write(&cbs[i]) == 0);
        }
        if (round % 2) {
            prepare(&sync, other, NULL, 0, 0);
            CHECK(aio_fsync(O_DSYNC, &sync) == 0);
            while (aio_error(&sync) == EINPROGRESS) sleep_ms(1);
            for (int i = 0; i < 16; i++) CHECK(aio_error(&cbs[i]) == 0);
        } else if (round % 4) {
            prepare(&sync, other, NULL, 0, 0);
            CHECK(aio_fsync(O_DSYNC, &sync) == 0 && wait_for(&sync) == 0);
        }
        /* Again, over what is there by now. */
        for (int i = 0; i < 16 && round % 3 == 0; i++) {
            wait_for(&cbs[i]);
            memset(page(i), 'A' + round, BLOCK);
            CHECK(aio_write(&cbs[i]) == 0);
        }
        CHECK(close(other) == 0);
        for (int i = 0; i < 16; i++) CHECK(aio_error(&cbs[i]) == 0 && aio_return(&cbs[i]) == BLOCK);
        memset(page(0), 0, 16 * BLOCK);
        CHECK(pread(kept, page(0), 16 * BLOCK, 0) == 16 * BLOCK);
        for (int i = 0; i < 16; i++) CHECK(page(i)[17] == (round % 3 ? 'a' : 'A') + round);
        close(kept);
    }
}

/* The file ends in the middle, or before; what is too much at once; what is refused. */
static void not_whole(void) {
    int other = scratch_flags(O_RDWR | O_DIRECT);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", other);
    CHECK(pwrite(other, page(0), BLOCK, 0) == BLOCK && ftruncate(other, BLOCK + 100) == 0);
    struct aiocb cb;
    prepare(&cb, other, page(0), 4 * BLOCK, 0);
    CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == BLOCK + 100);
    prepare(&cb, other, page(0), BLOCK, 2 * BLOCK);
    CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == 0);
    /* Where it is not known to be refused. */
    CHECK(close(other) == 0);
    other = open("/dev/null", O_RDONLY);
    close(other);
    for (int i = 0; i < 80; i++) {
        read_block(&cb, 0, 3);
        CHECK(wait_for(&cb) == 0);
    }
    prepare(&cb, file, page(0) + 1, BLOCK, 0);
    CHECK(aio_read(&cb) == 0);
    int error = wait_for(&cb);
    CHECK(error == EINVAL || (error == 0 && aio_return(&cb) == BLOCK));
    size_t much = 8 << 20;
    char *large = mmap(NULL, much, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(large != MAP_FAILED && ftruncate(file, much) == 0);
    for (size_t size = 128 << 10; size <= much; size *= 2) {
        memset(large, 1, much);
        prepare(&cb, file, large, size, 0);
        CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == (ssize_t)size);
        for (int block = 0; block < BLOCKS && block < (int)(size / BLOCK); block++)
            CHECK(large[block * BLOCK] == (char)(block + 1));
        CHECK(size <= BLOCKS * BLOCK || large[size - 1] == 0);
        prepare(&cb, file, large, size, 0);
        CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == (ssize_t)size);
    }
    CHECK(munmap(large, much) == 0 && ftruncate(file, BLOCKS * BLOCK) == 0);
}

static void cancels(void) {
    struct aiocb cb;
    for (int round = 0; round < 200; round++) {
        read_block(&cb, 0, 7);
        if (round % 2) CHECK(wait_for(&cb) == 0);
        int answer = aio_cancel(file, round % 3 ? &cb : NULL);
        CHECK(answer == AIO_ALLDONE || (round % 2 == 0 && answer == AIO_NOTCANCELED) ||
              (round % 2 == 0 && answer == AIO_CANCELED));
        CHECK(wait_for(&cb) == (answer == AIO_CANCELED ? ECANCELED : 0));
    }
}

static struct aiocb interrupting;
static volatile sig_atomic_t handled, stop;

/* Whatever it has interrupted. */
static void handler(int signo) {
    (void)signo;
    int error = errno;
    const struct aiocb *list[1] = {&interrupting};
    struct timespec time = {10, 0};
    if (interrupting.aio_nbytes != 0) {
        while (aio_suspend(list, 1, &time) != 0) CHECK(errno == EINTR);
        CHECK(aio_error(&interrupting) == 0);
        interrupting.aio_nbytes = 0;
    }
    handled++;
    errno = error;
}

static void *interrupted(void *argument) {
    struct aiocb cb;
    const struct aiocb *list[1] = {&cb};
    while (!stop) {
        read_block(&cb, 8, 9);
        while (aio_error(&cb) == EINPROGRESS) CHECK(aio_suspend(list, 1, NULL) == 0 || errno == EINTR);
        expect(8, 9);
    }
    return argument;
}

/* A handler waits, while one that was interrupted leads or takes out. */
static void in_handlers(void) {
    struct sigaction action = {.sa_handler = handler};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, interrupted, NULL) == 0);
    int sent = 0;
    for (double until = seconds() + 1; seconds() < until; sent++) {
        struct aiocb next;
        CHECK(interrupting.aio_nbytes == 0);
        prepare(&next, file, page(9), BLOCK, 11 * BLOCK);
        interrupting = next;
        CHECK(aio_read(&interrupting) == 0);
        int before = handled;
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        for (double limit = seconds() + 15; handled == before;) {
            CHECK(seconds() < limit);
            sched_yield();
        }
    }
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(sent > 20);
}

static struct aiocb left;

static void *leads(void *argument) {
    const struct aiocb *list[1] = {&left};
    for (;;) {
        read_block(&left, 10, 12);
        CHECK(aio_suspend(list, 1, NULL) == 0);
    }
    return argument;
}

static void cancelled_leader(void) {
    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, NULL, leads, NULL) == 0);
        sleep_ms(1 + round % 3);
        double start = seconds();
        CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
        CHECK(result == PTHREAD_CANCELED && seconds() - start < 5);
        CHECK(wait_for(&left) == 0);
    }
    at_depth();
}

static void forked(void) {
    struct aiocb cbs[8];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 8; i++) read_block(&cbs[i], i, i + round);
        pid_t child = fork();
        if (child == 0) {
            struct aiocb own;
            for (int i = 0; i < 8; i++) CHECK(aio_error(&cbs[i]) != EINPROGRESS);
            for (int block = 0; block < 8; block++) {
                read_block(&own, 20, block);
                CHECK(wait_for(&own) == 0 && aio_return(&own) == BLOCK);
                expect(20, block);
            }
            _exit(0);
        }
        int status;
        for (int i = 0; i < 8; i++) {
            CHECK(wait_for(&cbs[i]) == 0 && aio_return(&cbs[i]) == BLOCK);
            expect(i, i + round);
        }
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static volatile sig_atomic_t in_suspend, forks;
static pthread_t suspended;

static void forks_in(int signo) {
    (void)signo;
    if (!in_suspend) return;
    int error = errno, status;
    pid_t child = fork();
    if (child == 0) {
        /* Then it is finished, and nobody has taken it out. */
        sleep_ms(3);
    } else {
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        forks++;
    }
    errno = error;
}

static void *interrupts(void *argument) {
    while (!stop) {
        int one = 1;
        /* Once for each time. */
        if (__atomic_compare_exchange_n(&in_suspend, &one, 2, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            CHECK(pthread_kill(suspended, SIGUSR1) == 0);
    }
    return argument;
}

/* A child that a handler has forked comes back to what that has interrupted, and has the kernel's
   memory with its parent: what stands there is none of the child's. */
static void forked_in_handlers(void) {
    struct sigaction action = {.sa_handler = forks_in};
    struct aiocb cb;
    const struct aiocb *list[1] = {&cb};
    struct timespec limit = {10, 0};
    pthread_t thread;
    pid_t parent = getpid();
    suspended = pthread_self();
    stop = 0;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, interrupts, NULL) == 0);
    /* On a busy machine the other thread may come too late each time. */
    for (int round = 0; round < 50 || (forks == 0 && round < 20000); round++) {
        int before = forks;
        read_block(&cb, 0, round);
        in_suspend = 1;
        int answer = aio_suspend(list, 1, &limit), error = errno;
        in_suspend = 0;
        if (getpid() != parent) _exit(answer == 0 || error == EINTR ? 0 : 2);
        CHECK(answer == 0 || (error == EINTR && forks > before));
        CHECK(wait_for(&cb) == 0);
        expect(0, round);
    }
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0 && forks > 0);
}

int main(int count, char **arguments) {
    (void)arguments;
    check_library();
    file = scratch_flags(O_RDWR | O_DIRECT);
    if (file < 0) {
        printf("SKIPPED: O_DIRECT (%s)\n", strerror(errno));
        return 0;
    }
    pages = mmap(NULL, BLOCKS * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    for (int i = 0; i < BLOCKS; i++) memset(page(i), i + 1, BLOCK);
    CHECK(pwrite(file, pages, BLOCKS * BLOCK, 0) == BLOCKS * BLOCK);
    at_depth();
    if (count > 1 && !has_queue()) {
        printf("SKIPPED: the kernel's queue (%s)\n", strerror(errno));
    } else if (count > 1) {
        CHECK(threads() == 2);
        int next = dup(0);
        CHECK(next == file + 1);
        close(next);
    }
    nobody_waits();
    disturbs_nobody();
    several_wait();
    a_pipe_too();
    told();
    cancels();
    in_handlers();
    cancelled_leader();
    forked();
    forked_in_handlers();
    written();
    not_whole();
    return 0;
}
