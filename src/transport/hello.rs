//! The hello on a new connection, on a stream of its own: each side says who it is and by what right it connects.
//!
//! Each side's first bytes are its wire version, in a form that never changes, so that a peer of another version is
//! told so instead of being unreadable. Then the dialer sends [`Hello`], and the other side answers with [`Welcome`] or
//! closes the connection with a reason. Further bytes within these frames are ignored, since a later minor version may
//! say more. The node with the lesser id decides whether the connection is kept, before it sends its last message; the
//! other node keeps the connection when it receives that message. So where the lesser node is the dialer it ends with
//! [`Go`].

use std::sync::Arc;

use quinn::{Connection, ConnectionError, ReadExactError, RecvStream, SendStream, WriteError};
use serde::{Deserialize, Serialize};

use super::close::CloseReason;
use super::frame::{FrameError, frame, read_start, read_value};
use super::identity::{PublicKey, node_id};
use super::state::{Right, Shared};
use super::tls::peer_key;
use super::token::{Exporter, JoinToken, Mac, Side, TokenId};
use super::wire::{self, WireVersion};
use crate::clock::NodeId;
use crate::log::Pass;
use crate::model::ClusterId;

/// Greatest size of any of these messages, also in later minor versions: several times what they need.
const MAX_HELLO: usize = 1024;
/// The label under which both sides export key material (RFC 5705).
const EXPORTER: &[u8] = b"EXPORTER-forename-join";

/// The dialer's message.
#[derive(Serialize, Deserialize)]
struct Hello {
    node: NodeId,
    instance: u64,
    /// None where the dialer does not know its cluster yet.
    cluster: Option<ClusterId>,
    /// A newcomer's token, and the proof that it knows the token's secret.
    join: Option<(TokenId, Mac)>,
}

/// The answer of the node that was dialed.
#[derive(Serialize, Deserialize)]
struct Welcome {
    node: NodeId,
    instance: u64,
    cluster: ClusterId,
    /// The proof that it knows the token's secret too.
    sponsor: Option<Mac>,
}

/// The dialer's last message, where the dialer decides whether to keep the connection.
#[derive(Serialize, Deserialize)]
struct Go;

/// A peer whose identity is established.
#[derive(Clone, Copy, Debug)]
pub(super) struct Introduction {
    pub(super) node: NodeId,
    pub(super) key: PublicKey,
    /// A random number that identifies the process of the node.
    pub(super) instance: u64,
    /// The wire version of the peer.
    pub(super) speaks: WireVersion,
}

