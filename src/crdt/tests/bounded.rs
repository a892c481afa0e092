//! The cost of one more claim to a name does not depend on the history of the name.

use crdts::VClock;

use super::*;
use crate::store::counting::Counting;

/// The rows and bytes that a step has read and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Cost {
    rows_read: usize,
    bytes_written: usize,
}

struct Costly {
    registry: State<Counting>,
    seq: Seq,
}

impl Costly {
    fn new() -> Self {
        Self { registry: State::load(Counting::default(), VClock::new()), seq: 0 }
    }

    fn measured(&mut self, act: impl FnOnce(&mut Self)) -> Cost {
        let before = (self.registry.store.rows_read(), self.registry.store.bytes_written());
        act(self);
        let store = &self.registry.store;
        Cost { rows_read: store.rows_read() - before.0, bytes_written: store.bytes_written() - before.1 }
    }

    fn issue(&mut self, body: NameOp) -> Stamp {
        self.seq += 1;
        let op = op(1, self.seq, 1_000_000 + self.seq, body);
        self.registry.apply(op.clone());
        op.stamp
    }

    /// A client claims the name, following its last holder.
    fn take(&mut self) -> Stamp {
        let Vacancy::Free(after) = self.registry.lattice.vacancy(&self.registry.store, "username", "alice") else {
            panic!("it is taken")
        };
        self.issue(register(None, vec![claim("alice", after)]))
    }

    /// The same client releases it, and all nodes know that.
    fn give_up(&mut self, taken: Stamp) {
        let (namespace, key) = ("username".to_owned(), "alice".to_owned());
        self.issue(NameOp::Release(ClaimRef { registration: taken, namespace, key }));
        let mut registration = Registration::load(&self.registry.store, taken).unwrap();
        registration.claims[0].ended = Some(EndReason::Released);
        registration.save(&mut self.registry.store);
    }

    fn comes_and_goes(&mut self) -> Cost {
        self.measured(|costly| {
            let taken = costly.take();
            costly.give_up(taken);
        })
    }

    /// Another node claims the name concurrently, with a later stamp.
    fn duplicate(&mut self, after: Option<Stamp>) -> Cost {
        self.measured(|costly| {
            assert!(matches!(
                costly.registry.lattice.vacancy(&costly.registry.store, "username", "alice"),
                Vacancy::Taken(_)
            ));
            costly.issue(register(None, vec![claim("alice", after)]));
        })
    }
}

#[test]
fn a_claim_costs_the_same_whatever_happened_to_the_name_before() {
    let mut costly = Costly::new();
    let costs: Vec<_> = (0..400).map(|_| costly.comes_and_goes()).collect();
    is_bounded(costs[20], costs[399]);
    let taken = costly.take();
    let after = costly.registry.lattice.followed_by(&costly.registry.store, "username", "alice", taken);
    let costs: Vec<_> = (0..400).map(|_| costly.duplicate(after)).collect();
    is_bounded(costs[20], costs[399]);
}

/// Numbers grow with time, and their encodings with them, so a few more bytes are allowed.
fn is_bounded(early: Cost, late: Cost) {
    assert!(late.rows_read <= early.rows_read && late.bytes_written <= early.bytes_written + 32, "{early:?}, {late:?}");
}
