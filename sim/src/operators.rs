//! Adds what operators do to the membership: evictions, leaves and automatic eviction.

use crate::dice::Dice;
use crate::plan::{Action, Ask, Host, Otherwise, Plan};

/// Adds a seed's operators to its plan. Half of the seeds have none.
pub(crate) fn add_operators(seed: u64, plan: &mut Plan) {
    let mut dice = Dice::new(seed, "operators", 0);
    if plan.hosts() < 2 || dice.percent(50) {
        return;
    }
    if dice.percent(30) {
        // One second is the least value that the configuration allows.
        plan.evict_after = Some(dice.within(1000, 6000));
    }
    let evictions = if dice.percent(60) { dice.within(1, 3) } else { 0 };
    // Often all orders come from one operator, who does not contradict herself. Sometimes several nodes get orders at
    // once.
    let (one, at_once) = (dice.percent(60), dice.percent(30));
    let desk = host(&mut dice, plan);
    let begin = dice.below(plan.heal_at.max(1));
    for number in 0..evictions {
        let mut dice = Dice::new(seed, "eviction", number);
        let at = if at_once { begin + dice.below(300) } else { dice.below(plan.heal_at.max(1)) };
        let by = if one { desk } else { host(&mut dice, plan) };
        let whom = host(&mut dice, plan);
        plan.actions.push(Action {
            at: at.min(plan.heal_at),
            host: by,
            ask: Ask::Evict(whom),
            otherwise: Otherwise::GivesUp,
        });
    }
    let departures = if dice.percent(40) { dice.within(1, 2) } else { 0 };
    for number in 0..departures {
        let mut dice = Dice::new(seed, "departure", number);
        let (at, host) = (dice.below(plan.heal_at.max(1)), host(&mut dice, plan));
        plan.actions.push(Action { at, host, ask: Ask::Leave, otherwise: Otherwise::GivesUp });
    }
}

fn host(dice: &mut Dice, plan: &Plan) -> Host {
    usize::try_from(dice.below(plan.hosts() as u64)).unwrap_or(0)
}
