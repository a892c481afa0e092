//! What can go wrong.

use serde::{Deserialize, Serialize};

use super::{At, Host};

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

/// Kinds of message, as faults tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// A newcomer asks to be let in.
    Join,
    /// It has the snapshot.
    Installed,
    /// Addresses.
    Contacts,
    /// Ops.
    Ops,
    /// Acknowledgements and promises.
    Vector,
    /// Timestamps were too far ahead.
    Skewed,
    /// A piece of a snapshot.
    Snapshot,
    /// A newcomer is to be let in.
    Nominate,
    /// The receiver is out.
    Evicted,
}

impl Kind {
    /// All of them.
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

/// What happens to messages of one kind on one way of a link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pick {
    /// Who sends them.
    pub from: Host,
    /// To whom.
    pub to: Host,
    /// Which.
    pub kind: Kind,
    /// So many of a hundred are lost.
    pub lost: u64,
    /// The others take so many milliseconds longer.
    pub late: u64,
}

/// How a copy of a data directory runs in the place of the directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CopyRun {
    /// The machine's clock goes back together with its disk, as with a snapshot of a whole machine.
    #[serde(default)]
    pub clock: bool,
    /// Clients reach the node also where it is going to find out that its directory is not its latest.
    #[serde(default)]
    pub served: bool,
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
    /// There is no room for what is written; the node must stop, and starts again once there is.
    DiskFull(Host),
    /// Fsyncs take so many times as long.
    SlowDisk(Host, u64),
    /// While the process is down its data directory is put back as it was so many milliseconds before. Where every other
    /// member knows of something that the copy lacks it must not go on; where nobody does it goes on; where some do this is
    /// a crash, because no comparison would find it for sure.
    OldDisk {
        /// Whose.
        host: Host,
        /// How old.
        back: u64,
        /// How the copy runs.
        #[serde(default)]
        run: CopyRun,
    },
    /// A data directory is copied, and the node goes on, cut off from all others, until so many milliseconds are over;
    /// then the copy runs in its place, and later the directory itself again, which must not go on where all others have
    /// seen what the copy did.
    Cloned {
        /// Whose.
        host: Host,
        /// How long it goes on alone.
        alone: u64,
        /// How the copy runs, and the directory itself after it.
        #[serde(default)]
        run: CopyRun,
    },
    /// Nothing passes between the hosts in the list and the rest.
    Split(Vec<Host>),
    /// The hosts in the list and the rest see each other only through one.
    Bridge {
        /// Whom all see.
        over: Host,
        /// One half.
        side: Vec<Host>,
    },
    /// Each sees only the hosts before and after it.
    Ring,
    /// Nothing passes between these pairs.
    Cut(Vec<(Host, Host)>),
    /// Nothing passes from the first to the second of these pairs.
    OneWay(Vec<(Host, Host)>),
    /// A link is down and up in turn, for so many milliseconds each.
    Flaps(Host, Host, u64),
    /// The link takes so many times as long.
    SlowLink(Host, Host, u64),
    /// The link carries so many bytes a second, each way.
    Narrow(Host, Host, u64),
    /// So many of a hundred messages are lost on the link, both ways.
    Lossy(Host, Host, u64),
    /// Messages of one kind are lost or late.
    Picky(Pick),
    /// The connection dies.
    Kill(Host, Host),
    /// A clock is set by so many milliseconds.
    ClockStep(Host, i64),
    /// The same, and later back again by as many.
    ClockOff(Host, i64),
    /// The same, while the process is down.
    ClockStepDown(Host, i64),
    /// A clock stands still, and then goes on from where it stood.
    Frozen(Host),
    /// A clock goes fast from now on, by so many parts per million.
    Drift(Host, i64),
}

impl Trouble {
    /// The directed links that it cuts among so many machines.
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

    /// The machine that it befalls, where it befalls one; otherwise the first of those concerned, or the first of all.
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

    /// The machines that it concerns.
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

    /// The same with other names for the hosts; none where it concerns one that has none.
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
