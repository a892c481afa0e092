//! A keyed hash of names, for where a name must be found again by whoever knows it and be read by nobody.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The row of [`Table::Cluster`](crate::store::Table::Cluster) with the cluster's pepper. It is made of the first secret
/// that the cluster had, and stays when a cluster that is recovered gets another one: what was hashed must be found.
pub const CLUSTER_PEPPER: &[u8] = b"pepper";

/// What the secret is used for, as BLAKE3 asks for it.
const CONTEXT: &str = "forename 2026-03-01 pepper of hashed names";

/// Bytes of a hash: 128 bits, which no accident makes equal.
const BYTES: usize = 16;

/// The secret that goes into the hash of a name. All members of a cluster have the same.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pepper([u8; 32]);

impl Pepper {
    /// The pepper of a cluster that was founded with this secret.
    #[must_use]
    pub fn derive(secret: &[u8; 32]) -> Self {
        Self(blake3::derive_key(CONTEXT, secret))
    }

    /// The hash of a key in its namespace, as 32 hexadecimal digits.
    #[must_use]
    pub fn hash(&self, namespace: &str, key: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // No namespace has a byte 0.
        hasher.update(namespace.as_bytes()).update(&[0]).update(key.as_bytes());
        let mut hash = [0; BYTES];
        hasher.finalize_xof().fill(&mut hash);
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_hangs_on_the_secret_the_namespace_and_the_key() {
        let (one, other) = (Pepper::derive(&[1; 32]), Pepper::derive(&[2; 32]));
        let hash = one.hash("username", "alice");
        assert_eq!(hash, Pepper::derive(&[1; 32]).hash("username", "alice"));
        assert_eq!(hash.len(), 32);
        for different in [other.hash("username", "alice"), one.hash("email", "alice"), one.hash("username", "alicf")] {
            assert_ne!(hash, different);
        }
        assert!(!format!("{one:?}").contains('1'));
    }
}
