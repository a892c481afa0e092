//! The check of the token and its scope that comes before every call.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use super::super::extract::internal;
use super::super::places::{Holder, Place, Places, Taken};
use super::super::server::{Peer, network};
use super::super::{Api, now};
use super::ApiToken;
use super::attempt::Attempt;
use super::rates::{Bucket, Rates};
use crate::model::{Problem, ProblemType, Scope, Time};
use crate::replica::{self, Bearer, Charge, Refusal};

/// The caller of a request that was let in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Who is counted for the streams and batches that this caller opens.
    pub(in crate::api) holder: Holder,
    /// True where it may take one of the places that are kept for administrators.
    pub(in crate::api) is_admin: bool,
    /// True where it may read what is known of names and registrations.
    reads: bool,
    /// True where it may register names.
    registers: bool,
    /// True where it may learn which registration holds a name that is taken.
    pub(in crate::api) sees_holders: bool,
    /// True where a registration of its own may replace a claim of the same owner (a rename).
    pub(in crate::api) may_rename: bool,
    /// The name of the token, where it may change only its own registrations; none where the caller may change all.
    bearer: Option<String>,
    /// The limit of its requests a second.
    pub(in crate::api) bucket: Bucket,
    /// The namespaces that it reaches; an empty list means all.
    namespaces: Vec<String>,
    /// The limit that its registrations count against, where there is one.
    pub(in crate::api) charge: Option<Charge>,
}

impl Caller {
    /// Returns the caller of a node that has no tokens.
    fn anybody(address: IpAddr, rates: &Rates) -> Self {
        let holder = Holder::Address(address);
        Self {
            bucket: rates.of(&holder, None),
            holder,
            is_admin: false,
            reads: true,
            registers: true,
            sees_holders: true,
            may_rename: true,
            bearer: None,
            namespaces: Vec::new(),
            charge: None,
        }
    }

    /// Returns the caller, unless it has just sent too many requests.
    fn in_time(self) -> Result<Self, Box<Problem>> {
        let Err(wait) = self.bucket.take() else { return Ok(self) };
        let who = match &self.holder {
            Holder::Token(name) => format!("the API token {name:?}"),
            Holder::Address(_) => "your address".to_owned(),
        };
        let detail = format!("{who} sends more requests than it may; nothing was done, ask again later");
        let retry_after = Some(wait.as_secs() + 1);
        Err(Box::new(Problem { retry_after, ..Problem::new(ProblemType::TooManyRequests, detail) }))
    }

    /// Takes a place for a stream or a batch, which stays open for long.
    pub(in crate::api) fn place(&self, places: &Arc<Places>, what: &str) -> Result<Place, Box<Problem>> {
        places.take(self.holder.clone(), self.is_admin).map_err(|taken| {
            let who = match (taken, &self.holder) {
                (Taken::All, _) => format!("this node serves no more {what} at a time"),
                (Taken::Own(most), Holder::Token(name)) => {
                    format!("the API token {name:?} has {most} {what} open, its part")
                }
                (Taken::Own(most), Holder::Address(_)) => format!("your address has {most} {what} open, its part"),
            };
            let detail = format!("{who}; nothing was done, close one that you do not need, or ask again later");
            Box::new(Problem { retry_after: Some(1), ..Problem::new(ProblemType::Unavailable, detail) })
        })
    }

    /// Returns the caller as one that changes a registration, for the owner that it gives. A caller that is no
    /// administrator must give the owner, or must have made the registration with the same token. An owner that is
    /// given is always checked.
    pub(in crate::api) fn changes(&self, owner: Option<String>) -> replica::Caller {
        let anything = owner.is_none() && self.bearer.is_none();
        let bearer = (!anything).then(|| Bearer { owner, token: self.bearer.clone() });
        replica::Caller { bearer, ..self.asks() }
    }

    /// Returns true where an answer must not show this caller whether a private name exists.
    pub(in crate::api) fn is_discreet(&self) -> bool {
        !self.reads
    }

    /// Returns the scopes that the caller has, separated by spaces. On a node without tokens everybody has all of them.
    pub(in crate::api) fn scopes(&self) -> String {
        let all = self.bearer.is_none();
        let has = [
            (Scope::Register, self.registers),
            (Scope::Claim, self.may_rename),
            (Scope::Read, self.reads),
            (Scope::Admin, all),
        ];
        let words: Vec<_> = has.iter().filter(|(_, has)| *has).map(|(scope, _)| scope.to_string()).collect();
        words.join(" ")
    }

    /// Returns the bearer of a token, without a limit of requests a second.
    #[cfg(test)]
    pub(in crate::api) fn of(token: &ApiToken) -> Self {
        Self::bearing(token, &Rates::new(super::Rate::Any.into()))
    }

    /// Returns the caller for requests that do not concern one registration.
    pub(in crate::api) fn asks(&self) -> replica::Caller {
        replica::Caller { reads: self.reads, namespaces: self.namespaces.clone(), bearer: None }
    }

