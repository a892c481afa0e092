use super::*;
use crate::log::Pass;
use crate::log::chain::Chain;
use crate::log::settings::Setting;

/// This node has all ops of all logs.
const ALL: Logs<'static> = &|_| Cut { seq: Seq::MAX, chain: Chain::EMPTY };

fn op(node: u64, seq: Seq, hlc: u64, body: Body) -> Op {
    Op::new(NodeId(node), seq, Hlc(hlc), Chain::EMPTY, body)
}

fn admit(node: u64) -> Body {
    Body::Member(MemberOp::Admit { node: NodeId(node) })
}

fn freeze(node: u64, seq: Seq) -> Body {
    Body::Member(MemberOp::Freeze { node: NodeId(node), seq, chain: Chain::EMPTY, held: 0, forked: false })
}

fn retire(node: u64) -> Body {
    Body::Member(MemberOp::Retire { node: NodeId(node) })
}

fn evict(cuts: &[(u64, Seq)]) -> Body {
    Body::Member(MemberOp::Evict { cuts: cuts.iter().map(|(node, seq)| (NodeId(*node), at(*seq))).collect() })
}

fn at(seq: Seq) -> Cut {
    Cut { seq, chain: Chain::EMPTY }
}

/// The membership as node 1 derives it.
fn founded(founders: &[u64], ops: Vec<Op>) -> Membership {
    seen_by(1, founders, ops)
}

fn seen_by(me: u64, founders: &[u64], ops: Vec<Op>) -> Membership {
    let founders = founders.iter().map(|node| NodeId(*node)).collect();
    Membership::new(NodeId(me), founders, BTreeMap::new(), ops, ALL)
}

fn members(membership: &Membership) -> Vec<u64> {
    membership.members().map(|node| node.0).collect()
}

/// A member that stays declares the decided cuts.
fn declared(mut membership: Membership) -> Membership {
    let cuts = membership.decided().clone();
    let stays = membership.members().find(|member| !cuts.contains_key(member)).unwrap();
    if !cuts.is_empty() {
        membership.add(op(stays.0, 99, 99, Body::Member(MemberOp::Evict { cuts })), ALL);
    }
    membership
}

#[test]
fn a_newcomer_is_a_member_with_the_word_of_one() {
    let membership = founded(&[1, 2], vec![op(1, 1, 10, admit(3))]);
    assert_eq!(members(&membership), [1, 2, 3]);
    assert_eq!(membership.floor(NodeId(3)), Hlc(10));
    assert_eq!(membership.first(), Some(NodeId(1)), "the founders have been in for longest");
}

#[test]
fn what_a_node_says_before_it_is_a_member_counts_for_nothing() {
    let membership = founded(&[1], vec![op(9, 1, 10, admit(9))]);
    assert_eq!(members(&membership), [1]);
}

#[test]
fn of_two_admissions_the_earlier_counts() {
    let mut membership = founded(&[1, 2], vec![op(2, 1, 20, admit(9))]);
    assert_eq!(membership.floor(NodeId(9)), Hlc(20));
    membership.add(op(1, 1, 10, admit(9)), ALL);
    assert_eq!(membership.floor(NodeId(9)), Hlc(10), "it may have issued an op at 13");
}

#[test]
fn a_new_member_may_let_in_the_next() {
    let membership = founded(&[1], vec![op(1, 1, 10, admit(2)), op(2, 1, 20, admit(3))]);
    assert_eq!((members(&membership), membership.floor(NodeId(3))), (vec![1, 2, 3], Hlc(20)));
}

#[test]
fn a_node_whose_admission_lies_beyond_a_cut_was_never_in() {
    let ops = [op(1, 1, 10, freeze(3, 4)), op(2, 1, 10, freeze(3, 4)), op(3, 5, 12, admit(9))];
    let mut membership = founded(&[1, 2, 3], ops[..2].to_vec());
    membership.add(op(1, 2, 13, evict(&[(3, 4)])), ALL);
    membership.add(ops[2].clone(), ALL);
    assert!(membership.is_void_beyond(NodeId(3), at(5)), "whoever has it drops what it has");
    assert!(!membership.is_void_beyond(NodeId(3), at(4)));
}

