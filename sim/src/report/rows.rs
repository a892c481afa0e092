//! The rows of the tables of which the page's data consists. Times are virtual microseconds since the start.

use forename::clock::Stamp;
use forename::log::{Op, Seq};
use serde::Serialize;

use crate::describe;
use crate::plan::{Fault, Host, Plan, Trouble};
use crate::world::net::Micros;

/// All data of the page.
#[derive(Serialize)]
pub(super) struct Picture {
    pub(super) plan: Plan,
    /// True where the plan is exactly what its seed generates, so that no file is needed to run it again.
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
    /// For each host, the times at which its watermark changed, and the new value in microseconds since the epoch; none
    /// where the process began anew.
    pub(super) watermarks: Vec<Vec<(Micros, Option<i64>)>>,
}

/// How the run ended, and the time.
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

/// An op, and where it became known.
#[derive(Serialize)]
pub(super) struct OpRow {
    #[serde(skip)]
    pub(super) op: Op,
    pub(super) stamp: String,
    pub(super) hlc: String,
    /// The timestamp in microseconds since the epoch.
    pub(super) clock: i64,
    pub(super) host: Host,
    pub(super) seq: Seq,
    pub(super) at: Micros,
    pub(super) kind: &'static str,
    pub(super) label: String,
    /// The stamp of the registration that the op is about.
    pub(super) about: Option<String>,
    pub(super) takes: Vec<Take>,
}

/// An op that comes into a host's memory.
#[derive(Serialize)]
pub(super) struct Take {
    pub(super) host: Host,
    pub(super) at: Micros,
    pub(super) durable: Option<Micros>,
    /// The time at which a crash removed it again.
    pub(super) lost: Option<Micros>,
}

#[derive(Serialize)]
pub(super) struct LetterRow {
    pub(super) from: Host,
    pub(super) to: Host,
    pub(super) at: Micros,
    pub(super) arrives: Option<Micros>,
    /// True where the message died on its way.
    pub(super) died: bool,
    /// True where the message is the one that broke the rule.
    pub(super) stopped: bool,
    pub(super) kind: &'static str,
    pub(super) text: String,
    /// The stamps of the ops in the message.
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

/// Something that lasts for some time on one lane.
#[derive(Serialize)]
pub(super) struct Band {
    pub(super) host: Host,
    pub(super) from: Micros,
    pub(super) to: Micros,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// Something that happens at one moment on one lane.
#[derive(Serialize)]
pub(super) struct Moment {
    pub(super) at: Micros,
    pub(super) host: Host,
    pub(super) kind: &'static str,
    pub(super) text: String,
    /// The stamp of the registration, where it is about one.
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

/// A registration. The rows are in the order of stamps.
#[derive(Serialize)]
pub(super) struct Registration {
    pub(super) stamp: String,
    pub(super) id: String,
    pub(super) own_id: bool,
    pub(super) owner: String,
    pub(super) host: Host,
    pub(super) claims: Vec<Claim>,
    /// Its expiry, by a clock that is right.
    pub(super) expires: Option<String>,
    pub(super) replaces: Option<(String, String)>,
    /// The verdict of the oracle: `won`, `lost`, `twin`, or `gone` where no log has the op any more.
    pub(super) fate: &'static str,
    /// The stamps of the registrations that came first.
    pub(super) lost_to: Vec<String>,
    /// The names that have ended, by the oracle.
    pub(super) ended: Vec<String>,
    /// For each host, the last event in its feed and its time; none where the host never knew of the registration.
    pub(super) hosts: Vec<Option<(&'static str, Micros)>>,
}

#[derive(Serialize)]
pub(super) struct Claim {
    pub(super) namespace: String,
    pub(super) key: String,
    pub(super) name: String,
    pub(super) after: Option<String>,
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
}
