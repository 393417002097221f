//! System calls by their number, each argument a whole word.
//!
//! The C library's `syscall` takes its arguments from registers and from the stack, as whole words:
//! of a number of half a word the rest is whatever was there. It also sets `errno`, and is a
//! function of this library itself (`calls.rs`).

use std::ffi::{c_int, c_long};

/// One system call. An error as its number; `errno` stays as it is.
///
/// # Safety
///
/// As the system call.
pub(crate) unsafe fn call<const N: usize>(
    number: c_long,
    arguments: [c_long; N],
) -> Result<usize, c_int> {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    // SAFETY: as the caller's.
    let answer = unsafe { enter(number, all) };
    if (-4095..0).contains(&answer) { Err(-answer as c_int) } else { Ok(answer as usize) }
}

/// An address as an argument.
pub(super) fn address<T>(pointer: *const T) -> c_long {
    pointer.expose_provenance() as c_long
}

#[cfg(target_arch = "x86_64")]
unsafe fn enter(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    let answer;
    // SAFETY: as the caller's; the instruction changes no other register.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

#[cfg(target_arch = "aarch64")]
unsafe fn enter(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    let answer;
    // SAFETY: as the caller's; the instruction changes no other register.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => answer,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    answer
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn enter(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    // SAFETY: takes nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the place is this thread's.
    let before = unsafe { *errno };
    // SAFETY: as the caller's.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if answer != -1 {
        return answer;
    }
    // SAFETY: as above.
    let error = unsafe { std::ptr::replace(errno, before) };
    -c_long::from(error)
}
