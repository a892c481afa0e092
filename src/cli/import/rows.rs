//! The rows of a file as registrations.

use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use uuid::Uuid;

use super::super::Failure;
use super::super::export::Lines;
use crate::model::{Metadata, NameRef, RegistrationBody, Span, Time};

/// What ids are made under by default, as UUIDs of version 5 (RFC 9562), of what rows say.
const ROWS: Uuid = Uuid::from_u128(0x2f6b_8a10_5d3c_4e77_9a41_c07e_3b95_18d4);

/// What rows get that do not say it.
#[derive(Clone, Default, Debug)]
pub(super) struct Defaults {
    pub(super) namespace: Option<String>,
    /// What their ids are made under.
    pub(super) ids_under: Option<Uuid>,
}

/// A row of the file.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The line of the file that it begins in, from 1; with CSV the end of the row before it, where empty lines follow
    /// that.
    pub(super) line: u64,
    /// As it stands there.
    pub(super) text: String,
    /// What it asks for, or why it asks for nothing.
    pub(super) body: Result<RegistrationBody, String>,
    /// Its id was made of what it says.
    pub(super) made: bool,
}

impl Row {
    fn new(line: u64, text: String, draft: Result<Draft, String>, defaults: &Defaults) -> Self {
        let made = draft.as_ref().is_ok_and(|draft| draft.id.is_none());
        Self { line, text, body: draft.and_then(|draft| draft.body(defaults)), made }
    }

    /// Tells it apart from other rows.
    pub(super) fn mark(&self) -> Uuid {
        let id = self.body.as_ref().ok().and_then(|body| body.id);
        id.unwrap_or_else(|| Uuid::new_v5(&ROWS, self.text.as_bytes()))
    }
}

/// A row before it is checked.
#[derive(Default, Deserialize)]
struct Draft {
    owner: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    names: Vec<NameRef>,
    id: Option<Uuid>,
    ttl: Option<Span>,
    expires_at: Option<Time>,
    metadata: Option<Metadata>,
}

impl Draft {
    fn body(self, defaults: &Defaults) -> Result<RegistrationBody, String> {
        let owner = self.owner.filter(|owner| !owner.is_empty()).ok_or("it has no owner")?;
        let mut names = self.names;
        if let Some(name) = self.name {
            let namespace = self.namespace.or_else(|| defaults.namespace.clone());
            let namespace = namespace.ok_or("it has no namespace; give one to all rows with --namespace")?;
            names.insert(0, NameRef { namespace, name });
        }
        if names.is_empty() {
            return Err("it has no name".to_owned());
        }
        let left = self.expires_at.map(left).transpose()?;
        let content = (&owner, &names, self.ttl, self.expires_at, &self.metadata);
        let content = serde_json::to_vec(&content).map_err(|error| error.to_string())?;
        let id = self.id.unwrap_or_else(|| Uuid::new_v5(&defaults.ids_under.unwrap_or(ROWS), &content));
        let (ttl, metadata) = (self.ttl.or(left), self.metadata);
        Ok(RegistrationBody { id: Some(id), owner, names, ttl, metadata, ..RegistrationBody::default() })
    }
}

/// How long a reservation lasts from now on.
fn left(end: Time) -> Result<Span, String> {
    match end.0.since(crate::api::now()) {
        0 => Err(format!("it is a reservation that was over at {end}")),
        millis => Ok(Span(std::time::Duration::from_millis(millis))),
    }
}

/// The rows of a file, one after the other.
pub(super) struct Rows {
    defaults: Defaults,
    reader: Reader,
}

enum Reader {
    Ndjson { lines: BufReader<Box<dyn Read>>, line: u64 },
    Csv { table: Box<csv::Reader<Box<dyn Read>>>, columns: Option<Vec<Column>> },
}

/// What a column of a table holds.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Column {
    Owner,
    Name,
    NameOf(String),
    Namespace,
    Id,
    Ttl,
    ExpiresAt,
    Metadata,
    Other,
}

