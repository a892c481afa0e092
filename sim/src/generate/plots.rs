//! Plots: joins and evictions that meet. Chance alone brings it about too seldom that newcomers are half-way in while
//! somebody is evicted, that evictions cross, or that an evicted node is the only one to hold what counts. What
//! happens in a plot may go well or not come about: only the beginning is laid out, chance does the rest.

mod goings;

use crate::dice::Dice;
use crate::plan::{Action, Ask, At, Ending, Fault, Host, Joiner, Kind, Otherwise, Pick, Plan, Slot, Trouble, Wish};

/// Slots from here on are those of clients in plots.
const CLIENTS: Slot = 1 << 21;

/// What a plot is about.
#[derive(Clone, Copy)]
enum Story {
    /// A member is evicted that lets newcomers in, and nobody else hears of that.
    Unheard,
    /// The same, while the eviction waits for a member that stands still.
    Waiting,
    /// Founders evict one of them; it lets newcomers in meanwhile, and they evict the others together.
    Crossing,
    /// One that evicts another is evicted itself, and alone has all ops of that other.
    Chain,
    /// The replacement of a dead member starts before that is evicted.
    Replacement,
    /// A member leaves while a newcomer is being let in.
    LeaveAtJoin,
    /// Several members leave at once.
    TwoLeaves,
    /// A member leaves while another is dead.
    LeaveBesideDead,
    /// A member leaves while clients ask all the time.
    LeaveUnderLoad,
    /// A member that leaves dies, or evicts another, or is evicted, at the same moment.
    LastWord,
}

/// The stories of members that come and go at the same time.
const GOINGS: [Story; 6] = [
    Story::Replacement,
    Story::LeaveAtJoin,
    Story::TwoLeaves,
    Story::LeaveBesideDead,
    Story::LeaveUnderLoad,
    Story::LastWord,
];

/// A story with its persons.
pub(super) struct Plot {
    dice: Dice,
    story: Story,
    pub(super) founders: usize,
    pub(super) joining: usize,
}

impl Plot {
    /// The plot of a seed; most have none, and small clusters never do.
    pub(super) fn of(seed: u64, hosts: usize) -> Option<Self> {
        let mut dice = Dice::new(seed, "plot", 0);
        if hosts < 5 {
            return None;
        }
        let stories: &[Story] = match dice.below(100) {
            0..12 => &[Story::Unheard, Story::Waiting, Story::Crossing, Story::Chain],
            12..26 => &GOINGS,
            _ => return None,
        };
        let story = *dice.pick(stories)?;
        let (founders, joining) = match story {
            Story::Unheard | Story::Waiting => (dice.within(4, 5), 1),
            Story::Crossing => (3, dice.within(2, 3)),
            Story::Chain => (dice.within(5, 6), 0),
            story => story.persons(&mut dice),
        };
        let size = |count| usize::try_from(count).unwrap_or(0);
        Some(Self { dice, story, founders: size(founders), joining: size(joining) })
    }

    /// Puts it into the plan, in place of other operators.
    pub(super) fn lay_out(mut self, plan: &mut Plan) {
        plan.ending = Ending::Healed;
        if self.dice.percent(60) {
            plan.faults.clear();
        }
        plan.faults.retain(|fault| !matches!(fault.what, Trouble::OldDisk { .. }));
        let begin = 1000 + self.dice.below(plan.heal_at / 3);
        match self.story {
            Story::Chain => self.chain(plan, begin),
            Story::Unheard | Story::Waiting | Story::Crossing => self.newcomers(plan, begin),
            _ => self.goings(plan, begin),
        }
    }

