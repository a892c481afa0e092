//! The keys of the tables as types, and their bytes. The bytes sort in the order in which the tables are to be walked.

use smallvec::SmallVec;
use uuid::Uuid;

use super::rows::{Keyed, Span};
use super::{Charges, Claims, Erased, Expiries, Log, Names, Over, Owners, Typed};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::store::Store;

/// The bytes of a key. Most keys are short and need no allocation.
pub type KeyBytes = SmallVec<[u8; 48]>;

/// A key of a table. Its bytes sort as its fields do, the first one first.
pub trait Key<'a>: Copy {
    /// Appends the bytes of the key.
    fn write(self, bytes: &mut KeyBytes);

    /// Reads a key from its bytes; none where the bytes are no such key.
    fn read(bytes: &'a [u8]) -> Option<Self>;
}

impl Key<'_> for Stamp {
    fn write(self, bytes: &mut KeyBytes) {
        bytes.extend_from_slice(&self.to_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Self::from_bytes(bytes)
    }
}

impl Key<'_> for u64 {
    fn write(self, bytes: &mut KeyBytes) {
        bytes.extend_from_slice(&self.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().map(Self::from_be_bytes).ok()
    }
}

impl Key<'_> for NodeId {
    fn write(self, bytes: &mut KeyBytes) {
        self.0.write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        u64::read(bytes).map(Self)
    }
}

impl Key<'_> for Uuid {
    fn write(self, bytes: &mut KeyBytes) {
        bytes.extend_from_slice(self.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes).ok()
    }
}

impl<'a> Key<'a> for &'a str {
    fn write(self, bytes: &mut KeyBytes) {
        bytes.extend_from_slice(self.as_bytes());
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        str::from_utf8(bytes).ok()
    }
}

/// The end of a reservation, and the reservation.
impl Key<'_> for (Hlc, Stamp) {
    fn write(self, bytes: &mut KeyBytes) {
        self.0.0.write(bytes);
        self.1.write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (end, stamp) = bytes.split_first_chunk()?;
        Some((Hlc(u64::from_be_bytes(*end)), Stamp::from_bytes(stamp)?))
    }
}

/// A place in a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LogKey {
    /// The node whose log it is.
    pub origin: NodeId,
    /// The number of an op.
    pub seq: u64,
}

impl Key<'_> for LogKey {
    fn write(self, bytes: &mut KeyBytes) {
        self.origin.write(bytes);
        self.seq.write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (origin, seq) = bytes.split_first_chunk()?;
        Some(Self { origin: NodeId(u64::from_be_bytes(*origin)), seq: u64::read(seq)? })
    }
}

/// A name. A zero byte separates the namespace from the key; a namespace has none itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NameKey<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The canonical form of the name, or a hash of it where the name is private or erased.
    pub key: &'a str,
}

impl<'a> NameKey<'a> {
    /// Makes the key of a name.
    #[must_use]
    pub fn new(namespace: &'a str, key: &'a str) -> Self {
        Self { namespace, key }
    }
}

impl<'a> Key<'a> for NameKey<'a> {
    fn write(self, bytes: &mut KeyBytes) {
        self.namespace.write(bytes);
        bytes.push(0);
        self.key.write(bytes);
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        Some(Self { namespace: <&str>::read(&bytes[..end])?, key: <&str>::read(&bytes[end + 1..])? })
    }
}

/// A claim to a name, sorted among the claims to the same tenure. The tenure is identified by the claim that it
/// follows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ClaimKey<'a> {
    /// The name.
    pub name: NameKey<'a>,
    /// The claim that the tenure follows; none for the first one.
    pub after: Option<Stamp>,
    /// The claim.
    pub stamp: Stamp,
}

impl<'a> Key<'a> for ClaimKey<'a> {
    fn write(self, bytes: &mut KeyBytes) {
        write_tenure(self.name, self.after, bytes);
        self.stamp.write(bytes);
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (name, rest) = split_last::<33>(bytes)?;
        let (after, stamp) = rest.split_last_chunk::<16>()?;
        let after = match after.split_first()? {
            (0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => None,
            (1, after) => Some(Stamp::from_bytes(after)?),
            _ => return None,
        };
        Some(Self { name: NameKey::read(name)?, after, stamp: Stamp::from_bytes(stamp)? })
    }
}

