//! The gate keeps web pages of other sites away from a node that the reader's browser can reach.
//!
//! A page of any site can make the browser send requests to a node on the same machine or network. Three checks come
//! before every route, also where the node has no API tokens:
//!
//! * `Host` is an IP address, `localhost` or a name from the settings. A page that points its own host name at the node
//!   (DNS rebinding) sends that name.
//! * `Origin`, where it is sent, is the node's own or one from the settings. `Sec-Fetch-Site` says the same of requests
//!   that browsers send without `Origin`.
//! * A call that changes something declares a JSON body. A form, or a script without permission, cannot declare that:
//!   the browser asks for permission first (a CORS preflight), and only listed origins get it.
//!
//! Sources: WHATWG Fetch, sections *CORS protocol* and *CORS-safelisted request-header*; W3C Fetch Metadata.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::cors::CorsLayer;
use tower_layer::Layer;
use tower_service::Service;

use super::batch::{self, ALSO_NDJSON};
use super::extract::{check_json, check_type};
use super::header_names::{CLUSTER, CROSS_ORIGIN_RESOURCE_POLICY, IDEMPOTENCY_KEY, LAST_EVENT_ID, SEC_FETCH_SITE};
use super::shared::Shared;
use crate::model::{Problem, ProblemType};

/// How long a browser remembers that a listed origin may call. It is the upper limit of Chromium.
const PREFLIGHT_HOLDS: Duration = Duration::from_secs(2 * 3600);

/// The host names and origins that requests may have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Gate {
    /// Names of the node besides `localhost`, in lower case.
    hosts: Arc<BTreeSet<String>>,
    /// Origins besides the node's own, in lower case.
    origins: Arc<BTreeSet<String>>,
}

/// A name or an origin in the settings that is not valid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GateError {
    /// The text is not a host name.
    #[error("{0:?} is not the name of a host; write the name alone, like names.example.org, without scheme and port")]
    Host(String),
    /// The text is not an origin.
    #[error(
        "{0:?} is not the origin of a web page; write scheme, host and port as a browser sends them, like \
         https://desk.example.org, without a path"
    )]
    Origin(String),
}

impl Gate {
    /// Lets in requests to these hosts, and pages of these origins.
    ///
    /// # Errors
    /// See [`GateError`].
    pub fn new(hosts: &[String], origins: &[String]) -> Result<Self, GateError> {
        let hosts = hosts.iter().map(|host| host_name(host)).collect::<Result<_, _>>()?;
        let origins = origins.iter().map(|text| origin(text)).collect::<Result<_, _>>()?;
        Ok(Self { hosts: Arc::new(hosts), origins: Arc::new(origins) })
    }

    /// Returns true where no origins are listed: no page gets a permission, and no CORS headers are sent at all.
    pub(super) fn has_no_pages(&self) -> bool {
        self.origins.is_empty()
    }

    /// Returns the CORS answers for the listed origins.
    fn permissions(&self) -> CorsLayer {
        let origins: Vec<_> = self.origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok()).collect();
        let headers = [IDEMPOTENCY_KEY, LAST_EVENT_ID, CLUSTER];
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE].into_iter().chain(headers).collect::<Vec<_>>())
            .expose_headers([header::LOCATION, header::RETRY_AFTER, header::WWW_AUTHENTICATE, CLUSTER])
            .max_age(PREFLIGHT_HOLDS)
    }

    /// Refuses a request to a name that is not the node's, or from a page that is not listed.
    pub(super) fn check(&self, named: Option<&Authority>, headers: &HeaderMap) -> Result<(), Box<Problem>> {
        // A request line with a whole URL names the host a second time (RFC 9112, section 3.2.2).
        if let Some(named) = named
            && !self.knows(named.as_str())
        {
            return Err(host_unknown(named.as_str()));
        }
        let host = only(headers, &header::HOST).ok_or_else(|| host_unknown(""))?;
        if !self.knows(host) {
            return Err(host_unknown(host));
        }
        if headers.contains_key(header::ORIGIN) {
            let origin = only(headers, &header::ORIGIN).unwrap_or_default().to_ascii_lowercase();
            let listed = self.origins.contains(&origin) || is_own(&origin, host);
            return if listed { Ok(()) } else { Err(origin_refused(&format!("of the origin {origin:?}"))) };
        }
        // For a request without `Origin`, only this header says from which page it comes. Other clients than browsers
        // do not send it.
        match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) => Err(origin_refused("of another origin")),
        }
    }

    fn knows(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        let host = authority.host();
        // Only a port may follow the host. Anything else is meant to look like another host.
        let rest = authority.as_str().strip_prefix(host);
        if !rest.is_some_and(|rest| rest.is_empty() || authority.port().is_some() && rest.starts_with(':')) {
            return false;
        }
        if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return address.parse::<Ipv6Addr>().is_ok();
        }
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        name == "localhost" || name.parse::<Ipv4Addr>().is_ok() || self.hosts.contains(&name)
    }
}

