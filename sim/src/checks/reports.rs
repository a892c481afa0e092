//! Reports for people who want to know why, compared with the oracle: the history of each name, the exception report,
//! explanations, lists of taken names, suggested alternatives.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use forename::clock::Stamp;
use forename::model::{Conflict, ConflictStatus, Contender, History, NameRef, Precedence, Tenure};
use forename::replica::any::{Answer, Request};
use forename::replica::{
    ConflictsOf, ExplainRegistration, HistoryOf, NamesTaken, RegistrationExplanation, Rival, Suggestions,
};
use uuid::Uuid;

use crate::ask::ask_all;
use crate::checks::names::nameable;
use crate::oracle::{Fate, Place, Verdicts};
use crate::plan::Host;
use crate::violation::{Checked, Violation};
use crate::world::World;

/// Rows of a page: few, so that there are many pages.
const PAGE: usize = 3;

/// Checks all reports of a node.
pub(crate) fn check(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    check_history(world, host, verdicts)?;
    check_conflicts(world, host, verdicts)?;
    check_lists(world, host, verdicts)?;
    check_suggestions(world, host, verdicts)?;
    check_explanations(world, host, verdicts)
}

fn bad<T>(host: Host, text: &str) -> Result<T, Violation> {
    Err(Violation { check: "reports", text: format!("host {host}: {text}") })
}

/// The claims of one tenure that a node must show.
struct Wanted {
    claims: Vec<Stamp>,
    /// True where the node may show fewer claims, because some may be forgotten.
    partly: bool,
}

impl Wanted {
    fn of(world: &World, verdicts: &Verdicts, claims: &BTreeSet<Stamp>) -> Self {
        let erased = |stamp: &Stamp| verdicts.fates.get(stamp).is_none_or(|fate| fate.erased);
        let leads = claims.first().is_some_and(|leader| !erased(leader));
        let shown = claims.iter().filter(|stamp| leads && !erased(stamp)).copied().collect();
        Self { claims: shown, partly: world.plan.keep_events.is_some() }
    }

    fn is(&self, shown: &[Stamp]) -> bool {
        if self.partly { shown.iter().all(|stamp| self.claims.contains(stamp)) } else { shown == self.claims }
    }
}

/// Returns the claims that a node shows for a tenure, without those that only their own node knows.
fn shown(world: &World, verdicts: &Verdicts, claims: &[Contender]) -> Vec<Stamp> {
    let alone = |id| world.books.rejected_in_the_void(id);
    let claims = claims.iter().filter(|c| verdicts.fates.contains_key(&c.stamp) || !alone(c.registration));
    claims.map(|claim| claim.stamp).collect()
}

/// Returns the tenure of the first of these claims that the oracle knows, as the claim that the tenure follows (none
/// for the first tenure). The outer option is none where the oracle knows none of them.
fn tenure_of(verdicts: &Verdicts, place: &Place, claims: &[Contender]) -> Option<Option<Stamp>> {
    let tenures = verdicts.tenures.get(place)?;
    let of = |stamp: &Stamp| tenures.iter().find(|(_, claims)| claims.contains(stamp)).map(|(after, _)| *after);
    claims.iter().find_map(|claim| of(&claim.stamp))
}

/// Checks each shown claim of a tenure against the oracle.
fn check_claims(host: Host, place: &Place, verdicts: &Verdicts, claims: &[Contender]) -> Checked {
    for claim in claims {
        let Some(fate) = verdicts.fates.get(&claim.stamp) else { continue };
        let is = (claim.registration, &claim.owner, claim.twin, claim.ended.is_some());
        let wanted = (fate.id(claim.stamp), &fate.register.owner, !fate.first, fate.ended.contains(place));
        if is != wanted {
            return bad(host, &format!("{place:?} shows {} as {is:?}, not {wanted:?}", claim.stamp));
        }
    }
    Ok(())
}

/// Reads several paged answers at once, one page of each per round. `take` receives a page and returns the next
/// request.
fn read_pages(
    world: &mut World,
    host: Host,
    first: Vec<Request>,
    mut take: impl FnMut(usize, Answer) -> Option<Request>,
) -> Result<bool, Violation> {
    let mut open: Vec<(usize, Request)> = first.into_iter().enumerate().collect();
    let mut rounds = 0;
    while !open.is_empty() {
        rounds += 1;
        let answers = ask_all(world, host, open.iter().map(|(_, request)| request.clone()).collect())?;
        if answers.len() < open.len() {
            return bad(host, &format!("does not answer: {open:?}"));
        }
        let mut more = Vec::new();
        for ((index, request), answer) in open.into_iter().zip(answers) {
            let Ok(answer) = answer else { return bad(host, &format!("{request:?}: {answer:?}")) };
            more.extend(take(index, answer).map(|request| (index, request)));
        }
        open = more;
    }
    Ok(rounds > 1)
}

