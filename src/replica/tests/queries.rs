//! Queries: histories, conflicts, explanations, lists, suggestions; and how many registrations an owner may open.

use super::*;
use crate::model::limits::{MAX_CHECKED, MAX_SUGGESTIONS};
use crate::model::{
    ClaimPlace, Conflict, ConflictStatus, Conflicts, Metadata, OwnerPlace, Place, Precedence, TakenNames, Tenure,
};
use crate::store::schema::{self, Rows};

fn of(owner: &str, asked: &[&str]) -> RegisterRequest {
    RegisterRequest { owner: owner.into(), ..names(asked) }
}

fn chosen(number: u128) -> Uuid {
    Uuid::from_u128((4 << 76) | (0b10 << 62) | number)
}

impl Cluster {
    fn history(&mut self, n: u64, name: &str) -> Vec<Tenure> {
        match self.reply(n, HistoryOf { name: name_request(name), after: None, limit: 100 }) {
            Ok(Answer::History(page)) => page.tenures,
            other => panic!("{other:?}"),
        }
    }

    fn conflicts_from(&mut self, n: u64, since: Option<Time>, after: Option<Place>, limit: usize) -> Conflicts {
        match self.reply(n, ConflictsOf::new(None, since, after, limit)) {
            Ok(Answer::Conflicts(page)) => page,
            other => panic!("{other:?}"),
        }
    }

    fn conflicts(&mut self, n: u64) -> Vec<Conflict> {
        self.conflicts_from(n, None, None, 100).conflicts
    }

    fn list(&mut self, namespace: Option<&str>, prefix: &str, after: Option<Place>, limit: usize) -> TakenNames {
        let (namespace, prefix) = (namespace.map(str::to_owned), prefix.to_owned());
        match self.reply(1, NamesTaken::new(namespace, prefix, after, limit)) {
            Ok(Answer::Taken(page)) => page,
            other => panic!("{other:?}"),
        }
    }

    fn suggest(&mut self, name: &str, count: usize) -> Result<Vec<String>, Refusal> {
        match self.reply(1, Suggestions { name: name_request(name), count })? {
            Answer::Suggestions(names) => Ok(names),
            other => panic!("{other:?}"),
        }
    }

    /// Two nodes with a claim to the same name each. Both were taken while the nodes were cut off from each other; the
    /// first claim is earlier.
    fn contested(name: &str) -> (Self, Registration, Registration) {
        let mut cluster = Self::founded(2);
        cluster.cut(1, 2);
        let first = cluster.register(1, of("ann", &[name]));
        cluster.pass(2000);
        let second = cluster.register(2, of("bob", &[name]));
        (cluster, first, second)
    }
}

#[test]
fn a_history_tells_who_held_a_name_from_when_till_when_and_who_lost_it() {
    let (mut cluster, first, second) = Cluster::contested("alice");
    cluster.heal();
    let released_at = Time(cluster.now.wall);
    cluster.reply(1, Command::Release { id: first.id }).unwrap();
    cluster.pass(2000);
    let third = cluster.register(2, RegisterRequest { ttl: Some(5000), ..of("cid", &["alice"]) });
    cluster.pass(8000);
    let fourth = cluster.register(1, of("dan", &["alice"]));
    for n in 1..=2 {
        let tenures = cluster.history(n, "ALICE");
        let holders: Vec<_> = tenures.iter().map(|tenure| tenure.holder.registration).collect();
        assert_eq!(holders, [first.id, third.id, fourth.id]);
        let ends: Vec<_> = tenures.iter().map(|tenure| (tenure.holder.ended, tenure.until)).collect();
        let expired = Time(third.stamp.hlc.millis().plus(5000));
        assert_eq!(ends[0], (Some(EndReason::Released), Some(released_at)), "n{n}");
        assert_eq!(ends[1], (Some(EndReason::Expired), Some(expired)), "n{n}");
        assert_eq!(ends[2], (None, None));
        let lost = &tenures[0].losers[0];
        assert_eq!((lost.registration, lost.owner.as_str(), lost.status), (second.id, "bob", Status::Rejected));
        assert!(lost.rejected_at.is_some_and(|at| at <= released_at), "n{n}");
    }
    let page = |cluster: &mut Cluster, after| match cluster
        .reply(1, HistoryOf { name: name_request("alice"), after, limit: 2 })
    {
        Ok(Answer::History(page)) => (page.tenures.len(), page.next),
        other => panic!("{other:?}"),
    };
    let (two, next) = page(&mut cluster, None);
    assert_eq!((two, next.map(|next| next.stamp)), (2, Some(fourth.stamp)));
    assert_eq!(page(&mut cluster, next), (1, None));
    let beyond = ClaimPlace { after: Some(fourth.stamp), stamp: fourth.stamp };
    assert_eq!(page(&mut cluster, Some(beyond)), (0, None));
    assert_eq!(cluster.history(1, "nobody"), vec![]);
}

