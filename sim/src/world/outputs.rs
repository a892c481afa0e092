//! What comes out of replicas is carried out: messages go to the network, replies and events to their readers.

use forename::clock::NodeId;
use forename::replica::{Lane, Output, SnapshotId};
use forename::store::{Table, Write};

use crate::checks::ledger::{Checked, broken};
use crate::plan::Host;
use crate::trace::Note;
use crate::world::machine::host_of;
use crate::world::net::Way;
use crate::world::{Event, Packet, World};

/// Rows in one piece of a snapshot. Small, so that a snapshot takes several.
const PIECE: usize = 12;

impl World {
    pub(crate) fn carry_out(&mut self, host: Host, outputs: Vec<Output>) -> Checked {
        // What else the step says may rest on the membership that it announces last.
        for output in &outputs {
            if let Output::Peers { members, .. } = output {
                let node = self.machines[host].node;
                self.held.members(host, members.iter().map(|contact| contact.node).chain([node]).collect());
            }
        }
        self.most_sent.entry(host).or_default().note(host, &outputs)?;
        let mut left = None;
        if !outputs.is_empty()
            && let Some((outputs, kept)) = self.machines[host].dies_after.take()
        {
            left = Some((outputs, kept));
        }
        for (index, output) in outputs.into_iter().enumerate() {
            if left.is_some_and(|(left, _)| index >= left) {
                self.mark("a crash in the middle of a step");
                break;
            }
            self.output(host, output)?;
        }
        if let Some((_, kept)) = left {
            self.crash(host, kept);
        }
        Ok(())
    }

    fn send_snapshot(
        &mut self,
        host: Host,
        to: NodeId,
        snapshot: SnapshotId,
        after: Option<(Table, Vec<u8>)>,
    ) -> Checked {
        if after.is_none() {
            let rows = self.machines[host].disk.snapshot();
            self.check_rows(host, to, &rows)?;
            if self.is_stranger(to) {
                self.mark("a liar is given a snapshot");
                return Ok(());
            }
            self.machines[host].snapshots.insert(to, (snapshot, rows));
            self.mark("a snapshot is sent");
        }
        let kept = self.machines[host].snapshots.get(&to).filter(|(kept, _)| *kept == snapshot);
        let Some((_, rows)) = kept.cloned() else { return Ok(()) };
        let is_known = |row: &Write| after.as_ref().is_some_and(|(table, key)| (row.table, &row.key) <= (*table, key));
        let known = rows.partition_point(is_known);
        if known > 0 {
            self.mark("a snapshot goes on where it broke off");
        }
        for piece in rows[known..].chunks(PIECE) {
            self.send(host, host_of(to), Way::Snapshot, Packet::Rows(snapshot, piece.to_vec()));
        }
        self.send(host, host_of(to), Way::Snapshot, Packet::SnapshotEnd(snapshot));
        Ok(())
    }

    fn output(&mut self, host: Host, output: Output) -> Checked {
        match output {
            Output::Reply { token, reply } => {
                self.replied(host, token, reply)?;
                return self.check_held();
            }
            Output::Send { to, lane, message } => {
                self.secrets.sent(host, &message);
                self.check_shown(host, &message)?;
                self.check_confidential(host, to, &message)?;
                let checked = self.ledger.sent(host, &message, &self.machines[host].disk);
                if checked.is_err() {
                    self.trace.stopped(self.now, host, host_of(to), &Packet::Message(message));
                    return checked;
                }
                let way = if lane == Lane::Bulk { Way::Bulk } else { Way::Ordered };
                self.note_message(&message, lane);
                // A connection is to one incarnation.
                if self.machines.get(host_of(to)).is_some_and(|machine| machine.node == to) {
                    self.send(host, host_of(to), way, Packet::Message(message));
                }
            }
            Output::SendSnapshot { to, snapshot, after } => return self.send_snapshot(host, to, snapshot, after),
            Output::Hear { .. } => {}
            Output::EndSnapshot { to } => drop(self.machines[host].snapshots.remove(&to)),
            Output::Peers { members, former: _ } => {
                self.check_contacts(host, &members)?;
                if self.plan.dials.is_none() {
                    let named = self.machines[host].named.iter().copied();
                    let members = members.iter().map(|contact| host_of(contact.node));
                    self.machines[host].wanted = members.chain(named).collect();
                }
                if host < self.plan.founders {
                    // Founders are told of each other by their operator until they have each other's contacts.
                    let founders = self.founders_of(host);
                    self.machines[host].wanted.extend(founders);
                }
                self.dial_wanted(host);
                // A newcomer that has its snapshot has a feed from now on.
                self.read_feed(host);
            }
            Output::Events(last) => {
                self.machines[host].told = last;
                self.read_feed(host);
            }
            Output::Halt(why) => return self.halted(host, why),
            Output::Rejoin(next) => {
                self.mark("a node comes back after an eviction");
                self.trace.note(self.now, Note::Halt(host, format!("it was evicted, and comes back as {next}")));
                self.crash(host, 0);
                let machine = &mut self.machines[host];
                machine.came_back = true;
                machine.restored |= std::mem::take(&mut machine.put_back);
                machine.shunned = false;
                let at = self.now + 10_000;
                self.at(at, Event::Start(host));
            }
            Output::Left => {
                self.mark("a node has left");
                self.crash(host, 0);
                (self.machines[host].left, self.machines[host].gone) = (true, true);
            }
        }
        Ok(())
    }

    fn halted(&mut self, host: Host, why: String) -> Checked {
        self.trace.note(self.now, Note::Halt(host, why.clone()));
        if !self.machines[host].failing && !self.machines[host].put_back {
            return broken("halt", format!("host {host} stops: {why}"));
        }
        self.mark("a node stops by itself");
        let old_disk = self.machines[host].put_back && !self.machines[host].failing;
        self.crash(host, 0);
        self.machines[host].halted = Some(why);
        if old_disk {
            self.mark("an old disk is noticed");
            if let Err(why) = self.machines[host].rejoin(self.now) {
                return broken("rejoin", format!("host {host} cannot rejoin: {why}"));
            }
            let at = self.now + 1_000_000;
            self.at(at, Event::Start(host));
        }
        Ok(())
    }
}
