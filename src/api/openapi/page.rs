//! Serves the OpenAPI document as JSON and as a page.
//!
//! The page is one file. It loads the document from the node that served it, and nothing from anywhere else: its
//! content security policy names its own script and style by their hashes and forbids all others.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use ring::digest::{SHA256, digest};

use crate::api::Api;
use crate::api::extract::{NoParams, Params};
use crate::model::Problem;

const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");

/// The page and its content security policy.
static PAGE: LazyLock<(String, String)> = LazyLock::new(|| {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>forename: the HTTP interface</title>\n\
         <style>{STYLE}</style>\n<main><p>The interface is described in <a href=\"/openapi.json\">openapi.json</a>; this page \
         shows it where scripts may run.</p></main>\n<script>{SCRIPT}</script>\n</html>\n"
    );
    let hash = |text: &str| BASE64.encode(digest(&SHA256, text.as_bytes()).as_ref());
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    (page, policy)
});

/// Serves the document as JSON.
pub(in crate::api) async fn document(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    Ok(([(header::CONTENT_TYPE, "application/json")], api.document.clone()).into_response())
}

/// Serves the page.
pub(in crate::api) async fn page(Params(NoParams {}): Params<NoParams>) -> Result<Response, Box<Problem>> {
    let (page, policy) = &*PAGE;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Ok((headers, page.as_str()).into_response())
}
