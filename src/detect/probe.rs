//! Whether perf rings work here: asked once per process, and answered by trying.
//!
//! A successful open proves little (some sandboxes accept the call and deliver nothing), so the
//! probe goes the whole way: a thread opens a ring, blocks, and the edge must arrive in an epoll.
//!
//! Under a seccomp filter a forbidden call may kill. Then a child tries first; its death is a "no",
//! and only after its success does this process try. The answer is kept for all threads, but filters
//! belong to threads, and come when they like: before a thread opens or arms a ring it asks whether
//! there is one that was not there at the probe.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::ring::{Ring, RingError, WATERMARK};
use crate::primitive::{Mutex, StaticRef};
use crate::sys::epoll::{Epoll, Event};
use crate::sys::fork::PerFork;
use crate::sys::perf::{self, Step, StepError, Trial};
use crate::sys::{seccomp, thread as sys_thread};

/// How long the child of a filtered process may take.
const CHILD_LIMIT: Duration = Duration::from_secs(1);
/// How long the edge of a block may take. Only a machine that fails the probe waits that long.
const EDGE_LIMIT: Duration = Duration::from_millis(250);

/// Whether threads of this process can have perf rings; if not, why, and what would help.
///
/// A child of `fork` keeps its parent's answer. If the parent was about to find it, the child does
/// so itself.
pub(crate) fn perf() -> &'static Result<(), String> {
    static ANSWER: StaticRef<Result<(), String>> = StaticRef::new();
    static ASKING: PerFork<Mutex<()>> = PerFork::new();
    if let Some(answer) = ANSWER.get() {
        return answer;
    }
    let _one = ASKING.get().lock();
    ANSWER.get().unwrap_or_else(|| {
        let answer = Box::leak(Box::new(probe()));
        ANSWER.set(Some(answer));
        answer
    })
}

/// Whether this process had no seccomp filter when it was first asked. What is merely useful is not
/// tried behind one: nobody asks a child for each such call.
pub(crate) fn no_seccomp_filter() -> bool {
    filters_at_first() == 0
}

/// How many filters there were when this process was first asked.
fn filters_at_first() -> u32 {
    const UNKNOWN: u32 = u32::MAX;
    static FOUND: AtomicU32 = AtomicU32::new(UNKNOWN);
    // Ordering: Relaxed, throughout: nothing comes with the number. Nobody waits for another who
    // looks: in a child of `fork` that one may not be there. The first answer counts.
    match FOUND.load(Ordering::Relaxed) {
        UNKNOWN => {
            let found = seccomp::filters();
            let first =
                FOUND.compare_exchange(UNKNOWN, found, Ordering::Relaxed, Ordering::Relaxed);
            first.err().unwrap_or(found)
        }
        found => found,
    }
}

/// Whether the calling thread has come behind a filter that was not there when the process was first
/// asked: what was found to be allowed then may be death now. Where there was one from the first, and
/// the like was tried behind that, another on top of it is not seen here; [`has_more_filters`] sees
/// it.
pub(crate) fn is_filtered_since() -> bool {
    no_seccomp_filter() && seccomp::is_filtered()
}

/// The same, however many there were; it reads a file for that if there were any.
pub(crate) fn has_more_filters() -> bool {
    if no_seccomp_filter() {
        seccomp::is_filtered()
    } else {
        seccomp::filters() > filters_at_first()
    }
}

fn probe() -> Result<(), String> {
    if !no_seccomp_filter() {
        try_in_child()?;
    }
    try_here()
}

fn try_in_child() -> Result<(), String> {
    let fault = match perf::try_in_child(WATERMARK, CHILD_LIMIT) {
        Trial::Works => return Ok(()),
        Trial::Refused(refused) => return Err(explain(&refused, paranoid())),
        Trial::Killed(signal) => {
            format!("a child that tried perf_event_open was killed by signal {signal}")
        }
        Trial::Late => "a child that tried perf_event_open gave no answer".to_owned(),
        Trial::Untried(error) => format!("no child to try perf_event_open in: {error}"),
    };
    Err(format!("{fault}: a seccomp filter is active; let it allow perf_event_open"))
}

