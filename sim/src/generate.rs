//! From a seed to a plan. Each seed switches whole kinds of operation and fault on or off (swarm testing: Groce et al.,
//! "Swarm Testing", 2012), because what is always on hides what happens without it.

use crate::dice::Dice;
use crate::operators::add_operators;
use crate::plan::{Action, Ask, Disk, Fault, Host, Joiner, Links, Plan, Slot, Trouble, Wish};

/// How large the runs are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Machines at most.
    pub hosts: usize,
    /// Operations of clients at most.
    pub actions: u64,
    /// Virtual milliseconds until everything is healed, at most.
    pub lasts: u64,
}

impl Default for Size {
    /// Five nodes and some two hundred operations: enough for every rule, small enough for a hundred runs a second.
    fn default() -> Self {
        Self { hosts: 5, actions: 220, lasts: 25_000 }
    }
}

/// What a seed switches on.
struct Swarm {
    dice: Dice,
}

impl Swarm {
    fn on(&mut self, percent: u64) -> bool {
        self.dice.percent(percent)
    }
}

/// The plan of a seed.
#[must_use]
pub fn generate(seed: u64, size: Size) -> Plan {
    let mut dice = Dice::new(seed, "shape", 0);
    let mut swarm = Swarm { dice: Dice::new(seed, "swarm", 0) };
    let most = if dice.percent(15) { size.hosts + 3 } else { size.hosts };
    let hosts = usize::try_from(dice.within(1, most as u64)).unwrap_or(1);
    let joining = if swarm.on(60) { usize::try_from(dice.below(hosts as u64)).unwrap_or(0) } else { 0 };
    let founders = hosts - joining;
    let lasts = dice.within(size.lasts / 3, size.lasts);
    let clocks = clocks(seed, hosts, &mut swarm);
    let mut plan = Plan {
        seed,
        founders,
        joiners: joiners(seed, founders..hosts, founders, lasts),
        links: links(&mut dice, &mut swarm),
        disk: Disk { least: dice.within(50, 2000), jitter: if swarm.on(60) { dice.within(0, 30_000) } else { 0 } },
        clocks,
        evict_after: None,
        actions: Vec::new(),
        faults: Vec::new(),
        heal_at: lasts,
        patience: 120_000,
    };
    plan.actions = actions(seed, &plan, size, &mut swarm);
    plan.faults = faults(seed, &plan, &mut swarm);
    add_operators(seed, &mut plan);
    plan
}

fn joiners(seed: u64, hosts: std::ops::Range<Host>, founders: usize, lasts: u64) -> Vec<Joiner> {
    let mut shape = Dice::new(seed, "joiners", 0);
    // Half of the time they all come at once, mostly early.
    let (from, within) = if shape.percent(50) { (shape.below(lasts / 2), 400) } else { (0, lasts) };
    let joiner = |host: Host| {
        let mut dice = Dice::new(seed, "joiner", host as u64);
        // A newcomer may ask another newcomer.
        let sponsor = if dice.percent(60) { dice.below(founders as u64) } else { dice.below(host as u64) };
        Joiner { at: from + dice.below(within), sponsor: usize::try_from(sponsor).unwrap_or(0) }
    };
    hosts.map(joiner).collect()
}

fn links(dice: &mut Dice, swarm: &mut Swarm) -> Links {
    let least = *dice.pick(&[100, 1000, 20_000, 80_000]).unwrap_or(&100);
    Links {
        least,
        jitter: if swarm.on(70) { dice.within(0, least * 3) } else { 0 },
        slow: if swarm.on(30) { 5 } else { 0 },
        loss: if swarm.on(30) { dice.within(1, 20) } else { 0 },
        twice: if swarm.on(30) { dice.within(1, 10) } else { 0 },
        idle: *dice.pick(&[200, 1000, 5000]).unwrap_or(&1000),
    }
}

fn clocks(seed: u64, hosts: usize, swarm: &mut Swarm) -> Vec<(i64, i64)> {
    let (skewed, wild) = (swarm.on(60), swarm.on(10));
    let clock = |host: usize| {
        let mut dice = Dice::new(seed, "clock", host as u64);
        let most = if wild { 15_000 } else { 800 };
        let offset = i64::try_from(dice.below(2 * most)).unwrap_or(0) - i64::try_from(most).unwrap_or(0);
        let drift = i64::try_from(dice.below(2000)).unwrap_or(0) - 1000;
        if skewed { (offset, drift) } else { (0, 0) }
    };
    (0..hosts).map(clock).collect()
}

