/* What is given to the kernel is whole words, whatever is on the stack: a filter looks at all of
   them, and is not seen itself. */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#define HIGH(nth) (offsetof(struct seccomp_data, args) + (nth) * 8 + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) * 4)
#define MUST_BE_SMALL(nth)                                  \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HIGH(nth)),          \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),       \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

__attribute__((noinline)) static void litter(void) {
    volatile char garbage[6000];
    for (size_t i = 0; i < sizeof garbage; i++) garbage[i] = 0xa5;
}

int main(void) {
    check_library();
    int file = scratch(), ends[2];
    static char block[512];
    struct aiocb cb;
    CHECK(pipe(ends) == 0);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_preadv2, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwritev2, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        MUST_BE_SMALL(0), MUST_BE_SMALL(2), MUST_BE_SMALL(4), MUST_BE_SMALL(5),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    /* After the first request, so that nobody who looks for filters then finds it. */
    prepare(&cb, file, block, sizeof block, 0);
    CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0);
    CHECK(instruction(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, (long)&filter) == 0);
    for (int i = 0; i < 100; i++) {
        prepare(&cb, file, block, sizeof block, 0);
        litter();
        CHECK(aio_write(&cb) == 0 && wait_for(&cb) == 0);
        litter();
        CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0);
        CHECK(write(ends[1], "w", 1) == 1);
        prepare(&cb, ends[0], block, 1, 0);
        litter();
        CHECK(aio_read(&cb) == 0 && wait_for(&cb) == 0);
    }
    return 0;
}