impl Column {
    fn new(header: &str) -> Self {
        match header.trim() {
            "owner" => Self::Owner,
            "name" => Self::Name,
            "namespace" => Self::Namespace,
            "id" => Self::Id,
            "ttl" => Self::Ttl,
            "expires_at" => Self::ExpiresAt,
            "metadata" => Self::Metadata,
            other => other.strip_prefix("name:").map_or(Self::Other, |namespace| Self::NameOf(namespace.to_owned())),
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
            Self::Other => {}
        }
        Ok(())
    }
}

impl Rows {
    pub(super) fn new(format: Lines, source: impl Read + 'static, defaults: Defaults) -> Self {
        let source: Box<dyn Read> = Box::new(source);
        let reader = match format {
            Lines::Ndjson => Reader::Ndjson { lines: BufReader::with_capacity(1 << 16, source), line: 0 },
            Lines::Csv => Reader::Csv { table: Box::new(csv::Reader::from_reader(source)), columns: None },
        };
        Self { defaults, reader }
    }

    /// The next row that is not empty.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Failure> {
        let defaults = &self.defaults;
        match &mut self.reader {
            Reader::Ndjson { lines, line } => next_line(lines, line, defaults),
            Reader::Csv { table, columns } => {
                let known = match columns {
                    Some(columns) => columns,
                    None => columns.insert(header(table)?),
                };
                next_record(table, known, defaults)
            }
        }
    }
}

fn next_line(
    lines: &mut BufReader<Box<dyn Read>>,
    line: &mut u64,
    defaults: &Defaults,
) -> Result<Option<Row>, Failure> {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = lines.read_until(b'\n', &mut bytes);
        if read.map_err(|error| Failure::failed(format!("cannot read on after line {line}: {error}")))? == 0 {
            return Ok(None);
        }
        *line += 1;
        let text = bytes.trim_ascii();
        if !text.is_empty() {
            let draft = serde_json::from_slice::<Draft>(text).map_err(|error| format!("it does not fit: {error}"));
            let text = String::from_utf8_lossy(text).into_owned();
            return Ok(Some(Row::new(*line, text, draft, defaults)));
        }
    }
}

fn header(table: &mut csv::Reader<Box<dyn Read>>) -> Result<Vec<Column>, Failure> {
    let header = table.headers().map_err(|error| Failure::failed(format!("cannot read the header: {error}")))?;
    let columns: Vec<_> = header.iter().map(Column::new).collect();
    let names = columns.iter().any(|column| matches!(column, Column::Name | Column::NameOf(_)));
    if !names || !columns.contains(&Column::Owner) {
        return Err(Failure::usage(
            "the first line must be a header with the columns owner and name, or name:NAMESPACE; nothing was registered",
        ));
    }
    Ok(columns)
}

fn next_record(
    table: &mut csv::Reader<Box<dyn Read>>,
    columns: &[Column],
    defaults: &Defaults,
) -> Result<Option<Row>, Failure> {
    let mut record = csv::ByteRecord::new();
    let (line, read) = (table.position().line(), table.read_byte_record(&mut record));
    let draft = match read {
        Ok(false) => return Ok(None),
        Ok(true) => draft_of(&record, columns),
        Err(error) if matches!(error.kind(), csv::ErrorKind::UnequalLengths { .. }) => {
            Err(format!("it has {} cells, and the header has {}", record.len(), columns.len()))
        }
        Err(error) => return Err(Failure::failed(format!("cannot read on after line {line}: {error}"))),
    };
    let line = record.position().map_or(line, csv::Position::line);
    let cells: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
    Ok(Some(Row::new(line, cells.join(","), draft, defaults)))
}

