/* A child starts clean, whatever the parent was doing. */
#include "check.h"

static int passed(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void use_it(void) {
    int file = scratch(), ends[2];
    char byte = 0, block[512] = {1}, back[512];
    struct aiocb cb, late;
    CHECK(pipe(ends) == 0);
    prepare(&late, ends[0], &byte, 1, 0);
    CHECK(aio_read(&late) == 0 && aio_error(&late) == EINPROGRESS);
    prepare(&cb, file, block, sizeof block, 0);
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0);
    CHECK(aio_fsync(O_SYNC, &cb) == 0 && wait_for(&cb) == 0);
    prepare(&cb, file, back, sizeof back, 0);
    CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && memcmp(block, back, 512) == 0);
    CHECK(write(ends[1], "c", 1) == 1 && wait_for(&late) == 0 && byte == 'c');
}

int main(void) {
    check_library();
    /* Before anything. */
    pid_t child = fork();
    if (child == 0) {
        use_it();
        _exit(0);
    }
    CHECK(passed(child));
    use_it();

    /* With requests under way: one that runs, one in line, and a thread that waits. */
    int ends[2];
    char bytes[2];
    CHECK(pipe(ends) == 0);
    struct aiocb cbs[2];
    for (int i = 0; i < 2; i++) {
        prepare(&cbs[i], ends[0], &bytes[i], 1, 0);
        CHECK(aio_read(&cbs[i]) == 0);
    }
    sleep_ms(20);
    for (int round = 0; round < 10; round++) {
        child = fork();
        if (child == 0) {
            CHECK(threads() == 1);
            const struct aiocb *list[1] = {&cbs[0]};
            /* They are the parent's: not to be waited for here. */
            CHECK(aio_error(&cbs[0]) == EINVAL && aio_error(&cbs[1]) == EINVAL);
            CHECK(aio_suspend(list, 1, NULL) == 0);
            CHECK(aio_cancel(ends[0], NULL) == AIO_ALLDONE);
            use_it();
            /* Nobody here reads the parent's byte. */
            CHECK(aio_error(&cbs[0]) == EINVAL);
            pid_t grandchild = fork();
            if (grandchild == 0) {
                use_it();
                _exit(0);
            }
            CHECK(passed(grandchild));
            _exit(0);
        }
        CHECK(passed(child));
        CHECK(aio_error(&cbs[0]) == EINPROGRESS && aio_error(&cbs[1]) == EINPROGRESS);
    }
    CHECK(write(ends[1], "ab", 2) == 2);
    CHECK(wait_for(&cbs[0]) == 0 && wait_for(&cbs[1]) == 0 && bytes[0] == 'a' && bytes[1] == 'b');
    use_it();
    return 0;
}
