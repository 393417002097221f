/* Files that have a position for reads, and none for writes (those that the kernel makes up). */
#include "check.h"

static void comm_is(const char *expected) {
    char now[32] = {0};
    int fd = open("/proc/self/comm", O_RDONLY);
    CHECK(fd >= 0 && read(fd, now, 31) > 0);
    now[strcspn(now, "\n")] = 0;
    CHECK(strcmp(now, expected) == 0);
    close(fd);
}

int main(void) {
    check_library();
    int fd = open("/proc/self/comm", O_RDWR);
    struct aiocb cb, cbs[16], *list[16];
    char names[16][16], back[32] = {0};
    CHECK(fd >= 0);

    FAILS(pwrite(fd, "no", 2, 0), ESPIPE);
    prepare(&cb, fd, "abc", 3, 0);
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == 3);
    comm_is("abc");
    prepare(&cb, fd, back, 31, 0);
    CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0 && aio_return(&cb) == 4);
    CHECK(strcmp(back, "abc\n") == 0);

    /* As submitted: the last one stays. */
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 16; i++) {
            snprintf(names[i], sizeof names[i], "%d of %d", i, round);
            prepare(&cbs[i], fd, names[i], strlen(names[i]), 0);
            cbs[i].aio_lio_opcode = LIO_WRITE;
            list[i] = &cbs[i];
        }
        CHECK(lio_listio(LIO_WAIT, list, 16, NULL) == 0);
        comm_is(names[15]);
    }
    return 0;
}
