//! The calls about the cluster: its state, members, join tokens, backups, metrics and health probes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, future, stream};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;

use super::auth::{Caller, Change};
use super::extract::{Body as JsonBody, NoParams, OptionalBody, Params, Segments, internal, json};
use super::{Admin, Api, health};
use crate::backup::Writer;
use crate::clock::NodeId;
use crate::metrics::{Format, Scraped};
use crate::model::{Cluster, ClusterSettingsBody, Span, Time, TokenBody, TokenIssued};
use crate::model::{Problem, ProblemType};
use crate::node::webhooks::Deliveries;
use crate::node::{Backup, Handle};
use crate::replica::{ClusterCommand, ClusterSecret, Refusal};
use crate::store::SnapshotPart;

/// How long a node may take to report its state. After that it is not ready. This is below the usual time-out of
/// probes.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Completes the replica's view of the cluster with the wire versions of connections, the time of the last backup and the
/// health of the node.
pub(crate) fn cluster_of(admin: &dyn Admin, handle: &Handle, mut cluster: Cluster) -> Cluster {
    let wires = admin.wires();
    for member in &mut cluster.members {
        member.wire = wires.get(&member.node).map(ToString::to_string);
    }
    cluster.last_backup = handle.last_backup();
    cluster.health = Some(health::health(&cluster, handle.disk_low()));
    cluster
}

/// The header with the scopes of the caller. The dashboard shows only what its reader may use.
const SCOPES_HEADER: &str = "forename-scopes";

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let view = api.cluster(ClusterCommand::Show).await?;
    Ok(([(SCOPES_HEADER, caller.scopes())], json(StatusCode::OK, &api.shown(view))).into_response())
}

pub(super) async fn configure(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(change): JsonBody<ClusterSettingsBody>,
) -> Result<Response, Box<Problem>> {
    let view = api.cluster(ClusterCommand::Configure(change)).await?;
    Ok(Change::of(&change).made(json(StatusCode::OK, &api.shown(view))))
}

/// How an eviction is asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EvictParams {
    /// Also where no majority is in contact that would stay.
    #[serde(default)]
    force: bool,
}

/// Answers 202 (Accepted): the eviction is done once all members that stay have frozen the node.
pub(super) async fn evict(
    State(api): State<Arc<Api>>,
    Segments(node): Segments<String>,
    Params(EvictParams { force }): Params<EvictParams>,
) -> Result<Response, Box<Problem>> {
    let node = node_of(&node)?;
    let view = api.cluster(ClusterCommand::Evict { node, force }).await?;
    Ok(json(StatusCode::ACCEPTED, &api.shown(view)))
}

/// Gives the cluster a new secret.
pub(super) async fn rotate_secret(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let secret = ClusterSecret(api.admin.random().map_err(|refusal| Box::new(refusal.into()))?);
    let view = api.cluster(ClusterCommand::RotateSecret(secret)).await?;
    Ok(json(StatusCode::OK, &api.shown(view)))
}

/// Keeps a key out of the cluster.
pub(super) async fn ban(
    State(api): State<Arc<Api>>,
    Segments(node): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let view = api.cluster(ClusterCommand::Ban { node: node_of(&node)?, banned: true }).await?;
    Ok(json(StatusCode::OK, &api.shown(view)))
}

/// Lets a banned key in again.
pub(super) async fn unban(
    State(api): State<Arc<Api>>,
    Segments(node): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let view = api.cluster(ClusterCommand::Ban { node: node_of(&node)?, banned: false }).await?;
    Ok(json(StatusCode::OK, &api.shown(view)))
}

fn node_of(text: &str) -> Result<NodeId, Box<Problem>> {
    text.parse().map_err(|error| {
        let detail = format!("{text:?}: {error}; nothing was changed");
        Problem::boxed(ProblemType::InvalidRequest, detail)
    })
}

/// Answers 202 (Accepted): the node is out and stops once the others hold what it holds.
pub(super) async fn leave(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let view = api.cluster(ClusterCommand::Leave { cancel: false }).await?;
    Ok(json(StatusCode::ACCEPTED, &api.shown(view)))
}

/// Cancels a leave: the node stays a member.
pub(super) async fn stay(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let view = api.cluster(ClusterCommand::Leave { cancel: true }).await?;
    Ok(json(StatusCode::OK, &api.shown(view)))
}

