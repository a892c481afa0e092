//! What somebody says who holds a join token and is no member.

use serde::{Deserialize, Serialize};

use super::{At, Host};

/// Something that a liar says to a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lie {
    /// When.
    pub at: At,
    /// To whom.
    pub host: Host,
    /// As whom.
    pub mask: Mask,
    /// What.
    pub what: Forgery,
}

/// Whose identity a liar has. Nobody can pretend to have another's key, so none of these is that of a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Mask {
    /// A key that nobody has seen before.
    Stranger(u8),
    /// The id that a machine had before it was evicted or left; nobody where that has not happened.
    Former(Host),
    /// The next id of the key of a machine that has left; nobody where that has not happened.
    Next(Host),
}

/// What it says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Forgery {
    /// It asks for the state, and never for more.
    Join,
    /// It asks for the rest of a state that it never asked for.
    Resume,
    /// An op in the name of another machine's node.
    Op {
        /// Whose.
        of: Host,
        /// What the op says.
        body: Forged,
        /// It does not continue the log as it is.
        made_up: bool,
    },
    /// A promise of another machine's node, so many milliseconds ahead of the receiver's clock.
    Promise {
        /// Whose.
        of: Host,
        /// How far ahead.
        ahead: u64,
    },
    /// Every member, and the liar, holds all that was ever issued.
    Holds,
    /// The receiver has issued more than it knows of.
    More,
    /// The receiver has issued something else than it knows of.
    Fork,
    /// All members are silent.
    Silent,
    /// Another machine's node has another address and another key.
    Contact(Host),
    /// A node that does not exist is to be let in.
    Nominate(u8),
    /// The receiver is out.
    Evicted,
    /// The receiver has been a member before.
    Used,
    /// Nothing is left of any log.
    Gone,
    /// The receiver's timestamps are far ahead.
    Skewed,
    /// Nothing: its connection goes.
    HangUp,
}

/// What a forged op says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Forged {
    /// Claims a name.
    Register(String),
    /// Gives up the latest registration that others made.
    Release,
    /// Freezes a machine's node.
    Freeze(Host),
    /// Says that a machine's node is out.
    Evict(Host),
    /// Leaves.
    Depart,
    /// Retires a machine's node.
    Retire(Host),
    /// Lets a node in that does not exist.
    Admit(u8),
}

impl Lie {
    /// The same with other names for the hosts; none where it concerns one that has none.
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
