//! Children: started, read, waited for, killed and forgotten, and a system that refuses.

mod support;

use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use threadlet::process::{Child, Command};
use threadlet::runtime::{Builder, Runtime};
use threadlet::time::{sleep, timeout};

use support::os::{become_nobody, filtered, refuse, set_limit, set_thread_limit};
use support::{alone, child, in_time, is_child, passes, ticker, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

fn run<F: Future>(future: F) -> F::Output {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    in_time(&runtime, "the test is over", future)
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// Whether there is a process of that number, be it a zombie.
fn exists(id: u32) -> bool {
    std::path::Path::new(&format!("/proc/{id}")).exists()
}

/// Until the child has written a line.
async fn first_line(child: &mut Child) {
    let stdout = child.stdout.as_mut().expect("it is a pipe");
    let mut byte = [0];
    while byte != *b"\n" {
        stdout.read_exact(&mut byte).await.expect("it writes a line");
    }
}

#[test]
fn how_it_ended_is_told_as_often_as_it_is_asked() {
    run(async {
        let mut child = shell("exit 3").spawn().unwrap();
        assert!(child.id().is_some());
        for _ in 0..2 {
            assert_eq!(child.wait().await.unwrap().code(), Some(3));
            assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(3));
        }
        assert_eq!(child.id(), None, "the number may be another's by now");
        child.start_kill().unwrap();
        child.kill().await.unwrap();
        assert!(shell("exit 0").status().await.unwrap().success());
        let missing = Command::new("/nowhere/nothing").spawn().expect_err("there is none");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn both_outputs_are_read_while_it_runs() {
    run(async {
        // More than the pipes hold, on both.
        let script = "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; exit 7";
        let output = shell(script).output().await.unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (1_000_000, 1_000_000));
        assert_eq!(output.status.code(), Some(7));
    });
}

#[test]
fn what_is_written_comes_back_and_the_end_of_input_ends_it() {
    run(async {
        let mut cat = Command::new("cat");
        let mut child = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let sent: Vec<u8> = (0..500_000_u32).map(|n| n as u8).collect();
        let write = async {
            stdin.write_all(&sent).await?;
            drop(stdin);
            Ok(())
        };
        let mut back = Vec::new();
        let (_, _) = try_join(write, stdout.read_to_end(&mut back)).await.unwrap();
        assert!(back == sent);
        assert!(child.wait().await.unwrap().success());
        // `wait` closes what it finds.
        let mut child = cat.stdout(Stdio::null()).spawn().unwrap();
        assert!(child.wait().await.unwrap().success());
        assert!(child.stdin.is_none());
    });
}

#[test]
fn the_output_of_one_is_the_input_of_another() {
    run(async {
        let mut first = shell("echo one; echo two").stdout(Stdio::piped()).spawn().unwrap();
        let pipe: Stdio = first.stdout.take().unwrap().try_into().unwrap();
        let output = Command::new("wc").arg("-l").stdin(pipe).output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "2");
        assert!(first.wait().await.unwrap().success());
    });
}

#[test]
fn it_is_configured_as_std_s() {
    run(async {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $A$B; pwd; echo $0"]).arg("zero");
        command.env_clear().env("A", "a").envs([("B", "b"), ("C", "c")]).env_remove("C");
        command.env("PATH", "/usr/bin:/bin").current_dir("/");
        assert_eq!(command.as_std().get_program(), "sh");
        let output = command.output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "ab\n/\nzero\n");
        assert!(!command.get_kill_on_drop());
        let std = std::process::Command::new("true");
        assert!(Command::from(std).process_group(0).status().await.unwrap().success());
    });
}

#[test]
fn a_function_of_ones_own_starts_it() {
    run(async {
        let mut shell = Command::new("sh");
        shell.stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = shell
            .spawn_with(|std| std.args(["-c", "echo ready; exec sleep 1000"]).spawn())
            .unwrap();
        first_line(&mut child).await;
        let id = child.id().unwrap();
        drop(child);
        wait_until("the killed one is gone", || !exists(id));
        let refused = shell.spawn_with(|_| Err(io::ErrorKind::WouldBlock.into())).unwrap_err();
        assert_eq!(refused.to_string(), io::Error::from(io::ErrorKind::WouldBlock).to_string());
    });
}

#[test]
fn one_that_ignores_sigterm_goes_on_until_it_is_killed() {
    run(async {
        let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
        let mut child = shell(script).stdout(Stdio::piped()).spawn().unwrap();
        first_line(&mut child).await;
        let id = child.id().unwrap().to_string();
        assert!(Command::new("kill").arg(&id).status().await.unwrap().success());
        assert!(
            timeout(Duration::from_millis(200), child.wait()).await.is_err(),
            "it ignores that"
        );
        child.kill().await.unwrap();
        let status = child.wait().await.unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn dropped_it_is_killed_or_goes_on_and_leaves_no_zombie() {
    run(async {
        let mut killed = shell("echo ready; exec sleep 1000");
        let mut killed = killed.kill_on_drop(true).stdout(Stdio::piped()).spawn().unwrap();
        first_line(&mut killed).await;
        let id = killed.id().unwrap();
        drop(killed);
        wait_until("the killed one is gone", || !exists(id));
        let mut goes_on = shell("read line; exit 0").stdin(Stdio::piped()).spawn().unwrap();
        let (id, stdin) = (goes_on.id().unwrap(), goes_on.stdin.take());
        drop(goes_on);
        sleep(Duration::from_millis(50)).await;
        assert!(exists(id), "it goes on");
        drop(stdin);
        wait_until("nothing is left of it", || !exists(id));
        // A future that is dropped is such an owner, too.
        let status = shell("exec sleep 1000").kill_on_drop(true).status();
        assert!(timeout(Duration::from_millis(20), status).await.is_err());
    });
    wait_until("no child is left", no_children);
}

/// Whether this process has no children, of those that these tests start: for a process alone.
fn no_children() -> bool {
    let mine = format!("/proc/self/task/{}/children", std::process::id());
    std::fs::read_to_string(mine).is_ok_and(|list| list.is_empty()) || !is_child()
}

#[test]
fn a_thousand_at_once() {
    if !alone(LIMIT) {
        return;
    }
    // A child that is waited for has a descriptor.
    set_limit(libc::RLIMIT_NOFILE, 4096);
    let start = Instant::now();
    run(async {
        let mut children: Vec<Child> = Vec::new();
        for _ in 0..1000 {
            children.push(Command::new("sleep").arg("1000").spawn().unwrap());
        }
        let waits = join_all(children.iter_mut().map(Child::wait));
        assert!(timeout(Duration::from_millis(100), waits).await.is_err(), "all of them run");
        for child in &mut children {
            child.start_kill().unwrap();
        }
        let ended = join_all(children.iter_mut().map(Child::wait)).await;
        assert!(ended.into_iter().all(|status| status.unwrap().signal() == Some(libc::SIGKILL)));
    });
    println!("a thousand children: {:?}", start.elapsed());
    wait_until("no child is left", no_children);
}

/// The same by the signal, where the kernel gives no descriptor of a process.
#[test]
fn where_no_descriptor_is_given_a_signal_tells() {
    if !is_child() {
        passes(LIMIT, filtered(&mut child(), libc::SYS_pidfd_open, refuse(libc::EPERM)));
        return;
    }
    run(async {
        let mut children: Vec<Child> =
            (0..20).map(|n| shell(&format!("sleep 0.0{n}; exit {n}")).spawn().unwrap()).collect();
        let ended = join_all(children.iter_mut().map(Child::wait)).await;
        let codes: Vec<_> = ended.into_iter().map(|status| status.unwrap().code()).collect();
        assert_eq!(codes, (0..20).map(Some).collect::<Vec<_>>());
        let dropped = Command::new("sleep").arg("0.1").spawn().unwrap();
        let id = dropped.id().unwrap();
        drop(dropped);
        wait_until("nothing is left of it", || !exists(id));
    });
}

#[test]
fn a_limit_on_processes_is_a_clear_error() {
    if !alone(LIMIT) {
        return;
    }
    let runtime = Runtime::new().unwrap();
    become_nobody();
    set_thread_limit(0);
    let error = runtime.block_on(async { Command::new("true").spawn().expect_err("the limit") });
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
    let text = error.to_string();
    assert!(text.contains("\"true\"") && text.contains("ulimit -u"), "{text}");
    // The process ends without threads for the rest.
    runtime.shutdown_background();
}

#[test]
fn a_child_outlives_the_runtime_that_it_was_started_in() {
    let start = || Command::new("sleep").arg("0.3").spawn().unwrap();
    let runtime = Runtime::new().unwrap();
    let (mut child, orphan) = runtime.block_on(async {
        let mut child = start();
        // The reactor of this runtime is asked to tell.
        assert!(timeout(Duration::from_millis(10), child.wait()).await.is_err());
        (child, start())
    });
    let id = orphan.id().unwrap();
    runtime.block_on(async { drop(orphan) });
    drop(runtime);
    assert!(run(child.wait()).unwrap().success(), "another one tells");
    wait_until("the orphan of a runtime that is gone is nobody's zombie", || !exists(id));
}

/// It has a thread only while somebody is in it.
#[test]
fn an_orphan_of_a_current_thread_runtime_is_seen_to() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let child = runtime.block_on(async { Command::new("sleep").arg("0.1").spawn().unwrap() });
    let id = child.id().unwrap();
    runtime.block_on(async { drop(child) });
    wait_until("nothing is left of it", || !exists(id));
}

#[test]
fn a_runtime_is_dropped_with_children_under_way() {
    let runtime = Runtime::new().unwrap();
    let ids: Vec<u32> = runtime.block_on(async {
        let children = (0..10).map(|n| {
            let mut child = Command::new("sleep");
            let mut child = child.arg("1000").kill_on_drop(n % 2 == 0).spawn().unwrap();
            let id = child.id().unwrap();
            threadlet::spawn(async move { child.wait().await });
            id
        });
        children.collect()
    });
    drop(runtime);
    for (n, id) in ids.iter().enumerate() {
        if n % 2 == 0 {
            wait_until("it is killed", || !exists(*id));
        } else {
            assert!(exists(*id), "it goes on");
            // SAFETY: a child of ours, which runs.
            unsafe { libc::kill(*id as i32, libc::SIGKILL) };
            wait_until("it was seen to", || !exists(*id));
        }
    }
}

/// Starting a child waits for its `exec`: the runtime's other tasks do not.
#[test]
fn a_start_that_takes_long_holds_up_nobody_else() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (ticks, ticker) = ticker(&runtime);
    let slow = runtime.spawn(async move {
        let mut command = Command::new("true");
        let wait = || {
            std::thread::sleep(Duration::from_millis(400));
            Ok(())
        };
        // SAFETY: sleeping is a system call and no more.
        unsafe { command.pre_exec(wait) };
        let before = ticks.load(Ordering::Relaxed);
        let mut child = command.spawn().unwrap();
        let during = ticks.load(Ordering::Relaxed) - before;
        child.wait().await.unwrap();
        during
    });
    let during = in_time(&runtime, "the child has ended", slow).unwrap();
    assert!(during > 20, "{during} ticks in 400 ms");
    ticker.abort();
}

#[test]
fn all_of_it_can_be_sent() {
    fn shared<T: Send + Sync + Unpin + std::panic::UnwindSafe>(_: &T) {}
    fn sent<T: Send>(future: T) -> T {
        future
    }
    run(async {
        let mut cat = Command::new("cat");
        let cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = cat.spawn().unwrap();
        shared(&child);
        shared(&threadlet::io::stdin());
        shared(&threadlet::io::stdout());
        sent(child.wait()).await.unwrap();
        sent(cat.output()).await.unwrap();
        drop(sent(threadlet::signal::ctrl_c()));
    });
}

#[test]
#[should_panic(expected = "a child needs a threadlet runtime")]
fn outside_a_runtime_none_is_started() {
    let _ = Command::new("true").spawn();
}