    fn bearing(token: &ApiToken, rates: &Rates) -> Self {
        let holder = Holder::Token(token.name.clone());
        Self {
            bucket: rates.of(&holder, token.rate),
            holder,
            is_admin: token.may(Scope::Admin),
            reads: token.may(Scope::Read),
            registers: token.may(Scope::Register),
            sees_holders: token.may(Scope::Claim) || token.may(Scope::Read),
            may_rename: token.may(Scope::Claim),
            bearer: (!token.may(Scope::Admin)).then(|| token.name.clone()),
            namespaces: token.namespaces.clone(),
            charge: token.charge(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Box<Problem>> {
        parts.extensions.remove().ok_or_else(|| internal("the call has not been checked"))
    }
}

/// The subject of a call. A token that reaches only some namespaces is checked against it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::api) enum About {
    /// Names and namespaces. The registry refuses what the caller does not reach, and leaves it out of lists.
    Names,
    /// The cluster, which belongs to all. A token that reaches only some namespaces may read it.
    Cluster,
    /// Calls that change the cluster or show all of it. They are refused to a token that reaches only some namespaces.
    All,
}

/// Lets only callers with the scope through to these handlers, and tells the handlers who the caller is.
pub(in crate::api) fn allow(
    api: &Arc<Api>,
    scope: Scope,
    about: About,
    handlers: MethodRouter<Arc<Api>>,
) -> MethodRouter<Arc<Api>> {
    handlers.route_layer(middleware::from_fn_with_state((Arc::clone(api), scope, about), check))
}

async fn check(
    State((api, scope, about)): State<(Arc<Api>, Scope, About)>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = match bearer(&api, request.headers()) {
        Ok(token) => token,
        // A request without a valid token is not written into the audit log, because strangers could fill it.
        Err(problem) => return problem.into_response(),
    };
    let only_reads = only_reads(&request);
    let attempt = (scope == Scope::Admin).then(|| {
        let name = token.as_ref().map(|token| token.name.clone());
        Attempt::new(name, peer(&request), params.as_ref().ok(), &request)
    });
    let response = match caller(&api, token, peer(&request), (scope, about)) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    if let Some(attempt) = attempt.filter(|_| !(only_reads && response.status().is_success())) {
        attempt.record(&api.audit, &response, Time(now()));
    }
    response
}

/// Returns the caller of a request with these headers from this address, where it may make the call.
pub(in crate::api) fn allowed(
    api: &Api,
    address: IpAddr,
    headers: &HeaderMap,
    needs: (Scope, About),
) -> Result<Caller, Box<Problem>> {
    caller(api, bearer(api, headers)?, address, needs)
}

/// Returns true for a request that changes nothing, and whose answer has neither the node's key nor the events of others. Where
/// it is allowed, it is not written into the audit log: an open dashboard sends such a request every ten seconds.
fn only_reads(request: &Request) -> bool {
    let gives_away = ["/backup", "/dead-letters"].iter().any(|end| request.uri().path().ends_with(end));
    request.method().is_safe() && !gives_away
}

/// Returns the token that a request shows; none where the node has no tokens.
fn bearer(api: &Api, headers: &HeaderMap) -> Result<Option<ApiToken>, Box<Problem>> {
    if api.tokens.is_empty() {
        return Ok(None);
    }
    let token = api.tokens.bearing(secret(headers)?);
    token.map(Some).ok_or_else(|| unauthorized("the API token is none of this node's"))
}

/// Returns the caller, where its token is valid for the call and its rate is not exceeded.
fn caller(
    api: &Api,
    token: Option<ApiToken>,
    address: IpAddr,
    (scope, about): (Scope, About),
) -> Result<Caller, Box<Problem>> {
    let Some(token) = token else { return Caller::anybody(network(address), &api.rates).in_time() };
    if token.expires.is_some_and(|expires| expires.0 <= now()) {
        return Err(unauthorized(&format!("the API token {:?} has expired", token.name)));
    }
    if !token.may(scope) {
        return Err(forbidden(&format!("the API token {:?}", token.name), scope));
    }
    let caller = Caller::bearing(&token, &api.rates).in_time()?;
    if about == About::All && !caller.namespaces.is_empty() {
        return Err(Box::new(Refusal::OutOfReach("all namespaces".to_owned()).into()));
    }
    Ok(caller)
}

/// Returns the address that a request comes from. It is not known where another program's HTTP server serves the
/// routes.
fn peer(request: &Request) -> IpAddr {
    request.extensions().get().map_or(Ipv4Addr::UNSPECIFIED.into(), |Peer(address)| *address)
}

/// Returns the secret that follows `Bearer` in the `Authorization` header (RFC 6750, section 2.1).
fn secret(headers: &HeaderMap) -> Result<&str, Box<Problem>> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(unauthorized("this node asks for an API token, and none came")) };
    let given = value.to_str().ok().and_then(|text| text.split_once(' ')).filter(|_| values.next().is_none());
    match given {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => Ok(secret.trim()),
        _ => Err(unauthorized("the header Authorization is not one API token")),
    }
}

fn unauthorized(what: &str) -> Box<Problem> {
    let detail = format!(
        "{what}; nothing was done, send the header 'Authorization: Bearer SECRET' with what 'forename token new' printed"
    );
    Problem::boxed(ProblemType::Unauthorized, detail)
}

/// The refusal of a caller that lacks this scope.
pub(in crate::api) fn forbidden(who: &str, scope: Scope) -> Box<Problem> {
    let detail = format!("{who} lacks the scope '{scope}' for this; nothing was done, use a token that has it");
    Box::new(Problem { scope: Some(scope), ..Problem::new(ProblemType::Forbidden, detail) })
}
