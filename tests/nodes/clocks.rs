//! Tests of wall clocks that are off, at boot or while their nodes run: nodes whose clocks are right go on, and each
//! says whose clock is off.

use forename::model::{Cluster, Registration};
use forename::model::{ProblemType, Status};
use reqwest::StatusCode;

use crate::support::clocks::Clock;
use crate::support::facts::agreed;
use crate::support::process::{Home, Process, Serve};
use crate::support::{all_members, claim, cluster, eventually, user, user_final};

const HOUR: i64 = 3600;

/// A node, and the clock of its machine.
struct Machine {
    label: String,
    home: Home,
    clock: Clock,
    node: Process,
}

impl Machine {
    async fn start(label: &str, clock: Clock, sponsor: Option<&Self>) -> Self {
        let mut serve = Serve::new(label);
        if let Some(sponsor) = sponsor {
            let token = sponsor.node.client.mint_token(None).await.unwrap();
            serve = serve.join(sponsor.node.peer, &token);
        }
        serve.variables = clock.variables();
        let home = Home::new();
        let node = Process::start(&home, &serve).await;
        Self { label: label.to_owned(), home, clock, node }
    }

    /// Runs the node again, at its old addresses.
    async fn run_again(&mut self) {
        let mut serve = Serve::new(&self.label).at(self.node.http, self.node.peer);
        serve.variables = self.clock.variables();
        self.node = Process::start(&self.home, &serve).await;
    }

    /// Waits until the node knows that its clock is off, and checks that it answers so.
    async fn is_suspect(&self) {
        eventually(&format!("{} knows that its clock is off", self.label), async || {
            let off = cluster(&self.node.client).await?.clock_suspect_ms;
            off.map(|_| ()).ok_or_else(|| "it does not".to_owned())
        })
        .await;
        let (status, why) = self.readiness().await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && why.contains("clock is off"), "{status}: {why}");
        let refused = self.node.client.register(&user("refused", "ann")).await.unwrap_err();
        let problem = refused.problem().unwrap_or_else(|| panic!("{}: {refused}", self.label));
        assert_eq!(problem.problem_type, ProblemType::ClockSuspect);
    }

    /// Waits until the node takes its clock to be right again.
    async fn is_right(&self) {
        eventually(&format!("the clock of {} is right", self.label), async || match self.readiness().await {
            (StatusCode::OK, _) => Ok(()),
            (_, why) => Err(why),
        })
        .await;
    }

    async fn readiness(&self) -> (StatusCode, String) {
        let answer = crate::support::http().build().unwrap().get(format!("{}/readyz", self.node.url()));
        let answer = answer.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn takes(&self, name: &str) -> Registration {
        let taken = claim(&self.node.client, &user_final(name, "ann")).await;
        assert_eq!(taken.status, Status::Confirmed, "{name} at {}", self.label);
        taken
    }

    /// Counts the lines of the log with these words.
    fn said(&self, words: &str) -> usize {
        self.home.read_log().lines().filter(|line| line.contains(words)).count()
    }
}

/// Starts so many machines, whose nodes are members of one cluster. Returns none where no clock can be set here.
async fn machines(count: usize) -> Option<Vec<Machine>> {
    let mut machines: Vec<Machine> = Vec::new();
    for label in ["a", "b", "c", "d", "e"].into_iter().take(count) {
        let machine = Machine::start(label, Clock::new()?, machines.first()).await;
        machines.push(machine);
    }
    all_members(&clients(&machines)).await;
    Some(machines)
}

fn clients(machines: &[Machine]) -> Vec<forename::Client> {
    machines.iter().map(|machine| machine.node.client.clone()).collect()
}

/// Registers a name at each node, and checks that all agree.
async fn all_go_on(machines: &[Machine], round: &str) {
    for machine in machines {
        machine.is_right().await;
        machine.takes(&format!("{round}-{}", machine.label)).await;
    }
    let all = agreed(&clients(machines)).await;
    assert!(all.values().all(|registration| registration.status == Status::Confirmed));
}