/// Opens a ring on a fresh thread, so that the caller neither blocks for it nor leaves a record.
fn try_here() -> Result<(), String> {
    let (send_ring, receive_ring) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    let owner = thread::Builder::new()
        .name("threadlet-probe".into())
        .spawn(move || own_a_ring(&send_ring, &wait))
        .map_err(|error| format!("no thread to try perf_event_open on: {error}"))?;
    let answer = match receive_ring.recv() {
        Ok(Ok(ring)) => edge_arrives(&ring, &go),
        Ok(Err(RingError::Refused(refused))) => Err(explain(&refused, paranoid())),
        Ok(Err(silent @ RingError::Silent(_))) => {
            Err(format!("{silent}: the kernel, or what stands in for it, delivers no records"))
        }
        Err(_) => Err("the thread that tried perf_event_open panicked".to_owned()),
    };
    // The owner waits for us; without a sender it goes home.
    drop(go);
    let _panicked = owner.join();
    answer
}

/// The watched thread: shows its ring, and when told to it blocks a few times.
fn own_a_ring(rings: &Sender<Result<Arc<Ring>, RingError>>, go: &Receiver<()>) {
    let ring = Ring::open().map(Arc::new);
    if rings.send(ring).is_err() || go.recv().is_err() {
        return;
    }
    // Once would do, but for an edge in 10,000 that never comes.
    for _ in 0..3 {
        sys_thread::nanosleep(Duration::from_millis(1));
    }
    let _told_to_end = go.recv();
}

fn edge_arrives(ring: &Ring, go: &Sender<()>) -> Result<(), String> {
    let failed = |error: io::Error| format!("epoll on a perf ring: {error}");
    let epoll = Epoll::new().map_err(failed)?;
    let mut events = [Event::EMPTY; 1];
    epoll.add(ring.fd(), 0).map_err(failed)?;
    // An edge from before we watched is reported at once; it proves nothing, so take it away.
    epoll.wait(&mut events, Some(Duration::ZERO)).map_err(failed)?;
    go.send(()).map_err(|_| "the thread that tried perf_event_open is gone".to_owned())?;
    let deadline = Instant::now() + EDGE_LIMIT;
    let arrived = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // No event is a signal or the time: the deadline tells which.
        match epoll.wait(&mut events, Some(left)).map_err(failed)? {
            [edge] => break !edge.is_hang_up(),
            _ if left.is_zero() => break false,
            _ => {}
        }
    };
    epoll.del(ring.fd()).map_err(failed)?;
    if arrived {
        Ok(())
    } else {
        Err(format!(
            "perf records arrive, but no wake-up came within {} ms of a block",
            EDGE_LIMIT.as_millis()
        ))
    }
}

/// The value of the sysctl, if it can be read.
fn paranoid() -> Option<i32> {
    fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?.trim().parse().ok()
}

