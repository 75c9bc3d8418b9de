//! The modules of the library: which file holds each of them, and which names it defines and imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::punctuated::Punctuated;
use syn::{Attribute, Item, Meta, Token, UseTree, Visibility};

/// The path of a module, from the root of the crate.
pub type ModulePath = Vec<String>;

/// A module and the names in it.
pub struct Module {
    pub file: PathBuf,
    pub items: BTreeSet<String>,
    pub imports: BTreeMap<String, Vec<String>>,
    pub globs: Vec<Vec<String>>,
}

/// What a path leads to.
#[derive(Debug, PartialEq)]
pub enum Target {
    /// A module itself.
    Module(ModulePath),
    /// A name that the module defines.
    Item(ModulePath, String),
    /// A name of another crate, or one that no `use` and no item explains.
    Elsewhere(String),
}

/// The modules of a crate that are compiled outside tests.
pub struct Tree {
    pub modules: BTreeMap<ModulePath, Module>,
    /// The files in which a module begins, with what is written there.
    pub files: Vec<(ModulePath, syn::File)>,
}

impl Tree {
    /// Reads the crate whose root is the file `root`, which is below `top`.
    pub fn read(top: &Path, root: &str) -> Self {
        let mut tree = Self { modules: BTreeMap::new(), files: Vec::new() };
        tree.read_file(top, Path::new(root), Vec::new());
        tree
    }

    fn read_file(&mut self, top: &Path, file: &Path, path: ModulePath) {
        let text = fs::read_to_string(top.join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        // The directory of the files of child modules.
        let directory = match file.file_stem().and_then(|stem| stem.to_str()) {
            Some("mod" | "lib" | "main") => file.parent().unwrap_or(Path::new("")).to_owned(),
            _ => file.with_extension(""),
        };
        self.add(top, file, &directory, path.clone(), &parsed.items);
        self.files.push((path, parsed));
    }

    fn add(&mut self, top: &Path, file: &Path, directory: &Path, path: ModulePath, items: &[Item]) {
        let mut module =
            Module { file: file.to_owned(), items: BTreeSet::new(), imports: BTreeMap::new(), globs: Vec::new() };
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            match item {
                Item::Mod(child) => {
                    let name = child.ident.to_string();
                    let below = [&path[..], std::slice::from_ref(&name)].concat();
                    match &child.content {
                        Some((_, items)) => self.add(top, file, &directory.join(&name), below, items),
                        None => {
                            let own = directory.join(format!("{name}.rs"));
                            let in_directory = directory.join(&name).join("mod.rs");
                            let file = if top.join(&own).is_file() { own } else { in_directory };
                            self.read_file(top, &file, below);
                        }
                    }
                }
                Item::Use(import) => {
                    for (name, target) in leaves(&import.tree) {
                        match name {
                            Some(name) => drop(module.imports.insert(name, target)),
                            None => module.globs.push(target),
                        }
                    }
                }
                _ => module.items.extend(name(item)),
            }
        }
        self.modules.insert(path, module);
    }

    /// Follows a path that is written in the module `from`, through imports and re-exports, to where its name is defined.
    pub fn resolve(&self, from: &[String], path: &[String]) -> Target {
        self.find(from, path, 0)
    }

    fn find(&self, from: &[String], path: &[String], depth: usize) -> Target {
        let elsewhere = || Target::Elsewhere(path.first().cloned().unwrap_or_default());
        let (Some((first, rest)), true) = (path.split_first(), depth < 32) else { return elsewhere() };
        match first.as_str() {
            "crate" | "winslim" => self.walk(&[], rest, depth),
            "self" => self.walk(from, rest, depth),
            "super" => {
                let parent = &from[..from.len().saturating_sub(1)];
                let above = rest.iter().take_while(|part| *part == "super").count();
                self.walk(&parent[..parent.len() - above], &rest[above..], depth)
            }
            _ if self.has(from, first, depth) => self.walk(from, path, depth),
            _ => elsewhere(),
        }
    }

