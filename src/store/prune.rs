//! Making a store smaller, while others may be using it.

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use super::{Kind, LOCK, Store, Stored, USE_LOCK};
use crate::error::{IoContext, PathError};

/// What may stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// What was used since then.
    pub used_since: Option<SystemTime>,
    /// So many bytes of what was used last.
    pub bytes: Option<u64>,
}

/// What came of pruning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What was deleted.
    pub deleted: Vec<Stored>,
    /// What the limits do not allow, and is in use.
    pub in_use: Vec<Stored>,
    /// The bytes that are still there.
    pub left: u64,
}

impl Store {
    /// Deletes what the limits do not allow, the least recently used first.
    ///
    /// What another winslim may be using stays: everything that was used since the first of those came that have the store
    /// open without a break.
    ///
    /// With `dry_run`, nothing is deleted, and the result says what would be.
    pub fn prune(&self, limits: &Limits, dry_run: bool) -> Result<Pruned, PathError> {
        let mut contents = self.contents()?;
        // Running commands clean up after themselves, and the next one after those that were killed.
        contents.retain(|stored| stored.kind != Kind::Temporary);
        contents.sort_by(|one, other| (one.used, &one.path).cmp(&(other.used, &other.path)));
        let lock = self.root.join(LOCK);
        let in_use_since = fs::metadata(&lock).and_then(|lock| lock.modified()).context_path("read", &lock)?;
        let mut pruned = Pruned { left: contents.iter().map(|stored| stored.bytes).sum(), ..Pruned::default() };
        for stored in contents {
            let is_old = limits.used_since.is_some_and(|since| stored.used < since);
            let is_too_much = limits.bytes.is_some_and(|most| pruned.left > most);
            if !is_old && !is_too_much {
                continue;
            }
            if self.delete_unless_used_since(&stored, in_use_since, dry_run)? {
                pruned.left -= stored.bytes;
                pruned.deleted.push(stored);
            } else {
                pruned.in_use.push(stored);
            }
        }
        Ok(pruned)
    }

    fn delete_unless_used_since(&self, stored: &Stored, since: SystemTime, dry_run: bool) -> Result<bool, PathError> {
        let path = self.root.join(USE_LOCK);
        // For writing: who may not write here cannot know what others use, and may not delete.
        let moment = File::options().append(true).open(&path).context_path("open", &path)?;
        moment.lock().context_path("lock", &path)?;
        // Somebody may have taken it into use since it was listed.
        if last_use(&stored.path).is_some_and(|used| used >= since) || is_being_filled(stored) {
            return Ok(false);
        }
        if !dry_run {
            self.delete(&stored.path)?;
        }
        Ok(true)
    }
}

fn last_use(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Whether a download is going on: its lock is held as long.
fn is_being_filled(stored: &Stored) -> bool {
    stored.kind == Kind::Partial && File::open(&stored.path).is_ok_and(|file| file.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::image::Digest;

    /// A store with blobs that were last used so many days ago, and nobody else in it.
    fn store_with(directory: &Path, days: &[u64]) -> (Store, Vec<Digest>) {
        let store = Store::open(directory).unwrap();
        let digests: Vec<Digest> =
            days.iter().map(|day| store.put(format!("{day:0100}").as_bytes()).unwrap()).collect();
        for (digest, day) in digests.iter().zip(days) {
            set_age(&store, digest, *day);
        }
        (store, digests)
    }

    fn set_age(store: &Store, digest: &Digest, days: u64) {
        let file = File::options().append(true).open(store.blob_path(digest)).unwrap();
        file.set_modified(days_ago(days)).unwrap();
    }

    fn days_ago(days: u64) -> SystemTime {
        SystemTime::now() - Duration::from_secs(days * 86_400)
    }

    fn is_there(store: &Store, digests: &[Digest]) -> Vec<bool> {
        digests.iter().map(|digest| store.blob_path(digest).is_file()).collect()
    }

    #[test]
    fn age_and_size_are_limits() {
        for (limits, stays) in [
            (Limits::default(), [true, true, true]),
            (Limits { used_since: Some(days_ago(30)), bytes: None }, [true, false, true]),
            (Limits { used_since: Some(days_ago(1)), bytes: None }, [false, false, false]),
            (Limits { used_since: None, bytes: Some(300) }, [true, true, true]),
            (Limits { used_since: None, bytes: Some(299) }, [true, false, true]),
            (Limits { used_since: None, bytes: Some(150) }, [false, false, true]),
            (Limits { used_since: Some(days_ago(30)), bytes: Some(199) }, [false, false, true]),
            (Limits { used_since: None, bytes: Some(0) }, [false, false, false]),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let (store, digests) = store_with(directory.path(), &[20, 40, 2]);
            let pruned = store.prune(&limits, false).unwrap();
            assert_eq!(is_there(&store, &digests), stays, "{limits:?}");
            let left = stays.iter().filter(|stays| **stays).count();
            assert_eq!((pruned.left, pruned.deleted.len()), (left as u64 * 100, 3 - left));
            assert!(pruned.in_use.is_empty());
        }
    }

    #[test]
    fn what_others_use_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (build, digests) = store_with(directory.path(), &[20, 40, 30]);
        assert!(build.blob(&digests[1]).is_some());
        let new = build.put(b"made by the build").unwrap();
        let download = Digest::of(b"download");
        let mut partial = build.fill(&download, 8).unwrap().unwrap();
        partial.append(b"down").unwrap();
        let store = Store::open(directory.path()).unwrap();
        let pruned = store.prune(&Limits { used_since: Some(SystemTime::now()), bytes: Some(0) }, false).unwrap();
        assert_eq!(is_there(&store, &digests), [false, true, false]);
        assert!(is_there(&store, &[new])[0]);
        assert_eq!((pruned.deleted.len(), pruned.in_use.len()), (2, 3));
        partial.append(b"load").unwrap();
        partial.finish().unwrap();
        // Once nobody else has the store open, all may go.
        drop((build, store));
        let pruned =
            Store::open(directory.path()).unwrap().prune(&Limits { used_since: None, bytes: Some(0) }, false).unwrap();
        assert_eq!((pruned.deleted.len(), pruned.left), (3, 0));
    }

    #[test]
    fn a_use_between_listing_and_deleting_counts() {
        let directory = tempfile::tempdir().unwrap();
        let (store, digests) = store_with(directory.path(), &[20]);
        let listed = store.contents().unwrap().remove(0);
        let since = days_ago(1);
        store.blob(&digests[0]).unwrap();
        assert!(!store.delete_unless_used_since(&listed, since, false).unwrap());
        set_age(&store, &digests[0], 2);
        assert!(store.delete_unless_used_since(&listed, since, false).unwrap());
    }
}
