//! The state of the world, and what everything in it needs: planning events, passing inputs to processes, and informing
//! the observers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use forename::clock::NodeId;
use forename::replica::Input;
use forename::replica::any::{Answered as Reply, Request, Token};

use crate::plan::{Host, Plan, Trouble};
use crate::violation::{Checked, Violation};
use crate::world::books::Books;
use crate::world::clients::Clients;
use crate::world::copies::Copies;
use crate::world::liars::Liars;
use crate::world::machine::Machine;
use crate::world::net::{Epoch, Micros, Network};
use crate::world::queue::{Event, Queue};
use crate::world::seen::Seen;

/// Sees every event. It cannot change the world, and ends the run where it finds a violation.
pub(crate) trait Observer: Debug {
    /// Called for every event.
    fn saw(&mut self, what: &Seen<'_>, world: &World) -> Checked;
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Rc<Plan>,
    pub(crate) now: Micros,
    pub(crate) queue: Queue,
    pub(crate) machines: Vec<Machine>,
    pub(crate) net: Network,
    pub(crate) dials: Dials,
    pub(crate) clients: Clients,
    pub(crate) liars: Liars,
    pub(crate) copies: Copies,
    pub(crate) books: Books,
    /// The host from whose directory a new cluster was made.
    pub(crate) recovered: Option<Host>,
    observer: Rc<RefCell<dyn Observer>>,
    /// Replies that nodes have just given.
    told: Arc<Mutex<Vec<(Token, Reply)>>>,
    /// A violation that an observer found while an event could not be interrupted.
    found: Option<Violation>,
}

/// Planned and present connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dials {
    pub(crate) planned: BTreeSet<(Host, Host)>,
    /// The nodes that are connected, in the order of their hosts.
    pub(crate) met: BTreeMap<Epoch, (NodeId, NodeId)>,
}

impl World {
    pub(crate) fn new(plan: Plan, observer: Rc<RefCell<dyn Observer>>) -> Self {
        let hosts = plan.hosts();
        let clock = |host: Host| plan.clocks.get(host).copied().unwrap_or_default();
        let machines: Vec<_> = (0..hosts).map(|host| Machine::new(host, plan.seed, clock(host))).collect();
        let mut world = Self {
            now: 0,
            queue: Queue::default(),
            machines,
            net: Network::new(plan.seed, hosts, plan.links.rate),
            dials: Dials::default(),
            clients: Clients::default(),
            liars: Liars::default(),
            copies: Copies::default(),
            books: Books::new(&plan),
            recovered: None,
            observer,
            told: Arc::default(),
            found: None,
            plan: Rc::new(plan),
        };
        world.load_plan();
        world
    }

    fn load_plan(&mut self) {
        for host in 0..self.plan.founders {
            self.at(0, Event::Start(host));
        }
        for index in 0..self.plan.joiners.len() {
            self.at(self.plan.joiners[index].at * 1000, Event::Start(self.plan.founders + index));
        }
        for index in 0..self.plan.actions.len() {
            self.at(self.plan.actions[index].at * 1000, Event::Action(index));
        }
        for index in 0..self.plan.lies.len() {
            self.at(self.plan.lies[index].at * 1000, Event::Lie(index));
        }
        for index in 0..self.plan.faults.len() {
            let fault = &self.plan.faults[index];
            let (at, what) = (fault.at, fault.what.clone());
            self.at(at * 1000, Event::Fault(index));
            if matches!(what, Trouble::OldDisk { .. } | Trouble::Cloned { .. }) {
                self.books.known.keep();
            }
            if let Trouble::OldDisk { back, .. } = what {
                self.at(at.saturating_sub(back) * 1000, Event::CopyDisk(index));
            }
        }
    }

    /// Shows an event to the observers.
    pub(crate) fn see(&mut self, what: &Seen<'_>) -> Checked {
        self.observer.clone().borrow_mut().saw(what, self)
    }

    /// Shows an event to the observers in the midst of another event. A violation ends the run after that event.
    pub(crate) fn note(&mut self, what: &Seen<'_>) {
        if let Err(violation) = self.see(what) {
            self.found.get_or_insert(violation);
        }
    }

    /// Returns the violation that was found in the midst of an event.
    pub(crate) fn found(&mut self) -> Checked {
        self.found.take().map_or(Ok(()), Err)
    }

    /// Marks that a rare branch was reached.
    pub(crate) fn mark(&mut self, mark: &'static str) {
        self.note(&Seen::Mark(mark));
    }

    /// Plans an event for a time; for now where that time is over.
    pub(crate) fn at(&mut self, time: Micros, event: Event) {
        self.queue.push(time.max(self.now), event);
    }

    /// Passes an input to a host's process, where one runs.
    pub(crate) fn input(&mut self, host: Host, input: Input) {
        if let Some(running) = self.machines[host].running_mut() {
            running.inbox.push(input);
            self.plan_turn(host);
        }
    }

    /// Plans the step in which a process takes in its inputs.
    pub(crate) fn plan_turn(&mut self, host: Host) {
        let machine = &mut self.machines[host];
        let life = machine.life;
        let Some(running) = machine.running_mut() else { return };
        if !std::mem::replace(&mut running.turn_planned, true) {
            let at = running.busy_until;
            self.at(at, Event::Turn(host, life));
        }
    }

    /// Makes a request to a node.
    pub(crate) fn request(&mut self, host: Host, token: Token, request: Request) {
        self.books.private.asked(host, &request);
        self.books.orders.asked(token, host, self.machines[host].node, &request, self.now);
        let told = Arc::clone(&self.told);
        let tell = move |reply| told.lock().unwrap_or_else(PoisonError::into_inner).push((token, reply));
        self.input(host, Input::Request(request.with(tell)));
    }

    /// Takes the replies that nodes have just given.
    pub(crate) fn take_told(&mut self) -> Vec<(Token, Reply)> {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the machines that belong to the cluster: they have not left it, and are not lost for good.
    pub(crate) fn present(&self) -> Vec<Host> {
        let present = self.machines.iter().filter(|machine| !machine.stage.has_left() && !machine.stage.is_lost());
        present.map(|machine| machine.host).collect()
    }

    /// Adds a machine that is not in the plan. It joins through the machines that are present.
    pub(crate) fn add_machine(&mut self) -> Host {
        let host = self.machines.len();
        self.machines.push(Machine::new(host, self.plan.seed, (0, 0)));
        self.net.add();
        self.books.add();
        host
    }

    /// Updates the members that a host knows.
    pub(crate) fn members_changed(&mut self, host: Host) {
        self.books.members_changed(host, self.machines[host].node, self.plan.founders);
    }
}
