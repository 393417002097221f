/* All threads are stuck in other requests: a file is closed nevertheless, and what was queued on it
   is in it then. */
#include "check.h"

int main(void) {
    check_library();
    struct aioinit init = {.aio_threads = 2};
    aio_init(&init);
    int ends[2];
    char bytes[2];
    struct aiocb stuck[2], writes[20], sync;
    static char block[4096];
    memset(block, 's', sizeof block);
    CHECK(pipe(ends) == 0);
    int other[2];
    CHECK(pipe(other) == 0);
    prepare(&stuck[0], ends[0], &bytes[0], 1, 0);
    prepare(&stuck[1], other[0], &bytes[1], 1, 0);
    CHECK(aio_read(&stuck[0]) == 0 && aio_read(&stuck[1]) == 0);
    sleep_ms(50);

    for (int append = 0; append < 2; append++) {
        int file = append ? scratch_flags(O_RDWR | O_APPEND) : scratch(), kept = dup(file);
        CHECK(file >= 0);
        for (int i = 0; i < 20; i++) {
            prepare(&writes[i], file, block, sizeof block, i * 4096L);
            CHECK(aio_write(&writes[i]) == 0);
        }
        prepare(&sync, file, NULL, 0, 0);
        CHECK(aio_fsync(O_SYNC, &sync) == 0);
        double begun = seconds();
        CHECK(close(file) == 0);
        CHECK(seconds() - begun < 10);
        for (int i = 0; i < 20; i++) CHECK(aio_error(&writes[i]) == 0 && aio_return(&writes[i]) == 4096);
        CHECK(aio_error(&sync) == 0);
        CHECK(lseek(kept, 0, SEEK_END) == 20 * 4096);
        close(kept);
    }

    /* A signal that such a write would raise is nobody's. */
    struct rlimit limit = {4096, 4096};
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    int file = scratch();
    prepare(&writes[0], file, block, sizeof block, 4096);
    CHECK(aio_write(&writes[0]) == 0);
    CHECK(close(file) == 0);
    CHECK(aio_error(&writes[0]) == EFBIG);

    CHECK(aio_error(&stuck[0]) == EINPROGRESS && aio_error(&stuck[1]) == EINPROGRESS);
    CHECK(write(ends[1], "a", 1) == 1 && write(other[1], "b", 1) == 1);
    CHECK(wait_for(&stuck[0]) == 0 && wait_for(&stuck[1]) == 0);
    return 0;
}
