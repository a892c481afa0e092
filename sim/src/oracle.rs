//! An independent model of the rules. It replays all ops of all nodes once, in the order of their stamps, and says what
//! became of each registration and who holds each name. It shares nothing with the registry but the ops themselves.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Hlc, NodeId, Stamp};
use forename::crdt::{Hook, ID_WINDOW, NameOp, Register};
use forename::log::{Body, Op};
use forename::name::Rules;
use uuid::Uuid;

/// A name: its namespace and key.
pub type Place = (String, String);

/// The outcome of one registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fate {
    /// The op that issued it.
    pub register: Register,
    /// True where it is the earliest op with its id, or its client chose no id.
    pub first: bool,
    /// True where it has its names; otherwise it lost.
    pub won: bool,
    /// The names whose claims have ended.
    pub ended: BTreeSet<Place>,
    /// True where its owner and its names are to be erased.
    pub erased: bool,
}

impl Fate {
    /// Returns the id of the registration with this stamp, whether a client chose the id or not.
    #[must_use]
    pub fn id(&self, stamp: Stamp) -> Uuid {
        self.register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(stamp))
    }
}

/// The outcomes of all ops.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdicts {
    /// The outcome of each registration, by its stamp.
    pub fates: BTreeMap<Stamp, Fate>,
    /// The claim that holds each name, where one does.
    pub holders: BTreeMap<Place, Option<Stamp>>,
    /// All claims to each name, by the claim that they follow.
    pub tenures: BTreeMap<Place, BTreeMap<Option<Stamp>, BTreeSet<Stamp>>>,
    /// Claims that are displaced: another claim leads their tenure, or the claim that they follow is displaced.
    pub displaced: BTreeSet<(Stamp, Place)>,
    /// The times at which reservations end unless they are activated.
    pub ends: BTreeMap<Stamp, Hlc>,
    /// The rules that were set last for each namespace, with the stamp of that op.
    pub rules: BTreeMap<String, (Stamp, Rules)>,
    /// The stamp of the latest op about each webhook, and the webhook as that op sets it; none where it removes it.
    pub webhooks: BTreeMap<Uuid, (Stamp, Option<Hook>)>,
}

/// Replays ops. Reservations that end at or before `time`, and that nobody activated, have ended.
pub fn judge<'a>(ops: impl IntoIterator<Item = &'a Op>, time: Hlc) -> Verdicts {
    let ordered: BTreeMap<Stamp, &Op> = ops.into_iter().map(|op| (op.stamp(), op)).collect();
    let mut model = Model::default();
    for (stamp, op) in &ordered {
        match op.body() {
            Body::Name(NameOp::Register(register)) => model.register(*stamp, register),
            Body::Name(NameOp::Activate { registration }) => model.activate(*registration, stamp.hlc),
            Body::Name(NameOp::Extend { registration, expires }) => model.extend(*registration, stamp.hlc, *expires),
            Body::Name(NameOp::Release(claim)) => {
                model.ended.insert((claim.registration, (claim.namespace.clone(), claim.key.clone())));
            }
            Body::Name(NameOp::Erase { registration }) => model.erase(*registration),
            Body::Name(NameOp::Namespace { namespace, rules }) => {
                model.rules.insert(namespace.clone(), (*stamp, (**rules).clone()));
            }
            Body::Name(NameOp::Webhook { id, hook }) => {
                model.webhooks.insert(*id, (*stamp, hook.as_deref().cloned()));
            }
            Body::Name(NameOp::StopWebhook { id, version }) => {
                // The version may be void, so that nothing is known of the webhook.
                let (set, hook) = model.webhooks.entry(*id).or_default();
                hook.iter_mut().filter(|_| set == version).for_each(|hook| hook.active = false);
            }
            _ => {}
        }
    }
    model.finish(time)
}

#[derive(Default)]
struct Model {
    fates: BTreeMap<Stamp, Fate>,
    /// The first and the last op with each id, where each op is within a month of the one before.
    ids: BTreeMap<Uuid, (Stamp, Stamp)>,
    /// The claims of each tenure.
    tenures: BTreeMap<Place, BTreeMap<Option<Stamp>, BTreeSet<Stamp>>>,
    /// The claims that are displaced.
    displaced: BTreeSet<(Stamp, Place)>,
    ended: BTreeSet<(Stamp, Place)>,
    activated: BTreeSet<Stamp>,
    /// The times at which reservations end, as far as the replay has come.
    ends: BTreeMap<Stamp, Hlc>,
    rules: BTreeMap<String, (Stamp, Rules)>,
    webhooks: BTreeMap<Uuid, (Stamp, Option<Hook>)>,
}

