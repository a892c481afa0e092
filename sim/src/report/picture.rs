//! From a trace to what the page draws. Times are virtual microseconds since the start.

use forename::clock::Stamp;
use forename::crdt::{Op, Seq};
use serde::Serialize;

use super::reader;
use super::registrations::{self, Registration};
use crate::describe;
use crate::generate::{Size, generate};
use crate::plan::{Fault, Host, Plan, Trouble};
use crate::run::{Failure, Report};
use crate::world::World;
use crate::world::machine::{EPOCH, node_id};
use crate::world::net::Micros;

/// Faint messages that a page shows at most, so that it stays below some megabytes.
const MOST_FAINT: usize = 4000;

/// Everything that the page knows.
#[derive(Serialize)]
pub(super) struct Picture {
    pub(super) plan: Plan,
    /// The plan is what its seed makes: no file is needed to run it again.
    pub(super) whole_seed: bool,
    pub(super) end: End,
    pub(super) epoch: u64,
    pub(super) hash: String,
    pub(super) steps: u64,
    pub(super) healed: Option<Micros>,
    pub(super) hosts: Vec<Machine>,
    pub(super) ops: Vec<OpRow>,
    pub(super) registrations: Vec<Registration>,
    pub(super) letters: Vec<LetterRow>,
    pub(super) faint_left_out: usize,
    pub(super) faults: Vec<FaultRow>,
    pub(super) bands: Vec<Band>,
    pub(super) moments: Vec<Moment>,
    pub(super) calls: Vec<Call>,
    /// By host: when it changed and to what, as microseconds since the epoch; none where the process began anew.
    pub(super) watermarks: Vec<Vec<(Micros, Option<i64>)>>,
}

/// How the run ended, and when.
#[derive(Serialize)]
pub(super) struct End {
    pub(super) at: Micros,
    pub(super) kind: &'static str,
    pub(super) check: &'static str,
    pub(super) text: String,
    pub(super) meaning: &'static str,
}

#[derive(Serialize)]
pub(super) struct Machine {
    pub(super) node: String,
    pub(super) offset: i64,
    pub(super) drift: i64,
    pub(super) sponsor: Option<Host>,
}

/// An op and where it came to be known.
#[derive(Serialize)]
pub(super) struct OpRow {
    #[serde(skip)]
    pub(super) op: Op,
    pub(super) stamp: String,
    pub(super) hlc: String,
    /// The timestamp, microseconds since the epoch.
    pub(super) clock: i64,
    pub(super) host: Host,
    pub(super) seq: Seq,
    pub(super) at: Micros,
    pub(super) kind: &'static str,
    pub(super) label: String,
    /// The stamp of the registration that it speaks of.
    pub(super) about: Option<String>,
    pub(super) takes: Vec<Take>,
}

/// An op comes into a host's memory.
#[derive(Serialize)]
pub(super) struct Take {
    pub(super) host: Host,
    pub(super) at: Micros,
    pub(super) durable: Option<Micros>,
    /// A crash took it away again.
    pub(super) lost: Option<Micros>,
}

#[derive(Serialize)]
pub(super) struct LetterRow {
    pub(super) from: Host,
    pub(super) to: Host,
    pub(super) at: Micros,
    pub(super) arrives: Option<Micros>,
    /// It died on its way.
    pub(super) died: bool,
    /// It is the one that broke the rule.
    pub(super) stopped: bool,
    pub(super) kind: &'static str,
    pub(super) text: String,
    /// Stamps of ops.
    pub(super) ops: Vec<String>,
    pub(super) promise: Option<String>,
}

#[derive(Serialize)]
pub(super) struct FaultRow {
    pub(super) from: Micros,
    pub(super) to: Micros,
    pub(super) text: String,
    pub(super) hosts: Vec<Host>,
    pub(super) severed: Vec<(Host, Host)>,
}