impl Shared<Gate> {
    /// Returns the routes behind the gate. Each request meets the gate as it is when the request comes.
    pub(super) fn before(self, routes: Router) -> Router {
        routes.layer(middleware::from_fn(declared)).layer(middleware::from_fn_with_state(self, from_where))
    }
}

/// Returns true where a page of this origin was served by the host that it calls. The schemes may differ, because a
/// proxy may add TLS.
fn is_own(origin: &str, host: &str) -> bool {
    let bare = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    bare.is_some_and(|bare| bare.eq_ignore_ascii_case(host))
}

/// Returns the one value of a header; none where there are several, or where it is no text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
}

fn host_name(text: &str) -> Result<String, GateError> {
    let bare = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let is_name = bare.parse::<Authority>().is_ok_and(|authority| authority.host() == bare) && !bare.starts_with('[');
    if is_name { Ok(bare) } else { Err(GateError::Host(text.to_owned())) }
}

fn origin(text: &str) -> Result<String, GateError> {
    let bare = text.trim().to_ascii_lowercase();
    let authority = bare.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).map(|(_, authority)| authority);
    let is_origin = authority.is_some_and(|text| !text.contains('@') && text.parse::<Authority>().is_ok());
    if is_origin { Ok(bare) } else { Err(GateError::Origin(text.to_owned())) }
}

async fn from_where(State(gate): State<Shared<Gate>>, request: Request, next: Next) -> Response {
    let gate = gate.get();
    let mut response = match gate.check(request.uri().authority(), request.headers()) {
        Err(problem) => problem.into_response(),
        Ok(()) if gate.has_no_pages() => next.run(request).await,
        Ok(()) => gate.permissions().layer(next).call(request).await.unwrap_or_else(|never| match never {}),
    };
    keep_apart(response.headers_mut());
    response
}

/// Adds the headers that forbid other pages to load an answer as an image, a script or a frame.
pub(super) fn keep_apart(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}