#[test]
fn a_node_is_out_once_all_who_stay_have_frozen_it() {
    let mut membership = seen_by(2, &[1, 2, 3], vec![op(1, 1, 10, freeze(3, 4))]);
    assert_eq!(members(&membership), [1, 2, 3]);
    assert_eq!(membership.to_freeze(), &[NodeId(3)].into());
    assert!(seen_by(3, &[1, 2, 3], vec![op(1, 1, 10, freeze(3, 4))]).to_freeze().is_empty(), "not itself");
    assert_eq!(membership.limit(NodeId(1), NodeId(3)), 4);
    membership.add(op(2, 1, 11, freeze(3, 7)), &|_| at(6));
    assert_eq!(members(&membership), [1, 2, 3], "op 7 is missing here");
    assert_eq!(membership.limit(NodeId(1), NodeId(3)), 7, "and may be fetched");
    assert!(membership.try_finish(&|_| at(7)));
    assert_eq!(members(&membership), [1, 2, 3], "nobody has declared it yet");
    let membership = declared(membership);
    assert_eq!((members(&membership), membership.cut(NodeId(3))), (vec![1, 2], Some(at(7))));
    assert!(membership.frozen().is_empty());
}

#[test]
fn all_who_stay_declare_an_eviction() {
    let ops = vec![op(1, 1, 10, freeze(3, 4)), op(2, 1, 10, freeze(3, 4)), op(2, 2, 11, evict(&[(3, 4)]))];
    let mut membership = founded(&[1, 2, 3], ops);
    assert_eq!(membership.to_declare(), &[(NodeId(3), at(4))].into(), "it counts already, and another has declared it");
    membership.add(op(1, 2, 12, evict(&[(3, 4)])), ALL);
    assert!(membership.to_declare().is_empty());
}

/// Of six nodes, all but 2 and 5 stay. A node that knew of the eviction of 2 and not of 5, with the cut that the freeze
/// by 2 makes, would find a lesser cut of 5 among the freezes of the members that stay.
#[test]
fn what_is_decided_is_declared_together_with_what_it_rests_on() {
    let first = [(1, 14), (2, 17), (3, 14), (4, 17), (6, 8)].map(|(by, seq)| op(by, 1, 10, freeze(5, seq)));
    let second = [(1, 2), (3, 2), (4, 3), (6, 2)].map(|(by, place)| op(by, place, 20, freeze(2, 9)));
    let ops = first.into_iter().chain([op(4, 2, 11, evict(&[(5, 17)]))]).chain(second).collect();
    let membership = seen_by(3, &[1, 2, 3, 4, 5, 6], ops);
    assert_eq!(membership.to_declare(), &[(NodeId(2), at(9)), (NodeId(5), at(17))].into());
}

/// Node 4 declared that 2 is out at 7, because 5 had frozen it there, and that 5 is out after it. A node that applied the second
/// alone and declared it would let others compute a lesser cut of 2, without the freeze by 5.
#[test]
fn the_declarations_of_one_member_are_applied_in_their_order() {
    let logs: Logs<'_> = &|node| at(if node == NodeId(2) { 6 } else { Seq::MAX });
    let founders: BTreeSet<_> = [1, 2, 3, 4, 5].map(NodeId).into();
    let first = [(1, 6), (3, 6), (4, 7), (5, 7)].map(|(by, seq)| op(by, 1, 10, freeze(2, seq)));
    let second = [(1, 2), (3, 2), (4, 3)].map(|(by, place)| op(by, place, 20, freeze(5, 1)));
    let declared = [op(4, 2, 11, evict(&[(2, 7)])), op(4, 4, 21, evict(&[(5, 1)]))];
    let ops: Vec<_> = first.into_iter().chain(second).chain(declared).collect();
    let mut membership = Membership::new(NodeId(3), founders, BTreeMap::new(), ops, logs);
    assert_eq!(members(&membership), [1, 2, 3, 4, 5], "op 7 of node 2 is missing here");
    assert_eq!(membership.agreed(), &[(NodeId(2), at(7)), (NodeId(5), at(1))].into());
    assert!(membership.to_declare().is_empty());
    assert!(membership.try_finish(ALL));
    assert_eq!(membership.to_declare(), &[(NodeId(2), at(7)), (NodeId(5), at(1))].into());
    assert_eq!(members(&membership), [1, 3, 4]);
}

