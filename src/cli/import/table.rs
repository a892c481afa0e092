//! Rows of a table: CSV with a header.

use std::collections::BTreeSet;

use csv_core::ReadRecordResult;

use super::super::failure::Failure;
use super::lines::{Line, Lines};
use super::rows::{Defaults, Draft, Row};
use crate::model::{Metadata, NameRef};
use crate::name::check_namespace;

/// Greatest number of bytes in a row of several lines: as much as a node accepts for one registration.
const MAX_ROW: usize = crate::api::MAX_BODY;
/// The separators of cells that are tried where none is given.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

const OPEN_QUOTE: &str = "a quote is opened in it and not closed on the same line, so where its cells end is not known; a quote \
                          that belongs to a cell is written twice, within quotes, and cells with line breaks are read \
                          with --multiline";
const NEVER_CLOSED: &str =
    "a quote is opened in it and not closed within the size of a row; the lines after it are read as rows of their own";

/// The options for reading a table.
#[derive(Clone, Default, Debug)]
pub(super) struct TableOptions {
    /// The separator of cells; by default the header shows which it is.
    pub(super) delimiter: Option<u8>,
    /// True where cells may contain line breaks.
    pub(super) multiline: bool,
    /// Columns that are read as others: `(heading, read as)`.
    pub(super) map: Vec<(String, String)>,
}

/// The content of a column.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Column {
    Owner,
    Name,
    NameOf(String),
    Namespace,
    Id,
    Ttl,
    ExpiresAt,
    Metadata,
    Other(String),
}

impl Column {
    fn new(header: &str) -> Self {
        match header {
            "owner" => Self::Owner,
            "name" => Self::Name,
            "namespace" => Self::Namespace,
            "id" => Self::Id,
            "ttl" => Self::Ttl,
            "expires_at" => Self::ExpiresAt,
            "metadata" => Self::Metadata,
            other => other
                .strip_prefix("name:")
                .map_or_else(|| Self::Other(other.to_owned()), |namespace| Self::NameOf(namespace.to_owned())),
        }
    }

    fn fill(&self, cell: &str, draft: &mut Draft) -> Result<(), String> {
        let text = || Some(cell.to_owned());
        match self {
            Self::Owner => draft.owner = text(),
            Self::Name => draft.name = text(),
            Self::NameOf(namespace) => {
                draft.names.push(NameRef { namespace: namespace.clone(), name: cell.to_owned() });
            }
            Self::Namespace => draft.namespace = text(),
            Self::Id => draft.id = Some(cell.parse().map_err(|error| format!("its id {cell:?} is no UUID: {error}"))?),
            Self::Ttl => draft.ttl = Some(cell.parse().map_err(|error| format!("its ttl: {error}"))?),
            Self::ExpiresAt => {
                draft.expires_at = Some(cell.parse().map_err(|error| format!("its expires_at: {error}"))?)
            }
            Self::Metadata => draft.metadata = Some(Metadata::new(cell.to_owned()).map_err(|error| error.to_string())?),
            Self::Other(_) => {}
        }
        Ok(())
    }
}

/// Reads the rows of a table.
pub(super) struct Table {
    lines: Lines,
    delimiter: u8,
    splitter: Splitter,
    multiline: bool,
    columns: Vec<Column>,
}

impl Table {
    /// Reads the header.
    pub(super) fn open(mut lines: Lines, options: &TableOptions) -> Result<Self, Failure> {
        let header = lines.next_filled()?.ok_or_else(|| no_header(""))?;
        let delimiters = options.delimiter.map_or(DELIMITERS.to_vec(), |delimiter| vec![delimiter]);
        let read: Vec<_> = delimiters.iter().map(|delimiter| (*delimiter, headings(&header, *delimiter))).collect();
        let fits = |headings: &[String]| columns(headings, &options.map).is_ok_and(|columns| is_complete(&columns));
        // Where no separator fits, the error is about the one that gives the most columns.
        let (delimiter, headings) = (read.iter().find(|(_, headings)| fits(headings)))
            .or_else(|| read.iter().max_by_key(|(_, headings)| headings.len()))
            .ok_or_else(|| no_header(""))?;
        let (delimiter, columns) = (*delimiter, columns(headings, &options.map)?);
        if is_open(&header.bytes, delimiter) {
            return Err(Failure::usage(format!("the header: {OPEN_QUOTE}; nothing was registered")));
        }
        if !is_complete(&columns) {
            return Err(no_header(&headings.join(", ")));
        }
        Ok(Self { lines, delimiter, splitter: Splitter::new(delimiter), multiline: options.multiline, columns })
    }

