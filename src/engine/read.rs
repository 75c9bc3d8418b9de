//! Reading a layer once: its index, its seek points, and what its SOFTWARE hive says.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use super::damage;
use super::error::LayerError;
use crate::error::{IoContext, PathError};
use crate::hive::{RegistryVersion, read_version};
use crate::image::{Descriptor, Digest};
use crate::layer::LayerIndex;
use crate::layer::seek_points::{self, SeekPoint};
use crate::progress::{Progress, Stage};
use crate::store::Temporary;

/// Reads a blob once, and checks that it is the one of the descriptor. `most_unpacked` is for [`LayerIndex::read_with`].
///
/// Meanwhile `hive` receives the layer's SOFTWARE hive, and `seek_points` its seek points. Returns the latter file, or `None` if
/// it is empty.
pub(super) fn index_blob(
    path: &Path,
    descriptor: &Descriptor,
    most_unpacked: Option<u64>,
    hive: Temporary,
    seek_points: Temporary,
    progress: &dyn Progress,
) -> Result<(LayerIndex, Option<Temporary>), LayerError> {
    let file = File::open(path).context_path("open", path)?;
    let task = progress.start(Stage::Index, &descriptor.digest.short(), descriptor.size);
    let mut hive = SpooledHive { file: BufWriter::new(hive), length: 0, failed: None };
    let mut seek_points = SeekPointFile { file: seek_points, blob: descriptor.digest, is_empty: true, result: Ok(()) };
    let index = LayerIndex::read_with(
        BufReader::new(file),
        most_unpacked,
        |bytes| task.advance(bytes),
        |bytes| hive.take(bytes),
        |point| seek_points.take(point),
    );
    task.finish();
    let mut index = index.map_err(|error| damage::explain(error.into(), path, &descriptor.digest))?;
    if index.digest != descriptor.digest {
        return Err(damage::damaged(path, &descriptor.digest, &index.digest).into());
    }
    index.registry = hive.read()?;
    Ok((index, seek_points.finish()?))
}

/// The seek points of a layer on their way into a file.
struct SeekPointFile {
    file: Temporary,
    blob: Digest,
    is_empty: bool,
    result: io::Result<()>,
}

impl SeekPointFile {
    fn take(&mut self, point: &SeekPoint) {
        self.is_empty = false;
        if self.result.is_ok() {
            self.result = self.file.write_all(&seek_points::encode(point, &self.blob));
        }
    }

    fn finish(self) -> Result<Option<Temporary>, PathError> {
        self.result.context_path("write to", self.file.path())?;
        Ok((!self.is_empty).then_some(self.file))
    }
}

/// The longest SOFTWARE hive that is looked into, in bytes. Those of Windows have about 100 million.
const LONGEST_HIVE: u64 = 1 << 30;

/// A SOFTWARE hive on its way into a file: what it says lies here and there in it.
struct SpooledHive {
    file: BufWriter<Temporary>,
    length: u64,
    failed: Option<io::Error>,
}

impl SpooledHive {
    fn take(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.failed.is_none() && self.length <= LONGEST_HIVE {
            self.failed = self.file.write_all(bytes).err();
        }
    }

    /// What the hive says, if there is one that can be read.
    fn read(self) -> Result<Option<RegistryVersion>, PathError> {
        let path = self.file.get_ref().path().to_owned();
        if let Some(error) = self.failed {
            return Err(PathError::new("write to", path, error));
        }
        if self.length == 0 || self.length > LONGEST_HIVE {
            return Ok(None);
        }
        // The file lives as long as this.
        let _written =
            self.file.into_inner().map_err(io::IntoInnerError::into_error).context_path("write to", &path)?;
        let file = File::open(&path).context_path("open", &path)?;
        let said = read_version(file);
        if let Err(error) = &said {
            tracing::info!(%error, "the SOFTWARE hive cannot be looked into");
        }
        Ok(said.ok())
    }
}
