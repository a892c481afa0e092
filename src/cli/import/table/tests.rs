use proptest::prelude::*;

use super::super::super::Exit;
use super::*;

fn open(text: &str, options: &TableOptions) -> Result<Table, Failure> {
    Table::open(Lines::new(std::io::Cursor::new(text.to_owned())), options)
}

fn rows(text: &str, options: &TableOptions) -> Vec<Row> {
    let defaults = Defaults { namespace: Some("username".to_owned()), ids_under: None };
    let mut table = open(text, options).unwrap();
    std::iter::from_fn(|| table.next(&defaults).unwrap()).collect()
}

fn plain(text: &str) -> Vec<Row> {
    rows(text, &TableOptions::default())
}

fn multiline(text: &str) -> Vec<Row> {
    rows(text, &TableOptions { multiline: true, ..TableOptions::default() })
}

fn names(row: &Row) -> Vec<String> {
    let body = row.body.as_ref().unwrap();
    body.names.iter().map(|name| format!("{}/{}", name.namespace, name.name)).collect()
}

fn why(row: &Row) -> String {
    row.body.clone().unwrap_err()
}

#[test]
fn rows_of_a_table() {
    let text = "owner,name,age,name:email,metadata\nann,alice,7,a@example.org,\"{\"\"a\"\": 1}\"\n\nx,y\ncid,carol,9,,\n,dave,1,,\neve,e,1,,[1]\n";
    let rows = plain(text);
    assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 4, 5, 6, 7]);
    assert_eq!(names(&rows[0]), ["username/alice", "email/a@example.org"]);
    assert_eq!(rows[0].body.as_ref().unwrap().metadata.as_ref().unwrap().as_str(), "{\"a\":1}");
    assert_eq!(names(&rows[2]), ["username/carol"]);
    assert_eq!(why(&rows[1]), "it has 2 cells, and the header has 5");
    assert_eq!(why(&rows[3]), "it has no owner");
    assert!(why(&rows[4]).contains("JSON object"), "{}", why(&rows[4]));
}

#[test]
fn a_quote_left_open_costs_its_own_row_and_no_other() {
    let many: String = (0..4000).map(|n| format!("o{n},n{n},x\n")).collect();
    let text = format!("o_wner,name,x\nann,alice,\"oops\n{many}bob,bobby,\"closed\"\n").replace("o_wner", "owner");
    for rows in [plain(&text), multiline(&text)] {
        assert_eq!(rows.len(), 4002);
        assert_eq!((rows[0].line, rows[4001].line), (2, 4003));
        assert!(why(&rows[0]).starts_with("a quote is opened in it"), "{}", why(&rows[0]));
        assert_eq!(names(&rows[1]), ["username/n0"]);
        assert_eq!(names(&rows[4001]), ["username/bobby"]);
        assert!(rows[1..].iter().all(|row| row.body.is_ok()));
    }
}

#[test]
fn cells_hold_line_breaks_where_the_caller_says_so() {
    let text = "owner,name\nann,\"al\n\nice\"\nbob,bobby\n";
    let rows = multiline(text);
    assert_eq!((names(&rows[0]), rows[0].line), (vec!["username/al\n\nice".to_owned()], 2));
    assert_eq!((names(&rows[1]), rows[1].line), (vec!["username/bobby".to_owned()], 5));
    let rows = plain(text);
    assert!(why(&rows[0]).contains("--multiline"));
    assert_eq!(names(&rows[2]), ["username/bobby"]);
}

#[test]
fn rows_of_empty_cells_are_no_rows() {
    let rows = plain("owner,name,x\n,,\n\"\", ,\nann,alice,\n,,,,,\n");
    assert_eq!(rows.len(), 1);
    assert_eq!(names(&rows[0]), ["username/alice"]);
}

