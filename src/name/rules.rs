//! The rules of a namespace.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::reserved::{MAX_RESERVED, MAX_RESERVED_BYTES, Reserved};
use super::{NameError, ReservedAs, domain, email, lookalikes, username};
use crate::model::limits::MAX_NAME;
use crate::model::{Characters, Lookalikes, ProfileName};

/// The word for a user name in errors.
const USER_NAME: &str = "a user name";

/// The syntax of names in a namespace, and which spellings are one name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Profile {
    /// User names, by RFC 8265.
    Username {
        /// Which look-alike names are one name.
        lookalikes: Lookalikes,
    },
    /// E-mail addresses, by RFC 5321 and RFC 6531.
    Email {
        /// Leave out what follows a `+` before the `@`.
        remove_tags: bool,
    },
    /// Any text; names that differ in one byte are two names.
    Opaque,
    /// Labels of domains, by UTS #46.
    DnsLabel,
}

/// How long a released name is kept from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// Milliseconds since the release or the rename; at least 1, at most [`MAX_HOLD`].
    pub millis: u64,
    /// True where the former owner may take the name during the hold.
    pub owner_may: bool,
}

/// The longest hold, in milliseconds: ten years, a guess at the most that anybody needs.
pub const MAX_HOLD: u64 = 3650 * 24 * 3_600_000;

/// Refuses characters that may not stand in the names of a namespace.
fn check_characters(characters: Characters, mapped: &str) -> Result<(), NameError> {
    let (fit, allowed): (fn(char) -> bool, _) = match characters {
        Characters::Any => return Ok(()),
        Characters::Ascii => (|c| c.is_ascii(), "characters of ASCII"),
        Characters::LettersDigits => {
            (|c| c.is_alphanumeric() || is_combining_mark(c) || lookalikes::is_joiner(c), "letters and digits")
        }
    };
    match mapped.chars().find(|c| !fit(*c)) {
        Some(character) => Err(NameError::NotAllowed { character, allowed }),
        None => Ok(()),
    }
}

impl Profile {
    /// User names, in which look-alikes of ASCII characters become those characters.
    pub const USERNAME: Self = Self::Username { lookalikes: Lookalikes::Fold };
    /// E-mail addresses whose tags are part of the key.
    pub const EMAIL: Self = Self::Email { remove_tags: false };

    /// Returns the profile's name: `username`, `email`, `opaque` or `dns-label`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Username { .. } => "username",
            Self::Email { .. } => "email",
            Self::Opaque => "opaque",
            Self::DnsLabel => "dns-label",
        }
    }
}

impl From<Profile> for ProfileName {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Username { .. } => Self::Username,
            Profile::Email { .. } => Self::Email,
            Profile::Opaque => Self::Opaque,
            Profile::DnsLabel => Self::DnsLabel,
        }
    }
}

/// The rules of a namespace. A node applies the rules that it knows to the claims that it accepts itself, and to no
/// others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "Record", into = "Record")]
pub struct Rules {
    profile: Profile,
    least: usize,
    most: usize,
    characters: Characters,
    reserved: Reserved,
    private: bool,
    hold: Option<Hold>,
}

/// The encoding of rules in ops and in the store. Later versions are added at the end.
#[derive(Serialize, Deserialize)]
enum Record {
    V1 {
        profile: Profile,
        least: u16,
        most: u16,
        characters: Characters,
        reserved: Reserved,
        private: bool,
        hold: Option<Hold>,
    },
}

impl From<Record> for Rules {
    fn from(record: Record) -> Self {
        let Record::V1 { profile, least, most, characters, reserved, private, hold } = record;
        Self { profile, least: usize::from(least), most: usize::from(most), characters, reserved, private, hold }
    }
}

impl From<Rules> for Record {
    fn from(Rules { profile, least, most, characters, reserved, private, hold }: Rules) -> Self {
        // Both lengths are at most `MAX_NAME`, which fits.
        let short = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        Self::V1 { profile, least: short(least), most: short(most), characters, reserved, private, hold }
    }
}

/// The rules contradict each other or a limit.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RulesError {
    /// The lengths contradict each other, or exceed the limit for all names.
    #[error(
        "names of {least} to {most} characters cannot be: 1 at least, {MAX_NAME} at most, and the least not above the most"
    )]
    Lengths {
        /// The least number of characters.
        least: usize,
        /// The greatest number of characters.
        most: usize,
    },
    /// There are too many reserved names; the number is given.
    #[error("{0} reserved names are more than {MAX_RESERVED}")]
    TooMany(usize),
    /// The reserved names have too many bytes in all; the number is given.
    #[error("the reserved names have {0} bytes, more than {MAX_RESERVED_BYTES}")]
    TooLarge(usize),
    /// The hold is zero or longer than [`MAX_HOLD`]; its milliseconds are given.
    #[error("a name is kept from others for 1 ms to 3650 days after it was given up, not for {0} ms")]
    Hold(u64),
    /// A reserved name is not a valid name of the profile.
    #[error("{name:?} cannot be reserved: {error}")]
    Reserved {
        /// The reserved name as given.
        name: String,
        /// The reason why it is not valid.
        error: NameError,
    },
}

impl Rules {
    /// Makes rules for names of `least` to `most` characters, with these reserved names and patterns.
    ///
    /// # Errors
    /// Fails where the lengths or a reserved name are not valid.
    pub fn new<'a>(
        profile: Profile,
        (least, most): (usize, usize),
        reserved: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, RulesError> {
        if least == 0 || least > most || most > MAX_NAME {
            return Err(RulesError::Lengths { least, most });
        }
        let rules = Self { profile, least, most, ..Self::of(profile) };
        let reserved = Reserved::new(profile, reserved, |name| rules.key(name))?;
        Ok(Self { reserved, ..rules })
    }

