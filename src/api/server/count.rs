//! Counts the open connections, in all and of each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::terms::Connections;
use crate::api::shared::Shared;

/// The reason why a connection is turned away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Full {
    #[error("this node has as many connections as it takes, {0}")]
    All(usize),
    #[error("this node has as many connections of your address as it takes, {0}")]
    Address(usize),
}

#[derive(Debug)]
pub(super) struct Count {
    limits: Shared<Connections>,
    open: Mutex<Open>,
}

#[derive(Default, Debug)]
struct Open {
    all: usize,
    /// The connections of each address. An address without connections has no entry.
    of: HashMap<IpAddr, usize>,
    /// True where the log already says that a limit is reached.
    told: bool,
}

/// An open connection. It is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    count: Arc<Count>,
    of: IpAddr,
}

impl Count {
    pub(super) fn new(limits: Shared<Connections>) -> Self {
        Self { limits, open: Mutex::default() }
    }

    /// Returns the limits in all and for one address. One address never has more than half, so that it cannot keep all
    /// others out.
    fn most(&self) -> (usize, usize) {
        let Connections { most, most_of_address, .. } = self.limits.get();
        let most = most.max(2);
        (most, most_of_address.clamp(1, most.div_ceil(2)))
    }

    /// Counts a new connection, if there is room.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Ticket, Full> {
        let of = network(address);
        let (most, most_of_address) = self.most();
        let mut open = self.open();
        let full = if open.all >= most {
            Some(Full::All(most))
        } else if open.of.get(&of).is_some_and(|open| *open >= most_of_address) {
            Some(Full::Address(most_of_address))
        } else {
            None
        };
        if let Some(full) = full {
            // This is logged once until there is room again, so that a client that tries again and again cannot fill
            // the log.
            if !std::mem::replace(&mut open.told, true) {
                tracing::warn!("connections are turned away, at first one of {address}: {full}");
            }
            return Err(full);
        }
        open.all += 1;
        *open.of.entry(of).or_default() += 1;
        Ok(Ticket { count: Arc::clone(self), of })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // A thread that panicked between two additions has left numbers that are off by one at most.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (most, most_of_address) = self.count.most();
        let mut open = self.count.open();
        open.all = open.all.saturating_sub(1);
        let left = open.of.get(&self.of).map_or(0, |open| open.saturating_sub(1));
        if left == 0 {
            open.of.remove(&self.of);
        } else {
            open.of.insert(self.of, left);
        }
        let crowded = open.of.values().any(|open| *open > most_of_address * 3 / 4);
        if open.told && !crowded && open.all <= most * 3 / 4 {
            open.told = false;
        }
    }
}

/// Returns the address that a client is counted under. For IPv6 it is the network of 64 bits, because one host usually
/// has the whole network.
pub(in crate::api) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(most: usize, most_of_address: usize) -> Arc<Count> {
        Arc::new(Count::new(Connections { most, most_of_address, ..Connections::default() }.into()))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_address_has_more_than_its_part_nor_all_more_than_there_is() {
        let count = count(4, 100);
        let first = [count.enter(address("10.0.0.1")).unwrap(), count.enter(address("10.0.0.1")).unwrap()];
        assert_eq!(count.enter(address("10.0.0.1")).unwrap_err(), Full::Address(2));
        let other = [count.enter(address("10.0.0.2")).unwrap(), count.enter(address("10.0.0.3")).unwrap()];
        assert_eq!(count.enter(address("10.0.0.4")).unwrap_err(), Full::All(4));
        assert!(count.open().told);
        drop(first);
        assert!(!count.open().told, "there is room again");
        drop(other);
        let open = count.open();
        assert!(open.all == 0 && open.of.is_empty(), "{open:?}");
    }

    #[test]
    fn other_limits_count_for_whoever_comes_from_then_on() {
        let limits = Shared::from(Connections { most: 100, most_of_address: 1, ..Connections::default() });
        let count = Arc::new(Count::new(limits.clone()));
        let _first = count.enter(address("10.0.0.1")).unwrap();
        assert!(count.enter(address("10.0.0.1")).is_err());
        limits.set(Connections { most_of_address: 2, ..limits.get() });
        let _second = count.enter(address("10.0.0.1")).unwrap();
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let count = count(100, 1);
        let _first = count.enter(address("2001:db8::1")).unwrap();
        assert!(count.enter(address("2001:db8::ffff:1")).is_err());
        let _second = count.enter(address("2001:db8:0:1::1")).unwrap();
        let _mapped = count.enter(address("::ffff:10.0.0.1")).unwrap();
        assert!(count.enter(address("10.0.0.1")).is_err(), "the same address, written in two ways");
    }
}
