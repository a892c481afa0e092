//! What is checked at each step of a node: the ops that it issues and takes, its watermark, what it says.

use forename::clock::{Hlc, NodeId};
use forename::crdt::{Body, Op, Seq};
use forename::replica::{Message, Vector};

use super::{Checked, Ledger, broken};
use crate::plan::Host;
use crate::world::disk::Disk;

impl Ledger {
    /// The ops that a step wrote.
    pub(crate) fn wrote(&mut self, host: Host, ops: Vec<Op>) -> Checked {
        for op in ops {
            let own = op.node == self.nodes[host];
            if own {
                self.issued(host, &op)?
            } else {
                self.received(host, &op)?
            }
            if !own && self.books[host].cuts_before.get(&op.node).is_some_and(|cut| op.seq > cut.seq) {
                return broken("void", format!("host {host} takes {}#{}, which is void", op.node, op.seq));
            }
            self.books[host].applied.insert(op.node, op.seq);
        }
        Ok(())
    }

    /// Prefixes of logs that a step says are here, whose ops may have left the logs before.
    pub(crate) fn given(&mut self, host: Host, prefixes: Vec<(NodeId, Seq)>) {
        for (origin, seq) in prefixes {
            let applied = self.books[host].applied.entry(origin).or_default();
            *applied = seq.max(*applied);
        }
    }

    fn issued(&mut self, host: Host, op: &Op) -> Checked {
        if self.books[host].put_back {
            self.set_beside(op.clone());
            return Ok(());
        }
        let log = self.ops.entry(op.node).or_default();
        if op.seq != log.len() as Seq + 1 {
            return broken("log", format!("{} issues op {} after {}", op.node, op.seq, log.len()));
        }
        if log.last().is_some_and(|last| last.hlc >= op.hlc) {
            return broken("log", format!("{} issues op {} at {}, not above its last", op.node, op.seq, op.hlc));
        }
        if !op.continues(log.last().map(|last| last.chain).unwrap_or_default()) {
            return broken("chain", format!("{} issues op {} that does not continue its log", op.node, op.seq));
        }
        let promised = self.promised.get(&op.node).copied().unwrap_or_default();
        if op.hlc <= promised {
            return broken("promise", format!("{} issues {} at {}, but promised {promised}", op.node, op.seq, op.hlc));
        }
        log.push(op.clone());
        if let Body::Admit { node } = &op.body {
            self.admissions.entry(*node).or_default().insert((op.node, op.seq, op.hlc));
        }
        let counts = !self.cuts.contains_key(&op.node) && self.was_let_in(op.node);
        for (other, book) in self.books.iter().enumerate() {
            if other != host && book.watermark >= op.hlc && counts {
                let text =
                    format!("{} issues {} below the watermark {} of host {other}", op.node, op.hlc, book.watermark);
                return broken("watermark", text);
            }
        }
        Ok(())
    }

    fn received(&mut self, host: Host, op: &Op) -> Checked {
        if !self.was_issued(op) {
            return broken("log", format!("host {host} holds {}#{} that its origin never issued", op.node, op.seq));
        }
        self.revive(op);
        Ok(())
    }

    /// After a step: the watermark rises only, and passes nothing that has not arrived.
    pub(crate) fn watermark(&mut self, host: Host, watermark: Hlc) -> Checked {
        let book = &mut self.books[host];
        if watermark < book.watermark {
            return broken("watermark", format!("host {host} goes back from {} to {watermark}", book.watermark));
        }
        if watermark == book.watermark {
            return Ok(());
        }
        book.watermark = watermark;
        self.exclusive.watermark(watermark);
        if book.put_back {
            return Ok(());
        }
        for (node, log) in &self.ops {
            let applied =
                usize::try_from(self.books[host].applied.get(node).copied().unwrap_or(0)).unwrap_or(usize::MAX);
            let counts = || !self.cuts.contains_key(node) && self.was_let_in(*node);
            if let Some(missing) = log.get(applied).filter(|op| op.hlc <= watermark && counts()) {
                let text = format!("host {host} at {watermark} lacks {node}#{} of {}", missing.seq, missing.hlc);
                return broken("watermark", text);
            }
        }
        Ok(())
    }

    /// A message leaves: all that it says must be durable at the sender.
    pub(crate) fn sent(&mut self, host: Host, message: &Message, disk: &Disk) -> Checked {
        match message {
            Message::Ops { ops, .. } => match ops.iter().find(|op| op.seq > disk.log(op.node)) {
                Some(op) => broken("durable", format!("host {host} sends {}#{} before its fsync", op.node, op.seq)),
                None => Ok(()),
            },
            Message::Vector(vector) => self.sent_vector(host, vector, disk),
            _ => Ok(()),
        }
    }

    fn sent_vector(&mut self, host: Host, vector: &Vector, disk: &Disk) -> Checked {
        let me = self.nodes[host];
        for entry in &vector.entries {
            if entry.has.max(entry.holds) > disk.log(entry.origin) {
                let text = format!("host {host} acknowledges {}#{} before its fsync", entry.origin, entry.has);
                return broken("durable", text);
            }
            if entry.origin == me {
                if entry.promise.hlc > disk.ceiling() {
                    let text = format!("host {host} promises {} above its durable ceiling", entry.promise.hlc);
                    return broken("durable", text);
                }
                let promised = self.promised.entry(me).or_default();
                *promised = entry.promise.hlc.max(*promised);
            }
        }
        Ok(())
    }
}