    /// Returns the rules of a namespace for which nobody has set any. Its names are e-mail addresses where the last
    /// part of its own name is `email`, and user names elsewhere; they may have any length, and none is reserved.
    #[must_use]
    pub fn default_of(namespace: &str) -> Self {
        let last = namespace.rsplit('/').next().unwrap_or_default();
        Self::of(if last == "email" { Profile::EMAIL } else { Profile::USERNAME })
    }

    fn of(profile: Profile) -> Self {
        let (characters, reserved) = (Characters::Any, Reserved::default());
        Self { profile, least: 1, most: MAX_NAME, characters, reserved, private: false, hold: None }
    }

    /// Returns the same rules with a limit on characters, which applies to user names only.
    #[must_use]
    pub fn with_characters(self, characters: Characters) -> Self {
        Self { characters, ..self }
    }

    /// Returns the characters that user names may contain.
    #[must_use]
    pub fn characters(&self) -> Characters {
        self.characters
    }

    /// Returns the same rules with the namespace private or public. A private name does not leave the node as typed,
    /// and only callers that may read learn of it.
    #[must_use]
    pub fn with_private(self, private: bool) -> Self {
        Self { private, ..self }
    }

    /// Returns the same rules with a hold on released names, or with none.
    ///
    /// # Errors
    /// Fails where the hold is zero or longer than [`MAX_HOLD`].
    pub fn with_hold(self, hold: Option<Hold>) -> Result<Self, RulesError> {
        match hold {
            Some(Hold { millis, .. }) if !(1..=MAX_HOLD).contains(&millis) => Err(RulesError::Hold(millis)),
            hold => Ok(Self { hold, ..self }),
        }
    }

    /// Returns how long released names are kept from others; none where they are free at once.
    #[must_use]
    pub fn hold(&self) -> Option<Hold> {
        self.hold
    }

    /// Returns true where keys are keyed hashes of canonical forms.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// Returns the profile: the syntax of names, and which spellings are one name.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Returns the least and the greatest length of a name in Unicode code points. Names are counted as typed, but
    /// composed (NFC) unless the profile is opaque.
    #[must_use]
    pub fn lengths(&self) -> (usize, usize) {
        (self.least, self.most)
    }

    /// The reserved names and patterns as typed, in order.
    #[must_use]
    pub fn reserved(&self) -> Vec<&str> {
        self.reserved.typed()
    }

    /// Returns the canonical form of a name, which must be unique. In a private namespace the caller hashes it. Lengths
    /// and reserved names are not checked, because a name that was taken under other rules may break the present ones.
    ///
    /// # Errors
    /// Fails where the text is not a valid name of this profile.
    pub fn key(&self, name: &str) -> Result<String, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > MAX_NAME {
            return Err(NameError::TooLarge(name.len()));
        }
        let key = match self.profile {
            Profile::Username { lookalikes } => {
                let mapped = username::mapped(name, USER_NAME)?;
                match lookalikes {
                    Lookalikes::Fold => lookalikes::fold(&mapped),
                    Lookalikes::Strict => lookalikes::skeleton(&mapped),
                    Lookalikes::Distinct => mapped,
                }
            }
            Profile::Email { remove_tags } => email::key(name, remove_tags)?,
            Profile::Opaque => name.to_owned(),
            Profile::DnsLabel => domain::label(name)?,
        };
        if key.len() > MAX_NAME { Err(NameError::KeyTooLarge(key.len())) } else { Ok(key) }
    }

    /// Checks whether the rules allow a name to be claimed. `key` is its key.
    ///
    /// # Errors
    /// Fails with the rule that the name breaks.
    pub fn check(&self, name: &str, key: &str) -> Result<(), NameError> {
        let has = match self.profile {
            _ if name.is_ascii() => name.len(),
            Profile::Opaque => name.chars().count(),
            _ => name.nfc().count(),
        };
        if has < self.least {
            return Err(NameError::TooShort { has, least: self.least });
        }
        if has > self.most {
            return Err(NameError::TooLong { has, most: self.most });
        }
        if matches!(self.profile, Profile::Username { .. }) && self.characters != Characters::Any {
            check_characters(self.characters, &username::form(name))?;
        }
        if let Some(reserved) = self.reserved.name(key) {
            return Err(NameError::Reserved(match reserved.to_owned() {
                reserved if reserved == name => ReservedAs::Itself,
                reserved if self.look_alike(name, &reserved) => ReservedAs::LookAlike(reserved),
                reserved => ReservedAs::Spelling(reserved),
            }));
        }
        match self.reserved.pattern(key) {
            Some(pattern) => Err(NameError::Reserved(ReservedAs::Fits(pattern.to_owned()))),
            None => Ok(()),
        }
    }

    /// Returns true where two names with the same key share it only because they look alike.
    #[must_use]
    pub fn look_alike(&self, one: &str, other: &str) -> bool {
        let is_spelt_otherwise = || one != other && username::form(one) != username::form(other);
        matches!(self.profile, Profile::Username { .. }) && is_spelt_otherwise()
    }

    /// Returns true where every name has the same key under both rules.
    #[must_use]
    pub fn same_keys(&self, other: &Self) -> bool {
        self.profile == other.profile && self.private == other.private
    }
}