#[test]
fn a_malformed_namespace_costs_its_row_or_is_a_usage_error() {
    let rows = plain("owner,namespace,name\nann,User Name,alice\nbob,a//b,bob\ncid,tag,cid\n");
    assert!(why(&rows[0]).contains("the namespace is not valid"), "{}", why(&rows[0]));
    assert!(rows[1].body.is_err() && rows[2].body.is_ok());
    let error = open("owner,name:E Mail\n", &TableOptions::default()).err().unwrap();
    assert!(error.exit == Exit::Usage && error.message.contains("name:E Mail"), "{}", error.message);
}

#[test]
fn delimiters_are_seen_in_the_header_or_said() {
    for text in ["owner;name\nann;al,ice\n", "owner\tname\nann\tal,ice\n", "\u{feff}owner;name\r\nann;\"al,ice\"\r\n"] {
        assert_eq!(names(&plain(text)[0]), ["username/al,ice"], "{text}");
    }
    let options = TableOptions { delimiter: Some(b'|'), ..TableOptions::default() };
    assert_eq!(names(&rows("owner|name\nann|alice\n", &options)[0]), ["username/alice"]);
}

#[test]
fn columns_can_be_taken_for_others() {
    let map = |pairs: &[(&str, &str)]| {
        let map = pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        TableOptions { map, ..TableOptions::default() }
    };
    let text = "user;nick;mail;age\n7;alice;a@example.org;9\n";
    let options = map(&[("user", "owner"), ("nick", "name"), ("mail", "name:email")]);
    assert_eq!(names(&rows(text, &options)[0]), ["username/alice", "email/a@example.org"]);
    assert_eq!(open(text, &options).unwrap().ignored(), ["age"]);
    for (options, part) in [
        (map(&[("user", "owner"), ("login", "name")]), "no column \"login\""),
        (map(&[("user", "owner"), ("mail", "owner"), ("nick", "name")]), "there twice"),
        (map(&[("user", "owner")]), "--map mail=name:email"),
    ] {
        let error = open(text, &options).err().unwrap();
        assert!(error.exit == Exit::Usage && error.message.contains(part), "{}", error.message);
    }
}

#[test]
fn a_table_without_names_or_owners_or_with_a_column_twice_is_refused() {
    for text in
        ["owner,nick\n", "name,nick\nalice,x\n", "", "owner,name,owner\n", "owner,name:a,name:a\n", "owner,\"name\n"]
    {
        let error = open(text, &TableOptions::default()).err().unwrap();
        assert_eq!(error.exit, Exit::Usage, "{text:?}");
    }
    assert!(open("owner,name,x,x\n", &TableOptions::default()).is_ok(), "what is not looked at may be there twice");
}

proptest! {
    /// Where this module finds no open quote, the `csv` crate reads the line as one row, whatever follows.
    #[test]
    fn the_crate_sees_open_quotes_where_this_module_does(line in "[a\", ]{0,12}") {
        let text = format!("{line}\nnext,\n");
        let mut builder = csv::ReaderBuilder::new();
        let mut reader = builder.has_headers(false).flexible(true).from_reader(text.as_bytes());
        let last = reader.byte_records().map(|record| record.unwrap()).last().unwrap();
        prop_assert_eq!(last == vec!["next", ""], !is_open(line.as_bytes(), b','));
    }
}

/// Splits one row as the `csv` crate does.
fn split_by_csv(row: &str, delimiter: u8) -> csv::ByteRecord {
    let mut builder = csv::ReaderBuilder::new();
    let mut record = csv::ByteRecord::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter);
    builder.from_reader(row.as_bytes()).read_byte_record(&mut record).unwrap();
    record
}

proptest! {
    /// One splitter splits row after row as new readers do.
    #[test]
    fn rows_are_split_as_the_library_does(rows in proptest::collection::vec("[ab;, \"\n\r\u{feff}é]{0,12}", 1..6)) {
        let mut splitter = Splitter::new(b';');
        for row in &rows {
            prop_assert_eq!(splitter.split(row.as_bytes()), split_by_csv(row, b';'), "{:?}", row);
        }
    }
}
