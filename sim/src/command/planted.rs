//! The command `planted`: finds how many seeds it takes until a check finds each planted bug.

#[cfg(feature = "planted")]
mod table;

use super::Ended;

#[derive(clap::Args)]
#[cfg_attr(not(feature = "planted"), allow(dead_code))] // what is asked for is read where it can be done
pub(crate) struct Options {
    /// Seeds of a batch, at most; it ends with the first that fails.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// Batches, each from another seed on.
    #[arg(long, default_value_t = 20)]
    batches: u64,
    /// The first seed of the first batch.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Only this bug; may be given several times.
    #[cfg(feature = "planted")]
    #[arg(long = "bug", value_name = "NAME", value_parser = named)]
    bugs: Vec<forename::planted::Bug>,
    /// Threads; by default one a core.
    #[arg(long)]
    jobs: Option<usize>,
}

#[cfg(not(feature = "planted"))]
impl Options {
    #[allow(clippy::unused_self)] // as with the feature
    pub(crate) fn work(&self) -> Ended {
        Err(super::Error::NothingPlanted)
    }
}

#[cfg(feature = "planted")]
impl Options {
    pub(crate) fn work(&self) -> Ended {
        table::print(self)
    }
}

/// Returns the bug with this name.
#[cfg(feature = "planted")]
pub(crate) fn named(name: &str) -> Result<forename::planted::Bug, String> {
    use forename::planted::Bug;
    let names = || Bug::ALL.iter().map(|bug| format!("{bug:?}")).collect::<Vec<_>>().join(", ");
    let bug = Bug::ALL.iter().find(|bug| format!("{bug:?}") == name).copied();
    bug.ok_or_else(|| format!("no bug of that name; there are {}", names()))
}
