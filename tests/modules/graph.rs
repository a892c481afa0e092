//! Finds which module of a library uses which other one. The files are parsed with `syn`, which tells comments,
//! strings, nested groups and macros apart, as a search for lines cannot.
//!
//! A path is followed to the module that defines the item, through re-exports, which do not count as a use. Code that
//! is compiled for tests only is left out. Calls of methods are not seen, because they name no module.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// The modules that each module uses.
pub(crate) type Edges = BTreeMap<String, BTreeSet<String>>;

/// The modules of a library, by path. The path of the root is empty.
pub(crate) struct Graph {
    modules: BTreeMap<String, Module>,
    uses: Vec<(String, String, String)>,
    edges: Edges,
}

/// The contents of a module.
#[derive(Default)]
struct Module {
    children: BTreeSet<String>,
    /// The names that a `use` brings in, with their paths.
    imports: BTreeMap<String, Vec<String>>,
    /// The paths of glob imports.
    globs: Vec<Vec<String>>,
    /// The items that the module defines.
    items: BTreeSet<String>,
    /// The paths that are used.
    paths: BTreeSet<Vec<String>>,
}

/// The top-level module that contains a module.
pub(crate) fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

impl Graph {
    /// Reads a library, beginning with its root.
    pub(crate) fn read(root: &Path) -> Self {
        let mut graph = Self { modules: BTreeMap::new(), uses: Vec::new(), edges: Edges::new() };
        graph.read_file(root, String::new(), &directory(root, true));
        for (from, module) in &graph.modules {
            for path in &module.paths {
                if let Some(to) = graph.resolve(from, path, 0).filter(|to| to != from) {
                    graph.uses.push((from.clone(), to.clone(), path.join("::")));
                    graph.edges.entry(from.clone()).or_default().insert(to);
                }
            }
        }
        graph
    }

    pub(crate) fn edges(&self) -> &Edges {
        &self.edges
    }

    /// Each use: the module that uses, the module that is used, and the path.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.uses.iter().map(|(from, to, what)| (from.as_str(), to.as_str(), what.as_str()))
    }

    /// The same graph with its top-level modules as nodes, without the root.
    pub(crate) fn top_level(&self) -> Edges {
        let mut tops = Edges::new();
        for (from, to) in self.edges.iter().flat_map(|(from, to)| to.iter().map(move |to| (top(from), top(to)))) {
            if from != to && !from.is_empty() && !to.is_empty() {
                tops.entry(from.to_owned()).or_default().insert(to.to_owned());
            }
        }
        tops
    }

    fn read_file(&mut self, file: &Path, name: String, dir: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("cannot parse {}: {error}", file.display()));
        let mut reader = Reader::default();
        reader.visit_file(&parsed);
        let mut module = reader.module;
        let own = module.children.clone();
        module.paths.retain(|path| is_inner(path, &own));
        for child in &module.children {
            let path = if name.is_empty() { child.clone() } else { format!("{name}::{child}") };
            let (flat, deep) = (dir.join(format!("{child}.rs")), dir.join(child).join("mod.rs"));
            let file = if flat.is_file() { flat } else { deep };
            self.read_file(&file, path, &dir.join(child));
        }
        self.modules.insert(name, module);
    }

    /// Finds the module that defines the item of a path that is written in module `from`.
    fn resolve(&self, from: &str, path: &[String], depth: usize) -> Option<String> {
        let mut at = from.to_owned();
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => at = at.rsplit_once("::").map_or_else(String::new, |(parent, _)| parent.to_owned()),
                _ => break,
            }
            rest = after;
        }
        for (index, name) in rest.iter().enumerate() {
            let module = self.modules.get(&at)?;
            if module.children.contains(name) {
                at = if at.is_empty() { name.clone() } else { format!("{at}::{name}") };
                continue;
            }
            if module.items.contains(name) || depth > 8 {
                return Some(at);
            }
            let target = |of: &Vec<String>, rest: &[String]| {
                let path: Vec<String> = of.iter().chain(rest).cloned().collect();
                is_inner(&path, &module.children).then(|| self.resolve(&at, &path, depth + 1))?
            };
            if let Some(import) = module.imports.get(name) {
                return target(import, &rest[index + 1..]).or(Some(at.clone()));
            }
            let glob = module.globs.iter().find_map(|glob| {
                let to = target(glob, &[])?;
                self.modules.get(&to).filter(|module| module.items.contains(name)).map(|_| to.clone())
            });
            return glob.or(Some(at));
        }
        Some(at)
    }
}

