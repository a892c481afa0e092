//! What the CRDT and the replica cost a registration, without disk or network: `cargo bench --bench replica`.

use divan::counter::ItemsCount;
use forename::clock::{Hlc, Millis, NodeId, Stamp};
use forename::crdt::{Claim, Entry, NameOp, Register, State};
use forename::replica::{
    Config, Contact, Founding, Input, NameRequest, Now, Output, RegisterRequest, Replica, Request, Start,
};
use forename::store::memory::MemoryStore;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const REGISTRATIONS: u64 = 300_000;
/// Requests in one step, as under load.
const STEP: u64 = 64;

/// A number's digits in another order, so that names do not arrive sorted.
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

/// Registrations of one name each, from request to confirmed reply and events.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn registrations_on_a_single_node(bencher: divan::Bencher) {
    bencher.counter(ItemsCount::new(REGISTRATIONS)).with_inputs(replica).bench_local_values(|mut replica| {
        let mut answered = 0;
        for step in 0..REGISTRATIONS.div_ceil(STEP) {
            let now = Now { wall: Millis(1_800_000_000_000 + step), elapsed: Millis(step) };
            for n in step * STEP..(step + 1) * STEP {
                let names = vec![NameRequest { namespace: "username".into(), name: format!("user{:x}", scattered(n)) }];
                let request = RegisterRequest { owner: format!("owner-{n}"), names, ..RegisterRequest::default() };
                replica.handle(now, Input::Request { token: n, request: Request::Register(request) });
            }
            let mut outputs = replica.flush(now);
            replica.handle(now, Input::Persisted(step + 1));
            outputs.extend(replica.flush(now));
            answered += outputs.iter().filter(|output| matches!(output, Output::Reply { reply: Ok(_), .. })).count();
        }
        assert_eq!(answered as u64, REGISTRATIONS.div_ceil(STEP) * STEP);
        replica
    });
}

/// Ops of one name each, applied to the registry alone.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn ops_applied_to_the_registry(bencher: divan::Bencher) {
    let op = |n: u64| {
        let name = format!("user{:x}", scattered(n));
        let claim = Claim { namespace: "username".into(), key: name.clone(), name, after: None };
        let owner = format!("owner-{n}");
        let register = Register { id: None, owner, claims: vec![claim], expires: None, replaces: None, metadata: None };
        let stamp = Stamp { hlc: Hlc(n + 1), node: NodeId(1) };
        Entry { stamp, seq: n + 1, op: NameOp::Register(register) }
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

/// One name is claimed and released so many times: what one round costs does not depend on how many came before.
#[divan::bench(sample_count = 3, sample_size = 1, args = [1000, 10_000])]
fn claims_and_releases_of_one_name(bencher: divan::Bencher, rounds: u64) {
    bencher.counter(ItemsCount::new(rounds)).with_inputs(replica).bench_local_values(|mut replica| {
        let owner = "owner".to_owned();
        let name = NameRequest { namespace: "username".into(), name: "alice".into() };
        for round in 0..rounds {
            let register =
                RegisterRequest { owner: owner.clone(), names: vec![name.clone()], ..RegisterRequest::default() };
            let requests =
                [Request::Register(register), Request::ReleaseName { owner: owner.clone(), name: name.clone() }];
            for (step, request) in (2 * round..).zip(requests) {
                let now = Now { wall: Millis(1_800_000_000_000 + step), elapsed: Millis(step) };
                replica.handle(now, Input::Request { token: step, request });
                replica.handle(now, Input::Persisted(step));
                let mut outputs = replica.flush(now);
                replica.handle(now, Input::Persisted(step + 1));
                outputs.extend(replica.flush(now));
                let answered = outputs.iter().any(|output| matches!(output, Output::Reply { reply: Ok(_), .. }));
                assert!(answered, "{outputs:?}");
            }
        }
        replica
    });
}
