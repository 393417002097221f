//! From a request to its answer.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::stream::try_unfold;
use headers::{
    AcceptRanges, ContentLength, ContentRange, ContentType, ETag, HeaderMap, HeaderMapExt, IfMatch,
    IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, LastModified,
};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use hyper::{Method, Request, Response, StatusCode};
use threadlet::threadlet;

use crate::folder::{Folder, Found, Name};
use crate::listing;

/// How much of a file is read at once.
const CHUNK: u64 = 64 * 1024;

type Body = UnsyncBoxBody<Bytes, io::Error>;

pub async fn answer(
    folder: Arc<Folder>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let Some(name) = Name::parse(request.uri().path()) else {
        return Ok(text(StatusCode::NOT_FOUND, "no such file\n"));
    };
    // Opens the file, or reads the folder, here: it is seldom that this has to wait for a disk.
    let response = match threadlet!(folder.find(&name)) {
        Ok(Found::File { file, size, modified, path }) => {
            let mut response = of_file(request.headers(), file, size, modified);
            if response.status().is_success() {
                response.headers_mut().insert(CONTENT_TYPE, mime_type(&path));
            }
            response
        }
        Ok(Found::Names(names)) => {
            let mut response = text(StatusCode::OK, &listing::page(name.path(), &names));
            response.headers_mut().typed_insert(ContentType::html());
            response
        }
        Ok(Found::NeedsSlash) => {
            let to = format!("{}/", listing::url(name.path()));
            let mut response = text(StatusCode::MOVED_PERMANENTLY, "");
            let to = HeaderValue::try_from(to).expect("a URL is ASCII");
            response.headers_mut().insert(LOCATION, to);
            response
        }
        Err(error) => of_error(&name, &error),
    };
    Ok(response)
}

/// Whatever a client has no business to know of is not there.
fn of_error(name: &Name, error: &io::Error) -> Response<Body> {
    let path = name.path().display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            text(StatusCode::NOT_FOUND, "no such file\n")
        }
        // Also what a link leads to that stands elsewhere.
        io::ErrorKind::PermissionDenied => {
            eprintln!("refused: {path}: {error}");
            text(StatusCode::NOT_FOUND, "no such file\n")
        }
        _ => {
            eprintln!("{path}: {error}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n")
        }
    }
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::from(text.to_owned()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().typed_insert(ContentType::text_utf8());
    response
}

fn mime_type(path: &Path) -> HeaderValue {
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let charset = if mime.type_() == "text" { "; charset=utf-8" } else { "" };
    HeaderValue::try_from(format!("{mime}{charset}")).expect("a MIME type is ASCII")
}

/// What to do with the file, in the order of RFC 9110, section 13.2.2.
fn of_file(request: &HeaderMap, file: File, size: u64, modified: SystemTime) -> Response<Body> {
    let tag = tag(size, modified);
    let mut response = if fails(request, &tag, modified) {
        text(StatusCode::PRECONDITION_FAILED, "")
    } else if is_known(request, &tag, modified) {
        text(StatusCode::NOT_MODIFIED, "")
    } else {
        match range(request, size, &tag, modified) {
            None => whole(file, size),
            Some(Ok(range)) => partial(file, range, size),
            Some(Err(Unsatisfiable)) => {
                let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, "");
                response.headers_mut().typed_insert(ContentRange::unsatisfied_bytes(size));
                response
            }
        }
    };
    let headers = response.headers_mut();
    headers.typed_insert(AcceptRanges::bytes());
    headers.typed_insert(tag);
    headers.typed_insert(LastModified::from(modified));
    response
}

/// A file that has been written to has another time, or another size.
fn tag(size: u64, modified: SystemTime) -> ETag {
    let time = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("\"{time:x}-{size:x}\"").parse().expect("a tag in quotes")
}

