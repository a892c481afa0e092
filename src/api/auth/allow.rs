//! The check that stands before every call.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use super::super::Api;
use super::super::extract::internal;
use super::super::places::{Holder, Place, Places, Taken};
use super::super::server::{Peer, network};
use super::ApiToken;
use crate::model::{Problem, ProblemType, Scope};
use crate::replica::{self, Charge};

/// Who makes a call that was let in.
#[derive(Clone, Debug)]
pub(in crate::api) struct Caller {
    /// Whose places it takes.
    pub(in crate::api) holder: Holder,
    /// Whether it may have a place that is kept for administrators.
    pub(in crate::api) is_admin: bool,
    /// Whether it may be told what is known of names and registrations.
    reads: bool,
    /// What its registrations count for, where they are counted.
    pub(in crate::api) charge: Option<Charge>,
}

impl Caller {
    /// Whoever calls a node that has no tokens.
    fn anybody(address: IpAddr) -> Self {
        Self { holder: Holder::Address(address), is_admin: false, reads: true, charge: None }
    }

    /// A place for something that stays open.
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

    /// A request as this caller may make it.
    pub(in crate::api) fn asks(&self, request: replica::Request) -> replica::Request {
        if self.reads { request } else { replica::Request::Discreet(Box::new(request)) }
    }

    fn bearing(token: &ApiToken) -> Self {
        Self {
            holder: Holder::Token(token.name.clone()),
            is_admin: token.may(Scope::Admin),
            reads: token.may(Scope::Read),
            charge: token.charge(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Box<Problem>> {
        parts.extensions.get().cloned().ok_or_else(|| internal("the call has not been checked"))
    }
}

/// Lets only those through to these handlers who have the scope, and tells the handlers who it is.
pub(in crate::api) fn allow(api: &Arc<Api>, scope: Scope, handlers: MethodRouter<Arc<Api>>) -> MethodRouter<Arc<Api>> {
    handlers.route_layer(middleware::from_fn_with_state((Arc::clone(api), scope), check))
}

async fn check(State((api, scope)): State<(Arc<Api>, Scope)>, mut request: Request, next: Next) -> Response {
    match caller(&api, &request, scope) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn caller(api: &Api, request: &Request, scope: Scope) -> Result<Caller, Box<Problem>> {
    if api.tokens.is_empty() {
        // A server of somebody else's does not tell whose connection it is.
        let peer = request.extensions().get().map_or(Ipv4Addr::UNSPECIFIED.into(), |Peer(address)| *address);
        return Ok(Caller::anybody(network(peer)));
    }
    let secret = secret(request.headers())?;
    let token = api.tokens.bearing(secret).ok_or_else(|| unauthorized("the API token is none of this node's"))?;
    if !token.may(scope) {
        return Err(forbidden(&format!("the API token {:?}", token.name), scope));
    }
    Ok(Caller::bearing(&token))
}

/// What follows `Bearer` (RFC 6750, section 2.1).
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

/// Whoever it is may not do it without this scope.
pub(in crate::api) fn forbidden(who: &str, scope: Scope) -> Box<Problem> {
    let detail = format!("{who} lacks the scope '{scope}' for this; nothing was done, use a token that has it");
    Box::new(Problem { scope: Some(scope), ..Problem::new(ProblemType::Forbidden, detail) })
}
