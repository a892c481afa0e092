//! A client of the HTTP interface.

mod backup;
mod batch;
mod changes;
mod cluster;
mod error;
mod events;
mod follow;
mod members;
mod nodes;
mod reading;
mod register;
mod tls;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, RequestBuilder, Response, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use backup::BackupStream;
pub use batch::BatchAnswers;
pub use error::ClientError;
pub use events::EventStream;
pub use follow::{FeedStore, Restart};

use self::nodes::Nodes;
#[cfg(doc)]
use crate::model::ProblemType;
use crate::model::{
    Cursor, EventQuery, Events, Name, Namespace, NamespaceBody, NamespacePatch, OwnerPlace, Problem, Registration,
    Registrations, Span,
};

/// How long a node may take beyond what it was asked to wait. Guesses: a busy disk answers within seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an event, or of an answer to a line of a batch; it has a few kilobytes.
const MAX_MESSAGE: usize = 1 << 20;

/// Talks to a node, or to whichever of several answers; cheap to clone.
///
/// With several nodes a call that reads goes to the next node where one cannot be reached, or refuses for now (503, 507). So
/// does a registration, under one id, so that it stays one, and [`activate`](Self::activate), which may be done twice. Other
/// changes do so only where the first node certainly has done nothing. Which node answered last is asked first from then on.
/// Streams of events, backups and [`leave`](Self::leave) are about one node, and ask the first; [`follow`](Self::follow) goes
/// from one node's events to another's.
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
    nodes: Nodes,
    token: Option<HeaderValue>,
    /// The certificates to trust; none for those of the system.
    ca: Option<Vec<CertificateDer<'static>>>,
    owner: Option<String>,
    known: cluster::Known,
}

type Result<T> = std::result::Result<T, ClientError>;

impl Client {
    /// A client of the node at this address, like `http://127.0.0.1:7400`, or `https://` where a proxy takes TLS off before
    /// it. Proxies of the environment are not used.
    ///
    /// # Errors
    /// The address is no `http` or `https` address.
    pub fn new(address: &str) -> Result<Self> {
        Self::any_of([address])
    }

    /// A client of whichever of these nodes answers, which are members of one cluster.
    ///
    /// # Errors
    /// There is no address, or one is no `http` or `https` address.
    pub fn any_of(addresses: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let nodes = Nodes::new(addresses)?;
        let http = tls::connections(&nodes, None, None)?;
        Ok(Self { http, nodes, token: None, ca: None, owner: None, known: cluster::Known::default() })
    }

    /// The same with an API token, for a node that asks for one.
    ///
    /// # Errors
    /// The token has characters that cannot be sent.
    pub fn with_token(self, secret: &str) -> Result<Self> {
        let mut value = HeaderValue::try_from(format!("Bearer {secret}")).map_err(|_| ClientError::Token)?;
        // Kept out of logs.
        value.set_sensitive(true);
        let http = tls::connections(&self.nodes, Some(&value), self.ca.as_deref())?;
        Ok(Self { http, token: Some(value), ..self })
    }

    /// The same, trusting the certificates of a PEM file and no others.
    ///
    /// # Errors
    /// [`ClientError::Ca`] where there is none in it.
    pub fn with_ca(self, pem: &[u8]) -> Result<Self> {
        let ca = tls::certificates(pem)?;
        let http = tls::connections(&self.nodes, self.token.as_ref(), Some(&ca))?;
        Ok(Self { http, ca: Some(ca), ..self })
    }

    /// The same with an owner that is named where a registration is changed by its id. A token with the scope `claim` may change
    /// no others'; without it, only what was opened with the token and is open.
    #[must_use]
    pub fn for_owner(self, owner: &str) -> Self {
        Self { owner: Some(owner.to_owned()), ..self }
    }

    /// The address of the node, or of the first of several.
    #[must_use]
    pub fn address(&self) -> &str {
        nodes::shown(self.nodes.first())
    }

    /// A client of each node alone.
    fn each(&self) -> Vec<Self> {
        self.nodes.each().map(|nodes| Self { nodes, ..self.clone() }).collect()
    }

    /// The same of the first node alone.
    fn first(&self) -> Self {
        Self { nodes: self.nodes.only_first(), ..self.clone() }
    }

