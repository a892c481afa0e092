//! The readings that nodes took of each other's clocks, and the conclusions that they may draw.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Millis, NodeId};
use forename::replica::{Input, Message};

use crate::plan::Host;
use crate::world::World;
use crate::world::contact::{KNOWN, clock_of, in_contact, lower_median};
use crate::world::ids::host_of;
use crate::world::net::Micros;

/// Readings are not recorded in larger clusters, because that would take longer than the run itself.
pub(super) const LARGEST: usize = 32;

/// A node whose clock is off from the median of the members' by more than this is suspect, milliseconds: half of
/// `max_clock_skew` (design, section 4).
const LIMIT: i64 = 5000;

/// Milliseconds of difference that are not judged, because of rounding and the duration of steps.
const SLACK: i64 = 300;

/// For how long a node may go by a reading of another's clock after it took a later one, microseconds. A heartbeat that
/// was delayed makes its sender's clock look behind, so a node takes the best reading of several heartbeats.
const LATELY: Micros = 8_000_000;

/// A process that makes no step for this many microseconds has stood still. For its earlier readings that time does not
/// count, since the messages that it reads now have waited for it.
const STANDSTILL: Micros = 2_000_000;

/// One reading that a node took of another's clock, from a message.
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// Milliseconds by which that clock was ahead of virtual time.
    ahead: i64,
    /// True where the sender was a newcomer, or the reader did not know it as a member.
    joining: bool,
    /// When the next reading of this clock was taken; none for the last one.
    until: Option<Micros>,
}

/// The readings that a node took of another's clock: the last one, and those that were the last within [`LATELY`].
#[derive(Clone, Debug, Default)]
struct Readings {
    taken: Vec<Heard>,
    /// The least and the greatest that any of them shows the clock to be ahead. Kept because every step asks for it.
    ahead: Option<(i64, i64)>,
}

impl Readings {
    fn add(&mut self, heard: Heard, now: Micros) {
        if let Some(last) = self.taken.last_mut() {
            last.until = Some(now);
        }
        self.taken.retain(|heard| heard.until.is_none_or(|until| until + LATELY >= now));
        self.taken.push(heard);
        let ahead = || self.taken.iter().map(|heard| heard.ahead);
        self.ahead = ahead().min().zip(ahead().max());
    }
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(super) struct Clocks {
    /// By host, the readings it took of each other node's clock.
    heard: BTreeMap<Host, BTreeMap<NodeId, Readings>>,
    nothing: BTreeMap<NodeId, Readings>,
    /// By host, when its last step began, and the members that it knew then. During a step it may have admitted one
    /// member and not yet removed another.
    steps: BTreeMap<Host, (Micros, BTreeSet<NodeId>)>,
}

impl Clocks {
    /// Forgets the readings of a host whose process starts.
    pub(super) fn forget(&mut self, host: Host) {
        self.heard.remove(&host);
        self.steps.remove(&host);
    }

    /// Takes the readings out of the messages that a host's next step will handle. Calls `heard` after each of them.
    pub(super) fn reads(&mut self, world: &World, host: Host, mut heard: impl FnMut(&Self)) {
        self.step_begins(world, host);
        // A node without a state does not know the members, and uses no readings.
        let running = world.machines[host].running().filter(|_| world.machines[host].is_installed());
        for input in running.map_or(&[][..], |running| running.inbox.as_slice()) {
            let Input::Message { from, message } = input else { continue };
            // A newcomer reports its machine's clock. An earlier incarnation of the same key may still be a member, and
            // then has the same clock.
            let (wall, newcomer) = match message {
                Message::Vector(vector) => (vector.wall, false),
                Message::Join { wall, .. } | Message::Installed { wall, .. } => (*wall, true),
                _ => continue,
            };
            let earlier = |member: &NodeId| newcomer && *member != *from && member.key_part() == from.key_part();
            let members = world.books.members(host);
            let joining = newcomer || !members.contains(from);
            for node in members.iter().copied().filter(earlier).chain([*from]) {
                self.hear(world.now, host, node, wall, joining);
                heard(self);
            }
        }
    }

    fn step_begins(&mut self, world: &World, host: Host) {
        let members = world.books.members(host);
        let (last, known) = self.steps.entry(host).or_insert_with(|| (world.now, members.clone()));
        let stood_still = world.now - std::mem::replace(last, world.now);
        if known != members {
            known.clone_from(members);
        }
        if stood_still >= STANDSTILL {
            let heard = self.heard.get_mut(&host).into_iter().flat_map(BTreeMap::values_mut);
            let heard = heard.flat_map(|readings| &mut readings.taken);
            heard.filter_map(|heard| heard.until.as_mut()).for_each(|until| *until += stood_still);
        }
    }

    /// Records a reading that a host takes of a node's clock.
    fn hear(&mut self, now: Micros, host: Host, node: NodeId, wall: Millis, joining: bool) {
        let ahead = i64::try_from(wall.0).unwrap_or(i64::MAX) - millis(now);
        let readings = self.heard.entry(host).or_default().entry(node).or_default();
        readings.add(Heard { ahead, joining, until: None }, now);
    }

    /// Returns the time that a member's clock shows now, and the times that follow from the host's last readings of it.
    pub(super) fn times_of(&self, world: &World, host: Host, member: NodeId) -> Vec<i64> {
        let heard = self.heard.get(&host).and_then(|heard| heard.get(&member));
        let heard = heard.into_iter().flat_map(|readings| &readings.taken).map(|heard| heard.ahead + millis(world.now));
        let truth = world.machines.get(host_of(member)).map(|machine| clock_of(world, machine.host));
        heard.chain(truth).collect()
    }

