//! What each file uses: every path in its code, followed to the file that defines the name.
//!
//! A `use` of a parent's re-export leads to the file below it that has the name, and a module that re-exports names of its
//! own children does not use them. Not seen: methods that another file implements for a type.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::tree::{ModulePath, Target, Tree, attributes, is_public, is_test, leaves};

/// The files of a crate, and what each of them uses.
#[derive(Default)]
pub struct Uses {
    /// For each file the files that it uses, with the names it uses from there.
    pub files: BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>,
    /// For each room the rooms that it uses, with the files that do.
    pub rooms: BTreeMap<String, BTreeMap<String, BTreeSet<PathBuf>>>,
    /// For each file the first parts of paths that lead out of the crate.
    pub elsewhere: BTreeMap<PathBuf, BTreeSet<String>>,
}

impl Uses {
    /// Follows every path in the files of a crate.
    pub fn of(tree: &Tree) -> Self {
        let mut uses = Self::default();
        for (module, file) in &tree.files {
            uses.files.entry(tree.file(module).to_owned()).or_default();
            if let Some(room) = module.first() {
                uses.rooms.entry(room.clone()).or_default();
            }
            let mut visitor = Visitor { tree, uses: &mut uses, module: module.clone() };
            visitor.visit_file(file);
        }
        uses
    }

    fn add(&mut self, tree: &Tree, from: &ModulePath, target: Target) {
        let file = tree.file(from);
        let (module, name) = match target {
            Target::Elsewhere(name) => {
                self.elsewhere.entry(file.to_owned()).or_default().insert(name);
                return;
            }
            Target::Module(module) => (module, None),
            Target::Item(module, name) => (module, Some(name)),
        };
        if let (Some(room), Some(used)) = (from.first(), module.first())
            && room != used
        {
            self.rooms.entry(room.clone()).or_default().entry(used.clone()).or_default().insert(file.to_owned());
        }
        let used = tree.file(&module);
        if let Some(name) = name
            && used != file
        {
            self.files.entry(file.to_owned()).or_default().entry(used.to_owned()).or_default().insert(name);
        }
    }
}

struct Visitor<'a> {
    tree: &'a Tree,
    uses: &'a mut Uses,
    module: ModulePath,
}

impl Visitor<'_> {
    fn follow(&mut self, path: &[String]) {
        let target = self.tree.resolve(&self.module, path);
        self.uses.add(self.tree, &self.module, target);
    }

    /// Follows the paths in tokens that are not parsed: those of macros and attributes.
    fn follow_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut after_dot = false;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_path(&mut path);
                    }
                    if !after_dot {
                        path.push(ident.to_string());
                    }
                    (colons, after_dot) = (0, false);
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    after_dot = false;
                }
                TokenTree::Punct(punct) => {
                    self.end_path(&mut path);
                    (colons, after_dot) = (0, punct.as_char() == '.');
                }
                TokenTree::Group(group) => {
                    self.end_path(&mut path);
                    self.follow_tokens(group.stream());
                    (colons, after_dot) = (0, false);
                }
                TokenTree::Literal(_) => {
                    self.end_path(&mut path);
                    (colons, after_dot) = (0, false);
                }
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Vec<String>) {
        if !path.is_empty() {
            let path = std::mem::take(path);
            self.follow(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.content.is_some() {
            self.module.push(module.ident.to_string());
            visit::visit_item_mod(self, module);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        for (_, path) in leaves(&import.tree) {
            let target = self.tree.resolve(&self.module, &path);
            let of_child = match &target {
                Target::Module(module) | Target::Item(module, _) => module.starts_with(&self.module),
                Target::Elsewhere(_) => false,
            };
            if !(is_public(&import.vis) && of_child) {
                self.uses.add(self.tree, &self.module, target);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.follow(&parts);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.follow_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let parts: Vec<String> = attribute.path().segments.iter().map(|part| part.ident.to_string()).collect();
        self.follow(&parts);
        let syn::Meta::List(list) = &attribute.meta else { return };
        self.follow_tokens(list.tokens.clone());
        // `#[serde(with = "path")]`
        if attribute.path().is_ident("serde") || attribute.path().is_ident("schemars") {
            for token in list.tokens.clone() {
                if let TokenTree::Literal(literal) = token
                    && let Ok(path) = syn::parse_str::<syn::LitStr>(&literal.to_string())
                    && let Ok(path) = path.parse::<syn::Path>()
                {
                    self.visit_path(&path);
                }
            }
        }
    }
}

/// The files in `files` that use each other in circles: each group of them, with who uses what of whom.
pub fn circles(files: &BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>) -> Vec<String> {
    let reaches: BTreeMap<&Path, BTreeSet<&Path>> =
        files.keys().map(|file| (file.as_path(), reached(files, file))).collect();
    let mut found: Vec<BTreeSet<&Path>> = Vec::new();
    for (file, below) in &reaches {
        if below.contains(file) && !found.iter().any(|circle| circle.contains(file)) {
            found.push(below.iter().filter(|other| reaches[*other].contains(file)).copied().collect());
        }
    }
    found.iter().map(|circle| describe(files, circle)).collect()
}

fn reached<'a>(files: &'a BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>, from: &Path) -> BTreeSet<&'a Path> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&Path> = vec![from];
    while let Some(file) = next.pop() {
        for used in files.get(file).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(used.as_path()) {
                next.push(used);
            }
        }
    }
    seen
}

fn describe(files: &BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>, circle: &BTreeSet<&Path>) -> String {
    let mut lines = Vec::new();
    for file in circle {
        for (used, names) in files[*file].iter().filter(|(used, _)| circle.contains(used.as_path())) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            lines.push(format!("  {} uses {} of {}", file.display(), names.join(", "), used.display()));
        }
    }
    format!("a circle of {} files:\n{}", circle.len(), lines.join("\n"))
}
