//! What is in the cache, and what was done to it.

use serde::Serialize;

use super::Report;
use super::page::Page;
use super::table::Table;
use crate::bytes::ByteSize;

/// The version of the JSON of these reports. Fields are only ever added to a version.
const SCHEMA: u32 = 1;

/// What is in the cache.
#[derive(Debug, Serialize)]
pub struct CacheContents {
    schema: u32,
    directory: String,
    kinds: Vec<Files>,
    bytes: u64,
}

/// The files of one kind.
#[derive(Debug, Serialize)]
pub struct Files {
    /// What they are, in the plural.
    pub kind: &'static str,
    /// How many there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl CacheContents {
    /// The report on the cache in a directory.
    pub fn new(directory: String, kinds: Vec<Files>) -> CacheContents {
        let bytes = kinds.iter().map(|files| files.bytes).sum();
        CacheContents { schema: SCHEMA, directory, kinds, bytes }
    }
}

impl Report for CacheContents {
    fn page(&self) -> Page {
        let mut page = Page::new(self.directory.clone());
        let mut table = Table::new(&["what", "files", "size"], &[1, 2]);
        for files in &self.kinds {
            table.row([files.kind.to_owned(), files.files.to_string(), ByteSize(files.bytes).to_string()]);
        }
        let files: u64 = self.kinds.iter().map(|files| files.files).sum();
        table.row(["total".to_owned(), files.to_string(), ByteSize(self.bytes).to_string()]);
        page.table(table);
        page
    }
}

/// What pruning did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CachePruned {
    schema: u32,
    directory: String,
    /// Whether nothing was deleted, and the rest says what would be.
    dry_run: bool,
    deleted_files: u64,
    deleted_bytes: u64,
    /// What would have been deleted, but another run is using it.
    in_use_files: u64,
    in_use_bytes: u64,
    left_bytes: u64,
}

impl CachePruned {
    /// The report on files and bytes that were deleted, those that could not be because they are in use, and the bytes that
    /// are left.
    pub fn new(directory: String, deleted: (u64, u64), in_use: (u64, u64), left_bytes: u64) -> CachePruned {
        CachePruned {
            schema: SCHEMA,
            directory,
            dry_run: false,
            deleted_files: deleted.0,
            deleted_bytes: deleted.1,
            in_use_files: in_use.0,
            in_use_bytes: in_use.1,
            left_bytes,
        }
    }

    /// The same, of what would be deleted if `dry_run`.
    pub fn dry_run(self, dry_run: bool) -> CachePruned {
        CachePruned { dry_run, ..self }
    }
}

impl Report for CachePruned {
    fn page(&self) -> Page {
        let mut page = Page::new(self.directory.clone());
        let deleted = ByteSize(self.deleted_bytes);
        let verb = if self.dry_run { "would be deleted" } else { "deleted" };
        page.line(format!("{verb}: {}, {deleted}", files(self.deleted_files)));
        if self.in_use_files > 0 {
            let in_use = ByteSize(self.in_use_bytes);
            page.line(format!("kept because another run is using them: {}, {in_use}", files(self.in_use_files)));
        }
        page.line(format!("left: {}", ByteSize(self.left_bytes)));
        page
    }
}

/// What checking found.
#[derive(Debug, Serialize)]
pub struct CacheDamage {
    schema: u32,
    directory: String,
    /// How many files were checked.
    checked: u64,
    damaged: Vec<Damaged>,
}

/// A file that is not what it should be.
#[derive(Debug, Serialize)]
pub struct Damaged {
    /// Where it is.
    pub path: String,
    /// What is wrong, as a sentence.
    pub problem: String,
    /// Whether it could be deleted.
    pub deleted: bool,
}

impl CacheDamage {
    /// The report on so many checked files.
    pub fn new(directory: String, checked: u64, damaged: Vec<Damaged>) -> CacheDamage {
        CacheDamage { schema: SCHEMA, directory, checked, damaged }
    }

    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty()
    }
}

impl Report for CacheDamage {
    fn page(&self) -> Page {
        let mut page = Page::new(self.directory.clone());
        page.line(format!("checked: {}; damaged: {}", files(self.checked), self.damaged.len()));
        let line = |damaged: &Damaged| {
            let outcome =
                if damaged.deleted { "deleted; it is made or fetched anew when needed" } else { "cannot be deleted" };
            format!("{}: {} ({outcome})", damaged.path, damaged.problem)
        };
        page.list(self.damaged.iter().map(line).collect());
        page
    }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(report: &impl Report) -> String {
        anstream::adapter::strip_str(&report.to_text()).to_string()
    }

    #[test]
    fn contents_add_up() {
        let kinds =
            vec![Files { kind: "blobs", files: 2, bytes: 1500 }, Files { kind: "layer indexes", files: 1, bytes: 500 }];
        let report = CacheContents::new("/cache".to_owned(), kinds);
        let expected = "/cache\n\n  what           files     size\n  blobs              2  1.50 kB\n  \
                        layer indexes      1    500 B\n  total              3  2.00 kB\n";
        assert_eq!(plain(&report), expected);
        assert!(report.to_json().contains("\"bytes\": 2000"));
        assert!(report.to_markdown().starts_with("## /cache\n"));
    }

    #[test]
    fn what_is_in_use_is_said_only_if_there_is_any() {
        let report = CachePruned::new("/cache".to_owned(), (1, 1000), (0, 0), 0);
        assert_eq!(plain(&report), "/cache\ndeleted: 1 file, 1.00 kB\nleft: 0 B\n");
        let report = CachePruned::new("/cache".to_owned(), (0, 0), (2, 10), 10);
        let expected =
            "/cache\ndeleted: 0 files, 0 B\nkept because another run is using them: 2 files, 10 B\nleft: 10 B\n";
        assert_eq!(plain(&report), expected);
    }

    #[test]
    fn damage_is_listed() {
        let damaged = |deleted| Damaged { path: "/cache/x".to_owned(), problem: "it is bad".to_owned(), deleted };
        let report = CacheDamage::new("/cache".to_owned(), 3, vec![damaged(true), damaged(false)]);
        assert!(!report.is_sound());
        let expected = "/cache\nchecked: 3 files; damaged: 2\n  \
                        /cache/x: it is bad (deleted; it is made or fetched anew when needed)\n  \
                        /cache/x: it is bad (cannot be deleted)\n";
        assert_eq!(plain(&report), expected);
    }
}
