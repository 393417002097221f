/* What comes in between: a signal handler that closes, one that waits while a file is closed, and a
   thread that is cancelled in `close`. */
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

static struct aiocb awaited;
static volatile sig_atomic_t closing, waited, stop;
static pthread_t closer;

static void waits(int signo) {
    (void)signo;
    if (!closing) return;
    int error = errno;
    waited += aio_error(&awaited) == EINPROGRESS;
    CHECK(wait_for(&awaited) == 0);
    errno = error;
}

static void *interrupts(void *argument) {
    for (unsigned spin = 1; !stop; spin = spin * 1103515245 + 12345) {
        int one = 1;
        if (!__atomic_compare_exchange_n(&closing, &one, 2, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) continue;
        for (volatile unsigned i = spin >> 18; i > 0; i--) {}
        CHECK(pthread_kill(closer, SIGUSR1) == 0);
    }
    return argument;
}

/* What the handler waits for is kept with what is being closed. */
static void waited_for_in_a_handler(void) {
    int other = scratch_flags(O_RDWR | O_APPEND), mine = dup(other);
    struct sigaction action = {.sa_handler = waits, .sa_flags = SA_RESTART};
    struct aiocb cb;
    pthread_t thread;
    CHECK(dup2(other, mine + 16) == mine + 16);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    closer = pthread_self();
    CHECK(pthread_create(&thread, NULL, interrupts, NULL) == 0);
    for (double until = seconds() + 2; seconds() < until;) {
        prepare(&awaited, mine + 16, big, 100000, 0);
        prepare(&cb, mine, big, 4096, 0);
        CHECK(aio_write(&awaited) == 0 && aio_write(&cb) == 0);
        closing = 1;
        CHECK(close(mine) == 0);
        closing = 0;
        CHECK(aio_error(&cb) == 0 && wait_for(&awaited) == 0);
        CHECK(ftruncate(other, 0) == 0 && dup2(other, mine) == mine);
    }
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0 && waited > 0);
    CHECK(close(mine) == 0 && close(mine + 16) == 0 && close(other) == 0);
}

int main(void) {
    check_library();
    waited_for_in_a_handler();
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
