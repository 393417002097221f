/* A program that reads what is in memory never has a second thread. */
#include "check.h"

int main(void) {
    check_library();
    int file = scratch();
    static char data[64 * 4096], back[16][4096];
    for (size_t i = 0; i < sizeof data; i++) data[i] = i / 4096 + i;
    CHECK(write(file, data, sizeof data) == sizeof data);
    if (!can_ask(file)) return 0;

    static struct aiocb cbs[16];
    struct aiocb *list[16];
    for (int round = 0; round < 2000; round++) {
        int i = round % 16, page = round % 64;
        prepare(&cbs[i], file, back[i], 4096, page * 4096);
        CHECK(aio_read(&cbs[i]) == 0);
        CHECK(aio_error(&cbs[i]) == 0 && aio_return(&cbs[i]) == 4096);
        CHECK(memcmp(back[i], data + page * 4096, 4096) == 0);
    }
    /* The end of the file is known without a thread. */
    prepare(&cbs[0], file, back, 8192, sizeof data - 100);
    CHECK(aio_read(&cbs[0]) == 0 && aio_error(&cbs[0]) == 0 && aio_return(&cbs[0]) == 100);
    prepare(&cbs[0], file, back, 8192, sizeof data);
    CHECK(aio_read(&cbs[0]) == 0 && aio_error(&cbs[0]) == 0 && aio_return(&cbs[0]) == 0);
    for (int i = 0; i < 16; i++) {
        prepare(&cbs[i], file, back[i], 4096, i * 4096);
        cbs[i].aio_lio_opcode = LIO_READ;
        list[i] = &cbs[i];
    }
    CHECK(lio_listio(LIO_WAIT, list, 16, NULL) == 0);
    CHECK(memcmp(back, data, sizeof back) == 0);
    CHECK(aio_suspend((const struct aiocb **)list, 16, NULL) == 0);
    CHECK(aio_cancel(file, NULL) == AIO_ALLDONE);
    /* What is in a pipe is at hand as well. */
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "abc", 3) == 3);
    prepare(&cbs[0], ends[0], back, 100, 0);
    CHECK(aio_read(&cbs[0]) == 0 && aio_error(&cbs[0]) == 0 && aio_return(&cbs[0]) == 3);
    CHECK(threads() == 1);

    /* And one that waits has one. */
    prepare(&cbs[0], ends[0], back, 1, 0);
    CHECK(aio_read(&cbs[0]) == 0 && aio_error(&cbs[0]) == EINPROGRESS);
    CHECK(threads() > 1);
    CHECK(write(ends[1], "x", 1) == 1 && wait_for(&cbs[0]) == 0);
    return 0;
}