/// Whether the client wants an answer only for a file that is another one by now.
fn fails(request: &HeaderMap, tag: &ETag, modified: SystemTime) -> bool {
    match request.typed_get::<IfMatch>() {
        Some(wanted) => !wanted.precondition_passes(tag),
        None => request
            .typed_get::<IfUnmodifiedSince>()
            .is_some_and(|since| !since.precondition_passes(modified)),
    }
}

/// Whether the client has this very file.
fn is_known(request: &HeaderMap, tag: &ETag, modified: SystemTime) -> bool {
    match request.typed_get::<IfNoneMatch>() {
        Some(known) => !known.precondition_passes(tag),
        None => {
            request.typed_get::<IfModifiedSince>().is_some_and(|since| !since.is_modified(modified))
        }
    }
}

#[derive(Debug, PartialEq)]
struct Unsatisfiable;

/// The part of the file that is asked for, if it is one. Several parts at once, or another unit,
/// are answered by the whole file, as RFC 9110 allows.
fn range(
    request: &HeaderMap,
    size: u64,
    tag: &ETag,
    modified: SystemTime,
) -> Option<Result<Range<u64>, Unsatisfiable>> {
    let of_another = request
        .typed_get::<IfRange>()
        .is_some_and(|wanted| wanted.is_modified(Some(tag), Some(&LastModified::from(modified))));
    if of_another {
        return None;
    }
    parse_range(request.get(RANGE)?.to_str().ok()?, size)
}

fn parse_range(text: &str, size: u64) -> Option<Result<Range<u64>, Unsatisfiable>> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let range = match (first, last) {
        ("", length) => size.saturating_sub(length.parse().ok()?)..size,
        (first, "") => first.parse().ok()?..size,
        (first, last) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            if first > last {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(if range.is_empty() { Err(Unsatisfiable) } else { Ok(range) })
}

fn whole(file: File, size: u64) -> Response<Body> {
    let mut response = Response::new(stream(file, 0..size));
    response.headers_mut().typed_insert(ContentLength(size));
    response
}

fn partial(file: File, range: Range<u64>, size: u64) -> Response<Body> {
    let about = ContentRange::bytes(range.clone(), size).expect("the range is not empty");
    let length = range.end - range.start;
    let mut response = Response::new(stream(file, range));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    response.headers_mut().typed_insert(about);
    response.headers_mut().typed_insert(ContentLength(length));
    response
}

/// The file, chunk by chunk, each of them read when the one before it is on its way.
fn stream(file: File, range: Range<u64>) -> Body {
    let chunks = try_unfold((file, range), async |(file, mut range): (File, Range<u64>)| {
        if range.is_empty() {
            return Ok(None);
        }
        let mut chunk = vec![0; CHUNK.min(range.end - range.start) as usize];
        let n = threadlet!(file.read_at(&mut chunk, range.start))?;
        if n == 0 {
            // The connection is closed on that: the client sees that something is missing.
            return Err(io::Error::other("the file has become shorter"));
        }
        chunk.truncate(n);
        range.start += n as u64;
        Ok(Some((Frame::data(Bytes::from(chunk)), (file, range))))
    });
    BodyExt::boxed_unsync(StreamBody::new(chunks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        let whole = None;
        let nothing = Some(Err(Unsatisfiable));
        let part = |range| Some(Ok(range));
        for (text, expected) in [
            ("bytes=0-0", part(0..1)),
            ("bytes=0-9", part(0..10)),
            ("bytes=5-", part(5..10)),
            ("bytes=5-99", part(5..10)),
            ("bytes=-3", part(7..10)),
            ("bytes=-99", part(0..10)),
            ("Bytes=0-18446744073709551615", part(0..10)),
            ("bytes=10-", nothing),
            ("bytes=10-20", Some(Err(Unsatisfiable))),
            ("bytes=-0", Some(Err(Unsatisfiable))),
            ("bytes=5-4", whole),
            ("bytes=0-1,4-5", None),
            ("bytes=a-b", None),
            ("bytes=-", None),
            ("lines=0-1", None),
            ("bytes", None),
        ] {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Some(Err(Unsatisfiable)));
    }
}
