//! A plan: everything that is going to happen to a cluster, as data. A seed expands into one; a shrunk one is what is
//! left of it.

mod lie;
mod trouble;

use forename::name::{Profile, Rules};
use forename::replica::{AwaitFinal, GossipLimits};
use serde::{Deserialize, Serialize};

pub use self::lie::{Forged, Forgery, Lie, Mask};
pub use self::trouble::{CopyRun, Fault, Kind, Pick, Trouble};

/// Milliseconds of virtual time since the start.
pub type At = u64;

/// A node's place in the plan.
pub type Host = usize;

/// What a client later calls a registration by.
pub type Slot = u32;

/// The namespace whose names are private, as soon as its rules are known.
pub const VAULT: &str = "vault";

/// A whole run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Where all further chance comes from.
    pub seed: u64,
    /// The machines; the first `founders` found the cluster together.
    pub founders: usize,
    /// Those that join later.
    pub joiners: Vec<Joiner>,
    /// How links behave when nothing is wrong.
    pub links: Links,
    /// How disks do.
    pub disk: Disk,
    /// Clock offsets at the start, in milliseconds, and drift in parts per million, by host.
    pub clocks: Vec<(i64, i64)>,
    /// Members that are silent for so many milliseconds are evicted; none: only where an operator says so.
    #[serde(default)]
    pub evict_after: Option<u64>,
    /// Ops that all members hold stay in the logs for so many milliseconds.
    #[serde(default)]
    pub keep_log: u64,
    /// A newcomer that is not let in within so many milliseconds begins anew, and its sponsor keeps nothing for it any more.
    #[serde(default = "hour")]
    pub snapshot_ttl: u64,
    /// Events older than so many milliseconds leave the feeds, and what is over leaves the registries; none: never.
    #[serde(default)]
    pub keep_events: Option<u64>,
    /// So often members tell their promises unasked, milliseconds.
    #[serde(default = "second")]
    pub promise_every: u64,
    /// How much replicas tell at a time; small limits make a small run reach what only a large cluster would.
    #[serde(default)]
    pub spread: GossipLimits,
    /// The founders have each other's contacts from the start.
    #[serde(default)]
    pub acquainted: bool,
    /// To how many others, picked by chance, each founder holds connections of its own accord; none: to all.
    #[serde(default)]
    pub dials: Option<usize>,
    /// What clients ask.
    pub actions: Vec<Action>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What liars say, who hold a join token and are no members.
    #[serde(default)]
    pub lies: Vec<Lie>,
    /// When what is to be healed is healed.
    pub heal_at: At,
    /// What is healed then.
    #[serde(default)]
    pub ending: Ending,
    /// Clocks that are not set right then. Only where they are those of a minority.
    #[serde(default)]
    pub wrong_for_good: Vec<WrongClock>,
    /// All machines are down by then, and a new cluster is made of this one's directory before the others are back; where it
    /// has what was told to be final.
    #[serde(default)]
    pub recovers: Option<Host>,
    /// Within how many milliseconds after that everything must be decided.
    pub patience: u64,
}

impl Plan {
    /// How many machines there are.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.founders + self.joiners.len()
    }

    /// The same without one machine, whose clients go to the first that is left; none where it is the only founder.
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
    /// Everything works again.
    #[default]
    Healed,
    /// Some machines are lost for good; the rest works again.
    Lasting {
        /// Which.
        lost: Vec<Host>,
        /// How.
        how: Loss,
    },
}

/// How machines are lost for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Loss {
    /// They are down.
    Down,
    /// Nothing passes between them and the rest.
    Cut,
    /// Nothing passes from them to the rest.
    Mute,
}

/// A clock that stays wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WrongClock {
    /// Whose.
    pub host: Host,
    /// So many milliseconds after the rest is healed it is off by so many milliseconds; in order.
    pub off: Vec<(At, i64)>,
}

/// A machine that joins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Joiner {
    /// When it starts.
    pub at: At,
    /// Whom it asks.
    pub sponsor: Host,
    /// Whom it reaches at first besides.
    #[serde(default)]
    pub also: Option<Host>,
}

/// How messages travel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Links {
    /// Least one-way latency, microseconds.
    pub least: u64,
    /// What chance adds to it at most, microseconds.
    pub jitter: u64,
    /// Messages in a hundred that take ten times as long.
    pub slow: u64,
    /// Messages in a hundred that are lost, as where a queue was full.
    pub loss: u64,
    /// Messages in a hundred that arrive twice.
    pub twice: u64,
    /// How long a cut goes unnoticed, milliseconds.
    pub idle: u64,
    /// Bytes a second, each way; none: no limit.
    #[serde(default)]
    pub rate: Option<u64>,
}