/// Something that lasts on one lane.
#[derive(Serialize)]
pub(super) struct Band {
    pub(super) host: Host,
    pub(super) from: Micros,
    pub(super) to: Micros,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// Something that happens on one lane.
#[derive(Serialize)]
pub(super) struct Moment {
    pub(super) at: Micros,
    pub(super) host: Host,
    pub(super) kind: &'static str,
    pub(super) text: String,
    /// The registration's stamp, where it is about one.
    pub(super) stamp: Option<String>,
}

/// A client's request and the replies to it.
#[derive(Serialize)]
pub(super) struct Call {
    #[serde(skip)]
    pub(super) number: u64,
    pub(super) host: Host,
    pub(super) at: Micros,
    pub(super) down: bool,
    pub(super) text: String,
    pub(super) told: Option<(Micros, String, Option<String>)>,
}

/// The picture of a run.
pub(super) fn of(world: &World, report: &Report) -> Picture {
    let plan = &world.plan;
    let end = end(report, world.now);
    let machine = |host: Host| {
        let (offset, drift) = plan.clocks.get(host).copied().unwrap_or_default();
        let joiner = host.checked_sub(plan.founders).and_then(|index| plan.joiners.get(index));
        let sponsor = joiner.map(|joiner| joiner.sponsor);
        Machine { node: node_id(host).to_string(), offset, drift, sponsor }
    };
    let mut picture = Picture {
        whole_seed: generate(plan.seed, Size::default()) == **plan,
        end,
        epoch: EPOCH,
        hash: format!("{:016x}", report.hash),
        steps: report.steps,
        healed: None,
        hosts: (0..world.machines.len()).map(machine).collect(),
        ops: Vec::new(),
        registrations: Vec::new(),
        letters: Vec::new(),
        faint_left_out: 0,
        faults: Vec::new(),
        bands: Vec::new(),
        moments: Vec::new(),
        calls: Vec::new(),
        watermarks: vec![Vec::new(); world.machines.len()],
        plan: Plan::clone(plan),
    };
    reader::read(&mut picture, world.trace.entries());
    picture.registrations = registrations::of(world, &picture);
    picture.leave_faint_out();
    picture
}

fn end(report: &Report, at: Micros) -> End {
    let Some(failure) = &report.failure else {
        return End { at, kind: "well", check: "", text: String::new(), meaning: "" };
    };
    let kind = match failure {
        Failure::Safety(_) => "safety",
        Failure::Liveness(_) => "liveness",
        Failure::Crash(_) => "panic",
    };
    let violation = failure.violation();
    End { at, kind, check: violation.check, text: violation.text.clone(), meaning: describe::check(violation.check) }
}

impl Picture {
    pub(super) fn moment(&mut self, at: Micros, host: Host, kind: &'static str, text: String, stamp: Option<Stamp>) {
        self.moments.push(Moment { at, host, kind, text, stamp: stamp.map(|stamp| stamp.to_string()) });
    }

    pub(super) fn fault(&mut self, at: Micros, index: usize, severed: &[(Host, Host)]) {
        let Some(fault) = self.plan.faults.get(index).cloned() else { return };
        let text = describe::fault(&fault, self.hosts.len());
        let Fault { lasts, what, .. } = fault;
        let to = at.saturating_add(lasts.saturating_mul(1000));
        match &what {
            Trouble::Pause(host) => {
                self.bands.push(Band { host: *host, from: at, to, kind: "pause", text: text.clone() });
            }
            Trouble::SlowDisk(host, _) => {
                self.bands.push(Band { host: *host, from: at, to, kind: "disk", text: text.clone() });
            }
            Trouble::DiskFails(host) => self.moment(at, *host, "disk", text.clone(), None),
            Trouble::ClockStep(host, _) => self.moment(at, *host, "clock", text.clone(), None),
            _ => {}
        }
        let to = if matches!(what, Trouble::Kill(..) | Trouble::ClockStep(..)) { at } else { to };
        self.faults.push(FaultRow { from: at, to, text, hosts: what.hosts(), severed: severed.to_vec() });
    }

    /// Leaves out the messages that say little and are farthest from any op.
    fn leave_faint_out(&mut self) {
        let mut busy: Vec<Micros> = self.ops.iter().map(|op| op.at).chain([self.end.at]).collect();
        busy.sort_unstable();
        let distance = |at: Micros| {
            let next = busy.partition_point(|moment| *moment < at);
            let around = busy[next.saturating_sub(1)..(next + 1).min(busy.len())].iter();
            around.map(|moment| moment.abs_diff(at)).min().unwrap_or(0)
        };
        let faint = self.letters.iter().filter(|letter| letter.kind != "ops");
        let mut distances: Vec<_> = faint.map(|letter| distance(letter.at)).collect();
        if distances.len() > MOST_FAINT {
            distances.sort_unstable();
            let before = self.letters.len();
            let farthest = distances[MOST_FAINT];
            self.letters.retain(|letter| letter.kind == "ops" || letter.stopped || distance(letter.at) < farthest);
            self.faint_left_out = before - self.letters.len();
        }
    }
}
