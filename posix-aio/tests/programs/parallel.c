/* Requests on one descriptor of a file do not wait for each other: one that is stuck (it reads
   into a page that is not there) holds up none of the others. */
#include "check.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

int main(void) {
    check_library();
    int faults = syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {.api = UFFD_API};
    if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0) {
        printf("SKIPPED: userfaultfd (%s)\n", strerror(errno));
        return 0;
    }
    int file = scratch_flags(O_RDWR | O_DIRECT);
    if (file < 0) {
        printf("SKIPPED: O_DIRECT (%s)\n", strerror(errno));
        return 0;
    }
    char *missing = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *pages = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(missing != MAP_FAILED && pages != MAP_FAILED);
    memset(pages, 'p', 16 * 4096);
    CHECK(pwrite(file, pages, 16 * 4096, 0) == 16 * 4096);
    struct uffdio_register range = {{(unsigned long)missing, 8192}, UFFDIO_REGISTER_MODE_MISSING, 0};
    CHECK(ioctl(faults, UFFDIO_REGISTER, &range) == 0);

    struct aiocb stuck, late, cbs[16], sync;
    prepare(&stuck, file, missing, 4096, 0);
    CHECK(aio_read(&stuck) == 0);
    for (int i = 0; i < 16; i++) {
        prepare(&cbs[i], file, pages + i * 4096, 4096, i * 4096);
        CHECK(aio_read(&cbs[i]) == 0);
    }
    for (int i = 0; i < 16; i++) CHECK(wait_for(&cbs[i]) == 0 && aio_return(&cbs[i]) == 4096);
    /* A sync waits for the write before it, and not for the reads. (Other writes might: some file
       systems hold the file's lock over a write.) */
    prepare(&sync, file, NULL, 0, 0);
    CHECK(aio_fsync(O_SYNC, &sync) == 0 && wait_for(&sync) == 0);
    prepare(&late, file, missing + 4096, 4096, 4096);
    CHECK(aio_write(&late) == 0);
    CHECK(aio_fsync(O_SYNC, &sync) == 0);
    sleep_ms(50);
    CHECK(aio_error(&stuck) == EINPROGRESS && aio_error(&late) == EINPROGRESS);
    CHECK(aio_error(&sync) == EINPROGRESS);
    CHECK(aio_cancel(file, &stuck) == AIO_NOTCANCELED);

    struct uffdio_zeropage zeros = {{(unsigned long)missing, 8192}, 0, 0};
    CHECK(ioctl(faults, UFFDIO_ZEROPAGE, &zeros) == 0);
    CHECK(wait_for(&stuck) == 0 && aio_return(&stuck) == 4096);
    CHECK(wait_for(&late) == 0 && wait_for(&sync) == 0);
    return 0;
}