    /// Returns the columns that are ignored.
    pub(super) fn ignored(&self) -> Vec<String> {
        let ignored = self.columns.iter().filter_map(|column| match column {
            Column::Other(heading) => Some(heading.clone()),
            _ => None,
        });
        ignored.collect()
    }

    /// Returns the next row that is not empty.
    pub(super) fn next(&mut self, defaults: &Defaults) -> Result<Option<Row>, Failure> {
        loop {
            let Some(first) = self.lines.next_filled()? else { return Ok(None) };
            let number = first.number;
            let (bytes, whole) =
                if is_open(&first.bytes, self.delimiter) { self.over_lines(first)? } else { (first.bytes, Ok(())) };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let draft = match whole {
                Err(why) => Err(why.to_owned()),
                Ok(()) => {
                    let cells = self.splitter.split(&bytes);
                    if cells.iter().all(|cell| cell.trim_ascii().is_empty()) {
                        continue;
                    }
                    self.draft(&cells)
                }
            };
            return Ok(Some(Row::new(number, text, draft, defaults)));
        }
    }

    /// Reads the lines of a row whose first line leaves a quote open, up to the line that closes it. Returns the first
    /// line alone, with the reason, where no line closes the quote.
    fn over_lines(&mut self, first: Line) -> Result<(Vec<u8>, Result<(), &'static str>), Failure> {
        if !self.multiline {
            return Ok((first.bytes, Err(OPEN_QUOTE)));
        }
        let (mut bytes, mut more) = (first.bytes.clone(), Vec::new());
        while bytes.len() <= MAX_ROW
            && let Some(line) = self.lines.next()?
        {
            bytes.push(b'\n');
            bytes.extend_from_slice(&line.bytes);
            more.push(line);
            match quotes(&bytes, self.delimiter) {
                Quotes::Open => {}
                Quotes::Closed => return Ok((bytes, Ok(()))),
                // This quote was meant to open a cell in a later row.
                Quotes::Strange => break,
            }
        }
        self.lines.give_back(more.into_iter());
        Ok((first.bytes, Err(NEVER_CLOSED)))
    }

    fn draft(&self, cells: &csv::ByteRecord) -> Result<Draft, String> {
        let (has, wanted) = (cells.len(), self.columns.len());
        if has != wanted {
            return Err(format!("it has {has} cells, and the header has {wanted}"));
        }
        let mut draft = Draft::default();
        for (cell, column) in cells.iter().zip(&self.columns) {
            let cell = str::from_utf8(cell).map_err(|_| "it is not UTF-8".to_owned())?;
            if !cell.is_empty() {
                column.fill(cell, &mut draft)?;
            }
        }
        Ok(draft)
    }
}

fn no_header(found: &str) -> Failure {
    let found = if found.is_empty() { String::new() } else { format!(" It has: {found}.") };
    Failure::usage(format!(
        "the first line must be a header with the columns owner and name, or name:NAMESPACE; nothing was registered.{found} \
         Where the columns have other names, give them: --map mail=name:email"
    ))
}

fn is_complete(columns: &[Column]) -> bool {
    let names = columns.iter().any(|column| matches!(column, Column::Name | Column::NameOf(_)));
    names && columns.contains(&Column::Owner)
}

