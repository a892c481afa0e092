//! A client of the HTTP interface.

mod backup;
mod batch;
mod changes;
mod cluster;
mod error;
mod events;
mod reading;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use backup::BackupStream;
pub use batch::BatchAnswers;
pub use error::ClientError;
pub use events::EventStream;

use crate::clock::NodeId;
#[cfg(doc)]
use crate::model::ProblemType;
use crate::model::limits::DEFAULT_WAIT;
use crate::model::{
    Cluster, Cursor, EventQuery, Events, Name, Namespace, NamespaceBody, Problem, Registration, RegistrationBody,
    Registrations, Span, Wait,
};

/// How long a node may take beyond what it was asked to wait. Guesses: a busy disk answers within seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection is kept for another request: well below the time after which a node closes it.
const IDLE: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an event, or of an answer to a line of a batch; it has a few kilobytes.
const MAX_MESSAGE: usize = 1 << 20;

/// Talks to one node; cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), forename::client::ClientError> {
/// use forename::model::{NameRef, RegistrationBody, Wait};
///
/// let client = forename::Client::new("http://127.0.0.1:7400")?;
/// let alice = NameRef { namespace: "username".into(), name: "alice".into() };
/// let body = RegistrationBody { owner: "user-1".into(), names: vec![alice], wait: Some(Wait::Final), ..Default::default() };
/// let registration = client.register(&body).await?;
/// println!("{:?}", registration.status);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    owner: Option<String>,
    known: cluster::Known,
}

type Result<T> = std::result::Result<T, ClientError>;

impl Client {
    /// A client of the node at this address, like `http://127.0.0.1:7400`. Proxies of the environment are not used.
    ///
    /// # Errors
    /// The address is no `http` address.
    pub fn new(address: &str) -> Result<Self> {
        let bad = |why: String| ClientError::Address { address: address.to_owned(), why };
        let base = Url::parse(address).map_err(|error| bad(error.to_string()))?;
        if base.scheme() != "http" || base.host_str().is_none() {
            return Err(bad("it does not begin with http:// and a host".to_owned()));
        }
        let http = connections(HeaderMap::new()).map_err(|error| bad(chain(&error)))?;
        Ok(Self { http, base, owner: None, known: cluster::Known::default() })
    }

    /// The same with an API token, for a node that asks for one.
    ///
    /// # Errors
    /// The token has characters that cannot be sent.
    pub fn with_token(self, secret: &str) -> Result<Self> {
        let mut value = HeaderValue::try_from(format!("Bearer {secret}")).map_err(|_| ClientError::Token)?;
        // Kept out of logs.
        value.set_sensitive(true);
        let http = connections([(AUTHORIZATION, value)].into_iter().collect()).map_err(|_| ClientError::Token)?;
        Ok(Self { http, ..self })
    }

    /// The same with an owner that is named where a registration is changed by its id. A token with the scope `claim` may change
    /// no others'; without it, only what was opened with the token and is open.
    #[must_use]
    pub fn for_owner(self, owner: &str) -> Self {
        Self { owner: Some(owner.to_owned()), ..self }
    }

    /// The node's address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Claims names, all or none.
    ///
    /// # Errors
    /// Also where the registration is rejected: [`ClientError::is_taken`], the problem has it.
    pub async fn register(&self, body: &RegistrationBody) -> Result<Registration> {
        let waits = body.wait == Some(Wait::Final);
        let wait = if waits { body.timeout.map_or(DEFAULT_WAIT, |span| span.0) } else { Duration::ZERO };
        let request = self.call(Method::POST, &["v1", "registrations"], &[])?;
        self.answer(request.json(body).timeout(wait.saturating_add(PATIENCE))).await
    }