fn check_history(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let names = nameable(world, verdicts);
    let history = |index: usize, after| {
        let (place, name): &(Place, String) = &names[index];
        let name = NameRef { namespace: place.0.clone(), name: name.clone() };
        Request::from(HistoryOf { name, after, limit: PAGE })
    };
    let mut histories: Vec<Vec<Vec<Contender>>> = vec![Vec::new(); names.len()];
    let first = (0..names.len()).map(|index| history(index, None)).collect();
    let several = read_pages(world, host, first, |index, answer| {
        let Answer::History(History { tenures, next, .. }) = answer else { return None };
        let claims = |tenure: Tenure| iter::once(tenure.holder).chain(tenure.losers).collect();
        histories[index].extend(tenures.into_iter().map(claims));
        next.map(|next| history(index, Some(next)))
    })?;
    if several {
        world.mark("a history has several pages");
    }
    for ((place, _), tenures) in names.iter().zip(&histories) {
        check_tenures(world, host, verdicts, place, tenures)?;
    }
    Ok(())
}

fn check_tenures(world: &World, host: Host, verdicts: &Verdicts, place: &Place, tenures: &[Vec<Contender>]) -> Checked {
    let known = |claims: &Vec<Contender>| tenure_of(verdicts, place, claims);
    let order: Vec<_> = tenures.iter().filter_map(known).collect();
    if !order.is_sorted() || order.iter().collect::<BTreeSet<_>>().len() != order.len() {
        return bad(host, &format!("the tenures of {place:?} are out of order: {order:?}"));
    }
    let (all, none) = (&verdicts.tenures[place], BTreeSet::new());
    for claims in tenures {
        let after = known(claims);
        let wanted = Wanted::of(world, verdicts, after.and_then(|after| all.get(&after)).unwrap_or(&none));
        let shown = shown(world, verdicts, claims);
        if !wanted.is(&shown) {
            let text = format!("{place:?} after {after:?} shows {shown:?}, not {:?}", wanted.claims);
            return bad(host, &text);
        }
        check_claims(host, place, verdicts, claims)?;
    }
    for (after, claims) in all {
        let wanted = Wanted::of(world, verdicts, claims);
        if !order.contains(after) && !wanted.partly && !wanted.claims.is_empty() {
            return bad(host, &format!("{place:?} lacks the tenure after {after:?}"));
        }
    }
    Ok(())
}

fn check_conflicts(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let conflicts = conflicts(world, host)?;
    let mut open = BTreeMap::new();
    for (place, tenures) in &verdicts.tenures {
        for (after, claims) in tenures {
            let wanted = Wanted::of(world, verdicts, claims);
            let ids: BTreeSet<Uuid> = wanted.claims.iter().map(|stamp| verdicts.fates[stamp].id(*stamp)).collect();
            if ids.len() > 1 {
                open.insert((place.clone(), *after), (wanted, claims));
            }
        }
    }
    for conflict in &conflicts {
        let Conflict { namespace, key, claims: told, why, status, .. } = conflict;
        let place = (namespace.clone(), key.clone());
        let shown = shown(world, verdicts, told);
        let tenure = tenure_of(verdicts, &place, told).and_then(|after| open.remove(&(place.clone(), after)));
        let Some((wanted, claims)) = tenure else {
            // The conflict is with a claim that only its own node knows.
            if shown.len() < told.len() {
                continue;
            }
            return bad(host, &format!("{place:?} is no conflict, or was told twice: {conflict:?}"));
        };
        let tie =
            claims.iter().nth(1).is_some_and(|second| claims.first().is_some_and(|first| first.hlc == second.hlc));
        if tie {
            world.mark("the node id decides a conflict");
        }
        let whole = shown.len() == claims.len() && told.len() == claims.len();
        if !wanted.is(&shown) || *status != ConflictStatus::Final || (whole && tie != (*why == Precedence::LowestNode))
        {
            return bad(host, &format!("the conflict about {place:?} is not {:?}: {conflict:?}", wanted.claims));
        }
        check_claims(host, &place, verdicts, told)?;
    }
    match open.into_iter().find(|(_, (wanted, _))| !wanted.partly) {
        Some((conflict, _)) => bad(host, &format!("does not report the conflict {conflict:?}")),
        None => Ok(()),
    }
}