    /// Returns true where a host has a reason to take its own clock for wrong.
    ///
    /// The host judges by what it heard of the other clocks, and that may be out of date. So each of them is taken to
    /// show anything between the host's recent readings and the truth. A member that the host has not heard since its
    /// start may count or not. In the midst of a step the members from before it are tried as well.
    pub(super) fn may_be_off(&self, world: &World, host: Host) -> bool {
        let (own, heard) = (clock_of(world, host), self.heard.get(&host));
        let heard = heard.unwrap_or(&self.nothing);
        let ahead = own - millis(world.now);
        let far = |offset: i64| offset.abs() > LIMIT - SLACK;
        // This shortcut helps because the check runs in every step, and usually no clock is wrong.
        let truths = (0..world.machines.len()).map(|other| clock_of(world, other) - own);
        let extremes = heard.values().filter_map(|readings| readings.ahead).flat_map(|(least, most)| [least, most]);
        let any = truths.chain(extremes.map(|heard| heard - ahead)).any(far);
        if !any {
            return false;
        }
        let members = world.books.members(host);
        let before = self.steps.get(&host).map(|(_, before)| before).filter(|before| *before != members);
        let within = before.map(|before| before | members);
        std::iter::once(members).chain(&within).any(|members| {
            let others = members.iter().copied().filter(|member| *member != world.machines[host].node);
            may_be_off_by(world, host, others, heard)
        })
    }

    /// Describes by how much each relevant clock is ahead of the host's own, by its last reading and in truth.
    pub(super) fn describe(&self, world: &World, host: Host) -> String {
        let own = clock_of(world, host);
        let of = |member: &NodeId| {
            let truth = world.machines.get(host_of(*member)).map_or(0, |machine| clock_of(world, machine.host) - own);
            let heard = self.heard.get(&host).and_then(|heard| heard.get(member));
            let heard = heard.and_then(|readings| readings.taken.last());
            let heard = heard.map(|heard| heard.ahead + millis(world.now) - own);
            format!("{member}: {heard:?}, in truth {truth}")
        };
        let clocks: Vec<_> = world.books.members(host).iter().map(of).collect();
        format!(" ({})", clocks.join("; "))
    }
}

/// Returns true where the clocks of these other members give a host a reason to take its own for wrong. `heard` has the
/// readings that the host took of them.
fn may_be_off_by(
    world: &World,
    host: Host,
    others: impl Iterator<Item = NodeId>,
    heard: &BTreeMap<NodeId, Readings>,
) -> bool {
    let own = clock_of(world, host);
    let ahead = own - millis(world.now);
    let (mut members, mut lasts, mut alls) = (vec![(0, 0)], vec![(0, 0)], vec![(0, 0)]);
    for member in others {
        let readings = heard.get(&member);
        let truth = world.machines.get(host_of(member)).map(|machine| clock_of(world, machine.host) - own);
        let extremes = readings.and_then(|readings| readings.ahead);
        let extremes = extremes.into_iter().flat_map(|(least, most)| [least - ahead, most - ahead]).chain(truth);
        let least = extremes.clone().min().unwrap_or(0);
        let most = extremes.max().unwrap_or(0);
        alls.push((least, most));
        lasts.extend(readings.is_some().then_some((least, most)));
        let by_heartbeat = readings.is_some_and(|readings| readings.taken.iter().any(|heard| !heard.joining));
        members.extend(by_heartbeat.then_some((least, most)));
    }
    [members, lasts, alls].into_iter().any(|bounds| {
        let least = lower_median(bounds.iter().map(|(least, _)| *least).collect());
        let most = lower_median(bounds.iter().map(|(_, most)| *most).collect());
        most > LIMIT - SLACK || least < SLACK - LIMIT
    })
}

/// Returns true where a host must know that its clock is wrong: it has heard from all members lately, no clock has
/// changed meanwhile, and its clock differs from the median of them all.
pub(super) fn must_be_off(world: &World, host: Host) -> bool {
    let (own, links) = (clock_of(world, host), &world.plan.links);
    let members = world.books.members(host);
    let quiet = |host: Host| world.books.conditions.clock_changed_at(host) + KNOWN <= world.now;
    let simple = links.loss == 0 && members.len() <= world.plan.spread.small;
    let me = world.machines[host].node;
    let near = |member: &NodeId| *member == me || in_contact(world, host, *member, world.now);
    let still = members.iter().all(|member| quiet(host_of(*member)) && near(member));
    if !simple || !still || !quiet(host) || world.machines[host].came_back {
        return false;
    }
    let delay = i64::try_from((links.least + links.jitter) / 100).unwrap_or(0);
    // Where a clock is slow or stands still, an earlier and better reading may count.
    let strays = |member: &NodeId| world.machines[host_of(*member)].clock.strays(KNOWN);
    let strays = strays(&me) + members.iter().filter(|member| **member != me).map(strays).max().unwrap_or(0);
    let offsets = members.iter().map(|member| clock_of(world, host_of(*member)) - own);
    lower_median(offsets.collect()).abs() > LIMIT + SLACK + delay + strays
}

fn millis(time: Micros) -> i64 {
    i64::try_from(time / 1000).unwrap_or(i64::MAX)
}
