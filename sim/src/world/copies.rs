//! Copies of data directories.

use std::collections::BTreeMap;

use forename::clock::NodeId;
use forename::crdt::Registration;
use forename::log::Op;
use forename::replica::node_in;
use forename::store::schema::{self, Rows, Span};

use crate::world::books::feeds::Feed;
use crate::world::disk::Disk;
use crate::world::net::Micros;

/// The copies that exist.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// Copies of disks, by the fault that will restore them.
    pub(crate) kept: BTreeMap<usize, Copy>,
    /// Directories whose copies run in their place, by the fault that copied them.
    pub(crate) originals: BTreeMap<usize, Original>,
    /// True where an old copy was restored and must be noticed.
    pub(crate) put_back: bool,
    /// True where the last process is gone that knew what a restored directory lacks.
    pub(crate) witness_gone: bool,
}

/// A copy of a disk, with the events that its feed had at that time.
#[derive(Clone, Debug)]
pub struct Copy {
    pub(crate) disk: Disk,
    pub(crate) feed: Feed,
    /// The number of outcomes that its node had been the first to report.
    pub(crate) told_first: usize,
    pub(crate) made: Micros,
}

impl Copy {
    /// Returns true where it knows another node, which it can ask to admit it again.
    pub(crate) fn knows_others(&self, node: NodeId) -> bool {
        let mut others = false;
        schema::Contacts::each(self.disk.durable(), &Span::all(), |found| {
            others |= found.decode().is_ok_and(|contact| contact.node.key_part() != node.key_part());
        });
        others
    }

    /// Returns true where it knows that the registration of this op is rejected.
    pub(crate) fn rejects(&self, op: &Op) -> bool {
        Registration::load(self.disk.durable(), op.stamp()).is_some_and(|registration| registration.rejected)
    }

    /// Returns true where it holds a whole state of this node.
    pub(crate) fn is_of(&self, node: NodeId) -> bool {
        node_in(self.disk.durable(), node) == node && self.disk.is_whole()
    }
}

/// A directory whose copy runs in its place.
#[derive(Debug)]
pub(crate) struct Original {
    pub(crate) node: NodeId,
    pub(crate) copy: Copy,
}
