/* No room: on the device that is always full, and beyond the limit on the size of files. */
#include "check.h"

int main(void) {
    check_library();
    static char block[4096];
    struct aiocb cb, sync;
    int full = open("/dev/full", O_RDWR);
    CHECK(full >= 0);
    for (int i = 0; i < 3; i++) {
        prepare(&cb, full, block, sizeof block, 0);
        CHECK(aio_write(&cb) == 0);
        CHECK(wait_for(&cb) == ENOSPC && aio_return(&cb) == -1);
        prepare(&cb, full, block, sizeof block, 0);
        CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == sizeof block);
    }
    prepare(&cb, full, block, sizeof block, 0);
    cb.aio_lio_opcode = LIO_WRITE;
    struct aiocb *list[1] = {&cb};
    FAILS(lio_listio(LIO_WAIT, list, 1, NULL), EIO);
    CHECK(aio_error(&cb) == ENOSPC);

    /* An error; the signal that a write of one's own would raise is not ours to raise. */
    struct rlimit limit = {8192, RLIM_INFINITY};
    int file = scratch();
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    prepare(&cb, file, block, sizeof block, 4096);
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0);
    prepare(&cb, file, block, sizeof block, 8192);
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == EFBIG);
    prepare(&cb, file, block, sizeof block, 6144);
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == 2048);
    prepare(&sync, file, NULL, 0, 0);
    CHECK(aio_fsync(O_SYNC, &sync) == 0 && wait_for(&sync) == 0);
    return 0;
}
