/* Threads that submit, suspend and cancel at once, on one file and on their own pipes. */
#include "check.h"

#define THREADS 8
#define ROUNDS 300
#define DEPTH 16

static int file;

static void *work(void *number) {
    long me = (long)number;
    struct aiocb cbs[DEPTH], in;
    static char blocks[THREADS][DEPTH][512], back[THREADS][DEPTH][512];
    int ends[2];
    char byte;
    CHECK(pipe(ends) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        const struct aiocb *list[DEPTH];
        prepare(&in, ends[0], &byte, 1, 0);
        CHECK(aio_read(&in) == 0);
        for (int i = 0; i < DEPTH; i++) {
            memset(blocks[me][i], round + i + me, 512);
            prepare(&cbs[i], file, blocks[me][i], 512, (me * DEPTH + i) * 512);
            CHECK(aio_write(&cbs[i]) == 0);
            list[i] = &cbs[i];
        }
        for (int left = DEPTH; left > 0;) {
            CHECK(aio_suspend(list, DEPTH, NULL) == 0);
            for (int i = 0; i < DEPTH; i++)
                if (list[i] && aio_error(list[i]) != EINPROGRESS) {
                    CHECK(aio_error(list[i]) == 0 && aio_return(&cbs[i]) == 512);
                    list[i] = NULL;
                    left--;
                }
        }
        struct aiocb *elements[DEPTH];
        for (int i = 0; i < DEPTH; i++) {
            prepare(&cbs[i], file, back[me][i], 512, (me * DEPTH + i) * 512);
            cbs[i].aio_lio_opcode = LIO_READ;
            elements[i] = &cbs[i];
        }
        CHECK(lio_listio(LIO_WAIT, elements, DEPTH, NULL) == 0);
        CHECK(memcmp(blocks[me], back[me], sizeof back[me]) == 0);
        if (round % 3 == 0 && aio_cancel(ends[0], &in) == AIO_CANCELED) {
            CHECK(aio_error(&in) == ECANCELED);
            continue;
        }
        CHECK(aio_error(&in) == EINPROGRESS);
        CHECK(write(ends[1], "x", 1) == 1);
        const struct aiocb *one[1] = {&in};
        CHECK(aio_suspend(one, 1, NULL) == 0 && aio_error(&in) == 0);
    }
    return NULL;
}

int main(void) {
    check_library();
    file = scratch();
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    return 0;
}
