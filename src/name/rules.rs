//! The rules of a namespace.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::reserved::{MAX_RESERVED, MAX_RESERVED_BYTES, Reserved};
use super::{NameError, ReservedAs, domain, email, lookalikes, username};
use crate::model::limits::MAX_NAME;
use crate::model::{Characters, Lookalikes, ProfileName};

/// What an error calls a user name.
const USER_NAME: &str = "a user name";

/// How the names of a namespace are written, and which of them are one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Profile {
    /// User names.
    Username {
        /// Which names that look alike are one.
        lookalikes: Lookalikes,
    },
    /// E-mail addresses.
    Email {
        /// What follows a `+` before the `@` does not count.
        remove_tags: bool,
    },
    /// Whatever the application likes: each byte counts.
    Opaque,
    /// Labels of domains.
    DnsLabel,
}

/// For how long a name that its holder gave up is kept from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// Milliseconds from the release or the rename; at least 1, at most [`MAX_HOLD`].
    pub millis: u64,
    /// Its former owner may take it meanwhile.
    pub owner_may: bool,
}

/// The longest hold, in milliseconds: ten years. A guess: nobody plans for more.
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
    /// User names; what looks like ASCII is that.
    pub const USERNAME: Self = Self::Username { lookalikes: Lookalikes::Fold };
    /// E-mail addresses; their tags count.
    pub const EMAIL: Self = Self::Email { remove_tags: false };

    /// Its name: `username`, `email`, `opaque` or `dns-label`.
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

/// The rules of a namespace. They apply at a node from the moment it knows of them, to the claims that it accepts itself.
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

/// How rules are written in ops and in the store: later versions are added at the end.
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
        // Both are at most `MAX_NAME`.
        let short = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        Self::V1 { profile, least: short(least), most: short(most), characters, reserved, private, hold }
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
    /// Names that are kept for ever after they were given up, or not at all.
    #[error("a name is kept from others for 1 ms to 3650 days after it was given up, not for {0} ms")]
    Hold(u64),
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
        let rules = Self { profile, least, most, ..Self::of(profile) };
        let reserved = Reserved::new(profile, reserved, |name| rules.key(name))?;
        Ok(Self { reserved, ..rules })
    }

    /// The rules of a namespace that nobody has set any for: addresses where the last part of its name is `email`, user
    /// names elsewhere, of any length, none of them reserved.
    #[must_use]
    pub fn default_of(namespace: &str) -> Self {
        let last = namespace.rsplit('/').next().unwrap_or_default();
        Self::of(if last == "email" { Profile::EMAIL } else { Profile::USERNAME })
    }

    fn of(profile: Profile) -> Self {
        let (characters, reserved) = (Characters::Any, Reserved::default());
        Self { profile, least: 1, most: MAX_NAME, characters, reserved, private: false, hold: None }
    }

    /// The same rules for names of these characters only. They are looked at in user names alone.
    #[must_use]
    pub fn with_characters(self, characters: Characters) -> Self {
        Self { characters, ..self }
    }

    /// Which characters may stand in user names.
    #[must_use]
    pub fn characters(&self) -> Characters {
        self.characters
    }

    /// The same rules for names that only those are told of who may read, and that do not travel as typed; or for public
    /// ones.
    #[must_use]
    pub fn with_private(self, private: bool) -> Self {
        Self { private, ..self }
    }

    /// The same rules, with names kept from others for a while once their holders gave them up; or not.
    ///
    /// # Errors
    /// There is no such while.
    pub fn with_hold(self, hold: Option<Hold>) -> Result<Self, RulesError> {
        match hold {
            Some(Hold { millis, .. }) if !(1..=MAX_HOLD).contains(&millis) => Err(RulesError::Hold(millis)),
            hold => Ok(Self { hold, ..self }),
        }
    }

    /// For how long names that were given up are kept from others; not at all where there is none.
    #[must_use]
    pub fn hold(&self) -> Option<Hold> {
        self.hold
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

    /// The reserved names and patterns as typed, in order.
    #[must_use]
    pub fn reserved(&self) -> Vec<&str> {
        self.reserved.typed()
    }

    /// Bytes of each reserved name or pattern: of its key, and as typed.
    pub(crate) fn reserved_sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.reserved.sizes()
    }

    /// The canonical form of a name, which is what must be unique; where names are private it is hashed yet. A name that
    /// was taken under other rules may be shorter or longer than these allow, or reserved by now, so none of that is
    /// looked at.
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

    /// Whether a name, whose key is given, may be claimed.
    ///
    /// # Errors
    /// Which rule it breaks.
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

    /// Whether two names, which have one key, have it only because they look alike.
    #[must_use]
    pub fn look_alike(&self, one: &str, other: &str) -> bool {
        matches!(self.profile, Profile::Username { .. }) && username::form(one) != username::form(other)
    }

    /// Whether every name has the same key under both.
    #[must_use]
    pub fn same_keys(&self, other: &Self) -> bool {
        self.profile == other.profile && self.private == other.private
    }
}