/// Writes the bytes of a tenure, to which those of a claim are appended. The first tenure sorts before all others.
fn write_tenure(name: NameKey<'_>, after: Option<Stamp>, bytes: &mut KeyBytes) {
    name.write(bytes);
    bytes.extend_from_slice(&[0, u8::from(after.is_some())]);
    after.unwrap_or_default().write(bytes);
}

/// A claim to a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FollowedKey<'a> {
    /// The name.
    pub name: NameKey<'a>,
    /// The claim.
    pub stamp: Stamp,
}

impl<'a> Key<'a> for FollowedKey<'a> {
    fn write(self, bytes: &mut KeyBytes) {
        self.name.write(bytes);
        bytes.push(0);
        self.stamp.write(bytes);
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (name, stamp) = split_last::<16>(bytes)?;
        Some(Self { name: NameKey::read(name)?, stamp: Stamp::from_bytes(stamp)? })
    }
}

/// Splits the bytes into a text, a zero byte, and the last `LENGTH` bytes. Returns the text and the last bytes.
fn split_last<const LENGTH: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8; LENGTH])> {
    let (text, last) = bytes.split_last_chunk()?;
    Some((text.strip_suffix(&[0])?, last))
}

/// A registration of an owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OwnerKey<'a> {
    /// The owner.
    pub owner: &'a str,
    /// The registration.
    pub stamp: Stamp,
}

impl<'a> Key<'a> for OwnerKey<'a> {
    fn write(self, bytes: &mut KeyBytes) {
        self.owner.write(bytes);
        bytes.push(0);
        self.stamp.write(bytes);
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (owner, stamp) = split_last::<16>(bytes)?;
        Some(Self { owner: <&str>::read(owner)?, stamp: Stamp::from_bytes(stamp)? })
    }
}

/// The time at which a registration that is over is to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    /// When the feed begins at this number, because every earlier event has left it.
    Feed(u64),
    /// When the watermark has reached this timestamp.
    Watermark(Hlc),
}

impl Due {
    const FEED: u8 = b'c';
    const WATERMARK: u8 = b'w';

    fn bytes(self) -> (u8, u64) {
        match self {
            Self::Feed(number) => (Self::FEED, number),
            Self::Watermark(hlc) => (Self::WATERMARK, hlc.0),
        }
    }
}

/// A registration that is over, by the time at which it is to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OverKey {
    /// The time at which it is to be looked at.
    pub due: Due,
    /// The registration.
    pub stamp: Stamp,
}

impl Key<'_> for OverKey {
    fn write(self, bytes: &mut KeyBytes) {
        let (by, due) = self.due.bytes();
        bytes.push(by);
        due.write(bytes);
        self.stamp.write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (by, rest) = bytes.split_first()?;
        let (due, stamp) = rest.split_first_chunk()?;
        let due = u64::from_be_bytes(*due);
        let due = match *by {
            Due::FEED => Due::Feed(due),
            Due::WATERMARK => Due::Watermark(Hlc(due)),
            _ => return None,
        };
        Some(Self { due, stamp: Stamp::from_bytes(stamp)? })
    }
}

/// The end of a claim or of a registration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EndingKey {
    /// The registration.
    pub registration: Stamp,
    /// The index of the claim, or a number that stands for the whole registration.
    pub place: u8,
}

impl Key<'_> for EndingKey {
    fn write(self, bytes: &mut KeyBytes) {
        self.registration.write(bytes);
        bytes.push(self.place);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (place, stamp) = bytes.split_last()?;
        Some(Self { registration: Stamp::from_bytes(stamp)?, place: *place })
    }
}

/// A registration that was opened with an API token. A token's name has no control characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChargeKey<'a> {
    /// The token's name.
    pub token: &'a str,
    /// The registration's id.
    pub id: Uuid,
}

impl<'a> Key<'a> for ChargeKey<'a> {
    fn write(self, bytes: &mut KeyBytes) {
        self.token.write(bytes);
        bytes.push(0);
        self.id.write(bytes);
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (token, id) = split_last::<16>(bytes)?;
        Some(Self { token: <&str>::read(token)?, id: Uuid::from_bytes(*id) })
    }
}

