//! The check that stands before every call.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
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
use super::rates::{Bucket, Rates};
use crate::model::{Problem, ProblemType, Scope};
use crate::replica::{self, Bearer, Charge, Refusal};

/// Who makes a call that was let in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Whose places it takes.
    pub(in crate::api) holder: Holder,
    /// Whether it may have a place that is kept for administrators.
    pub(in crate::api) is_admin: bool,
    /// Whether it may be told what is known of names and registrations.
    reads: bool,
    /// Whether it may register.
    registers: bool,
    /// Whether it may be told by which registration a name is taken.
    pub(in crate::api) sees_holders: bool,
    /// Whether a registration of its may end a claim of the same owner's.
    pub(in crate::api) may_rename: bool,
    /// The token that may change only what is its own; none of somebody who may change everything.
    bearer: Option<String>,
    /// How fast it may be.
    pub(in crate::api) bucket: Bucket,
    /// The namespaces that it reaches; none for all.
    namespaces: Vec<String>,
    /// What its registrations count for, where they are counted.
    pub(in crate::api) charge: Option<Charge>,
}

impl Caller {
    /// Whoever calls a node that has no tokens.
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

    /// The caller, where it has not sent too many requests just now.
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

    /// Who changes a registration, for the owner that the caller gives. Whoever is no administrator has to give it, or to
    /// have opened the registration with the same token; whoever gives one means it.
    pub(in crate::api) fn changes(&self, owner: Option<String>) -> replica::Caller {
        let anything = owner.is_none() && self.bearer.is_none();
        let bearer = (!anything).then(|| Bearer { owner, token: self.bearer.clone() });
        replica::Caller { bearer, ..self.asks() }
    }

    /// Returns true where the answer must not show whether a private name exists.
    pub(in crate::api) fn is_discreet(&self) -> bool {
        !self.reads
    }

    /// What it may do, each word a scope; of a node that has no tokens everybody may do everything.
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

    /// The bearer of a token, as fast as it likes.
    #[cfg(test)]
    pub(in crate::api) fn of(token: &ApiToken) -> Self {
        Self::bearing(token, &Rates::new(super::Rate::Any))
    }

    /// Who asks, for whatever is not bound to a registration.
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
        parts.extensions.get().cloned().ok_or_else(|| internal("the call has not been checked"))
    }
}

/// What a call is about: a token that reaches some namespaces only is held against it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::api) enum About {
    /// Names and namespaces: the registry refuses what its caller does not reach, and leaves it out of what it lists.
    Names,
    /// The cluster, which is everybody's: such a token may look at it.
    Cluster,
    /// What changes the cluster, or shows all of it: nothing for such a token.
    All,
}

/// Lets only those through to these handlers who have the scope, and tells the handlers who it is.
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
    mut request: Request,
    next: Next,
) -> Response {
    let found = caller(&api, &request, scope).and_then(|caller| caller.in_time());
    let found = found.and_then(|caller| {
        if about == About::All && !caller.namespaces.is_empty() {
            return Err(Box::new(Refusal::OutOfReach("all namespaces".to_owned()).into()));
        }
        Ok(caller)
    });
    match found {
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
        return Ok(Caller::anybody(network(peer), &api.rates));
    }
    let secret = secret(request.headers())?;
    let token = api.tokens.bearing(secret).ok_or_else(|| unauthorized("the API token is none of this node's"))?;
    if token.expires.is_some_and(|expires| expires.0 <= now()) {
        return Err(unauthorized(&format!("the API token {:?} has expired", token.name)));
    }
    if !token.may(scope) {
        return Err(forbidden(&format!("the API token {:?}", token.name), scope));
    }
    Ok(Caller::bearing(&token, &api.rates))
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
