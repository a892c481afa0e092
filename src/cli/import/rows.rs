//! Parsing rows into registrations.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::super::export::Lines as Format;
use super::super::failure::Failure;
use super::lines::Lines;
use super::table::{Table, TableOptions};
use crate::model::object::read_from_object;
use crate::model::{Metadata, NameRef, RegistrationBody, Span, Time};
use crate::name::check_namespace;

/// Greatest number of ignored members that are listed at the end.
const MAX_IGNORED: usize = 50;

/// The namespace of ids that are derived from rows, as UUIDs of version 5 (RFC 9562).
const ROWS: Uuid = Uuid::from_u128(0x2f6b_8a10_5d3c_4e77_9a41_c07e_3b95_18d4);

/// Values for rows that do not have them.
#[derive(Clone, Default, Debug)]
pub(super) struct Defaults {
    pub(super) namespace: Option<String>,
    /// The secret from which ids are derived.
    pub(super) ids_under: Option<Uuid>,
}

/// A row of the file.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The number of the line where it begins, from 1.
    pub(super) line: u64,
    /// The row as it is in the file.
    pub(super) text: String,
    /// The registration, or the reason why the row is not valid.
    pub(super) body: Result<RegistrationBody, String>,
    /// True where its id was derived from its content.
    pub(super) made: bool,
    /// Identifies the row: its id, or what is made of its text where it is not valid.
    mark: Uuid,
}

impl Row {
    pub(super) fn new(line: u64, text: String, draft: Result<Draft, String>, defaults: &Defaults) -> Self {
        let made = draft.as_ref().is_ok_and(|draft| draft.id.is_none());
        let end = draft.as_ref().ok().and_then(|draft| draft.expires_at);
        let body = draft.and_then(|draft| draft.body(defaults));
        // A reservation may be over when the import goes on, and its row is the same one still.
        let mark = body.as_ref().ok().and_then(|body| body.id).unwrap_or_else(|| Uuid::new_v5(&ROWS, text.as_bytes()));
        let body = body.and_then(|mut body| {
            let left = end.map(left).transpose()?;
            body.ttl = body.ttl.or(left);
            Ok(body)
        });
        Self { line, text, body, made, mark }
    }

    /// Returns an id that identifies the row.
    pub(super) fn mark(&self) -> Uuid {
        self.mark
    }
}

/// A row before it is checked.
#[derive(Default, Deserialize)]
#[serde(remote = "Self")]
pub(super) struct Draft {
    pub(super) owner: Option<String>,
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    #[serde(default)]
    pub(super) names: Vec<NameRef>,
    pub(super) id: Option<Uuid>,
    pub(super) ttl: Option<Span>,
    pub(super) expires_at: Option<Time>,
    pub(super) metadata: Option<Metadata>,
}

read_from_object!(Draft);

impl Draft {
    /// Returns the registration. One that ends at a time has no `ttl` yet, unless the row gives one.
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
        if let Some(name) = names.iter().find(|name| check_namespace(&name.namespace).is_err()) {
            return Err(format!("{:?}: {}", name.namespace, crate::name::NamespaceError));
        }
        let content = (&owner, &names, self.ttl, self.expires_at, &self.metadata);
        let content = serde_json::to_vec(&content).map_err(|error| error.to_string())?;
        let id = self.id.unwrap_or_else(|| Uuid::new_v5(&defaults.ids_under.unwrap_or(ROWS), &content));
        Ok(RegistrationBody {
            id: Some(id),
            owner,
            names,
            ttl: self.ttl,
            metadata: self.metadata,
            ..RegistrationBody::default()
        })
    }
}

/// Returns how long a reservation with this end lasts from now on.
fn left(end: Time) -> Result<Span, String> {
    match end.0.since(crate::api::now()) {
        0 => Err(format!("it is a reservation that was over at {end}")),
        millis => Ok(Span(std::time::Duration::from_millis(millis))),
    }
}

/// The options for reading a file.
#[derive(Clone, Default, Debug)]
pub(super) struct Options {
    pub(super) defaults: Defaults,
    pub(super) table: TableOptions,
}

/// Reads the rows of a file.
pub(super) struct Rows {
    defaults: Defaults,
    reader: Reader,
}

enum Reader {
    /// Reads lines of JSON, and keeps the names of ignored members.
    Ndjson {
        lines: Lines,
        ignored: BTreeSet<String>,
    },
    Csv(Box<Table>),
}

impl Rows {
    /// Begins to read a file of this format.
    pub(super) fn new(format: Format, lines: Lines, options: Options) -> Result<Self, Failure> {
        let Options { defaults, table } = options;
        if let Some(namespace) = &defaults.namespace {
            check_namespace(namespace)
                .map_err(|error| Failure::usage(format!("--namespace {namespace:?}: {error}")))?;
        }
        let reader = match format {
            Format::Ndjson if !table.map.is_empty() => {
                return Err(Failure::usage("--map is about the columns of a table; lines of JSON have none"));
            }
            Format::Ndjson => Reader::Ndjson { lines, ignored: BTreeSet::new() },
            Format::Csv => Reader::Csv(Box::new(Table::open(lines, &table)?)),
        };
        Ok(Self { defaults, reader })
    }

    /// Returns the next row that is not empty.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Failure> {
        match &mut self.reader {
            Reader::Csv(table) => table.next(&self.defaults),
            Reader::Ndjson { lines, ignored } => {
                let Some(line) = lines.next_filled()? else { return Ok(None) };
                let draft = serde_json::from_slice(&line.bytes).map_err(|error| format!("it does not fit: {error}"));
                note_ignored(&line.bytes, ignored);
                let text = String::from_utf8_lossy(line.bytes.trim_ascii()).into_owned();
                Ok(Some(Row::new(line.number, text, draft, &self.defaults)))
            }
        }
    }

    /// Returns the columns, or members, that were ignored so far.
    pub(super) fn ignored(&self) -> Vec<String> {
        match &self.reader {
            Reader::Csv(table) => table.ignored(),
            Reader::Ndjson { ignored, .. } => ignored.iter().cloned().collect(),
        }
    }
}

