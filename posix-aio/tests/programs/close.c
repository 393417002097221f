/* A descriptor is closed while requests are on it, and its number means something else. */
#include "check.h"

int main(void) {
    check_library();
    static char block[4096], back[200][4096];
    struct aiocb cb, second, others[200];
    int ends[2];
    char byte = 0, more = 0;

    /* What runs is finished as if it were open. */
    CHECK(pipe(ends) == 0);
    prepare(&cb, ends[0], &byte, 1, 0);
    CHECK(aio_read(&cb) == 0);
    prepare(&second, ends[0], &more, 1, 0);
    CHECK(aio_read(&second) == 0);
    sleep_ms(50);
    close(ends[0]);
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(wait_for(&cb) == 0 && byte == 'x');
    /* What has not started is not started on what the number means next. */
    CHECK(wait_for(&second) == ECANCELED && more == 0);
    FAILS(aio_cancel(ends[0], NULL), EBADF);

    /* Writes of files are not lost, and none goes to another file, by whatever way the number is
       given away. */
    memset(block, 'o', sizeof block);
    for (int round = 0; round < 80; round++) {
        int file = scratch(), kept = dup(file), next = scratch();
        for (int i = 0; i < 200; i++) {
            prepare(&others[i], file, i % 2 ? back[i] : block, sizeof block, i / 2 * 4096L);
            CHECK((i % 2 ? aio_read(&others[i]) : aio_write(&others[i])) == 0);
        }
        struct aiocb sync;
        prepare(&sync, file, NULL, 0, 0);
        CHECK(aio_fsync(O_DSYNC, &sync) == 0);
        switch (round % 8) {
        case 0: CHECK(close(file) == 0 && dup(next) == file); break;
        case 1: CHECK(dup2(next, file) == file); break;
        case 2: CHECK(dup3(next, file, O_CLOEXEC) == file); break;
        case 3: CHECK(syscall(SYS_close, file) == 0 && dup(next) == file); break;
        case 4: CHECK(syscall(SYS_close_range, file, file, 0) == 0 && dup(next) == file); break;
        case 5: CHECK(syscall(SYS_dup3, next, file, 0) == file); break;
#ifdef SYS_dup2
        case 6: CHECK(syscall(SYS_dup2, next, file) == file); break;
#else
        case 6: CHECK(dup2(next, file) == file); break;
#endif
        case 7: CHECK(fclose(fdopen(file, "r+")) == 0 && dup(next) == file); break;
        }
        for (int i = 0; i < 200; i++) {
            int error = wait_for(&others[i]);
            CHECK(error == 0 || (i % 2 && error == ECANCELED));
            CHECK(i % 2 || aio_return(&others[i]) == sizeof block);
        }
        CHECK(wait_for(&sync) == 0);
        CHECK(lseek(next, 0, SEEK_END) == 0 && lseek(kept, 0, SEEK_END) == 100 * 4096);
        close(file);
        close(kept);
        close(next);
    }
    FAILS(close(-1), EBADF);
    /* A stream that has no number. */
    FILE *memory = fmemopen(block, sizeof block, "r+");
    CHECK(memory != NULL && fclose(memory) == 0);
    FAILS(dup2(-1, ends[1]), EBADF);
    FAILS(dup3(ends[1], ends[1], 0), EINVAL);
    CHECK(dup2(ends[1], ends[1]) == ends[1]);
    FAILS(dup2(999, 999), EBADF);

    /* The child of a vfork closes what is its own. */
    CHECK(pipe(ends) == 0);
    prepare(&cb, ends[0], &byte, 1, 0);
    prepare(&second, ends[0], &more, 1, 0);
    CHECK(aio_read(&cb) == 0 && aio_read(&second) == 0);
    pid_t child = vfork();
    if (child == 0) {
        close(ends[0]);
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(write(ends[1], "vf", 2) == 2);
    CHECK(wait_for(&cb) == 0 && wait_for(&second) == 0 && byte == 'v' && more == 'f');
    return 0;
}
