//! A tar whose members are read at random, without unpacking it: its directory is made in one pass over the headers.
//!
//! Names of members are only looked up, never used as paths of the file system.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tar::EntryType;

use crate::error::{IoContext, PathError, reason};
use crate::image::Digest;
use crate::image::document::MAX_DOCUMENT_SIZE;
use crate::progress::Task;
use crate::store::{Filling, Store, StoreError, Temporary};
use crate::transport::local::{CHUNK, digest_of_content, read_small};
use crate::transport::{LocalBlob, TransportError};

/// The most links that are followed from one name to its content.
const MAX_LINKS: usize = 8;
/// The most members of an archive: an image has some hundred, and their names are held in memory.
const MAX_MEMBERS: usize = 100_000;

/// A tar file and the directory of its members.
#[derive(Debug)]
pub struct TarFile {
    /// The file as the user named it.
    path: PathBuf,
    /// The unpacked tar, if the file is compressed.
    unpacked: Option<Temporary>,
    members: BTreeMap<String, Found>,
}

/// Where the bytes of a member are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    offset: u64,
    /// Its size in bytes.
    pub size: u64,
}

#[derive(Debug)]
enum Found {
    Data(Member),
    /// The name of another member, from the root of the archive.
    Link(String),
}

impl TarFile {
    /// Reads the headers of a tar. One that is compressed with gzip is unpacked into the store first.
    pub fn open(path: &Path, store: &Store) -> Result<TarFile, TransportError> {
        let mut tar = TarFile { path: path.to_owned(), unpacked: None, members: BTreeMap::new() };
        if path.is_dir() {
            return Err(tar.wrong("it is a directory; write `oci:` in front of an OCI image layout".to_owned()));
        }
        let mut file = File::open(path).context_path("open", path)?;
        let mut magic = Vec::new();
        (&mut file).take(2).read_to_end(&mut magic).context_path("read", path)?;
        file.rewind().context_path("read", path)?;
        if magic == [0x1f, 0x8b] {
            let mut unpacked = store.temporary()?;
            // A full disk and a broken stream both end here; the archive is the more likely one to be named.
            io::copy(&mut MultiGzDecoder::new(BufReader::new(file)), &mut unpacked).context_path("unpack", path)?;
            file = File::open(unpacked.path()).context_path("open", unpacked.path())?;
            tar.unpacked = Some(unpacked);
        }
        tar.scan(file)?;
        Ok(tar)
    }

    /// The file as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The member with a name, links followed. Docker on Windows wrote names with backslashes into its lists.
    pub fn member(&self, name: &str) -> Result<Option<Member>, TransportError> {
        let name = normal_name("", name);
        let mut name = name.as_str();
        for _ in 0..MAX_LINKS {
            match self.members.get(name) {
                None => return Ok(None),
                Some(Found::Data(member)) => return Ok(Some(*member)),
                Some(Found::Link(target)) => name = target,
            }
        }
        Err(self.wrong(format!("the links of `{name}` lead nowhere")))
    }

    /// The content of a member that is no larger than a document.
    pub fn read(&self, member: Member) -> Result<Bytes, TransportError> {
        Ok(read_small(self.reader(member)?, &self.path, MAX_DOCUMENT_SIZE)?)
    }

    /// The first bytes of a member, up to `count`.
    pub fn beginning(&self, member: Member, count: u64) -> Result<Vec<u8>, TransportError> {
        let mut bytes = Vec::new();
        self.reader(member)?.take(count).read_to_end(&mut bytes).context_path("read", &self.path)?;
        Ok(bytes)
    }

    /// The digest of a member.
    pub async fn digest(&self, member: Member, advance: impl FnMut(u64)) -> Result<Digest, TransportError> {
        Ok(digest_of_content(self.reader(member)?, &self.path, advance).await?)
    }