fn draft_of(record: &csv::ByteRecord, columns: &[Column]) -> Result<Draft, String> {
    let mut draft = Draft::default();
    for (cell, column) in record.iter().zip(columns) {
        let cell = str::from_utf8(cell).map_err(|_| "it is not UTF-8".to_owned())?;
        if !cell.is_empty() {
            column.fill(cell, &mut draft)?;
        }
    }
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Lines, text: &'static str) -> Vec<Row> {
        read_with(format, text, None)
    }

    fn read_with(format: Lines, text: &'static str, ids_under: Option<Uuid>) -> Vec<Row> {
        let defaults = Defaults { namespace: Some("username".to_owned()), ids_under };
        let mut rows = Rows::new(format, text.as_bytes(), defaults);
        std::iter::from_fn(|| rows.next().unwrap()).collect()
    }

    fn names(row: &Row) -> Vec<String> {
        let body = row.body.as_ref().unwrap();
        body.names.iter().map(|name| format!("{}/{}", name.namespace, name.name)).collect()
    }

    #[test]
    fn rows_of_a_table() {
        let text = "owner,name,age,name:email,metadata\nann,alice,7,a@example.org,\"{\"\"a\"\":1}\"\nbob,\"b\nob\",8,,\nx,y\ncid,carol,9,,\n,dave,1,,\neve,e,1,,[1]\n";
        let rows = read(Lines::Csv, text);
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 5, 6, 7, 8]);
        assert_eq!(names(&rows[0]), ["username/alice", "email/a@example.org"]);
        assert_eq!(rows[0].body.as_ref().unwrap().metadata.as_ref().unwrap().as_str(), "{\"a\":1}");
        assert_eq!(names(&rows[1]), ["username/b\nob"]);
        assert_eq!(names(&rows[3]), ["username/carol"]);
        let why = |row: &Row| row.body.clone().unwrap_err();
        assert_eq!(why(&rows[2]), "it has 2 cells, and the header has 5");
        assert_eq!(why(&rows[4]), "it has no owner");
        assert!(why(&rows[5]).contains("JSON object"), "{}", why(&rows[5]));
    }

    #[test]
    fn a_table_without_names_or_owners_is_refused() {
        for text in ["owner,nick\n", "name,nick\nalice,x\n", ""] {
            let error = Rows::new(Lines::Csv, text.as_bytes(), Defaults::default()).next().unwrap_err();
            assert_eq!(error.exit, super::super::Exit::Usage, "{text:?}");
        }
    }

    #[test]
    fn lines_of_json() {
        let text = "{\"owner\":\"ann\",\"name\":\"alice\",\"since\":\"x\"}\n \n{\"owner\":\"bob\",\"names\":[{\"namespace\":\"a/b\",\"name\":\"bob\"}]}\n{\"owner\":\"cid\"}\nnonsense";
        let rows = read(Lines::Ndjson, text);
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 3, 4, 5]);
        assert_eq!((names(&rows[0]), names(&rows[1])), (vec!["username/alice".to_owned()], vec!["a/b/bob".to_owned()]));
        assert_eq!(rows[2].body.clone().unwrap_err(), "it has no name");
        assert!(rows[3].body.is_err());
    }

    #[test]
    fn what_rows_say_makes_their_ids() {
        let id = |format, text| read(format, text)[0].mark();
        let alice = id(Lines::Csv, "owner,name\nann,alice\n");
        assert_eq!(alice, id(Lines::Csv, "name,x,owner\nalice,7,ann\n"));
        assert_eq!(alice, id(Lines::Ndjson, "{\"owner\":\"ann\",\"name\":\"alice\"}"));
        assert_ne!(alice, id(Lines::Csv, "owner,name\nbob,alice\n"));
        let given = id(Lines::Csv, "owner,name,id\nann,alice,00000000-0000-4000-8000-000000000007\n");
        assert_eq!(given, Uuid::from_u128(0x4000_8000_0000_0000_0007));
        let secret = |n| {
            let row = read_with(Lines::Csv, "owner,name\nann,alice\n", Some(Uuid::from_u128(n))).remove(0);
            assert!(row.made);
            row.mark()
        };
        assert!(secret(7) == secret(7) && secret(7) != secret(8) && secret(7) != alice);
        assert!(!read(Lines::Csv, "owner,name,id\nann,alice,00000000-0000-4000-8000-000000000007\n")[0].made);
        assert_eq!(alice.get_version_num(), 5);
    }

    #[test]
    fn a_reservation_keeps_its_end_and_one_that_is_over_is_refused() {
        let rows = read(
            Lines::Ndjson,
            "{\"owner\":\"a\",\"name\":\"b\",\"expires_at\":\"2999-01-01T00:00:00Z\"}\n{\"owner\":\"a\",\"name\":\"b\",\"expires_at\":\"2001-01-01T00:00:00Z\"}",
        );
        assert!(rows[0].body.as_ref().unwrap().ttl.is_some());
        assert!(rows[1].body.clone().unwrap_err().contains("2001-01-01"));
    }
}