/// How disks behave.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Disk {
    /// Least time of an fsync, microseconds.
    pub least: u64,
    /// What chance adds at most, microseconds.
    pub jitter: u64,
}

/// One request of a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Action {
    /// When.
    pub at: At,
    /// Which node is asked.
    pub host: Host,
    /// What.
    pub ask: Ask,
    /// What the client does where that node is down.
    #[serde(default)]
    pub otherwise: Otherwise,
}

/// What a client does that finds its node down, or whose node dies before it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Otherwise {
    /// Nothing.
    #[default]
    GivesUp,
    /// It asks the next node that is up, and where there is none waits.
    Elsewhere,
    /// It tries again after so many milliseconds.
    Waits(u64),
}

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Claims names; the registration is called `slot` from here on.
    Register(Wish),
    /// Asks the same again, as a client does that got no answer.
    Retry(Slot),
    /// Makes a reservation permanent.
    Activate(Slot),
    /// Lets a reservation last for so many milliseconds more.
    Extend(Slot, u64),
    /// Gives all names up.
    Release(Slot),
    /// Gives all names up, and wants nothing to be left of them.
    Erase(Slot),
    /// Gives one name up, by its place.
    ReleaseName(Slot, usize),
    /// What became of it; waits so many milliseconds for its outcome.
    Show(Slot, Option<u64>),
    /// Who holds a name.
    Look(String),
    /// What became of an owner's requests.
    Owner(String),
    /// What decides a registration.
    Explain(Slot),
    /// What decides a name.
    ExplainName(String),
    /// The tenures of a name.
    History(String),
    /// Names that were claimed more than once.
    Conflicts,
    /// Names that are taken.
    List,
    /// Names like this one that are free.
    Suggest(String),
    /// An operator wants a member out.
    Evict(Host),
    /// An operator wants the node to leave.
    Leave,
    /// An operator gives a namespace rules.
    Rules(Book),
    /// Registers so many new names, one each, at once; with so many bytes of metadata.
    Import(Slot, u32, usize),
}

/// Rules of a namespace as an operator wants them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Book {
    /// The namespace.
    pub namespace: String,
    /// Its names are opaque, not what its own name says.
    pub opaque: bool,
    /// Characters of a name at least.
    pub least: usize,
    /// Names that nobody is to claim.
    pub reserved: Vec<String>,
    /// A keyed hash stands for a name, and who may not read is not told whether it exists.
    #[serde(default)]
    pub private: bool,
}

impl Book {
    /// The rules; none where there cannot be such.
    #[must_use]
    pub fn rules(&self) -> Option<Rules> {
        let profile = if self.opaque { Profile::Opaque } else { Rules::default_of(&self.namespace).profile() };
        let rules = Rules::new(profile, (self.least, 100), self.reserved.iter().map(String::as_str)).ok()?;
        Some(rules.with_private(self.private))
    }
}

/// A registration as a client wants it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Wish {
    /// What the plan calls it.
    pub slot: Slot,
    /// Whether the client chooses the id.
    pub own_id: bool,
    /// It takes the id of this slot instead, with whatever content it has itself.
    pub id_of: Option<Slot>,
    /// For whom.
    pub owner: String,
    /// Which names, all in one namespace but those with a slash: what stands before the last one is theirs.
    pub names: Vec<String>,
    /// A reservation for so many milliseconds.
    pub ttl: Option<u64>,
    /// A rename: the place of a name in an earlier registration.
    pub replaces: Option<(Slot, usize)>,
    /// In place of `names` it takes the name that it gives up, in another spelling.
    #[serde(default)]
    pub respelt: bool,
    /// Milliseconds that the client waits for the outcome: see [`awaits`].
    pub wait: Option<u64>,
    /// The client may not be told whether private names exist.
    #[serde(default)]
    pub discreet: bool,
    /// The client bears an API token that may have so many registrations open at the node.
    #[serde(default)]
    pub max_open: Option<u32>,
}

/// How a client waits that waits so many milliseconds: where the number is odd also for a member that is out of reach, so
/// that both are tried.
#[must_use]
pub fn awaits(millis: u64) -> AwaitFinal {
    AwaitFinal { at_most: millis, always: millis % 2 == 1 }
}
