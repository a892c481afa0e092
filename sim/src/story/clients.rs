//! The requests of clients in a story.

use forename::store::Table;

use super::Story;
use crate::plan::{Ask, Book, Host, Slot, Wish};

impl Story {
    /// A client asks for names as a `Wish` says. Returns the slot by which the story refers to the registration.
    pub fn wishes(&mut self, host: Host, wish: Wish) -> Slot {
        self.slots += 1;
        let owner = if wish.owner.is_empty() { format!("owner{}", self.slots) } else { wish.owner.clone() };
        self.asks(host, Ask::Register(Wish { slot: self.slots, owner, ..wish }));
        self.slots
    }

    /// A client claims names at a node, all or none.
    pub fn claims(&mut self, host: Host, names: &[&str]) -> Slot {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.wishes(host, Wish { own_id: true, names, ..Wish::default() })
    }

    /// A client reserves names for this many milliseconds.
    pub fn reserves(&mut self, host: Host, names: &[&str], ttl: u64) -> Slot {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.wishes(host, Wish { own_id: true, names, ttl: Some(ttl), ..Wish::default() })
    }

    /// Makes the names of a namespace private from now on, everywhere.
    ///
    /// # Panics
    /// The node refuses.
    pub fn makes_private(&mut self, host: Host, namespace: &str) {
        let (namespace, reserved) = (namespace.to_owned(), Vec::new());
        let set = self.sets_rules(host, &Book { namespace, opaque: false, least: 1, reserved, private: true });
        assert!(set.is_ok(), "{set:?}");
        self.passes(100);
    }

    /// A client that may not learn whether private names exist claims names at a node, all or none.
    pub fn claims_discreetly(&mut self, host: Host, names: &[&str]) -> Slot {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.wishes(host, Wish { own_id: true, discreet: true, names, ..Wish::default() })
    }

    /// Returns the tables of a host's disk that contain a text, in upper or lower case.
    #[must_use]
    pub fn has_written(&self, host: Host, text: &str) -> Vec<&'static str> {
        let text = text.to_lowercase();
        let has = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase().contains(&text);
        let disk = self.run.world.machines[host].disk.durable();
        let with = |table: &Table| disk.rows(*table).any(|(key, value)| has(key) || has(value));
        Table::ALL.into_iter().filter(with).map(Table::name).collect()
    }

    /// The owner of a registration replaces its first name by another.
    pub fn renames(&mut self, host: Host, slot: Slot, to: &str) -> Slot {
        let owner = format!("owner{slot}");
        let names = vec![to.to_owned()];
        self.wishes(host, Wish { own_id: true, owner, names, replaces: Some((slot, 0)), ..Wish::default() })
    }

    /// A client sends the same request again to another node.
    pub fn retries(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Retry(slot));
    }

    /// A client makes its reservation permanent.
    pub fn activates(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Activate(slot));
    }

    /// A client makes its reservation last for this many milliseconds from now on.
    pub fn extends(&mut self, host: Host, slot: Slot, ttl: u64) {
        self.asks(host, Ask::Extend(slot, ttl));
    }

    /// A client releases all names of a registration.
    pub fn releases(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Release(slot));
    }

    /// A client releases all names of a registration, and has it erased.
    pub fn erases(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Erase(slot));
    }

    /// Returns the first table of a host's disk that contains a text, and how often.
    #[must_use]
    pub fn finds(&self, host: Host, text: &str) -> Option<(&'static str, usize)> {
        crate::checks::erasure::find(self.run.world.machines[host].disk.durable(), text.as_bytes())
    }

    /// Returns the metadata that a client keeps with a registration.
    #[must_use]
    pub fn text_of(slot: Slot) -> String {
        crate::world::clients::text_of(slot)
    }

    /// A client releases one name of a registration, given by its index.
    pub fn releases_name(&mut self, host: Host, slot: Slot, place: usize) {
        self.asks(host, Ask::ReleaseName(slot, place));
    }
}
