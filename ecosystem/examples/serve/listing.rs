//! The page that lists a folder.

use std::ffi::OsString;
use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// What is not escaped in a URL that we write.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// `path` as the path of a URL, from the root.
pub fn url(path: &std::path::Path) -> String {
    // Never two slashes at the beginning: what follows them would be the name of a host.
    let path = path.strip_prefix(".").unwrap_or(path);
    format!("/{}", percent_encode(path.as_os_str().as_encoded_bytes(), PLAIN))
}

pub fn page(path: &std::path::Path, names: &[OsString]) -> String {
    let title = escape(&path.strip_prefix(".").unwrap_or(path).to_string_lossy());
    let mut page = format!(
        "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>/{title}</title>\n<h1>/{title}</h1>\n<ul>\n"
    );
    if !title.is_empty() {
        page.push_str("<li><a href=\"../\">../</a>\n");
    }
    for name in names {
        let href = percent_encode(name.as_encoded_bytes(), PLAIN);
        let text = escape(&name.to_string_lossy());
        // "./", or else a name with a colon in it would be taken for a scheme.
        let _ = writeln!(page, "<li><a href=\"./{href}\">{text}</a>");
    }
    page.push_str("</ul>\n");
    page
}

/// Text as HTML: whoever may create a file must not be able to write a script into this page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
