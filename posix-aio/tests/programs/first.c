/* The first request of a process, made by a thread that is to be cancelled, or by one that has the
   smallest stack there is. Each function comes first in a process of its own. */
#include "check.h"

enum {
    READ, WAITING_READ, WRITE, APPEND, SYNC, LIST, CANCEL, CLOSE, CLOSE_ALL, CALLED, LOOK, WAITING_LIST,
    COUNT
};

static struct aiocb cb, other;
static struct aiocb *list[2] = {&cb, &other};
static char buffer[512];
static int file, append, ends[2], called;

static void function(union sigval v) {
    (void)v;
    __atomic_store_n(&called, 1, __ATOMIC_SEQ_CST);
}

static void make(long which) {
    prepare(&cb, file, buffer, sizeof buffer, 0);
    prepare(&other, file, buffer, sizeof buffer, 512);
    cb.aio_lio_opcode = LIO_WRITE;
    other.aio_lio_opcode = LIO_READ;
    switch (which) {
    case READ: CHECK(aio_read(&cb) == 0); break;
    case WAITING_READ:
        cb.aio_fildes = ends[0];
        CHECK(aio_read(&cb) == 0);
        break;
    case WRITE: CHECK(aio_write(&cb) == 0); break;
    case APPEND:
        cb.aio_fildes = append;
        CHECK(aio_write(&cb) == 0);
        break;
    case SYNC: CHECK(aio_fsync(O_SYNC, &cb) == 0); break;
    case LIST: CHECK(lio_listio(LIO_NOWAIT, list, 2, NULL) == 0); break;
    case WAITING_LIST: CHECK(lio_listio(LIO_WAIT, list, 2, NULL) == 0); break;
    case CANCEL:
        cb.aio_fildes = other.aio_fildes = ends[0];
        CHECK(aio_read(&cb) == 0 && aio_read(&other) == 0);
        CHECK(aio_cancel(ends[0], &other) == AIO_CANCELED && aio_error(&other) == ECANCELED);
        break;
    case CLOSE:
        cb.aio_fildes = dup(append);
        CHECK(aio_write(&cb) == 0 && dup2(ends[1], cb.aio_fildes) >= 0);
        break;
    case CLOSE_ALL:
        cb.aio_fildes = fcntl(file, F_DUPFD, 900);
        CHECK(aio_write(&cb) == 0);
        closefrom(900);
        break;
    case CALLED:
        cb.aio_sigevent.sigev_notify = SIGEV_THREAD;
        cb.aio_sigevent.sigev_notify_function = function;
        CHECK(aio_write(&cb) == 0);
        break;
    case LOOK:
        CHECK(aio_write(&cb) == 0 && aio_suspend((const struct aiocb **)list, 0, NULL) == 0);
        while (aio_error(&cb) == EINPROGRESS) {}
        CHECK(aio_return(&cb) == sizeof buffer);
        break;
    }
}

static void gone(void *argument) {
    (void)argument;
    fprintf(stderr, "cancelled in the call\n");
    _exit(1);
}

static void *to_be_cancelled(void *which) {
    pthread_cancel(pthread_self());
    pthread_cleanup_push(gone, NULL);
    make((long)which);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *with_little_stack(void *which) {
    make((long)which);
    return NULL;
}

int main(int count, char **arguments) {
    check_library();
    int stack = count > 1 && strcmp(arguments[1], "stack") == 0;
    file = scratch();
    append = scratch_flags(O_RDWR | O_APPEND);
    CHECK(pipe(ends) == 0 && pwrite(file, buffer, sizeof buffer, 0) == sizeof buffer);
    for (long which = 0; which < COUNT; which++) {
        /* Who waits may be cancelled. What was closed is the C library's loss. */
        if (!stack && which == WAITING_LIST) continue;
        if (getenv("BESIDE") != NULL && which == CLOSE_ALL) continue;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            pthread_attr_t attributes;
            pthread_t thread;
            CHECK(pthread_attr_init(&attributes) == 0);
            if (stack) CHECK(pthread_attr_setstacksize(&attributes, 16384) == 0);
            void *(*body)(void *) = stack ? with_little_stack : to_be_cancelled;
            CHECK(pthread_create(&thread, &attributes, body, (void *)which) == 0);
            CHECK(pthread_join(thread, NULL) == 0);
            if (which == WAITING_READ || which == CANCEL) CHECK(write(ends[1], "x", 1) == 1);
            CHECK(wait_for(&cb) == 0);
            if (which == CALLED)
                while (!__atomic_load_n(&called, __ATOMIC_SEQ_CST)) sleep_ms(1);
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        if (status != 0) fprintf(stderr, "function %ld: status %x\n", which, status);
        CHECK(status == 0);
    }
    return 0;
}