#[test]
fn a_rename_ends_a_tenure_when_the_new_registration_was_made() {
    let mut cluster = Cluster::founded(1);
    let old = cluster.register(1, of("ann", &["alice"]));
    cluster.pass(1000);
    let replaces = in_place_of(old.id, name_request("alice"));
    let new = cluster.register(1, RegisterRequest { replaces, ..of("ann", &["alicia"]) });
    cluster.settle();
    let tenure = cluster.history(1, "alice").remove(0);
    assert_eq!((tenure.holder.ended, tenure.until), (Some(EndReason::Replaced), Some(new.accepted_at)));
}

#[test]
fn the_report_has_names_that_were_claimed_more_than_once() {
    let (mut cluster, first, second) = Cluster::contested("alice");
    cluster.register(1, of("ann", &["bob"]));
    let retry = RegisterRequest { id: Some(chosen(1)), ..of("cid", &["carol"]) };
    cluster.register(1, retry.clone());
    cluster.pass(100);
    cluster.register(2, retry);
    assert_eq!(cluster.conflicts(1), vec![], "neither node knows yet");
    let healed = Time(cluster.now.wall);
    cluster.heal();
    for n in 1..=2 {
        let [conflict] = cluster.conflicts(n).try_into().unwrap();
        assert_eq!((conflict.key.as_str(), conflict.why), ("alice", Precedence::EarliestTimestamp));
        let claims: Vec<_> = conflict.claims.iter().map(|claim| (claim.registration, claim.status)).collect();
        assert_eq!(claims, [(first.id, Status::Confirmed), (second.id, Status::Rejected)]);
        assert!(conflict.status == ConflictStatus::Final && conflict.final_at >= Some(healed), "{conflict:?}");
    }
    let later = Time(cluster.now.wall.plus(1));
    assert_eq!(cluster.conflicts_from(1, Some(healed), None, 10).conflicts.len(), 1);
    assert_eq!(cluster.conflicts_from(1, Some(later), None, 10).conflicts.len(), 0);
}

#[test]
fn an_open_conflict_is_in_the_report_whatever_its_age() {
    let mut cluster = Cluster::founded(3);
    cluster.cut(1, 2);
    cluster.cut(1, 3);
    cluster.cut(2, 3);
    cluster.register(1, of("ann", &["alice"]));
    cluster.pass(1000);
    cluster.register(2, of("bob", &["alice"]));
    cluster.pass(1000);
    cluster.cut.retain(|(a, b)| *a == node(3) || *b == node(3));
    cluster.connect(node(1), node(2));
    cluster.pass(3000);
    let [conflict] = cluster.conflicts_from(2, Some(Time(cluster.now.wall)), None, 10).conflicts.try_into().unwrap();
    assert!(conflict.status != ConflictStatus::Final);
    assert_eq!(conflict.final_at, None);
}

#[test]
fn claims_of_one_timestamp_go_by_the_node_id() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    let (first, second) = (cluster.claim(1, "alice"), cluster.claim(2, "alice"));
    assert_eq!(first.stamp.hlc, second.stamp.hlc);
    cluster.heal();
    let [conflict] = cluster.conflicts(1).try_into().unwrap();
    assert_eq!((conflict.claims[0].registration, conflict.why), (first.id, Precedence::LowestNode));
}

