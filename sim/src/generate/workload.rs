//! Draws the requests of clients.

use super::swarm::{Size, Swarm};
use crate::dice::Dice;
use crate::plan::{Action, Ask, At, Book, Errand, Otherwise, Plan, Slot, VAULT, Wish};

/// The kinds of request and how often each is made in this seed.
struct Taste {
    weights: Vec<(u64, Kind)>,
    hot: u64,
    hot_percent: u64,
    many: u64,
    reservations: u64,
    waits: u64,
    own_ids: u64,
    home: bool,
    /// The percentage of requests with a rival: another client wants the same name at the same time, or the same client
    /// asks another node as well.
    rivals: u64,
    /// The milliseconds within which the rival asks.
    same_time: u64,
    /// The percentage of clients that go to another node when theirs is down, and of those that wait.
    moves: u64,
    patient: u64,
    /// The percentage of names in a scoped namespace.
    scoped: u64,
    /// The percentage of clients with an API token, and the number of registrations that the token may have open.
    charged: u64,
    max_open: u32,
    /// The greatest number of names in one import, and the bytes of metadata.
    import: (u64, usize),
}

impl Taste {
    fn kind(&self, dice: &mut Dice) -> Kind {
        let total: u64 = self.weights.iter().map(|(weight, _)| weight).sum();
        let mut throw = dice.below(total.max(1));
        let kind = self.weights.iter().find(|(weight, _)| {
            let here = throw < *weight;
            throw = throw.saturating_sub(*weight);
            here
        });
        kind.map_or(Kind::Register, |(_, kind)| *kind)
    }

