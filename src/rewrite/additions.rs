//! The new top layer that holds what profiles add.
//!
//! Its form is that of a layer that Windows itself exports: `Hives`, empty, `Files`, every directory on the way as an entry
//! of its own and before what is in it, Win32 attributes, security descriptors and all four times. Directories that the image
//! has already are repeated with their own attributes and security descriptor, because an entry replaces both.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::LayerWriter;
use crate::error::{IoContext, PathError};
use crate::layer::entry::{ATTRIBUTE_DIRECTORY, BLOCK};
use crate::layer::{Entry, EntryKind, FoldedPath, LayerPath, LayerStack, header};
use crate::profile::AddRule;
use crate::windows::protected::protected;
use crate::windows::security;

/// The time that added files get where none is asked for: 2000-01-01T00:00:00Z, in seconds since 1970.
pub const DEFAULT_TIME: u64 = 946_684_800;

/// The Win32 attribute of an ordinary file: `FILE_ATTRIBUTE_ARCHIVE`.
const ATTRIBUTE_ARCHIVE: u32 = 0x20;

/// What is added, in the order of the layer.
#[derive(Debug, Default)]
pub struct Additions {
    /// By folded path, so that a directory comes before what is in it.
    items: BTreeMap<Vec<String>, Item>,
    targets: Vec<String>,
}

#[derive(Debug)]
struct Item {
    path: String,
    attributes: u32,
    security: String,
    /// A file's place on this machine and its size; nothing for a directory.
    content: Option<(PathBuf, u64)>,
}

/// Why something cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum AdditionError {
    /// A source cannot be read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A source is neither a file nor a directory.
    #[error("cannot add `{}`: it is neither a file nor a directory; symbolic links are not followed, because what they would mean on Windows is not clear", .0.display())]
    Kind(PathBuf),
    /// A file name on this machine is not one on Windows.
    #[error("cannot add `{}`: its name {problem}", .path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with the name.
        problem: String,
    },
    /// The target, or a directory on the way to it, is something else in the image, or is added twice.
    #[error("cannot add `{target}`: {problem}")]
    Target {
        /// The path on Windows.
        target: String,
        /// What stands in the way.
        problem: String,
    },
    /// A file has another size than when the build began.
    #[error("`{}` changed while it was being added: it had {expected} bytes; build again when nothing writes to it", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its size when the build began, in bytes.
        expected: u64,
    },
}

impl Additions {
    /// Looks at what the rules add; reads no file's content yet.
    pub fn collect(rules: &[AddRule], stack: &LayerStack) -> Result<Additions, AdditionError> {
        let mut additions = Additions::default();
        for rule in rules {
            let metadata = std::fs::metadata(&rule.source).context_path("read", &rule.source)?;
            let mut target = rule.target.as_str().to_owned();
            if metadata.is_dir() {
                additions.add_directory_tree(&rule.source, &target, stack)?;
            } else if metadata.is_file() {
                // As with every copying command: a file goes into a directory that is there.
                if topmost(stack, &target).is_some_and(|entry| entry.kind == EntryKind::Directory) {
                    target = format!("{target}/{}", file_name(&rule.source)?);
                }
                additions.add_file(&rule.source, &target, metadata.len(), stack)?;
            } else {
                return Err(AdditionError::Kind(rule.source.clone()));
            }
            additions.targets.push(LayerPath::new(target.as_str()).to_windows());
        }
        Ok(additions)
    }

    /// The path on Windows of what each rule adds, in the order of the rules.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    /// Whether nothing is added.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Writes the layer. `time`, in seconds since 1970, is that of every entry.
    pub fn write(&self, writer: &mut LayerWriter, time: u64) -> Result<(), AdditionError> {
        let directory = |path: &str| {
            let records = records(ATTRIBUTE_DIRECTORY, None, time);
            header::new_entry(path, tar::EntryType::Directory, 0o040_755, 0, time, &records)
        };
        writer.write(&directory("Hives"))?;
        writer.write(&directory("Files"))?;
        for item in self.items.values() {
            let records = records(item.attributes, Some(&item.security), time);
            match &item.content {
                None => {
                    let headers =
                        header::new_entry(&item.path, tar::EntryType::Directory, 0o040_755, 0, time, &records);
                    writer.write(&headers)?;
                }
                Some((source, size)) => {
                    let headers =
                        header::new_entry(&item.path, tar::EntryType::Regular, 0o100_644, *size, time, &records);
                    writer.write(&headers)?;
                    write_content(source, *size, writer)?;
                }
            }
        }
        Ok(writer.write(&[0; 2 * BLOCK as usize])?)
    }

    fn add_directory_tree(&mut self, source: &Path, target: &str, stack: &LayerStack) -> Result<(), AdditionError> {
        for found in WalkDir::new(source).sort_by_file_name() {
            let found = found.map_err(|error| {
                let path = error.path().unwrap_or(source).to_owned();
                PathError::new("read", path, error.into())
            })?;
            let mut path = target.to_owned();
            for component in found.path().strip_prefix(source).unwrap_or(Path::new("")) {
                let name = component.to_str().ok_or_else(|| not_unicode(found.path()))?;
                check_name(found.path(), name)?;
                path.push('/');
                path.push_str(name);
            }
            let kind = found.file_type();
            if kind.is_dir() {
                self.add_directory(&path, stack)?;
            } else if kind.is_file() {
                let size = found.path().metadata().context_path("read", found.path())?.len();
                self.add_file(found.path(), &path, size, stack)?;
            } else {
                return Err(AdditionError::Kind(found.path().to_owned()));
            }
        }
        Ok(())
    }