#[test]
fn a_declaration_that_a_lesser_cut_has_overtaken_holds_nothing_up() {
    let logs: Logs<'_> = &|node| at(if node == NodeId(2) { 6 } else { Seq::MAX });
    let founders: BTreeSet<_> = [1, 2, 3, 4, 5].map(NodeId).into();
    let ops = [op(1, 1, 10, evict(&[(2, 6)])), op(4, 1, 10, evict(&[(2, 7)])), op(4, 2, 11, evict(&[(2, 7), (5, 1)]))];
    let membership = Membership::new(NodeId(3), founders, BTreeMap::new(), ops, logs);
    assert_eq!((members(&membership), membership.cut(NodeId(2))), (vec![1, 3, 4], Some(at(6))));
}

#[test]
fn half_of_the_members_evict_nobody() {
    let membership = founded(&[1, 2], vec![op(1, 1, 10, freeze(2, 0))]);
    assert_eq!(members(&membership), [1, 2]);
    assert!(!membership.could_evict(&[NodeId(2)].into()) && !membership.can_finish());
}

#[test]
fn a_freeze_by_a_node_that_is_frozen_itself_does_not_make_the_cut() {
    // Node 4 froze 5 at a greater number than the others, and is frozen itself. The ops between may exist nowhere else.
    let mut ops = vec![op(4, 1, 9, freeze(5, 9))];
    for node in 1..=3 {
        ops.extend([op(node, 1, 10, freeze(4, 1)), op(node, 2, 10, freeze(5, 3))]);
    }
    let membership = declared(founded(&[1, 2, 3, 4, 5], ops));
    assert_eq!((membership.cut(NodeId(4)), membership.cut(NodeId(5))), (Some(at(1)), Some(at(3))));
}

#[test]
fn a_node_that_has_taken_more_freezes_anew() {
    let ops = vec![op(1, 1, 10, freeze(3, 4)), op(1, 2, 11, freeze(3, 6)), op(2, 1, 11, freeze(3, 5))];
    assert_eq!(founded(&[1, 2, 3], ops).decided(), &[(NodeId(3), at(6))].into());
}

#[test]
fn of_two_declared_cuts_the_lesser_counts() {
    let ops = vec![op(1, 1, 10, evict(&[(3, 7)])), op(2, 1, 12, evict(&[(3, 4)]))];
    assert_eq!(founded(&[1, 2, 3], ops.clone()).cut(NodeId(3)), Some(at(4)));
    let mut membership = founded(&[1, 2, 3], ops[..1].to_vec());
    assert_eq!(membership.cut(NodeId(3)), Some(at(7)));
    membership.add(ops[1].clone(), ALL);
    assert_eq!(membership.cut(NodeId(3)), Some(at(4)));
}

#[test]
fn whoever_leaves_is_out_with_its_last_op() {
    let membership = founded(&[1, 2], vec![op(2, 5, 10, Body::Member(MemberOp::Depart))]);
    assert_eq!((members(&membership), membership.cut(NodeId(2)).map(|cut| cut.seq)), (vec![1], Some(5)));
    assert!(membership.has_left(NodeId(2)) && membership.frozen().is_empty() && membership.to_freeze().is_empty());
}

#[test]
fn a_leaver_that_somebody_froze_before_it_heard_of_that_is_frozen_at_its_last_op() {
    let depart = op(3, 5, 9, Body::Member(MemberOp::Depart));
    let mut membership = founded(&[1, 2, 3], vec![depart.clone(), op(2, 1, 10, freeze(3, 4))]);
    assert_eq!(members(&membership), [1, 2], "by what is known here it is out");
    assert_eq!(membership.to_freeze(), &[NodeId(3)].into(), "and the other waits for this node's freeze");
    membership.add(
        op(
            1,
            1,
            11,
            Body::Member(MemberOp::Freeze { node: NodeId(3), seq: 5, chain: depart.chain, held: 0, forked: false }),
        ),
        ALL,
    );
    assert!(membership.to_freeze().is_empty());
    assert_eq!(membership.to_declare().get(&NodeId(3)).map(|cut| cut.seq), Some(5));
}

