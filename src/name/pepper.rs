//! Keys of private names: a keyed hash replaces the canonical form.
//!
//! All nodes of a cluster have the same secret, so they compute the same key for the same name without knowing each
//! other's names. Whoever has no data directory of a node has no secret, and cannot try out names. Whoever has one can:
//! addresses can be guessed, and a hash protects them only by the cost of guessing.

use std::fmt;

/// Separates this use of the cluster's secret from any other use.
const CONTEXT: &str = "forename 2026-11 keys of private names";

/// Bytes of a hash: enough that nobody finds two names with one hash, even by searching.
const BYTES: usize = 20;

/// The secret for the keys of private names, and for the hashes that replace erased names.
#[derive(Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Pepper([u8; 32]);

impl Pepper {
    /// Length of a hash in characters.
    pub const HASH_LEN: usize = 2 * BYTES;

    /// Derives the pepper of a cluster from the cluster's secret.
    #[must_use]
    pub fn derive(secret: &[u8; 32]) -> Self {
        Self(blake3::derive_key(CONTEXT, secret))
    }

    /// Returns the hash that replaces a key of a namespace: 40 hexadecimal digits, which need no escaping anywhere.
    #[must_use]
    pub fn hash(&self, namespace: &str, key: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // A zero byte cannot occur in the name of a namespace, so it separates the namespace from the key.
        hasher.update(namespace.as_bytes()).update(&[0]).update(key.as_bytes());
        hasher.finalize().to_hex().as_str().chars().take(Self::HASH_LEN).collect()
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_has_the_same_hash_and_no_other_has() {
        let pepper = Pepper::derive(&[7; 32]);
        let hash = pepper.hash("email", "ann@example.org");
        // The hash is computed by [`Pepper::derive`] from a fixed secret.
        assert_eq!(hash, Pepper::derive(&[7; 32]).hash("email", "ann@example.org"));
        assert!(hash.len() == Pepper::HASH_LEN && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
        for other in [
            pepper.hash("email", "bob@example.org"),
            pepper.hash("mail", "ann@example.org"),
            pepper.hash("emaila", "nn@example.org"),
            Pepper::derive(&[8; 32]).hash("email", "ann@example.org"),
        ] {
            assert_ne!(other, hash);
        }
        assert_eq!(format!("{pepper:?}"), "Pepper(…)");
    }
}
