//! How a node that was evicted finds its cluster again.

use std::time::Duration;

use tokio::time::timeout;

use crate::clock::Millis;
use crate::replica::{Contact, Founding, Return};
use crate::transport::{ClusterKey, Handle, JoinToken, TokenId, mint_token};

/// How long one contact has to answer, and a sponsor that was lost to be there again, before the next is asked. A
/// guess: longer than a handshake by satellite, and short enough for a handful of contacts of which most are down.
const WITHIN: Duration = Duration::from_secs(3);
/// Between two rounds through all contacts. A guess.
const PAUSE: Duration = Duration::from_secs(1);

/// What lets this node in again: it knows the secret that tokens follow from. Only proofs of it travel, and whoever
/// has the secret can make another at any time, so it need not expire.
pub(super) fn own_token(founding: &Founding) -> JoinToken {
    JoinToken::of(&ClusterKey(founding.secret), own_id())
}

fn own_id() -> TokenId {
    TokenId { expires: Millis(u64::MAX), nonce: [0; 16] }
}

/// Asks the contacts in turn, for ever. Whoever calls ends it once the node has the cluster's state.
pub(super) async fn come_back(transport: Handle, back: Return) {
    let Return { founding, contacts, .. } = back;
    let id = own_id();
    let token = mint_token(&ClusterKey(founding.secret), id.expires, id.nonce);
    if contacts.is_empty() {
        tracing::error!("this node was evicted and knows no other; start a new node on an empty directory with --join");
    }
    loop {
        for contact in &contacts {
            through(&transport, contact, &token).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Joins through one contact; returns where it cannot be reached, does not let this node in, or has gone away.
async fn through(transport: &Handle, contact: &Contact, token: &str) {
    let Contact { node, address, .. } = contact;
    let outcome = timeout(WITHIN, transport.join(address.clone(), token)).await;
    let joined = match outcome {
        Ok(Ok(Ok(joined))) => joined,
        Ok(Ok(Err(error))) => return tracing::warn!(%node, address, %error, "cannot come back through this node"),
        // Another call took over, or the transport has ended.
        Ok(Err(_)) => return,
        Err(_) => return tracing::info!(%node, address, "no answer; asking the next node to let this one in again"),
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