    /// Whether a module defines, imports or declares a name.
    fn has(&self, module: &[String], name: &String, depth: usize) -> bool {
        let Some(found) = self.modules.get(module) else { return false };
        let child = [module, std::slice::from_ref(name)].concat();
        let imported = match found.imports.get(name) {
            Some(import) => !matches!(self.find(module, import, depth + 1), Target::Elsewhere(_)),
            None => false,
        };
        imported
            || found.items.contains(name)
            || self.modules.contains_key(&child)
            || self.through_globs(module, name, depth).is_some()
    }

    fn walk(&self, module: &[String], path: &[String], depth: usize) -> Target {
        let Some((first, rest)) = path.split_first() else { return Target::Module(module.to_vec()) };
        let Some(found) = self.modules.get(module) else { return Target::Elsewhere(first.clone()) };
        let child = [module, std::slice::from_ref(first)].concat();
        let is_child = self.modules.contains_key(&child);
        if is_child && !rest.is_empty() {
            return self.walk(&child, rest, depth);
        }
        if found.items.contains(first) {
            return Target::Item(module.to_vec(), first.clone());
        }
        if let Some(import) = found.imports.get(first) {
            let whole = [&import[..], rest].concat();
            // A module that imports from a child of its own name, such as `pub use load::load`.
            if !(is_child && depth > 0 && import.len() == 1) {
                return self.find(module, &whole, depth + 1);
            }
        }
        if is_child {
            return self.walk(&child, rest, depth);
        }
        match self.through_globs(module, first, depth) {
            Some(glob) => self.walk(&glob, path, depth + 1),
            // A name that a macro made, or a variant or function of a type.
            None => Target::Item(module.to_vec(), first.clone()),
        }
    }

    /// The module that a module imports everything from, and that has a name.
    fn through_globs(&self, module: &[String], name: &String, depth: usize) -> Option<ModulePath> {
        if depth > 8 {
            return None;
        }
        self.modules.get(module)?.globs.iter().find_map(|glob| match self.find(module, glob, depth + 1) {
            Target::Module(path) if path != module && self.has(&path, name, depth + 1) => Some(path),
            _ => None,
        })
    }

    /// The file that holds a module.
    pub fn file(&self, module: &[String]) -> &Path {
        &self.modules[module].file
    }
}

/// Whether an item is compiled only for tests.
pub fn is_test(attributes: &[Attribute]) -> bool {
    fn means_test(meta: &Meta) -> bool {
        match meta {
            Meta::Path(path) => path.is_ident("test"),
            Meta::List(list) if list.path.is_ident("all") => list
                .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                .is_ok_and(|metas| metas.iter().any(means_test)),
            _ => false,
        }
    }
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("cfg") && attribute.parse_args().is_ok_and(|meta| means_test(&meta)))
}

/// The attributes of an item.
pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item gives to its module.
fn name(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

/// The paths that a `use` imports, each with the name that it has here. `None` is a glob.
pub fn leaves(tree: &UseTree) -> Vec<(Option<String>, Vec<String>)> {
    fn collect(tree: &UseTree, before: &[String], found: &mut Vec<(Option<String>, Vec<String>)>) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => collect(&path.tree, &with(&path.ident), found),
            UseTree::Name(name) if name.ident == "self" => found.push((before.last().cloned(), before.to_vec())),
            UseTree::Name(name) => found.push((Some(name.ident.to_string()), with(&name.ident))),
            UseTree::Rename(rename) if rename.ident == "self" => {
                found.push((Some(rename.rename.to_string()), before.to_vec()));
            }
            UseTree::Rename(rename) => found.push((Some(rename.rename.to_string()), with(&rename.ident))),
            UseTree::Glob(_) => found.push((None, before.to_vec())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| collect(tree, before, found)),
        }
    }
    let mut found = Vec::new();
    collect(tree, &[], &mut found);
    found
}

/// Whether an import is a re-export.
pub fn is_public(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}
