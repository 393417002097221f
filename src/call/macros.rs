//! `threadlet!`, and `run` for code that cannot await.

use std::panic::Location;

/// Runs `f` right here; only if it blocks, a spare thread takes over this worker's other tasks.
///
/// For synchronous code deep in a call chain. In async code [`threadlet!`](crate::threadlet) is
/// better: it can wait for its turn when too many threads are blocked already, where `run` goes
/// ahead. Outside a runtime, on a thread of another runtime, in the future that `block_on` of a
/// multi-thread runtime polls, or inside another such call it is a plain call, and it never panics
/// for the flavour of the runtime.
///
/// While `f` blocks, the task it is called in is stuck, with all that it polls (`join!`,
/// `select!`, `timeout`); a call that has started cannot be cancelled.
///
/// # Examples
///
/// ```
/// fn size(path: &str) -> std::io::Result<u64> {
///     threadlet::run(|| Ok(std::fs::metadata(path)?.len()))
/// }
/// assert!(threadlet::block_on(async { size("/etc/hosts") }).is_ok());
/// ```
#[track_caller]
pub fn run<T>(f: impl FnOnce() -> T) -> T {
    super::in_place::run_here(Location::caller(), "run", f)
}

/// Runs an expression right here, borrowing what it likes; only if it blocks, a spare thread takes
/// over this worker's other tasks.
///
/// For async code: it contains its `.await`, which waits when too many threads are blocked already
/// (and lets other tasks run for once after 64 calls in one poll). References that the expression
/// takes, and what it makes, never cross an await: a task that owns a `Cell` or a `Connection` uses
/// `&Connection`s or a lock's guard inside of the expression, and is `Send` all the same. (What is
/// borrowed or locked *before* does cross it, like any local variable.) The expression is the body
/// of a closure: `return` and `?` end the expression, not the function around it, and `.await` in
/// it is a compile error. More than one statement goes in braces.
///
/// Options stand before a semicolon, separated by commas:
///
/// | option | meaning |
/// |---|---|
/// | `will_block` | hand the core over before the call |
/// | `in &group` | wait for a place in that [`Group`](crate::Group) first, and keep it during the call |
/// | `or_inline` | never wait for a turn: with no permit free, run all the same and perhaps stall the core; with no place in the group, run beyond its limit |
/// | `or_fail` | never wait for a turn: with no permit free, or no place in the group, give `Err(`[`Saturated`](crate::Saturated)`)`, otherwise `Ok` of the expression's value |
///
/// Outside a runtime, in another runtime's task, in the future that `block_on` of a multi-thread
/// runtime polls (the body of [`#[threadlet::main]`](crate::main)), in a thread-local destructor,
/// in a child of `fork` and inside another `threadlet!` it is a plain call. While the call blocks
/// its own task is stuck, and with it the siblings in a `join!`, `select!` or `timeout`:
/// [`spawn_blocking`](crate::task::spawn_blocking) is for those. A call that has started cannot be
/// cancelled: `timeout` and `abort` take effect at the next `.await` behind it that has to wait,
/// and have none if there is no such.
///
/// # Cancel safety
///
/// Dropped while it waits for its turn, the call has not been made. A call that was made has
/// returned. Its turn, once it has come, is kept until the future is polled or dropped: do not
/// leave one behind that is neither.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use threadlet::threadlet;
///
/// threadlet::block_on(async {
///     let calls = Cell::new(0);
///     let hosts = threadlet!({
///         calls.set(calls.get() + 1);
///         std::fs::read("/etc/hosts")
///     });
///     assert!(hosts.is_ok() && calls.get() == 1);
///
///     let answer = threadlet!(or_fail; std::fs::metadata("/etc/hosts").map(|m| m.len()));
///     assert!(answer.expect("nothing else is blocked here").is_ok());
/// });
/// ```
#[macro_export]
macro_rules! threadlet {
    ($($tokens:tt)+) => {
        $crate::__threadlet!(@options [false Wait plain ()] $($tokens)+)
    };
    () => {
        ::core::compile_error!("threadlet! needs an expression: `threadlet!(file.sync_all())`")
    };
}

