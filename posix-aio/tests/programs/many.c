/* 10,000 requests at once: on a file, and on pipes. */
#include "check.h"

#define COUNT 10000
#define PIPES 100

static struct aiocb cbs[COUNT];
static const struct aiocb *list[COUNT];
static int values[COUNT];

int main(void) {
    check_library();
    int file = scratch();
    for (int i = 0; i < COUNT; i++) {
        values[i] = i;
        prepare(&cbs[i], file, &values[i], sizeof values[i], i * 512L);
        CHECK(aio_write(&cbs[i]) == 0);
        list[i] = &cbs[i];
    }
    struct aiocb sync;
    prepare(&sync, file, NULL, 0, 0);
    CHECK(aio_fsync(O_DSYNC, &sync) == 0);
    CHECK(wait_for(&sync) == 0);
    for (int i = 0; i < COUNT; i++) {
        CHECK(aio_error(&cbs[i]) == 0 && aio_return(&cbs[i]) == sizeof(int));
        values[i] = -1;
        prepare(&cbs[i], file, &values[i], sizeof values[i], i * 512L);
        CHECK(aio_read(&cbs[i]) == 0);
    }
    for (int i = 0; i < COUNT; i++) CHECK(wait_for(&cbs[i]) == 0 && values[i] == i);

    /* None can be answered at once. */
    int ends[PIPES][2];
    static char bytes[COUNT];
    for (int i = 0; i < PIPES; i++) CHECK(pipe(ends[i]) == 0);
    for (int i = 0; i < COUNT; i++) {
        prepare(&cbs[i], ends[i % PIPES][0], &bytes[i], 1, 0);
        CHECK(aio_read(&cbs[i]) == 0);
    }
    FAILS(aio_suspend(list, COUNT, &(struct timespec){0, 1000000}), EAGAIN);
    CHECK(threads() < 400);
    for (int i = 0; i < COUNT / PIPES; i++)
        for (int p = 0; p < PIPES; p++) CHECK(write(ends[p][1], &(char){i}, 1) == 1);
    int left = COUNT;
    double limit = seconds() + 60;
    while (left > 0) {
        CHECK(seconds() < limit);
        CHECK(aio_suspend(list, COUNT, NULL) == 0);
        for (int i = 0; i < COUNT; i++)
            if (list[i] && aio_error(list[i]) != EINPROGRESS) {
                CHECK(aio_error(list[i]) == 0 && aio_return(&cbs[i]) == 1);
                CHECK(bytes[i] == (char)(i / PIPES));
                list[i] = NULL;
                left--;
            }
    }
    return 0;
}