fn conflicts(world: &mut World, host: Host) -> Result<Vec<Conflict>, Violation> {
    let report = |after| Request::from(ConflictsOf::new(None, None, after, PAGE));
    let mut all = Vec::new();
    let several = read_pages(world, host, vec![report(None)], |_, answer| {
        let Answer::Conflicts(page) = answer else { return None };
        all.extend(page.conflicts);
        page.next.map(|next| report(Some(next)))
    })?;
    if several {
        world.mark("the exception report has several pages");
    }
    Ok(all)
}

/// Checks the list of all taken names, of each namespace, and of each first character of a key.
fn check_lists(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let held: BTreeMap<&Place, Stamp> =
        verdicts.holders.iter().filter_map(|(place, holder)| Some((place, (*holder)?))).collect();
    let mut parts: BTreeSet<(Option<&str>, String)> = BTreeSet::from([(None, String::new())]);
    for (namespace, key) in held.keys() {
        parts.insert((Some(namespace), String::new()));
        let first: String = key.chars().take(1).collect();
        // A node searches for the key of a prefix that is a valid name. Prefixes that differ from their keys are left
        // out.
        let key = verdicts.rules_of(namespace).key(&first);
        if key.is_err() || key.is_ok_and(|key| key == first) {
            parts.insert((Some(namespace), first));
        }
    }
    let parts: Vec<_> = parts.into_iter().collect();
    let list = |index: usize, after| {
        let (namespace, prefix): &(Option<&str>, String) = &parts[index];
        Request::from(NamesTaken::new(namespace.map(str::to_owned), prefix.clone(), after, PAGE))
    };
    let mut lists: Vec<Vec<(Place, Uuid)>> = vec![Vec::new(); parts.len()];
    let first = (0..parts.len()).map(|index| list(index, None)).collect();
    read_pages(world, host, first, |index, answer| {
        let Answer::Taken(page) = answer else { return None };
        lists[index].extend(page.names.into_iter().map(|name| ((name.namespace, name.key), name.registration)));
        page.next.map(|next| list(index, Some(next)))
    })?;
    for ((namespace, prefix), names) in parts.iter().zip(lists) {
        let within = |place: &Place| {
            namespace.is_none_or(|namespace| namespace == place.0) && place.1.starts_with(prefix.as_str())
        };
        let wanted = held.iter().filter(|(place, _)| within(place));
        let wanted: Vec<_> =
            wanted.map(|(place, holder)| ((*place).clone(), verdicts.fates[holder].id(*holder))).collect();
        if names != wanted {
            return bad(host, &format!("the list of {namespace:?} {prefix:?} is {names:?}, not {wanted:?}"));
        }
    }
    Ok(())
}

/// Checks that suggested names are free and different from each other.
fn check_suggestions(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let taken = |place: &Place| verdicts.holders.get(place).is_some_and(Option::is_some);
    let names: Vec<_> = nameable(world, verdicts).into_iter().filter(|(place, _)| taken(place)).collect();
    let request = |(place, name): &(Place, String)| {
        let name = NameRef { namespace: place.0.clone(), name: name.clone() };
        Request::from(Suggestions { name, count: PAGE })
    };
    let answers = ask_all(world, host, names.iter().map(request).collect())?;
    if answers.len() < names.len() {
        return bad(host, "does not suggest alternatives");
    }
    for ((place, _), answer) in names.iter().zip(answers) {
        let Ok(Answer::Suggestions(suggested)) = answer else {
            return bad(host, &format!("no alternatives to {place:?}: {answer:?}"));
        };
        let rules = verdicts.rules_of(&place.0);
        let free = |name: &String| {
            let key = rules.key(name).ok();
            key.filter(|key| rules.check(name, key).is_ok() && !taken(&(place.0.clone(), key.clone())))
        };
        let keys: BTreeSet<_> = suggested.iter().filter_map(free).collect();
        if keys.len() != suggested.len() || suggested.len() > PAGE {
            return bad(host, &format!("{place:?} is taken, and so are some of {suggested:?}"));
        }
        if !suggested.is_empty() {
            world.mark("alternatives are suggested");
        }
    }
    Ok(())
}

