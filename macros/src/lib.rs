//! The attribute macros of `threadlet`. Use them through the main crate.
//!
//! Three modules: `options` reads what stands in the attribute's parentheses, `function` reads
//! and judges the function below it, `entry` puts both together. All of them work on
//! `proc_macro2` tokens, so that unit tests can call them; only this file knows the compiler.
//!
//! The expansion names one path of the main crate: `::threadlet::__private::Entry`.
#![forbid(unsafe_code)]

mod entry;
mod function;
mod options;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

use entry::Kind;

/// Starts a runtime and runs the body of an `async fn` on it.
///
/// The function becomes an ordinary one that builds a runtime, runs the body to its end and
/// returns what the body returned. It is meant for `main`, and works on other functions too, which
/// may have arguments, generics and a `self`. Afterwards the runtime is shut down in the background: a thread that is
/// still blocked in a call does not keep the program from ending.
///
/// The body is the *root future*. On a multi-thread runtime the thread that called `main` polls it
/// and is no worker, so a blocking call in it disturbs no task: a `threadlet!` there is a plain
/// call. What is to be guarded is spawned.
///
/// # Options
///
/// | option | meaning | default |
/// |---|---|---|
/// | `worker_threads = N` | the number of workers, 1 or more; not with `"current_thread"` | the CPUs at hand |
/// | `max_async_threads = N` | how many threads may be blocked in calls at once, 1 or more | the builder's |
/// | `flavor = "..."` | `"multi_thread"` or `"current_thread"` | `"multi_thread"` |
/// | `start_paused = true` | the clock stands from the start; needs the feature `test-util` of `threadlet`, and `"current_thread"` | `false` |
/// | `crate = "path"` | where to find `threadlet`, if not as `::threadlet` | `::threadlet` |
///
/// For anything else, build the runtime by hand with `threadlet::runtime::Builder`.
///
/// # Panics
///
/// The function panics if the runtime cannot be built, as when no thread can be created or
/// `THREADLET_DETECTOR` is none of its words.
///
/// # Examples
///
/// ```
/// #[threadlet::main]
/// async fn main() {
///     println!("in a runtime");
/// }
/// ```
///
/// The body may return whatever `main` may return, so `?` works:
///
/// ```no_run
/// #[threadlet::main(worker_threads = 4, max_async_threads = 64)]
/// async fn main() -> std::io::Result<()> {
///     let text = std::fs::read_to_string("notes.txt")?;
///     println!("{}", text.len());
///     Ok(())
/// }
/// ```
///
/// One core, at first on the thread that called `main`:
///
/// ```
/// #[threadlet::main(flavor = "current_thread")]
/// async fn main() {
///     println!("in a runtime with one core");
/// }
/// ```
///
/// A crate that is known under another name; a path without quotes does as well:
///
/// ```
/// use threadlet as engine;
///
/// #[engine::main(crate = "engine")]
/// async fn main() {
///     println!("in a runtime");
/// }
/// ```
///
/// # What it expands to
///
/// The second example is equivalent to the following. The function is kept as it was, inside the
/// new one, so an error in it is reported as in any other `async fn`.
///
/// ```ignore (uses a private path)
/// fn main() -> std::io::Result<()> {
///     async fn main() -> std::io::Result<()> { /* the body */ }
///     ::threadlet::__private::Entry::multi_thread()
///         .worker_threads(4usize)
///         .max_async_threads(64usize)
///         .main(main())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand_or_report(args.into(), item.into(), Kind::Main).into()
}

/// Makes a test of an `async fn`, on a runtime of its own.
///
/// It adds `#[test]` itself. Other attributes stay: `#[should_panic]`, `#[ignore]`,
/// `#[cfg(...)]`, comments. A test may return what any `#[test]` may return.
///
/// # Options
///
/// Those of [`macro@main`]. The default flavor of a test is `"current_thread"`, so
/// `worker_threads` asks for `flavor = "multi_thread"` beside it.
///
/// And one of its own, which needs the feature `test-util` of `threadlet`:
///
/// | option | meaning |
/// |---|---|
/// | `seed = N` | the runtime is a `deterministic` one: the order of polls, and which calls block and for how long, are decided by the number `N`, and a run can be repeated |
///
/// The environment variable `THREADLET_SEED=N` has all such tests take another seed, and
/// `THREADLET_SEEDS=10000` runs each under so many, from its own on, up to the first that fails. That one
/// is printed, with what it decided last; `THREADLET_SEED_LOG=FILE` keeps all that it decided.
///
/// In that flavor the test shares its thread with the tasks that it spawns, until the first of them
/// makes a call in place: then all tasks go to another thread before that call is made. A task that
/// blocks without saying so holds up the test once.
///
/// # Panics
///
/// The test fails if the runtime cannot be built.
///
/// # Examples
///
/// ```
/// #[threadlet::test]
/// async fn adds() {
///     assert_eq!(2 + 2, 4);
/// }
/// ```
///
/// ```
/// #[threadlet::test(flavor = "multi_thread", worker_threads = 2)]
/// async fn parses() -> Result<(), std::num::ParseIntError> {
///     let n: u32 = "7".parse()?;
///     assert_eq!(n, 7);
///     Ok(())
/// }
/// ```
///
/// ```
/// #[threadlet::test]
/// #[should_panic(expected = "on purpose")]
/// async fn gives_up() {
///     panic!("on purpose");
/// }
/// ```
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand_or_report(args.into(), item.into(), Kind::Test).into()
}
