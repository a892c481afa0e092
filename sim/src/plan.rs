//! A plan: everything that is going to happen to a cluster, as data. A seed expands into one; a shrunk one is what is
//! left of it.

use serde::{Deserialize, Serialize};

/// Milliseconds of virtual time since the start.
pub type At = u64;

/// A node's place in the plan.
pub type Host = usize;

/// What a client later calls a registration by.
pub type Slot = u32;

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
    /// What clients ask.
    pub actions: Vec<Action>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// When everything is healed.
    pub heal_at: At,
    /// Within how many milliseconds after that everything must be decided.
    pub patience: u64,
}

impl Plan {
    /// How many machines there are.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.founders + self.joiners.len()
    }
}

/// A machine that joins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Joiner {
    /// When it starts.
    pub at: At,
    /// Whom it asks.
    pub sponsor: Host,
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
    /// Gives all names up.
    Release(Slot),
    /// Gives one name up, by its place.
    ReleaseName(Slot, usize),
    /// What became of it; waits so many milliseconds for its outcome.
    Show(Slot, Option<u64>),
    /// Who holds a name.
    Look(String),
    /// What became of an owner's requests.
    Owner(String),
    /// An operator wants a member out.
    Evict(Host),
    /// An operator wants the node to leave.
    Leave,
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
    /// Which names, all in one namespace but those with a slash.
    pub names: Vec<String>,
    /// A reservation for so many milliseconds.
    pub ttl: Option<u64>,
    /// A rename: the place of a name in an earlier registration.
    pub replaces: Option<(Slot, usize)>,
    /// Milliseconds that the client waits for the outcome.
    pub wait: Option<u64>,
}

/// Something that goes wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at: At,
    /// For how many milliseconds, where it lasts.
    pub lasts: u64,
    /// What.
    pub what: Trouble,
}

/// Kinds of trouble.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Trouble {
    /// The process dies and starts again; so many of a hundred batches not yet synced are found on the disk.
    Crash {
        /// Whose.
        host: Host,
        /// In order, so many of a hundred.
        kept: u64,
    },
    /// The same, in the middle of a step: after so many of its outputs.
    CrashWithin {
        /// Whose.
        host: Host,
        /// Outputs that still get out.
        outputs: usize,
    },
    /// The process stands still.
    Pause(Host),
    /// An fsync fails; the node must stop, and starts again afterwards.
    DiskFails(Host),
    /// Fsyncs take so many times as long.
    SlowDisk(Host, u64),
    /// Nothing passes between the hosts in the list and the rest.
    Split(Vec<Host>),
    /// Nothing passes between these pairs.
    Cut(Vec<(Host, Host)>),
    /// Nothing passes from the first to the second of these pairs.
    OneWay(Vec<(Host, Host)>),
    /// The link takes so many times as long.
    SlowLink(Host, Host, u64),
    /// So many of a hundred messages are lost on the link, both ways.
    Lossy(Host, Host, u64),
    /// The connection dies.
    Kill(Host, Host),
    /// A clock is set by so many milliseconds.
    ClockStep(Host, i64),
}

impl Trouble {
    /// Whom it concerns.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host> {
        match self {
            Self::Crash { host, .. } | Self::CrashWithin { host, .. } => vec![*host],
            Self::Pause(host) | Self::DiskFails(host) | Self::SlowDisk(host, _) | Self::ClockStep(host, _) => {
                vec![*host]
            }
            Self::Split(hosts) => hosts.clone(),
            Self::Cut(pairs) | Self::OneWay(pairs) => pairs.iter().flat_map(|(a, b)| [*a, *b]).collect(),
            Self::SlowLink(a, b, _) | Self::Lossy(a, b, _) | Self::Kill(a, b) => vec![*a, *b],
        }
    }
}
