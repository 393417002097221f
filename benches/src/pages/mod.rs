//! The pages that are made from the data: the tables of `docs/figures.md` and of the README, between
//! their marks, and the pictures beside the data.

mod figures;
mod picture;
mod plot;
mod readme;
mod scaling;
mod sweep;

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::data::Run;
use crate::suite::SUITES;

/// What `figures` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Writes nothing; exits with status 1 if a page is not what the data says
    #[arg(long)]
    check: bool,
}

const BEGIN: &str = "<!-- made by `threadlet-bench figures`: begin -->\n";
const END: &str = "<!-- made by `threadlet-bench figures`: end -->\n";

/// Where data and pages are: in the repository, or in a tree like it elsewhere.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    /// A file for each suite, and its picture.
    pub(crate) data: PathBuf,
}

impl Place {
    pub(crate) fn of_the_repository() -> Place {
        Place::apart(&repository())
    }

    pub(crate) fn apart(root: &Path) -> Place {
        Place { root: root.to_owned(), data: root.join("docs/benchmarks") }
    }

    pub(crate) fn data_of(&self, suite: &str) -> PathBuf {
        self.data.join(format!("{suite}.jsonl"))
    }

    /// The runs of all suites that have one.
    fn runs(&self) -> io::Result<Vec<(&'static str, Run)>> {
        let mut runs = Vec::new();
        for (suite, _) in SUITES {
            let path = self.data_of(suite);
            match Run::read(&path) {
                Ok(run) => runs.push((*suite, run)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(io::Error::other(format!("{}: {error}", path.display()))),
            }
        }
        Ok(runs)
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in a folder").to_owned()
}

/// Makes the pages from the data that is kept, or checks that they are what it says.
pub(crate) fn run(options: &Options) -> io::Result<ExitCode> {
    let place = Place::of_the_repository();
    if !options.check {
        write(&place)?;
        return Ok(ExitCode::SUCCESS);
    }
    let stale = stale(&place)?;
    for page in &stale {
        eprintln!("{} is not what the data says: `figures` makes it anew", page.display());
    }
    Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes the pages.
pub(crate) fn write(place: &Place) -> io::Result<()> {
    for (path, text) in made(place)? {
        fs::create_dir_all(path.parent().expect("a page is in a folder"))?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// The pages that are not what the data says.
fn stale(place: &Place) -> io::Result<Vec<PathBuf>> {
    let made = made(place)?.into_iter();
    let differs =
        |(path, text): &(PathBuf, String)| fs::read_to_string(path).ok().as_ref() != Some(text);
    Ok(made.filter(differs).map(|(path, _)| path).collect())
}

/// All that is made from the data: where it goes, and its text. What is around the marks is the
/// repository's. The README is made when every suite has been measured that it takes from.
fn made(place: &Place) -> io::Result<Vec<(PathBuf, String)>> {
    let runs = place.runs()?;
    let mut made = Vec::new();
    if runs.is_empty() {
        return Ok(made);
    }
    for (suite, run) in runs.iter().filter(|(suite, _)| !figures::is_elsewhere(suite)) {
        let picture = plot::bars(suite, run).map_err(drawing)?;
        made.push((place.data.join(format!("{suite}.svg")), picture));
        if *suite == "predict" {
            made.push((place.data.join("sweep.svg"), sweep::draw(run).map_err(drawing)?));
        }
    }
    let page = |name: &str, part: &str| -> io::Result<(PathBuf, String)> {
        let path = repository().join(name);
        let text = between_marks(&fs::read_to_string(&path)?, part);
        let text = text.ok_or_else(|| io::Error::other(format!("{name} has no marks")))?;
        Ok((place.root.join(name), text))
    };
    made.push(page("docs/figures.md", &figures::render(&runs))?);
    if let Some((_, run)) = runs.iter().find(|(suite, _)| *suite == "faults") {
        made.push((place.root.join("docs/faults.svg"), picture::draw(run).map_err(drawing)?));
        made.push(page("docs/faults.md", &picture::table(run))?);
    }
    if let Some((_, run)) = runs.iter().find(|(suite, _)| *suite == "scaling") {
        for (name, picture) in scaling::pictures(run).map_err(drawing)? {
            made.push((place.data.join(name), picture));
        }
        made.push(page("docs/internals/scaling.md", &scaling::render(run))?);
    }
    if readme::suites().all(|wanted| runs.iter().any(|(suite, _)| *suite == wanted)) {
        made.push(page("README.md", &readme::render(&runs).map_err(io::Error::other)?)?);
    }
    Ok(made)
}

fn drawing(error: Box<dyn Error>) -> io::Error {
    io::Error::other(error.to_string())
}

/// The page with another part between its marks. `None`: it has no marks, or not one pair.
fn between_marks(page: &str, part: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let once = !before.contains(END) && !after.contains(BEGIN) && !after.contains(END);
    once.then(|| format!("{before}{BEGIN}\n{part}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_the_marks_stays() {
        let page = format!("a\n{BEGIN}old\n{END}b\n");
        let made = between_marks(&page, "new").unwrap();
        assert_eq!(made, format!("a\n{BEGIN}\nnew\n{END}b\n"));
        assert_eq!(between_marks(&made, "new").unwrap(), made);
        assert_eq!(between_marks("a\nb\n", "new"), None);
        assert_eq!(between_marks(&format!("{page}{page}"), "new"), None);
    }

    /// From the file to the pages, and that a number which somebody changed is seen.
    #[test]
    fn a_page_that_the_data_does_not_say_is_found() {
        let root =
            std::env::temp_dir().join(format!("threadlet-bench-pages-{}", std::process::id()));
        let place = Place::apart(&root);
        fs::create_dir_all(&place.data).unwrap();
        crate::data::tests::run().write(&place.data_of("engine")).unwrap();
        let page = root.join("docs/figures.md");
        let check = || stale(&place).unwrap();
        assert!(check().contains(&page), "there is no page yet");
        write(&place).unwrap();
        assert_eq!(check(), Vec::<PathBuf>::new());
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains("**lost** 9.50"), "{text}");
        fs::write(&page, text.replace("9.50", "10.50")).unwrap();
        assert_eq!(check(), vec![page]);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_pages_are_what_the_data_says() {
        let place = Place::of_the_repository();
        assert_eq!(stale(&place).unwrap(), Vec::<PathBuf>::new(), "`figures` makes them anew");
        for (suite, run) in place.runs().unwrap() {
            assert!(!run.machine.quick, "{suite} is of a smoke run");
        }
    }
}
