//! A plan: everything that is going to happen to a cluster, as data. A seed expands into a plan, and a shrunk plan is
//! what is left of one.

mod lie;
mod trouble;

use std::collections::BTreeMap;

use forename::clock::Stamp;
use forename::crdt::HookSecret;
use forename::name::{Profile, Rules};
use forename::replica::{AwaitFinal, GossipLimits, SetWebhook, WebhookChange};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::lie::{Forged, Forgery, Lie, Mask};
pub use self::trouble::{CopyRun, Fault, Kind, Pick, Trouble};

/// Virtual time since the start, in milliseconds.
pub type At = u64;

/// The index of a machine in the plan.
pub type Host = usize;

/// The number by which a client later refers to a registration.
pub type Slot = u32;

/// The namespace whose names are private once its rules are known.
pub const VAULT: &str = "vault";

/// The plan of a whole run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The seed of all random decisions during the run.
    pub seed: u64,
    /// The number of machines that found the cluster together. They come first.
    pub founders: usize,
    /// The machines that join later.
    pub joiners: Vec<Joiner>,
    /// The behaviour of links without faults.
    pub links: Links,
    /// The behaviour of disks without faults.
    pub disk: Disk,
    /// The offset of each host's clock at the start in milliseconds, and its drift in parts per million.
    pub clocks: Vec<(i64, i64)>,
    /// The milliseconds of silence after which a member is evicted automatically. Without them only operators evict.
    #[serde(default)]
    pub evict_after: Option<u64>,
    /// The milliseconds for which ops that all members hold stay in the logs.
    #[serde(default)]
    pub keep_log: u64,
    /// The milliseconds after which a newcomer that was not let in begins anew, and its sponsor keeps nothing for it
    /// any more.
    #[serde(default = "hour")]
    pub snapshot_ttl: u64,
    /// The age in milliseconds at which events leave the feeds and registrations that are over leave the registries;
    /// none means never.
    #[serde(default)]
    pub keep_events: Option<u64>,
    /// The interval in milliseconds at which members send their promises unasked.
    #[serde(default = "second")]
    pub promise_every: u64,
    /// The limits of gossip in one step. With small limits a small run reaches what otherwise only a large cluster
    /// would.
    #[serde(default)]
    pub spread: GossipLimits,
    /// True where the founders have each other's contacts from the start.
    #[serde(default)]
    pub acquainted: bool,
    /// The number of random peers to which each founder keeps connections of its own accord; none means all.
    #[serde(default)]
    pub dials: Option<usize>,
    /// The requests of clients and operators.
    pub actions: Vec<Action>,
    /// The faults.
    pub faults: Vec<Fault>,
    /// The messages of liars, who hold a join token and are not members.
    #[serde(default)]
    pub lies: Vec<Lie>,
    /// The time at which the run is healed.
    pub heal_at: At,
    /// What is healed at that time.
    #[serde(default)]
    pub ending: Ending,
    /// The clocks that stay wrong after it. They must be those of a minority.
    #[serde(default)]
    pub wrong_for_good: Vec<WrongClock>,
    /// The host from whose directory a new cluster is made. All machines are down at that time, and the others come
    /// back later. It is done only where the directory has everything that was told to be final.
    #[serde(default)]
    pub recovers: Option<Host>,
    /// The milliseconds after the heal within which everything must be decided.
    pub patience: u64,
}

impl Plan {
    /// Returns the number of machines.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.founders + self.joiners.len()
    }

    /// Returns true where a machine is a reader.
    #[must_use]
    pub fn reads(&self, host: Host) -> bool {
        host.checked_sub(self.founders).and_then(|index| self.joiners.get(index)).is_some_and(|joiner| joiner.reader)
    }

    /// Returns the plan without one machine, whose clients go to the first machine that is left; none where it is the
    /// only founder.
    #[must_use]
    pub fn without(&self, gone: Host) -> Option<Self> {
        if gone < self.founders && self.founders == 1 {
            return None;
        }
        let name = |host: Host| (host != gone).then(|| if host > gone { host - 1 } else { host });
        let mut plan = self.clone();
        if gone < self.founders {
            plan.founders -= 1;
        } else {
            plan.joiners.remove(gone - self.founders);
        }
        for joiner in &mut plan.joiners {
            joiner.sponsor = name(joiner.sponsor).unwrap_or(0);
            joiner.also = joiner.also.and_then(name);
        }
        if gone < plan.clocks.len() {
            plan.clocks.remove(gone);
        }
        plan.actions.iter_mut().for_each(|action| action.host = name(action.host).unwrap_or(0));
        let renamed = |fault: Fault| Some(Fault { what: fault.what.renamed(&name)?, ..fault });
        plan.faults = plan.faults.into_iter().filter_map(renamed).collect();
        plan.recovers = plan.recovers.and_then(name);
        plan.lies = plan.lies.iter().filter_map(|lie| lie.renamed(&name)).collect();
        if let Ending::Lasting { lost, .. } = &mut plan.ending {
            *lost = lost.iter().copied().filter_map(name).collect();
        }
        plan.wrong_for_good.retain(|wrong| wrong.host != gone);
        plan.wrong_for_good.iter_mut().for_each(|wrong| wrong.host = name(wrong.host).unwrap_or(0));
        Some(plan)
    }
}

