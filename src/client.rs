//! The client of the HTTP interface.

mod backup;
mod batch;
mod changes;
mod cluster;
mod error;
mod events;
mod file_store;
mod follow;
mod members;
mod nodes;
mod reading;
mod register;
mod signature;
mod tls;
mod webhooks;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use backup::BackupStream;
pub use batch::BatchAnswers;
pub use error::ClientError;
pub use events::EventStream;
pub use file_store::FileStore;
pub use follow::{FeedStore, Restart};
pub use signature::{SignatureError, verify_webhook};

use self::nodes::Nodes;
#[cfg(doc)]
use crate::model::ProblemType;
use crate::model::{
    Cursor, EventQuery, Events, Name, Namespace, NamespaceBody, NamespacePatch, OwnerPlace, Problem, Registration,
    Registrations, Span,
};

/// How long a node may take beyond the time that it was asked to wait. A guess: a busy disk answers within seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// The maximum size in bytes of an event, or of the answer to a line of a batch. They usually have a few kilobytes.
const MAX_MESSAGE: usize = 1 << 20;

/// A client of one node, or of several nodes of a cluster, whichever answers. It is cheap to clone.
///
/// Where there are several nodes, a call that reads goes to the next node when one cannot be reached or refuses for now
/// (503, 507). So does a registration, always under the same id, so that it stays one registration, and so does
/// [`activate`](Self::activate), which may be repeated. Other changes go to the next node only where the first one has
/// certainly done nothing. The node that answered last is asked first from then on. Streams of events, backups and
/// [`leave`](Self::leave) concern one node, and ask the first; [`follow`](Self::follow) goes from one node's events to
/// another's.
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
    trust: tls::Trust,
    owner: Option<String>,
    known: cluster::Known,
}

type Result<T> = std::result::Result<T, ClientError>;

impl Client {
    /// Makes a client of the node at this address, like `http://127.0.0.1:7400`, or `https://` where the node, or a
    /// proxy in front of it, uses TLS. Proxies from the environment are not used.
    ///
    /// # Errors
    /// The address is no `http` or `https` address.
    pub fn new(address: &str) -> Result<Self> {
        Self::any_of([address])
    }

    /// Makes a client of several nodes, which are members of one cluster. Any of them may answer.
    ///
    /// # Errors
    /// There is no address, or one is no `http` or `https` address.
    pub fn any_of(addresses: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let nodes = Nodes::new(addresses)?;
        let trust = tls::Trust::default();
        let http = tls::connections(&nodes, None, &trust)?;
        Ok(Self { http, nodes, token: None, trust, owner: None, known: cluster::Known::default() })
    }

    /// Returns this client with an API token, for a node that asks for one.
    ///
    /// # Errors
    /// The token has characters that cannot be sent.
    pub fn with_token(self, secret: &str) -> Result<Self> {
        let mut value = HeaderValue::try_from(format!("Bearer {secret}")).map_err(|_| ClientError::Token)?;
        // Debug output does not show the token.
        value.set_sensitive(true);
        let http = tls::connections(&self.nodes, Some(&value), &self.trust)?;
        Ok(Self { http, token: Some(value), ..self })
    }

    /// Returns this client so that it trusts the certificates in a PEM file, and no others.
    ///
    /// # Errors
    /// [`ClientError::Ca`] where the file has no certificate.
    pub fn with_ca(self, pem: &[u8]) -> Result<Self> {
        let trust = tls::Trust { ca: Some(tls::certificates(pem)?), ..self.trust.clone() };
        let http = tls::connections(&self.nodes, self.token.as_ref(), &trust)?;
        Ok(Self { http, trust, ..self })
    }

    /// Returns this client so that it shows a certificate to nodes that ask for one. The PEM file has the certificate
    /// and its key.
    ///
    /// # Errors
    /// [`ClientError::Identity`] where one of them is missing, or they do not belong together.
    pub fn with_identity(self, pem: &[u8]) -> Result<Self> {
        let trust = tls::Trust { identity: Some(tls::identity(pem)?), ..self.trust.clone() };
        let http = tls::connections(&self.nodes, self.token.as_ref(), &trust)?;
        Ok(Self { http, trust, ..self })
    }

    /// Returns this client with an owner, which it names when it changes a registration by its id. With the scope
    /// `claim` a token may change registrations of the named owner only; without that scope, only open registrations
    /// that were made with the same token.
    #[must_use]
    pub fn for_owner(self, owner: &str) -> Self {
        Self { owner: Some(owner.to_owned()), ..self }
    }

    /// Returns the address of the node, or of the first one of several.
    #[must_use]
    pub fn address(&self) -> &str {
        nodes::shown(self.nodes.first())
    }

    /// Returns one client for each node.
    fn each(&self) -> Vec<Self> {
        self.nodes.each().map(|nodes| Self { nodes, ..self.clone() }).collect()
    }

