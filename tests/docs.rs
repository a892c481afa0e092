//! Checks the links of the documentation: each relative link must lead to an existing file, and each anchor to a
//! heading.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The number of lines that the README may have. A reader with ten minutes should be able to read all of it.
const README_LINES: usize = 120;

/// The root of the repository. Where this test is compiled without cargo, that is the current directory.
fn root() -> PathBuf {
    PathBuf::from(option_env!("CARGO_MANIFEST_DIR").unwrap_or("."))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The pages whose links are checked, relative to the root.
fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages: Vec<_> = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(PathBuf::from).into();
    pages.extend(entries(&root.join("docs")).into_iter().map(|name| Path::new("docs").join(name)));
    for parts in ["examples", "clients", "clients/python/examples", "clients/typescript/examples"] {
        let readmes = entries(&root.join(parts)).into_iter().map(|name| Path::new(parts).join(name).join("README.md"));
        pages.extend(readmes.filter(|page| root.join(page).is_file()));
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages
}

/// The names in a directory, sorted.
fn entries(dir: &Path) -> BTreeSet<String> {
    let read = fs::read_dir(dir).unwrap_or_else(|error| panic!("cannot read {}: {error}", dir.display()));
    read.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// The lines of a page outside of code blocks.
fn text_lines(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    page.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        (!in_code && !fence).then_some((index + 1, line))
    })
}

/// Removes the code spans from a line, because the text between backticks is no link.
fn without_code(line: &str) -> String {
    // Where the number of backticks is odd, the last one opens no span on this line.
    let parts: Vec<_> = line.split('`').collect();
    let keeps = |index: usize| index.is_multiple_of(2) || (index == parts.len() - 1 && parts.len().is_multiple_of(2));
    parts.iter().enumerate().filter(|(index, _)| keeps(*index)).map(|(_, part)| *part).collect()
}

/// The targets of a line's links: `[text](target)` and `[text](target "title")`.
fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let after = line.split("](").skip(1);
    let target = after.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    target.filter_map(|target| target.split_whitespace().next()).map(str::to_owned).collect()
}

/// Returns true where a target is an address elsewhere, like `https://…` or `mailto:…`.
fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// The anchors of a page's headings, as GitHub makes them: lower case, spaces become hyphens, and only letters, digits,
/// hyphens and underscores are kept. A second heading with the same text gets `-1`, and so on.
fn anchors(page: &str) -> BTreeSet<String> {
    let (mut anchors, mut seen) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for (_, line) in text_lines(page) {
        let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
        let Some(heading) = line[hashes..].strip_prefix(' ').filter(|_| (1..=6).contains(&hashes)) else { continue };
        let anchor = anchor(heading);
        let before = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
        *before += 1;
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Removes `.` and `..` from a path; none where it leads out of the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

/// Returns the defect of a link of a page, where it has one.
fn broken(root: &Path, page: &Path, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() {
        page.to_path_buf()
    } else {
        let beside = page.parent().unwrap_or(Path::new("")).join(file);
        let Some(path) = normal(&beside) else { return Some("leads out of the repository".to_owned()) };
        path
    };
    let full = root.join(&path);
    if !full.exists() {
        return Some(format!("{} is not there", path.display()));
    }
    let anchor = anchor?;
    if path.extension().is_none_or(|extension| extension != "md") {
        return Some(format!("{} has no headings", path.display()));
    }
    (!anchors(&read(&full)).contains(anchor)).then(|| format!("{} has no heading #{anchor}", path.display()))
}

#[test]
fn every_relative_link_points_to_something() {
    let root = root();
    let (mut found, mut wrong) = (0, Vec::new());
    for page in pages(&root) {
        let text = read(&root.join(&page));
        for (number, line) in text_lines(&text) {
            for target in targets(line).into_iter().filter(|target| !is_elsewhere(target)) {
                found += 1;
                let why = broken(&root, &page, &target);
                wrong.extend(why.map(|why| format!("{}:{number}: ({target}): {why}", page.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
    assert!(found > 50, "only {found} links were found, so the search does not work any more");
}

#[test]
fn the_readme_is_short() {
    let lines = read(&root().join("README.md")).lines().count();
    assert!(
        lines <= README_LINES,
        "README.md has {lines} lines; {README_LINES} are allowed, move something into docs/"
    );
}

#[test]
fn links_and_headings_are_found_as_readers_see_them() {
    assert_eq!(targets("see [a](b.md#c), [`d`](e \"f\") and `[g](h)`"), ["b.md#c", "e"]);
    assert_eq!(targets("[one](two) ` [three](four)"), ["two", "four"]);
    let page = "# A b\n```sh\n# no heading\n```\n## … a `story`, 2!\n# A b\n#no heading\n";
    assert_eq!(anchors(page).into_iter().collect::<Vec<_>>(), ["-a-story-2", "a-b", "a-b-1"]);
    assert_eq!(normal(Path::new("docs/../src/./lib.rs")), Some(PathBuf::from("src/lib.rs")));
    assert_eq!(normal(Path::new("docs/../../lib.rs")), None);
    assert!(is_elsewhere("https://example.org/a") && !is_elsewhere("docs/api.md"));
}