    /// What became of a registration.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn registration(&self, id: Uuid) -> Result<Registration> {
        self.answer(self.call(Method::GET, &["v1", "registrations", &id.to_string()], &[])?).await
    }

    /// The same when it is final, or after `timeout` with what is known then, whoever is out of reach.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn wait_for(&self, id: Uuid, timeout: Duration) -> Result<Registration> {
        let query = [("wait", "always".to_owned()), ("timeout", Span(timeout).to_string())];
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

    /// Changes what a patch names of a namespace's rules. They apply at this node from the answer on, at the others as soon
    /// as they arrive.
    ///
    /// # Errors
    /// [`ProblemType::InvalidRequest`] where there cannot be such rules, [`ProblemType::NamespaceInUse`] where names of it are
    /// taken that would not be found by them, [`ProblemType::RulesChanged`] where the patch is meant for other ones.
    pub async fn change_namespace(&self, namespace: &str, patch: &NamespacePatch) -> Result<Namespace> {
        self.answer(self.call(Method::PATCH, &["v1", "namespaces", namespace], &[])?.json(patch)).await
    }

    /// Gives a namespace its rules. They apply at this node from the answer on, at the others as soon as they arrive.
    ///
    /// # Errors
    /// [`ProblemType::RulesChanged`] where the node has another version than `if_version`,
    /// [`ProblemType::NamespaceInUse`] where names are taken whose keys would be others; nothing was changed.
    pub async fn set_namespace(&self, namespace: &str, body: &NamespaceBody) -> Result<Namespace> {
        self.answer(self.call(Method::PUT, &["v1", "namespaces", namespace], &[])?.json(body)).await
    }

    /// A page of an owner's registrations, earliest first, after a place that the page before it gave.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn owner(&self, owner: &str, after: Option<OwnerPlace>, limit: Option<usize>) -> Result<Registrations> {
        let after = after.map(|place| ("after", place.to_string()));
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
        EventStream::new(self.first(), after, query)
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
        let mut url = self.nodes.first().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// Sends a request to one node after the other, until one has done or refused it for good.
    ///
    /// `repeats`: it may be sent to another node also where this one may have done it.
    async fn send(&self, request: RequestBuilder, repeats: bool) -> Result<Response> {
        let request = self.meant(request).build().map_err(|error| self.unreachable(&error))?;
        let repeats = repeats || request.method() == Method::GET;
        let mut failures = Vec::new();
        for (index, node) in self.nodes.in_turn() {
            let Some(attempt) = request.try_clone() else { break };
            match self.send_to(node, attempt).await {
                Ok(response) => {
                    self.nodes.answered(index);
                    return Ok(response);
                }
                Err(error) if error.is_unsent() || error.is_passing() || (repeats && error.is_unreachable()) => {
                    failures.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(ClientError::all(failures))
    }

    async fn send_to(&self, node: &Url, mut request: Request) -> Result<Response> {
        let url = self.nodes.rebased(request.url(), node);
        *request.url_mut() = url;
        let unreachable = |error: &reqwest::Error| ClientError::unreachable(nodes::shown(node), error);
        let response = self.http.execute(request).await.map_err(|error| unreachable(&error))?;
        let response = self.checked(response, nodes::shown(node))?;
        if response.status().is_success() { Ok(response) } else { Err(self.failure(response).await) }
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        self.answer_of(request, false).await
    }

    async fn answer_of<T: DeserializeOwned>(&self, request: RequestBuilder, repeats: bool) -> Result<T> {
        self.read(self.send(request, repeats).await?).await
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T> {
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
        ClientError::unreachable(self.address(), error)
    }

    fn silent(&self) -> ClientError {
        let why = "it has fallen silent".to_owned();
        ClientError::Unreachable { address: self.address().to_owned(), why, sent: true }
    }

    fn not_understood(&self, status: StatusCode, why: String) -> ClientError {
        ClientError::Answer { address: self.address().to_owned(), status: status.as_u16(), why }
    }
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
    fn only_http_and_https_addresses_are_taken() {
        for address in ["http://[::1]:7400", "https://example.org"] {
            assert_eq!(Client::new(address).unwrap().address(), address);
        }
        for address in ["127.0.0.1:7400", "ftp://example.org", "unix:/run/x", ""] {
            assert!(matches!(Client::new(address), Err(ClientError::Address { .. })), "{address:?}");
        }
    }
}
