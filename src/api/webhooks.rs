//! The calls about webhooks: make, list, change, test and remove them, and replay dead letters.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::auth::{Caller, Change};
use super::extract::{Body, NoParams, OptionalBody, Params, Segments, json};
use super::{Api, or_problem};
use crate::crdt::HookSecret;
use crate::model::limits::KEEP_OLD_SECRET;
use crate::model::{
    DeadLetters, Deliver, EventKind, EventType, Problem, ProblemType, Replayed, RotationBody, Span, Time, Webhook,
    WebhookBody, WebhookPatch, Webhooks,
};
use crate::node::webhooks::{Deliveries, origin, secret_text};
use crate::replica::{KnownWebhook, Refusal, SetWebhook, WebhookChange, WebhooksKnown};

/// The id of a webhook in the path of a call that takes no parameters.
pub(super) struct HookId(Uuid);

impl<S: Send + Sync> FromRequestParts<S> for HookId {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Box<Problem>> {
        let Segments(text) = Segments::<String>::from_request_parts(parts, state).await?;
        let Params(NoParams {}) = Params::<NoParams>::from_request_parts(parts, state).await?;
        text.parse().map(Self).map_err(|error| {
            let detail = format!("{text:?} is not the id of a webhook ({error}); nothing was done, give a UUID");
            Problem::boxed(ProblemType::InvalidRequest, detail)
        })
    }
}

/// The webhook with this id.
pub(super) struct Found(KnownWebhook);

impl FromRequestParts<Arc<Api>> for Found {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Box<Problem>> {
        let HookId(id) = HookId::from_request_parts(parts, api).await?;
        let caller = Caller::from_request_parts(parts, api).await?;
        let known = api.query(WebhooksKnown, &caller).await?;
        let found = known.into_iter().find(|known| known.id == id).map(Self);
        found.ok_or_else(|| Box::new(Refusal::NoWebhook(id).into()))
    }
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let known = api.query(WebhooksKnown, &caller).await?;
    let webhooks = known.into_iter().map(|known| shown(&api, known)).collect();
    Ok(json(StatusCode::OK, &Webhooks { webhooks }))
}

pub(super) async fn show(State(api): State<Arc<Api>>, Found(known): Found) -> Result<Response, Box<Problem>> {
    Ok(json(StatusCode::OK, &shown(&api, known)))
}

pub(super) async fn make(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
    Body(body): Body<WebhookBody>,
) -> Result<Response, Box<Problem>> {
    check(&api, &body.url)?;
    let secret = secret(&api)?;
    let id = uuid::Builder::from_random_bytes(id_bytes(&api)?).into_uuid();
    let change = WebhookChange::Create {
        url: body.url.clone(),
        all: body.deliver == Some(Deliver::All),
        types: types(&body.types),
        secret: secret.clone(),
    };
    let made = or_problem(api.handle.set_webhook(SetWebhook { id, change }).await)?;
    let made = Webhook { secret: Some(secret_text(&secret)), ..shown(&api, made) };
    let answer = ([(header::LOCATION, format!("/v1/webhooks/{id}"))], json(StatusCode::CREATED, &made));
    let recorded = WebhookBody { url: origin(&body.url), ..body };
    Ok(Change::of(&recorded).made(secretly(answer.into_response())))
}

pub(super) async fn change(
    State(api): State<Arc<Api>>,
    HookId(id): HookId,
    Body(patch): Body<WebhookPatch>,
) -> Result<Response, Box<Problem>> {
    patch.url.as_ref().map_or(Ok(()), |url| check(&api, url))?;
    let change = WebhookChange::Change {
        url: patch.url.clone(),
        all: patch.deliver.map(|deliver| deliver == Deliver::All),
        types: patch.types.as_deref().map(types),
        active: patch.active,
    };
    let changed = or_problem(api.handle.set_webhook(SetWebhook { id, change }).await)?;
    let recorded = WebhookPatch { url: patch.url.as_deref().map(origin), ..patch };
    Ok(Change::of(&recorded).made(json(StatusCode::OK, &shown(&api, changed))))
}

