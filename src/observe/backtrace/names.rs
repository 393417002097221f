//! The functions of addresses, by the symbols and the debug information of the program.

use super::Frame;

/// Here is what polls a task, or a root future: this and what has called it is left out.
const POLLS: [&str; 4] = ["spawned/raw", "spawned/traced", "scheduler/", "runtime/block_on"];

/// And here what stands between a task and the call that it makes.
const BETWEEN: [&str; 4] = ["call/", "coop", "context/", "primitive/"];

/// Innermost first, up to what polls the task.
pub(super) fn of(addresses: &[usize]) -> Vec<Frame> {
    let mut frames = Vec::new();
    for address in addresses {
        let before = frames.len();
        backtrace::resolve(*address as *mut _, |symbol| {
            frames.push(Frame {
                address: *address,
                function: symbol.name().map(|name| format!("{name:#}")),
                file: symbol.filename().map(|path| path.to_string_lossy().into_owned()),
                line: symbol.lineno(),
            });
        });
        if frames.len() == before {
            frames.push(Frame { address: *address, ..Frame::default() });
        }
    }
    trimmed(frames)
}

fn trimmed(mut frames: Vec<Frame>) -> Vec<Frame> {
    if let Some(bottom) = frames.iter().position(|frame| is_in(frame, &POLLS)) {
        frames.truncate(bottom);
    }
    frames.retain(|frame| !is_in(frame, &BETWEEN));
    let here = std::env::current_dir().map(|here| here.to_string_lossy().into_owned());
    let here = here.unwrap_or_default();
    for file in frames.iter_mut().filter_map(|frame| frame.file.as_mut()) {
        *file = shortened(file, &here).to_owned();
    }
    frames
}

/// Whether that is a function of these modules of this crate: by its file, where there is debug
/// information, or else by its name.
fn is_in(frame: &Frame, modules: &[&str]) -> bool {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
    let file = frame.file.as_deref().and_then(|file| file.strip_prefix(source));
    let function = frame.function.as_deref().unwrap_or_default();
    modules.iter().any(|module| {
        let name = format!("threadlet::{}", module.replace('/', "::"));
        file.is_some_and(|file| file.starts_with(module)) || function.contains(&name)
    })
}

/// Without the folder that the program is in, and where the standard library was built.
fn shortened<'p>(path: &'p str, here: &str) -> &'p str {
    match path.find("/library/").filter(|_| path.starts_with("/rustc/")) {
        Some(at) => &path[at + 1..],
        None => path.strip_prefix(here).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str) -> Frame {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Frame { function: text(function), file: text(file), line: Some(7), ..Frame::default() }
    }

    #[test]
    fn what_the_runtime_does_for_the_task_is_left_out() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        let frames = vec![
            frame("read", "./io/read.c"),
            frame("<std::fs::File>::read", "/rustc/1a2b/library/std/src/fs.rs"),
            frame("threadlet::fs::read", &format!("{source}/fs/whole.rs")),
            frame("app::deep", "/somewhere/else/deep.rs"),
            frame("threadlet::call::region::run_at", ""),
            frame("{closure#0}<app>", &format!("{source}/call/region.rs")),
            frame("", ""),
            frame("app::task", &format!("{source}/scheduler.rs")),
            frame("poll<app>", &format!("{source}/spawned/raw.rs")),
            frame("clone3", ""),
        ];
        let found = trimmed(frames.clone());
        let left = [0, 1, 2, 3, 6, 7].map(|nth: usize| frames[nth].function.as_deref());
        assert_eq!(found.iter().map(|frame| frame.function.as_deref()).collect::<Vec<_>>(), left);
        assert_eq!(found[1].file.as_deref(), Some("library/std/src/fs.rs"));
        assert_eq!(found[3].file.as_deref(), Some("/somewhere/else/deep.rs"));
        // Without debug information.
        let by_name = frame("<threadlet::spawned::raw::Cell<F,K,S>>::run", "");
        assert_eq!(trimmed(vec![frame("app::task", ""), by_name]).len(), 1);
        let traced = frame("<threadlet::spawned::traced::Traced<F> as Future>::poll", "");
        assert_eq!(trimmed(vec![frame("app::task", ""), traced]).len(), 1);
        // A type of ours is no function of ours.
        let awaits = frame("app::wait<threadlet::spawned::handle::JoinHandle<()>>", "");
        assert_eq!(trimmed(vec![awaits.clone()]), [awaits]);
    }

    #[test]
    fn a_path_is_said_from_where_the_program_is() {
        assert_eq!(shortened("/work/app/src/main.rs", "/work/app"), "src/main.rs");
        assert_eq!(shortened("/work/apple/src/main.rs", "/work/app"), "/work/apple/src/main.rs");
        assert_eq!(shortened("src/main.rs", ""), "src/main.rs");
    }
}
