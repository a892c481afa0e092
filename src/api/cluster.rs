//! The cluster as this node sees it, join tokens, probes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::auth::Caller;
use super::extract::{Body as JsonBody, NoParams, OptionalBody, Params, Segments, json};
use super::{Admin, Api, health};
use crate::backup::Writer;
use crate::clock::NodeId;
use crate::model::{Cluster, ClusterSettingsBody, TokenBody, TokenIssued};
use crate::model::{Problem, ProblemType};
use crate::node::{Backup, Handle};
use crate::replica::{ClusterCommand, ClusterSecret, Refusal};
use crate::store::SnapshotPart;

/// A node that takes longer to say where it stands is not ready. Below the usual time-out of probes.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The cluster as the replica shows it, with what the transport knows of the members, and how the node is.
pub(crate) fn cluster_of(admin: &dyn Admin, handle: &Handle, mut cluster: Cluster) -> Cluster {
    let wires = admin.wires();
    for member in &mut cluster.members {
        member.wire = wires.get(&member.node).map(ToString::to_string);
    }
    cluster.health = Some(health::health(&cluster, handle.disk_low()));
    cluster
}

/// What the caller may do, each word a scope: a page shows what its reader can use.
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
    Ok(json(StatusCode::OK, &api.shown(view)))
}

/// How an eviction is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvictParams {
    /// Also where no majority is in contact that would stay.
    #[serde(default)]
    force: bool,
}

/// Accepted: it is done once all who stay have joined in.
pub(super) async fn evict(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segments(node): Segments<String>,
    Params(EvictParams { force }): Params<EvictParams>,
) -> Result<Response, Box<Problem>> {
    let node = node_of(&node)?;
    let view = api.cluster(ClusterCommand::Evict { node, force }).await?;
    tracing::info!(%node, force, by = %caller.holder, "an eviction was asked for over HTTP");
    Ok(json(StatusCode::ACCEPTED, &api.shown(view)))
}

/// Gives the cluster another secret.
pub(super) async fn rotate_secret(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let secret = ClusterSecret(api.admin.random().map_err(|refusal| Box::new(refusal.into()))?);
    let view = api.cluster(ClusterCommand::RotateSecret(secret)).await?;
    Ok(json(StatusCode::OK, &api.shown(view)))
}

/// Keeps a key out.
pub(super) async fn ban(
    State(api): State<Arc<Api>>,
    Segments(node): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let view = api.cluster(ClusterCommand::Ban { node: node_of(&node)?, banned: true }).await?;
    Ok(json(StatusCode::OK, &api.shown(view)))
}

/// Lets it in again.
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

/// Accepted: the node is out, and stops, once the others hold what it holds.
pub(super) async fn leave(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let view = api.cluster(ClusterCommand::Leave { cancel: false }).await?;
    Ok(json(StatusCode::ACCEPTED, &api.shown(view)))
}

/// The node stays after all.
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
    let token = api.admin.mint_token(ttl, uses).map_err(|refusal| Box::new(refusal.into()))?;
    Ok(json(StatusCode::CREATED, &TokenIssued { token }))
}

/// A file for `forename restore`, as it is read from disk: what the client does not take is not read.
pub(super) async fn backup(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    let place = caller.place(&api.streams, "streams")?;
    let Backup { head, mut parts } = api.admin.backup().await.map_err(|refusal| Box::new(refusal.into()))?;
    let mut stopping = api.stopping.subscribe();
    let (mut writer, mut bytes) = Writer::begin(head);
    let (sender, receiver) = mpsc::channel::<io::Result<Vec<u8>>>(1);
    tokio::spawn(async move {
        let _place = place;
        let mut more = true;
        while more && sender.send(Ok(std::mem::take(&mut bytes))).await.is_ok() {
            let part = tokio::select! {
                part = parts.recv() => part,
                _ = stopping.wait_for(|stopping| *stopping) => None,
            };
            let Some(part) = part else {
                // The reader must not take for whole what has no end. It may have gone.
                let _ = sender.send(Err(io::Error::other("the node stops"))).await;
                return;
            };
            more = part != SnapshotPart::End;
            bytes = writer.part(part);
        }
        // The last bytes; the reader may have gone.
        let _ = sender.send(Ok(bytes)).await;
    });
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")], body)
        .into_response())
}

/// The process lives; nothing else is asked, so that a slow disk does not have it killed.
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
    Ok(json(StatusCode::OK, &serde_json::json!({ "status": "ready", "node": view.node })))
}