    fn otherwise(&self, dice: &mut Dice) -> Otherwise {
        let throw = dice.below(100);
        if throw < self.moves {
            Otherwise::Elsewhere
        } else if throw < self.moves + self.patient {
            Otherwise::Waits(dice.within(100, 3000))
        } else {
            Otherwise::GivesUp
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Register,
    Rename,
    Retry,
    Activate,
    Extend,
    Erase,
    Release,
    ReleaseName,
    Show,
    Look,
    Owner,
    Report,
    Invalid,
    Reuse,
    Import,
    Rules,
    Webhook,
}

fn taste(dice: &mut Dice, swarm: &mut Swarm) -> Taste {
    let mut weights = vec![(dice.within(50, 120), Kind::Register)];
    for (kind, weight) in [
        (Kind::Rename, 10),
        (Kind::Retry, 20),
        (Kind::Activate, 15),
        (Kind::Release, 30),
        (Kind::ReleaseName, 10),
        (Kind::Show, 10),
        (Kind::Look, 5),
        (Kind::Owner, 2),
        (Kind::Report, 5),
        (Kind::Invalid, 2),
        (Kind::Reuse, 2),
        (Kind::Extend, 20),
        (Kind::Erase, 15),
    ] {
        if swarm.on(70) {
            weights.push((dice.within(1, weight * 2), kind));
        }
    }
    if swarm.on(15) {
        weights.push((2, Kind::Import));
    }
    if swarm.on(25) {
        weights.push((dice.within(1, 10), Kind::Rules));
    }
    if swarm.on(15) {
        weights.push((dice.within(1, 10), Kind::Webhook));
    }
    Taste {
        weights,
        hot: dice.within(1, 6),
        hot_percent: if swarm.on(50) { dice.within(5, 40) } else { dice.within(20, 90) },
        many: if swarm.on(60) { dice.within(10, 60) } else { 0 },
        reservations: if swarm.on(60) { dice.within(10, 60) } else { 0 },
        waits: if swarm.on(60) { dice.within(10, 80) } else { 0 },
        own_ids: if swarm.on(80) { dice.within(20, 100) } else { 0 },
        home: swarm.on(10),
        rivals: if swarm.on(80) { dice.within(10, 100) } else { 0 },
        same_time: *dice.pick(&[1, 20, 300, 5000]).unwrap_or(&1),
        moves: if swarm.on(70) { dice.within(20, 80) } else { 0 },
        patient: 20,
        charged: if swarm.on(20) { dice.within(30, 100) } else { 0 },
        max_open: u32::try_from(dice.within(1, 8)).unwrap_or(1),
        scoped: if swarm.on(25) { dice.within(5, 40) } else { 0 },
        import: (dice.within(5, 60), *dice.pick(&[0, 10, 400]).unwrap_or(&0)),
    }
}

/// Draws the requests of clients.
pub(super) fn actions(seed: u64, plan: &Plan, size: Size, swarm: &mut Swarm) -> Vec<Action> {
    let mut dice = Dice::new(seed, "workload", 0);
    let taste = taste(&mut dice, swarm);
    let count = dice.within(size.actions / 2, size.actions);
    let mut actions = Vec::new();
    let mut registered = Vec::new();
    for (number, at) in times(&mut dice, count, plan.heal_at, swarm.on(40)).into_iter().enumerate() {
        let mut dice = Dice::new(seed, "action", number as u64);
        let kind = taste.kind(&mut dice);
        let slot = Slot::try_from(number).unwrap_or(0);
        let home = if taste.home { 0 } else { usize::try_from(dice.below(plan.hosts() as u64)).unwrap_or(0) };
        let earlier = earlier(&registered, &mut dice);
        let ask = ask(kind, slot, earlier, &mut dice, &taste);
        let rival = rival(&ask, slot, &mut dice, &taste);
        if matches!(ask, Ask::Register(_)) {
            registered.push(slot);
        }
        let at = at.min(plan.heal_at);
        actions.push(Action { at, host: home, ask, otherwise: taste.otherwise(&mut dice) });
        if let Some(ask) = rival {
            let at = (at + dice.below(taste.same_time)).min(plan.heal_at);
            let host = usize::try_from(dice.below(plan.hosts() as u64)).unwrap_or(0);
            actions.push(Action { at, host, ask, otherwise: taste.otherwise(&mut dice) });
        }
    }
    add_private(seed, plan, &mut actions);
    actions
}

/// Draws the times of the requests, in order, and in bursts where the seed has them.
fn times(dice: &mut Dice, count: u64, until: At, bursts: bool) -> Vec<At> {
    let mut at = 0;
    let mut times: Vec<_> = (0..count)
        .map(|_| {
            at = if bursts && dice.percent(70) { at + dice.below(3) } else { dice.below(until) };
            at
        })
        .collect();
    times.sort_unstable();
    times
}

/// Draws an earlier registration. Clients mostly deal with their latest ones.
fn earlier(registered: &[Slot], dice: &mut Dice) -> Slot {
    let reach = if dice.percent(70) { 6 } else { registered.len() as u64 };
    let back = usize::try_from(dice.below(reach.max(1))).unwrap_or(0);
    registered.iter().rev().nth(back).or(registered.first()).copied().unwrap_or(0)
}

/// The first slot of rivals.
const RIVALS: Slot = 1 << 20;

/// Draws a request of a rival: somebody else wants one of the names too, or the same client asks again at once.
fn rival(ask: &Ask, slot: Slot, dice: &mut Dice, taste: &Taste) -> Option<Ask> {
    if let Ask::Rules(first) = ask {
        // Another operator wants other rules.
        let rules = Book { namespace: first.namespace.clone(), ..book(dice) };
        return dice.percent(taste.rivals).then_some(Ask::Rules(rules));
    }
    let Ask::Register(first) = ask else { return None };
    if !dice.percent(taste.rivals) {
        return None;
    }
    if first.own_id && dice.percent(40) {
        return Some(Ask::Retry(slot));
    }
    let mut wish = wish(RIVALS + slot, dice, taste);
    wish.names.retain(|name| !first.names.contains(name));
    wish.names.extend(dice.pick(&first.names).cloned());
    Some(Ask::Register(wish))
}

fn ask(kind: Kind, slot: Slot, earlier: Slot, dice: &mut Dice, taste: &Taste) -> Ask {
    let place = usize::try_from(dice.below(2)).unwrap_or(0);
    match kind {
        Kind::Register => Ask::Register(wish(slot, dice, taste)),
        Kind::Rename => {
            let mut wish = wish(slot, dice, taste);
            wish.owner = format!("owner{}", earlier % 3);
            Ask::Register(Wish { replaces: Some((earlier, place)), respelt: dice.percent(30), ..wish })
        }
        Kind::Retry => Ask::Retry(earlier),
        Kind::Activate => Ask::Activate(earlier),
        Kind::Extend => Ask::Extend(earlier, dice.within(1, 8000)),
        Kind::Erase => Ask::Erase(earlier),
        Kind::Release => Ask::Release(earlier),
        Kind::ReleaseName => Ask::ReleaseName(earlier, place),
        Kind::Show => Ask::Show(earlier, dice.percent(50).then(|| dice.below(4000))),
        Kind::Look => Ask::Look(name(dice, taste)),
        Kind::Report => match dice.below(6) {
            0 => Ask::Explain(earlier),
            1 => Ask::ExplainName(name(dice, taste)),
            2 => Ask::History(name(dice, taste)),
            3 => Ask::Conflicts,
            4 => Ask::List,
            _ => Ask::Suggest(name(dice, taste)),
        },
        Kind::Owner => Ask::Owner(format!("owner{}", dice.below(3))),
        Kind::Invalid => {
            let mut wish = wish(slot, dice, taste);
            match dice.below(3) {
                0 => wish.names.push("not a name".to_owned()),
                1 => wish.names.clear(),
                _ => wish.ttl = Some(0),
            }
            Ask::Register(wish)
        }
        Kind::Import => Ask::Import(slot, u32::try_from(dice.within(1, taste.import.0)).unwrap_or(1), taste.import.1),
        Kind::Rules => Ask::Rules(book(dice)),
        Kind::Webhook => Ask::Webhook(errand(dice)),
        // This is another registration under the id of an earlier one.
        Kind::Reuse => Ask::Register(Wish { id_of: Some(earlier), own_id: true, ..wish(slot, dice, taste) }),
    }
}

/// Draws a change of one of two webhooks. There are only two, so that changes of the same webhook often meet.
fn errand(dice: &mut Dice) -> Errand {
    let number = u8::from(dice.percent(50));
    match dice.below(8) {
        6 | 7 => Errand::Stop(number),
        0 | 1 => Errand::Make(number),
        2 => Errand::Turn(number, dice.percent(50)),
        3 | 4 => Errand::Rotate(number, 2 + u8::from(dice.percent(50))),
        _ => Errand::Remove(number),
    }
}

/// The number of scoped namespaces. Such a namespace has no names before somebody claims one.
const SCOPES: u64 = 3;

fn book(dice: &mut Dice) -> Book {
    let scoped = format!("org/{}/tag", dice.below(SCOPES));
    let known = ["username", "email"].map(str::to_owned);
    let namespace = if dice.percent(50) { scoped } else { dice.pick(&known).cloned().unwrap_or(scoped) };
    let address = if namespace == "email" { "@example.org" } else { "" };
    let names = (0..dice.below(3)).map(|_| format!("Hot{}{address}", dice.below(8)));
    let reserved = names.collect();
    let (opaque, least) = (dice.percent(30), usize::try_from(dice.within(1, 6)).unwrap_or(1));
    Book { namespace, opaque, least, reserved, private: false }
}

fn name(dice: &mut Dice, taste: &Taste) -> String {
    if dice.percent(taste.scoped) {
        return format!("org/{}/tag/Hot{}", dice.below(SCOPES), dice.below(taste.hot * 4));
    }
    if dice.percent(taste.hot_percent) {
        format!("hot{}", dice.below(taste.hot * 4))
    } else if dice.percent(20) {
        format!("email/cold{}@example.org", dice.below(500))
    } else {
        format!("Cold{}", dice.below(2000))
    }
}

fn wish(slot: Slot, dice: &mut Dice, taste: &Taste) -> Wish {
    let mut names = vec![name(dice, taste)];
    while dice.percent(taste.many) && names.len() < 4 {
        let more = name(dice, taste);
        if !names.contains(&more) {
            names.push(more);
        }
    }
    Wish {
        slot,
        own_id: dice.percent(taste.own_ids),
        id_of: None,
        owner: format!("owner{}", slot % 3),
        names,
        ttl: dice.percent(taste.reservations).then(|| dice.within(1, 8000)),
        replaces: None,
        respelt: false,
        wait: dice.percent(taste.waits).then(|| dice.below(6000)),
        discreet: false,
        max_open: dice.percent(taste.charged).then_some(taste.max_open),
    }
}

/// The first slot of registrations of private names.
const PRIVATE: Slot = 1 << 21;

/// Adds private names in a quarter of the seeds: a namespace that is private from the start, and callers who may not
/// learn whether its names exist.
fn add_private(seed: u64, plan: &Plan, actions: &mut Vec<Action>) {
    let mut dice = Dice::new(seed, "private", 0);
    if !dice.percent(25) {
        return;
    }
    let book = Book { namespace: VAULT.to_owned(), opaque: false, least: 1, reserved: Vec::new(), private: true };
    actions.push(Action { at: 0, host: 0, ask: Ask::Rules(book), otherwise: Otherwise::Waits(200) });
    let (hot, discreet, own) = (dice.within(1, 6), dice.within(10, 100), dice.within(20, 100));
    for number in 0..dice.within(5, 60) {
        let mut dice = Dice::new(seed, "private action", number);
        let slot = PRIVATE + Slot::try_from(number).unwrap_or(0);
        let earlier = PRIVATE + Slot::try_from(dice.below(number + 1)).unwrap_or(0);
        let ask = match dice.below(20) {
            0 => Ask::Retry(earlier),
            1 => Ask::Activate(earlier),
            2 | 3 => Ask::Release(earlier),
            4 => Ask::ReleaseName(earlier, 0),
            5 => Ask::Look(format!("{VAULT}/hush-a-bye{}", dice.below(hot))),
            kind => {
                let mut names = vec![format!("{VAULT}/Hush-a-bye{}", dice.below(hot))];
                let more = match dice.below(5) {
                    0 => Some(format!("{VAULT}/hush-a-bye{}", hot + dice.below(hot))),
                    1 => Some(format!("hot{}", dice.below(8))),
                    _ => None,
                };
                names.extend(more);
                let replaces = (kind == 6).then_some((earlier, 0));
                let owner = if replaces.is_some() { earlier } else { slot } % 3;
                Ask::Register(Wish {
                    slot,
                    own_id: dice.percent(own),
                    id_of: None,
                    owner: format!("owner{owner}"),
                    names,
                    ttl: dice.percent(40).then(|| dice.within(1, 8000)),
                    replaces,
                    respelt: false,
                    wait: dice.percent(30).then(|| dice.below(6000)),
                    discreet: dice.percent(discreet),
                    max_open: None,
                })
            }
        };
        let (at, host) = (dice.within(500, plan.heal_at.max(501)), dice.below(plan.hosts() as u64));
        let host = usize::try_from(host).unwrap_or(0);
        actions.push(Action { at: at.min(plan.heal_at), host, ask, otherwise: Otherwise::Elsewhere });
    }
}
