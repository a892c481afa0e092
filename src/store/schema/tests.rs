use proptest::prelude::*;

use super::rows::bytes;
use super::*;
use crate::store::memory::MemoryStore;

fn stamp(hlc: u64, node: u64) -> Stamp {
    Stamp { hlc: Hlc(hlc), node: NodeId(node) }
}

/// Returns true where a key is read as it was written.
fn same<T: Keyed>(key: T::Key<'_>) -> bool {
    let written = bytes::<T>(key);
    let read = T::Key::read(&written[T::PREFIX.len()..]);
    read.is_some_and(|read| bytes::<T>(read) == written)
}

proptest! {
    #[test]
    fn keys_are_read_as_they_are_written(hlc: u64, node: u64, place: u8, text in "[a-z0-9/@.]{0,60}", other in "\\PC{0,60}") {
        let (stamp, id) = (stamp(hlc, node), Uuid::from_u64_pair(hlc, node));
        prop_assert!(same::<Log>(LogKey { origin: NodeId(node), seq: hlc }), "not read as written");
        prop_assert!(same::<Names>(NameKey::new(&text, &other)), "not read as written");
        prop_assert!(same::<Registrations>(stamp), "not read as written");
        let name = NameKey::new(&text, &other);
        for after in [None, Some(Stamp::default()), Some(stamp)] {
            prop_assert!(same::<Claims>(ClaimKey { name, after, stamp }), "not read as written");
        }
        prop_assert!(same::<Followed>(FollowedKey { name, stamp }), "not read as written");
        prop_assert!(same::<Ids>(id), "not read as written");
        prop_assert!(same::<Owners>(OwnerKey { owner: &other, stamp }), "not read as written");
        prop_assert!(same::<Expiries>((Hlc(node), stamp)), "not read as written");
        prop_assert!(same::<Contacts>(NodeId(node)), "not read as written");
        prop_assert!(same::<Over>(OverKey { due: Due::Feed(hlc), stamp }), "not read as written");
        prop_assert!(same::<Over>(OverKey { due: Due::Watermark(Hlc(hlc)), stamp }), "not read as written");
        prop_assert!(same::<Namespaces>(&text), "not read as written");
        prop_assert!(same::<Endings>(EndingKey { registration: stamp, place }), "not read as written");
        prop_assert!(same::<Charges>(ChargeKey { token: &text, id }), "not read as written");
        prop_assert!(same::<Typed>(TypedKey { id, key: &other }), "not read as written");
        prop_assert!(same::<HeldBy>(id), "not read as written");
        prop_assert!(same::<HeldCounts>(&text), "not read as written");
        prop_assert!(same::<Webhooks>(id), "not read as written");
        prop_assert!(same::<Frontiers>(NodeId(node)), "not read as written");
        prop_assert!(same::<Erasing>(stamp), "not read as written");
        let walked = WalkedTo(Some(stamp));
        prop_assert_eq!(walked.encoded(WalkedTo::decode), Ok(walked));
    }
}

#[test]
fn other_bytes_are_no_keys() {
    let over = |by: u8| [&[by], [7; 24].as_slice()].concat();
    assert!(OverKey::read(&over(b'c')).is_some() && OverKey::read(&over(b'w')).is_some());
    for bytes in [&over(b'x')[..], &[], b"c", &over(b'c')[..20]] {
        assert_eq!(OverKey::read(bytes), None);
    }
    assert_eq!((OwnerKey::read(&[1; 20]), NameKey::read(b"username"), LogKey::read(&[0; 15])), (None, None, None));
}