#[tokio::test]
async fn one_of_three_whose_clock_is_off_takes_no_names_and_the_others_do() {
    let Some(machines) = machines(3).await else { return };
    let [a, b, c] = &machines[..] else { panic!("not three") };
    for (round, off) in [40, -40, HOUR, -HOUR].into_iter().enumerate() {
        c.clock.set(off);
        c.is_suspect().await;
        a.takes(&format!("a{round}")).await;
        b.takes(&format!("b{round}")).await;
        eventually("the others see whose clock is off", async || {
            let seen = cluster(&a.node.client).await?;
            let of =
                |seen: &Cluster, label| seen.members.iter().find(|m| m.label == label).and_then(|m| m.clock_offset_ms);
            let ahead = of(&seen, "c").ok_or("it is unknown")?;
            if (ahead - off * 1000).abs() < 5000 { Ok(()) } else { Err(format!("{ahead} ms")) }
        })
        .await;
        c.clock.set(0);
        all_go_on(&machines, &format!("again{round}")).await;
    }
    // There is one line for each change, and no other.
    assert_eq!((c.said("clock is off from the median"), c.said("clock is right again")), (4, 4));
    for right in [a, b] {
        assert_eq!((right.said("clock is off from the median"), right.said("does not take our ops")), (0, 0));
    }
}

#[tokio::test]
async fn of_two_the_one_whose_clock_is_later_takes_no_names_and_the_other_does() {
    let Some(machines) = machines(2).await else { return };
    let [a, b] = &machines[..] else { panic!("not two") };
    b.clock.set(HOUR);
    b.is_suspect().await;
    a.takes("ann").await;
    b.clock.set(-HOUR);
    a.is_suspect().await;
    b.is_right().await;
    b.takes("bob").await;
    b.clock.set(0);
    all_go_on(&machines, "again").await;
}

#[tokio::test]
async fn two_of_five_whose_clocks_are_off_leave_three_that_go_on() {
    let Some(machines) = machines(5).await else { return };
    let (right, off) = machines.split_at(3);
    for (round, [first, second]) in [[HOUR, HOUR], [8, -8], [-40, -HOUR]].into_iter().enumerate() {
        off[0].clock.set(first);
        off[1].clock.set(second);
        for machine in off {
            machine.is_suspect().await;
        }
        for machine in right {
            machine.takes(&format!("{}{round}", machine.label)).await;
        }
        off.iter().for_each(|machine| machine.clock.set(0));
        all_go_on(&machines, &format!("again{round}")).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_off_at_boot_leaves_no_trace_once_it_is_right() {
    let Some(mut machines) = machines(3).await else { return };
    for (round, off) in [HOUR, -HOUR].into_iter().enumerate() {
        machines[2].node.terminate().await;
        machines[2].clock.set(off);
        machines[2].run_again().await;
        machines[2].is_suspect().await;
        machines[0].takes(&format!("a{round}")).await;
        machines[2].clock.set(0);
        all_go_on(&machines, &format!("again{round}")).await;
        let time = machines[0].node.client.cluster().await.unwrap().time;
        let late = machines[2].takes(&format!("late{round}")).await;
        assert!(late.accepted_at.0.0.abs_diff(time.0.0) < 60_000, "{:?} at {time:?}", late.accepted_at);
    }
    // All clocks are off at once, as after a power cut without a network for the time service. The clocks agree, and
    // are right later.
    for machine in &mut machines {
        machine.node.terminate().await;
        machine.clock.set(-HOUR);
        machine.run_again().await;
    }
    all_go_on(&machines, "together").await;
    machines.iter().for_each(|machine| machine.clock.set(0));
    all_go_on(&machines, "later").await;
}

#[tokio::test]
async fn a_newcomer_waits_outside_until_its_clock_is_right_and_is_told_so() {
    let Some(machines) = machines(1).await else { return };
    let Some(clock) = Clock::new() else { return };
    clock.set(25 * HOUR);
    let variables = clock.variables();
    let (a, home) = (&machines[0], Home::new());
    let token = a.node.client.mint_token(None).await.unwrap();
    let mut serve = Serve::new("b").join(a.node.peer, &token);
    serve.variables = variables;
    let refused = async {
        eventually("a says why b is not let in", async || {
            let seen = cluster(&a.node.client).await?;
            let waits = seen.newcomers.iter().find(|newcomer| newcomer.label == "b").ok_or("nobody waits")?;
            let why = waits.waits_for.iter().map(|hindrance| hindrance.why.clone()).collect::<String>();
            if why.contains("ahead of the cluster's time") { Ok(()) } else { Err(why) }
        })
        .await;
        assert_eq!(a.node.client.cluster().await.unwrap().members.len(), 1);
        a.takes("meanwhile").await;
        clock.set(0);
    };
    let (b, ()) = tokio::join!(Process::start(&home, &serve), refused);
    let both = [a.node.client.clone(), b.client.clone()];
    all_members(&both).await;
    let taken = claim(&b.client, &user_final("bob", "bob")).await;
    assert_eq!(taken.status, Status::Confirmed);
}