    /// Copies a member into the store and checks its digest.
    pub async fn extract(
        &self,
        member: Member,
        digest: &Digest,
        store: &Store,
        task: &dyn Task,
    ) -> Result<LocalBlob, TransportError> {
        if let Some(path) = store.blob(digest) {
            return Ok(LocalBlob::in_store(path, false));
        }
        let mut partial = loop {
            match store.try_fill(digest, member.size)? {
                Filling::Begun(partial) => break partial,
                Filling::Complete => return Ok(LocalBlob::in_store(store.blob_path(digest), false)),
                Filling::Elsewhere => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        partial.restart()?;
        let mut reader = self.reader(member)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = reader.read(&mut buffer).context_path("read", &self.path)?;
            if read == 0 {
                break;
            }
            partial.append(&buffer[..read])?;
            task.advance(read as u64);
            tokio::task::yield_now().await;
        }
        match partial.finish() {
            Ok(path) => Ok(LocalBlob::in_store(path, true)),
            Err(StoreError::WrongDigest { actual, .. }) => Err(TransportError::DamagedBlob {
                place: self.path.clone(),
                digest: *digest,
                problem: format!("has the content of {actual}"),
            }),
            Err(error) => Err(error.into()),
        }
    }

    fn reader(&self, member: Member) -> Result<io::Take<File>, PathError> {
        let path = self.unpacked.as_ref().map_or(self.path.as_path(), Temporary::path);
        let mut file = File::open(path).context_path("open", path)?;
        file.seek(SeekFrom::Start(member.offset)).context_path("seek in", path)?;
        Ok(file.take(member.size))
    }

    fn scan(&mut self, file: File) -> Result<(), TransportError> {
        let length = file.metadata().context_path("read", &self.path)?.len();
        let mut archive = tar::Archive::new(file);
        let entries = archive.entries_with_seek().context_path("read", &self.path)?;
        for entry in entries {
            let damaged = |error| self.wrong(format!("it is no tar, or a damaged one ({})", reason(&error)));
            let entry = entry.map_err(damaged)?;
            let name = normal_name("", &String::from_utf8_lossy(&entry.path_bytes()));
            let target = || String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned();
            let found = match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let member = Member { offset: entry.raw_file_position(), size: entry.size() };
                    if member.offset.checked_add(member.size).is_none_or(|end| end > length) {
                        return Err(self.wrong(format!("it ends within `{name}`")));
                    }
                    Found::Data(member)
                }
                EntryType::Link => Found::Link(normal_name("", &target())),
                EntryType::Symlink => Found::Link(normal_name(&name, &target())),
                _ => continue,
            };
            self.members.insert(name, found);
            if self.members.len() > MAX_MEMBERS {
                return Err(self.wrong(format!("it has more than {MAX_MEMBERS} members")));
            }
        }
        Ok(())
    }

    /// The error that the file is not such an archive.
    pub fn wrong(&self, problem: String) -> TransportError {
        TransportError::Kind { path: self.path.clone(), expected: "an archive of an image", problem }
    }
}

/// A name from the root of the archive, without `.`, `..` and doubled slashes. `from` is the member that a symbolic
/// link is at: its target begins there.
fn normal_name(from: &str, name: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in name.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;
    use crate::progress::Silent;

    /// Writes a tar of files (`content`) and links (`-> target` symbolic, `=> target` hard).
    pub(crate) fn write_tar(path: &Path, members: &[(&str, &[u8])]) {
        let mut builder = tar::Builder::new(File::create(path).unwrap());
        for (name, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            let text = String::from_utf8_lossy(content);
            let link = text.strip_prefix("-> ").map(|target| (EntryType::Symlink, target));
            if let Some((kind, target)) = link.or(text.strip_prefix("=> ").map(|target| (EntryType::Link, target))) {
                header.set_entry_type(kind);
                header.set_size(0);
                builder.append_link(&mut header, name, target).unwrap();
            } else {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, name, *content).unwrap();
            }
        }
        builder.into_inner().unwrap();
    }

    #[tokio::test]
    async fn members_are_found_read_and_extracted() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let path = directory.path().join("a.tar");
        write_tar(
            &path,
            &[
                ("./a/data", b"content"),
                ("b/symbolic", b"-> ../a/data"),
                ("hard", b"=> a/data"),
                ("twice", b"-> hard"),
                ("loop", b"-> loop"),
                ("astray", b"-> nowhere"),
            ],
        );
        let packed = directory.path().join("a.tar.gz");
        let mut encoder = flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
        encoder.write_all(&std::fs::read(&path).unwrap()).unwrap();
        encoder.finish().unwrap();
        for path in [path, packed] {
            let tar = TarFile::open(&path, &store).unwrap();
            for name in ["a/data", r"a\data", "b/symbolic", "hard", "twice"] {
                let member = tar.member(name).unwrap().unwrap();
                assert_eq!(tar.read(member).unwrap(), &b"content"[..], "{name}");
                assert_eq!(tar.digest(member, |_| ()).await.unwrap(), Digest::of(b"content"));
            }
            assert_eq!(tar.member("astray").unwrap(), None);
            assert!(tar.member("loop").unwrap_err().to_string().contains("lead nowhere"));
            let member = tar.member("hard").unwrap().unwrap();
            assert_eq!(tar.beginning(member, 3).unwrap(), b"con");
            let blob = tar.extract(member, &Digest::of(b"content"), &store, &Silent).await.unwrap();
            assert_eq!(std::fs::read(&blob.path).unwrap(), b"content");
            let error = tar.extract(member, &Digest::of(b"other"), &store, &Silent).await.unwrap_err();
            assert!(error.to_string().contains("a.tar") && error.to_string().contains("is damaged"), "{error}");
        }
    }

    #[test]
    fn what_is_no_tar_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let path = directory.path().join("a.tar");
        write_tar(&path, &[("a", &[b'a'; 5000])]);
        let whole = std::fs::read(&path).unwrap();
        for content in [&b"this is no tar at all".repeat(100)[..], &whole[..700], &[0x1f, 0x8b, 8, 0, 1]] {
            std::fs::write(&path, content).unwrap();
            let error = TarFile::open(&path, &store).unwrap_err().to_string();
            assert!(error.contains("a.tar"), "{error}");
        }
    }

    #[test]
    fn names_never_leave_the_root() {
        for (from, name, expected) in [
            ("", "./a//b/", "a/b"),
            ("", "../../a", "a"),
            ("x/y/link", "../z", "x/z"),
            ("link", "../../../a", "a"),
            ("", r"a\b", "a/b"),
        ] {
            assert_eq!(normal_name(from, name), expected);
        }
    }
}
