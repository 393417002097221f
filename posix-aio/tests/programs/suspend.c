/* aio_suspend: finished before, during, never; times; signals. */
#include "check.h"

static int ends[2];
static volatile sig_atomic_t handled, nested = -1;
static struct aiocb cb, finished;

static void handler(int signo) {
    (void)signo;
    handled++;
    /* All three may be called here. */
    const struct aiocb *list[2] = {&cb, &finished};
    struct timespec soon = {0, 1000000};
    CHECK(aio_error(&cb) == EINPROGRESS && aio_error(&finished) == 0);
    CHECK(aio_return(&finished) == 0);
    CHECK(aio_suspend(list, 2, NULL) == 0);
    int saved = errno;
    CHECK(aio_suspend(list, 1, &soon) == -1 && errno == EAGAIN);
    errno = saved;
    nested = 1;
}

static void *later(void *what) {
    (void)what;
    sleep_ms(50);
    CHECK(write(ends[1], "x", 1) == 1);
    return NULL;
}

static void *alarm_main(void *thread) {
    sleep_ms(50);
    CHECK(pthread_kill(*(pthread_t *)thread, SIGUSR1) == 0);
    return NULL;
}

int main(void) {
    check_library();
    CHECK(pipe(ends) == 0);
    char byte;
    const struct aiocb *list[3] = {NULL, &cb, NULL};
    struct timespec none = {0, 0}, short_time = {0, 30000000}, long_time = {20, 0};

    prepare(&finished, scratch(), NULL, 0, 0);
    CHECK(aio_read(&finished) == 0 && wait_for(&finished) == 0);
    prepare(&cb, ends[0], &byte, 1, 0);
    CHECK(aio_read(&cb) == 0);
    FAILS(aio_suspend(list, 3, &none), EAGAIN);
    double start = seconds();
    FAILS(aio_suspend(list, 3, &short_time), EAGAIN);
    CHECK(seconds() - start >= 0.03 && seconds() - start < 5);

    /* One that is finished is enough. */
    list[2] = &finished;
    CHECK(aio_suspend(list, 3, NULL) == 0);
    /* Then nobody looks at the time. */
    struct timespec bad = {0, 1000000000}, negative = {-1, 0};
    CHECK(aio_suspend(list, 3, &bad) == 0 && aio_suspend(list, 3, &negative) == 0);
    CHECK(aio_suspend(list, 1, &bad) == 0);
    list[2] = NULL;
    FAILS(aio_suspend(list, 3, &bad), EINVAL);

    /* Finished meanwhile; without a limit and with one. */
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, later, NULL) == 0);
        CHECK(aio_suspend(list, 3, i ? &long_time : NULL) == 0);
        CHECK(aio_error(&cb) == 0);
        pthread_join(thread, NULL);
        CHECK(aio_read(&cb) == 0);
    }

    /* Signals. */
    struct sigaction action = {.sa_handler = handler};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t self = pthread_self(), thread;
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&thread, NULL, alarm_main, &self) == 0);
        FAILS(aio_suspend(list, 3, i ? &long_time : NULL), EINTR);
        CHECK(handled == i + 1 && nested == 1 && aio_error(&cb) == EINPROGRESS);
        pthread_join(thread, NULL);
    }
    /* The signal of the very request may end the wait too. */
    CHECK(write(ends[1], "x", 1) == 1 && wait_for(&cb) == 0);
    signal(SIGRTMIN, SIG_DFL);
    struct sigaction quiet = {.sa_handler = SIG_IGN};
    CHECK(sigaction(SIGRTMIN, &quiet, NULL) == 0);
    cb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    cb.aio_sigevent.sigev_signo = SIGRTMIN;
    for (int i = 0; i < 100; i++) {
        CHECK(aio_read(&cb) == 0);
        CHECK(write(ends[1], "x", 1) == 1);
        while (aio_suspend(list, 3, NULL) == -1) CHECK(errno == EINTR);
        CHECK(aio_error(&cb) == 0);
    }
    return 0;
}
