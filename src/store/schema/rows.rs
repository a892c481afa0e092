//! Typed reads and writes, on top of a [`Store`] of bytes.

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::{Key, KeyBytes};
use crate::codec::{self, DecodeError};
use crate::store::{Direction, Store, Table, Write, prefix_end};

/// A table, or the part of a table whose keys begin with the same bytes.
pub trait Keyed: Sized + 'static {
    /// The table.
    const TABLE: Table;
    /// The bytes that keys of this part begin with.
    const PREFIX: &'static [u8] = &[];
    /// The type of the keys of its rows.
    type Key<'a>: Key<'a>;
}

/// A row or a single value: a type with an encoding. Every type that serde knows has the encoding of [`codec`].
pub trait Record: ToOwned {
    /// Encodes the record, and returns what `take` returns for the bytes.
    fn encoded<A>(&self, take: impl FnOnce(&[u8]) -> A) -> A;

    /// Decodes a record.
    ///
    /// # Errors
    /// The bytes are no such record.
    fn decode(bytes: &[u8]) -> Result<Self::Owned, DecodeError>;
}

impl<T: ?Sized + Serialize + ToOwned<Owned: DeserializeOwned>> Record for T {
    fn encoded<A>(&self, take: impl FnOnce(&[u8]) -> A) -> A {
        codec::with_encoding(self, take)
    }

    fn decode(bytes: &[u8]) -> Result<T::Owned, DecodeError> {
        codec::decode(bytes)
    }
}

/// The row of a table in the type in which a read returns it.
pub type Owned<T> = <<T as Rows>::Row as ToOwned>::Owned;

/// Encodes a key.
pub(super) fn bytes<T: Keyed>(key: T::Key<'_>) -> KeyBytes {
    let mut bytes = KeyBytes::from_slice(T::PREFIX);
    key.write(&mut bytes);
    bytes
}

/// Decodes a record that this program wrote itself.
///
/// # Panics
/// Where the bytes are no such record. Then the store returned other bytes than were written, which its checksums rule
/// out, or the format changed without a new version.
fn read<R: ?Sized + Record>(bytes: &[u8], what: &str) -> R::Owned {
    written(R::decode(bytes), what)
}

fn written<R>(record: Result<R, DecodeError>, what: &str) -> R {
    match record {
        Ok(record) => record,
        Err(error) => panic!("a stored row of {what} is not what was written: {error}"),
    }
}

/// A table with the type of its rows. A read panics where a row is not one that this program wrote, which the checksums
/// of the store rule out. A caller that cannot rely on that uses [`Rows::scan`] and [`Found::decode`], or
/// [`Rows::try_get`].
pub trait Rows: Keyed {
    /// The type of a row.
    type Row: ?Sized + Record;

    /// Reads the row of a key.
    fn get(store: &(impl Store + ?Sized), key: Self::Key<'_>) -> Option<Owned<Self>> {
        let mut row = None;
        let visit = &mut |value: &[u8]| row = Some(read::<Self::Row>(value, Self::TABLE.name()));
        store.look(Self::TABLE, &bytes::<Self>(key), visit);
        row
    }

    /// Reads the row of a key from a store that may hold any bytes; none where there is no row or it cannot be decoded.
    fn try_get(store: &(impl Store + ?Sized), key: Self::Key<'_>) -> Option<Owned<Self>> {
        Self::Row::decode(&store.get(Self::TABLE, &bytes::<Self>(key))?).ok()
    }

    /// Returns true where there is a row with this key.
    fn has(store: &(impl Store + ?Sized), key: Self::Key<'_>) -> bool {
        let mut has = false;
        store.look(Self::TABLE, &bytes::<Self>(key), &mut |_| has = true);
        has
    }

    /// Writes the row of a key.
    fn put(store: &mut (impl Store + ?Sized), key: Self::Key<'_>, row: &Self::Row) {
        row.encoded(|row| store.put(Self::TABLE, &bytes::<Self>(key), row));
    }

    /// Deletes the row of a key.
    fn delete(store: &mut (impl Store + ?Sized), key: Self::Key<'_>) {
        store.delete(Self::TABLE, &bytes::<Self>(key));
    }

    /// Deletes a row that a walk has found.
    fn delete_at(store: &mut (impl Store + ?Sized), address: &Address<Self>) {
        store.delete(Self::TABLE, &address.bytes);
    }

    /// Deletes all rows.
    fn empty(store: &mut (impl Store + ?Sized)) {
        Self::delete_where(store, &Span::all(), |_| true);
    }