/// Refuses a request that may change something and does not declare a JSON body. That also holds for calls without a body.
async fn declared(request: Request, next: Next) -> Response {
    let declared = match *request.method() {
        Method::POST if request.uri().path() == batch::PATH => check_type(request.headers(), &ALSO_NDJSON),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => check_json(request.headers()),
        // No call uses another method to change something.
        _ => Ok(()),
    };
    match declared {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn host_unknown(host: &str) -> Box<Problem> {
    let detail = format!(
        "the header Host is {host:?}, which is not a name of this node; nothing was done, call it by its IP address or as \
         localhost, or add the name to its setting 'hosts'"
    );
    Problem::boxed(ProblemType::HostUnknown, detail)
}

fn origin_refused(whose: &str) -> Box<Problem> {
    let detail = format!(
        "the call comes from a web page {whose}, and this node does not let it call; nothing was done, add the page's \
         origin to the node's setting 'origins' if it is yours"
    );
    Problem::boxed(ProblemType::OriginRefused, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checked(gate: &Gate, named: Option<&str>, headers: &[(&str, &str)]) -> Option<ProblemType> {
        let named = named.map(|named| named.parse().unwrap());
        let header = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
        };
        // A header may come twice.
        let headers = headers.iter().map(header).fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
        gate.check(named.as_ref(), &headers).err().map(|problem| problem.problem_type)
    }

    fn check(gate: &Gate, headers: &[(&str, &str)]) -> Option<ProblemType> {
        checked(gate, None, headers)
    }

    fn listed() -> Gate {
        Gate::new(&["Names.Example.org.".to_owned()], &["https://Desk.example.org".to_owned()]).unwrap()
    }

    #[test]
    fn a_host_is_an_address_or_a_name_of_the_node() {
        for host in ["127.0.0.1", "127.0.0.1:7400", "[::1]:7400", "[::1]", "LocalHost:1", "names.example.org.:7400"] {
            assert_eq!(check(&listed(), &[("host", host)]), None, "{host}");
        }
        let none: [&[(&str, &str)]; 3] = [&[], &[("host", "")], &[("host", "127.0.0.1"), ("host", "127.0.0.1")]];
        for headers in none {
            assert_eq!(check(&listed(), headers), Some(ProblemType::HostUnknown), "{headers:?}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "me@127.0.0.1", "[::1].x", "*"]
        {
            assert_eq!(check(&listed(), &[("host", host)]), Some(ProblemType::HostUnknown), "{host}");
        }
        assert_eq!(check(&Gate::default(), &[("host", "names.example.org")]), Some(ProblemType::HostUnknown));
    }

    #[test]
    fn a_whole_url_in_the_request_line_is_looked_at_too() {
        let to = |named| checked(&listed(), Some(named), &[("host", "127.0.0.1")]);
        assert_eq!(to("127.0.0.1"), None);
        assert_eq!(to("evil.example"), Some(ProblemType::HostUnknown));
    }

    #[test]
    fn a_page_is_the_nodes_own_or_listed() {
        let from = |headers: &[(&str, &str)]| check(&listed(), &[&[("host", "127.0.0.1:7400")], headers].concat());
        for headers in [
            &[("origin", "http://127.0.0.1:7400"), ("sec-fetch-site", "same-origin")][..],
            &[("origin", "https://desk.example.org"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(from(headers), None, "{headers:?}");
        }
        for headers in [
            &[("origin", "http://127.0.0.1:7402")][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "https://desk.example.org.evil.example")],
            &[("origin", "https://desk.example.org"), ("origin", "https://desk.example.org")],
            &[("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(from(headers), Some(ProblemType::OriginRefused), "{headers:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_host_or_an_origin_is_not_listed() {
        for host in ["", "http://a.example", "a.example:7400", "a/b", "a@b", "*.example.org/"] {
            assert!(matches!(Gate::new(&[host.to_owned()], &[]), Err(GateError::Host(_))), "{host:?}");
        }
        for origin in ["", "null", "*", "a.example", "https://", "https://a.example/", "https://u@a.example"] {
            assert!(matches!(Gate::new(&[], &[origin.to_owned()]), Err(GateError::Origin(_))), "{origin:?}");
        }
    }

    proptest! {
        /// A name that is not listed is never let in, whatever the header holds.
        #[test]
        fn no_other_name_passes(name in "[a-z0-9-]{1,12}(\\.[a-z][a-z0-9-]{0,8}){1,3}", port in any::<Option<u16>>()) {
            let host = port.map_or(name.clone(), |port| format!("{name}:{port}"));
            prop_assert_eq!(check(&Gate::default(), &[("host", &host)]), Some(ProblemType::HostUnknown));
            let gate = Gate::new(std::slice::from_ref(&name), &[]).unwrap();
            prop_assert_eq!(check(&gate, &[("host", &host)]), None);
        }
    }
}
