//! Requests that are run, cancelled and closed by several at once.

use std::ffi::c_int;

use loom::thread;

use crate::engine::join_all;
use crate::process::Process;
use crate::queue::Submitted;
use crate::request::{Action, Order, Submission};
use crate::run::{run_soon, tell_cancelled};
use crate::suspend;
use crate::sys::{
    self, AT_ONCE, Buffer, ControlBlock, ENDED, Event, FILE, FILE_FD, HELD, NEVER, NEXT_STREAM,
    Place, STREAM, STREAM_FD, SYNC, Target,
};
use crate::table::Refused;
use crate::withdraw;

/// Explores `model` with up to `preemptions` forced switches in each run.
fn explore(preemptions: usize, model: impl Fn(&'static Process) + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(move || {
        sys::begin();
        model(Process::begin());
    });
}

const SYNC_ACTION: Action = Action::Sync { data: false };

fn submission(
    cb: ControlBlock,
    (number, target): (c_int, Target),
    (action, order): (Action, Order),
    place: &'static Place,
) -> Submission {
    let buffer = Buffer { number: cb.number(), place, len: 1 };
    let (done, at) = (0, Some(0));
    Submission {
        cb,
        action,
        number,
        target,
        order,
        buffer,
        at,
        done,
        queueable: false,
        event: Event,
        list: None,
    }
}

const WRITE: (Action, Order) = (Action::Write, Order::Free);

/// As `submit.rs` does with what could not be answered at once.
fn enter(
    process: &'static Process,
    cb: ControlBlock,
    (number, target): (c_int, Target),
    (action, order): (Action, Order),
    place: &'static Place,
) -> Result<(), ()> {
    let submission = submission(cb, (number, target), (action, order), place);
    let entered = process.table.enter(submission).map_err(drop)?;
    tell_cancelled(process, entered.cancelled);
    run_soon(process, entered.ready);
    Ok(())
}

/// A write that runs at once, or in line.
fn write(
    process: &'static Process,
    number: usize,
    order: Order,
    place: &'static Place,
) -> ControlBlock {
    let cb = ControlBlock::new(number);
    enter(process, cb, (FILE_FD, FILE), (Action::Write, order), place).unwrap();
    cb
}

fn read_stream(
    process: &'static Process,
    number: usize,
    target: Target,
    place: &'static Place,
) -> ControlBlock {
    let cb = ControlBlock::new(number);
    let how = (Action::Read, Order::ReadLane);
    enter(process, cb, (STREAM_FD, target), how, place).unwrap();
    cb
}

/// Each has run once and says so, or was cancelled and says that.
#[track_caller]
fn all_ran_or_were_cancelled(blocks: &[ControlBlock]) {
    let done = sys::done();
    for cb in blocks {
        let times = done.iter().filter(|number| **number == cb.number()).count();
        match cb.error() {
            0 => assert_eq!(times, 1, "{cb:?} ran once"),
            libc::ECANCELED => assert_eq!(times, 0, "{cb:?} was cancelled"),
            error => panic!("{cb:?}: {error}"),
        }
    }
}

#[track_caller]
fn nothing_is_left(process: &Process) {
    assert!(!process.table.may_have(FILE_FD) && !process.table.may_have(STREAM_FD));
    assert!(process.table.numbers().is_empty());
    assert!(process.table.target(FILE_FD).is_none() && process.table.target(STREAM_FD).is_none());
}

/// Whoever cancels and the thread that has the request both found it ready, and both had it: its
/// buffer was the program's again, and was written to.
#[test]
fn a_request_runs_or_is_cancelled() {
    explore(3, |process| {
        let cb = write(process, 1, Order::Free, Place::new());
        let withdrawn = withdraw::cancel(process, FILE_FD, Some(cb));
        let cancelled = cb.error() == libc::ECANCELED;
        assert_eq!(withdrawn.some, cancelled);
        assert!(!(withdrawn.some_run && cancelled));
        join_all();
        all_ran_or_were_cancelled(&[cb]);
        nothing_is_left(process);
    });
}

/// Two that ask at once both cancel it, and tell the program twice.
#[test]
fn a_request_is_cancelled_once() {
    explore(2, |process| {
        let place = Place::new();
        let blocks = [1, 2].map(|number| write(process, number, Order::WriteLane, place));
        let other = thread::spawn(move || withdraw::cancel(process, FILE_FD, None).some);
        let some = withdraw::cancel(process, FILE_FD, None).some | other.join().unwrap();
        join_all();
        all_ran_or_were_cancelled(&blocks);
        assert_eq!(some, blocks.iter().any(|cb| cb.error() == libc::ECANCELED));
        nothing_is_left(process);
    });
}

