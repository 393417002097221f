/* Errors of arguments, each where POSIX has it reported: by the call, or by aio_error. */
#include "check.h"

static char buffer[4096];

static int outcome(int (*call)(struct aiocb *), struct aiocb *cb) {
    errno = 0;
    if (call(cb) == -1) return errno;
    int error = wait_for(cb);
    CHECK(aio_return(cb) == (error ? -1 : (ssize_t)cb->aio_nbytes));
    return error;
}

int main(void) {
    check_library();
    struct aiocb cb;
    int file = scratch();
    CHECK(write(file, buffer, sizeof buffer) == sizeof buffer);

    /* Priorities: 0 to AIO_PRIO_DELTA_MAX. The refusal is in the control block too. */
    for (int priority = 0; priority <= 20; priority++) {
        prepare(&cb, file, buffer, 10, 0);
        cb.aio_reqprio = priority;
        CHECK(outcome(aio_read, &cb) == 0);
    }
    int bad[] = {-1, 21, INT_MAX, INT_MIN};
    for (int i = 0; i < 4; i++) {
        prepare(&cb, file, buffer, 10, 0);
        cb.aio_reqprio = bad[i];
        FAILS(aio_read(&cb), EINVAL);
        CHECK(aio_error(&cb) == EINVAL && aio_return(&cb) == -1);
        FAILS(aio_write(&cb), EINVAL);
    }
    /* Which aio_fsync does not look at. */
    prepare(&cb, file, NULL, 0, 0);
    cb.aio_reqprio = -1;
    CHECK(aio_fsync(O_SYNC, &cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == 0);

    /* Descriptors: none, closed, of the wrong kind. */
    int closed = dup(file);
    close(closed);
    int wrong[] = {-1, closed, INT_MAX};
    for (int i = 0; i < 3; i++) {
        prepare(&cb, wrong[i], buffer, 10, 0);
        CHECK(outcome(aio_read, &cb) == EBADF);
        CHECK(outcome(aio_write, &cb) == EBADF);
        FAILS(aio_fsync(O_SYNC, &cb), EBADF);
        FAILS(aio_fsync(O_DSYNC, &cb), EBADF);
        FAILS(aio_cancel(wrong[i], NULL), EBADF);
        FAILS(aio_cancel(wrong[i], &cb), EBADF);
    }
    int only_read = scratch_flags(O_RDONLY), only_write = scratch_flags(O_WRONLY);
    prepare(&cb, only_read, buffer, 10, 0);
    CHECK(outcome(aio_write, &cb) == EBADF);
    prepare(&cb, only_write, buffer, 10, 0);
    CHECK(outcome(aio_read, &cb) == EBADF);

    /* Offsets. -1 must not be taken for the file's position. */
    off_t offsets[] = {-1, -2, LLONG_MIN};
    for (int i = 0; i < 3; i++) {
        prepare(&cb, file, buffer, 10, offsets[i]);
        CHECK(outcome(aio_read, &cb) == EINVAL);
        CHECK(outcome(aio_write, &cb) == EINVAL);
    }
    prepare(&cb, file, buffer, 10, LLONG_MAX);
    CHECK(outcome(aio_read, &cb) == EINVAL || aio_error(&cb) == EOVERFLOW);
    int error = outcome(aio_write, &cb);
    CHECK(error == EFBIG || error == EINVAL || error == EOVERFLOW);

    /* Addresses. */
    prepare(&cb, file, (void *)8, 4096, 0);
    CHECK(outcome(aio_read, &cb) == EFAULT);
    CHECK(outcome(aio_write, &cb) == EFAULT);
    prepare(&cb, file, NULL, 0, 0);
    CHECK(outcome(aio_read, &cb) == 0);
    CHECK(outcome(aio_write, &cb) == 0);

    /* A directory. */
    int directory = open("/", O_RDONLY);
    prepare(&cb, directory, buffer, 10, 0);
    CHECK(outcome(aio_read, &cb) == EISDIR);

    /* aio_fsync: its operation. */
    prepare(&cb, file, NULL, 0, 0);
    FAILS(aio_fsync(O_RDONLY, &cb), EINVAL);
    FAILS(aio_fsync(-1, &cb), EINVAL);
    CHECK(aio_fsync(O_DSYNC, &cb) == 0 && wait_for(&cb) == 0);

    /* aio_suspend. */
    const struct aiocb *list[2] = {&cb, NULL};
    FAILS(aio_suspend(list, -1, NULL), EINVAL);
    CHECK(aio_suspend(list, 0, NULL) == 0);
    CHECK(aio_suspend(list + 1, 1, NULL) == 0);
    struct timespec strange[] = {{0, 1000000000}, {0, -1}, {-1, 0}};
    for (int i = 0; i < 3; i++) CHECK(aio_suspend(list, 1, &strange[i]) == 0);
    int ends[2];
    char byte;
    struct aiocb waits;
    CHECK(pipe(ends) == 0);
    prepare(&waits, ends[0], &byte, 1, 0);
    CHECK(aio_read(&waits) == 0);
    list[0] = &waits;
    for (int i = 0; i < 3; i++) FAILS(aio_suspend(list, 1, &strange[i]), EINVAL);
    CHECK(write(ends[1], "x", 1) == 1 && wait_for(&waits) == 0);

    /* lio_listio. */
    struct aiocb *elements[1] = {&cb};
    FAILS(lio_listio(2, elements, 1, NULL), EINVAL);
    FAILS(lio_listio(-1, elements, 1, NULL), EINVAL);
    FAILS(lio_listio(LIO_WAIT, elements, -1, NULL), EINVAL);
    CHECK(lio_listio(LIO_WAIT, elements, 0, NULL) == 0);

    /* A descriptor that is not the request's. */
    prepare(&cb, file, buffer, 10, 0);
    CHECK(outcome(aio_read, &cb) == 0);
    FAILS(aio_cancel(only_read, &cb), EINVAL);
    return 0;
}