/// The reason why a hello failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelloError {
    #[error("{0}")]
    Refused(#[from] CloseReason),
    #[error("the connection was lost: {0}")]
    Lost(#[from] ConnectionError),
    #[error("the peer said something unreadable: {0}")]
    Unreadable(#[from] FrameError),
    #[error("the peer does not listen: {0}")]
    Deaf(#[from] WriteError),
}

/// The result of the hello for the dialer.
pub(super) struct Welcomed {
    pub(super) peer: Introduction,
    pub(super) cluster: ClusterId,
    /// The stream on which the peer waits for [`Go`]; none where it does not.
    go: Option<SendStream>,
}

impl Welcomed {
    /// Sends [`Go`] where the peer waits for it. Called after the connection was kept.
    pub(super) async fn go(self) -> Result<(), HelloError> {
        if let Some(mut stream) = self.go {
            stream.write_all(&frame(&Go)?).await?;
        }
        Ok(())
    }
}

/// Does the dialer's part up to the welcome. A peer whose id is not `pinned` must prove that it knows the token.
pub(super) async fn introduce(
    shared: &Shared,
    connection: &Connection,
    pinned: Option<NodeId>,
    token: Option<&JoinToken>,
) -> Result<Welcomed, HelloError> {
    let key = peer_key(connection).ok_or(CloseReason::Identity)?;
    let exporter = export(connection)?;
    let cluster = shared.cluster().map(|(id, _)| id);
    let (mut send, mut receive) = connection.open_bi().await?;
    let join = token.map(|token| (token.id(), token.prove(Side::Join, &exporter)));
    let hello = Hello { node: shared.node, instance: shared.instance, cluster, join };
    say(&mut send, shared.wire, &hello).await?;

    let dialed = hear_version(&mut receive).await?;
    let differ = CloseReason::Version { dialer: shared.wire, dialed };
    if !shared.wire.understands(dialed) {
        return Err(differ.into());
    }
    let welcome: Welcome = read_start(&mut receive, MAX_HELLO).await?;
    if welcome.node != node_id(&key, welcome.node.incarnation()) || key == shared.key {
        return Err(CloseReason::Identity.into());
    }
    let proved = match (token, welcome.sponsor) {
        (Some(token), Some(mac)) => token.verify(Side::Sponsor, &exporter, &mac),
        _ => false,
    };
    match pinned {
        Some(node) if node != welcome.node => return Err(CloseReason::Identity.into()),
        None if !proved => return Err(CloseReason::Impostor.into()),
        _ => {}
    }
    if let Some(ours) = cluster.filter(|ours| *ours != welcome.cluster) {
        return Err(CloseReason::OtherCluster { ours, theirs: welcome.cluster }.into());
    }
    let peer = Introduction { node: welcome.node, key, instance: welcome.instance, speaks: dialed };
    let go = (shared.node < peer.node).then_some(send);
    Ok(Welcomed { peer, cluster: welcome.cluster, go })
}

/// Does the accepting side's part, which ends with keeping the connection.
pub(super) async fn receive(shared: &Arc<Shared>, connection: &Connection) -> Result<(), HelloError> {
    let key = peer_key(connection).ok_or(CloseReason::Identity)?;
    let (mut send, mut receive) = connection.accept_bi().await?;
    let dialer = hear_version(&mut receive).await?;
    let differ = CloseReason::Version { dialer, dialed: shared.wire };
    if !shared.wire.understands(dialer) {
        return Err(differ.into());
    }
    let hello: Hello = read_start(&mut receive, MAX_HELLO).await?;
    let exporter = export(connection)?;
    let (cluster, right, sponsor) = judge(shared, &hello, &key, &exporter)?;
    let peer = Introduction { node: hello.node, key, instance: hello.instance, speaks: dialer };
    let welcome = Welcome { node: shared.node, instance: shared.instance, cluster, sponsor };
    if shared.node < peer.node {
        shared.keep(connection, peer, right)?;
        say(&mut send, shared.wire, &welcome).await?;
    } else {
        say(&mut send, shared.wire, &welcome).await?;
        let Go = read_value(&mut receive, MAX_HELLO).await?;
        shared.keep(connection, peer, right)?;
    }
    Ok(())
}

/// Sends a side's version and message.
async fn say<T: Serialize>(stream: &mut SendStream, wire: WireVersion, words: &T) -> Result<(), HelloError> {
    let words = [wire.to_bytes().as_slice(), &frame(words)?].concat();
    Ok(stream.write_all(&words).await?)
}

/// Reads the peer's version.
async fn hear_version(stream: &mut RecvStream) -> Result<WireVersion, FrameError> {
    let mut version = [0; wire::BYTES];
    match stream.read_exact(&mut version).await {
        Ok(()) => Ok(WireVersion::from_bytes(version)),
        Err(ReadExactError::FinishedEarly(_)) => Err(FrameError::Broken),
        Err(ReadExactError::ReadError(error)) => Err(error.into()),
    }
}

/// Decides whether the sender of this hello may connect with this key, and by what right. Returns also the cluster, and
/// for a newcomer the proof that this node knows the token.
fn judge(
    shared: &Shared,
    hello: &Hello,
    key: &PublicKey,
    exporter: &Exporter,
) -> Result<(ClusterId, Right, Option<Mac>), CloseReason> {
    if hello.node != node_id(key, hello.node.incarnation()) || *key == shared.key {
        return Err(CloseReason::Identity);
    }
    if let Some(reason) = shared.state().outlived(hello.node) {
        return Err(reason);
    }
    let (cluster, cluster_key) = shared.cluster().ok_or(CloseReason::NotReady)?;
    if let Some(theirs) = hello.cluster.filter(|theirs| *theirs != cluster) {
        return Err(CloseReason::OtherCluster { ours: cluster, theirs });
    }
    let by_token = hello.join.as_ref().map(|(id, mac)| {
        let key = cluster_key.as_ref().ok_or(CloseReason::NotReady)?;
        // The hello does not say which kind of token it is: only one of the two proofs can be right.
        let reads = JoinToken::for_reader(key, *id);
        let reads = Some(reads).filter(|token| token.verify(Side::Join, exporter, mac));
        let token = reads.unwrap_or_else(|| JoinToken::of(key, *id));
        if id.cluster != cluster {
            return Err(CloseReason::OtherCluster { ours: cluster, theirs: id.cluster });
        }
        if !token.verify(Side::Join, exporter, mac) {
            return Err(CloseReason::TokenWrong);
        }
        if id.expires <= super::now() {
            return Err(CloseReason::TokenExpired);
        }
        Ok((token.prove(Side::Sponsor, exporter), *id, token.reads()))
    });
    match by_token {
        // A member needs no token. Its proof is answered all the same, because it may not know this node as a peer yet.
        by_token if shared.is_peer(hello.node, key) => {
            Ok((cluster, Right::Member, by_token.and_then(Result::ok).map(|(proof, ..)| proof)))
        }
        Some(_) if shared.is_taken(hello.node, key) => Err(CloseReason::Identity),
        Some(token) => {
            let (proof, id, reads) = token?;
            let pass = (id.uses > 0).then_some(Pass { nonce: id.nonce, uses: id.uses });
            let state = shared.state();
            if state.barred.keys.contains(&hello.node.first_incarnation()) {
                return Err(CloseReason::Banned(hello.node.first_incarnation()));
            }
            if pass.is_some_and(|pass| state.barred.is_used_up(&pass)) {
                return Err(CloseReason::TokenUsed);
            }
            let right = if reads { Right::Reader } else { Right::Newcomer(pass) };
            Ok((cluster, right, Some(proof)))
        }
        None => Err(CloseReason::Stranger),
    }
}

fn export(connection: &Connection) -> Result<Exporter, CloseReason> {
    let mut exporter = [0; 32];
    match connection.export_keying_material(&mut exporter, EXPORTER, &[]) {
        Ok(()) => Ok(exporter),
        Err(_) => Err(CloseReason::Violation("no key material can be exported".to_owned())),
    }
}
