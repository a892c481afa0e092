//! Draws what liars say.

use super::swarm::Swarm;
use crate::dice::Dice;
use crate::plan::{Forged, Forgery, Host, Lie, Mask, Plan};

/// Draws the lies of a seed; most seeds have none.
pub(super) fn lies(seed: u64, plan: &Plan, swarm: &mut Swarm) -> Vec<Lie> {
    if !swarm.on(20) {
        return Vec::new();
    }
    let mut shape = Dice::new(seed, "lies", 0);
    let (strangers, count) = (shape.within(1, 4), shape.within(3, 40));
    let lie = |number: u64| {
        let mut dice = Dice::new(seed, "lie", number);
        let host = any(plan, &mut dice);
        let mask = match dice.below(6) {
            0 => Mask::Former(any(plan, &mut dice)),
            1 => Mask::Next(any(plan, &mut dice)),
            _ => Mask::Stranger(u8::try_from(dice.below(strangers)).unwrap_or(0)),
        };
        Lie { at: dice.below(plan.heal_at.max(1)), host, mask, what: forgery(plan, &mut dice) }
    };
    (0..count).map(lie).collect()
}

fn any(plan: &Plan, dice: &mut Dice) -> Host {
    usize::try_from(dice.below(plan.hosts() as u64)).unwrap_or(0)
}

fn forgery(plan: &Plan, dice: &mut Dice) -> Forgery {
    let of = any(plan, dice);
    let ghost = u8::try_from(dice.below(3)).unwrap_or(0);
    match dice.below(19) {
        0 | 1 => Forgery::Join,
        2 => Forgery::Resume,
        3..=5 => Forgery::Op { of, body: forged(plan, dice, ghost), made_up: dice.percent(20) },
        6 | 7 => Forgery::Promise { of, ahead: *dice.pick(&[0, 4000, 9000, 3_600_000]).unwrap_or(&0) },
        8 => Forgery::Holds,
        9 => Forgery::More,
        10 => Forgery::Fork,
        11 => Forgery::Silent,
        12 => Forgery::Contact(of),
        13 => Forgery::Nominate(ghost),
        14 => Forgery::Evicted,
        15 => Forgery::Used,
        16 => Forgery::Gone,
        17 => Forgery::Skewed,
        _ => Forgery::HangUp,
    }
}

fn forged(plan: &Plan, dice: &mut Dice, ghost: u8) -> Forged {
    let host = any(plan, dice);
    match dice.below(8) {
        0 | 1 => Forged::Register(format!("hot{}", dice.below(12))),
        2 => Forged::Release,
        3 => Forged::Freeze(host),
        4 => Forged::Evict(host),
        5 => Forged::Depart,
        6 => Forged::Retire(host),
        _ => Forged::Admit(ghost),
    }
}
