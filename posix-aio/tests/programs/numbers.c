/* What the library keeps open, and what becomes of it when the program closes what it does not
   know, or has a number mean something else. */
#include "check.h"
#include <sys/eventfd.h>

#define KEPT 512

static int is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static int open_from(int first) {
    int count = 0;
    for (int fd = first; fd < 2048; fd++) count += is_open(fd);
    return count;
}

static long length(int fd) {
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    return st.st_size;
}

static void expect_byte(struct aiocb *cb, char *byte, int writer) {
    CHECK(aio_error(cb) == EINPROGRESS);
    CHECK(write(writer, "!", 1) == 1);
    CHECK(wait_for(cb) == 0 && *byte == '!');
    *byte = 0;
}

static volatile int over;

/* Opens and closes what is its own, beside requests that make the library do the same. */
static void *busy(void *argument) {
    int fd = *(int *)argument;
    for (long i = 0; !over; i++) {
        int mine = fcntl(fd, F_DUPFD_CLOEXEC, KEPT);
        CHECK(mine >= 0 && close(mine) == 0);
    }
    return NULL;
}

int main(void) {
    check_library();
    struct rlimit limit = {2048, 2048};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0 || errno == EPERM);
    static char block[4096];
    struct aiocb cb, second, sync;
    char byte = 0, more = 0;
    int ends[2], fresh[2], status;

    /* Requests on files need no descriptor, and threads that run them take none. */
    int before = open_from(0), file = scratch();
    for (int i = 0; i < 50; i++) {
        prepare(&cb, file, block, sizeof block, i * 4096L);
        CHECK(aio_write(&cb) == 0);
        CHECK(close(0) == 0 && open("/dev/null", O_RDONLY) == 0);
        prepare(&sync, file, NULL, 0, 0);
        CHECK(aio_fsync(O_SYNC, &sync) == 0);
        CHECK(close(0) == 0 && open("/dev/null", O_RDONLY) == 0);
        CHECK(wait_for(&cb) == 0 && wait_for(&sync) == 0);
    }
    CHECK(open_from(0) == before + 1);

    /* A request on a stream has a descriptor of its own, which is not the program's to close. */
    CHECK(pipe(ends) == 0);
    prepare(&cb, ends[0], &byte, 1, 0);
    CHECK(aio_read(&cb) == 0);
    CHECK(open_from(KEPT) == 1);
    int kept = KEPT;
    while (!is_open(kept)) kept++;
    FAILS(close(kept), EBADF);
    FAILS(dup2(0, kept), EBUSY);
    FAILS(dup3(0, kept, 0), EBUSY);
    for (int way = 0; way < 3; way++) {
        /* A process that goes on without what it had open, but for the pipe's other end. */
        int writer = dup(ends[1]);
        CHECK(writer > ends[1]);
        if (way == 0) for (int fd = writer + 1; fd < 2048; fd++) close(fd);
        if (way == 1) CHECK(close_range(writer + 1, ~0U, 0) == 0);
        if (way == 2) closefrom(writer + 1);
        CHECK(open_from(KEPT) == 1);
        close(writer);
    }
    expect_byte(&cb, &byte, ends[1]);
    CHECK(open_from(KEPT) == 0);
    FAILS(close_range(5, 3, 0), EINVAL);

    /* Closed: what runs goes on, what has not started is cancelled; by whatever way. */
    for (int way = 0; way < 5; way++) {
        close(ends[0]);
        close(ends[1]);
        CHECK(pipe(ends) == 0);
        prepare(&cb, ends[0], &byte, 1, 0);
        prepare(&second, ends[0], &more, 1, 0);
        CHECK(aio_read(&cb) == 0);
        sleep_ms(20);
        CHECK(aio_read(&second) == 0);
        int reader = ends[0];
        FILE *stream = way == 3 ? fdopen(reader, "r") : NULL;
        if (way == 0) CHECK(close(reader) == 0);
        if (way == 1) CHECK(close_range(reader, reader, 0) == 0);
        if (way == 2) CHECK(dup2(0, reader) == reader);
        if (way == 3) CHECK(fclose(stream) == 0);
        /* This one is not seen, until the number is used again. */
        if (way == 4) CHECK(instruction(SYS_close, reader, 0, 0) == 0);
        CHECK(way == 4 || wait_for(&second) == ECANCELED);

        /* The number's next owner begins anew, whatever the last one left behind. */
        CHECK(pipe(fresh) == 0);
        if (fresh[0] != reader) CHECK(dup2(fresh[0], reader) == reader && close(fresh[0]) == 0);
        struct aiocb next;
        char byte_of_next = 0;
        prepare(&next, reader, &byte_of_next, 1, 0);
        CHECK(aio_read(&next) == 0);
        CHECK(wait_for(&second) == ECANCELED && more == 0);
        expect_byte(&next, &byte_of_next, fresh[1]);
        CHECK(aio_error(&cb) == EINPROGRESS);
        CHECK(aio_cancel(reader, NULL) == AIO_ALLDONE);
        CHECK(aio_cancel(reader, &cb) == AIO_NOTCANCELED);
        close(fresh[1]);
        int other = scratch();
        CHECK(dup2(other, reader) == reader);
        prepare(&next, reader, block, sizeof block, 0);
        CHECK(aio_write(&next) == 0);
        CHECK(close(reader) == 0);
        CHECK(wait_for(&next) == 0 && length(other) == 4096);
        close(other);
        expect_byte(&cb, &byte, ends[1]);
        ends[0] = open("/dev/null", O_RDONLY);
    }
    CHECK(open_from(KEPT) == 0);
    close(ends[0]);
    close(ends[1]);

    /* Whose last request on a pipe is finished, and closes it, has closed it: seen without
       waiting. */
    for (int i = 0; i < 3000; i++) {
        CHECK(pipe2(ends, O_NONBLOCK) == 0);
        prepare(&cb, ends[1], "last", 4, 0);
        CHECK(aio_write(&cb) == 0);
        for (double limit = seconds() + 20; aio_error(&cb) == EINPROGRESS;) CHECK(seconds() < limit);
        CHECK(aio_error(&cb) == 0 && close(ends[1]) == 0);
        char text[8];
        CHECK(read(ends[0], text, 8) == 4 && read(ends[0], text, 8) == 0);
        close(ends[0]);
    }

    /* No write to a stream lands in the file that gets its number next. */
    int target = scratch();
    for (int i = 0; i < 2000; i++) {
        CHECK(pipe(ends) == 0);
        prepare(&cb, ends[1], "stray", 5, 0);
        CHECK(aio_write(&cb) == 0);
        CHECK(dup2(target, ends[1]) == ends[1]);
        int error = wait_for(&cb);
        CHECK(error == 0 || error == ECANCELED);
        close(ends[0]);
        close(ends[1]);
    }
    CHECK(length(target) == 0 && lseek(target, 0, SEEK_CUR) == 0);

    /* What only looks as if it had a position: reads and writes go through it, and nobody who
       closes it waits for a read that may never end. */
    int event = eventfd(0, 0), copy = dup(event);
    uint64_t number = 0, one = 1;
    prepare(&cb, event, (char *)&one, sizeof one, 0);
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0);
    prepare(&cb, event, (char *)&number, sizeof number, 0);
    CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && number == 1);
    CHECK(aio_read(&cb) == 0);
    sleep_ms(20);
    CHECK(close(event) == 0);
    CHECK(write(copy, &one, sizeof one) == sizeof one);
    CHECK(wait_for(&cb) == 0);

    /* A file that was closed unseen, while it was written, and whose number is a pipe's: that is
       closed like one. */
    size_t much = 200 << 20;
    char *zeros = calloc(1, much);
    int closed = scratch();
    prepare(&second, closed, zeros, much, 0);
    CHECK(aio_write(&second) == 0);
    sleep_ms(10);
    CHECK(instruction(SYS_close, closed, 0, 0) == 0);
    CHECK(pipe(ends) == 0 && ends[0] == closed);
    prepare(&cb, ends[0], &byte, 1, 0);
    CHECK(aio_read(&cb) == 0);
    CHECK(wait_for(&second) == 0);
    alarm(20);
    CHECK(close(ends[0]) == 0);
    alarm(0);
    CHECK(write(ends[1], "!", 1) == 1 && wait_for(&cb) == 0 && byte == '!');
    free(zeros);

    /* The two ends of a pipe are not the same, though they are one file. */
    CHECK(pipe(ends) == 0);
    prepare(&cb, ends[0], &byte, 1, 0);
    CHECK(aio_read(&cb) == 0);
    sleep_ms(20);
    CHECK(instruction(SYS_close, ends[0], 0, 0) == 0);
    CHECK(dup(ends[1]) == ends[0]);
    prepare(&second, ends[0], "!", 1, 0);
    CHECK(aio_write(&second) == 0);
    CHECK(wait_for(&second) == 0 && wait_for(&cb) == 0 && byte == '!');
    byte = 0;
    close(ends[0]);
    close(ends[1]);

    /* A child of a fork has none of the parent's. */
    CHECK(pipe(ends) == 0);
    prepare(&cb, ends[0], &byte, 1, 0);
    CHECK(aio_read(&cb) == 0 && open_from(KEPT) == 1);
    pid_t child = fork();
    if (child == 0) _exit(open_from(KEPT));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    expect_byte(&cb, &byte, ends[1]);
    CHECK(open_from(KEPT) == 0);

    /* Nothing is closed by a call that fails. */
    prepare(&second, ends[0], &more, 1, 0);
    CHECK(aio_read(&cb) == 0);
    sleep_ms(20);
    CHECK(aio_read(&second) == 0);
    FAILS(dup3(0, ends[0], 1 << 30), EINVAL);
    CHECK(aio_error(&cb) == EINPROGRESS && aio_error(&second) == EINPROGRESS);
    expect_byte(&cb, &byte, ends[1]);
    expect_byte(&second, &more, ends[1]);

    /* A number that was the library's is the program's at once. */
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, busy, &ends[0]) == 0);
    for (double until = seconds() + 1; seconds() < until;) {
        prepare(&cb, ends[0], &byte, 1, 0);
        CHECK(aio_read(&cb) == 0);
        if (aio_cancel(ends[0], &cb) != AIO_CANCELED) expect_byte(&cb, &byte, ends[1]);
    }
    over = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
