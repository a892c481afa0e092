//! Lies: messages of somebody who holds a join token and is not a member.

use serde::{Deserialize, Serialize};

use super::{At, Host};

/// A message that a liar sends to a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lie {
    /// The time.
    pub at: At,
    /// The member that gets the message.
    pub host: Host,
    /// The identity of the liar.
    pub mask: Mask,
    /// The content of the message.
    pub what: Forgery,
}

/// The identity of a liar. Nobody can pretend to have another node's key, so none of these is a member's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Mask {
    /// A key that nobody has seen before.
    Stranger(u8),
    /// The id that a machine had before it was evicted or left. Where that has not happened there is no such liar.
    Former(Host),
    /// The next id of the key of a machine that has left. Where that has not happened there is no such liar.
    Next(Host),
}

/// The content of a lie.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Forgery {
    /// It asks for the state, and never for the rest.
    Join,
    /// It asks for the rest of a state whose beginning it never asked for.
    Resume,
    /// It sends an op in the name of another machine's node.
    Op {
        /// The origin of the op.
        of: Host,
        /// The content of the op.
        body: Forged,
        /// True where the op does not continue the origin's log.
        made_up: bool,
    },
    /// It sends a promise of another machine's node.
    Promise {
        /// The node that promises.
        of: Host,
        /// How far the promise is ahead of the receiver's clock, in milliseconds.
        ahead: u64,
    },
    /// It says that every member, and the liar, holds all ops that were ever issued.
    Holds,
    /// It says that the receiver has issued more ops than the receiver knows of.
    More,
    /// It says that the receiver has issued another op than the receiver knows of.
    Fork,
    /// It says that all members are silent.
    Silent,
    /// It says that another machine's node has another address and another key.
    Contact(Host),
    /// It nominates a node that does not exist.
    Nominate(u8),
    /// It says that the receiver is evicted.
    Evicted,
    /// It says that the receiver has been a member before.
    Used,
    /// It says that no ops are left of any log.
    Gone,
    /// It says that the receiver's timestamps are far ahead.
    Skewed,
    /// It says nothing and closes its connection.
    HangUp,
}

/// The content of a forged op.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Forged {
    /// The op claims a name.
    Register(String),
    /// The op releases the latest registration that others made.
    Release,
    /// The op freezes a machine's node.
    Freeze(Host),
    /// The op declares a machine's node evicted.
    Evict(Host),
    /// The op says that its origin leaves.
    Depart,
    /// The op retires a machine's node.
    Retire(Host),
    /// The op admits a node that does not exist.
    Admit(u8),
}

impl Lie {
    /// Returns the lie with its hosts renamed; none where it concerns a host without a new name.
    #[must_use]
    pub fn renamed(&self, name: &dyn Fn(Host) -> Option<Host>) -> Option<Self> {
        let mask = match self.mask {
            Mask::Stranger(which) => Mask::Stranger(which),
            Mask::Former(host) => Mask::Former(name(host)?),
            Mask::Next(host) => Mask::Next(name(host)?),
        };
        let what = match self.what.clone() {
            Forgery::Op { of, body, made_up } => Forgery::Op { of: name(of)?, body: body.renamed(name)?, made_up },
            Forgery::Promise { of, ahead } => Forgery::Promise { of: name(of)?, ahead },
            Forgery::Contact(host) => Forgery::Contact(name(host)?),
            what => what,
        };
        Some(Self { at: self.at, host: name(self.host)?, mask, what })
    }
}

impl Forged {
    fn renamed(self, name: &dyn Fn(Host) -> Option<Host>) -> Option<Self> {
        Some(match self {
            Self::Freeze(host) => Self::Freeze(name(host)?),
            Self::Evict(host) => Self::Evict(name(host)?),
            Self::Retire(host) => Self::Retire(name(host)?),
            body => body,
        })
    }
}
