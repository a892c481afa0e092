//! Checks that no modules use each other in a circle.
//!
//! Two graphs are checked, each for `src` and for `sim/src`. The nodes of one are the top-level modules, and it may
//! have no circle at all. The nodes of the other are the files. The circles of files that still exist are listed in
//! `circles.txt`, each with a reason. The test fails for a circle that is not in the list, and for one in the list that
//! no longer exists. After a change of files `RENEW=1 cargo test --test modules` writes the list again and keeps the
//! reasons.

mod graph;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::{env, fs};

use graph::{Graph, circles};

/// The libraries whose modules are checked.
const LIBRARIES: [(&str, &str); 2] = [("forename", "src/lib.rs"), ("forename-sim", "sim/src/lib.rs")];

const LIST: &str = "tests/modules/circles.txt";

const HEADER: &str = "\
# Circles of files that still stand: why, and below it the modules of the circle, a line each.
# `RENEW=1 cargo test --test modules` writes this list anew and keeps the reasons.
";

/// A placeholder for a reason that is still to be written.
const NO_REASON: &str = "?";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads the circles of files in the list, with their reasons.
fn listed(text: &str) -> BTreeMap<BTreeSet<String>, String> {
    let mut circles: Vec<(String, BTreeSet<String>)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        match (line.strip_prefix("    "), circles.last_mut()) {
            (Some(module), Some((_, circle))) => drop(circle.insert(module.trim().to_owned())),
            _ => circles.push((line.trim().to_owned(), BTreeSet::new())),
        }
    }
    circles.into_iter().map(|(reason, circle)| (circle, reason)).collect()
}

/// Writes a list of these circles. A circle gets the reason of the old circle with which it shares the most files.
fn list(found: &BTreeSet<BTreeSet<String>>, known: &BTreeMap<BTreeSet<String>, String>) -> String {
    let mut text = HEADER.to_owned();
    for circle in found {
        let shared = |other: &&BTreeSet<String>| other.intersection(circle).count();
        let old = known.keys().filter(|other| shared(other) > 1).max_by_key(shared);
        text += &format!("\n{}\n", old.map_or(NO_REASON, |old| known[old].as_str()));
        circle.iter().for_each(|module| text += &format!("    {module}\n"));
    }
    text
}

/// Finds the circles of files of all libraries. The name of a file is its library and its module.
fn circles_of_files() -> BTreeSet<BTreeSet<String>> {
    let of = |(library, file): (&str, &str)| -> Vec<BTreeSet<String>> {
        let graph = Graph::read(&root().join(file));
        let name =
            |module: &String| if module.is_empty() { library.to_owned() } else { format!("{library}::{module}") };
        circles(graph.edges()).iter().map(|circle| circle.iter().map(name).collect()).collect()
    };
    LIBRARIES.into_iter().flat_map(of).collect()
}

#[test]
fn no_top_level_module_is_in_a_circle() {
    for (library, file) in LIBRARIES {
        let graph = Graph::read(&root().join(file));
        let tops = graph.top_level();
        let circles = circles(&tops);
        let uses: Vec<String> = graph
            .uses()
            .filter(|(from, to, _)| {
                let (from, to) = (graph::top(from), graph::top(to));
                from != to && circles.iter().any(|circle| circle.contains(from) && circle.contains(to))
            })
            .map(|(from, to, what)| format!("  {from} uses {to}: {what}"))
            .collect();
        assert!(
            circles.is_empty(),
            "top-level modules of {library} are in a circle: {circles:?}. Move what both need into a module below both, \
             or hand it over as an argument:\n{}",
            uses.join("\n")
        );
    }
}

#[test]
fn the_circles_of_files_are_those_of_the_list() {
    let found = circles_of_files();
    let path = root().join(LIST);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let known = listed(&text);
    if env::var_os("RENEW").is_some() {
        fs::write(&path, list(&found, &known)).unwrap_or_else(|error| panic!("cannot write {LIST}: {error}"));
        return;
    }
    let renew = "If it has to be, renew the list with `RENEW=1 cargo test --test modules` and give the reason there";
    let new: Vec<_> = found.iter().filter(|circle| !known.contains_key(*circle)).collect();
    assert!(new.is_empty(), "files are in a new circle: {new:#?}. {renew}.{}", why(&new));
    let gone: Vec<_> = known.keys().filter(|circle| !found.contains(*circle)).collect();
    assert!(gone.is_empty(), "circles in {LIST} are gone: {gone:#?}. Renew the list.");
    let silent: Vec<_> = known.iter().filter(|(_, reason)| reason.is_empty() || *reason == NO_REASON).collect();
    assert!(silent.is_empty(), "circles in {LIST} have no reason: {silent:#?}");
}

/// Lists what the files of these circles use of each other.
fn why(new: &[&BTreeSet<String>]) -> String {
    let mut text = String::new();
    for (library, file) in LIBRARIES {
        let graph = Graph::read(&root().join(file));
        let name = |module: &str| format!("{library}::{module}");
        for (from, to, what) in graph.uses() {
            if from != to && new.iter().any(|circle| circle.contains(&name(from)) && circle.contains(&name(to))) {
                text += &format!("\n  {from} uses {to}: {what}");
            }
        }
    }
    text
}

#[test]
fn what_files_use_is_read_from_their_text() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    };
    write("lib.rs", "pub mod a; mod b; mod c; mod d; #[cfg(test)] mod e; pub use a::Facade;");
    write("a/mod.rs", "mod inner; pub use self::inner::Facade; pub struct Own;");
    write("a/inner.rs", "pub struct Facade;");
    write(
        "b.rs",
        "use crate::a::{Own, Facade as Other}; fn f() { crate::c::g() } #[cfg(test)] mod t { use crate::d; }",
    );
    write("c.rs", "// use crate::b;\nfn g() { println!(\"{}\", super::d::h()); } const TEXT: &str = \"crate::b\";");
    write("d.rs", "use crate::Facade; pub fn h() {}");
    write("e.rs", "use crate::b;");
    let graph = Graph::read(&dir.path().join("lib.rs"));
    let edges: BTreeSet<_> =
        graph.edges().iter().flat_map(|(from, to)| to.iter().map(move |to| format!("{from}>{to}"))).collect();
    let edges: Vec<_> = edges.iter().map(String::as_str).collect();
    assert_eq!(edges, ["b>a", "b>a::inner", "b>c", "c>d", "d>a::inner"]);
    assert!(circles(graph.edges()).is_empty());
    write("d.rs", "use crate::b::Nothing;");
    let graph = Graph::read(&dir.path().join("lib.rs"));
    let circle: BTreeSet<_> = ["b", "c", "d"].map(str::to_owned).into();
    assert_eq!(circles(graph.edges()), std::slice::from_ref(&circle));
    assert_eq!(circles(&graph.top_level()), [circle]);
}

#[test]
fn a_renewed_list_keeps_the_reasons() {
    let circle = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let known = listed(&format!("{HEADER}\nthey are one machine\n    x::a\n    x::b\n"));
    let found = BTreeSet::from([circle(&["x::a", "x::b", "x::c"]), circle(&["x::d", "x::e"])]);
    let renewed = listed(&list(&found, &known));
    assert_eq!(renewed[&circle(&["x::a", "x::b", "x::c"])], "they are one machine");
    assert_eq!(renewed[&circle(&["x::d", "x::e"])], NO_REASON);
}
