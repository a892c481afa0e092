//! Faults.

use serde::{Deserialize, Serialize};

use super::{At, Host};

/// A fault of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// The time at which it begins.
    pub at: At,
    /// How many milliseconds it lasts, where it has a duration.
    pub lasts: u64,
    /// The kind of fault.
    pub what: Trouble,
}

/// The kinds of message that faults tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// A newcomer asks to be let in.
    Join,
    /// A newcomer says that it has the snapshot.
    Installed,
    /// The addresses of nodes.
    Contacts,
    /// Ops.
    Ops,
    /// Acknowledgements and promises.
    Vector,
    /// A node says that timestamps were too far ahead.
    Skewed,
    /// A piece of a snapshot.
    Snapshot,
    /// A sponsor nominates a newcomer.
    Nominate,
    /// The receiver is told that it is evicted.
    Evicted,
}

impl Kind {
    /// All kinds of message.
    pub const ALL: [Self; 9] = [
        Self::Join,
        Self::Installed,
        Self::Contacts,
        Self::Ops,
        Self::Vector,
        Self::Skewed,
        Self::Snapshot,
        Self::Nominate,
        Self::Evicted,
    ];
}

/// A fault of the messages of one kind in one direction of a link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pick {
    /// The sender.
    pub from: Host,
    /// The receiver.
    pub to: Host,
    /// The kind of message.
    pub kind: Kind,
    /// The percentage of these messages that are lost.
    pub lost: u64,
    /// The milliseconds by which the others are late.
    pub late: u64,
}

/// How a copy of a data directory runs in place of the directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CopyRun {
    /// True where the machine's clock goes back together with its disk, as with a snapshot of a whole machine.
    #[serde(default)]
    pub clock: bool,
    /// True where clients reach the node even if it is going to find out that its directory is not the latest.
    #[serde(default)]
    pub served: bool,
}

/// The kinds of fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Trouble {
    /// The process dies and starts again. Some of the batches that were not synced may be found on the disk.
    Crash {
        /// The machine.
        host: Host,
        /// The percentage of unsynced batches that are kept, in order.
        kept: u64,
    },
    /// The process dies in the middle of a step and starts again.
    CrashWithin {
        /// The machine.
        host: Host,
        /// The number of outputs of that step that still get out.
        outputs: usize,
    },
    /// The process is paused.
    Pause(Host),
    /// An fsync fails; the node must stop, and starts again afterwards.
    DiskFails(Host),
    /// There is no space on the disk. The node must stop, and starts again once there is space.
    DiskFull(Host),
    /// Fsyncs take this many times as long.
    SlowDisk(Host, u64),
    /// While the process is down, its data directory is put back as it was some time before. Where every other member
    /// knows of something that the copy lacks, the node must not go on; where no member does, it goes on. Where only
    /// some do, this counts as a crash, because no comparison would find it for sure.
    OldDisk {
        /// The machine.
        host: Host,
        /// The age of the copy in milliseconds.
        back: u64,
        /// How the copy runs.
        #[serde(default)]
        run: CopyRun,
    },
    /// A data directory is copied, and the node goes on for some time, cut off from all others. Then the copy runs in
    /// its place, and later the directory itself again, which must not go on where all others have seen what the copy
    /// did.
    Cloned {
        /// The machine.
        host: Host,
        /// The milliseconds for which the node goes on alone.
        alone: u64,
        /// How the copy runs, and the directory itself after it.
        #[serde(default)]
        run: CopyRun,
    },
    /// Nothing passes between the hosts in the list and the rest.
    Split(Vec<Host>),
    /// The hosts in the list and the others see each other only through one host.
    Bridge {
        /// The host that all see.
        over: Host,
        /// One half of the others.
        side: Vec<Host>,
    },
    /// Each host sees only the host before it and the host after it.
    Ring,
    /// Nothing passes between these pairs.
    Cut(Vec<(Host, Host)>),
    /// Nothing passes from the first to the second of these pairs.
    OneWay(Vec<(Host, Host)>),
    /// A link is down and up in turn, for this many milliseconds each time.
    Flaps(Host, Host, u64),
    /// The latency of the link is this many times as long.
    SlowLink(Host, Host, u64),
    /// The link carries this many bytes a second in each direction.
    Narrow(Host, Host, u64),
    /// This percentage of messages is lost on the link, in both directions.
    Lossy(Host, Host, u64),
    /// Messages of one kind are lost or late.
    Picky(Pick),
    /// The connection breaks.
    Kill(Host, Host),
    /// A clock is changed by this many milliseconds.
    ClockStep(Host, i64),
    /// A clock is changed by this many milliseconds, and later changed back.
    ClockOff(Host, i64),
    /// A clock is changed by this many milliseconds while the process is down.
    ClockStepDown(Host, i64),
    /// A clock stands still, and then goes on from where it stood.
    Frozen(Host),
    /// From now on a clock is too fast, by this many parts per million.
    Drift(Host, i64),
}

