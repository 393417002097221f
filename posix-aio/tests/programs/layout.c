/* The control block of the header is the one that `abi.rs` describes. */
#include "check.h"
#include <stddef.h>

#define AT(field, offset) _Static_assert(offsetof(struct aiocb, field) == (offset), #field)
AT(aio_fildes, 0);
AT(aio_lio_opcode, 4);
AT(aio_reqprio, 8);
AT(aio_buf, 16);
AT(aio_nbytes, 24);
AT(aio_sigevent, 32);
AT(__error_code, 112);
AT(__return_value, 120);
AT(aio_offset, 128);
_Static_assert(sizeof(struct aiocb) == 168 && sizeof(struct aiocb64) == 168, "size");
_Static_assert(sizeof(struct sigevent) == 64, "sigevent");
_Static_assert(offsetof(struct sigevent, sigev_value) == 0, "sigev_value");
_Static_assert(offsetof(struct sigevent, sigev_signo) == 8, "sigev_signo");
_Static_assert(offsetof(struct sigevent, sigev_notify) == 12, "sigev_notify");
_Static_assert(offsetof(struct sigevent, sigev_notify_function) == 16, "function");
_Static_assert(offsetof(struct sigevent, sigev_notify_attributes) == 24, "attributes");
_Static_assert(AIO_CANCELED == 0 && AIO_NOTCANCELED == 1 && AIO_ALLDONE == 2, "cancel");
_Static_assert(LIO_READ == 0 && LIO_WRITE == 1 && LIO_NOP == 2, "opcodes");
_Static_assert(LIO_WAIT == 0 && LIO_NOWAIT == 1, "modes");
_Static_assert(SIGEV_SIGNAL == 0 && SIGEV_NONE == 1 && SIGEV_THREAD == 2, "notify");
_Static_assert(SI_ASYNCIO == -4, "SI_ASYNCIO");
_Static_assert(offsetof(struct aioinit, aio_threads) == 0, "aioinit");

int main(void) {
    check_library();
    CHECK(sysconf(_SC_AIO_PRIO_DELTA_MAX) == 20);
    return 0;
}