/// A private name of a registration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TypedKey<'a> {
    /// The registration's id.
    pub id: Uuid,
    /// The key of the name, which is a hash.
    pub key: &'a str,
}

impl<'a> Key<'a> for TypedKey<'a> {
    fn write(self, bytes: &mut KeyBytes) {
        self.id.write(bytes);
        self.key.write(bytes);
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (id, key) = bytes.split_first_chunk()?;
        Some(Self { id: Uuid::from_bytes(*id), key: <&str>::read(key)? })
    }
}

impl Span<Log> {
    /// The log of one origin.
    #[must_use]
    pub fn of(origin: NodeId) -> Self {
        Self::beginning(&origin.0.to_be_bytes())
    }
}

impl Span<Names> {
    /// The names of one namespace whose keys begin with `prefix`.
    #[must_use]
    pub fn of(namespace: &str, prefix: &str) -> Self {
        Self::beginning(&super::rows::bytes::<Names>(NameKey::new(namespace, prefix)))
    }
}

impl Span<Claims> {
    /// The claims to one name. A name whose key is this one followed by a zero byte and more text has its claims in
    /// this span too.
    #[must_use]
    pub fn of(name: NameKey<'_>) -> Self {
        let mut bytes = KeyBytes::new();
        name.write(&mut bytes);
        bytes.push(0);
        Self::beginning(&bytes)
    }

    /// The claims to one tenure of a name.
    #[must_use]
    pub fn of_tenure(name: NameKey<'_>, after: Option<Stamp>) -> Self {
        let mut bytes = KeyBytes::new();
        write_tenure(name, after, &mut bytes);
        Self::beginning(&bytes)
    }
}

impl Claims {
    /// Returns true where it is known without a scan that a tenure of a name has no row.
    pub fn lacks_tenure(store: &(impl Store + ?Sized), name: NameKey<'_>, after: Option<Stamp>) -> bool {
        let mut bytes = KeyBytes::new();
        write_tenure(name, after, &mut bytes);
        store.lacks_tenure(&bytes)
    }
}

/// A table whose keys begin with a namespace and a zero byte.
pub trait ByNamespace: Keyed {
    /// The namespace of a key.
    fn namespace(key: Self::Key<'_>) -> String;
}

impl ByNamespace for Names {
    fn namespace(key: NameKey<'_>) -> String {
        key.namespace.to_owned()
    }
}

impl ByNamespace for Erased {
    fn namespace(key: NameKey<'_>) -> String {
        key.namespace.to_owned()
    }
}

impl ByNamespace for Claims {
    fn namespace(key: ClaimKey<'_>) -> String {
        key.name.namespace.to_owned()
    }
}

impl<T: ByNamespace> Span<T> {
    /// The rows of one namespace.
    #[must_use]
    pub fn of_namespace(namespace: &str) -> Self {
        Self::beginning(&[namespace.as_bytes(), &[0]].concat())
    }

    /// The rows of all namespaces that sort at or after this text.
    #[must_use]
    pub fn of_namespaces_from(namespace: &str) -> Self {
        Self::onward(namespace.as_bytes())
    }
}

impl Span<Owners> {
    /// The registrations of one owner.
    #[must_use]
    pub fn of(owner: &str) -> Self {
        Self::beginning(&[owner.as_bytes(), &[0]].concat())
    }
}

impl Span<Charges> {
    /// The registrations that were opened with one token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self::beginning(&[token.as_bytes(), &[0]].concat())
    }
}

impl Span<Typed> {
    /// The private names of one registration.
    #[must_use]
    pub fn of(id: Uuid) -> Self {
        Self::beginning(id.as_bytes())
    }
}

impl Span<Expiries> {
    /// The reservations that end at or before a time.
    #[must_use]
    pub fn until(end: Hlc) -> Self {
        Self::all().below((Hlc(end.0.saturating_add(1)), Stamp::default()))
    }
}

impl Span<Over> {
    /// The registrations that are due by now: those whose due time is of the same kind and not later.
    #[must_use]
    pub fn until(due: Due) -> Self {
        let (by, due) = due.bytes();
        let end = [&[by], due.saturating_add(1).to_be_bytes().as_slice()].concat();
        Self::between(&[by], end)
    }
}
