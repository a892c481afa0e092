//! The command `golden`: compares known runs with their golden hashes.

use std::path::Path;

use forename_sim::golden::{FILE, difference, lines};

use super::{End, Ended, Error};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write the hashes of this build instead.
    #[arg(long)]
    renew: bool,
}

impl Options {
    pub(crate) fn work(&self) -> Ended {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let lines = lines();
        if self.renew {
            std::fs::write(&path, lines.join("\n") + "\n").map_err(|error| Error::File(path.clone(), error))?;
            println!("{} is written: commit it together with the change that it is due to", path.display());
            return Ok(End::Well);
        }
        let known = std::fs::read_to_string(&path).map_err(|error| Error::File(path, error))?;
        match difference(&known, &lines) {
            None => {
                lines.iter().for_each(|line| println!("{line}"));
                Ok(End::Well)
            }
            Some(text) => {
                println!("{text}");
                Ok(End::Differs)
            }
        }
    }
}
