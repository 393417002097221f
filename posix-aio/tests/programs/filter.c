/* Behind a filter that kills for the calls that ask, and refuses perf: everything works. */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#define DENY(number, verdict)                                    \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1),         \
        BPF_STMT(BPF_RET | BPF_K, (verdict))

int main(void) {
    check_library();
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        DENY(SYS_preadv2, SECCOMP_RET_KILL_PROCESS),
        DENY(SYS_pwritev2, SECCOMP_RET_KILL_PROCESS),
        DENY(SYS_openat2, SECCOMP_RET_KILL_PROCESS),
        DENY(SYS_perf_event_open, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0);

    int file = scratch(), ends[2];
    static char blocks[64][4096], back[64][4096];
    static struct aiocb cbs[64];
    CHECK(pipe(ends) == 0);
    for (int i = 0; i < 64; i++) {
        memset(blocks[i], i + 1, 4096);
        prepare(&cbs[i], file, blocks[i], 4096, i * 4096);
        CHECK(aio_write(&cbs[i]) == 0);
    }
    struct aiocb cb;
    prepare(&cb, file, NULL, 0, 0);
    CHECK(aio_fsync(O_DSYNC, &cb) == 0 && wait_for(&cb) == 0);
    for (int i = 0; i < 64; i++) {
        prepare(&cbs[i], file, back[i], 4096, i * 4096);
        CHECK(aio_read(&cbs[i]) == 0);
    }
    for (int i = 0; i < 64; i++) CHECK(wait_for(&cbs[i]) == 0);
    CHECK(memcmp(blocks, back, sizeof back) == 0);
    /* Order on a stream, where no ask tells what it is. */
    for (int i = 0; i < 64; i++) {
        prepare(&cbs[i], ends[0], back[i], 1, 0);
        CHECK(aio_read(&cbs[i]) == 0);
    }
    for (int i = 0; i < 64; i++) CHECK(write(ends[1], &(char){i}, 1) == 1);
    for (int i = 0; i < 64; i++) CHECK(wait_for(&cbs[i]) == 0 && back[i][0] == i);
    return 0;
}