/// Kinds of request and how often each is made, by this seed's taste.
struct Taste {
    weights: Vec<(u64, Kind)>,
    hot: u64,
    hot_percent: u64,
    many: u64,
    reservations: u64,
    waits: u64,
    own_ids: u64,
    home: bool,
    /// How often somebody else wants the same name at the same time, or the client asks another node as well.
    rivals: u64,
    /// Within how many milliseconds.
    same_time: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Register,
    Rename,
    Retry,
    Activate,
    Release,
    ReleaseName,
    Show,
    Look,
    Owner,
    Invalid,
    Reuse,
}

fn taste(dice: &mut Dice, swarm: &mut Swarm) -> Taste {
    let mut weights = vec![(dice.within(20, 60), Kind::Register)];
    for (kind, weight) in [
        (Kind::Rename, 10),
        (Kind::Retry, 20),
        (Kind::Activate, 15),
        (Kind::Release, 30),
        (Kind::ReleaseName, 10),
        (Kind::Show, 10),
        (Kind::Look, 5),
        (Kind::Owner, 2),
        (Kind::Invalid, 2),
        (Kind::Reuse, 2),
    ] {
        if swarm.on(70) {
            weights.push((dice.within(1, weight * 2), kind));
        }
    }
    Taste {
        weights,
        hot: dice.within(1, 6),
        hot_percent: dice.within(10, 95),
        many: if swarm.on(60) { dice.within(10, 60) } else { 0 },
        reservations: if swarm.on(60) { dice.within(10, 60) } else { 0 },
        waits: if swarm.on(60) { dice.within(10, 80) } else { 0 },
        own_ids: if swarm.on(80) { dice.within(20, 100) } else { 0 },
        home: swarm.on(10),
        rivals: if swarm.on(80) { dice.within(10, 100) } else { 0 },
        same_time: *dice.pick(&[1, 20, 300, 5000]).unwrap_or(&1),
    }
}

fn actions(seed: u64, plan: &Plan, size: Size, swarm: &mut Swarm) -> Vec<Action> {
    let mut dice = Dice::new(seed, "workload", 0);
    let taste = taste(&mut dice, swarm);
    let count = dice.within(size.actions / 10, size.actions);
    let bursts = swarm.on(40);
    let mut at = 0;
    let mut actions = Vec::new();
    let total: u64 = taste.weights.iter().map(|(weight, _)| weight).sum();
    for number in 0..count {
        let mut dice = Dice::new(seed, "action", number);
        at = if bursts && dice.percent(70) { at + dice.below(3) } else { dice.below(plan.heal_at) };
        let mut throw = dice.below(total.max(1));
        let kind = taste.weights.iter().find(|(weight, _)| {
            let here = throw < *weight;
            throw = throw.saturating_sub(*weight);
            here
        });
        let kind = kind.map_or(Kind::Register, |(_, kind)| *kind);
        let slot = Slot::try_from(number).unwrap_or(0);
        let host = if taste.home { 0 } else { usize::try_from(dice.below(plan.hosts() as u64)).unwrap_or(0) };
        let ask = ask(kind, slot, &mut dice, &taste);
        let rival = rival(&ask, slot, &mut dice, &taste);
        actions.push(Action { at: at.min(plan.heal_at), host, ask });
        if let Some(ask) = rival {
            let at = (at + dice.below(taste.same_time)).min(plan.heal_at);
            let host = usize::try_from(dice.below(plan.hosts() as u64)).unwrap_or(0);
            actions.push(Action { at, host, ask });
        }
    }
    actions
}

/// Slots from here on are those of rivals.
const RIVALS: Slot = 1 << 20;