/// Gives a webhook another secret, and answers with it.
pub(super) async fn rotate(
    State(api): State<Arc<Api>>,
    HookId(id): HookId,
    OptionalBody(body): OptionalBody<RotationBody>,
) -> Result<Response, Box<Problem>> {
    let secret = secret(&api)?;
    let keep = body.keep_old.unwrap_or(Span(KEEP_OLD_SECRET)).millis();
    let change = WebhookChange::Rotate { secret: secret.clone(), keep };
    let changed = or_problem(api.handle.set_webhook(SetWebhook { id, change }).await)?;
    let changed = Webhook { secret: Some(secret_text(&secret)), ..shown(&api, changed) };
    Ok(Change::of(&body).made(secretly(json(StatusCode::OK, &changed))))
}

pub(super) async fn remove(State(api): State<Arc<Api>>, HookId(id): HookId) -> Result<Response, Box<Problem>> {
    let set = SetWebhook { id, change: WebhookChange::Remove };
    let removed = or_problem(api.handle.set_webhook(set).await)?;
    Ok(json(StatusCode::OK, &Webhook { delivery: None, ..shown(&api, removed) }))
}

pub(super) async fn test(State(api): State<Arc<Api>>, Found(known): Found) -> Result<Response, Box<Problem>> {
    let test = deliveries(&api)?.test(&known).await;
    Ok(json(StatusCode::OK, &test))
}

pub(super) async fn replay(State(api): State<Arc<Api>>, Found(known): Found) -> Result<Response, Box<Problem>> {
    let replayed = deliveries(&api)?.replay(known.id).await.ok_or_else(not_begun)?;
    Ok(json(StatusCode::OK, &Replayed { replayed: replayed as u64 }))
}

pub(super) async fn dead_letters(State(api): State<Arc<Api>>, Found(known): Found) -> Result<Response, Box<Problem>> {
    let dead_letters = deliveries(&api)?.dead_letters(known.id).await.ok_or_else(not_begun)?;
    Ok(json(StatusCode::OK, &DeadLetters { dead_letters }))
}

/// Returns the view of a webhook that callers get. It has no secrets.
fn shown(api: &Api, KnownWebhook { id, stamp, stopped, is_final, hook }: KnownWebhook) -> Webhook {
    let delivery = api.admin.deliveries().and_then(|deliveries| deliveries.status(id));
    Webhook {
        deliver: if hook.all { Deliver::All } else { Deliver::Accepted },
        types: hook.types.into_iter().map(EventKind).collect(),
        active: hook.active,
        is_final,
        old_secret_until: hook.previous.map(|(_, until)| Time(until)),
        delivery,
        ..Webhook::new(id, hook.url, Time(hook.created), Time::from(stopped.unwrap_or(stamp).hlc))
    }
}

fn types(kinds: &[EventKind]) -> Vec<EventType> {
    kinds.iter().map(|EventKind(kind)| *kind).collect()
}

fn check(api: &Api, url: &str) -> Result<(), Box<Problem>> {
    deliveries(api)?
        .check(url)
        .map_err(|error| Problem::boxed(ProblemType::InvalidRequest, format!("{error}; nothing was changed")))
}

fn deliveries(api: &Api) -> Result<&Deliveries, Box<Problem>> {
    api.admin.deliveries().ok_or_else(not_begun)
}

fn not_begun() -> Box<Problem> {
    let detail = "this node has not begun to deliver to the webhook, which takes a moment, and a reader never does; nothing was \
                  done, ask again or ask a member";
    let problem = Problem::new(ProblemType::Unavailable, detail.to_owned());
    Box::new(Problem { retry_after: Some(1), ..problem })
}

fn secret(api: &Api) -> Result<HookSecret, Box<Problem>> {
    api.admin.random().map(HookSecret).map_err(|refusal| Box::new(refusal.into()))
}

/// Returns random bytes for an id.
fn id_bytes(api: &Api) -> Result<[u8; 16], Box<Problem>> {
    let HookSecret(bytes) = secret(api)?;
    let mut half = [0; 16];
    half.copy_from_slice(&bytes[..16]);
    Ok(half)
}

/// Marks an answer that has a secret in it, so that no cache keeps it.
fn secretly(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    answer
}
