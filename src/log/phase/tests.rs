use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::clock::{Millis, NodeId};
use crate::codec;
use crate::log::chain::Cut;
use crate::log::{Contact, Founding};
use crate::model::ClusterId;

fn leaving() -> Leaving {
    let acknowledged = [(NodeId(5), Cut { seq: 7, ..Cut::default() })].into();
    Leaving { began: Millis(1), acknowledged, yields_to: BTreeSet::new(), steps_back: false }
}

fn places() -> Vec<Place> {
    vec![
        Place::Waiting(Lacks::Both),
        Place::Waiting(Lacks::Admission),
        Place::Waiting(Lacks::Secrets),
        Place::Member,
        Place::Leaving(leaving()),
        Place::Departed(Departed { last: 9, ..Departed::default() }),
        Place::Out { why: Out::Evicted(3), lacked: None },
        Place::Out { why: Out::HoldsVoid, lacked: Some(Lacks::Both) },
    ]
}

/// Every phase, with each place.
fn phases() -> Vec<Phase> {
    let check = || ChainCheck::new();
    let others = [Phase::Over, Phase::Halted];
    let comparing = places().into_iter().map(|place| Phase::Comparing(check(), place));
    let settled = places().into_iter().map(Phase::Settled);
    [Phase::Joining].into_iter().chain(comparing).chain(settled).chain(others).collect()
}

/// Returns one letter for each thing that a node may do in a phase.
fn may(phase: &Phase) -> String {
    let all = [
        ('q', phase.may_answer()),
        ('t', phase.takes_ops()),
        ('i', phase.may_issue()),
        ('p', phase.may_promise()),
        ('h', phase.acknowledges() != Acknowledges::Nothing),
        ('d', phase.may_decide()),
        ('a', phase.may_admit()),
        ('v', phase.may_vote()),
        ('r', phase.may_register().is_ok()),
        ('c', phase.may_change_membership().is_ok()),
    ];
    all.into_iter().map(|(letter, may)| if may { letter } else { '-' }).collect()
}