#[test]
fn the_bytes_on_disk_are_these() {
    // The bytes are written out here, because this program must be able to read the directories of earlier versions.
    assert_eq!(bytes::<Names>(NameKey::new("username", "ann")).as_slice(), b"username\0ann");
    let (name, one) = (NameKey::new("username", "ann"), stamp(1, 2));
    let first = bytes::<Claims>(ClaimKey { name, after: None, stamp: one });
    assert_eq!((&first[..13], &first[13..30], first.len()), (&b"username\0ann\0"[..], &[0; 17][..], 46));
    let later = bytes::<Claims>(ClaimKey { name, after: Some(one), stamp: one });
    assert_eq!((later[13], &later[14..30]), (1, &one.to_bytes()[..]));
    assert_eq!(bytes::<Followed>(FollowedKey { name, stamp: one })[..13], *b"username\0ann\0");
    assert_eq!(bytes::<Owners>(OwnerKey { owner: "ann", stamp: stamp(1, 2) })[..4], *b"ann\0");
    assert_eq!(bytes::<Frontiers>(NodeId(7)).as_slice(), b"o\0\0\0\0\0\0\0\x07");
    assert_eq!(bytes::<Erasing>(stamp(0, 7))[..1], *b"e");
    assert_eq!(bytes::<Over>(OverKey { due: Due::Feed(1), stamp: stamp(1, 2) })[..9], *b"c\0\0\0\0\0\0\0\x01");
    assert_eq!(
        (SaidAll(true).encoded(<[u8]>::to_vec), SaidAll(false).encoded(<[u8]>::to_vec)),
        (b"all".to_vec(), vec![])
    );
    assert_eq!(WalkedTo::default().encoded(<[u8]>::to_vec), [0]);
    assert_eq!(WalkedTo(Some(Stamp::default())).encoded(<[u8]>::to_vec), [&[17][..], &[0; 17]].concat());
    assert_eq!("Ann".encoded(<[u8]>::to_vec), b"\x03Ann");
    assert_eq!(Vec::<Stamp>::new().as_slice().encoded(<[u8]>::to_vec), [0]);
}

/// A walk through one part of a table meets no row of another part and no single value.
#[test]
fn a_part_of_a_table_is_walked_alone() {
    let mut store = MemoryStore::new();
    Watermark::save(&mut store, &Hlc(5));
    Hides::save(&mut store, &());
    Settled::save(&mut store, &Hlc(4));
    for n in 1..=3 {
        Erasing::put(&mut store, stamp(n, 1), &stamp(n + 10, 1));
    }
    let mut found = Vec::new();
    Erasing::each(&store, &Span::after(stamp(1, 1)), |row| found.extend(row.key().map(|key| (key, row.row()))));
    assert_eq!(found, [(stamp(2, 1), stamp(12, 1)), (stamp(3, 1), stamp(13, 1))]);
    assert_eq!((Erasing::count(&store), Watermark::load(&store)), (3, Some(Hlc(5))));
    Watermark::clear(&mut store);
    assert_eq!((Watermark::load(&store), Hides::is_set(&store)), (None, true));
}

#[test]
fn spans_have_their_ends() {
    let mut store = MemoryStore::new();
    for (owner, n) in [("a", 1), ("a", 2), ("a", 3), ("ab", 4), ("b", 5)] {
        Owners::put(&mut store, OwnerKey { owner, stamp: stamp(n, 1) }, &());
    }
    let walk = |span: Span<Owners>| {
        let mut found = Vec::new();
        Owners::each(&store, &span, |row| found.extend(row.key().map(|key| key.stamp.hlc.0)));
        found
    };
    let key = |n| OwnerKey { owner: "a", stamp: stamp(n, 1) };
    assert_eq!(walk(Span::<Owners>::of("a")), [1, 2, 3]);
    assert_eq!(walk(Span::<Owners>::of("a").and_from(key(2))), [2, 3]);
    assert_eq!(walk(Span::<Owners>::of("a").and_after(key(2))), [3]);
    assert_eq!(walk(Span::<Owners>::of("a").below(key(3))), [1, 2]);
    assert_eq!(walk(Span::<Owners>::of("a").up_to(key(2))), [1, 2]);
    assert_eq!(walk(Span::from(key(3))), [3, 4, 5]);
}