#[test]
fn few_who_begin_anew_need_no_majority() {
    // Of three members one may be retired without a majority; of two, one only where the first member stays.
    for (founders, gone, out) in [(3, 1, true), (2, 2, true), (2, 1, false), (4, 2, true)] {
        let founders: Vec<_> = (1..=founders).collect();
        let stay: Vec<_> = founders.iter().copied().filter(|node| *node != gone).collect();
        let mut ops = vec![op(stay[0], 1, 10, retire(gone))];
        ops.extend(stay.iter().map(|node| op(*node, 2, 11, freeze(gone, 0))));
        let membership = seen_by(stay[0], &founders, ops);
        assert_eq!(membership.can_finish(), out, "{founders:?} without {gone}");
        assert_eq!(membership.decided().contains_key(&NodeId(gone)), out);
    }
}

#[test]
fn of_two_continuations_of_a_log_that_which_was_decided_further_is_cut() {
    let [one, other] = [1, 2].map(|hlc| op(3, 1, hlc, Body::Member(MemberOp::Depart)).chain);
    let froze = |chain, seq, held, forked| Body::Member(MemberOp::Freeze { node: NodeId(3), seq, chain, held, forked });
    let ops = vec![op(1, 1, 10, froze(one, 7, 5, true)), op(2, 1, 10, froze(other, 8, 4, true))];
    let cuts = founded(&[1, 2, 3], ops).decided().clone();
    assert_eq!(cuts, [(NodeId(3), Cut { seq: 7, chain: one })].into());
    let membership = declared(founded(&[1, 2, 3], vec![op(1, 2, 11, Body::Member(MemberOp::Evict { cuts }))]));
    assert!(membership.is_void_beyond(NodeId(3), Cut { seq: 7, chain: other }), "whoever has the other drops it");
}

/// One knows of both continuations, and the other has more of the one that a majority holds.
#[test]
fn who_knows_of_two_continuations_does_not_cut_what_others_may_have_decided() {
    let chains = [1, 2].map(|hlc| op(3, 1, hlc, Body::Member(MemberOp::Depart)).chain);
    let froze = |seq, held, forked| {
        let chain = chains[seq as usize - 1];
        Body::Member(MemberOp::Freeze { node: NodeId(3), seq, chain, held, forked })
    };
    let ops = vec![op(1, 1, 10, froze(1, 1, true)), op(2, 1, 10, froze(2, 2, false))];
    let cuts = founded(&[1, 2, 3], ops).decided().clone();
    assert_eq!(cuts, [(NodeId(3), Cut { seq: 2, chain: chains[1] })].into());
}

#[test]
fn of_a_log_that_it_has_frozen_a_node_decides_no_more_until_the_cut_counts() {
    let froze = |by, at, seq, held| {
        let body = Body::Member(MemberOp::Freeze { node: NodeId(3), seq, chain: Chain::EMPTY, held, forked: false });
        op(by, at, 10 + at, body)
    };
    let mut membership = founded(&[1, 2, 3], vec![froze(2, 1, 7, 7)]);
    assert_eq!(membership.may_decide(NodeId(3)), Seq::MAX, "another has frozen it");
    membership.add(froze(1, 1, 5, 4), ALL);
    membership.add(froze(1, 2, 7, 6), ALL);
    assert_eq!(membership.may_decide(NodeId(3)), 4);
    membership.add(op(2, 2, 20, evict(&[(3, 7)])), ALL);
    assert_eq!(membership.may_decide(NodeId(3)), Seq::MAX);
}

#[test]
fn an_eviction_that_is_done_stays_done() {
    let ops = vec![
        op(1, 1, 10, freeze(3, 0)),
        op(2, 1, 10, freeze(3, 0)),
        op(1, 2, 11, evict(&[(3, 0)])),
        op(1, 3, 12, admit(9)),
    ];
    let mut membership = founded(&[1, 2, 3], ops);
    assert_eq!(members(&membership), [1, 2, 9]);
    membership.add(op(2, 3, 20, freeze(9, 0)), ALL);
    assert_eq!((members(&membership), membership.cut(NodeId(3))), (vec![1, 2, 9], Some(at(0))));
}