#[test]
fn what_a_node_may_do_follows_from_its_phase() {
    let table: Vec<String> = phases().iter().map(|phase| format!("{} {phase:?}", may(phase))).collect();
    let begins = |line: &str| line.split('{').next().unwrap_or_default().trim_end().to_owned();
    let table: Vec<String> = table
        .iter()
        .map(|line| match line.split_once("ChainCheck") {
            // Only the place is shown of a comparing phase.
            Some((before, after)) => format!("{before}.., {}", begins(after.split_once("}, ").unwrap_or_default().1)),
            None => begins(line),
        })
        .collect();
    // q: answers queries, t: takes ops, i: issues, p: promises, h: acknowledges what it holds, d: decides, a: admits
    // newcomers, v: votes and joins evictions, r: takes registrations once it has compared, c: begins changes of the
    // membership.
    let expected = "\
---------- Joining
q--------- Comparing(.., Waiting(Both))
qt-------- Comparing(.., Waiting(Admission))
q---h----- Comparing(.., Waiting(Secrets))
qt--h---r- Comparing(.., Member)
qt--h----- Comparing(.., Leaving(Leaving
qt--h----- Comparing(.., Departed(Departed
qt--h----- Comparing(.., Out
q--------- Comparing(.., Out
q--p------ Settled(Waiting(Both))
qt-p------ Settled(Waiting(Admission))
q--ph----- Settled(Waiting(Secrets))
qtiphdavrc Settled(Member)
qtiphdav-- Settled(Leaving(Leaving
qt-ph----- Settled(Departed(Departed
qt-ph----- Settled(Out
q--p------ Settled(Out
---------- Over
---------- Halted";
    assert_eq!(table.join("\n"), expected);
}

/// A transition. Returns true where it leads on from the phase.
type Transition = fn(&mut Phase) -> bool;

/// Each transition, with its name.
const TRANSITIONS: [(&str, Transition); 14] = [
    ("start", |phase| phase.start(false)),
    ("take_state", |phase| phase.take_state(false)),
    ("learn_secrets", Phase::learn_secrets),
    ("be_admitted", Phase::be_admitted),
    ("lose_admission", Phase::lose_admission),
    ("settle", Phase::settle),
    ("leave", |phase| phase.leave(leaving())),
    ("stay", Phase::stay),
    ("depart", |phase| phase.depart(9)),
    ("go_out", |phase| phase.go_out(Out::HoldsVoid)),
    ("evicted", |phase| phase.go_out(Out::Evicted(3))),
    ("end", Phase::end),
    ("halt", |phase| {
        phase.halt();
        true
    }),
    ("nothing", |_| false),
];

#[test]
fn a_transition_that_does_not_lead_on_from_a_phase_is_refused_and_changes_nothing() {
    for phase in phases() {
        for (name, transition) in TRANSITIONS {
            let mut after = phase.clone();
            if !transition(&mut after) {
                assert_eq!(format!("{after:?}"), format!("{phase:?}"), "{name} was refused");
            }
        }
    }
}

#[test]
fn a_life_goes_as_the_picture_says() {
    let mut phase = Phase::Joining;
    let mut does = |name: &str| {
        let (_, transition) = TRANSITIONS.iter().find(|(known, _)| *known == name).unwrap();
        let done = transition(&mut phase);
        (done, may(&phase))
    };
    assert_eq!(does("leave"), (false, "----------".to_owned()));
    assert_eq!(does("take_state"), (true, "q--p------".to_owned()));
    assert!(!does("start").0, "a process starts once");
    assert_eq!(does("learn_secrets"), (true, "qt-p------".to_owned()));
    assert_eq!(does("be_admitted"), (true, "qtiphdavrc".to_owned()));
    assert_eq!(does("leave"), (true, "qtiphdav--".to_owned()));
    assert_eq!(does("stay"), (true, "qtiphdavrc".to_owned()));
    assert!(does("leave").0);
    assert_eq!(does("depart"), (true, "qt-ph-----".to_owned()));
    assert!(!does("evicted").0, "it has handed over all that counts");
    assert_eq!(does("end"), (true, "----------".to_owned()));
    assert!(!does("take_state").0, "what comes next is another process or incarnation");
}

#[test]
fn a_leave_that_ends_with_the_last_op_has_handed_over_what_it_acknowledged() {
    let mut phase = Phase::Settled(Place::Leaving(leaving()));
    assert!(phase.depart(9));
    assert_eq!(phase.departed().map(|departed| departed.handed_over.clone()), Some(leaving().acknowledged));
}

proptest! {
    /// After any transitions: a node that may issue has a whole state, promises, takes ops and is a member; and an
    /// incarnation that is over or halted never goes on.
    #[test]
    fn no_history_leads_to_a_phase_that_contradicts_itself(steps in prop::collection::vec(0..TRANSITIONS.len(), 0..40)) {
        let mut phase = Phase::Joining;
        let (mut over, mut compared) = (false, true);
        for step in steps {
            let (name, transition) = TRANSITIONS[step];
            let done = transition(&mut phase);
            compared = match name {
                "start" if done => false,
                "settle" if done => true,
                _ => compared,
            };
            over |= done && matches!(name, "end" | "halt");
            if phase.may_issue() {
                prop_assert!(phase.may_answer() && phase.takes_ops() && phase.may_promise() && phase.is_member());
                prop_assert!(compared, "it issues before it has compared");
            }
            prop_assert_eq!(phase.takes_input(), !over);
        }
    }

    /// A record is read back as it was written, and a torn one is not read.
    #[test]
    fn the_record_is_read_as_it_was_written(record in record()) {
        let bytes = codec::encode(&record);
        prop_assert_eq!(codec::decode::<StoredPhase>(&bytes).ok(), Some(record));
        let torn = &bytes[..bytes.len() - 1];
        prop_assert!(codec::decode::<StoredPhase>(torn).is_err());
    }
}

prop_compose! {
    fn contact()(node: u64, public_key: Vec<u8>, address: String, label: String, as_of: u64) -> Contact {
        Contact { node: NodeId(node), public_key, address, label, as_of: Millis(as_of) }
    }
}

prop_compose! {
    fn back()(
        was: u64,
        id: [u8; 16],
        founders in prop::collection::btree_set(any::<u64>(), 0..5),
        former in prop::collection::btree_map(any::<u64>(), any::<u64>(), 0..5),
        secret: Option<[u8; 32]>,
        contacts in prop::collection::vec(contact(), 0..5),
    ) -> Return {
        let founders = founders.into_iter().map(NodeId).collect();
        let former = former.into_iter().map(|(node, seq)| (NodeId(node), Cut { seq, ..Cut::default() })).collect();
        let founding = Founding { id: ClusterId::from_random(id), founders, former, ..Founding::default() };
        Return { was: NodeId(was), founding, secret, contacts }
    }
}

fn record() -> impl Strategy<Value = StoredPhase> {
    prop_oneof![
        (back(), any::<bool>()).prop_map(|(back, set_aside)| StoredPhase::Joining { back, set_aside }),
        any::<bool>().prop_map(|leaving| StoredPhase::Whole { leaving }),
        Just(StoredPhase::Left),
    ]
}