/// The parser behind [`threadlet!`]: reads options one by one into
/// `[will_block at_cap result group]`.
#[doc(hidden)]
#[macro_export]
macro_rules! __threadlet {
    // A group. What stands behind `in` is an expression, up to a comma or a semicolon.
    (@options [$will:ident $cap:ident $how:ident ()] in $group:expr, $($rest:tt)+) => {
        $crate::__threadlet!(@options [$will $cap $how ($group)] $($rest)+)
    };
    (@options [$will:ident $cap:ident $how:ident ()] in $group:expr; $($body:tt)+) => {
        $crate::__threadlet!(@call [$will $cap $how ($group)] $($body)+)
    };
    (@options [$will:ident $cap:ident $how:ident ($($group:tt)+)] in $($rest:tt)+) => {
        ::core::compile_error!("threadlet!: `in` stands twice: a call has one group")
    };
    // Another option, with more behind it.
    (@options [$will:ident $cap:ident $how:ident $group:tt] will_block, $($rest:tt)+) => {
        $crate::__threadlet!(@option $will will_block [true $cap $how $group] $($rest)+)
    };
    (@options [$will:ident Wait plain $group:tt] or_inline, $($rest:tt)+) => {
        $crate::__threadlet!(@options [$will Inline plain $group] $($rest)+)
    };
    (@options [$will:ident Wait plain $group:tt] or_fail, $($rest:tt)+) => {
        $crate::__threadlet!(@options [$will Fail result $group] $($rest)+)
    };
    // The last option.
    (@options [$will:ident $cap:ident $how:ident $group:tt] will_block; $($body:tt)+) => {
        $crate::__threadlet!(@last $will will_block [true $cap $how $group] $($body)+)
    };
    (@options [$will:ident Wait plain $group:tt] or_inline; $($body:tt)+) => {
        $crate::__threadlet!(@call [$will Inline plain $group] $($body)+)
    };
    (@options [$will:ident Wait plain $group:tt] or_fail; $($body:tt)+) => {
        $crate::__threadlet!(@call [$will Fail result $group] $($body)+)
    };
    // Something that looks like an option and is none, or one too many.
    (@options [$will:ident $cap:ident $how:ident $group:tt] $bad:ident; $($body:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "threadlet!: `", ::core::stringify!($bad), "` is no option here: the options are ",
            "`in &group`, `will_block` and one of `or_inline`, `or_fail`, each once, before a ",
            "semicolon"
        ))
    };
    // No option: an expression.
    (@options [$will:ident $cap:ident $how:ident $group:tt] let $($rest:tt)*) => {
        $crate::__threadlet!(@statements)
    };
    (@options [false Wait plain ()] $body:expr $(,)?) => {
        $crate::__threadlet!(@call [false Wait plain ()] $body)
    };
    (@options [false Wait plain ()] $body:expr; $($rest:tt)*) => {
        $crate::__threadlet!(@statements)
    };
    (@statements) => {
        ::core::compile_error!(
            "threadlet! takes one expression: put braces around statements, as in `threadlet!({ let \
             n = 1; n + 1 })`"
        )
    };
    (@option false will_block $state:tt $($rest:tt)+) => {
        $crate::__threadlet!(@options $state $($rest)+)
    };
    (@option true will_block $state:tt $($rest:tt)+) => {
        ::core::compile_error!("threadlet!: `will_block` stands twice")
    };
    (@last false will_block $state:tt $($body:tt)+) => {
        $crate::__threadlet!(@call $state $($body)+)
    };
    (@last true will_block $state:tt $($body:tt)+) => {
        ::core::compile_error!("threadlet!: `will_block` stands twice")
    };
    (@call $state:tt let $($rest:tt)*) => {
        $crate::__threadlet!(@statements)
    };
    (@call $state:tt $body:expr; $($rest:tt)*) => {
        $crate::__threadlet!(@statements)
    };
    (@call [$will:ident $cap:ident $how:ident ()] $body:expr $(,)?) => {{
        static __THREADLET_SITE: $crate::__private::Site = $crate::__threadlet!(@site $body);
        let options = $crate::__threadlet!(@packed $will $cap);
        $crate::__threadlet!(@run $how __THREADLET_SITE options $body)
    }};
    // A place in the group first, kept until the call has returned.
    (@call [$will:ident $cap:ident plain ($group:expr)] $body:expr $(,)?) => {{
        static __THREADLET_SITE: $crate::__private::Site =
            $crate::__threadlet!(@site $body).in_group(::core::stringify!($group));
        let options = $crate::__threadlet!(@packed $will $cap);
        // Only a call that asked for it is refused.
        let place = $crate::__private::enter(&__THREADLET_SITE, $group, options);
        let _place = $crate::in_code_that_is_not_async_use_threadlet_run!(place).ok();
        $crate::__threadlet!(@run plain __THREADLET_SITE options $body)
    }};
    (@call [$will:ident $cap:ident result ($group:expr)] $body:expr $(,)?) => {{
        static __THREADLET_SITE: $crate::__private::Site =
            $crate::__threadlet!(@site $body).in_group(::core::stringify!($group));
        let options = $crate::__threadlet!(@packed $will $cap);
        let place = $crate::__private::enter(&__THREADLET_SITE, $group, options);
        match $crate::in_code_that_is_not_async_use_threadlet_run!(place) {
            ::core::result::Result::Ok(_place) => {
                $crate::__threadlet!(@run result __THREADLET_SITE options $body)
            }
            ::core::result::Result::Err(saturated) => ::core::result::Result::Err(saturated),
        }
    }};
    // The gate, and the region.
    (@run plain $site:ident $options:ident $body:expr) => {{
        let gate = $crate::__private::gate(&$site, $options);
        let pass = $crate::in_code_that_is_not_async_use_threadlet_run!(gate);
        let pass = $crate::__private::turn(pass);
        $crate::__private::run_at(&$site, pass, || $body)
    }};
    (@run result $site:ident $options:ident $body:expr) => {{
        let gate = $crate::__private::gate(&$site, $options);
        match $crate::in_code_that_is_not_async_use_threadlet_run!(gate) {
            ::core::result::Result::Ok(pass) => {
                ::core::result::Result::Ok($crate::__private::run_at(&$site, pass, || $body))
            }
            ::core::result::Result::Err(refused) => {
                ::core::result::Result::Err($crate::Saturated::from(refused))
            }
        }
    }};
    (@site $body:expr) => {
        $crate::__private::Site::new(
            ::core::file!(), ::core::line!(), ::core::column!(), ::core::stringify!($body),
        )
    };
    (@packed $will:ident $cap:ident) => {
        $crate::__private::Options {
            will_block: $will,
            at_cap: $crate::__private::AtCap::$cap,
        }
    };
}

/// The await in [`threadlet!`]. The compiler shows the name where that stands in a plain function.
#[doc(hidden)]
#[macro_export]
macro_rules! in_code_that_is_not_async_use_threadlet_run {
    ($future:ident) => {
        $future.await
    };
}
