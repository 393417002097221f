/* lio_listio: waiting or not, mixed and invalid elements, each with an error of its own. */
#include "check.h"

static volatile sig_atomic_t each, all, value;

static void one(int signo, siginfo_t *info, void *context) {
    (void)signo, (void)context;
    CHECK(info->si_code == SI_ASYNCIO);
    each++;
}

static void whole(int signo, siginfo_t *info, void *context) {
    (void)signo, (void)context;
    value = info->si_value.sival_int;
    all++;
}

static volatile int called;
static void function(union sigval v) { __atomic_store_n(&called, v.sival_int, __ATOMIC_SEQ_CST); }

static void interrupted(int signo) { (void)signo; }

int main(void) {
    check_library();
    struct sigaction action = {.sa_sigaction = one, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
    action.sa_sigaction = whole;
    CHECK(sigaction(SIGRTMIN + 1, &action, NULL) == 0);
    int file = scratch();
    static char blocks[16][4096], back[16][4096];
    static struct aiocb cbs[16];
    struct aiocb *list[18] = {NULL};

    for (int i = 0; i < 16; i++) {
        memset(blocks[i], 'A' + i, 4096);
        prepare(&cbs[i], file, blocks[i], 4096, i * 4096);
        cbs[i].aio_lio_opcode = LIO_WRITE;
        list[i + 1] = &cbs[i];
    }
    /* With null pointers at both ends. */
    CHECK(lio_listio(LIO_WAIT, list, 18, NULL) == 0);
    for (int i = 0; i < 16; i++) CHECK(aio_error(&cbs[i]) == 0 && aio_return(&cbs[i]) == 4096);
    for (int i = 0; i < 16; i++) {
        prepare(&cbs[i], file, back[i], 4096, i * 4096);
        cbs[i].aio_lio_opcode = LIO_READ;
    }
    CHECK(lio_listio(LIO_WAIT, list, 18, NULL) == 0);
    CHECK(memcmp(blocks, back, sizeof back) == 0);

    /* Nothing to do is left alone, and finished at once. */
    prepare(&cbs[0], -1, NULL, 0, 0);
    cbs[0].__error_code = 77;
    list[0] = &cbs[0];
    CHECK(lio_listio(LIO_WAIT, list, 1, NULL) == 0 && cbs[0].__error_code == 77);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
    event.sigev_value.sival_int = 41;
    CHECK(lio_listio(LIO_NOWAIT, list, 1, &event) == 0);
    CHECK(all == 1 && value == 41);
    CHECK(lio_listio(LIO_NOWAIT, list, 0, &event) == 0 && all == 2);

    /* Good ones among bad ones. */
    for (int mode = LIO_WAIT; mode <= LIO_NOWAIT; mode++) {
        all = 0;
        for (int i = 0; i < 6; i++) {
            prepare(&cbs[i], file, blocks[i], 4096, i * 4096);
            cbs[i].aio_lio_opcode = LIO_WRITE;
            list[i] = &cbs[i];
        }
        cbs[1].aio_fildes = -1;
        cbs[2].aio_lio_opcode = 99;
        cbs[3].aio_reqprio = -1;
        cbs[4].aio_lio_opcode = LIO_READ;
        cbs[4].aio_buf = back[4];
        cbs[5].aio_offset = -1;
        FAILS(lio_listio(mode, list, 6, &event), EIO);
        int errors[] = {0, EBADF, EINVAL, EINVAL, 0, EINVAL};
        for (int i = 0; i < 6; i++) {
            CHECK(mode == LIO_NOWAIT || aio_error(&cbs[i]) != EINPROGRESS);
            CHECK(wait_for(&cbs[i]) == errors[i]);
            CHECK(aio_return(&cbs[i]) == (errors[i] ? -1 : 4096));
        }
        double limit = seconds() + 20;
        while (mode == LIO_NOWAIT && all == 0) CHECK(seconds() < limit);
        sleep_ms(10);
        /* The event is for those who do not wait. */
        CHECK(all == (mode == LIO_NOWAIT));
    }
    /* A failure alone is the element's when nobody waits. */
    prepare(&cbs[0], -1, back, 10, 0);
    cbs[0].aio_lio_opcode = LIO_READ;
    CHECK(lio_listio(LIO_NOWAIT, list, 1, NULL) == 0 && wait_for(&cbs[0]) == EBADF);
    FAILS(lio_listio(LIO_WAIT, list, 1, NULL), EIO);

    /* Each is told, and the list when all are. */
    int ends[2];
    CHECK(pipe(ends) == 0);
    each = all = 0;
    for (int i = 0; i < 6; i++) {
        prepare(&cbs[i], i == 5 ? ends[0] : file, back[i], 1, i);
        cbs[i].aio_lio_opcode = i % 2 ? LIO_READ : LIO_WRITE;
        cbs[i].aio_sigevent.sigev_notify = SIGEV_SIGNAL;
        cbs[i].aio_sigevent.sigev_signo = SIGRTMIN;
    }
    event.sigev_value.sival_int = 42;
    CHECK(lio_listio(LIO_NOWAIT, list, 6, &event) == 0);
    for (int i = 0; i < 5; i++) CHECK(wait_for(&cbs[i]) == 0);
    double limit = seconds() + 20;
    while (each < 5) CHECK(seconds() < limit);
    sleep_ms(20);
    CHECK(each == 5 && all == 0 && aio_error(&cbs[5]) == EINPROGRESS);
    CHECK(write(ends[1], "x", 1) == 1);
    while (all < 1) CHECK(seconds() < limit);
    CHECK(value == 42 && aio_error(&cbs[5]) == 0);
    sleep_ms(20);
    CHECK(each == 6 && all == 1);

    /* A list can be told by a thread. */
    struct sigevent thread = {.sigev_notify = SIGEV_THREAD};
    thread.sigev_notify_function = function;
    thread.sigev_value.sival_int = 43;
    prepare(&cbs[0], file, back, 1, 0);
    cbs[0].aio_lio_opcode = LIO_READ;
    CHECK(lio_listio(LIO_NOWAIT, list, 1, &thread) == 0);
    while (__atomic_load_n(&called, __ATOMIC_SEQ_CST) != 43) CHECK(seconds() < limit);

    /* A signal ends the wait, not the request. */
    struct sigaction plain = {.sa_handler = interrupted};
    CHECK(sigaction(SIGALRM, &plain, NULL) == 0);
    prepare(&cbs[0], ends[0], back, 1, 0);
    cbs[0].aio_lio_opcode = LIO_READ;
    alarm(1);
    FAILS(lio_listio(LIO_WAIT, list, 1, NULL), EINTR);
    CHECK(aio_error(&cbs[0]) == EINPROGRESS);
    CHECK(write(ends[1], "x", 1) == 1 && wait_for(&cbs[0]) == 0);
    return 0;
}