#[test]
fn who_was_in_the_cluster_that_this_one_was_recovered_from_is_out_and_what_was_saved_counts() {
    let former = BTreeMap::from([(NodeId(1), at(7)), (NodeId(2), at(0))]);
    let mut membership = Membership::new(NodeId(3), [NodeId(3)].into(), former, [], ALL);
    assert_eq!((members(&membership), membership.first()), (vec![3], Some(NodeId(3))));
    assert_eq!((membership.cut(NodeId(1)), membership.limit(NodeId(3), NodeId(1))), (Some(at(7)), 7));
    // Ops of an evicted node after its cut are void.
    membership.add(op(1, 8, 20, admit(9)), ALL);
    assert_eq!(members(&membership), [3]);
    membership.add(op(3, 1, 20, admit(4)), ALL);
    assert_eq!(members(&membership), [3, 4]);
}

fn configure(settings: &[Setting]) -> Body {
    Body::Member(MemberOp::Configure { settings: settings.to_vec() })
}

#[test]
fn of_several_changes_of_a_setting_the_latest_stands_in_any_order() {
    let skew = Setting::MaxClockSkew;
    let ops = [
        op(1, 1, 10, configure(&[skew(1000), Setting::EvictAfter(Some(5000))])),
        op(2, 1, 11, configure(&[skew(2000)])),
        op(1, 2, 11, configure(&[skew(3000), Setting::KeepEvents(None)])),
    ];
    let begun = Settings { keep_events: Some(7), ..Settings::default() };
    // Of two concurrent changes the one by the greater node counts.
    let expected = Settings { evict_after: Some(5000), max_clock_skew: 2000, keep_events: None, ..begun };
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let ops = order.map(|index| ops[index].clone());
        assert_eq!(founded(&[1, 2], ops.into()).settings(Some(begun)), expected);
    }
    // A change beyond the cut of its origin does not count.
    let evicted = [op(1, 3, 20, freeze(2, 0)), op(3, 1, 20, freeze(2, 0)), op(1, 4, 21, evict(&[(2, 0)]))];
    let membership = founded(&[1, 2, 3], ops.into_iter().chain(evicted).collect());
    assert_eq!(membership.settings(Some(begun)).max_clock_skew, 3000);
    assert_eq!(founded(&[1], vec![]).settings(None), Settings::default());
}

#[test]
fn spent_tokens_are_counted_and_the_last_word_on_a_ban_stands() {
    let ban = |node: u64, banned| Body::Member(MemberOp::Ban { node: NodeId(node << 16), banned });
    let spend = || Body::Member(MemberOp::Spend { token: [7; 16] });
    let ops = vec![
        op(1, 1, 10, spend()),
        op(1, 2, 11, admit(8 << 16)),
        op(1, 3, 12, ban(8, true)),
        op(2, 1, 13, ban(8, false)),
        op(2, 2, 14, ban(9, true)),
        op(1, 4, 15, spend()),
    ];
    let membership = founded(&[1, 2], ops.clone());
    let barred = membership.barred();
    assert_eq!(barred.keys, [NodeId(9 << 16)].into());
    let pass = |uses| Pass { nonce: [7; 16], uses };
    assert!(barred.is_used_up(&pass(2)) && barred.is_used_up(&pass(1)) && !barred.is_used_up(&pass(3)));
    assert!(!barred.is_used_up(&Pass { nonce: [8; 16], uses: 1 }));
    // Ops of a member beyond its cut do not count, so the void admission has not used up a token.
    let gone = [op(2, 3, 20, freeze(1, 0)), op(3, 1, 20, freeze(1, 0)), op(2, 4, 21, evict(&[(1, 0)]))];
    let barred = seen_by(2, &[1, 2, 3], ops.into_iter().chain(gone).collect()).barred().clone();
    assert_eq!((barred.keys, barred.spent.len()), ([NodeId(9 << 16)].into(), 0));
}
