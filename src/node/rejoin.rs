//! Lets a node that was evicted find its cluster again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::{Millis, NodeId};
use crate::model::ClusterId;
use crate::replica::Return;
use crate::transport::{ClusterKey, Handle, JoinError, JoinToken, TokenId};

/// The time that one contact has to answer, and that a lost sponsor has to be there again, before the next contact is
/// asked. A guess: longer than a handshake by satellite, and short enough for a handful of contacts of which most are
/// down.
const WITHIN: Duration = Duration::from_secs(3);
/// How often a reader looks whether it is connected to anybody. A guess: longer than its known members take to answer.
const LONELY: Duration = Duration::from_secs(5);
/// The time between two rounds through all contacts. A guess.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes a join token for this node itself, which it can do because it knows the secret that tokens are derived from.
/// Only proofs of the token are sent. The token need not expire, because whoever has the secret can make another one at
/// any time.
pub(super) fn own_token(cluster: ClusterId, secret: [u8; 32]) -> JoinToken {
    let id = TokenId { cluster, expires: Millis(u64::MAX), uses: 0, nonce: [0; 16] };
    JoinToken::of(&ClusterKey(secret), id)
}

/// The addresses and the token with which a node asks to be let in.
#[derive(Clone, Debug)]
pub(super) struct WayIn {
    pub(super) addresses: Vec<String>,
    pub(super) token: JoinToken,
}

/// Asks the nodes that `me` knew, and those at the addresses that the operator gave, one after the other, for ever. The
/// caller ends this once the node has the cluster's state.
pub(super) async fn come_back(transport: Handle, me: NodeId, back: Return, given: Option<WayIn>) {
    let ways = ways(me, back, given);
    if ways.is_empty() {
        tracing::error!(
            "this node was evicted and knows no other; start it with a join token (--join-token-file) and, where that names no \
             address, with that of a member (--join)"
        );
    }
    let mut told = BTreeMap::new();
    loop {
        for (address, token) in &ways {
            let failed = through(&transport, address, token.clone()).await.err();
            tell(&mut told, address, failed);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Logs why a node at an address did not help, once for each reason. `told` has the last reasons.
fn tell<'a>(told: &mut BTreeMap<&'a str, BTreeSet<String>>, address: &'a str, failed: Option<Failed>) {
    match failed {
        Some(Failed::Refused(error)) => {
            if told.entry(address).or_default().insert(error.to_string()) {
                tracing::warn!(address, %error, "cannot come back through this node; it and the others are asked again");
            }
        }
        Some(Failed::Silent) => {
            if told.entry(address).or_default().insert(String::new()) {
                tracing::info!(
                    address,
                    "no answer; the next node is asked to let this one in again, and this one later"
                );
            }
        }
        None => drop(told.remove(address)),
    }
}

/// Has a reader that is connected to nobody go to the addresses that its operator gave, one after the other, for ever: all
/// members that it knows may have gone meanwhile.
pub(super) async fn stay_in_touch(transport: Handle, way: WayIn) {
    let mut told = BTreeMap::new();
    loop {
        tokio::time::sleep(LONELY).await;
        for address in &way.addresses {
            if transport.connected().is_empty() {
                let failed = through(&transport, address, way.token.clone()).await.err();
                tell(&mut told, address, failed);
            }
        }
    }
}

/// Returns addresses, each with a token that may let this node in there. All tokens are tried: the operator's token may
/// be for another cluster, one that was recovered from what was left of this node's own, or it may have expired since
/// it was written into a file; and this node's own token does not work once the cluster has another secret.
fn ways(me: NodeId, back: Return, given: Option<WayIn>) -> Vec<(String, JoinToken)> {
    let Return { founding, secret, contacts, .. } = back;
    // A node that was evicted before it got the secret has the operator's token only.
    let own = secret.map(|secret| own_token(founding.id, secret));
    let given_token = given.as_ref().map(|given| given.token.clone());
    // Contacts of this node's own earlier incarnations are left out.
    let others = contacts.into_iter().filter(|contact| contact.node.key_part() != me.key_part());
    let given_addresses = given.into_iter().flat_map(|given| given.addresses);
    let addresses: BTreeSet<String> = others.map(|contact| contact.address).chain(given_addresses).collect();
    let tokens: Vec<JoinToken> = own.into_iter().chain(given_token).collect();
    addresses.iter().flat_map(|address| tokens.iter().map(|token| (address.clone(), token.clone()))).collect()
}

/// The reason why a node did not help.
enum Failed {
    /// It does not let this node in.
    Refused(JoinError),
    /// It has not answered in time.
    Silent,
}

/// Joins through the node at this address. Returns without an error where it let this node in and has gone away.
async fn through(transport: &Handle, address: &str, token: JoinToken) -> Result<(), Failed> {
    let outcome = timeout(WITHIN, transport.join(vec![address.to_owned()], token)).await;
    let joined = match outcome {
        Ok(Ok(Ok(joined))) => joined,
        Ok(Ok(Err(error))) => return Err(Failed::Refused(error)),
        // Another join took over, or the transport has ended.
        Ok(Err(_)) => return Ok(()),
        Err(_) => return Err(Failed::Silent),
    };
    tracing::info!(sponsor = %joined.sponsor, address, "coming back through this node");
    loop {
        transport.until_linked(joined.sponsor, false).await;
        // The transport keeps dialing the sponsor meanwhile.
        if timeout(WITHIN, transport.until_linked(joined.sponsor, true)).await.is_err() {
            return Ok(());
        }
    }
}
