/* What comes in between: a signal handler that closes, and a thread that is cancelled in
   `close`. */
#include "check.h"
#include <sys/time.h>

static volatile sig_atomic_t victim, handled;

static void closes(int signo) {
    int error = errno;
    (void)signo;
    handled++;
    close(victim);
    errno = error;
}

static struct aiocb appends[40];
static char big[1 << 20];
static int file;

static void *cancelled(void *argument) {
    for (int i = 0; i < 40; i++) {
        prepare(&appends[i], file, big, sizeof big, 0);
        CHECK(aio_write(&appends[i]) == 0);
    }
    CHECK(pthread_cancel(pthread_self()) == 0);
    close(file);
    return argument;
}

int main(void) {
    check_library();
    /* Nothing is open there, but its requests would be kept with those of the pipe. */
    int ends[2];
    CHECK(pipe(ends) == 0);
    victim = ends[0] + 16;
    struct aiocb first, cb;
    char bytes[2];
    prepare(&first, ends[0], &bytes[0], 1, 0);
    CHECK(aio_read(&first) == 0);
    struct sigaction action = {.sa_handler = closes, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (double until = seconds() + 2; seconds() < until;) {
        prepare(&cb, ends[0], &bytes[1], 1, 0);
        CHECK(aio_read(&cb) == 0 && aio_cancel(ends[0], &cb) == AIO_CANCELED);
    }
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(handled > 100);
    CHECK(write(ends[1], "x", 1) == 1 && wait_for(&first) == 0);

    /* The thread goes; what it had begun is finished. */
    file = scratch_flags(O_RDWR | O_APPEND);
    int kept = dup(file);
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, cancelled, NULL) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    for (int i = 0; i < 40; i++) CHECK(wait_for(&appends[i]) == 0);
    CHECK(lseek(kept, 0, SEEK_END) == 40 * (off_t)sizeof big);
    return 0;
}
