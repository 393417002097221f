/* Threads that have had nothing to do for a while end, and come back. With an argument `main` ends
   by pthread_exit: then the process ends when the library's threads have. */
#include "check.h"

static void waits(void) {
    int ends[2];
    char byte = 0;
    struct aiocb cb;
    CHECK(pipe(ends) == 0);
    prepare(&cb, ends[0], &byte, 1, 0);
    CHECK(aio_read(&cb) == 0 && aio_error(&cb) == EINPROGRESS);
    CHECK(write(ends[1], "i", 1) == 1 && wait_for(&cb) == 0 && byte == 'i');
    close(ends[0]);
    close(ends[1]);
}

int main(int count, char **arguments) {
    check_library();
    (void)arguments;
    if (count > 1) {
        waits();
        pthread_exit(NULL);
    }
    for (int round = 0; round < 2; round++) {
        waits();
        CHECK(threads() > 1);
        double limit = seconds() + 10;
        while (threads() > 1) {
            CHECK(seconds() < limit);
            sleep_ms(10);
        }
    }
    /* As long as the program wants them to stay. */
    struct aioinit init = {.aio_threads = 4, .aio_num = 64, .aio_idle_time = 60};
    aio_init(&init);
    waits();
    sleep_ms(2500);
    CHECK(threads() > 1);
    return 0;
}