    fn newcomers(&mut self, plan: &mut Plan, begin: At) {
        let victim = self.founder(1);
        let newcomers = self.founders..self.founders + self.joining;
        let side: Vec<Host> = newcomers.chain([victim]).collect();
        let rest: Vec<Host> = (0..self.founders).filter(|host| *host != victim).collect();
        for joiner in &mut plan.joiners {
            let sponsor = *self.dice.pick(&rest).unwrap_or(&0);
            *joiner = Joiner { at: begin + self.dice.below(50), sponsor, also: Some(victim) };
        }
        let lasts = 3000 + self.dice.below(8000);
        unheard(plan, begin.saturating_sub(self.dice.below(600)), lasts, &side, &rest);
        let evicts = *self.dice.pick(&rest).unwrap_or(&0);
        let at = match self.story {
            Story::Waiting => {
                let idle = rest.iter().copied().rfind(|host| *host != evicts && *host != 0).unwrap_or(0);
                let at = begin.saturating_sub(self.dice.below(300));
                plan.faults.push(Fault { at, lasts: 500 + self.dice.below(3000), what: Trouble::Pause(idle) });
                begin.saturating_sub(200) + self.dice.below(700)
            }
            Story::Crossing => {
                let at = begin + 500 + self.dice.below(3500);
                plan.faults.push(Fault { at, lasts: 2000 + self.dice.below(6000), what: Trouble::Split(side.clone()) });
                for other in &rest {
                    evict(plan, at + 50 + self.dice.below(1000), victim, *other);
                }
                at + 50 + self.dice.below(1000)
            }
            _ => begin + 300 + self.dice.below(3500),
        };
        evict(plan, at, evicts, victim);
        let everybody: Vec<Host> = [side, rest].concat();
        self.claims(plan, at.saturating_sub(1000), 3000, &everybody);
    }

    fn chain(&mut self, plan: &mut Plan, begin: At) {
        let victim = self.founder(0);
        let between = (victim + self.founder(1)) % self.founders;
        let rest: Vec<Host> = (0..self.founders).filter(|host| *host != victim && *host != between).collect();
        let lasts = 2000 + self.dice.below(8000);
        unheard(plan, begin.saturating_sub(self.dice.below(1000)), lasts, &[victim], &rest);
        evict(plan, begin, between, victim);
        let evicts = *self.dice.pick(&rest).unwrap_or(&0);
        let within = *self.dice.pick(&[100, 1000]).unwrap_or(&100);
        evict(plan, begin + self.dice.below(within), evicts, between);
        self.claims(plan, begin.saturating_sub(500), 600, &[victim]);
    }

    /// A founder from a place on.
    fn founder(&mut self, from: usize) -> Host {
        let among = (self.founders - from) as u64;
        from + usize::try_from(self.dice.below(among)).unwrap_or(0)
    }

    /// Twenty times somebody at these wants one of a few names, within some time.
    fn claims(&mut self, plan: &mut Plan, from: At, within: u64, hosts: &[Host]) {
        for _ in 0..20 {
            let host = *self.dice.pick(hosts).unwrap_or(&0);
            let slot = CLIENTS + Slot::try_from(plan.actions.len()).unwrap_or(0);
            let (name, owner) = (format!("plot{}", self.dice.below(12)), format!("owner{}", slot % 3));
            let ask = Ask::Register(Wish { slot, owner, names: vec![name], ..Wish::default() });
            let at = (from + self.dice.below(within)).min(plan.heal_at);
            plan.actions.push(Action { at, host, ask, otherwise: Otherwise::GivesUp });
        }
    }
}

/// What some issue and know does not reach others, whose connections with them stay.
fn unheard(plan: &mut Plan, at: At, lasts: u64, these: &[Host], by: &[Host]) {
    for (from, to) in these.iter().flat_map(|from| by.iter().map(move |to| (*from, *to))) {
        for kind in [Kind::Ops, Kind::Vector] {
            let pick = Pick { from, to, kind, lost: 100, late: 0 };
            plan.faults.push(Fault { at, lasts, what: Trouble::Picky(pick) });
        }
    }
}

fn evict(plan: &mut Plan, at: At, by: Host, whom: Host) {
    let at = at.min(plan.heal_at);
    plan.actions.push(Action { at, host: by, ask: Ask::Evict(whom), otherwise: Otherwise::GivesUp });
}