/// The second came when the first had just left, and nobody ran it; or it came when that was about
/// to leave, and both ran.
#[test]
fn a_lane_runs_one_at_a_time() {
    explore(3, |process| {
        let place = Place::new();
        let blocks = [1, 2].map(|number| write(process, number, Order::WriteLane, place));
        join_all();
        all_ran_or_were_cancelled(&blocks);
        assert_eq!(sys::done(), [1, 2], "as submitted");
        nothing_is_left(process);
    });
}

/// The line behind one that is cancelled was given to the pump, though it was being cancelled too.
#[test]
fn a_line_that_is_cancelled_does_not_move_up() {
    explore(2, |process| {
        let place = Place::new();
        let blocks = [1, 2, 3].map(|number| write(process, number, Order::WriteLane, place));
        let withdrawn = withdraw::cancel(process, FILE_FD, None);
        assert!(withdrawn.some || withdrawn.some_run || blocks[2].error() == 0);
        join_all();
        all_ran_or_were_cancelled(&blocks);
        nothing_is_left(process);
    });
}

/// A sync went ahead of a write that had come before it.
#[test]
fn a_sync_comes_behind_the_writes_before_it() {
    explore(2, |process| {
        let blocks = [1, 2].map(|number| write(process, number, Order::Free, Place::new()));
        let sync = ControlBlock::new(SYNC);
        let how = (SYNC_ACTION, Order::AfterWrites);
        enter(process, sync, (FILE_FD, FILE), how, Place::new()).unwrap();
        join_all();
        all_ran_or_were_cancelled(&blocks);
        assert_eq!((sync.error(), sys::done().last()), (0, Some(&SYNC)));
        nothing_is_left(process);
    });
}

/// `close` waited for a write that had left when it began to wait; or it returned while one ran, and
/// the number was another file's.
#[test]
fn a_file_is_closed_behind_its_writes() {
    explore(2, |process| {
        let place = Place::new();
        let blocks = [1, 2].map(|number| write(process, number, Order::WriteLane, place));
        withdraw::before_close(FILE_FD);
        assert!(blocks.iter().all(|cb| cb.error() == 0), "they are in the file");
        assert_eq!(sys::done(), [1, 2]);
        nothing_is_left(process);
        join_all();
        all_ran_or_were_cancelled(&blocks);
    });
}

/// Two closed the same file; one of them took a write that the other had begun for its own.
#[test]
fn two_that_close_wait_for_what_the_other_runs() {
    explore(2, |process| {
        let cb = write(process, 1, Order::Free, Place::new());
        let other = thread::spawn(move || {
            withdraw::before_close(FILE_FD);
            assert_eq!(cb.error(), 0);
        });
        withdraw::before_close(FILE_FD);
        assert_eq!(cb.error(), 0);
        other.join().unwrap();
        join_all();
        all_ran_or_were_cancelled(&[cb]);
        nothing_is_left(process);
    });
}

/// What ran when its number was given away was looked for under the number's new owner, and was
/// never finished.
#[test]
fn what_runs_on_a_stream_that_is_closed_is_finished() {
    explore(2, |process| {
        let (place, next_place) = (Place::new(), Place::new());
        let first = read_stream(process, 1, STREAM, place);
        let second = read_stream(process, 2, STREAM, place);
        withdraw::before_close(STREAM_FD);
        let next = read_stream(process, 3, NEXT_STREAM, next_place);
        join_all();
        all_ran_or_were_cancelled(&[first, second, next]);
        assert_eq!(next.error(), 0, "the new owner's is nobody's to cancel");
        nothing_is_left(process);
    });
}

/// The same where nobody saw that it was closed: whoever comes next finds out.
#[test]
fn a_number_that_means_something_else_starts_anew() {
    explore(2, |process| {
        let first = read_stream(process, 1, STREAM, Place::new());
        let next = read_stream(process, 2, NEXT_STREAM, Place::new());
        join_all();
        all_ran_or_were_cancelled(&[first, next]);
        assert_eq!(next.error(), 0);
        nothing_is_left(process);
    });
}

