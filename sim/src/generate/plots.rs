//! Plots: joins and evictions that meet. Some situations are too rare by chance alone: newcomers are half-way in while
//! a member is evicted, evictions cross, or an evicted node is the only holder of an op that counts. A plot sets up
//! only the beginning, and chance does the rest, so the situation may also end well or not come about.

mod goings;

use crate::dice::Dice;
use crate::plan::{Action, Ask, At, Ending, Fault, Host, Joiner, Kind, Otherwise, Pick, Plan, Slot, Trouble, Wish};

/// The first slot of the clients in plots.
const CLIENTS: Slot = 1 << 21;

/// The subject of a plot.
#[derive(Clone, Copy)]
enum Story {
    /// A member that lets newcomers in is evicted, and nobody else hears of the newcomers.
    Unheard,
    /// A member that lets newcomers in is evicted, nobody else hears of them, and the eviction waits for a paused member.
    Waiting,
    /// Founders evict one of them. Meanwhile it lets newcomers in, and together they evict the others.
    Crossing,
    /// A member that evicts another is evicted itself, and it alone has all ops of that other.
    Chain,
    /// The replacement of a dead member starts before the dead member is evicted.
    Replacement,
    /// A member leaves while a newcomer is being let in.
    LeaveAtJoin,
    /// Several members leave at once.
    TwoLeaves,
    /// A member leaves while another is dead.
    LeaveBesideDead,
    /// A member leaves while clients ask all the time.
    LeaveUnderLoad,
    /// A member that leaves dies, evicts another or is evicted at the same moment.
    LastWord,
}

/// The plots in which members come and go at the same time.
const GOINGS: [Story; 6] = [
    Story::Replacement,
    Story::LeaveAtJoin,
    Story::TwoLeaves,
    Story::LeaveBesideDead,
    Story::LeaveUnderLoad,
    Story::LastWord,
];

/// A plot with its members and newcomers.
pub(super) struct Plot {
    dice: Dice,
    story: Story,
    pub(super) founders: usize,
    pub(super) joining: usize,
}

impl Plot {
    /// Returns the plot of a seed. Most seeds have none, and small clusters never have one.
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

    /// Adds the plot to the plan, in place of other operators.
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
            *joiner = Joiner { at: begin + self.dice.below(50), sponsor, also: Some(victim), reader: false };
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

    /// Draws a founder, from an index on.
    fn founder(&mut self, from: usize) -> Host {
        let among = (self.founders - from) as u64;
        from + usize::try_from(self.dice.below(among)).unwrap_or(0)
    }

    /// Adds twenty claims by clients of these hosts to a few names, within some time.
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

/// Loses all ops and vectors from some hosts to others. The connections between them stay.
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