impl Trouble {
    /// Returns the directed links that the fault cuts, among this many machines.
    #[must_use]
    pub fn severed(&self, hosts: usize) -> Vec<(Host, Host)> {
        let between = |cut: &dyn Fn(Host, Host) -> bool| {
            let pairs = (0..hosts).flat_map(|a| (0..hosts).map(move |b| (a, b)));
            pairs.filter(|(a, b)| a != b && cut(*a, *b)).collect()
        };
        let across = |side: &[Host], a: Host, b: Host| side.contains(&a) != side.contains(&b);
        match self {
            Self::Split(side) => between(&|a, b| across(side, a, b)),
            Self::Bridge { over, side } => between(&|a, b| a != *over && b != *over && across(side, a, b)),
            Self::Ring => between(&|a, b| (a + 1) % hosts != b && (b + 1) % hosts != a),
            Self::Cut(pairs) => pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect(),
            Self::Flaps(a, b, _) => vec![(*a, *b), (*b, *a)],
            Self::OneWay(pairs) => pairs.clone(),
            _ => Vec::new(),
        }
    }

    /// Returns the machine that has the fault. Otherwise it is the first machine that is concerned, or the first of
    /// all.
    #[must_use]
    pub fn host(&self) -> Host {
        match self {
            Self::Crash { host, .. } | Self::CrashWithin { host, .. } => *host,
            Self::OldDisk { host, .. } | Self::Cloned { host, .. } => *host,
            Self::Pause(host) | Self::DiskFails(host) | Self::DiskFull(host) | Self::SlowDisk(host, _) => *host,
            Self::ClockStep(host, _) | Self::ClockStepDown(host, _) | Self::ClockOff(host, _) => *host,
            Self::Frozen(host) | Self::Drift(host, _) => *host,
            Self::Flaps(host, ..) | Self::SlowLink(host, ..) | Self::Narrow(host, ..) | Self::Lossy(host, ..) => *host,
            Self::Kill(host, _) | Self::Picky(Pick { from: host, .. }) | Self::Bridge { over: host, .. } => *host,
            Self::Split(_) | Self::Ring | Self::Cut(_) | Self::OneWay(_) => 0,
        }
    }

    /// Returns the machines that are concerned.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host> {
        match self {
            Self::Split(hosts) => hosts.clone(),
            Self::Bridge { over, side } => side.iter().copied().chain([*over]).collect(),
            Self::Ring => Vec::new(),
            Self::Cut(pairs) | Self::OneWay(pairs) => pairs.iter().flat_map(|(a, b)| [*a, *b]).collect(),
            Self::Flaps(a, b, _) | Self::SlowLink(a, b, _) | Self::Narrow(a, b, _) => vec![*a, *b],
            Self::Lossy(a, b, _) | Self::Kill(a, b) | Self::Picky(Pick { from: a, to: b, .. }) => vec![*a, *b],
            _ => vec![self.host()],
        }
    }

    /// Returns the fault with its hosts renamed; none where it concerns a host without a new name.
    #[must_use]
    pub fn renamed(&self, name: &dyn Fn(Host) -> Option<Host>) -> Option<Self> {
        let both = |a: &Host, b: &Host| Some((name(*a)?, name(*b)?));
        let all = |hosts: &[Host]| hosts.iter().filter_map(|host| name(*host)).collect();
        let pairs = |pairs: &[(Host, Host)]| pairs.iter().filter_map(|(a, b)| both(a, b)).collect();
        Some(match self {
            Self::Crash { host, kept } => Self::Crash { host: name(*host)?, kept: *kept },
            Self::CrashWithin { host, outputs } => Self::CrashWithin { host: name(*host)?, outputs: *outputs },
            Self::Pause(host) => Self::Pause(name(*host)?),
            Self::DiskFails(host) => Self::DiskFails(name(*host)?),
            Self::DiskFull(host) => Self::DiskFull(name(*host)?),
            Self::SlowDisk(host, factor) => Self::SlowDisk(name(*host)?, *factor),
            Self::OldDisk { host, back, run } => Self::OldDisk { host: name(*host)?, back: *back, run: *run },
            Self::Cloned { host, alone, run } => Self::Cloned { host: name(*host)?, alone: *alone, run: *run },
            Self::Split(side) => Self::Split(all(side)),
            Self::Bridge { over, side } => Self::Bridge { over: name(*over)?, side: all(side) },
            Self::Ring => Self::Ring,
            Self::Cut(cut) => Self::Cut(pairs(cut)),
            Self::OneWay(cut) => Self::OneWay(pairs(cut)),
            Self::Flaps(a, b, period) => both(a, b).map(|(a, b)| Self::Flaps(a, b, *period))?,
            Self::SlowLink(a, b, factor) => both(a, b).map(|(a, b)| Self::SlowLink(a, b, *factor))?,
            Self::Narrow(a, b, rate) => both(a, b).map(|(a, b)| Self::Narrow(a, b, *rate))?,
            Self::Lossy(a, b, percent) => both(a, b).map(|(a, b)| Self::Lossy(a, b, *percent))?,
            Self::Picky(pick) => {
                let (from, to) = both(&pick.from, &pick.to)?;
                Self::Picky(Pick { from, to, ..pick.clone() })
            }
            Self::Kill(a, b) => both(a, b).map(|(a, b)| Self::Kill(a, b))?,
            Self::ClockStep(host, by) => Self::ClockStep(name(*host)?, *by),
            Self::ClockStepDown(host, by) => Self::ClockStepDown(name(*host)?, *by),
            Self::ClockOff(host, by) => Self::ClockOff(name(*host)?, *by),
            Self::Frozen(host) => Self::Frozen(name(*host)?),
            Self::Drift(host, ppm) => Self::Drift(name(*host)?, *ppm),
        })
    }
}
