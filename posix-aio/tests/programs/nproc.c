/* The system refuses us every thread: requests are finished all the same. */
#include "check.h"

static volatile int called;
static void function(union sigval v) { called = v.sival_int; }
static int closed = -1;
static void closes(union sigval v) {
    (void)v;
    close(closed);
}
static void *nothing(void *argument) { return argument; }

int main(void) {
    check_library();
    int file = scratch(), append = scratch_flags(O_RDWR | O_APPEND), ends[2];
    CHECK(pipe(ends) == 0);
    if (geteuid() == 0) CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    struct rlimit limit = {0, 0};
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, nothing, NULL) == EAGAIN);

    static char block[4096], back[4096];
    static struct aiocb cbs[300];
    memset(block, 'n', sizeof block);
    for (int i = 0; i < 300; i++) {
        prepare(&cbs[i], file, block, sizeof block, i * 4096L);
        CHECK(aio_write(&cbs[i]) == 0);
    }
    for (int i = 0; i < 300; i++) CHECK(wait_for(&cbs[i]) == 0 && aio_return(&cbs[i]) == 4096);
    struct aiocb cb, read;
    prepare(&cb, file, NULL, 0, 0);
    CHECK(aio_fsync(O_SYNC, &cb) == 0 && wait_for(&cb) == 0);
    prepare(&read, file, back, sizeof back, 4096);
    CHECK(aio_read(&read) == 0 && wait_for(&read) == 0 && memcmp(block, back, 4096) == 0);
    prepare(&cb, ends[1], "pipe", 4, 0);
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0);
    prepare(&cb, ends[0], back, 100, 0);
    CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == 4);
    struct aiocb *list[2] = {&cbs[0], &cbs[1]};
    cbs[0].aio_lio_opcode = cbs[1].aio_lio_opcode = LIO_WRITE;
    CHECK(lio_listio(LIO_WAIT, list, 2, NULL) == 0);
    /* There is no thread for the function, which is called nevertheless. */
    prepare(&cb, file, block, sizeof block, 0);
    cb.aio_sigevent.sigev_notify = SIGEV_THREAD;
    cb.aio_sigevent.sigev_notify_function = function;
    cb.aio_sigevent.sigev_value.sival_int = 7;
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0 && called == 7);
    /* It may close what the next one in line is on. */
    closed = append;
    for (int i = 0; i < 3; i++) {
        prepare(&cbs[i], append, block, sizeof block, 0);
        cbs[i].aio_sigevent.sigev_notify = SIGEV_THREAD;
        cbs[i].aio_sigevent.sigev_notify_function = closes;
        CHECK(aio_write(&cbs[i]) == 0 || errno == EBADF);
    }
    CHECK(wait_for(&cbs[0]) == 0);
    /* The signal that a write raises is for nobody, as it would be on a thread of the library's. */
    CHECK(close(ends[0]) == 0);
    prepare(&cb, ends[1], "pipe", 4, 0);
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == EPIPE);
    CHECK(threads() == 1);
    return 0;
}
