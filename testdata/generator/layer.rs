//! A layer as a list of entries, before it becomes a tar.

use std::collections::{HashMap, HashSet};

use super::random::{Content, seed_of};

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Kind {
    Directory,
    File(Content),
    /// Another name of the file that the full name in the tar stands for.
    HardLink(String),
    /// A symbolic link, to a file or to a directory.
    Symlink {
        target: String,
        directory: bool,
    },
    /// A mount point.
    Junction(String),
    /// `owner:stream`, behind its owner.
    Stream(Content),
    /// `.wh.NAME`.
    Whiteout,
}

/// One entry of a layer.
#[derive(Debug, Clone)]
pub struct Item {
    /// The name in the tar, of any length and in any alphabet.
    pub name: String,
    pub kind: Kind,
    /// Which of the security descriptors it has.
    pub security: usize,
    /// Win32 attributes; each kind has its own when this is `None`.
    pub attributes: Option<u32>,
    /// Extended attributes.
    pub extended: Vec<(String, Vec<u8>)>,
    /// The exact size of the body of the entry's PAX header, reached with one more extended attribute.
    pub pax_size: Option<usize>,
    /// No records at all but those that a long name needs: links as hcsshim's exporter writes them.
    pub bare: bool,
}

/// The entries of a layer in their order.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    pub items: Vec<Item>,
    /// Told apart by this, files of one name have other contents in another layer.
    salt: &'static str,
    names: HashSet<String>,
    directories: HashSet<String>,
}

impl Layer {
    pub fn new(salt: &'static str) -> Layer {
        Layer { salt, ..Layer::default() }
    }

    /// A directory, and those above it that the layer does not have yet.
    pub fn directory(&mut self, name: &str) -> &mut Item {
        self.parents(name);
        self.directories.insert(name.to_owned());
        self.push(name, Kind::Directory)
    }

    pub fn file(&mut self, name: &str, content: Content) -> &mut Item {
        self.parents(name);
        self.push(name, Kind::File(content))
    }

    /// A file of so many made-up bytes, which depend on its name and the layer's salt.
    pub fn made(&mut self, name: &str, length: u64) -> &mut Item {
        let seed = seed_of(&format!("{}:{name}", self.salt));
        self.file(name, Content::Made { seed, length })
    }

    pub fn hard_link(&mut self, name: &str, target: &str) -> &mut Item {
        self.parents(name);
        let bare = seed_of(name).is_multiple_of(3);
        let item = self.push(name, Kind::HardLink(target.to_owned()));
        item.bare = bare;
        item
    }

    pub fn symlink(&mut self, name: &str, target: &str, directory: bool) -> &mut Item {
        self.parents(name);
        self.push(name, Kind::Symlink { target: target.to_owned(), directory })
    }

    pub fn junction(&mut self, name: &str, target: &str) -> &mut Item {
        self.parents(name);
        self.push(name, Kind::Junction(target.to_owned()))
    }

    /// An alternate data stream of the entry that was added last.
    pub fn stream(&mut self, stream: &str, content: Content) {
        let owner = self.items.last().expect("a stream has an owner").name.clone();
        self.push(&format!("{owner}:{stream}"), Kind::Stream(content)).bare = true;
    }

    /// Deletes a name of the layers below.
    pub fn whiteout(&mut self, deleted: &str) {
        self.parents(deleted);
        let (directory, name) = deleted.rsplit_once('/').expect("a whiteout lies in a directory");
        self.push(&format!("{directory}/.wh.{name}"), Kind::Whiteout).bare = true;
    }

    /// An entry as it stands, whatever it breaks.
    pub fn unchecked(&mut self, name: &str, kind: Kind) -> &mut Item {
        self.items.push(Item {
            name: name.to_owned(),
            kind,
            security: (seed_of(name) % 4) as usize,
            attributes: None,
            extended: Vec::new(),
            pax_size: None,
            bare: false,
        });
        self.items.last_mut().expect("just added")
    }

    /// The same tree in the order of an exporter that walks it: a directory with all that is below it, one after the
    /// other, and the data of a file with several names at the first of them.
    ///
    /// hcsshim's exporter does so (`pkg/ociwclayer/export.go`).
    pub fn walked(mut self) -> Layer {
        let mut names_of_files: HashMap<usize, Vec<usize>> = HashMap::new();
        let places: HashMap<&str, usize> =
            self.items.iter().enumerate().map(|(place, item)| (&*item.name, place)).collect();
        for link in 0..self.items.len() {
            let mut holder = link;
            while let Kind::HardLink(target) = &self.items[holder].kind
                && let Some(&place) = places.get(&**target)
            {
                holder = place;
            }
            // The file of another layer has its data there.
            if holder != link && matches!(self.items[holder].kind, Kind::File(_)) {
                names_of_files.entry(holder).or_default().push(link);
            }
        }
        for (holder, links) in names_of_files {
            let key = |place: usize| walk_key(&self.items[place].name);
            let first = links.iter().fold(holder, |first, &link| if key(link) < key(first) { link } else { first });
            let name = self.items[first].name.clone();
            self.items[first].name = std::mem::replace(&mut self.items[holder].name, name.clone());
            for link in links {
                self.items[link].kind = Kind::HardLink(name.clone());
            }
        }
        self.items.sort_by(|one, other| walk_key(&one.name).cmp(&walk_key(&other.name)));
        self
    }

    fn push(&mut self, name: &str, kind: Kind) -> &mut Item {
        assert!(self.names.insert(name.to_uppercase()), "the sample has `{name}` twice");
        self.unchecked(name, kind)
    }

    fn parents(&mut self, name: &str) {
        for (end, _) in name.match_indices('/') {
            let parent = &name[..end];
            if !self.directories.contains(parent) {
                self.directory(parent);
            }
        }
    }
}

/// What a walk sorts by: a directory comes before all that is in it, a file before its streams.
fn walk_key(name: &str) -> (Vec<&str>, &str) {
    let (file, stream) = name.split_once(':').unwrap_or((name, ""));
    (file.split('/').collect(), stream)
}
