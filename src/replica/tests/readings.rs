//! Limits on reading: however many queries wait, a step reads no more than its share, and each query ends with the
//! right answer.

use super::super::readings::{BUSY, IDLE};
use super::*;
use crate::registry::{Budget, Query};
use crate::store::counting::Counting;

/// The most rows of the store that are read for one row of a query: the row itself and the rows that it points to.
const ROWS: usize = 4;
/// The most rows that a claim and the rest of a step read.
const CLAIM: usize = 200;

/// A node without peers on which one owner holds so many names, with two events each.
fn holding(names: u64) -> Replica<Counting> {
    let now = Now { wall: Millis(100_000_000), elapsed: Millis(0) };
    let start = Some(found([node(1)].into(), [7; 32]));
    let config = Config { max_open_of_owner: None, ..config(1) };
    let mut replica = Replica::open(config, Counting::default(), start, now).unwrap();
    replica.flush(now);
    for n in 0..names {
        claim(&mut replica, &format!("held{n:05}"), now);
        if n % 50 == 0 {
            step(&mut replica, now);
        }
    }
    step(&mut replica, now);
    replica
}

fn claim(replica: &mut Replica<Counting>, name: &str, now: Now) {
    replica.handle(
        now,
        Input::Request(Request::from(Command::Register(names(&[name]))).with(|reply| drop(reply.unwrap()))),
    );
}

/// Runs a step in which everything becomes durable at once. Returns how many rows were read.
fn step(replica: &mut Replica<Counting>, now: Now) -> usize {
    let before = replica.store().rows_read();
    let mut outputs = replica.flush(now);
    let read = replica.store().rows_read() - before;
    replica.handle(now, Input::Persisted(Batch::MAX / 2));
    outputs.extend(replica.outbox.release());
    for output in outputs {
        if let Output::Reply(ready) = output {
            ready.tell();
        }
    }
    read
}

/// Returns the answer to a query that nothing limits.
fn at_once<Q: Query>(replica: &Replica<Counting>, mut query: Q) -> Q::Answer {
    let reader = Reader { registry: &replica.registry, store: &replica.store, log: &replica.log };
    query.read(reader, &Caller::ANYBODY, &mut Budget::of(usize::MAX)).expect("nothing limits it").unwrap()
}

#[test]
fn a_step_reads_its_share_however_many_wait_and_all_are_answered() {
    let mut replica = holding(1500);
    let now = Now { wall: Millis(100_001_000), elapsed: Millis(1000) };
    let nothing = EventQuery { owner: Some("nobody".into()), ..page_of(100) };
    let nothing = Request::from(EventsAfter::new(None, nothing));
    let events = EventsAfter::new(None, page_of(1000));
    let list = NamesTaken::new(Some("username".into()), String::new(), None, 700);
    let of_owner = RegistrationsOf::new("o".into(), None, 800);
    let wanted = [
        Answer::Events(at_once(&replica, EventsAfter::new(None, page_of(1000)))),
        Answer::Taken(at_once(&replica, NamesTaken::new(Some("username".into()), String::new(), None, 700))),
        Answer::Registrations(at_once(&replica, RegistrationsOf::new("o".into(), None, 800))),
    ];
    let replies = Replies::default();
    for (token, request) in
        (0..).zip([events.into(), list.into(), of_owner.into()].into_iter().chain(vec![nothing; 40]))
    {
        replica.handle(now, Input::Request(request.with(replies.to(token))));
    }
    let mut steps = 0;
    while replica.readings.is_waiting() {
        let busy = steps % 3 != 0;
        if busy {
            claim(&mut replica, &format!("later{steps}"), now);
        }
        assert!(busy || replica.wake_at() <= now.elapsed, "it wants to read on");
        let read = step(&mut replica, now);
        let most = if busy { ROWS * BUSY + CLAIM } else { ROWS * IDLE + CLAIM };
        assert!(read <= most, "{read} rows in a step that was busy: {busy}");
        steps += 1;
        assert!(steps < 10_000, "it comes to no end");
    }
    assert!(steps > 100, "40 times 3000 events are not read in {steps} steps");
    for (token, wanted) in (0..).zip(wanted) {
        assert_eq!(replies.remove(&token), Some(Ok(wanted)));
    }
    for token in 3..43 {
        match replies.remove(&token) {
            Some(Ok(Answer::Events(page))) => assert!(page.events.is_empty() && page.next.number >= 3000, "{page:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_looks_a_name_up_does_not_wait_behind_those_who_read_the_feed() {
    let mut replica = holding(500);
    let now = Now { wall: Millis(100_001_000), elapsed: Millis(1000) };
    let replies = Replies::default();
    let nothing = EventQuery { owner: Some("nobody".into()), ..page_of(100) };
    for token in 0..40 {
        let request = Request::from(EventsAfter::new(None, nothing.clone()));
        replica.handle(now, Input::Request(request.with(replies.to(token))));
    }
    step(&mut replica, now);
    step(&mut replica, now);
    assert!(replica.readings.is_waiting());
    replica.handle(now, Input::Request(Request::from(NameOf(name_request("held00001"))).with(replies.to(99))));
    claim(&mut replica, "later", now);
    step(&mut replica, now);
    assert!(matches!(replies.remove(&99), Some(Ok(Answer::Name(_)))));
}