/// Notes members of an object that a row does not have.
fn note_ignored(object: &[u8], ignored: &mut BTreeSet<String>) {
    const KNOWN: [&str; 8] = ["owner", "name", "namespace", "names", "id", "ttl", "expires_at", "metadata"];
    let members = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(object).unwrap_or_default();
    let others = members.into_keys().filter(|member| !KNOWN.contains(&member.as_str()));
    let room = MAX_IGNORED.saturating_sub(ignored.len());
    let new: Vec<_> = others.filter(|member| !ignored.contains(member)).take(room).collect();
    ignored.extend(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, text: &'static str) -> Vec<Row> {
        read_with(format, text, None)
    }

    fn read_with(format: Format, text: &'static str, ids_under: Option<Uuid>) -> Vec<Row> {
        let defaults = Defaults { namespace: Some("username".to_owned()), ids_under };
        let options = Options { defaults, ..Options::default() };
        let mut rows = Rows::new(format, Lines::new(text.as_bytes()), options).unwrap();
        std::iter::from_fn(|| rows.next().unwrap()).collect()
    }

    fn names(row: &Row) -> Vec<String> {
        let body = row.body.as_ref().unwrap();
        body.names.iter().map(|name| format!("{}/{}", name.namespace, name.name)).collect()
    }

    #[test]
    fn lines_of_json() {
        let text = "\u{feff}{\"owner\":\"ann\",\"name\":\"alice\",\"since\":\"x\"}\n \n{\"owner\":\"bob\",\"names\":[{\"namespace\":\"a/b\",\"name\":\"bob\"}]}\n{\"owner\":\"cid\"}\nnonsense";
        let rows = read(Format::Ndjson, text);
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 3, 4, 5]);
        assert_eq!((names(&rows[0]), names(&rows[1])), (vec!["username/alice".to_owned()], vec!["a/b/bob".to_owned()]));
        assert_eq!(rows[2].body.clone().unwrap_err(), "it has no name");
        assert!(rows[3].body.is_err());
        let mut rows = Rows::new(Format::Ndjson, Lines::new(text.as_bytes()), Options::default()).unwrap();
        while rows.next().unwrap().is_some() {}
        assert_eq!(rows.ignored(), ["since"]);
    }

    /// An import that was cut short must know its last row again, also where its reservation is over by then.
    #[test]
    fn the_mark_of_a_row_does_not_depend_on_the_time() {
        let rows = read(
            Format::Ndjson,
            concat!(
                r#"{"owner":"ann","name":"a","id":"0198c0de-0000-7000-8000-000000000001","expires_at":"2020-01-01T00:00:00Z"}"#,
                "\n",
                r#"{"owner":"ann","name":"a","expires_at":"2020-01-01T00:00:00Z"}"#,
                "\n"
            ),
        );
        assert!(rows.iter().all(|row| row.body.clone().unwrap_err().contains("was over")));
        assert_eq!(rows[0].mark().to_string(), "0198c0de-0000-7000-8000-000000000001");
        assert_ne!(rows[1].mark(), Uuid::new_v5(&ROWS, rows[1].text.as_bytes()), "it is that of its content");
    }

    #[test]
    fn a_line_that_is_an_array_is_no_row() {
        let rows = read(Format::Ndjson, "[\"ann\",\"alice\",\"username\",[],null,null,null,null]\n");
        assert!(rows[0].body.clone().unwrap_err().contains("expected a JSON object"));
    }

    #[test]
    fn what_rows_say_makes_their_ids() {
        let id = |format, text| read(format, text)[0].mark();
        let alice = id(Format::Csv, "owner,name\nann,alice\n");
        assert_eq!(alice, id(Format::Csv, "name,x,owner\nalice,7,ann\n"));
        assert_eq!(alice, id(Format::Ndjson, "{\"owner\":\"ann\",\"name\":\"alice\"}"));
        assert_ne!(alice, id(Format::Csv, "owner,name\nbob,alice\n"));
        let given = id(Format::Csv, "owner,name,id\nann,alice,00000000-0000-4000-8000-000000000007\n");
        assert_eq!(given, Uuid::from_u128(0x4000_8000_0000_0000_0007));
        let secret = |n| {
            let row = read_with(Format::Csv, "owner,name\nann,alice\n", Some(Uuid::from_u128(n))).remove(0);
            assert!(row.made);
            row.mark()
        };
        assert!(secret(7) == secret(7) && secret(7) != secret(8) && secret(7) != alice);
        assert!(!read(Format::Csv, "owner,name,id\nann,alice,00000000-0000-4000-8000-000000000007\n")[0].made);
        assert_eq!(alice.get_version_num(), 5);
    }

    #[test]
    fn a_reservation_keeps_its_end_and_one_that_is_over_is_refused() {
        let rows = read(
            Format::Ndjson,
            "{\"owner\":\"a\",\"name\":\"b\",\"expires_at\":\"2999-01-01T00:00:00Z\"}\n{\"owner\":\"a\",\"name\":\"b\",\"expires_at\":\"2001-01-01T00:00:00Z\"}",
        );
        assert!(rows[0].body.as_ref().unwrap().ttl.is_some());
        assert!(rows[1].body.clone().unwrap_err().contains("2001-01-01"));
    }
}