/// The program saw the result, and used the control block again: that was refused, as the table had
/// it still.
#[test]
fn whoever_sees_the_result_may_use_the_control_block_again() {
    explore(3, |process| {
        let (cb, place) = (ControlBlock::new(1), Place::new());
        let how = (Action::Write, Order::Free);
        enter(process, cb, (FILE_FD, FILE), how, place).unwrap();
        let again = enter(process, cb, (FILE_FD, FILE), how, place).is_ok();
        if !again {
            while cb.error() == libc::EINPROGRESS {
                thread::yield_now();
            }
            enter(process, cb, (FILE_FD, FILE), how, place).unwrap();
        }
        join_all();
        assert_eq!((cb.error(), sys::done().len()), (0, 2));
        nothing_is_left(process);
    });
}

/// Gives the kernel's queue a request of a write.
fn submit(process: &'static Process, number: usize) -> ControlBlock {
    submit_with(process, number, || true)
}

/// The same; `start` starts a keeper, if there is none.
fn submit_with(
    process: &'static Process,
    number: usize,
    start: impl FnOnce() -> bool,
) -> ControlBlock {
    let (cb, place) = (ControlBlock::new(number), Place::new());
    let entered = process.table.enter(submission(cb, (FILE_FD, FILE), WRITE, place)).unwrap();
    let request = entered.ready.expect("it is its turn");
    assert!(request.stage.begin());
    assert_eq!(process.queue.submit(&request, start), Submitted::Taken);
    cb
}

fn is_pending(cb: ControlBlock) -> bool {
    cb.error() == libc::EINPROGRESS
}

/// The steps of `keep::wait`, of one who can lead.
fn wait(process: &'static Process, index: usize, cb: ControlBlock) {
    let timeout = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut followed = false;
    while is_pending(cb) {
        match process.queue.lead() {
            Some(lead) => {
                lead.take_out();
                while is_pending(cb) {
                    lead.wait(timeout);
                }
            }
            None => {
                followed = true;
                suspend::follow(index, cb.address(), || !is_pending(cb) || !process.queue.is_led());
            }
        }
    }
    if followed {
        process.queue.follower_leaves();
    }
}

/// As `keep::settle`. How many there were.
fn settle(process: &'static Process) -> usize {
    let taken = process.queue.taken();
    for request in &taken {
        assert!(request.stage.is_done());
        let followers = process.table.finish_done(request);
        run_soon(process, followers.syncs);
    }
    taken.len()
}

/// The one who led had what it wanted and went; the other slept on, and nobody took out what it
/// waited for.
#[test]
fn nobody_sleeps_on_what_the_queue_has_finished() {
    explore(2, |process| {
        suspend::begin(2);
        // The second ends at any time.
        let blocks = [ENDED, 2].map(|number| submit(process, number));
        let other = thread::spawn(move || wait(process, 1, blocks[1]));
        wait(process, 0, blocks[0]);
        other.join().unwrap();
        join_all();
        suspend::end();
        all_ran_or_were_cancelled(&blocks);
        settle(process);
        nothing_is_left(process);
    });
}

/// The one who was to lead next had its own result by then, and went as well.
#[test]
fn who_is_to_lead_and_leaves_passes_it_on() {
    explore(2, |process| {
        suspend::begin(3);
        // The third ends at any time.
        let blocks = [ENDED, ENDED + 1, 3].map(|number| submit(process, number));
        let others = [1, 2].map(|nth| thread::spawn(move || wait(process, nth, blocks[nth])));
        wait(process, 0, blocks[0]);
        for other in others {
            other.join().unwrap();
        }
        join_all();
        suspend::end();
        all_ran_or_were_cancelled(&blocks);
        settle(process);
        nothing_is_left(process);
    });
}

/// The result was there, and the request was not known to be done: its control block could not be
/// used again.
#[test]
fn a_result_of_the_queue_lets_the_control_block_be_used_again() {
    explore(2, |process| {
        let cb = submit(process, 1);
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let other = thread::spawn(move || process.queue.lead().map(|lead| lead.wait(timeout)));
        while is_pending(cb) {
            thread::yield_now();
        }
        settle(process);
        let mut entered = process.table.enter(submission(cb, (FILE_FD, FILE), WRITE, Place::new()));
        while let Err(Refused::Soon(submission)) = entered {
            thread::yield_now();
            settle(process);
            entered = process.table.enter(*submission);
        }
        other.join().unwrap().expect("nobody else leads");
        run_soon(process, entered.expect("the one before is done").ready);
        join_all();
        assert_eq!((cb.error(), sys::done().len()), (0, 2));
        settle(process);
        nothing_is_left(process);
    });
}

/// A file was closed while the queue had a write, or before that had left.
#[test]
fn a_file_is_closed_behind_what_the_queue_has() {
    explore(2, |process| {
        let cb = submit(process, 1);
        let other = thread::spawn(move || {
            wait(process, 0, cb);
            settle(process);
        });
        withdraw::before_close(FILE_FD);
        assert_eq!((cb.error(), sys::done().len()), (0, 1));
        other.join().unwrap();
        join_all();
        nothing_is_left(process);
    });
}

