//! The rules of a namespace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{NameError, email, username};
use crate::replica::limits::MAX_NAME;

/// Reserved names of one namespace at most. A guess: lists of names that sites keep for themselves have some hundreds.
pub const MAX_RESERVED: usize = 1000;
/// Bytes of all reserved names of one namespace together.
pub const MAX_RESERVED_BYTES: usize = 16 * 1024;

/// How the names of a namespace are written, and which of them are one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Profile {
    /// User names.
    Username {
        /// Names that look alike are one name.
        lookalikes_collide: bool,
    },
    /// E-mail addresses.
    Email {
        /// What follows a `+` before the `@` does not count.
        remove_tags: bool,
    },
    /// Whatever the application likes: each byte counts.
    Opaque,
}

impl Profile {
    /// User names; look-alikes are one name.
    pub const USERNAME: Self = Self::Username { lookalikes_collide: true };
    /// E-mail addresses; their tags count.
    pub const EMAIL: Self = Self::Email { remove_tags: false };

    /// Its name: `username`, `email` or `opaque`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Username { .. } => "username",
            Self::Email { .. } => "email",
            Self::Opaque => "opaque",
        }
    }
}

/// The rules of a namespace. They apply at a node from the moment it knows of them, to the claims that it accepts itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "Record", into = "Record")]
pub struct Rules {
    profile: Profile,
    least: usize,
    most: usize,
    /// By key, as typed.
    reserved: BTreeMap<String, String>,
    private: bool,
}

/// How rules are written in ops and in the store: later versions are added at the end.
#[derive(Serialize, Deserialize)]
enum Record {
    V1 { profile: Profile, least: u16, most: u16, reserved: BTreeMap<String, String>, private: bool },
}

impl From<Record> for Rules {
    fn from(record: Record) -> Self {
        let Record::V1 { profile, least, most, reserved, private } = record;
        Self { profile, least: usize::from(least), most: usize::from(most), reserved, private }
    }
}

impl From<Rules> for Record {
    fn from(Rules { profile, least, most, reserved, private }: Rules) -> Self {
        // Both are at most `MAX_NAME`.
        let short = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        Self::V1 { profile, least: short(least), most: short(most), reserved, private }
    }
}

/// No namespace can have these rules.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RulesError {
    /// The lengths contradict each other, or the limit on all names.
    #[error(
        "names of {least} to {most} characters cannot be: 1 at least, {MAX_NAME} at most, and the least not above the most"
    )]
    Lengths {
        /// Characters at least.
        least: usize,
        /// Characters at most.
        most: usize,
    },
    /// Too many reserved names.
    #[error("{0} reserved names are more than {MAX_RESERVED}")]
    TooMany(usize),
    /// Reserved names of too many bytes.
    #[error("the reserved names have {0} bytes, more than {MAX_RESERVED_BYTES}")]
    TooLarge(usize),
    /// A reserved name that could not be claimed anyway.
    #[error("{name:?} cannot be reserved: {error}")]
    Reserved {
        /// As given.
        name: String,
        /// Why it is no name.
        error: NameError,
    },
}

impl Rules {
    /// Rules for names of `least` to `most` characters, of which these are reserved.
    ///
    /// # Errors
    /// There cannot be such rules.
    pub fn new<'a>(
        profile: Profile,
        (least, most): (usize, usize),
        reserved: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, RulesError> {
        if least == 0 || least > most || most > MAX_NAME {
            return Err(RulesError::Lengths { least, most });
        }
        let mut rules = Self { profile, least, most, reserved: BTreeMap::new(), private: false };
        let mut bytes = 0;
        for name in reserved {
            bytes += name.len();
            if bytes > MAX_RESERVED_BYTES {
                return Err(RulesError::TooLarge(bytes));
            }
            let refused = |error| RulesError::Reserved { name: name.to_owned(), error };
            rules.reserved.entry(rules.key(name).map_err(refused)?).or_insert_with(|| name.to_owned());
        }
        let count = rules.reserved.len();
        if count > MAX_RESERVED { Err(RulesError::TooMany(count)) } else { Ok(rules) }
    }

    /// The rules of a namespace that nobody has set any for: addresses where the last part of its name is `email`, user
    /// names elsewhere, of any length, none of them reserved.
    #[must_use]
    pub fn default_of(namespace: &str) -> Self {
        let last = namespace.rsplit('/').next().unwrap_or_default();
        let profile = if last == "email" { Profile::EMAIL } else { Profile::USERNAME };
        Self { profile, least: 1, most: MAX_NAME, reserved: BTreeMap::new(), private: false }
    }

    /// The same rules for names that only those are told of who may read, and that do not travel as typed; or for public
    /// ones.
    #[must_use]
    pub fn with_private(self, private: bool) -> Self {
        Self { private, ..self }
    }

    /// Whether a keyed hash stands for a name's canonical form.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// How names are written, and which are one.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Characters of a name at least and at most: Unicode code points as typed, composed (NFC) unless the names are opaque.
    #[must_use]
    pub fn lengths(&self) -> (usize, usize) {
        (self.least, self.most)
    }

    /// The reserved names as typed, by key.
    #[must_use]
    pub fn reserved(&self) -> &BTreeMap<String, String> {
        &self.reserved
    }

    /// The canonical form of a name, which is what must be unique; where names are private it is hashed yet. A name that was taken under other rules may be shorter
    /// or longer than these allow, or reserved by now, so none of that is looked at.
    ///
    /// # Errors
    /// It is no name of this profile.
    pub fn key(&self, name: &str) -> Result<String, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > MAX_NAME {
            return Err(NameError::TooLarge(name.len()));
        }
        let key = match self.profile {
            Profile::Username { lookalikes_collide } => {
                let mapped = username::mapped(name, "a user name")?;
                if lookalikes_collide { username::skeleton(&mapped) } else { mapped }
            }
            Profile::Email { remove_tags } => email::key(name, remove_tags)?,
            Profile::Opaque => name.to_owned(),
        };
        if key.len() > MAX_NAME { Err(NameError::KeyTooLarge(key.len())) } else { Ok(key) }
    }

    /// Whether a name, whose key is given, may be claimed.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn check(&self, name: &str, key: &str) -> Result<(), NameError> {
        let has = if self.profile == Profile::Opaque { name.chars().count() } else { name.nfc().count() };
        if has < self.least {
            return Err(NameError::TooShort { has, least: self.least });
        }
        if has > self.most {
            return Err(NameError::TooLong { has, most: self.most });
        }
        match self.reserved.get(key) {
            Some(reserved) => Err(NameError::Reserved((reserved != name).then(|| reserved.clone()))),
            None => Ok(()),
        }
    }

    /// Whether every name has the same key under both.
    #[must_use]
    pub fn same_keys(&self, other: &Self) -> bool {
        self.profile == other.profile && self.private == other.private
    }
}