fn headings(header: &Line, delimiter: u8) -> Vec<String> {
    let cells = Splitter::new(delimiter).split(&header.bytes);
    cells.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect()
}

fn columns(headings: &[String], map: &[(String, String)]) -> Result<Vec<Column>, Failure> {
    let usage = |what: String| Failure::usage(format!("{what}; nothing was registered"));
    if let Some((from, _)) = map.iter().find(|(from, _)| !headings.contains(from)) {
        return Err(usage(format!("--map: the table has no column {from:?}, but {}", headings.join(", "))));
    }
    let mapped = |heading: &String| {
        let to = map.iter().find(|(from, _)| from == heading).map_or(heading, |(_, to)| to);
        Column::new(to)
    };
    let columns: Vec<_> = headings.iter().map(mapped).collect();
    let mut seen = BTreeSet::new();
    for (column, heading) in columns.iter().zip(headings) {
        if let Column::NameOf(namespace) = column {
            check_namespace(namespace).map_err(|error| usage(format!("the column {heading:?}: {error}")))?;
        }
        if !matches!(column, Column::Other(_)) && !seen.insert(column) {
            return Err(usage(format!("the column {heading:?} is there twice, so which one counts is not known")));
        }
    }
    Ok(columns)
}

/// Splits rows into their cells. To make its state machine takes longer than to read many rows.
struct Splitter {
    machine: csv_core::Reader,
    /// The cells of a row, one after the other, and where each of them ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
}

impl Splitter {
    fn new(delimiter: u8) -> Self {
        let machine = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Self { machine, cells: Vec::new(), ends: Vec::new() }
    }

    /// Returns the cells of a row; none where it is blank.
    fn split(&mut self, row: &[u8]) -> csv::ByteRecord {
        self.machine.reset();
        // The cells of a row are not longer than the row, and each but the last has a separator.
        if self.cells.len() <= row.len() {
            self.cells.resize(row.len() + 1, 0);
            self.ends.resize(row.len() + 1, 0);
        }
        let (result, _, written, mut count) = self.machine.read_record(row, &mut self.cells, &mut self.ends);
        if result == ReadRecordResult::InputEmpty {
            // The end of the row ends its last cell.
            let (rest, ends) = (&mut self.cells[written..], &mut self.ends[count..]);
            count += self.machine.read_record(&[], rest, ends).3;
        }
        let (mut record, mut begin) = (csv::ByteRecord::new(), 0);
        for end in &self.ends[..count] {
            record.push_field(&self.cells[begin..*end]);
            begin = *end;
        }
        // An endless line takes much memory, once.
        if row.len() > MAX_ROW {
            (self.cells, self.ends) = (Vec::new(), Vec::new());
        }
        record
    }
}

fn is_open(bytes: &[u8], delimiter: u8) -> bool {
    quotes(bytes, delimiter) == Quotes::Open
}

/// The state of the quotes at the end of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Quotes {
    Closed,
    Open,
    /// All quotes are closed, but one was closed before the end of its cell.
    Strange,
}

/// Returns the state of the quotes at the end of a row, by the rules of the `csv` crate: a quote at the beginning of a
/// cell opens it, the next one closes it unless it is doubled, and any other quote is text.
fn quotes(bytes: &[u8], delimiter: u8) -> Quotes {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        CellStart,
        InCell,
        InQuotes,
        AfterQuote,
    }
    let (mut at, mut strange) = (At::CellStart, false);
    for byte in bytes {
        at = match (at, *byte) {
            (At::CellStart | At::AfterQuote, b'"') => At::InQuotes,
            (At::InQuotes, b'"') => At::AfterQuote,
            (At::InQuotes, _) => At::InQuotes,
            (_, byte) if byte == delimiter => At::CellStart,
            (before, _) => {
                strange |= before == At::AfterQuote;
                At::InCell
            }
        };
    }
    match at {
        At::InQuotes => Quotes::Open,
        _ if strange => Quotes::Strange,
        _ => Quotes::Closed,
    }
}

#[cfg(test)]
mod tests;