    /// Deletes the rows of a span for which `goes` returns true.
    fn delete_where(
        store: &mut (impl Store + ?Sized),
        span: &Span<Self>,
        mut goes: impl FnMut(&Found<'_, Self>) -> bool,
    ) {
        let mut gone = Vec::new();
        Self::each(store, span, |found| gone.extend(goes(&found).then(|| found.address())));
        gone.iter().for_each(|address| Self::delete_at(store, address));
    }

    /// Visits the rows of a span until `visit` breaks.
    fn scan(
        store: &(impl Store + ?Sized),
        span: &Span<Self>,
        direction: Direction,
        visit: &mut dyn FnMut(Found<'_, Self>) -> ControlFlow<()>,
    ) {
        if span.to.as_ref().is_some_and(|to| *to <= span.from) {
            return;
        }
        store.scan(Self::TABLE, &span.from, span.to.as_deref(), direction, &mut |key, row| {
            visit(Found { key, row, table: PhantomData })
        });
    }

    /// Visits all rows of a span, from the least key up.
    fn each(store: &(impl Store + ?Sized), span: &Span<Self>, mut visit: impl FnMut(Found<'_, Self>)) {
        Self::scan(store, span, Direction::Up, &mut |found| {
            visit(found);
            ControlFlow::Continue(())
        });
    }

    /// Returns what `look` returns for the first row of a span in a direction; none where the span is empty.
    fn first<A>(
        store: &(impl Store + ?Sized),
        span: &Span<Self>,
        direction: Direction,
        look: impl FnOnce(Found<'_, Self>) -> Option<A>,
    ) -> Option<A> {
        let (mut look, mut answer) = (Some(look), None);
        Self::scan(store, span, direction, &mut |found| {
            answer = look.take().and_then(|look| look(found));
            ControlFlow::Break(())
        });
        answer
    }

    /// Counts the rows.
    fn count(store: &(impl Store + ?Sized)) -> usize {
        let mut count = 0;
        Self::each(store, &Span::all(), |_| count += 1);
        count
    }

    /// Returns true where this is the key of a row of this part of its table.
    fn has_key(key: &[u8]) -> bool {
        key.strip_prefix(Self::PREFIX).and_then(Self::Key::read).is_some()
    }

    /// Returns the key and the row that a write of a batch sets in this table; the row is none where the write deletes
    /// it. Returns none where the write is to another table or its key cannot be read.
    fn written(write: &Write) -> Option<(Self::Key<'_>, Option<Found<'_, Self>>)> {
        let key = write.key.as_slice();
        let value = write.value.as_deref();
        let read = key.strip_prefix(Self::PREFIX).filter(|_| write.table == Self::TABLE).and_then(Self::Key::read)?;
        Some((read, value.map(|row| Found { key, row, table: PhantomData })))
    }
}

/// A row that a walk has found.
pub struct Found<'a, T> {
    key: &'a [u8],
    row: &'a [u8],
    table: PhantomData<T>,
}

impl<'a, T: Rows> Found<'a, T> {
    /// The key of the row; none where it cannot be read.
    #[must_use]
    pub fn key(&self) -> Option<T::Key<'a>> {
        T::Key::read(self.key.strip_prefix(T::PREFIX)?)
    }

    /// Decodes the row.
    ///
    /// # Panics
    /// See [`Rows`].
    #[must_use]
    pub fn row(&self) -> Owned<T> {
        read::<T::Row>(self.row, T::TABLE.name())
    }

    /// Decodes the row as another type that has the same encoding.
    ///
    /// # Panics
    /// See [`Rows`].
    #[must_use]
    pub fn row_as<R: DeserializeOwned>(&self) -> R {
        written(codec::decode(self.row), T::TABLE.name())
    }

    /// Decodes the row, in a store that may hold any bytes.
    ///
    /// # Errors
    /// The bytes are no such row.
    pub fn decode(&self) -> Result<Owned<T>, DecodeError> {
        T::Row::decode(self.row)
    }

    /// Decodes the beginning of the row without reading the rest.
    ///
    /// # Errors
    /// The bytes do not begin with such a value.
    pub fn start<P: DeserializeOwned>(&self) -> Result<P, DecodeError> {
        codec::decode_start(self.row)
    }

    /// Returns true where the row has this key.
    #[must_use]
    pub fn is_at(&self, key: T::Key<'_>) -> bool {
        bytes::<T>(key).as_slice() == self.key
    }

    /// The address of the row, for [`Rows::delete_at`].
    #[must_use]
    pub fn address(&self) -> Address<T> {
        Address { bytes: self.key.to_vec(), table: PhantomData }
    }
}

/// Shows the table and the key's bytes as hexadecimal digits, for messages about a row of any kind.
impl<T: Keyed> fmt::Display for Found<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", T::TABLE.name())?;
        self.key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The address of a row: its key.
pub struct Address<T> {
    bytes: Vec<u8>,
    table: PhantomData<T>,
}

impl<T: Keyed> Address<T> {
    /// The rows from this one on, this one included.
    #[must_use]
    pub fn onward(&self) -> Span<T> {
        Span { from: self.bytes.clone(), ..Span::all() }
    }
}

/// A part of a table for a walk: the rows from one key up to another one.
#[derive(Clone, Debug)]
pub struct Span<T> {
    from: Vec<u8>,
    /// The end, which is not included; none for the end of the table.
    to: Option<Vec<u8>>,
    table: PhantomData<T>,
}

impl<T: Keyed> Span<T> {
    /// All rows.
    #[must_use]
    pub fn all() -> Self {
        Self::beginning(&[])
    }

    /// The row with this key and those after it.
    #[must_use]
    pub fn from(key: T::Key<'_>) -> Self {
        Self::all().and_from(key)
    }

    /// The rows after a key.
    #[must_use]
    pub fn after(key: T::Key<'_>) -> Self {
        Self::all().and_after(key)
    }

    /// Limits the span to the row with this key and those after it.
    #[must_use]
    pub fn and_from(mut self, key: T::Key<'_>) -> Self {
        let from = bytes::<T>(key).into_vec();
        self.from = self.from.max(from);
        self
    }

    /// Limits the span to the rows after a key.
    #[must_use]
    pub fn and_after(mut self, key: T::Key<'_>) -> Self {
        let mut from = bytes::<T>(key).into_vec();
        from.push(0);
        self.from = self.from.max(from);
        self
    }

    /// Limits the span to the rows before a key.
    #[must_use]
    pub fn below(mut self, key: T::Key<'_>) -> Self {
        let to = bytes::<T>(key).into_vec();
        self.to = Some(self.to.map_or(to.clone(), |before| before.min(to)));
        self
    }

    /// Limits the span to the rows up to a key, the row with this key included.
    #[must_use]
    pub fn up_to(mut self, key: T::Key<'_>) -> Self {
        let mut to = bytes::<T>(key).into_vec();
        to.push(0);
        self.to = Some(self.to.map_or(to.clone(), |before| before.min(to)));
        self
    }

    /// The rows whose keys begin with these bytes after the prefix of the table's part. Callers pass whole fields of a
    /// key, each text with the zero byte that ends it, or the beginning of the last field.
    pub(super) fn beginning(with: &[u8]) -> Self {
        let from = [T::PREFIX, with].concat();
        Self { to: prefix_end(&from), from, table: PhantomData }
    }

    /// The rows whose keys are not less than these bytes.
    pub(super) fn onward(from: &[u8]) -> Self {
        let from = [T::PREFIX, from].concat();
        Self { from, ..Self::all() }
    }

    pub(super) fn between(from: &[u8], to: Vec<u8>) -> Self {
        Self { from: from.to_vec(), to: Some(to), table: PhantomData }
    }

    pub(super) fn first_bytes(&self) -> &[u8] {
        &self.from
    }
}

/// The name of a single value.
pub trait Named {
    /// The table that holds it.
    const TABLE: Table;
    /// Its key.
    const NAME: &'static [u8];
}

/// A single value: a row whose key is its name.
pub trait Cell: Named {
    /// The type of the value.
    type Value: ?Sized + Record;

    /// Reads the value, where there is one.
    ///
    /// # Panics
    /// As for [`Rows::get`].
    fn load(store: &(impl Store + ?Sized)) -> Option<<Self::Value as ToOwned>::Owned> {
        let mut value = None;
        let what = str::from_utf8(Self::NAME).unwrap_or_default();
        store.look(Self::TABLE, Self::NAME, &mut |bytes| value = Some(read::<Self::Value>(bytes, what)));
        value
    }

    /// Reads the value, where there is one, from a store that may hold any bytes.
    ///
    /// # Errors
    /// There is a value that cannot be decoded.
    fn try_load(store: &(impl Store + ?Sized)) -> Result<Option<<Self::Value as ToOwned>::Owned>, DecodeError> {
        store.get(Self::TABLE, Self::NAME).map(|bytes| Self::Value::decode(&bytes)).transpose()
    }

    /// Returns true where there is a value.
    fn is_set(store: &(impl Store + ?Sized)) -> bool {
        let mut is_set = false;
        store.look(Self::TABLE, Self::NAME, &mut |_| is_set = true);
        is_set
    }

    /// Writes the value.
    fn save(store: &mut (impl Store + ?Sized), value: &Self::Value) {
        value.encoded(|value| store.put(Self::TABLE, Self::NAME, value));
    }

    /// Deletes the value.
    fn clear(store: &mut (impl Store + ?Sized)) {
        store.delete(Self::TABLE, Self::NAME);
    }

    /// Deletes the value where there is one. Writes nothing otherwise.
    fn clear_if_set(store: &mut (impl Store + ?Sized)) {
        if Self::is_set(store) {
            Self::clear(store);
        }
    }
}