/// The one who starts the keeper was refused a thread, and another had counted on it already: nobody
/// took out what it had given to the queue.
#[test]
fn nobody_counts_on_a_keeper_that_may_fail_to_start() {
    explore(2, |process| {
        let fails = move |number| {
            let (cb, place) = (ControlBlock::new(number), Place::new());
            let entered = process.table.enter(submission(cb, (FILE_FD, FILE), WRITE, place));
            let request = entered.unwrap().ready.expect("it is its turn");
            assert!(request.stage.begin());
            assert_eq!(process.queue.submit(&request, || false), Submitted::Refused);
            // As `keep::start`.
            process.table.take_back(&request);
            run_soon(process, [request]);
            cb
        };
        let other = thread::spawn(move || fails(1));
        let blocks = [fails(2), other.join().unwrap()];
        join_all();
        all_ran_or_were_cancelled(&blocks);
        nothing_is_left(process);
    });
}

/// The keeper saw an empty queue, and ended; but what another had just taken out of it was in the
/// table still, and its descriptor was open until there was a next request.
#[test]
fn the_keeper_does_not_rest_while_anything_is_in_the_table() {
    explore(3, |process| {
        submit(process, ENDED);
        let keeper = thread::spawn(move || {
            loop {
                process.queue.keeper_looks();
                settle(process);
                if !process.queue.keeper_sleeps(&AT_ONCE) {
                    return;
                }
                thread::yield_now();
            }
        });
        process.queue.look();
        keeper.join().unwrap();
        nothing_is_left(process);
    });
}

/// The same, and it slept first: a second.
#[test]
fn the_keeper_does_not_sleep_while_anything_is_in_the_table() {
    explore(3, |process| {
        submit(process, ENDED);
        let keeper = thread::spawn(move || {
            loop {
                process.queue.keeper_looks();
                if settle(process) > 0 {
                    return;
                }
                assert!(process.queue.keeper_sleeps(&NEVER));
                thread::yield_now();
            }
        });
        process.queue.look();
        keeper.join().unwrap();
        nothing_is_left(process);
    });
}

/// As `keep::keep`, until so many have left. It looks when it is called, and at no other time.
fn keep(process: &'static Process, mut left: usize) {
    let queue = &process.queue;
    loop {
        queue.keeper_looks();
        left -= settle(process);
        if left == 0 {
            return;
        }
        match queue.is_hurried() {
            true if queue.any_in_flight() => match queue.lead_as_keeper() {
                Some(lead) if queue.keeper_is_called() => drop(lead),
                Some(lead) => drop(lead.wait(AT_ONCE)),
                None => queue.keeper_waits(&NEVER),
            },
            true => assert!(queue.keeper_sleeps(&NEVER)),
            false => queue.keeper_waits(&NEVER),
        }
    }
}

/// One was taken out by another than the keeper, who called it, as somebody wanted to be told. The
/// keeper had looked already, became the next to lead, and waited for what comes next.
#[test]
fn a_keeper_that_was_called_looks_before_it_waits() {
    explore(2, |process| {
        process.queue.hurry();
        submit(process, ENDED);
        submit(process, HELD);
        let other = thread::spawn(move || process.queue.look());
        keep(process, 1);
        sys::held().let_go();
        other.join().unwrap();
        join_all();
        process.queue.look();
        settle(process);
        nothing_is_left(process);
    });
}

/// The keeper found nothing in the queue and went to sleep, while the next one was given to it.
#[test]
fn no_keeper_sleeps_on_a_request() {
    explore(2, |process| {
        process.queue.hurry();
        let mut keeper = None;
        submit_with(process, 1, || {
            keeper = Some(thread::spawn(move || keep(process, 2)));
            true
        });
        submit(process, 2);
        keeper.expect("the first has started it").join().unwrap();
        join_all();
        nothing_is_left(process);
    });
}

/// The keeper had looked whether anybody is in a hurry, and slept on: who called it saw one that has
/// still to look.
#[test]
fn a_keeper_that_is_called_looks() {
    explore(3, |process| {
        let mut keeper = None;
        submit_with(process, 1, || {
            keeper = Some(thread::spawn(move || keep(process, 1)));
            true
        });
        process.queue.hurry();
        process.queue.call_keeper();
        keeper.expect("the first has started it").join().unwrap();
        join_all();
        nothing_is_left(process);
    });
}