fn second() -> u64 {
    1000
}

fn hour() -> u64 {
    3_600_000
}

/// How a run ends.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Ending {
    /// All machines work again.
    #[default]
    Healed,
    /// Some machines are lost for good. All others work again.
    Lasting {
        /// The lost machines.
        lost: Vec<Host>,
        /// The way in which they are lost.
        how: Loss,
    },
}

/// A way in which machines are lost for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Loss {
    /// The machines are down.
    Down,
    /// Nothing passes between these machines and the others.
    Cut,
    /// Nothing passes from these machines to the others.
    Mute,
}

/// A clock that stays wrong after the heal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WrongClock {
    /// The machine.
    pub host: Host,
    /// The changes of the clock in order: milliseconds after the heal, and the offset in milliseconds from then on.
    pub off: Vec<(At, i64)>,
}

/// A machine that joins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Joiner {
    /// The time at which it starts.
    pub at: At,
    /// The member that it asks to be its sponsor.
    pub sponsor: Host,
    /// Another machine that it reaches at first.
    #[serde(default)]
    pub also: Option<Host>,
    /// True for a reader, which is never admitted.
    #[serde(default)]
    pub reader: bool,
}

/// The behaviour of links.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Links {
    /// The least one-way latency in microseconds.
    pub least: u64,
    /// The greatest random addition to the latency in microseconds.
    pub jitter: u64,
    /// The percentage of messages that take ten times as long.
    pub slow: u64,
    /// The percentage of messages that are lost, as where a queue is full.
    pub loss: u64,
    /// The percentage of messages that arrive twice.
    pub twice: u64,
    /// The milliseconds for which a cut goes unnoticed.
    pub idle: u64,
    /// The bytes a second in each direction; none means no limit.
    #[serde(default)]
    pub rate: Option<u64>,
}

/// The behaviour of disks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Disk {
    /// The least time of an fsync in microseconds.
    pub least: u64,
    /// The greatest random addition to it in microseconds.
    pub jitter: u64,
}

/// One request of a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Action {
    /// The time of the request.
    pub at: At,
    /// The node that is asked.
    pub host: Host,
    /// The request.
    pub ask: Ask,
    /// What the client does where that node is down.
    #[serde(default)]
    pub otherwise: Otherwise,
}

/// What a client does when its node is down, or dies before it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Otherwise {
    /// The client does nothing.
    #[default]
    GivesUp,
    /// The client asks the next node that is up. Where there is none it waits.
    Elsewhere,
    /// The client tries again after this many milliseconds.
    Waits(u64),
}

/// A request of a client or an operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Claims names. The plan refers to the registration by its slot from here on.
    Register(Wish),
    /// Sends the same request again, as a client does that got no answer.
    Retry(Slot),
    /// Makes a reservation permanent.
    Activate(Slot),
    /// Makes a reservation last for this many milliseconds from now on.
    Extend(Slot, u64),
    /// Releases all names.
    Release(Slot),
    /// Releases all names, and has the registration erased.
    Erase(Slot),
    /// Releases one name, given by its index.
    ReleaseName(Slot, usize),
    /// Asks for the outcome of a registration, and waits this many milliseconds for it.
    Show(Slot, Option<u64>),
    /// Asks who holds a name.
    Look(String),
    /// Asks for the registrations of an owner.
    Owner(String),
    /// Asks what decides a registration.
    Explain(Slot),
    /// Asks what decides a name.
    ExplainName(String),
    /// Asks for the tenures of a name.
    History(String),
    /// Asks for the names that were claimed more than once.
    Conflicts,
    /// Asks for the names that are taken.
    List,
    /// Asks for free names that are like this one.
    Suggest(String),
    /// An operator evicts a member.
    Evict(Host),
    /// An operator makes the node leave.
    Leave,
    /// An operator sets the rules of a namespace.
    Rules(Book),
    /// An operator makes, changes or removes a webhook.
    Webhook(Errand),
    /// Registers this number of new names at once, in one registration each, with this many bytes of metadata.
    Import(Slot, u32, usize),
}

