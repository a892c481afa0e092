//! A node's key pair, and the ids that follow from it.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ring::digest;
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::clock::NodeId;
use crate::files;

/// The name of the key file in the data directory.
const FILE: &str = "identity.key";

/// An Ed25519 public key in raw form.
pub type PublicKey = [u8; 32];

/// A node's Ed25519 key pair, made at the first start and kept in the data directory as PKCS #8 (RFC 8410).
#[derive(Clone)]
pub struct Identity {
    pkcs8: Vec<u8>,
    public_key: PublicKey,
}

impl Identity {
    /// Reads the key in `dir`, or makes one where there is none. An existing file is never overwritten.
    ///
    /// # Errors
    /// See [`IdentityError`]; the directory is unchanged.
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        if let Some(identity) = Self::load(dir)? {
            return Ok(identity);
        }
        let (path, identity) = (dir.join(FILE), Self::generate()?);
        identity.write_to(dir)?;
        tracing::info!(path = %path.display(), "made a new identity");
        Ok(identity)
    }

    /// Reads the key in `dir`; none where there is no key file.
    ///
    /// # Errors
    /// See [`IdentityError`]; nothing was changed.
    pub fn load(dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = dir.join(FILE);
        match fs::read(&path) {
            Ok(pkcs8) => {
                warn_if_exposed(&path);
                Self::from_pkcs8(pkcs8).map(Some).ok_or(IdentityError::Damaged { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IdentityError::Read { path, source }),
        }
    }

    /// Makes the identity from a backup's key; none where that is not an Ed25519 key.
    pub(crate) fn from_backup(pkcs8: Vec<u8>) -> Option<Self> {
        Self::from_pkcs8(pkcs8)
    }

    /// Returns the private key as PKCS #8, for a backup.
    pub(crate) fn to_backup(&self) -> Vec<u8> {
        self.pkcs8.clone()
    }

    /// Writes the key to `dir`, and replaces one that is there.
    pub(crate) fn write_to(&self, dir: &Path) -> Result<(), IdentityError> {
        let path = dir.join(FILE);
        write_new(dir, &path, &self.pkcs8).map_err(|source| IdentityError::Write { path, source })
    }

    /// Returns the raw public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Returns the id of an incarnation of this key.
    #[must_use]
    pub fn node_id(&self, incarnation: u16) -> NodeId {
        node_id(&self.public_key, incarnation)
    }

    /// Returns the private key as PKCS #8, for the TLS configuration.
    pub(super) fn pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pkcs8.clone())
    }

    /// Returns the key pair, for signing the certificate.
    pub(super) fn key_pair(&self) -> Result<rcgen::KeyPair, rcgen::Error> {
        rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&self.pkcs8(), &rcgen::PKCS_ED25519)
    }

    fn generate() -> Result<Self, IdentityError> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)
            .map_err(|error| IdentityError::Generate(error.to_string()))?;
        Self::from_pkcs8(pair.serialize_der())
            .ok_or_else(|| IdentityError::Generate("the new key is not an Ed25519 key".to_owned()))
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).ok()?;
        let public_key = pair.public_key_raw().try_into().ok()?;
        Some(Self { pkcs8, public_key })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.node_id(0)).finish()
    }
}

/// Returns the id of an incarnation of a key: 48 bits of the key's SHA-256, and the incarnation.
#[must_use]
pub fn node_id(public_key: &PublicKey, incarnation: u16) -> NodeId {
    let hash = digest::digest(&digest::SHA256, public_key);
    let mut prefix = [0; 6];
    prefix.copy_from_slice(&hash.as_ref()[..6]);
    NodeId::new(prefix, incarnation)
}

/// The reason why a node has no identity. Nothing was changed on disk, except that a temporary file may be left.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file exists but cannot be read.
    #[error("the identity {} cannot be read: {source}; give the node's user access to it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not an Ed25519 key.
    #[error(
        "the identity {} is damaged: it is not an Ed25519 key in PKCS #8; put the file back from a backup, or start \
         with an empty data directory and join again as a new node",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A new key cannot be stored.
    #[error(
        "a new identity cannot be written to {}: {source}; make the data directory writable for the node's user",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system has no random numbers.
    #[error("no identity could be made: {0}; check the system's source of random numbers")]
    Generate(String),
}

/// Writes a file so that after a crash it is whole or absent: temporary file, fsync, rename, fsync of the directory.
fn write_new(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    files::private_dir(dir)?;
    let temporary = path.with_extension("key.tmp");
    // A file left by an earlier crash may have another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = files::private_file(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    files::sync_dir(dir)
}

/// Warns where others can read the key. It is no error, because secrets mounted by an orchestrator are often readable
/// by a group.
fn warn_if_exposed(path: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = fs::metadata(path) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "others can read this node's identity; chmod it to 600");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}
