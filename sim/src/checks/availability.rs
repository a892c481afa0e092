//! Refusals need a reason: a node that refuses a request must have a reason for it in the state of the world. A member
//! with a right clock that is in contact with a majority refuses only what the rules of names and registrations refuse.
//!
//! The reasons are taken from the world (clocks, links, machines, the membership ops that a host has), not from what
//! the replica reports. The check allows for what a node cannot know: its last reading of another clock may be out of
//! date.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{NodeId, Stamp};
use forename::crdt::NameOp;
use forename::log::Body;
use forename::model::Registration;
use forename::replica::Refusal;
use forename::replica::any::Answer;

use crate::checks::check::Check;
use crate::checks::clocks::{Clocks, LARGEST, must_be_off};
use crate::marks::Marks;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::books::orders::{Asked, Order};
use crate::world::clients::Call;
use crate::world::contact::{KNOWN, hears_in_time, in_contact};
use crate::world::ids::node_id;
use crate::world::net::Micros;
use crate::world::{Seen, World};

/// A node has completed its start after this time: `start_grace`, and a second.
const STARTED: Micros = 6_000_000;

/// The reasons that a host had for refusals.
#[derive(Clone, Debug, Default)]
struct Reasons {
    /// When it last had a reason to think that its clock is wrong.
    suspect_at: Option<Micros>,
    /// When it last had a reason to think that it is not a member.
    outside_at: Option<Micros>,
    /// The members that it knew when the check last looked, and when they last changed: an older refusal may still be
    /// delayed by its disk.
    members: BTreeSet<NodeId>,
    members_at: Option<Micros>,
    /// Registrations that it issued although it must have known that its clock is wrong, and when.
    too_bold: BTreeMap<Stamp, Micros>,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Availability {
    hosts: BTreeMap<Host, Reasons>,
    clocks: Clocks,
}

impl Check for Availability {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        if world.machines.len() > LARGEST {
            return Ok(());
        }
        match what {
            Seen::Started(host) => self.clocks.forget(*host),
            Seen::Turn(host) => self.reads(world, *host),
            Seen::Writes { host, ops } => {
                let registers = ops.iter().filter(|op| matches!(op.body(), Body::Name(NameOp::Register(_))));
                for op in registers.filter(|op| op.node == world.machines[*host].node) {
                    if must_be_off(world, *host) {
                        self.hosts.entry(*host).or_default().too_bold.insert(op.stamp(), world.now);
                    }
                }
            }
            Seen::Watermark { host, .. } => {
                self.looks_at_clock(world, *host);
                self.looks_at_members(world, *host);
            }
            Seen::Replies { host, asked: Some(asked), call, reply, .. } => match (call, reply) {
                (_, Err(refusal)) => return self.judge(world, *host, *asked, refusal),
                (Call::Register(_), Ok(Answer::Registration(view))) => return self.judge_taken(*host, asked.at, view),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}

impl Availability {
    /// Before a host's step: takes the clock readings out of the messages that the step will handle, and notes whether
    /// any of them gives the host reason to take its own clock for wrong.
    fn reads(&mut self, world: &World, host: Host) {
        // A request may come before these messages in the inbox.
        self.looks_at_clock(world, host);
        let Self { hosts, clocks } = self;
        clocks.reads(world, host, |clocks| {
            if clocks.may_be_off(world, host) {
                hosts.entry(host).or_default().suspect_at = Some(world.now);
            }
        });
        self.looks_at_members(world, host);
    }

    fn looks_at_members(&mut self, world: &World, host: Host) {
        let (members, reasons) = (world.books.members(host), self.hosts.entry(host).or_default());
        if reasons.members != *members {
            (reasons.members, reasons.members_at) = (members.clone(), Some(world.now));
        }
        let says_so = world.machines[host].replica().is_some_and(|replica| !replica.is_member());
        if says_so && is_outside(world, host) {
            self.hosts.entry(host).or_default().outside_at = Some(world.now);
        }
    }

    fn looks_at_clock(&mut self, world: &World, host: Host) {
        if self.clocks.may_be_off(world, host) {
            self.hosts.entry(host).or_default().suspect_at = Some(world.now);
        }
    }

    /// Judges an answer about a registration: it must not have been accepted under a clock that is known to be wrong.
    fn judge_taken(&self, host: Host, asked: Micros, view: &Registration) -> Checked {
        let taken = self.hosts.get(&host).and_then(|reasons| reasons.too_bold.get(&view.stamp));
        if taken.is_some_and(|at| *at >= asked) {
            return broken("suspect", format!("host {host} takes {} though its clock is off", view.stamp));
        }
        Ok(())
    }

    /// Judges a refusal: there must be a reason for it. Refusals by the rules of names and registrations are judged at
    /// the end, by the oracle.
    fn judge(&self, world: &World, host: Host, asked: Asked, refusal: &Refusal) -> Checked {
        if world.machines[host].is_old() {
            return Ok(());
        }
        let nothing = Reasons::default();
        let watched = self.hosts.get(&host).unwrap_or(&nothing);
        let since = |at: Option<Micros>| at.is_some_and(|at| at >= asked.at);
        let why = match refusal {
            Refusal::ClockSuspect { .. } if !since(watched.suspect_at) => "its clock is right",
            Refusal::Reader { .. } if !world.plan.reads(host) => "it is no reader",
            Refusal::NotMember if !since(watched.outside_at) => "it is a member",
            Refusal::Leaving if !is_asked_to_leave(world, host) => "nobody asked it to leave",
            Refusal::NoMajority { .. } if !since(watched.members_at) && has_majority(world, host, asked) => {
                "a majority that would stay is in contact"
            }
            Refusal::NotInContact { .. }
                if !since(watched.members_at) && hears_in_time(&world.plan) && has_majority(world, host, asked) =>
            {
                "a majority that would stay is in contact"
            }
            Refusal::Unavailable(_) if !is_hindered(world, host, asked.at) => {
                "it has been up for long, and nothing is wrong"
            }
            Refusal::LastMember if has_company(world, host, asked.at) => "it is in contact with another member",
            Refusal::NoMember(node) if (0..world.plan.founders).any(|host| node_id(host) == *node) => {
                "that one is a founder"
            }
            _ => return Ok(()),
        };
        let clocks = if matches!(refusal, Refusal::ClockSuspect { .. }) {
            self.clocks.describe(world, host)
        } else {
            String::new()
        };
        broken("refused", format!("host {host} refuses a request, though {why}{clocks}: {refusal}"))
    }
}

/// Returns true where a host may rightly refuse because it is not a member as far as it knows: it has no snapshot yet,
/// its admission has not reached it, it was evicted or has departed, or it holds ops that an eviction made void.
fn is_outside(world: &World, host: Host) -> bool {
    let machine = &world.machines[host];
    !machine.is_installed()
        || world.books.ledger.is_out(machine.node)
        || world.books.ledger.holds_void(host)
        || !world.books.members(host).contains(&machine.node)
}

fn is_asked_to_leave(world: &World, host: Host) -> bool {
    let node = world.machines[host].node;
    world.books.roll.departs(node) || world.books.orders.wanted_to_leave(node)
}

/// Returns true where the host may begin the eviction that was asked for: by what it knows, more than half of the
/// members would stay in the cluster and were heard from lately, the host included.
fn has_majority(world: &World, host: Host, asked: Asked) -> bool {
    let Order::Evict(whom) = asked.order else { return false };
    let (members, mut going) = (world.books.members(host), world.books.roll.going(&world.books.ledger, host));
    going.insert(whom);
    let stay = members.iter().filter(|member| !going.contains(member));
    2 * stay.filter(|member| in_contact(world, host, **member, asked.at)).count() > members.len()
}

fn has_company(world: &World, host: Host, at: Micros) -> bool {
    let (me, going) = (world.machines[host].node, world.books.roll.going(&world.books.ledger, host));
    let mut others = world.books.members(host).iter().filter(|member| **member != me && !going.contains(member));
    others.any(|member| in_contact(world, host, *member, at))
}

/// Returns true where the host itself may be slow: its process has just started, its disk is slow or full, or it issues
/// registrations anew that an eviction made void.
fn is_hindered(world: &World, host: Host, at: Micros) -> bool {
    let (machine, conditions) = (&world.machines[host], &world.books.conditions);
    let slow = machine.drive.slow > 1 || machine.drive.full || conditions.upset_until(host) + KNOWN > at;
    slow || machine.came_back || conditions.started_at(host) + STARTED > at
}