fn check_explanations(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let firsts = verdicts.by_id();
    let ids: Vec<_> = firsts.iter().filter(|(_, (_, fate))| !fate.erased).collect();
    let requests = ids.iter().map(|(id, _)| ExplainRegistration::new(**id).into()).collect();
    let answers = ask_all(world, host, requests)?;
    if answers.len() < ids.len() {
        return bad(host, "does not explain registrations");
    }
    let forgetful = world.plan.keep_events.is_some();
    for ((id, (stamp, fate)), answer) in ids.into_iter().zip(answers) {
        match answer {
            Ok(Answer::RegistrationExplanation(explained)) => {
                if explained.registration.stamp != *stamp || explained.claims.len() != fate.register.claims.len() {
                    return bad(host, &format!("explains another registration as {id}: {explained:?}"));
                }
                check_explanation(host, verdicts, forgetful, (*stamp, fate), &explained)?;
            }
            Err(_) if forgetful => {}
            other => return bad(host, &format!("does not explain {id}: {other:?}")),
        }
    }
    Ok(())
}

fn check_explanation(
    host: Host,
    verdicts: &Verdicts,
    forgetful: bool,
    (stamp, fate): (Stamp, &Fate),
    explained: &RegistrationExplanation,
) -> Checked {
    let wrong = |what: &str| bad(host, &format!("{stamp}: {what}: {explained:?}"));
    let id = fate.id(stamp);
    let twins = verdicts.fates.iter().filter(|(of, fate)| **of != stamp && fate.id(**of) == id);
    if !forgetful && twins.map(|(of, _)| *of).collect::<Vec<_>>() != explained.twins {
        return wrong("it has other twins");
    }
    if explained.wait.is_some() {
        return wrong("nothing is open any more");
    }
    for (claim, why) in fate.register.claims.iter().zip(&explained.claims) {
        let place = (claim.namespace.clone(), claim.key.clone());
        let tenure = &verdicts.tenures[&place][&claim.after];
        let follows_loser = claim.after.is_some_and(|after| verdicts.displaced.contains(&(after, place.clone())));
        if !names_winner(verdicts, forgetful, stamp, follows_loser, tenure, why.lost_to.as_ref()) {
            return wrong("it lost to another, or to nobody");
        }
        let leads = tenure.first() == Some(&stamp);
        let others = tenure.iter().filter(|of| leads && is_known(verdicts, of) && verdicts.fates[of].id(**of) != id);
        let others: Vec<_> = others.copied().collect();
        let rivals = why.won_against.iter().map(|rival| rival.stamp);
        let rivals: Vec<_> = rivals.filter(|of| verdicts.fates.contains_key(of)).collect();
        let all = forgetful && rivals.iter().all(|of| others.contains(of)) || rivals == others;
        if !all {
            return wrong("it won against others");
        }
        let replaces = |of: &Stamp| {
            let by = verdicts.fates.get(of).filter(|fate| fate.won);
            by.and_then(|fate| fate.register.replaces.as_ref())
                .is_some_and(|ended| (ended.registration, &ended.namespace, &ended.key) == (stamp, &place.0, &place.1))
        };
        if why.replaced_by.as_ref().is_some_and(|rival| !replaces(&rival.stamp)) {
            return wrong("it was not replaced by that");
        }
    }
    Ok(())
}

fn is_known(verdicts: &Verdicts, of: &Stamp) -> bool {
    verdicts.fates.get(of).is_some_and(|fate| !fate.erased)
}

/// Returns true where the claim is said to have lost to the leader of its tenure, or to nobody where it leads. A claim
/// that follows a loser may have lost to one of several.
fn names_winner(
    verdicts: &Verdicts,
    forgetful: bool,
    stamp: Stamp,
    follows_loser: bool,
    tenure: &BTreeSet<Stamp>,
    lost_to: Option<&Rival>,
) -> bool {
    let winner = tenure.first().filter(|leader| **leader != stamp);
    match (lost_to, winner) {
        (Some(_), _) if follows_loser => true,
        // Where the winner is forgotten, a later leader of the name takes its place.
        (Some(rival), Some(winner)) => rival.stamp == *winner || forgetful || !is_known(verdicts, winner),
        (Some(_), None) => false,
        (None, Some(winner)) => forgetful || !is_known(verdicts, winner),
        (None, None) => !follows_loser || forgetful,
    }
}