#[test]
fn reports_and_lists_go_on_where_a_page_ended() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    let all: Vec<_> = (0..7).map(|n| format!("name{n}")).collect();
    for name in &all {
        cluster.claim(1, name);
        cluster.claim(2, name);
        cluster.claim(1, &format!("{name}x"));
    }
    cluster.heal();
    let (mut conflicts, mut names, mut after) = (Vec::new(), Vec::new(), None);
    for _ in 0..4 {
        let page = cluster.conflicts_from(1, None, after, 2);
        conflicts.extend(page.conflicts.into_iter().map(|mut conflict| conflict.claims.remove(0).name));
        after = page.next;
    }
    // The pages come in the order of the keys, which is not that of names as typed.
    conflicts.sort_unstable();
    assert_eq!((&conflicts, &after), (&all, &None));
    for _ in 0..5 {
        let page = cluster.list(Some("username"), "", after, 3);
        names.extend(page.names.into_iter().map(|name| name.key));
        after = page.next;
    }
    assert_eq!((names.len(), after.as_ref()), (14, None));
    assert!(names.is_sorted());
}

#[test]
fn a_list_has_what_is_taken_of_a_namespace_or_of_all() {
    let mut cluster = Cluster::founded(1);
    let other = NameRef { namespace: "email".into(), name: "A@example.org".into() };
    cluster.register(1, RegisterRequest { names: vec![other], ..of("ann", &[]) });
    for name in ["Alice", "alma", "bob"] {
        cluster.register(1, RegisterRequest { metadata: Some("{}".into()), ..of("ann", &[name]) });
    }
    let gone = cluster.claim(1, "alan");
    cluster.reply(1, Command::Release { id: gone.id }).unwrap();
    cluster.settle();
    let names = |page: TakenNames| page.names.into_iter().map(|name| name.name).collect::<Vec<_>>();
    assert_eq!(names(cluster.list(None, "", None, 10)), ["A@example.org", "Alice", "alma", "bob"]);
    assert_eq!(names(cluster.list(Some("username"), "al", None, 10)), ["Alice", "alma"]);
    assert_eq!(names(cluster.list(Some("user"), "", None, 10)), [""; 0]);
    let listed = cluster.list(Some("username"), "b", None, 10).names.remove(0);
    assert_eq!(
        (listed.status, listed.owner.as_str(), listed.metadata.as_ref().map(Metadata::as_str)),
        (NameStatus::Held, "ann", Some("{}"))
    );
    // A place in another namespace is before or after all names of this one.
    let place = |namespace: &str| Some(Place { namespace: namespace.into(), key: "z".into(), claim: None });
    assert_eq!(cluster.list(Some("username"), "", place("email"), 10).names.len(), 3);
    assert_eq!(cluster.list(Some("username"), "", place("zoo"), 10).names.len(), 0);
}

#[test]
fn a_page_of_an_owner_is_full_unless_it_is_the_last() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    let mut ids = Vec::new();
    for n in 0..3 {
        let request = RegisterRequest { id: Some(chosen(n)), ..of("ann", &[&format!("name{n}")]) };
        ids.push(cluster.register(1, request.clone()).id);
        cluster.pass(100);
        // A later twin has a row as well.
        cluster.register(2, request);
        cluster.pass(100);
    }
    cluster.heal();
    let page = |cluster: &mut Cluster, after| match cluster.reply(1, RegistrationsOf::new("ann".into(), after, 2)) {
        Ok(Answer::Registrations(page)) => (page.registrations.iter().map(|it| it.id).collect::<Vec<_>>(), page.next),
        other => panic!("{other:?}"),
    };
    let (first, next) = page(&mut cluster, None);
    assert_eq!(first, ids[..2]);
    assert_eq!(page(&mut cluster, next), (vec![ids[2]], None));
    // A place says by itself where it is, so that a page can follow it also when the registration there was forgotten.
    let second = cluster.view(1, ids[1]).stamp;
    let between = OwnerPlace(crate::clock::Stamp { hlc: Hlc(second.hlc.0 - 1), ..second });
    assert_eq!(page(&mut cluster, Some(between)).0, ids[1..]);
}