/// The directory of the child modules of a file.
fn directory(file: &Path, is_root: bool) -> PathBuf {
    let parent = file.parent().unwrap_or(Path::new("")).to_owned();
    if is_root { parent } else { parent.join(file.file_stem().unwrap_or_default()) }
}

/// Returns true where a path leads to a module of the library, and not to another library or an item.
fn is_inner(path: &[String], children: &BTreeSet<String>) -> bool {
    path.first().is_some_and(|first| matches!(first.as_str(), "crate" | "self" | "super") || children.contains(first))
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let test = |attribute: &Attribute| {
        let arguments = attribute.parse_args::<syn::Path>();
        attribute.path().is_ident("cfg") && arguments.is_ok_and(|argument| argument.is_ident("test"))
    };
    attributes.iter().any(test)
}

#[derive(Default)]
struct Reader {
    module: Module,
    /// The depth of the current module within inline modules.
    inline: usize,
}

impl Reader {
    fn import(&mut self, tree: &UseTree, before: &[String], public: bool) {
        let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<String>>();
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &with(path.ident.to_string()), public),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before, public)),
            UseTree::Name(name) if name.ident == "self" => {
                self.bring(before.last().cloned().unwrap_or_default(), before.to_vec(), public);
            }
            UseTree::Name(name) => self.bring(name.ident.to_string(), with(name.ident.to_string()), public),
            UseTree::Rename(rename) => self.bring(rename.rename.to_string(), with(rename.ident.to_string()), public),
            UseTree::Glob(_) => {
                self.module.globs.push(before.to_vec());
                if !public {
                    self.module.paths.insert(self.outer(before.to_vec()));
                }
            }
        }
    }

    fn bring(&mut self, name: String, path: Vec<String>, public: bool) {
        if self.inline == 0 {
            self.module.imports.insert(name, path.clone());
        }
        if !public {
            self.module.paths.insert(self.outer(path));
        }
    }

    /// Returns a path as it would be written outside of the inline modules.
    fn outer(&self, path: Vec<String>) -> Vec<String> {
        let ups = path.iter().take_while(|name| *name == "super").count();
        path.into_iter().skip(ups.min(self.inline)).collect()
    }

    fn path(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.module.paths.insert(self.outer(path));
        }
    }
}

/// The name that an item defines.
fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        _ => return None,
    })
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes_of(item)) {
            return;
        }
        if self.inline == 0 {
            self.module.items.extend(name_of(item));
        }
        match item {
            Item::Mod(module) if module.content.is_none() => {
                self.module.children.insert(module.ident.to_string());
            }
            Item::Mod(module) => {
                self.inline += 1;
                visit::visit_item_mod(self, module);
                self.inline -= 1;
            }
            Item::Use(item) => self.import(&item.tree, &[], !matches!(item.vis, Visibility::Inherited)),
            item => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    /// The contents of a macro are not parsed. Paths are searched for among its tokens.
    fn visit_macro(&mut self, macro_: &'ast syn::Macro) {
        let text = macro_.tokens.to_string().replace(" :: ", "::");
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let inner = words.filter(|word| word.starts_with("crate::") || word.starts_with("super::"));
        for word in inner {
            self.path(word.split("::").map(str::to_owned).collect());
        }
    }
}

/// Finds the circles of a graph: the sets of nodes that can all be reached from each other.
pub(crate) fn circles(edges: &Edges) -> Vec<BTreeSet<String>> {
    let reach = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(node) = open.pop() {
            let next = edges.get(&node).into_iter().flatten();
            open.extend(next.filter(|next| seen.insert((*next).clone())).cloned());
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = edges.keys().map(|node| (node, reach(node))).collect();
    let mut circles = BTreeSet::new();
    for (node, seen) in &reached {
        if seen.contains(*node) {
            circles.insert(
                seen.iter().filter(|other| reached.get(other).is_some_and(|r| r.contains(*node))).cloned().collect(),
            );
        }
    }
    circles.into_iter().collect()
}