/// Says what went wrong, and what to do.
fn explain(refused: &StepError, paranoid: Option<i32>) -> String {
    let advice = match (refused.step, refused.error.raw_os_error()) {
        (Step::Open, Some(libc::EPERM | libc::EACCES)) => match paranoid {
            Some(level) if level > 2 => {
                format!("sysctl kernel.perf_event_paranoid is {level}, 2 or less is needed")
            }
            Some(level) => format!(
                "sysctl kernel.perf_event_paranoid is {level}, which is enough, so a seccomp \
                 filter or a security module refuses it"
            ),
            None => "sysctl kernel.perf_event_paranoid, a seccomp filter or a security module \
                     refuses it"
                .to_owned(),
        },
        (Step::Open, Some(libc::ENOSYS | libc::ENOENT)) => {
            "the kernel was built without CONFIG_PERF_EVENTS, or a sandbox hides it".to_owned()
        }
        (_, Some(libc::EMFILE | libc::ENFILE)) => {
            "too many open files, raise RLIMIT_NOFILE".to_owned()
        }
        (Step::Map, Some(libc::EPERM)) => "too much locked memory, raise RLIMIT_MEMLOCK or \
                                           sysctl kernel.perf_event_mlock_kb"
            .to_owned(),
        _ => return refused.to_string(),
    };
    format!("{refused}: {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::own_process::{Ended, child, is_child, run_within};
    use std::env;

    const VERDICT: &str = "THREADLET_TEST_VERDICT";

    fn refused(step: Step, errno: i32) -> StepError {
        StepError { step, error: io::Error::from_raw_os_error(errno) }
    }

    #[test]
    fn the_text_says_what_to_do() {
        let text = explain(&refused(Step::Open, libc::EPERM), Some(3));
        assert!(text.starts_with("perf_event_open: Operation not permitted"), "{text}");
        assert!(text.ends_with("kernel.perf_event_paranoid is 3, 2 or less is needed"), "{text}");
        let text = explain(&refused(Step::Open, libc::EACCES), Some(2));
        assert!(text.contains("seccomp") && !text.contains("needed"), "{text}");
        let text = explain(&refused(Step::Map, libc::EPERM), Some(2));
        assert!(text.contains("RLIMIT_MEMLOCK") && text.starts_with("mmap"), "{text}");
        let text = explain(&refused(Step::Open, libc::EMFILE), Some(2));
        assert!(text.contains("RLIMIT_NOFILE"), "{text}");
    }

    #[test]
    fn the_answer_is_the_one_that_a_trial_gives() {
        let can_open = thread::spawn(|| Ring::open().is_ok()).join().unwrap();
        let answer = perf();
        assert_eq!(answer.is_ok(), can_open, "{answer:?}");
        assert!(std::ptr::eq(answer, perf()), "probed once");
    }

    /// Runs the calling test as a child, which calls [`filter_perf_as_told`].
    fn under_a_filter(verdict: u32) -> Ended {
        run_within(Duration::from_secs(60), child().env(VERDICT, verdict.to_string()))
    }

    fn filter_perf_as_told() {
        let verdict = env::var(VERDICT).expect("a child is told").parse().unwrap();
        seccomp::install_filter(libc::SYS_perf_event_open, verdict).unwrap();
        assert!(seccomp::is_filtered());
    }

    fn probe_under_a_filter() {
        filter_perf_as_told();
        println!("answer: {:?}", probe());
    }

    #[test]
    fn a_filter_that_kills_does_kill() {
        use std::os::unix::process::ExitStatusExt;

        if is_child() {
            filter_perf_as_told();
            return println!("opened: {:?}", Ring::open().map(drop));
        }
        let victim = under_a_filter(libc::SECCOMP_RET_KILL_PROCESS);
        assert_eq!(victim.status.signal(), Some(libc::SIGSYS), "{victim:?}");
    }

    #[test]
    fn a_filter_that_kills_is_a_no_and_the_process_lives() {
        if is_child() {
            return probe_under_a_filter();
        }
        let prober = under_a_filter(libc::SECCOMP_RET_KILL_PROCESS);
        prober.demand_a_pass();
        let text = prober.output;
        assert!(text.contains("answer: Err(") && text.contains("killed by signal 31"), "{text}");
    }

    #[test]
    fn a_filter_that_refuses_is_a_no_with_its_reason() {
        if is_child() {
            return probe_under_a_filter();
        }
        let prober = under_a_filter(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
        prober.demand_a_pass();
        let text = prober.output;
        assert!(text.contains("answer: Err(\"perf_event_open: Operation not permitted"), "{text}");
    }

    #[test]
    fn a_filter_that_lets_perf_pass_is_no_obstacle() {
        if is_child() {
            return probe_under_a_filter();
        }
        let prober = under_a_filter(libc::SECCOMP_RET_ALLOW);
        prober.demand_a_pass();
        let text = prober.output;
        assert_eq!(text.contains("answer: Ok(())"), perf().is_ok(), "{text}");
    }
}