#[test]
fn many_names_are_looked_up_at_once() {
    let mut cluster = Cluster::founded(1);
    cluster.claim(1, "alice");
    let asked = ["Alice", "bob", "not a name"].map(name_request).to_vec();
    let Ok(Answer::Names(views)) = cluster.reply(1, NamesOf(asked)) else { panic!("no answer") };
    let statuses: Vec<_> = views.iter().map(|view| view.as_ref().map(|view| view.status).ok()).collect();
    assert_eq!(statuses, [Some(NameStatus::Held), Some(NameStatus::Available), None]);
    for count in [0, MAX_CHECKED + 1] {
        let asked = NamesOf(vec![name_request("a"); count]);
        assert!(matches!(cluster.reply(1, asked), Err(Refusal::InvalidRequest(_))), "{count}");
    }
}

#[test]
fn suggestions_are_free_valid_and_always_the_same() {
    let mut cluster = Cluster::founded(1);
    for name in ["alice", "alice1", "ALICE2"] {
        cluster.claim(1, name);
    }
    let suggested = cluster.suggest("Alice", 3).unwrap();
    assert_eq!(suggested, ["Alice3", "Alice4", "Alice5"]);
    assert_eq!(cluster.suggest("Alice", 3).unwrap(), suggested);
    let disguised = cluster.suggest("\u{430}lice", 3).unwrap();
    assert_eq!(disguised, ["alice3", "alice4", "alice5"], "with a Latin a in place of the Cyrillic one");
    for n in 3..10 {
        cluster.claim(1, &format!("alice{n}"));
    }
    let longer = cluster.suggest("alice", 2).unwrap();
    assert_eq!(longer.len(), 2);
    for name in longer {
        assert_eq!((name.len(), cluster.name(1, &name)), ("alice10".len(), NameStatus::Available), "{name}");
    }
    // Where there is no room for a suffix, it replaces the end of the name.
    let longest = "x".repeat(256);
    assert_eq!(cluster.suggest(&longest, 1).unwrap(), [format!("{}1", "x".repeat(255))]);
    let address = NameRef { namespace: "email".into(), name: "a@example.org".into() };
    let suggested = cluster.reply(1, Suggestions { name: address, count: 3 });
    assert_eq!(suggested, Ok(Answer::Suggestions(Vec::new())));
    assert_eq!(cluster.suggest("alice", 0).unwrap(), [""; 0]);
    assert!(matches!(cluster.suggest("not a name", 1), Err(Refusal::InvalidName { .. })));
    assert!(matches!(cluster.suggest("alice", MAX_SUGGESTIONS + 1), Err(Refusal::InvalidRequest(_))));
}

fn limit(cluster: &mut Cluster, limit: u32) {
    cluster.nodes.values_mut().for_each(|replica| replica.registry.config_mut().max_open_of_owner = Some(limit));
}

#[test]
fn an_owner_may_not_reserve_the_dictionary() {
    let mut cluster = Cluster::founded(1);
    limit(&mut cluster, 3);
    let reserve = |name: &str| Command::Register(RegisterRequest { ttl: Some(60_000), ..of("eve", &[name]) });
    let mut held = Vec::new();
    for name in ["a", "b", "c"] {
        match cluster.reply(1, reserve(name)) {
            Ok(Answer::Registration(view)) => held.push(view.id),
            other => panic!("{other:?}"),
        }
    }
    let refused = Err(Refusal::TooManyOpen { owner: "eve".into(), limit: 3 });
    assert_eq!(cluster.reply(1, reserve("d")), refused);
    cluster.register(1, of("ann", &["d"]));
    // Once it is activated and decided, it is not open any more.
    cluster.reply(1, Command::Activate { id: held[0] }).unwrap();
    cluster.pass(1000);
    assert!(cluster.reply(1, reserve("e")).is_ok());
    assert_eq!(cluster.reply(1, reserve("f")), refused);
    cluster.reply(1, Command::Release { id: held[1] }).unwrap();
    cluster.pass(1000);
    assert!(cluster.reply(1, reserve("f")).is_ok());
    // Reservations that have ended are not counted.
    cluster.pass(70_000);
    for name in ["g", "h", "i"] {
        assert!(cluster.reply(1, reserve(name)).is_ok(), "{name}");
    }
    assert_eq!(cluster.reply(1, reserve("j")), refused);
}

