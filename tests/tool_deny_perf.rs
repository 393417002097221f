//! Runs a command with `perf_event_open` refused: `tool_deny_perf --exec COMMAND ARGUMENTS...`.
//!
//! Without `--exec` it is a test of itself, so that `cargo test` may run it like any other (but not
//! where perf is denied already).

mod support;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == "--exec" => {}
        // As the usual harness does; its other options mean nothing here.
        Some(first) if first == "--list" => {
            if !arguments.any(|option| option == "--ignored") {
                println!("perf_is_denied: test");
            }
            return ExitCode::SUCCESS;
        }
        _ => return test_itself(),
    }
    let Some(command) = arguments.next() else {
        eprintln!("tool_deny_perf: there is no command behind --exec");
        return ExitCode::from(2);
    };
    deny();
    let error = Command::new(&command).args(arguments).exec();
    eprintln!("tool_deny_perf: {command:?}: {error}");
    ExitCode::from(2)
}

fn deny() {
    let refused = support::os::refuse(libc::EACCES);
    support::os::filter(&support::os::deny(libc::SYS_perf_event_open, refused))
        .expect("a filter can be installed");
}

fn test_itself() -> ExitCode {
    // Without a filter the kernel misses what the event is to be.
    assert_eq!(error_of_an_open(), Some(libc::EFAULT));
    deny();
    assert_eq!(error_of_an_open(), Some(libc::EACCES));
    println!("test perf_is_denied ... ok\n\ntest result: ok. 1 passed; 0 failed");
    ExitCode::SUCCESS
}

fn error_of_an_open() -> Option<i32> {
    let nothing = std::ptr::null::<u8>();
    // SAFETY: no attributes are there to be read.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, nothing, 0, -1, -1, 0) };
    assert_eq!(fd, -1);
    std::io::Error::last_os_error().raw_os_error()
}