    fn add_file(&mut self, source: &Path, path: &str, size: u64, stack: &LayerStack) -> Result<(), AdditionError> {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.add_directory(parent, stack)?;
        }
        let present = topmost(stack, path);
        if present.is_some_and(|entry| entry.kind == EntryKind::Directory) {
            return Err(obstacle(path, "it is a directory of the image"));
        }
        if let (Some(_), Some(why)) = (present, protected(FoldedPath::new(path).as_str())) {
            return Err(obstacle(
                path,
                &format!("the image's own file is protected: {why}; give the file another name"),
            ));
        }
        let item = Item {
            path: path.to_owned(),
            attributes: ATTRIBUTE_ARCHIVE,
            security: security::file_descriptor(),
            content: Some((source.to_owned(), size)),
        };
        match self.items.insert(key(path), item) {
            Some(_) => Err(obstacle(path, "two profiles or files would become this one")),
            None => Ok(()),
        }
    }

    /// Adds a directory and those above it, as the image has them where it does.
    fn add_directory(&mut self, path: &str, stack: &LayerStack) -> Result<(), AdditionError> {
        if path == "Files" {
            return Ok(());
        }
        match self.items.get(&key(path)) {
            Some(Item { content: None, .. }) => return Ok(()),
            Some(_) => return Err(obstacle(path, "it would be a file and a directory")),
            None => {}
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.add_directory(parent, stack)?;
        }
        let item = match topmost(stack, path) {
            None => Item {
                path: path.to_owned(),
                attributes: ATTRIBUTE_DIRECTORY,
                security: security::directory_descriptor(),
                content: None,
            },
            Some(entry) if entry.kind == EntryKind::Directory => Item {
                path: entry.path.as_str().to_owned(),
                attributes: entry.attributes.unwrap_or(ATTRIBUTE_DIRECTORY),
                security: descriptor_in(stack, path).unwrap_or_else(security::directory_descriptor),
                content: None,
            },
            Some(_) => {
                return Err(obstacle(path, "the image has a file or a link there, and nothing can lie below it"));
            }
        };
        self.items.insert(key(path), item);
        Ok(())
    }
}

/// The order of entries: a directory right before what is in it, names as Windows compares them.
fn key(path: &str) -> Vec<String> {
    FoldedPath::new(path).as_str().split('/').map(str::to_owned).collect()
}

/// The entry that a container would see under a name.
fn topmost<'a>(stack: &'a LayerStack, path: &str) -> Option<&'a Entry> {
    let id = stack.names().get(FoldedPath::new(path).as_str()).last()?;
    Some(stack.entry(*id))
}

/// The security descriptor of a directory in the topmost layer that has one for it.
fn descriptor_in(stack: &LayerStack, path: &str) -> Option<String> {
    let folded = FoldedPath::new(path);
    stack.names().get(folded.as_str()).iter().rev().find_map(|&id| {
        let layer = &stack.layers()[id.layer];
        let number = stack.entry(id).security?;
        layer.security.get(number as usize).map(|descriptor| descriptor.to_string())
    })
}

fn records(attributes: u32, security: Option<&str>, time: u64) -> Vec<(&'static str, String)> {
    let mut records =
        vec![("LIBARCHIVE.creationtime", time.to_string()), ("MSWINDOWS.fileattr", attributes.to_string())];
    if let Some(security) = security {
        records.push(("MSWINDOWS.rawsd", security.to_owned()));
    }
    records.extend([("atime", time.to_string()), ("ctime", time.to_string()), ("mtime", time.to_string())]);
    records
}

fn write_content(source: &Path, size: u64, writer: &mut LayerWriter) -> Result<(), AdditionError> {
    let mut file = File::open(source).context_path("open", source)?;
    let mut buffer = vec![0; 256 << 10];
    let mut left = size;
    loop {
        let read = file.read(&mut buffer).context_path("read", source)?;
        if (read == 0 && left > 0) || read as u64 > left {
            return Err(AdditionError::Changed { path: source.to_owned(), expected: size });
        }
        if read == 0 {
            break;
        }
        left -= read as u64;
        writer.write(&buffer[..read])?;
    }
    let padding = size.next_multiple_of(BLOCK) - size;
    Ok(writer.write(&[0; BLOCK as usize][..padding as usize])?)
}

fn file_name(path: &Path) -> Result<&str, AdditionError> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| not_unicode(path))?;
    check_name(path, name)?;
    Ok(name)
}

fn check_name(path: &Path, name: &str) -> Result<(), AdditionError> {
    crate::windows::names::check_file_name(name)
        .map_err(|problem| AdditionError::Name { path: path.to_owned(), problem })
}

fn not_unicode(path: &Path) -> AdditionError {
    AdditionError::Name { path: path.to_owned(), problem: "is not valid Unicode".to_owned() }
}

fn obstacle(path: &str, problem: &str) -> AdditionError {
    AdditionError::Target { target: LayerPath::new(path).to_windows(), problem: problem.to_owned() }
}
