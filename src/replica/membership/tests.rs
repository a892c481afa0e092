use super::*;
use crate::crdt::Chain;

const ALL: &dyn Fn(NodeId) -> Seq = &|_| Seq::MAX;

fn op(node: u64, seq: Seq, hlc: u64, body: Body) -> Op {
    Op::new(NodeId(node), seq, Hlc(hlc), Chain::default(), body)
}

fn admit(node: u64, by: &[u64]) -> Body {
    Body::Admit { node: NodeId(node), by: by.iter().map(|node| NodeId(*node)).collect() }
}

fn founded(founders: &[u64], ops: Vec<Op>) -> Membership {
    Membership::new(founders.iter().map(|node| NodeId(*node)).collect(), BTreeMap::new(), ops, ALL)
}

#[test]
fn a_newcomer_is_a_member_once_all_have_welcomed_it() {
    let mut membership = founded(&[1, 2], vec![op(1, 1, 10, admit(3, &[1, 2]))]);
    assert!(!membership.is_member(NodeId(3)) && membership.knows(NodeId(3)));
    assert_eq!(membership.to_welcome(NodeId(2)), vec![NodeId(3)]);
    assert_eq!(membership.to_welcome(NodeId(1)), vec![]);
    membership.add(op(2, 1, 12, Body::Welcome { node: NodeId(3) }), ALL);
    assert!(membership.is_member(NodeId(3)));
    assert_eq!(membership.floor(NodeId(3)), Hlc(12), "the latest welcome");
    assert_eq!(membership.to_welcome(NodeId(2)), vec![]);
}

#[test]
fn what_a_node_says_before_it_is_a_member_counts_for_nothing() {
    let membership = founded(&[1], vec![op(9, 1, 10, admit(9, &[9]))]);
    assert!(!membership.knows(NodeId(9)));
}

#[test]
fn a_second_admission_by_more_members_takes_nothing_back() {
    let first = vec![
        op(1, 1, 10, admit(9, &[1, 2])),
        op(2, 1, 12, Body::Welcome { node: NodeId(9) }),
        op(1, 2, 13, admit(3, &[1, 2])),
        op(2, 2, 14, Body::Welcome { node: NodeId(3) }),
    ];
    let mut membership = founded(&[1, 2], first);
    assert_eq!(membership.floor(NodeId(9)), Hlc(12));
    // Node 3 was asked by the newcomer as well before it heard of the first admission.
    membership.add(op(3, 1, 20, admit(9, &[1, 2, 3])), ALL);
    assert!(membership.is_member(NodeId(9)));
    assert_eq!(membership.floor(NodeId(9)), Hlc(12), "it may have issued an op at 13");
}

#[test]
fn a_new_member_may_let_in_the_next() {
    let ops = vec![
        op(1, 1, 10, admit(2, &[1])),
        op(2, 1, 20, admit(3, &[1, 2])),
        op(1, 2, 30, Body::Welcome { node: NodeId(3) }),
    ];
    let membership = founded(&[1], ops);
    assert_eq!(membership.count(), 3);
    assert_eq!(membership.floor(NodeId(3)), Hlc(30));
}

fn freeze(node: u64, seq: Seq) -> Body {
    Body::Freeze { node: NodeId(node), seq }
}

fn welcome(node: u64) -> Body {
    Body::Welcome { node: NodeId(node) }
}

fn members(membership: &Membership) -> Vec<u64> {
    membership.members().map(|node| node.0).collect()
}

/// Somebody who stays declares what is decided.
fn declared(mut membership: Membership) -> Membership {
    let cuts = membership.decided().clone();
    let stays = membership.members().find(|member| !cuts.contains_key(member)).unwrap();
    if !cuts.is_empty() {
        membership.add(op(stays.0, 99, 99, Body::Evict { cuts }), ALL);
    }
    membership
}

#[test]
fn a_node_is_out_once_all_who_stay_have_frozen_it() {
    let mut membership = founded(&[1, 2, 3], vec![op(1, 1, 10, freeze(3, 4))]);
    assert_eq!(members(&membership), [1, 2, 3]);
    assert_eq!(membership.to_freeze(NodeId(2), ALL), Some(NodeId(3)));
    assert_eq!(membership.to_freeze(NodeId(3), ALL), None);
    assert_eq!(membership.limit(NodeId(1), NodeId(3)), 4);
    membership.add(op(2, 1, 11, freeze(3, 7)), &|_| 6);
    assert_eq!(members(&membership), [1, 2, 3], "op 7 is missing here");
    assert_eq!(membership.limit(NodeId(1), NodeId(3)), 7, "and may be fetched");
    assert!(membership.try_finish(&|_| 7));
    assert_eq!(members(&membership), [1, 2, 3], "nobody has declared it yet");
    let membership = declared(membership);
    assert_eq!((members(&membership), membership.cut(NodeId(3))), (vec![1, 2], Some(7)));
    assert!(membership.frozen().is_empty());
}

#[test]
fn half_of_the_members_evict_nobody() {
    let membership = founded(&[1, 2], vec![op(1, 1, 10, freeze(2, 0))]);
    assert_eq!(members(&membership), [1, 2]);
    assert!(!membership.could_evict(NodeId(1), &[NodeId(2)].into()));
}