/// Somebody who wants one of the names as well, or the same client in haste.
fn rival(ask: &Ask, slot: Slot, dice: &mut Dice, taste: &Taste) -> Option<Ask> {
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

fn ask(kind: Kind, slot: Slot, dice: &mut Dice, taste: &Taste) -> Ask {
    // Clients care most for what they did last.
    let reach = if dice.percent(70) { 8 } else { u64::from(slot) };
    let earlier = slot.saturating_sub(1 + Slot::try_from(dice.below(reach.max(1))).unwrap_or(0));
    let place = usize::try_from(dice.below(2)).unwrap_or(0);
    match kind {
        Kind::Register => Ask::Register(wish(slot, dice, taste)),
        Kind::Rename => {
            let mut wish = wish(slot, dice, taste);
            wish.owner = format!("owner{}", earlier % 3);
            Ask::Register(Wish { replaces: Some((earlier, place)), ..wish })
        }
        Kind::Retry => Ask::Retry(earlier),
        Kind::Activate => Ask::Activate(earlier),
        Kind::Release => Ask::Release(earlier),
        Kind::ReleaseName => Ask::ReleaseName(earlier, place),
        Kind::Show => Ask::Show(earlier, dice.percent(50).then(|| dice.below(4000))),
        Kind::Look => Ask::Look(name(dice, taste)),
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
        // Another wish under the id of an earlier one.
        Kind::Reuse => Ask::Register(Wish { id_of: Some(earlier), own_id: true, ..wish(slot, dice, taste) }),
    }
}

fn name(dice: &mut Dice, taste: &Taste) -> String {
    if dice.percent(taste.hot_percent) {
        format!("hot{}", dice.below(taste.hot * 4))
    } else if dice.percent(20) {
        format!("email/cold{}@example.org", dice.below(50))
    } else {
        format!("Cold{}", dice.below(200))
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
        wait: dice.percent(taste.waits).then(|| dice.below(6000)),
    }
}

/// Kinds of fault, each with how often a seed that has it switched on sees it at most.
fn faults(seed: u64, plan: &Plan, swarm: &mut Swarm) -> Vec<Fault> {
    let mut faults = Vec::new();
    if swarm.on(10) {
        return faults;
    }
    for (kind, most) in [6, 4, 4, 1, 3, 5, 5, 4, 4, 4, 6, 2].into_iter().enumerate() {
        if !swarm.on(40) {
            continue;
        }
        let count = Dice::new(seed, "faults", kind as u64).within(1, most);
        for number in 0..count {
            let mut dice = Dice::new(seed, "fault", (kind as u64) << 32 | number);
            let at = dice.below(plan.heal_at.max(1));
            let lasts = if dice.percent(50) { dice.below(2000) } else { dice.below(15_000) };
            faults.extend(trouble(kind, plan, &mut dice).map(|what| Fault { at, lasts, what }));
        }
    }
    faults
}

fn trouble(kind: usize, plan: &Plan, dice: &mut Dice) -> Option<Trouble> {
    let hosts = plan.hosts();
    let host = usize::try_from(dice.below(hosts as u64)).unwrap_or(0);
    let other = (host + 1 + usize::try_from(dice.below((hosts as u64).saturating_sub(1))).unwrap_or(0)) % hosts;
    let pairs = |dice: &mut Dice| -> Vec<(Host, Host)> {
        let all = (0..hosts).flat_map(|a| (0..hosts).map(move |b| (a, b))).filter(|(a, b)| a != b);
        all.filter(|_| dice.percent(40)).collect()
    };
    if hosts < 2 && matches!(kind, 5..=10) {
        return None;
    }
    Some(match kind {
        0 => Trouble::Crash { host, kept: dice.below(101) },
        1 => Trouble::CrashWithin { host, outputs: usize::try_from(dice.below(4)).unwrap_or(0) },
        2 => Trouble::Pause(host),
        3 => Trouble::DiskFails(host),
        4 => Trouble::SlowDisk(host, dice.within(5, 100)),
        5 => Trouble::Split((0..hosts).filter(|_| dice.percent(50)).collect()),
        6 => Trouble::Cut(pairs(dice)),
        7 => Trouble::OneWay(pairs(dice)),
        8 => Trouble::SlowLink(host, other, dice.within(2, 50)),
        9 => Trouble::Lossy(host, other, dice.within(5, 90)),
        10 => Trouble::Kill(host, other),
        _ => Trouble::ClockStep(host, i64::try_from(dice.below(40_000)).unwrap_or(0) - 20_000),
    })
}
