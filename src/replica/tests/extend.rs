//! Extensions of reservations: who may extend them, for how long, and which extensions count.

use super::super::verify::verify;
use super::*;

impl Cluster {
    pub(super) fn reserve(&mut self, n: u64, name: &str, ttl: u64) -> Uuid {
        self.register(n, RegisterRequest { ttl: Some(ttl), ..names(&[name]) }).id
    }

    fn extend(&mut self, n: u64, id: Uuid, ttl: u64) -> Result<Registration, Refusal> {
        match self.reply(n, Command::Extend { id, ttl })? {
            Answer::Registration(view) => Ok(view),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_reservation_that_is_extended_in_time_ends_later_at_every_node() {
    let mut cluster = Cluster::founded(3);
    let id = cluster.reserve(1, "alice", 5000);
    cluster.pass(3000);
    let before = cluster.now.wall;
    let extended = cluster.extend(2, id, 10_000).unwrap();
    assert_eq!(extended.expires_at, Some(Time(before.plus(10_000))));
    cluster.pass(5000);
    for n in 1..=3 {
        assert_eq!(cluster.name(n, "alice"), NameStatus::Held, "its first end is over at n{n}");
        assert_eq!(cluster.view(n, id).expires_at, extended.expires_at);
    }
    cluster.pass(6000);
    for n in 1..=3 {
        assert_eq!(cluster.name(n, "alice"), NameStatus::Available, "n{n}");
        assert_eq!(cluster.view(n, id).names[0].ended, Some(EndReason::Expired));
        assert_eq!(verify(cluster.nodes[&node(n)].store(), node(n)).findings, []);
    }
    assert!(matches!(cluster.extend(3, id, 10_000), Err(Refusal::TooLate { .. })));
}

#[test]
fn an_extension_never_shortens_and_leaves_what_is_permanent_alone() {
    let mut cluster = Cluster::founded(1);
    let id = cluster.reserve(1, "alice", 60_000);
    let ops = |cluster: &Cluster| cluster.nodes[&node(1)].log.frontiers().seq(node(1));
    let before = (cluster.view(1, id).expires_at, ops(&cluster));
    assert_eq!(cluster.extend(1, id, 1000).unwrap().expires_at, before.0);
    assert_eq!(ops(&cluster), before.1, "that takes no op");
    for ttl in [0, limits::MAX_TTL + 1] {
        assert!(matches!(cluster.extend(1, id, ttl), Err(Refusal::InvalidRequest(_))));
    }
    assert!(cluster.reply(1, Command::Activate { id }).is_ok());
    assert!(matches!(cluster.extend(1, id, 90_000), Err(Refusal::Permanent { .. })));
    let permanent = cluster.claim(1, "bob").id;
    assert!(matches!(cluster.extend(1, permanent, 90_000), Err(Refusal::Permanent { .. })));
    let released = cluster.reserve(1, "carol", 60_000);
    assert!(cluster.reply(1, Command::Release { id: released }).is_ok());
    assert!(matches!(cluster.extend(1, released, 90_000), Err(Refusal::TooLate { .. })));
    let unknown = Uuid::from_u128(0x4000_8000_0000_0000_0001);
    assert_eq!(cluster.extend(1, unknown, 90_000), Err(Refusal::NoRegistration(unknown)));
}

#[test]
fn what_is_known_to_all_is_kept_as_one_end() {
    let mut cluster = Cluster::founded(2);
    let id = cluster.reserve(1, "alice", 60_000);
    for n in 1..=150 {
        cluster.pass(100);
        cluster.extend(1 + n % 2, id, 60_000).unwrap();
    }
    cluster.pass(3000);
    let stamp = cluster.view(1, id).stamp;
    for n in 1..=2 {
        let registration = crate::crdt::Registration::load(cluster.nodes[&node(n)].store(), stamp).unwrap();
        assert_eq!(registration.extensions.kept(), 0);
    }
    // While a member is out of reach, the extensions pile up.
    cluster.cut(1, 2);
    for _ in 0..limits::MAX_EXTENSIONS {
        cluster.pass(100);
        cluster.extend(1, id, 60_000).unwrap();
    }
    cluster.pass(100);
    assert_eq!(cluster.extend(1, id, 60_000), Err(Refusal::TooManyExtensions { id, limit: limits::MAX_EXTENSIONS }));
    cluster.heal();
    assert!(cluster.extend(1, id, 90_000).is_ok());
}
