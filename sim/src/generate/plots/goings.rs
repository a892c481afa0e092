//! Plots in which members come and go at the same time, and some of them die.

use super::{Plot, Story, evict};
use crate::dice::Dice;
use crate::plan::{Action, Ask, At, Ending, Fault, Host, Joiner, Loss, Otherwise, Plan, Trouble};

impl Story {
    /// Draws the number of founders and newcomers of such a plot. Most are small.
    pub(super) fn persons(self, dice: &mut Dice) -> (u64, u64) {
        let founders = match dice.below(20) {
            0 => dice.within(9, 11),
            1..=3 => dice.within(6, 8),
            _ => dice.within(3, 5),
        };
        let joining = match self {
            Self::Replacement => dice.within(1, 2),
            Self::LeaveAtJoin => 1,
            Self::LeaveBesideDead | Self::LastWord => dice.below(2),
            _ => 0,
        };
        (founders, joining)
    }
}

impl Plot {
    /// Adds the plot to the plan.
    pub(super) fn goings(&mut self, plan: &mut Plan, begin: At) {
        match self.story {
            Story::Replacement => self.replacement(plan, begin),
            Story::LeaveAtJoin => self.leave_at_join(plan, begin),
            Story::TwoLeaves => self.two_leaves(plan, begin),
            Story::LeaveBesideDead => self.leave_beside_dead(plan, begin),
            Story::LeaveUnderLoad => self.leave_under_load(plan, begin),
            _ => self.last_word(plan, begin),
        }
        if plan.ending != Ending::Healed {
            (plan.keep_log, plan.keep_events) = (60_000, None);
        }
    }

    /// A member dies, and newcomers start before anybody has evicted it.
    fn replacement(&mut self, plan: &mut Plan, begin: At) {
        let victim = self.founder(0);
        self.dies(plan, begin, victim);
        let at = begin + self.dice.below(5000);
        self.newcomers_at(plan, at, 50);
        if self.dice.percent(60) {
            let by = self.other_than(&[victim]);
            evict(plan, begin + self.dice.below(9000), by, victim);
        }
        self.claims_of_all(plan, begin, 8000);
    }

    /// A member is asked to leave at some moment of a join, down to the millisecond.
    fn leave_at_join(&mut self, plan: &mut Plan, begin: At) {
        self.newcomers_at(plan, begin, 1);
        // A join takes about four one-way latencies and fsyncs.
        let join = (4 * (plan.links.least + plan.links.jitter + plan.disk.least + plan.disk.jitter) / 1000).max(20);
        let (leaver, within) = (self.founder(0), *self.dice.pick(&[join, 2 * join, 20 * join]).unwrap_or(&join));
        leave(plan, begin + self.dice.below(within), leaver);
        if self.dice.percent(30) {
            let cut = self.other_than(&[leaver]);
            let (at, lasts) = (begin.saturating_sub(self.dice.below(1000)), 500 + self.dice.below(8000));
            plan.faults.push(Fault { at, lasts, what: Trouble::Split(vec![cut]) });
        }
        self.claims_of_all(plan, begin.saturating_sub(500), 3000);
    }

    /// Two members, and sometimes three, are asked to leave at once.
    fn two_leaves(&mut self, plan: &mut Plan, begin: At) {
        let within = *self.dice.pick(&[1, 50, 2000]).unwrap_or(&1);
        let mut leavers = Vec::new();
        for _ in 0..self.dice.within(2, 3).min(self.founders as u64 - 1) {
            let leaver = self.other_than(&leavers);
            leave(plan, begin + self.dice.below(within), leaver);
            leavers.push(leaver);
        }
        self.claims_of_all(plan, begin.saturating_sub(500), 3000);
    }

    /// A member is asked to leave while another one is dead. That one is evicted later, or not before the end.
    fn leave_beside_dead(&mut self, plan: &mut Plan, begin: At) {
        let victim = self.founder(0);
        let leaver = self.other_than(&[victim]);
        self.dies(plan, begin, victim);
        self.newcomers_at(plan, begin.saturating_sub(200), 3000);
        leave(plan, begin + self.dice.below(3000), leaver);
        if self.dice.percent(60) {
            let by = self.other_than(&[victim, leaver]);
            evict(plan, begin + self.dice.below(8000), by, victim);
        }
        self.claims_of_all(plan, begin, 6000);
    }

    /// Clients ask all the time, and a member is asked to leave.
    fn leave_under_load(&mut self, plan: &mut Plan, begin: At) {
        let leaver = self.founder(0);
        leave(plan, begin + self.dice.below(2000), leaver);
        for _ in 0..*self.dice.pick(&[3, 10]).unwrap_or(&3) {
            self.claims_of_all(plan, begin, 5000);
        }
    }

    /// Just after a member was asked to leave, it dies, evicts another member, or is evicted.
    fn last_word(&mut self, plan: &mut Plan, begin: At) {
        let leaver = self.founder(0);
        leave(plan, begin, leaver);
        let within = *self.dice.pick(&[30, 300, 3000]).unwrap_or(&30);
        let soon = begin + self.dice.below(within);
        let other = self.other_than(&[leaver]);
        match self.dice.below(4) {
            0 => evict(plan, soon, other, leaver),
            1 => evict(plan, soon, leaver, other),
            _ => self.dies(plan, soon, leaver),
        }
        self.newcomers_at(plan, begin, 3000);
        self.claims_of_all(plan, begin.saturating_sub(500), 3000);
    }

    /// A machine goes down, for a time or for good.
    fn dies(&mut self, plan: &mut Plan, at: At, host: Host) {
        let mut lasts = 2000 + self.dice.below(20_000);
        if self.dice.percent(60) {
            let how = *self.dice.pick(&[Loss::Down, Loss::Down, Loss::Cut, Loss::Mute]).unwrap_or(&Loss::Down);
            plan.ending = Ending::Lasting { lost: vec![host], how };
            lasts = plan.heal_at;
        }
        let what = Trouble::Crash { host, kept: self.dice.below(101) };
        plan.faults.push(Fault { at, lasts, what });
    }

    fn newcomers_at(&mut self, plan: &mut Plan, at: At, within: u64) {
        for joiner in &mut plan.joiners {
            let sponsor = usize::try_from(self.dice.below(self.founders as u64)).unwrap_or(0);
            *joiner = Joiner {
                at: at + self.dice.below(within),
                sponsor,
                also: Some((sponsor + 1) % self.founders),
                reader: false,
            };
        }
    }

    /// Draws a founder that is not one of these, which must be fewer than all.
    fn other_than(&mut self, these: &[Host]) -> Host {
        let others: Vec<Host> = (0..self.founders).filter(|host| !these.contains(host)).collect();
        *self.dice.pick(&others).unwrap_or(&0)
    }

    fn claims_of_all(&mut self, plan: &mut Plan, from: At, within: u64) {
        let all: Vec<Host> = (0..self.founders + self.joining).collect();
        self.claims(plan, from, within, &all);
    }
}

fn leave(plan: &mut Plan, at: At, host: Host) {
    let at = at.min(plan.heal_at);
    plan.actions.push(Action { at, host, ask: Ask::Leave, otherwise: Otherwise::GivesUp });
}
