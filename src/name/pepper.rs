//! Keys of names that are not to be read: a keyed hash in place of the canonical form.
//!
//! All nodes of a cluster have the same secret, so they give the same name the same key, and none of them has to know the
//! name. Whoever has no node's data directory has no secret, and cannot try out names. Whoever has one can: addresses can
//! be guessed, and a hash hides no more than the guessing costs.

use std::fmt;

/// Keeps this use of the cluster's secret apart from any other.
const CONTEXT: &str = "forename 2026-11 keys of private names";

/// Bytes of a hash: two names of one hash are as unlikely as it gets, also where somebody looks for them.
const BYTES: usize = 20;

/// The secret that goes into the keys of private names, and into what is left of erased ones.
#[derive(Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Pepper([u8; 32]);

impl Pepper {
    /// How long a hash is, in characters.
    pub const HASH_LEN: usize = 2 * BYTES;

    /// That of a cluster with this secret.
    #[must_use]
    pub fn derive(secret: &[u8; 32]) -> Self {
        Self(blake3::derive_key(CONTEXT, secret))
    }

    /// What stands for a key of a namespace: 40 hexadecimal digits, which need no escape anywhere.
    #[must_use]
    pub fn hash(&self, namespace: &str, key: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // No namespace has this byte, so where it ends is told.
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
        // Written here, because it stays so: names would not be found again.
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
