/* A thread that waits in aio_suspend can be cancelled there, and nothing is left of it. */
#include "check.h"

static struct aiocb cb, finished;
static const struct aiocb *list[2] = {&cb, NULL};
static int ends[2], cleaned, returned;

static void clean(void *argument) {
    (void)argument;
    __atomic_add_fetch(&cleaned, 1, __ATOMIC_SEQ_CST);
}

static void *waits(void *timeout) {
    pthread_cleanup_push(clean, NULL);
    aio_suspend(list, 2, timeout);
    __atomic_add_fetch(&returned, 1, __ATOMIC_SEQ_CST);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *is_to_be_cancelled(void *timeout) {
    pthread_cancel(pthread_self());
    return waits(timeout);
}

static void *does_not_wait(void *argument) {
    const struct aiocb *one[1] = {&finished};
    pthread_cancel(pthread_self());
    CHECK(aio_suspend(one, 1, NULL) == 0);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    return argument;
}

static void *cannot_be(void *argument) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    CHECK(aio_suspend(list, 2, NULL) == 0 && aio_error(&cb) == 0);
    return argument;
}

int main(void) {
    check_library();
    char byte;
    struct timespec long_time = {60, 0};
    CHECK(pipe(ends) == 0);
    prepare(&finished, scratch(), NULL, 0, 0);
    CHECK(aio_read(&finished) == 0 && wait_for(&finished) == 0);
    prepare(&cb, ends[0], &byte, 1, 0);
    CHECK(aio_read(&cb) == 0);

    pthread_t threads[300], thread;
    void *result;
    for (int round = 0; round < 4; round++) {
        /* More than can wait at once in an orderly way; before they wait, and while. */
        int count = round < 3 ? 300 : 20, before = round == 2;
        cleaned = returned = 0;
        for (int i = 0; i < count; i++)
            CHECK(pthread_create(&threads[i], NULL, before ? is_to_be_cancelled : waits,
                                 i % 2 ? &long_time : NULL) == 0);
        if (!before) sleep_ms(50);
        for (int i = 0; i < count; i++)
            if (!before) CHECK(pthread_cancel(threads[i]) == 0);
        for (int i = 0; i < count; i++)
            CHECK(pthread_join(threads[i], &result) == 0 && result == PTHREAD_CANCELED);
        CHECK(cleaned == count && returned == 0);
    }
    CHECK(aio_error(&cb) == EINPROGRESS);
    /* Who waits sleeps, and does not look again and again for want of what they had. */
    struct rusage before, after;
    struct timespec short_time = {0, 300000000};
    CHECK(getrusage(RUSAGE_THREAD, &before) == 0);
    FAILS(aio_suspend(list, 2, &short_time), EAGAIN);
    CHECK(getrusage(RUSAGE_THREAD, &after) == 0 && after.ru_nvcsw - before.ru_nvcsw < 50);
    CHECK(pthread_create(&thread, NULL, does_not_wait, &byte) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == &byte);
    CHECK(pthread_create(&thread, NULL, cannot_be, &byte) == 0);
    sleep_ms(20);
    CHECK(pthread_cancel(thread) == 0);
    sleep_ms(20);
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(pthread_join(thread, &result) == 0 && result == &byte);
    CHECK(wait_for(&cb) == 0);
    return 0;
}