    /// What became of a registration.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn registration(&self, id: Uuid) -> Result<Registration> {
        self.answer(self.call(Method::GET, &["v1", "registrations", &id.to_string()], &[])?).await
    }

    /// The same when it is final, or after `timeout` with what is known then.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn wait_for(&self, id: Uuid, timeout: Duration) -> Result<Registration> {
        let query = [("wait", "final".to_owned()), ("timeout", Span(timeout).to_string())];
        let request = self.call(Method::GET, &["v1", "registrations", &id.to_string()], &query)?;
        self.answer(request.timeout(timeout.saturating_add(PATIENCE))).await
    }

    /// Who holds a name.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`] where it breaks a rule of its namespace.
    pub async fn name(&self, namespace: &str, name: &str) -> Result<Name> {
        self.answer(self.call(Method::GET, &["v1", "names", namespace, name], &[])?).await
    }

    /// The rules of a namespace.
    ///
    /// # Errors
    /// [`ProblemType::InvalidRequest`] where no namespace can have this name.
    pub async fn namespace(&self, namespace: &str) -> Result<Namespace> {
        self.answer(self.call(Method::GET, &["v1", "namespaces", namespace], &[])?).await
    }

    /// Gives a namespace its rules. They apply at this node from the answer on, at the others as soon as they arrive.
    ///
    /// # Errors
    /// [`ProblemType::RulesChanged`] where the node has another version than `if_version`,
    /// [`ProblemType::NamespaceInUse`] where names are taken whose keys would be others; nothing was changed.
    pub async fn set_namespace(&self, namespace: &str, body: &NamespaceBody) -> Result<Namespace> {
        self.answer(self.call(Method::PUT, &["v1", "namespaces", namespace], &[])?.json(body)).await
    }

    /// A page of an owner's registrations, earliest first.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn owner(&self, owner: &str, after: Option<Uuid>, limit: Option<usize>) -> Result<Registrations> {
        let after = after.map(|id| ("after", id.to_string()));
        let limit = limit.map(|limit| ("limit", limit.to_string()));
        let query: Vec<_> = after.into_iter().chain(limit).collect();
        self.answer(self.call(Method::GET, &["v1", "owners", owner, "registrations"], &query)?).await
    }

    /// A page of the event feed, after this cursor; none for the first page of what the node keeps.
    ///
    /// # Errors
    /// [`ProblemType::EventsCompacted`] where the node no longer keeps all events after the cursor,
    /// [`ProblemType::CursorUnknown`] where the node has begun a new feed since; both say after which one to go on.
    pub async fn events(&self, after: Option<Cursor>, query: &EventQuery) -> Result<Events> {
        self.answer(self.call(Method::GET, &["v1", "events"], &events::pairs(query, after))?).await
    }

    /// The event feed after this cursor as it grows, or, with none, all of it that the node keeps. The connection is made by the first
    /// [`next`](EventStream::next), and again whenever it is lost.
    #[must_use]
    pub fn stream(&self, after: Option<Cursor>, query: EventQuery) -> EventStream {
        EventStream::new(self.clone(), after, query)
    }

    /// The cluster as the node sees it.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn cluster(&self) -> Result<Cluster> {
        self.answer(self.call(Method::GET, &["v1", "cluster"], &[])?).await
    }

    /// Puts a member out of the cluster for good, whom everybody waits for. Begun when this returns; done once it is
    /// among [`Cluster::evicted`].
    ///
    /// # Errors
    /// [`ProblemType::NoMember`], [`ProblemType::NoMajority`], [`ProblemType::NotInContact`] unless it is forced, or
    /// [`ProblemType::Leaving`]; nothing was changed.
    pub async fn evict(&self, node: NodeId, force: bool) -> Result<Cluster> {
        let path = ["v1", "cluster", "members", &node.to_string(), "evict"];
        let force = force.then(|| ("force", "true".to_owned()));
        self.answer(self.call(Method::POST, &path, force.as_slice())?).await
    }

    /// Has the node leave its cluster for good. Begun when this returns; the node stops once all others know.
    ///
    /// # Errors
    /// [`ProblemType::LastMember`]; nothing was changed.
    pub async fn leave(&self) -> Result<Cluster> {
        self.answer(self.call(Method::POST, &["v1", "cluster", "leave"], &[])?).await
    }

    /// Has a node stay that was asked to leave and has not departed.
    ///
    /// # Errors
    /// [`ProblemType::Departed`]; nothing was changed.
    pub async fn stay(&self) -> Result<Cluster> {
        self.answer(self.call(Method::DELETE, &["v1", "cluster", "leave"], &[])?).await
    }

    fn call(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> Result<RequestBuilder> {
        let reads = method == Method::GET;
        let request = self.http.request(method, self.url(path, query)?).timeout(PATIENCE);
        // A node takes no change that does not say so, also where it has no body: a form of a web page cannot say it.
        Ok(if reads { request } else { request.header(CONTENT_TYPE, "application/json") })
    }

    /// Each part of the path becomes one segment, slashes in it encoded.
    fn url(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url> {
        // URLs have no way to write these as segments: they mean "here" and "up" however they are encoded.
        if let Some(part) = path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            return Err(ClientError::Path((*part).to_owned()));
        }
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = self.meant(request).send().await.map_err(|error| self.unreachable(&error))?;
        let response = self.checked(response)?;
        if response.status().is_success() { Ok(response) } else { Err(self.failure(response).await) }
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = self.send(request).await?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| self.not_understood(status, error.to_string()))
    }

    /// The error that an answer without success stands for.
    async fn failure(&self, response: Response) -> ClientError {
        let status = response.status();
        match response.bytes().await {
            Ok(body) => match serde_json::from_slice::<Problem>(&body) {
                Ok(problem) => ClientError::Problem(Box::new(problem)),
                Err(_) => self.not_understood(status, "it is no problem as RFC 9457 describes it".to_owned()),
            },
            Err(error) => self.unreachable(&error),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Unreachable { address: self.address().to_owned(), why: chain(error), sent: !error.is_connect() }
    }

    fn silent(&self) -> ClientError {
        let why = "it has fallen silent".to_owned();
        ClientError::Unreachable { address: self.address().to_owned(), why, sent: true }
    }

    fn not_understood(&self, status: StatusCode, why: String) -> ClientError {
        ClientError::Answer { address: self.address().to_owned(), status: status.as_u16(), why }
    }
}

fn connections(headers: HeaderMap) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_WITHIN);
    builder.pool_idle_timeout(IDLE).default_headers(headers).build()
}

/// The innermost cause, which says most: "Connection refused".
fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_path_is_one_segment() {
        let client = Client::new("http://127.0.0.1:7400/").unwrap();
        let url = client.url(&["v1", "names", "org/42/handle", "a b?#%é"], &[("owner", "a&b=c".to_owned())]).unwrap();
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:7400/v1/names/org%2F42%2Fhandle/a%20b%3F%23%25%C3%A9?owner=a%26b%3Dc"
        );
        for part in ["", ".", ".."] {
            assert!(matches!(client.url(&["v1", part], &[]), Err(ClientError::Path(_))), "{part:?}");
        }
    }

    #[test]
    fn only_http_addresses_are_taken() {
        assert_eq!(Client::new("http://[::1]:7400").unwrap().address(), "http://[::1]:7400");
        for address in ["127.0.0.1:7400", "https://example.org", "unix:/run/x", ""] {
            assert!(matches!(Client::new(address), Err(ClientError::Address { .. })), "{address:?}");
        }
    }
}