#[test]
fn an_owner_near_the_limit_goes_on_with_names_that_are_decided_at_once() {
    let mut cluster = Cluster::founded(1);
    limit(&mut cluster, 3);
    let of_eve = |name: &str, ttl| Command::Register(RegisterRequest { ttl, ..of("eve", &[name]) });
    let reserve = |name: &str| of_eve(name, Some(60_000));
    let Ok(Answer::Registration(first)) = cluster.reply(1, reserve("a")) else { panic!("it is free") };
    assert!(cluster.reply(1, reserve("b")).is_ok());
    for n in 0..10 {
        assert!(cluster.reply(1, of_eve(&format!("n{n}"), None)).is_ok(), "two are open");
    }
    assert!(cluster.reply(1, reserve("c")).is_ok());
    let refused = Err(Refusal::TooManyOpen { owner: "eve".into(), limit: 3 });
    assert_eq!(cluster.reply(1, reserve("d")), refused);
    cluster.pass(1000);
    assert_eq!(cluster.reply(1, of_eve("e", None)), refused);
    cluster.reply(1, Command::Release { id: first.id }).unwrap();
    cluster.pass(1000);
    assert!(cluster.reply(1, reserve("d")).is_ok());
    assert_eq!(cluster.reply(1, reserve("f")), refused);
    cluster.pass(70_000);
    assert!(cluster.reply(1, reserve("f")).is_ok(), "all have ended");
}

#[test]
fn undecided_registrations_count_and_decided_ones_do_not() {
    let mut cluster = Cluster::founded(2);
    limit(&mut cluster, 2);
    for name in ["a", "b", "c", "d", "e"] {
        cluster.register(1, of("eve", &[name]));
    }
    cluster.cut(1, 2);
    // As many are accepted as the last count still allows, and after a new count as many as the limit.
    let open = (0..9).filter(|n| cluster.reply(1, Command::Register(of("eve", &[&format!("x{n}")]))).is_ok()).count();
    assert!((2..4).contains(&open), "{open}");
    // No conflict has come of these registrations.
    let known = cluster.conflicts(1);
    assert_eq!(known, vec![]);
    cluster.heal();
    assert!(cluster.reply(1, Command::Register(of("eve", &["y"]))).is_ok());
}

fn charged(cluster: &mut Cluster, owner: &str, name: &str, ttl: Option<u64>) -> Result<Uuid, Refusal> {
    let charge = Some(Charge { token: "shop".into(), max_open: Some(3), max_total: None });
    match cluster.reply(1, Command::Register(RegisterRequest { ttl, charge, ..of(owner, &[name]) })) {
        Ok(Answer::Registration(view)) => Ok(view.id),
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => Err(refusal),
    }
}

#[test]
fn a_token_may_not_reserve_the_dictionary_for_many_owners() {
    let mut cluster = Cluster::founded(1);
    let reserve = |cluster: &mut Cluster, name: &str| charged(cluster, &format!("o-{name}"), name, Some(60_000));
    let held: Vec<_> = ["a", "b", "c"].map(|name| reserve(&mut cluster, name).unwrap()).into();
    let refused = Err(Refusal::TokenTooManyOpen { token: "shop".into(), limit: 3 });
    assert_eq!(reserve(&mut cluster, "d"), refused);
    // Owners without a limit, and other tokens, go on.
    cluster.register(1, of("ann", &["d"]));
    let forum = Some(Charge { token: "sho".into(), max_open: Some(1), max_total: None });
    assert!(cluster.reply(1, Command::Register(RegisterRequest { charge: forum, ..of("bob", &["e"]) })).is_ok());
    // After a restart the node still knows the count.
    cluster.settle();
    let replica = cluster.nodes.remove(&node(1)).unwrap();
    let replica = Replica::open(config(1), replica.into_store(), None, cluster.now).unwrap();
    cluster.nodes.insert(node(1), replica);
    assert_eq!(reserve(&mut cluster, "f"), refused);
    cluster.reply(1, Command::Activate { id: held[0] }).unwrap();
    cluster.pass(1000);
    reserve(&mut cluster, "f").unwrap();
    assert_eq!(reserve(&mut cluster, "g"), refused);
    cluster.reply(1, Command::Release { id: held[1] }).unwrap();
    cluster.pass(1000);
    reserve(&mut cluster, "g").unwrap();
    // Reservations that have ended are not counted, and their rows are deleted.
    cluster.pass(70_000);
    for name in ["h", "i", "j"] {
        reserve(&mut cluster, name).unwrap();
    }
    assert_eq!(reserve(&mut cluster, "k"), refused);
    // The row of the other token stays until that token is used again.
    assert_eq!(schema::Charges::count(cluster.nodes[&node(1)].store()), 4);
}

