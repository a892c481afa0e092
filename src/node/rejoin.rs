//! How a node that was evicted finds its cluster again.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use super::JoinConfig;
use crate::clock::{Millis, NodeId};
use crate::replica::Return;
use crate::transport::{ClusterKey, Handle, JoinToken, TokenId, mint_token};

/// How long one contact has to answer, and a sponsor that was lost to be there again, before the next is asked. A
/// guess: longer than a handshake by satellite, and short enough for a handful of contacts of which most are down.
const WITHIN: Duration = Duration::from_secs(3);
/// Between two rounds through all contacts. A guess.
const PAUSE: Duration = Duration::from_secs(1);

/// What lets this node in again: it knows the secret that tokens follow from. Only proofs of it travel, and whoever
/// has the secret can make another at any time, so it need not expire.
pub(super) fn own_token(secret: [u8; 32]) -> JoinToken {
    JoinToken::of(&ClusterKey(secret), own_id())
}

fn own_id() -> TokenId {
    TokenId { expires: Millis(u64::MAX), nonce: [0; 16] }
}

/// Asks those whom node `me` knew in turn, and whoever is at the address that the operator gave, for ever. The caller
/// ends it once the node has the cluster's state.
pub(super) async fn come_back(transport: Handle, me: NodeId, back: Return, given: Option<JoinConfig>) {
    let ways = ways(me, back, given);
    if ways.is_empty() {
        tracing::error!("this node was evicted and knows no other; start it with the address of a member as --join");
    }
    loop {
        for (address, token) in &ways {
            through(&transport, address, token).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Addresses, each with a token that may let this node in there. The operator's token may be one of another cluster, made
/// of what was left of this node's own; or it has expired since it was written into a file.
fn ways(me: NodeId, back: Return, given: Option<JoinConfig>) -> BTreeSet<(String, String)> {
    let Return { secret, contacts, .. } = back;
    let id = own_id();
    let token = secret.map(|secret| mint_token(&ClusterKey(secret), id.expires, id.nonce));
    // One that was put out before it was let in has nothing but the operator's token.
    let token = token.or_else(|| given.as_ref().map(|given| given.token.clone())).unwrap_or_default();
    // Not those of its own earlier lives.
    let others = contacts.into_iter().filter(|contact| contact.node.key_part() != me.key_part());
    let addresses = others.map(|contact| contact.address).chain(given.iter().map(|given| given.address.clone()));
    let mut ways: BTreeSet<_> = addresses.map(|address| (address, token.clone())).collect();
    ways.extend(given.map(|given| (given.address, given.token)));
    ways
}

/// Joins through the node there; returns where it cannot be reached, does not let this node in, or has gone away.
async fn through(transport: &Handle, address: &str, token: &str) {
    let outcome = timeout(WITHIN, transport.join(address.to_owned(), token)).await;
    let joined = match outcome {
        Ok(Ok(Ok(joined))) => joined,
        Ok(Ok(Err(error))) => return tracing::warn!(address, %error, "cannot come back through this node"),
        // Another call took over, or the transport has ended.
        Ok(Err(_)) => return,
        Err(_) => return tracing::info!(address, "no answer; asking the next node to let this one in again"),
    };
    tracing::info!(sponsor = %joined.sponsor, address, "coming back through this node");
    loop {
        transport.until_linked(joined.sponsor, false).await;
        // It is dialed all the while.
        if timeout(WITHIN, transport.until_linked(joined.sponsor, true)).await.is_err() {
            return;
        }
    }
}
