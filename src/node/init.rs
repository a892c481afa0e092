//! Founds a cluster. This is a separate act, done once, in an empty directory.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::driver::{self, Clocks};
use super::error::ResourceError;
use crate::clock::NodeId;
use crate::files;
use crate::log::StoredPhase;
use crate::model::{ClusterId, ClusterSettings, ClusterSettingsBody, SettingsError};
use crate::replica::{Config, Contact, Founding, Replica, Start};
use crate::store::disk::{DiskOptions, DiskStore};
use crate::store::schema::{self, Cell};
use crate::store::{Store, StoreFailure};
use crate::transport::Identity;

/// The entries that a directory may have before a cluster is founded in it: those that an interrupted founding leaves,
/// an identity that was put there, and the directory that a file system makes at its root.
const ALLOWED: [&str; 6] = ["identity.key", "identity.key.tmp", "LOCK", "db", "db.new", "lost+found"];

/// The reasons why no cluster was founded.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A setting is out of its bounds.
    #[error("{0}; no cluster was founded")]
    Settings(#[from] SettingsError),
    /// The directory has other entries.
    #[error(
        "{} holds {entry:?} and is left as it is; no cluster was founded. Give a directory that is empty or not there",
        dir.display()
    )]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
        /// The entry.
        entry: OsString,
    },
    /// The directory belongs to a node already.
    #[error(
        "{} is the data directory of node {node} already and is left as it is; no cluster was founded. `forename serve \
         --data-dir {}` goes on with it",
        dir.display(),
        dir.display()
    )]
    Founded {
        /// The directory.
        dir: PathBuf,
        /// The node that it belongs to.
        node: NodeId,
    },
    /// The directory cannot be read or made.
    #[error("{}: {error}; no cluster was founded", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The identity, the store or another resource of the node cannot be had.
    #[error(transparent)]
    Resource(ResourceError),
    /// The disk failed.
    #[error("{0}; no cluster was founded: give the command again then")]
    Failed(#[from] StoreFailure),
}

impl<E> From<E> for InitError
where
    ResourceError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Resource(error.into())
    }
}

/// A cluster that has just been founded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Founded {
    /// The id of the cluster.
    pub cluster: ClusterId,
    /// The only member.
    pub node: NodeId,
    /// The settings of the cluster.
    pub settings: ClusterSettings,
}

/// Founds a cluster of one member in a directory that is empty or does not exist. After an interrupted founding the
/// call can be made again.
///
/// # Errors
/// See [`InitError`].
pub(super) fn init(dir: &Path, settings: &ClusterSettingsBody) -> Result<Founded, InitError> {
    settings.check()?;
    check_empty(dir)?;
    files::private_dir(dir).map_err(|error| InitError::Directory { dir: dir.to_owned(), error })?;
    // A founding that was cut short has written the key before anything else.
    if Identity::load(dir)?.is_none() && dir.join("db").is_dir() {
        return Err(InitError::NotEmpty { dir: dir.to_owned(), entry: "db".into() });
    }
    let identity = Identity::load_or_create(dir)?;
    let store = DiskStore::open(dir, &DiskOptions::default(), |_| {})?;
    if let Some(node) = whose(&store) {
        return Err(InitError::Founded { dir: dir.to_owned(), node });
    }
    let (now, node) = (Clocks::start().now(), identity.node_id(0));
    let contact = Contact {
        node,
        public_key: identity.public_key().to_vec(),
        address: String::new(),
        label: String::new(),
        as_of: now.wall,
    };
    let settings = ClusterSettings::default().with(settings);
    let start = founding(node, settings)?;
    let cluster = start.founding.id;
    let mut store = Replica::open(Config::new(contact, 0), store, Some(start.into()), now)?.into_store();
    store.commit();
    store.close()?;
    Ok(Founded { cluster, node, settings })
}

/// The founding and the secret of a new cluster.
pub(super) struct Beginning {
    founding: Founding,
    secret: [u8; 32],
}

impl From<Beginning> for Start {
    fn from(Beginning { founding, secret }: Beginning) -> Self {
        Self::Found { founding, secret }
    }
}

/// Makes the founding and the secret of a cluster whose only member is this node.
pub(super) fn founding(node: NodeId, settings: ClusterSettings) -> Result<Beginning, ResourceError> {
    let id = ClusterId::from_random(driver::random()?);
    let founding = Founding { id, founders: [node].into(), settings: settings.into(), ..Founding::default() };
    Ok(Beginning { founding, secret: driver::random()? })
}

/// Returns the node that a store belongs to. Where it is kept for the next incarnation, returns the earlier one.
fn whose(store: &impl Store) -> Option<NodeId> {
    let back = || schema::Phase::load(store).and_then(StoredPhase::returning);
    schema::Node::load(store).or_else(|| back().map(|back| back.was))
}

fn check_empty(dir: &Path) -> Result<(), InitError> {
    let failed = |error| InitError::Directory { dir: dir.to_owned(), error };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?.file_name();
        if !ALLOWED.iter().any(|allowed| entry == *allowed) {
            return Err(InitError::NotEmpty { dir: dir.to_owned(), entry });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_founded_once_in_an_empty_directory() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("new");
        let founded = init(&dir, &ClusterSettingsBody::default()).unwrap();
        let again = init(&dir, &ClusterSettingsBody::default()).unwrap_err();
        assert!(matches!(&again, InitError::Founded { node, .. } if *node == founded.node), "{again}");
        assert!(again.to_string().contains("forename serve"), "{again}");
        std::fs::write(root.path().join("notes"), "mine").unwrap();
        let other = init(root.path(), &ClusterSettingsBody::default()).unwrap_err();
        assert!(matches!(other, InitError::NotEmpty { .. }), "{other}");
        assert!(!root.path().join("identity.key").exists(), "nothing is made there");
        std::fs::remove_file(dir.join("identity.key")).unwrap();
        let keyless = init(&dir, &ClusterSettingsBody::default()).unwrap_err();
        assert!(matches!(keyless, InitError::NotEmpty { .. }), "{keyless}");
        assert!(!dir.join("identity.key").exists(), "no other key is put beside a node's state");
    }

    #[test]
    fn an_identity_that_was_put_there_is_kept_and_a_founding_that_was_cut_short_is_given_again() {
        let root = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(root.path()).unwrap();
        DiskStore::open(root.path(), &DiskOptions::default(), |_| {}).unwrap().close().unwrap();
        let hasty = serde_json::from_str(r#"{"evict_after": "1ms"}"#).unwrap();
        assert!(matches!(init(root.path(), &hasty), Err(InitError::Settings(_))));
        let founded = init(root.path(), &ClusterSettingsBody::default()).unwrap();
        assert_eq!((founded.node, founded.settings), (identity.node_id(0), ClusterSettings::default()));
    }
}