/// The rules of a namespace as an operator wants them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Book {
    /// The namespace.
    pub namespace: String,
    /// True where its names are opaque, instead of the profile that the namespace's name implies.
    pub opaque: bool,
    /// The least number of characters in a name.
    pub least: usize,
    /// Names that nobody may claim.
    pub reserved: Vec<String>,
    /// True where names are private: a keyed hash stands for a name, and callers who may not read do not learn whether
    /// it exists.
    #[serde(default)]
    pub private: bool,
}

impl Book {
    /// Returns the rules; none where they are not valid.
    #[must_use]
    pub fn rules(&self) -> Option<Rules> {
        let profile = if self.opaque { Profile::Opaque } else { Rules::default_of(&self.namespace).profile() };
        let rules = Rules::new(profile, (self.least, 100), self.reserved.iter().map(String::as_str)).ok()?;
        Some(rules.with_private(self.private))
    }
}

/// A change of a webhook that an operator asks for. The plan names webhooks and their secrets by numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Errand {
    /// Makes the webhook of this number.
    Make(u8),
    /// Stops the deliveries to the webhook of this number (`false`), or lets them go on (`true`).
    Turn(u8, bool),
    /// Gives the webhook of the first number the secret of the second.
    Rotate(u8, u8),
    /// Removes the webhook of this number.
    Remove(u8),
    /// Stops the version of the webhook of this number that an operator saw last. It may have been changed since.
    Stop(u8),
}

impl Errand {
    /// Returns the request; none where it is about a version and nobody has seen one. `seen` has the stamps of the versions
    /// that were seen last.
    #[must_use]
    pub fn request(self, seen: &BTreeMap<Uuid, Stamp>) -> Option<SetWebhook> {
        let id = |number: u8| Uuid::from_u128(u128::from(number));
        let secret = |number| HookSecret([number; 32]);
        let (number, change) = match self {
            Self::Make(number) => {
                let url = format!("https://hooks.example.org/{number}");
                (number, WebhookChange::Create { url, all: false, types: Vec::new(), secret: secret(number) })
            }
            Self::Turn(number, active) => {
                let active = Some(active);
                (number, WebhookChange::Change { url: None, all: None, types: None, active })
            }
            Self::Rotate(number, other) => (number, WebhookChange::Rotate { secret: secret(other), keep: 1000 }),
            Self::Remove(number) => (number, WebhookChange::Remove),
            Self::Stop(number) => (number, WebhookChange::Stop { version: *seen.get(&id(number))? }),
        };
        Some(SetWebhook { id: id(number), change })
    }
}

/// A registration as a client wants it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Wish {
    /// The number by which the plan refers to it.
    pub slot: Slot,
    /// True where the client chooses the id.
    pub own_id: bool,
    /// The slot whose id it takes instead, with content of its own.
    pub id_of: Option<Slot>,
    /// The owner.
    pub owner: String,
    /// The names, all in one namespace. In a name with a slash, the part before the last slash is its own namespace.
    pub names: Vec<String>,
    /// The milliseconds of a reservation; none for a permanent registration.
    pub ttl: Option<u64>,
    /// The claim that it replaces (a rename): a slot, and the index of a name in it.
    pub replaces: Option<(Slot, usize)>,
    /// True where it takes, in place of `names`, another spelling of the name that it replaces.
    #[serde(default)]
    pub respelt: bool,
    /// The milliseconds that the client waits for the outcome; see [`awaits`].
    pub wait: Option<u64>,
    /// True where the client may not learn whether private names exist.
    #[serde(default)]
    pub discreet: bool,
    /// The number of open registrations that the client's API token may have at the node; none for a client without a
    /// limit.
    #[serde(default)]
    pub max_open: Option<u32>,
}

/// Returns how a client waits that waits this many milliseconds. With an odd number it also waits for members that are
/// out of reach, so that both kinds of wait are tried.
#[must_use]
pub fn awaits(millis: u64) -> AwaitFinal {
    AwaitFinal { at_most: millis, always: millis % 2 == 1 }
}
