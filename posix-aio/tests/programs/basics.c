/* Reading and writing, ends of files, copies of control blocks, the names with 64. */
#include "check.h"

static char data[3 * 4096 + 100], buffer[1 << 16];

int main(void) {
    check_library();
    struct aioinit init = {.aio_threads = 8, .aio_num = 64};
    aio_init(&init);
    struct aiocb cb;
    int file = scratch();
    for (size_t i = 0; i < sizeof data; i++) data[i] = i * 7 + i / 251;

    prepare(&cb, file, data, sizeof data, 0);
    CHECK(aio_write(&cb) == 0);
    CHECK(wait_for(&cb) == 0 && aio_return(&cb) == sizeof data);
    /* The position is not moved. */
    CHECK(lseek(file, 0, SEEK_CUR) == 0);

    /* Ends: short, none, beyond; twice, so that hints do not change the answer. */
    struct { off_t offset; ssize_t size; ssize_t result; } reads[] = {
        {0, sizeof data, sizeof data}, {4096, 4096, 4096}, {1, 1, 1}, {0, sizeof buffer, sizeof data},
        {3 * 4096, 4096, 100}, {sizeof data, 10, 0}, {1L << 40, 10, 0}, {5, 0, 0},
    };
    for (int i = 0; i < 16; i++) {
        off_t offset = reads[i % 8].offset;
        memset(buffer, 0, sizeof buffer);
        prepare(&cb, file, buffer, reads[i % 8].size, offset);
        CHECK(aio_read(&cb) == 0);
        CHECK(wait_for(&cb) == 0);
        CHECK(aio_return(&cb) == reads[i % 8].result);
        CHECK(memcmp(buffer, data + offset, aio_return(&cb)) == 0);
    }

    /* The fields that old headers and programs look at. */
    CHECK(cb.__error_code == 0 && cb.__return_value == 0);

    /* A copy of a finished control block says the same, and either may be used again or be gone. */
    prepare(&cb, file, buffer, 100, 0);
    CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0);
    struct aiocb copy = cb;
    memset(&cb, 0, sizeof cb);
    CHECK(aio_error(&copy) == 0 && aio_return(&copy) == 100);
    const struct aiocb *list[1] = {&copy};
    CHECK(aio_suspend(list, 1, NULL) == 0);
    CHECK(aio_cancel(file, &copy) == AIO_ALLDONE);
    struct aiocb *third = malloc(sizeof *third);
    *third = copy;
    third->aio_offset = 4096;
    CHECK(aio_read(third) == 0 && wait_for(third) == 0 && aio_return(third) == 100);
    CHECK(memcmp(buffer, data + 4096, 100) == 0);
    free(third);
    CHECK(aio_error(&copy) == 0);
    /* Of one that went to another thread as well: of writes, by habit. */
    for (int i = 0; i < 100; i++) {
        struct aiocb *one = malloc(sizeof *one);
        prepare(one, file, data, 4096, 4096 * i);
        CHECK(aio_write(one) == 0 && wait_for(one) == 0);
        struct aiocb two = *one;
        memset(one, 0xff, sizeof *one);
        free(one);
        CHECK(aio_error(&two) == 0 && aio_return(&two) == 4096);
        two.aio_offset += 1 << 20;
        CHECK(aio_write(&two) == 0 && wait_for(&two) == 0 && aio_return(&two) == 4096);
    }

    /* The names with 64. */
    struct aiocb64 cb64;
    memset(&cb64, 0, sizeof cb64);
    cb64.aio_fildes = file;
    cb64.aio_buf = buffer;
    cb64.aio_nbytes = 10;
    cb64.aio_offset = 1L << 33;
    cb64.aio_sigevent.sigev_notify = SIGEV_NONE;
    CHECK(aio_write64(&cb64) == 0);
    const struct aiocb64 *list64[1] = {&cb64};
    while (aio_error64(&cb64) == EINPROGRESS) CHECK(aio_suspend64(list64, 1, NULL) == 0);
    CHECK(aio_return64(&cb64) == 10);
    CHECK(lseek(file, 0, SEEK_END) == (1L << 33) + 10);
    cb64.aio_lio_opcode = LIO_READ;
    struct aiocb64 *elements64[1] = {&cb64};
    CHECK(lio_listio64(LIO_WAIT, elements64, 1, NULL) == 0 && aio_return64(&cb64) == 10);
    CHECK(aio_read64(&cb64) == 0 && wait_for((struct aiocb *)&cb64) == 0);
    CHECK(aio_fsync64(O_SYNC, &cb64) == 0 && wait_for((struct aiocb *)&cb64) == 0);
    CHECK(aio_cancel64(file, NULL) == AIO_ALLDONE);

    /* O_DIRECT, where there is one: never answered in the call, but right. */
    int direct = scratch_flags(O_RDWR | O_DIRECT);
    if (direct >= 0) {
        char *page;
        CHECK(posix_memalign((void **)&page, 4096, 8192) == 0);
        memset(page, 'x', 8192);
        prepare(&cb, direct, page, 8192, 0);
        CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == 8192);
        for (int i = 0; i < 200; i++) {
            memset(page, 0, 8192);
            prepare(&cb, direct, page, 4096, 4096);
            CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == 4096);
            CHECK(page[0] == 'x' && page[4095] == 'x' && page[4096] == 0);
        }
        /* The number of a file that could be asked, for one that could not; and back. */
        int number = dup(file);
        for (int i = 0; i < 200; i++) {
            CHECK(dup2(i % 2 ? file : direct, number) == number);
            prepare(&cb, number, page, 4096, 0);
            CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == 4096);
            CHECK(memcmp(page, i % 2 ? data : memset(buffer, 'x', 4096), 4096) == 0);
        }
    }
    return 0;
}