#[test]
fn what_is_decided_does_not_count_for_a_token() {
    let mut cluster = Cluster::founded(2);
    for n in 0..50 {
        charged(&mut cluster, "o", &format!("n{n}"), None).unwrap();
        cluster.settle();
    }
    let notes = schema::Charges::count(cluster.nodes[&node(1)].store());
    assert!(notes <= 2, "{notes} notes of closed registrations are left");
    cluster.cut(1, 2);
    let open = (0..9).filter(|n| charged(&mut cluster, "o", &format!("x{n}"), None).is_ok()).count();
    assert_eq!(open, 3);
}

#[test]
fn times_of_endings_outlive_a_restart() {
    let mut cluster = Cluster::founded(1);
    let alice = cluster.claim(1, "alice");
    cluster.reply(1, Command::Release { id: alice.id }).unwrap();
    cluster.settle();
    let before = cluster.history(1, "alice");
    assert!(before[0].until.is_some());
    let replica = cluster.nodes.remove(&node(1)).unwrap();
    let replica = Replica::open(config(1), replica.into_store(), None, cluster.now).unwrap();
    cluster.nodes.insert(node(1), replica);
    assert_eq!(cluster.history(1, "alice"), before);
}

/// The text for each case must be as in `explanations.txt`, where a change of it can be read. With `FORENAME_RENEW` in
/// the environment the file is written anew.
#[cfg(feature = "node")]
mod words {
    use std::path::Path;

    use super::*;
    use crate::model::Explanation;

    const STORIES: [fn(&mut Told); 13] = [
        a_name_that_nobody_ever_held,
        confirmed,
        pending_on_a_silent_member,
        pending_until_a_majority_holds_it,
        contested_by_an_earlier_claim,
        rejected_while_a_member_is_silent,
        rejected_by_an_earlier_claim,
        rejected_by_the_lower_node_id,
        a_later_twin_counts_for_nothing,
        reserved_then_expiring_then_free,
        released_and_ending_then_free,
        renamed,
        pending_while_a_member_is_put_out,
    ];

    /// The explanations so far, each with its heading.
    #[derive(Default)]
    struct Told(String);

    impl Told {
        fn name(&mut self, heading: &str, cluster: &mut Cluster, n: u64, name: &str, ids: &[(Uuid, &str)]) {
            match cluster.reply(n, ExplainName::new(name_request(name))) {
                Ok(Answer::NameExplanation(facts)) => self.add(heading, &Explanation::from(facts), ids),
                other => panic!("{other:?}"),
            }
        }

        fn registration(&mut self, heading: &str, cluster: &mut Cluster, n: u64, id: Uuid, ids: &[(Uuid, &str)]) {
            match cluster.reply(n, ExplainRegistration::new(id)) {
                Ok(Answer::RegistrationExplanation(facts)) => self.add(heading, &Explanation::from(facts), ids),
                other => panic!("{other:?}"),
            }
        }

