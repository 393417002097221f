/* Appends and streams in order; other requests at once; a sync behind the writes before it. */
#include "check.h"

#define COUNT 500

int main(void) {
    check_library();
    static struct aiocb cbs[COUNT];
    static char blocks[COUNT][64], back[COUNT][64];

    /* O_APPEND. */
    int file = scratch_flags(O_RDWR | O_APPEND);
    for (int i = 0; i < COUNT; i++) {
        memset(blocks[i], 'a' + i % 26, sizeof blocks[i]);
        snprintf(blocks[i], sizeof blocks[i], "%d", i);
        prepare(&cbs[i], file, blocks[i], sizeof blocks[i], 0);
        CHECK(aio_write(&cbs[i]) == 0);
    }
    for (int i = 0; i < COUNT; i++) CHECK(wait_for(&cbs[i]) == 0 && aio_return(&cbs[i]) == 64);
    CHECK(pread(file, back, sizeof back, 0) == sizeof back);
    CHECK(memcmp(back, blocks, sizeof back) == 0);

    /* A pipe: the offset means nothing, and both directions keep their order. */
    int ends[2];
    CHECK(pipe(ends) == 0);
    static struct aiocb reads[COUNT];
    memset(back, 0, sizeof back);
    for (int i = 0; i < COUNT; i++) {
        prepare(&reads[i], ends[0], back[i], sizeof back[i], 1000000 - i);
        CHECK(aio_read(&reads[i]) == 0);
    }
    CHECK(aio_error(&reads[0]) == EINPROGRESS);
    for (int i = 0; i < COUNT; i++) {
        prepare(&cbs[i], ends[1], blocks[i], sizeof blocks[i], -5);
        CHECK(aio_write(&cbs[i]) == 0);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK(wait_for(&cbs[i]) == 0 && aio_return(&cbs[i]) == 64);
        CHECK(wait_for(&reads[i]) == 0 && aio_return(&reads[i]) == 64);
        CHECK(memcmp(back[i], blocks[i], 64) == 0);
    }
    /* More than a pipe holds is written whole, as by write(). */
    static char large[1 << 20], sink[1 << 20];
    memset(large, 'L', sizeof large);
    struct aiocb cb, other, sync;
    prepare(&cb, ends[1], large, sizeof large, 0);
    CHECK(aio_write(&cb) == 0);
    for (size_t got = 0; got < sizeof sink;) {
        ssize_t n = read(ends[0], sink + got, sizeof sink - got);
        CHECK(n > 0);
        got += n;
    }
    CHECK(wait_for(&cb) == 0 && aio_return(&cb) == sizeof large);
    CHECK(memcmp(large, sink, sizeof sink) == 0);

    /* What is there already is read in the call; the end of a pipe is an end. */
    CHECK(write(ends[1], "xyz", 3) == 3);
    prepare(&cb, ends[0], sink, 100, 0);
    CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == 3);

    /* A sync waits for the writes before it (here: for one that waits for a reader), not for
       later. */
    fill(ends[1]);
    prepare(&cb, ends[1], "w", 1, 0);
    CHECK(aio_write(&cb) == 0);
    prepare(&sync, ends[1], NULL, 0, 0);
    CHECK(aio_fsync(O_SYNC, &sync) == 0);
    struct aiocb second;
    prepare(&second, ends[1], NULL, 0, 0);
    CHECK(aio_fsync(O_DSYNC, &second) == 0);
    sleep_ms(50);
    CHECK(aio_error(&cb) == EINPROGRESS);
    CHECK(aio_error(&sync) == EINPROGRESS && aio_error(&second) == EINPROGRESS);
    drain(ends[0]);
    CHECK(wait_for(&cb) == 0);
    /* A pipe cannot be synced; that it was tried is what counts. */
    CHECK(wait_for(&sync) == EINVAL && wait_for(&second) == EINVAL && aio_return(&sync) == -1);

    /* On one descriptor a request that waits does not hold up another. */
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    char byte = 0, in = 0;
    prepare(&cb, pair[0], &byte, 1, 0);
    CHECK(aio_read(&cb) == 0);
    prepare(&other, pair[0], "o", 1, 0);
    CHECK(aio_write(&other) == 0);
    CHECK(wait_for(&other) == 0 && aio_return(&other) == 1);
    CHECK(read(pair[1], &in, 1) == 1 && in == 'o');
    CHECK(aio_error(&cb) == EINPROGRESS);
    CHECK(write(pair[1], "r", 1) == 1);
    CHECK(wait_for(&cb) == 0 && byte == 'r');

    /* Nobody reads any more: an error, and no signal. */
    close(pair[1]);
    prepare(&other, pair[0], "o", 1, 0);
    CHECK(aio_write(&other) == 0);
    CHECK(wait_for(&other) == EPIPE && aio_return(&other) == -1);
    int broken[2];
    CHECK(pipe(broken) == 0);
    close(broken[0]);
    prepare(&other, broken[1], "o", 1, 0);
    CHECK(aio_write(&other) == 0 && wait_for(&other) == EPIPE);

    /* A descriptor that does not block answers as it does to read(). */
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    prepare(&cb, ends[0], &byte, 1, 0);
    CHECK(aio_read(&cb) == 0 && wait_for(&cb) == EAGAIN);

    /* A sync behind many writes to a file. */
    file = scratch();
    for (int i = 0; i < COUNT; i++) {
        prepare(&cbs[i], file, blocks[i], sizeof blocks[i], i * 64);
        CHECK(aio_write(&cbs[i]) == 0);
    }
    prepare(&sync, file, NULL, 0, 0);
    CHECK(aio_fsync(O_DSYNC, &sync) == 0);
    CHECK(wait_for(&sync) == 0 && aio_return(&sync) == 0);
    for (int i = 0; i < COUNT; i++) CHECK(aio_error(&cbs[i]) == 0 && aio_return(&cbs[i]) == 64);
    CHECK(pread(file, back, sizeof back, 0) == sizeof back);
    CHECK(memcmp(back, blocks, sizeof back) == 0);
    return 0;
}