#[test]
fn a_newcomer_on_its_way_counts_against_an_eviction() {
    let ops = vec![op(1, 1, 10, admit(9, &[1, 2, 3])), op(1, 2, 11, freeze(3, 0)), op(2, 1, 12, freeze(3, 0))];
    let mut membership = founded(&[1, 2, 3], ops);
    assert_eq!(members(&membership), [1, 2, 3], "two of four");
    assert_eq!(membership.half_welcomed(NodeId(1)), [NodeId(9)], "which is why it is frozen along");
    membership.add(op(1, 3, 13, freeze(9, 0)), ALL);
    assert_eq!(membership.to_freeze(NodeId(2), ALL), Some(NodeId(9)));
    membership.add(op(2, 2, 14, freeze(9, 0)), ALL);
    assert_eq!(members(&membership), [1, 2, 3], "still two of four");
}

#[test]
fn a_freeze_of_a_frozen_node_counts_within_its_own_cut() {
    // 4 froze 5 at 9 and 5 froze 4; 1 to 3 stay. 4's freeze is its op 2, which 1 has.
    let ops = vec![
        op(1, 1, 10, freeze(4, 2)),
        op(1, 2, 10, freeze(5, 3)),
        op(2, 1, 10, freeze(4, 0)),
        op(2, 2, 10, freeze(5, 3)),
        op(3, 1, 10, freeze(4, 1)),
        op(3, 2, 10, freeze(5, 3)),
        op(4, 2, 9, freeze(5, 9)),
        op(5, 4, 9, freeze(4, 8)),
    ];
    let membership = declared(founded(&[1, 2, 3, 4, 5], ops));
    assert_eq!(membership.cut(NodeId(4)), Some(8), "and so does 5's freeze of 4, from then on");
    assert_eq!(membership.cut(NodeId(5)), Some(9), "4's freeze of it lies within 4's cut");
}

#[test]
fn whoever_leaves_needs_no_majority_but_all_of_its_ops_known() {
    let mut membership = founded(&[1, 2], vec![op(2, 5, 10, Body::Depart)]);
    assert_eq!(membership.departing(NodeId(2)), Some(5));
    assert_eq!(membership.to_freeze(NodeId(1), &|_| 4), None);
    assert_eq!(membership.to_freeze(NodeId(1), &|_| 5), Some(NodeId(2)));
    let mut early = membership.clone();
    early.add(op(1, 1, 11, freeze(2, 4)), ALL);
    assert_eq!(members(&early), [1, 2], "frozen before its departure was known: that takes a majority");
    membership.add(op(1, 1, 11, freeze(2, 5)), ALL);
    assert_eq!(members(&declared(membership)), [1]);
}

#[test]
fn a_welcome_after_a_freeze_counts_once_the_frozen_is_out() {
    let ops = vec![
        op(1, 1, 10, admit(9, &[1, 2, 3])),
        op(3, 1, 11, welcome(9)),
        op(2, 1, 12, freeze(3, 1)),
        op(2, 2, 13, welcome(9)),
    ];
    let mut membership = founded(&[1, 2, 3], ops);
    assert!(!membership.is_member(NodeId(9)));
    assert!(membership.has_unfinished_freeze(NodeId(2)) && !membership.has_unfinished_freeze(NodeId(1)));
    membership.add(op(1, 2, 14, freeze(3, 1)), ALL);
    membership.add(op(1, 3, 15, freeze(9, 0)), ALL);
    assert!(!membership.is_member(NodeId(9)));
}

#[test]
fn a_newcomer_needs_no_welcome_of_the_evicted() {
    let ops = vec![
        op(1, 1, 10, freeze(3, 0)),
        op(2, 1, 10, freeze(3, 0)),
        op(1, 2, 11, admit(9, &[1, 2, 3])),
        op(2, 2, 12, welcome(9)),
        op(1, 3, 13, Body::Evict { cuts: [(NodeId(3), 0)].into() }),
    ];
    let mut membership = founded(&[1, 2, 3], ops);
    assert_eq!(members(&membership), [1, 2, 9]);
    // Once the eviction is done it stays done, whatever is frozen next.
    membership.add(op(2, 3, 20, freeze(9, 0)), ALL);
    assert_eq!(members(&membership), [1, 2, 9]);
    assert_eq!(membership.cut(NodeId(3)), Some(0));
    assert_eq!(membership.floor(NodeId(9)), Hlc(12));
}

#[test]
fn who_was_in_the_cluster_that_this_one_was_recovered_from_is_out_and_what_was_saved_counts() {
    let former = BTreeMap::from([(NodeId(1), 7), (NodeId(2), 0)]);
    let mut membership = Membership::new([NodeId(3)].into(), former, [], ALL);
    assert_eq!((members(&membership), membership.first()), (vec![3], Some(NodeId(3))));
    assert_eq!((membership.cut(NodeId(1)), membership.limit(NodeId(3), NodeId(1))), (Some(7), 7));
    // Whatever one of them said after that is void.
    membership.add(op(1, 8, 20, admit(9, &[1])), ALL);
    assert!(!membership.knows(NodeId(9)));
    membership.add(op(3, 1, 20, admit(4, &[3])), ALL);
    assert_eq!(members(&membership), [3, 4]);
}