        /// Adds an explanation. The ids of registrations, which depend on the time, are replaced by letters.
        fn add(&mut self, heading: &str, explanation: &Explanation, ids: &[(Uuid, &str)]) {
            let text = serde_json::to_string(explanation).unwrap();
            assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), *explanation);
            let case = serde_json::to_value(explanation.case).unwrap();
            let words = explanation.to_string();
            let words = ids.iter().fold(words, |words, (id, letter)| words.replace(&id.to_string(), letter));
            self.0 += &format!("# {heading}: {}\n{words}\n", case.as_str().unwrap());
        }
    }

    #[test]
    fn each_case_in_words() {
        let mut told = Told::default();
        STORIES.iter().for_each(|story| story(&mut told));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/replica/tests/explanations.txt");
        if std::env::var_os("FORENAME_RENEW").is_some() {
            std::fs::write(&path, &told.0).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written == told.0, "{}", told.0);
    }

    #[test]
    fn nothing_is_told_of_what_is_not_known() {
        let unknown = ExplainRegistration::new(chosen(9));
        assert_eq!(Cluster::founded(1).reply(1, unknown), Err(Refusal::NoRegistration(chosen(9))));
    }

    fn a_name_that_nobody_ever_held(told: &mut Told) {
        let mut cluster = Cluster::founded(1);
        told.name("a name that nobody ever held", &mut cluster, 1, "Alice", &[]);
    }

    fn confirmed(told: &mut Told) {
        let mut cluster = Cluster::founded(3);
        let alice = cluster.register(1, of("ann", &["Alice", "al"]));
        told.registration("confirmed", &mut cluster, 2, alice.id, &[(alice.id, "A")]);
    }

    fn pending_on_a_silent_member(told: &mut Told) {
        let mut cluster = Cluster::founded(3);
        cluster.cut(1, 3);
        cluster.cut(2, 3);
        let alice = cluster.register(1, of("ann", &["alice"]));
        cluster.pass(5000);
        told.name("pending on a silent member", &mut cluster, 1, "alice", &[(alice.id, "A")]);
    }

    fn pending_until_a_majority_holds_it(told: &mut Told) {
        let mut cluster = Cluster::founded(2);
        cluster.cut(1, 2);
        let alice = cluster.register(1, of("ann", &["alice"]));
        // The other node's promise has arrived by a relay, and its acknowledgement has not.
        let promise = Promise { hlc: alice.stamp.hlc.next(), ..Promise::default() };
        cluster.nodes.get_mut(&node(1)).unwrap().log.believe(node(2), promise);
        told.registration("pending until a majority holds it", &mut cluster, 1, alice.id, &[(alice.id, "A")]);
    }

    fn contested_by_an_earlier_claim(told: &mut Told) {
        let mut cluster = Cluster::founded(4);
        for (a, b) in cluster.pairs() {
            cluster.cut(a.key_part(), b.key_part());
        }
        let first = cluster.register(1, of("ann", &["alice"]));
        cluster.pass(12_345);
        let second = cluster.register(2, of("bob", &["alice"]));
        cluster.cut.retain(|(a, b)| *a > node(2) || *b > node(2));
        cluster.connect(node(1), node(2));
        cluster.pass(3000);
        let ids = [(first.id, "A"), (second.id, "B")];
        told.registration("contested by an earlier claim", &mut cluster, 2, second.id, &ids);
        told.name("contested by an earlier claim", &mut cluster, 2, "alice", &ids);
    }

    fn rejected_while_a_member_is_silent(told: &mut Told) {
        let mut cluster = Cluster::founded(3);
        for (a, b) in cluster.pairs() {
            cluster.cut(a.key_part(), b.key_part());
        }
        let first = cluster.register(1, of("ann", &["alice"]));
        cluster.pass(12_345);
        let second = cluster.register(2, of("bob", &["alice", "bob"]));
        cluster.cut.retain(|(a, b)| *a == node(3) || *b == node(3));
        cluster.connect(node(1), node(2));
        cluster.pass(3000);
        let ids = [(first.id, "A"), (second.id, "B")];
        told.registration("rejected while a member is silent", &mut cluster, 2, second.id, &ids);
        told.name("rejected while a member is silent", &mut cluster, 2, "bob", &ids);
    }

    fn rejected_by_an_earlier_claim(told: &mut Told) {
        let mut cluster = Cluster::founded(2);
        cluster.cut(1, 2);
        let first = cluster.register(1, of("ann", &["alice"]));
        cluster.pass(2000);
        let second = cluster.register(2, of("bob", &["alice", "bob"]));
        cluster.heal();
        let ids = [(first.id, "A"), (second.id, "B")];
        told.registration("rejected by an earlier claim", &mut cluster, 1, second.id, &ids);
        told.name("rejected by an earlier claim", &mut cluster, 1, "alice", &ids);
        told.name("rejected by an earlier claim", &mut cluster, 1, "bob", &ids);
    }

    fn rejected_by_the_lower_node_id(told: &mut Told) {
        let mut cluster = Cluster::founded(2);
        cluster.cut(1, 2);
        let (first, second) = (cluster.register(1, of("ann", &["a"])), cluster.register(2, of("bob", &["a"])));
        cluster.heal();
        let ids = [(first.id, "A"), (second.id, "B")];
        told.registration("rejected by the lower node id", &mut cluster, 1, second.id, &ids);
    }

    fn a_later_twin_counts_for_nothing(told: &mut Told) {
        let mut cluster = Cluster::founded(2);
        cluster.cut(1, 2);
        let request = RegisterRequest { id: Some(chosen(1)), ..of("ann", &["alice"]) };
        cluster.register(1, request.clone());
        cluster.pass(1000);
        cluster.register(2, request);
        cluster.heal();
        told.registration("a later twin counts for nothing", &mut cluster, 2, chosen(1), &[(chosen(1), "A")]);
    }

    fn reserved_then_expiring_then_free(told: &mut Told) {
        let mut cluster = Cluster::founded(2);
        let alice = cluster.register(1, RegisterRequest { ttl: Some(5000), ..of("ann", &["alice"]) });
        let ids = [(alice.id, "A")];
        told.name("reserved then expiring then free", &mut cluster, 1, "alice", &ids);
        cluster.cut(1, 2);
        cluster.pass(8000);
        told.name("reserved then expiring then free", &mut cluster, 1, "alice", &ids);
        cluster.heal();
        told.name("reserved then expiring then free", &mut cluster, 1, "alice", &ids);
        told.registration("reserved then expiring then free", &mut cluster, 1, alice.id, &ids);
    }

    fn released_and_ending_then_free(told: &mut Told) {
        let mut cluster = Cluster::founded(2);
        let alice = cluster.register(1, of("ann", &["alice", "al"]));
        let ids = [(alice.id, "A")];
        cluster.cut(1, 2);
        cluster.reply(1, Command::ReleaseName { owner: "ann".into(), name: name_request("alice") }).unwrap();
        told.name("released and ending then free", &mut cluster, 1, "alice", &ids);
        cluster.heal();
        told.name("released and ending then free", &mut cluster, 1, "alice", &ids);
        told.registration("released and ending then free", &mut cluster, 1, alice.id, &ids);
    }

    fn renamed(told: &mut Told) {
        let mut cluster = Cluster::founded(1);
        let old = cluster.register(1, of("ann", &["alice"]));
        cluster.pass(1000);
        let replaces = in_place_of(old.id, name_request("alice"));
        let new = cluster.register(1, RegisterRequest { replaces, ..of("ann", &["alicia"]) });
        cluster.settle();
        told.registration("renamed", &mut cluster, 1, old.id, &[(old.id, "A"), (new.id, "B")]);
    }

    fn pending_while_a_member_is_put_out(told: &mut Told) {
        let mut cluster = Cluster::founded(4);
        for (a, b) in [(1, 3), (1, 4), (2, 3), (2, 4), (3, 4)] {
            cluster.cut(a, b);
        }
        let alice = cluster.register(1, of("ann", &["alice"]));
        cluster.pass(3000);
        assert!(cluster.reply(1, ClusterCommand::Evict { node: node(4), force: true }).is_ok());
        cluster.settle();
        told.registration("pending while a member is put out", &mut cluster, 1, alice.id, &[(alice.id, "A")]);
    }
}
