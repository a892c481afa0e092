//! Measures the cost of a registration in the CRDT and the replica, without disk or network. Run it with the command
//! `cargo bench --bench replica`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::counter::ItemsCount;
use forename::clock::{Hlc, Millis, NodeId, Stamp};
use forename::crdt::{Claim, Entry, NameOp, Register, State};
use forename::model::NameRef;
use forename::replica::{
    Caller, Command, Config, Contact, Founding, Input, Now, Output, RegisterRequest, Replica, Reply, Request, Start,
};
use forename::store::memory::MemoryStore;

/// The allocator is that of the program `forename`, so that times compare.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const REGISTRATIONS: u64 = 300_000;
/// Requests in one step, as under load.
const STEP: u64 = 64;

/// Scatters numbers, so that names do not arrive sorted.
fn scattered(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn replica() -> Replica<MemoryStore> {
    let node = NodeId(1);
    let (address, label) = ("127.0.0.1:1".to_owned(), "bench".to_owned());
    let contact = Contact { node, public_key: Vec::new(), address, label, as_of: Millis(0) };
    let start = Start::Found { founding: Founding { founders: [node].into(), ..Founding::default() }, secret: [0; 32] };
    Replica::open(Config::new(contact, 1), MemoryStore::new(), Some(start), Now::default()).expect("an empty store")
}

/// A counter of the answers that are not refusals.
#[derive(Default)]
struct Answers(Arc<AtomicU64>);

impl Answers {
    fn count(&self, command: Command) -> Request {
        let counted = Arc::clone(&self.0);
        let reply = Reply::to(move |answer| {
            counted.fetch_add(u64::from(answer.is_ok()), Ordering::Relaxed);
        });
        Request::Command(Box::new(command), Caller::ANYBODY, reply)
    }

    fn counted(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn tell(outputs: Vec<Output>) {
    for output in outputs {
        if let Output::Reply(ready) = output {
            ready.tell();
        }
    }
}

/// Measures registrations of one name each, from the request to the confirmed reply and the events.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn registrations_on_a_single_node(bencher: divan::Bencher) {
    bencher.counter(ItemsCount::new(REGISTRATIONS)).with_inputs(replica).bench_local_values(|mut replica| {
        let answers = Answers::default();
        for step in 0..REGISTRATIONS.div_ceil(STEP) {
            let now = Now { wall: Millis(1_800_000_000_000 + step), elapsed: Millis(step) };
            for n in step * STEP..(step + 1) * STEP {
                let names = vec![NameRef { namespace: "username".into(), name: format!("user{:x}", scattered(n)) }];
                let request = RegisterRequest { owner: format!("owner-{n}"), names, ..RegisterRequest::default() };
                replica.handle(now, Input::Request(answers.count(Command::Register(request))));
            }
            let mut outputs = replica.flush(now);
            replica.handle(now, Input::Persisted(step + 1));
            outputs.extend(replica.flush(now));
            tell(outputs);
        }
        assert_eq!(answers.counted(), REGISTRATIONS.div_ceil(STEP) * STEP);
        replica
    });
}

/// Measures ops of one name each, applied to the lattice alone.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn ops_applied_to_the_registry(bencher: divan::Bencher) {
    let op = |n: u64| {
        let name = format!("user{:x}", scattered(n));
        let claim = Claim { namespace: "username".into(), key: name.clone(), name, after: None };
        let owner = format!("owner-{n}");
        let register = Register {
            id: None,
            owner,
            claims: vec![claim],
            expires: None,
            replaces: None,
            metadata: None,
            accepted: None,
        };
        let stamp = Stamp { hlc: Hlc(n + 1), node: NodeId(1) };
        Entry { stamp, seq: n + 1, op: NameOp::Register(register.into()) }
    };
    let ops: Vec<_> = (0..REGISTRATIONS).map(op).collect();
    bencher.counter(ItemsCount::new(REGISTRATIONS)).bench_local(|| {
        let mut registry = State::load(MemoryStore::new(), crdts::VClock::new());
        for op in &ops {
            registry.apply_entry(op).expect("in order");
        }
        registry
    });
}

/// Claims and releases one name `rounds` times. The cost of a round does not depend on how many came before.
#[divan::bench(sample_count = 3, sample_size = 1, args = [1000, 10_000])]
fn claims_and_releases_of_one_name(bencher: divan::Bencher, rounds: u64) {
    bencher.counter(ItemsCount::new(rounds)).with_inputs(replica).bench_local_values(|mut replica| {
        let (owner, answers) = ("owner".to_owned(), Answers::default());
        let name = NameRef { namespace: "username".into(), name: "alice".into() };
        for round in 0..rounds {
            let register =
                RegisterRequest { owner: owner.clone(), names: vec![name.clone()], ..RegisterRequest::default() };
            let commands =
                [Command::Register(register), Command::ReleaseName { owner: owner.clone(), name: name.clone() }];
            for (step, command) in (2 * round..).zip(commands) {
                let now = Now { wall: Millis(1_800_000_000_000 + step), elapsed: Millis(step) };
                replica.handle(now, Input::Request(answers.count(command)));
                replica.handle(now, Input::Persisted(step));
                let mut outputs = replica.flush(now);
                replica.handle(now, Input::Persisted(step + 1));
                outputs.extend(replica.flush(now));
                tell(outputs);
                assert_eq!(answers.counted(), step + 1);
            }
        }
        replica
    });
}