impl Model {
    /// Takes a registration. The replay is in the order of stamps, so the first claim of a tenure leads it for good.
    fn register(&mut self, stamp: Stamp, register: &Register) {
        let first = register.id.is_none_or(|id| self.first_of_id(id, stamp) == stamp);
        let mut won = first;
        for claim in &register.claims {
            let place = (claim.namespace.clone(), claim.key.clone());
            let tenure = self.tenures.entry(place.clone()).or_default().entry(claim.after).or_default();
            tenure.insert(stamp);
            let leader = *tenure.first().unwrap_or(&stamp);
            let follows_loser = claim.after.is_some_and(|after| self.displaced.contains(&(after, place.clone())));
            if leader != stamp || follows_loser {
                self.displaced.insert((stamp, place));
                won = false;
            }
        }
        self.ends.extend(register.expires.map(|end| (stamp, end)));
        let fate = Fate { register: register.clone(), first, won, ended: BTreeSet::new(), erased: false };
        self.fates.insert(stamp, fate);
    }

    /// Returns the registration that an id stands for at this stamp. An op with the id long after the others is another
    /// registration.
    fn first_of_id(&mut self, id: Uuid, stamp: Stamp) -> Stamp {
        let (first, last) = self.ids.entry(id).or_insert((stamp, stamp));
        if stamp.hlc.millis().since(last.hlc.millis()) > ID_WINDOW {
            *first = stamp;
        }
        *last = stamp;
        *first
    }

    fn activate(&mut self, registration: Stamp, at: Hlc) {
        if self.ends.get(&registration).is_some_and(|end| at < *end) {
            self.activated.insert(registration);
        }
    }

    /// Ends all claims of a registration and erases it.
    fn erase(&mut self, registration: Stamp) {
        if let Some(fate) = self.fates.get_mut(&registration) {
            fate.erased = true;
            let places = fate.register.claims.iter().map(|claim| (claim.namespace.clone(), claim.key.clone()));
            self.ended.extend(places.map(|place| (registration, place)));
        }
    }

    /// Extends a reservation. An extension after the end comes too late, and no extension makes a reservation shorter.
    fn extend(&mut self, registration: Stamp, at: Hlc, until: Hlc) {
        if let Some(end) = self.ends.get_mut(&registration).filter(|end| at < **end) {
            *end = until.max(*end);
        }
    }

    fn finish(mut self, time: Hlc) -> Verdicts {
        for (stamp, fate) in &self.fates {
            let places = fate.register.claims.iter().map(|claim| (claim.namespace.clone(), claim.key.clone()));
            let over = self.ends.get(stamp).is_some_and(|end| *end <= time);
            let expired = over && !self.activated.contains(stamp);
            if !fate.won || expired {
                self.ended.extend(places.map(|place| (*stamp, place)));
            }
            if let Some(replaced) = fate.register.replaces.as_ref().filter(|_| fate.won) {
                self.ended.insert((replaced.registration, (replaced.namespace.clone(), replaced.key.clone())));
            }
        }
        for (stamp, place) in &self.ended {
            let claims = |fate: &Fate| {
                fate.register.claims.iter().any(|claim| (&claim.namespace, &claim.key) == (&place.0, &place.1))
            };
            if let Some(fate) = self.fates.get_mut(stamp).filter(|fate| claims(fate)) {
                fate.ended.insert(place.clone());
            }
        }
        // Other ops with the id of an erased registration are erased too.
        let erased: BTreeSet<Uuid> =
            self.fates.values().filter(|fate| fate.first && fate.erased).filter_map(|fate| fate.register.id).collect();
        for fate in self.fates.values_mut() {
            fate.erased |= fate.register.id.is_some_and(|id| erased.contains(&id));
        }
        let holders = self.tenures.keys().map(|place| (place.clone(), self.holder(place))).collect();
        let Self { fates, tenures, displaced, ends, rules, webhooks, .. } = self;
        Verdicts { fates, holders, tenures, displaced, ends, rules, webhooks }
    }

    fn holder(&self, place: &Place) -> Option<Stamp> {
        let (tenures, mut after) = (self.tenures.get(place)?, None);
        loop {
            let leader = *tenures.get(&after)?.first()?;
            if !self.ended.contains(&(leader, place.clone())) {
                return Some(leader);
            }
            after = Some(leader);
        }
    }
}

impl Verdicts {
    /// Returns the registration that an id stands for.
    #[must_use]
    pub fn of_id(&self, id: Uuid) -> Option<(Stamp, &Fate)> {
        let carries =
            |stamp: &Stamp, fate: &Fate| fate.register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(*stamp)) == id;
        self.fates.iter().find(|(stamp, fate)| carries(stamp, fate)).map(|(stamp, fate)| (*stamp, fate))
    }

    /// Returns for each id the registration that it stands for, with its outcome.
    #[must_use]
    pub fn by_id(&self) -> BTreeMap<Uuid, (Stamp, &Fate)> {
        self.fates.iter().filter(|(_, fate)| fate.first).map(|(s, f)| (f.id(*s), (*s, f))).collect()
    }

    /// Returns the rules of a namespace.
    #[must_use]
    pub fn rules_of(&self, namespace: &str) -> Rules {
        self.rules.get(namespace).map_or_else(|| Rules::default_of(namespace), |(_, rules)| rules.clone())
    }

    /// Returns all nodes that issued a registration.
    #[must_use]
    pub fn origins(&self) -> BTreeSet<NodeId> {
        self.fates.keys().map(|stamp| stamp.node).collect()
    }
}