pub(super) async fn mint_token(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
    OptionalBody(body): OptionalBody<TokenBody>,
) -> Result<Response, Box<Problem>> {
    let (ttl, uses) = body.checked().map_err(|why| Problem::boxed(ProblemType::InvalidRequest, why))?;
    let token = api.admin.mint_token(ttl, uses, body.reader).map_err(|refusal| Box::new(refusal.into()))?;
    let change =
        Change::of(&TokenBody { ttl: Some(Span(ttl)), uses: (!body.reader).then_some(uses), reader: body.reader });
    Ok(change.made(json(StatusCode::CREATED, &TokenIssued { token })))
}

/// Sends a file for `forename restore` while it is read from disk. The node reads only as fast as the client takes it.
pub(super) async fn backup(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let place = caller.place(&api.streams, "streams")?;
    let Backup { head, mut parts, last } = api.admin.backup().await.map_err(|refusal| Box::new(refusal.into()))?;
    let (mut stopping, begun) = (api.stopping.subscribe(), Time(head.time));
    let (mut writer, mut bytes) = Writer::begin(head);
    let (sender, receiver) = mpsc::channel::<io::Result<Vec<u8>>>(1);
    let (end, all_taken) = oneshot::channel();
    tokio::spawn(async move {
        let _place = place;
        let mut more = true;
        while more && sender.send(Ok(std::mem::take(&mut bytes))).await.is_ok() {
            let part = tokio::select! {
                part = parts.recv() => part,
                _ = stopping.wait_for(|stopping| *stopping) => None,
            };
            let Some(part) = part else {
                // The backup is cut short here, and the reader must not take it for whole. The reader may also have
                // gone.
                let _ = sender.send(Err(io::Error::other("the node stops"))).await;
                return;
            };
            more = part != SnapshotPart::End;
            bytes = writer.part(part);
        }
        // These are the last bytes. The reader may have gone.
        if more || sender.send(Ok(bytes)).await.is_err() {
            return;
        }
        drop(sender);
        // The connection asks for more than the last bytes only after it took them.
        if all_taken.await.is_ok() {
            last.record(begun).await;
        }
    });
    let tell = stream::once(async move {
        // The task may have ended with the node.
        let _ = end.send(());
    })
    .filter_map(|()| future::ready(None));
    let body = Body::from_stream(ReceiverStream::new(receiver).chain(tell));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")], body)
        .into_response())
}

/// Returns the node's metrics. Where the replica does not answer in time, the metrics that only it knows are left out.
pub(super) async fn metrics(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
    headers: HeaderMap,
) -> Result<Response, Box<Problem>> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let cluster = tokio::time::timeout(READY_WITHIN, api.cluster(ClusterCommand::Show)).await;
    let cluster = cluster.ok().and_then(Result::ok).map(|cluster| api.shown(cluster));
    let version = env!("CARGO_PKG_VERSION");
    let webhooks = api.admin.deliveries().map(Deliveries::measured).unwrap_or_default();
    let last_backup = api.handle.last_backup();
    let scraped = Scraped { version, cluster: cluster.as_ref(), last_backup, queued: api.admin.queued(), webhooks };
    let text = api.handle.metrics().scrape(&scraped, format);
    let text = text.map_err(|error| internal(&format!("the metrics cannot be written: {error}")))?;
    Ok(([(header::CONTENT_TYPE, format.media_type())], text).into_response())
}

/// Answers that the process is alive. It checks nothing else, so that a slow disk does not get the node killed.
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))
}

pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Result<Response, Box<Problem>> {
    let view = tokio::time::timeout(READY_WITHIN, api.cluster(ClusterCommand::Show)).await.unwrap_or_else(|_| {
        let busy = || format!("it gave no answer within {} s", READY_WITHIN.as_secs());
        Err(Box::new(Refusal::Unavailable(api.handle.hindrance().unwrap_or_else(busy)).into()))
    })?;
    if let Some(refusal) = health::refusal(&view, api.handle.disk_low()) {
        let mut problem: Problem = refusal.into();
        for hindrance in view.joining_waits_for {
            problem.detail = format!("{}. It waits: {}", problem.detail, hindrance.why);
        }
        return Err(Box::new(problem));
    }
    let mut ready = serde_json::json!({ "status": "ready", "node": view.node });
    if view.reader {
        ready["reader"] = true.into();
        ready["behind_ms"] = view.time.0.since(view.watermark.millis()).into();
    }
    Ok(json(StatusCode::OK, &ready))
}
