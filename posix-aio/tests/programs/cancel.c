/* Cancelling in each state: waiting in line, running, finished, never started. */
#include "check.h"

static volatile sig_atomic_t told;

static void count(int signo) {
    (void)signo;
    told++;
}

int main(void) {
    check_library();
    signal(SIGUSR1, count);
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(aio_cancel(ends[0], NULL) == AIO_ALLDONE);

    struct aiocb cbs[5];
    char bytes[5] = {0};
    for (int i = 0; i < 5; i++) {
        prepare(&cbs[i], ends[0], &bytes[i], 1, 0);
        CHECK(aio_read(&cbs[i]) == 0);
    }
    cbs[2].aio_sigevent.sigev_notify = SIGEV_NONE;
    sleep_ms(50);
    /* The first runs; it waits for a byte, and is left alone. */
    CHECK(aio_cancel(ends[0], &cbs[0]) == AIO_NOTCANCELED);
    CHECK(aio_error(&cbs[0]) == EINPROGRESS);
    FAILS(aio_return(&cbs[0]), EINVAL);
    /* One in the middle of the line. */
    CHECK(aio_cancel(ends[0], &cbs[2]) == AIO_CANCELED);
    CHECK(aio_error(&cbs[2]) == ECANCELED && aio_return(&cbs[2]) == -1);
    CHECK(aio_cancel(ends[0], &cbs[2]) == AIO_ALLDONE);
    /* Those behind it go on. */
    CHECK(write(ends[1], "01", 2) == 2);
    CHECK(wait_for(&cbs[0]) == 0 && bytes[0] == '0');
    CHECK(wait_for(&cbs[1]) == 0 && bytes[1] == '1');
    CHECK(aio_cancel(ends[0], &cbs[1]) == AIO_ALLDONE);
    sleep_ms(20);
    /* All: one runs, one does not. */
    CHECK(aio_cancel(ends[0], NULL) == AIO_NOTCANCELED);
    CHECK(aio_error(&cbs[3]) == EINPROGRESS && aio_error(&cbs[4]) == ECANCELED);
    CHECK(bytes[2] == 0 && bytes[4] == 0);
    /* A control block that was cancelled can be used again at once. */
    prepare(&cbs[4], ends[0], &bytes[4], 1, 0);
    CHECK(aio_read(&cbs[4]) == 0);
    CHECK(write(ends[1], "34", 2) == 2);
    CHECK(wait_for(&cbs[3]) == 0 && bytes[3] == '3');
    CHECK(wait_for(&cbs[4]) == 0 && bytes[4] == '4');

    /* Who was cancelled is told, and who waits is woken. */
    prepare(&cbs[0], ends[0], &bytes[0], 1, 0);
    CHECK(aio_read(&cbs[0]) == 0);
    prepare(&cbs[1], ends[0], &bytes[1], 1, 0);
    cbs[1].aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    cbs[1].aio_sigevent.sigev_signo = SIGUSR1;
    CHECK(aio_read(&cbs[1]) == 0);
    CHECK(aio_cancel(ends[0], &cbs[1]) == AIO_CANCELED);
    CHECK(told == 1);
    CHECK(write(ends[1], "0", 1) == 1 && wait_for(&cbs[0]) == 0);

    /* A list with a request that is cancelled ends. */
    prepare(&cbs[0], ends[0], &bytes[0], 1, 0);
    CHECK(aio_read(&cbs[0]) == 0);
    prepare(&cbs[1], ends[0], &bytes[1], 1, 0);
    cbs[1].aio_lio_opcode = LIO_READ;
    struct aiocb *list[1] = {&cbs[1]};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    CHECK(lio_listio(LIO_NOWAIT, list, 1, &event) == 0);
    CHECK(told == 1 && aio_cancel(ends[0], &cbs[1]) == AIO_CANCELED && told == 2);
    CHECK(write(ends[1], "0", 1) == 1 && wait_for(&cbs[0]) == 0);

    /* A sync no longer waits for a write that was cancelled; a sync that waits can be cancelled. */
    fill(ends[1]);
    struct aiocb writes[2], syncs[3];
    for (int i = 0; i < 2; i++) {
        prepare(&writes[i], ends[1], "w", 1, 0);
        CHECK(aio_write(&writes[i]) == 0);
    }
    for (int i = 0; i < 3; i++) {
        prepare(&syncs[i], ends[1], NULL, 0, 0);
        CHECK(aio_fsync(O_SYNC, &syncs[i]) == 0);
    }
    sleep_ms(50);
    CHECK(aio_cancel(ends[1], &syncs[1]) == AIO_CANCELED && aio_error(&syncs[1]) == ECANCELED);
    CHECK(aio_cancel(ends[1], &writes[1]) == AIO_CANCELED);
    CHECK(aio_error(&syncs[0]) == EINPROGRESS);
    drain(ends[0]);
    CHECK(wait_for(&writes[0]) == 0);
    CHECK(wait_for(&syncs[0]) == EINVAL && wait_for(&syncs[2]) == EINVAL);

    /* Cancelled and made again, many times, while others run. */
    int file = scratch();
    static char block[4096];
    for (int i = 0; i < 2000; i++) {
        struct aiocb cb;
        prepare(&cb, file, block, sizeof block, i * 4096L);
        CHECK(aio_write(&cb) == 0);
        int answer = aio_cancel(file, &cb);
        int error = wait_for(&cb);
        CHECK(answer == AIO_CANCELED ? error == ECANCELED : error == 0);
        CHECK(aio_return(&cb) == (error ? -1 : 4096));
    }
    return 0;
}
