//! What clients ask in a story.

use forename::store::Table;

use super::Story;
use crate::plan::{Ask, Book, Host, Slot, Wish};

impl Story {
    /// A client asks for names, as a `Wish` says. Returns what the story calls the registration.
    pub fn wishes(&mut self, host: Host, wish: Wish) -> Slot {
        self.slots += 1;
        let owner = if wish.owner.is_empty() { format!("owner{}", self.slots) } else { wish.owner.clone() };
        self.asks(host, Ask::Register(Wish { slot: self.slots, owner, ..wish }));
        self.slots
    }

    /// A client claims names at a node; all or none.
    pub fn claims(&mut self, host: Host, names: &[&str]) -> Slot {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.wishes(host, Wish { own_id: true, names, ..Wish::default() })
    }

    /// A client reserves names for so many milliseconds.
    pub fn reserves(&mut self, host: Host, names: &[&str], ttl: u64) -> Slot {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.wishes(host, Wish { own_id: true, names, ttl: Some(ttl), ..Wish::default() })
    }

    /// Names of the namespace are private from now on, everywhere.
    ///
    /// # Panics
    /// Where the node refuses.
    pub fn makes_private(&mut self, host: Host, namespace: &str) {
        let (namespace, reserved) = (namespace.to_owned(), Vec::new());
        let set = self.sets_rules(host, &Book { namespace, opaque: false, least: 1, reserved, private: true });
        assert!(set.is_ok(), "{set:?}");
        self.passes(100);
    }

    /// A client that may not be told whether private names exist claims names at a node; all or none.
    pub fn claims_discreetly(&mut self, host: Host, names: &[&str]) -> Slot {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.wishes(host, Wish { own_id: true, discreet: true, names, ..Wish::default() })
    }

    /// The tables of a host's disk that have a text in them, in whatever case.
    #[must_use]
    pub fn has_written(&self, host: Host, text: &str) -> Vec<&'static str> {
        let text = text.to_lowercase();
        let has = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase().contains(&text);
        let disk = self.run.world.machines[host].disk.durable();
        let with = |table: &Table| disk.rows(*table).any(|(key, value)| has(key) || has(value));
        Table::ALL.into_iter().filter(with).map(Table::name).collect()
    }

    /// The owner of a registration asks for another name in place of its first.
    pub fn renames(&mut self, host: Host, slot: Slot, to: &str) -> Slot {
        let owner = format!("owner{slot}");
        let names = vec![to.to_owned()];
        self.wishes(host, Wish { own_id: true, owner, names, replaces: Some((slot, 0)), ..Wish::default() })
    }

    /// A client asks the same again at another node.
    pub fn retries(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Retry(slot));
    }

    /// A client makes its reservation permanent.
    pub fn activates(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Activate(slot));
    }

    /// A client wants its reservation to last for so many milliseconds more.
    pub fn extends(&mut self, host: Host, slot: Slot, ttl: u64) {
        self.asks(host, Ask::Extend(slot, ttl));
    }

    /// A client gives all names of a registration up.
    pub fn releases(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Release(slot));
    }

    /// A client gives all names of a registration up, and wants nothing to be left of it.
    pub fn erases(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Erase(slot));
    }

    /// The first table of a host's disk that has a text, with how often it is there.
    #[must_use]
    pub fn finds(&self, host: Host, text: &str) -> Option<(&'static str, usize)> {
        crate::checks::erasure::find(self.run.world.machines[host].disk.durable(), text.as_bytes())
    }

    /// What a client keeps with a registration.
    #[must_use]
    pub fn text_of(slot: Slot) -> String {
        crate::world::clients::text_of(slot)
    }

    /// A client gives one name of a registration up.
    pub fn releases_name(&mut self, host: Host, slot: Slot, place: usize) {
        self.asks(host, Ask::ReleaseName(slot, place));
    }
}
