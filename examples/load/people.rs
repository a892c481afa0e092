//! People to bring in: each has a number, and the name and the owner follow from it.

use std::io::{self, Write};

use super::Numbers;

/// The name of a person. Neighbours have names far apart, as people who sign up one after the other have.
pub(crate) fn name(number: u64) -> String {
    format!("n{:016x}", Numbers(number).next())
}

/// Writes a file for `forename import`: the people from a number on, for owners whose ids begin with a text.
pub(crate) fn write(first: u64, count: u64, owners: &str, to: impl Write) -> io::Result<()> {
    let mut to = io::BufWriter::new(to);
    writeln!(to, "owner,name")?;
    for number in first..first + count {
        writeln!(to, "{owners}-{number},{}", name(number))?;
    }
    to.flush()
}
