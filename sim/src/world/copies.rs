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

/// The copies that there are.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// Old disks, by the fault that puts them back.
    pub(crate) kept: BTreeMap<usize, Copy>,
    /// Directories whose copies run in their place, by the fault that copied them.
    pub(crate) originals: BTreeMap<usize, Original>,
    /// An old disk was put back that has to be noticed.
    pub(crate) put_back: bool,
    /// The last process that remembered what a directory lacks that was put back is gone.
    pub(crate) witness_gone: bool,
}

/// A copy of a disk, and what its feed had told.
#[derive(Clone, Debug)]
pub struct Copy {
    pub(crate) disk: Disk,
    pub(crate) feed: Feed,
    /// Outcomes that its node had been the first to tell.
    pub(crate) told_first: usize,
    pub(crate) made: Micros,
}

impl Copy {
    /// Whether there is anybody in it to ask for being let in again.
    pub(crate) fn knows_others(&self, node: NodeId) -> bool {
        let mut others = false;
        schema::Contacts::each(self.disk.durable(), &Span::all(), |found| {
            others |= found.decode().is_ok_and(|contact| contact.node.key_part() != node.key_part());
        });
        others
    }

    /// Whether it knows that the registration of this op is rejected.
    pub(crate) fn rejects(&self, op: &Op) -> bool {
        Registration::load(self.disk.durable(), op.stamp()).is_some_and(|registration| registration.rejected)
    }

    /// Whether it holds a whole state of a node under this id.
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
