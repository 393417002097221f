/* SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD; for what is finished in the call and for what is not. */
#include "check.h"

static volatile int signals, calls, value, code, sender;
static pthread_t caller, main_thread;
static size_t stack_size;
static sigset_t mask;

static void handler(int signo, siginfo_t *info, void *context) {
    (void)signo, (void)context;
    value = info->si_value.sival_int;
    code = info->si_code;
    sender = info->si_pid;
    signals++;
}

static void function(union sigval v) {
    pthread_attr_t attributes;
    CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
    pthread_attr_getstacksize(&attributes, &stack_size);
    int detached;
    pthread_attr_getdetachstate(&attributes, &detached);
    CHECK(detached == PTHREAD_CREATE_DETACHED);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    caller = pthread_self();
    value = *(int *)v.sival_ptr;
    __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    pthread_exit(NULL);
}

static void until(volatile int *what, int count) {
    double limit = seconds() + 20;
    while (__atomic_load_n(what, __ATOMIC_SEQ_CST) < count) {
        CHECK(seconds() < limit);
        sleep_ms(1);
    }
}

int main(void) {
    check_library();
    main_thread = pthread_self();
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGRTMIN + 2, &action, NULL) == 0);
    int file = scratch(), ends[2];
    char byte;
    struct aiocb cb;
    CHECK(pipe(ends) == 0);
    CHECK(pwrite(file, "abc", 3, 0) == 3);

    /* A signal: of a read that may be finished in the call, of a write, of a sync, of a late
       one. */
    for (int i = 0; i < 4; i++) {
        prepare(&cb, i == 3 ? ends[0] : file, &byte, 1, 0);
        cb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
        cb.aio_sigevent.sigev_signo = SIGRTMIN + 2;
        cb.aio_sigevent.sigev_value.sival_int = 100 + i;
        CHECK((i == 1 ? aio_write(&cb) : i == 2 ? aio_fsync(O_SYNC, &cb) : aio_read(&cb)) == 0);
        if (i == 3) {
            sleep_ms(20);
            CHECK(signals == 3 && aio_error(&cb) == EINPROGRESS);
            CHECK(write(ends[1], "x", 1) == 1);
        }
        until(&signals, i + 1);
        CHECK(aio_error(&cb) == 0);
        CHECK(value == 100 + i && code == SI_ASYNCIO && sender == getpid());
    }
    /* A failure is told too. */
    prepare(&cb, -1, &byte, 1, 0);
    cb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    cb.aio_sigevent.sigev_signo = SIGRTMIN + 2;
    CHECK(aio_read(&cb) == 0);
    until(&signals, 5);
    CHECK(aio_error(&cb) == EBADF);

    /* A function on a thread; with attributes and without. */
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 32 << 20);
    int number = 0;
    for (int i = 0; i < 4; i++) {
        number = 200 + i;
        prepare(&cb, i < 2 ? file : ends[0], &byte, 1, 0);
        cb.aio_sigevent.sigev_notify = SIGEV_THREAD;
        cb.aio_sigevent.sigev_notify_function = function;
        cb.aio_sigevent.sigev_notify_attributes = i % 2 ? &attributes : NULL;
        cb.aio_sigevent.sigev_value.sival_ptr = &number;
        CHECK(aio_read(&cb) == 0);
        if (i >= 2) CHECK(write(ends[1], "x", 1) == 1);
        until(&calls, i + 1);
        CHECK(aio_error(&cb) == 0 && value == 200 + i);
        CHECK(!pthread_equal(caller, main_thread));
        CHECK(!sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGTERM));
        CHECK(i % 2 == 0 || stack_size >= 32 << 20);
    }

    /* Nothing. */
    int before = signals;
    prepare(&cb, file, &byte, 1, 0);
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0);
    sleep_ms(20);
    CHECK(signals == before && calls == 4);

    /* The program's signals are not taken by threads that it knows nothing of. */
    sigset_t one, pending;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    signal(SIGUSR1, SIG_DFL);
    CHECK(threads() > 1);
    CHECK(pthread_sigmask(SIG_BLOCK, &one, NULL) == 0);
    static struct aiocb many[40];
    static char bytes[40];
    int pipes[40][2];
    for (int i = 0; i < 40; i++) {
        CHECK(pipe(pipes[i]) == 0);
        prepare(&many[i], pipes[i][0], &bytes[i], 1, 0);
        CHECK(aio_read(&many[i]) == 0);
    }
    sleep_ms(200);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    sleep_ms(50);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    for (int i = 0; i < 40; i++) CHECK(write(pipes[i][1], "x", 1) == 1);
    for (int i = 0; i < 40; i++) CHECK(wait_for(&many[i]) == 0);
    return 0;
}
