/* Ends with requests under way: reads that never end, writes, and a thread to be called. */
#include "check.h"

static void function(union sigval v) { (void)v; }

int main(int count, char **arguments) {
    check_library();
    (void)arguments;
    static struct aiocb cbs[300];
    static char block[65536];
    int ends[2], file = scratch();
    CHECK(pipe(ends) == 0);
    for (int i = 0; i < 300; i++) {
        prepare(&cbs[i], i % 3 ? file : ends[0], block, sizeof block, i * 65536L);
        cbs[i].aio_sigevent.sigev_notify = SIGEV_THREAD;
        cbs[i].aio_sigevent.sigev_notify_function = function;
        cbs[i].aio_sigevent.sigev_notify_attributes = NULL;
        CHECK((i % 3 == 1 ? aio_write(&cbs[i]) : aio_read(&cbs[i])) == 0);
    }
    if (count > 1) sleep_ms(30);
    if (count > 2) {
        /* Only this thread ends; the process does when the last of the program's threads has. */
        exit(0);
    }
    return 0;
}
