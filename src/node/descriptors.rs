//! File descriptors. Each connection and each file of the store takes one, and a store that gets none fails for good.
//! So the limit is raised as far as the system allows, and some descriptors are kept from connections.

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The number of descriptors that are kept for the store, its compactions, backups, and peers. A guess: a store of ten
/// million names has some hundred files.
const RESERVE: u64 = 512;

/// Raises the limit of this process to the most that the system allows, and returns it; none for no limit.
#[cfg(unix)]
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| limit.maximum.is_none_or(|most| current < most)) {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!("the limit of open files stays {:?}: {error}", limit.current);
        }
    }
    getrlimit(Resource::Nofile).current
}

/// Does nothing: Windows has no limit that a node would come near to.
#[cfg(not(unix))]
pub fn raise() -> Option<u64> {
    None
}

/// Returns how many of the wanted connections leave the reserve free. Where there is no room for the reserve, they may
/// take a quarter of all descriptors.
#[must_use]
pub fn connections(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let room = limit.saturating_sub(RESERVE).max(limit / 4);
    usize::try_from(room).map_or(wanted, |room| wanted.min(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_store() {
        let of = |limit| connections(4096, limit);
        assert_eq!((of(None), of(Some(1_000_000)), of(Some(4608))), (4096, 4096, 4096));
        assert_eq!((of(Some(1024)), of(Some(400)), of(Some(0))), (512, 100, 0));
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        let most = getrlimit(Resource::Nofile).maximum;
        assert_eq!(raise(), most);
    }
}