    /// Returns a client of the first node alone.
    fn first(&self) -> Self {
        Self { nodes: self.nodes.only_first(), ..self.clone() }
    }

    /// Returns the present state of a registration.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn registration(&self, id: Uuid) -> Result<Registration> {
        self.answer(self.call(Method::GET, &["v1", "registrations", &id.to_string()], &[])?).await
    }

    /// Waits until a registration is final, also where a member is out of reach. After `timeout` it returns the state
    /// at that time.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn wait_for(&self, id: Uuid, timeout: Duration) -> Result<Registration> {
        let query = [("wait", "always".to_owned()), ("timeout", Span(timeout).to_string())];
        let request = self.call(Method::GET, &["v1", "registrations", &id.to_string()], &query)?;
        self.answer(request.timeout(timeout.saturating_add(PATIENCE))).await
    }

    /// Returns who holds a name.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`] where the name breaks a rule of its namespace.
    pub async fn name(&self, namespace: &str, name: &str) -> Result<Name> {
        self.answer(self.call(Method::GET, &["v1", "names", namespace, name], &[])?).await
    }

    /// Returns the rules of a namespace.
    ///
    /// # Errors
    /// [`ProblemType::InvalidRequest`] where no namespace can have this name.
    pub async fn namespace(&self, namespace: &str) -> Result<Namespace> {
        self.answer(self.call(Method::GET, &["v1", "namespaces", namespace], &[])?).await
    }

    /// Changes the rules of a namespace that the patch names. When this returns they apply at this node, and at the
    /// other nodes as soon as they arrive.
    ///
    /// # Errors
    /// [`ProblemType::InvalidRequest`] where the rules are not valid, [`ProblemType::NamespaceInUse`] where names are
    /// taken that the new rules would not find, [`ProblemType::RulesChanged`] where the patch is meant for another
    /// version.
    pub async fn change_namespace(&self, namespace: &str, patch: &NamespacePatch) -> Result<Namespace> {
        self.answer(self.call(Method::PATCH, &["v1", "namespaces", namespace], &[])?.json(patch)).await
    }

    /// Sets the rules of a namespace. When this returns they apply at this node, and at the other nodes as soon as they
    /// arrive.
    ///
    /// # Errors
    /// [`ProblemType::RulesChanged`] where the node has another version than `if_version`,
    /// [`ProblemType::NamespaceInUse`] where names are taken that would get other keys; nothing was changed.
    pub async fn set_namespace(&self, namespace: &str, body: &NamespaceBody) -> Result<Namespace> {
        self.answer(self.call(Method::PUT, &["v1", "namespaces", namespace], &[])?.json(body)).await
    }

    /// Returns a page of an owner's registrations, earliest first. `after` is the place that the page before gave.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn owner(&self, owner: &str, after: Option<OwnerPlace>, limit: Option<usize>) -> Result<Registrations> {
        let after = after.map(|place| ("after", place.to_string()));
        let limit = limit.map(|limit| ("limit", limit.to_string()));
        let query: Vec<_> = after.into_iter().chain(limit).collect();
        self.answer(self.call(Method::GET, &["v1", "owners", owner, "registrations"], &query)?).await
    }

    /// Returns a page of the event feed, from the event after this cursor on. Without a cursor it is the first page of
    /// what the node keeps.
    ///
    /// # Errors
    /// [`ProblemType::EventsCompacted`] where the node no longer keeps all events after the cursor,
    /// [`ProblemType::CursorUnknown`] where the node has begun a new feed since. Both give the cursor to go on with.
    pub async fn events(&self, after: Option<Cursor>, query: &EventQuery) -> Result<Events> {
        self.answer(self.call(Method::GET, &["v1", "events"], &events::pairs(query, after))?).await
    }

    /// Returns the event feed after this cursor as a stream, or all that the node keeps where there is no cursor. The
    /// first [`next`](EventStream::next) makes the connection, and it is made again whenever it is lost.
    #[must_use]
    pub fn stream(&self, after: Option<Cursor>, query: EventQuery) -> EventStream {
        EventStream::new(self.first(), after, query)
    }

    fn call(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> Result<RequestBuilder> {
        let reads = method == Method::GET;
        let request = self.http.request(method, self.url(path, query)?).timeout(PATIENCE);
        // A node refuses a change that does not declare JSON, also one without a body, because a form of a web page
        // cannot declare it.
        Ok(if reads { request } else { request.header(CONTENT_TYPE, "application/json") })
    }

    /// Makes a URL in which each part of the path is one segment; slashes in a part are encoded.
    fn url(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url> {
        // URLs cannot have these parts as segments: they mean "here" and "up" however they are encoded.
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

    /// Sends a request to one node after the other, until one has done it or refused it for good.
    ///
    /// With `repeats` the request may be sent to another node also where this one may have done it.
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

    /// Returns the error for an answer that is not a success.
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
