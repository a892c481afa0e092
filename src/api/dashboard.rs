//! The dashboard: a page in the program that shows a node and its cluster to the operator.
//!
//! It consists of static files that are the same for everybody, so they are served without an API token. The page gets
//! its data from the same calls as any other client, with the token that its reader types. It loads nothing from
//! elsewhere. The policy that is sent with it makes the browser refuse whatever else would be loaded, run or framed.
//!
//! Sources: W3C Content Security Policy Level 3; W3C Trusted Types; RFC 9110, section 13.1.2 (`If-None-Match`).

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::header_names::CROSS_ORIGIN_OPENER_POLICY;
use crate::model::{Problem, ProblemType};

/// The page never turns text into markup. With Trusted Types the browser refuses that too.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri \
                      'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types \
                      'none'";

/// A file of the dashboard.
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) media_type: &'static str,
    pub(super) text: &'static str,
}

macro_rules! files {
    ($($name:literal $media_type:expr;)*) => {
        &[$(File { name: $name, media_type: $media_type, text: include_str!(concat!("dashboard/", $name)) }),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// All files. The first one is the page.
pub(super) const FILES: &[File] = files! {
    "page.html" HTML;
    "page.css" "text/css; charset=utf-8";
    "icon.svg" "image/svg+xml";
    "main.js" JS;
    "node.js" JS;
    "dom.js" JS;
    "words.js" JS;
    "verdict.js" JS;
    "members.js" JS;
    "pending.js" JS;
    "feed.js" JS;
    "look.js" JS;
    "timeline.js" JS;
    "reports.js" JS;
    "webhooks.js" JS;
    "backups.js" JS;
};

/// The entity tags (ETags) of the files. The page and its scripts must come from the same build.
static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let tag = |file: &File| format!("\"{}\"", blake3::hash(file.text.as_bytes()).to_hex());
    FILES.iter().map(|file| HeaderValue::try_from(tag(file)).unwrap_or(HeaderValue::from_static("\"\""))).collect()
});

/// Returns the routes of the page and its files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = get(|headers: HeaderMap| std::future::ready(serve("page.html", &headers)));
    let part = get(|Path(name): Path<String>, headers: HeaderMap| std::future::ready(serve(&name, &headers)));
    Router::new().route("/", page).route("/dashboard/{file}", part)
}

fn serve(name: &str, headers: &HeaderMap) -> Response {
    let Some((file, tag)) = FILES.iter().zip(&*TAGS).find(|(file, _)| file.name == name) else {
        let detail = format!("the dashboard has no file {name:?}; nothing was done, the page itself is at /");
        return Problem::new(ProblemType::NoRoute, detail).into_response();
    };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag);
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { file.text.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    headers.insert(header::ETAG, tag.clone());
    // The browser keeps the file and asks each time whether it is current: an answer of 304 costs little, but an old
    // script with a new page would break.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
