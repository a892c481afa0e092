//! Turns a trace into the data that the page draws.

use super::rows::{End, Machine, Picture};
use super::{reader, registrations};
use crate::describe;
use crate::generate::{Size, generate};
use crate::plan::{Host, Plan};
use crate::run::{Failure, Report, Run};
use crate::world::ids::{EPOCH, node_id};
use crate::world::net::Micros;

/// The greatest number of faint messages that a page shows, so that it stays below a few megabytes.
const MOST_FAINT: usize = 4000;

/// Returns the picture of a run.
pub(super) fn of(run: &Run, report: &Report) -> Picture {
    let world = &run.world;
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
    reader::read(&mut picture, run.observers.borrow().trace.entries());
    picture.registrations = registrations::of(world, &picture);
    leave_faint_out(&mut picture);
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

/// Leaves out the faint messages, which say little, that are farthest in time from any op.
fn leave_faint_out(picture: &mut Picture) {
    let mut busy: Vec<Micros> = picture.ops.iter().map(|op| op.at).chain([picture.end.at]).collect();
    busy.sort_unstable();
    let distance = |at: Micros| {
        let next = busy.partition_point(|moment| *moment < at);
        let around = busy[next.saturating_sub(1)..(next + 1).min(busy.len())].iter();
        around.map(|moment| moment.abs_diff(at)).min().unwrap_or(0)
    };
    let faint = picture.letters.iter().filter(|letter| letter.kind != "ops");
    let mut distances: Vec<_> = faint.map(|letter| distance(letter.at)).collect();
    if distances.len() > MOST_FAINT {
        distances.sort_unstable();
        let before = picture.letters.len();
        let farthest = distances[MOST_FAINT];
        picture.letters.retain(|letter| letter.kind == "ops" || letter.stopped || distance(letter.at) < farthest);
        picture.faint_left_out = before - picture.letters.len();
    }
}
